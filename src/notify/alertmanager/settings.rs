//! What the configuration says of it.

use std::path::PathBuf;

use crate::secret::Secret;

/// AlertmanagerSettings of an `alertmanager_configs` entry.
#[derive(Debug, Clone)]
pub struct AlertmanagerSettings {
    /// Where its pages begin; may hold a password, so it is a secret.
    pub url: Secret,
    /// Further request headers.
    pub headers: Vec<(String, Secret)>,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
}
