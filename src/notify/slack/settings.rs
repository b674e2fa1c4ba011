//! What the configuration says of it.

use std::path::PathBuf;

use crate::secret::Secret;

/// SlackSettings of a `slack_configs` entry.
#[derive(Debug, Clone)]
pub struct SlackSettings {
    /// The incoming webhook; a secret.
    pub api_url: Secret,
    /// Channel; legacy webhooks only.
    pub channel: Option<String>,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
}
