//! What the configuration says of it.

use std::collections::BTreeMap;

use crate::http::Via;
use crate::secret::Secret;

/// The settings of a `slack_configs` entry.
#[derive(Debug, Clone)]
pub struct SlackSettings {
    /// The incoming webhook; a secret.
    pub api_url: Secret,
    /// Channel; legacy webhooks only.
    pub channel: Option<String>,
    /// Severity, in small letters, to the mentions at the head of its firing alerts, as Slack reads them.
    pub mention: BTreeMap<String, String>,
    /// The way there.
    pub via: Via,
}
