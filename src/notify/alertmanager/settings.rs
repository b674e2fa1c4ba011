//! What the configuration says of it.

use crate::http::Via;
use crate::secret::Secret;

/// The settings of an `alertmanager_configs` entry.
#[derive(Debug, Clone)]
pub struct AlertmanagerSettings {
    /// Where its pages begin; may hold a password, so it is a secret.
    pub url: Secret,
    /// Further request headers.
    pub headers: Vec<(String, Secret)>,
    /// The way there.
    pub via: Via,
}
