//! What is asked of Telnyx for one account, as configured.

use std::time::Duration;

use crate::http::Proxy;
use crate::secret::Secret;

/// What is asked of Telnyx for one account.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiSettings {
    /// The configured account's name.
    pub account: String,
    /// ISO 4217 code, where an event names none.
    pub currency: Option<String>,
    /// The API key.
    pub key: Secret,
    /// The proxy in between.
    pub proxy: Option<Proxy>,
    /// Where the API is, such as `https://api.telnyx.com/v2`; no slash at the end.
    pub url: String,
    /// How often the balance is read.
    pub poll_interval: Duration,
    /// How old a missed webhook may be; `None` when they are not looked for.
    pub backfill: Option<Duration>,
    /// What Telnyx calls to bring webhooks; no slash at the end.
    pub public_url: Option<String>,
}
