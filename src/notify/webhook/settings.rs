//! What the configuration says of it.

use crate::http::Via;
use crate::secret::Secret;

/// The settings of a `webhook_configs` entry.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Where to; may hold a token, so it is a secret.
    pub url: Secret,
    /// Key of the Standard Webhooks signature: `whsec_` and base64, or any text.
    pub secret: Option<Secret>,
    /// Alerts in one body at most.
    pub max_alerts: usize,
    /// Template source of the body, in the place of Alertmanager's JSON.
    pub body: Option<String>,
    /// Further request headers.
    pub headers: Vec<(String, Secret)>,
    /// The way there.
    pub via: Via,
}
