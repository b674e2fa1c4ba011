//! One [`Event`] from whatever Telnyx sent.
//!
//! Receives bytes that a verifier vouched for. Promises to be total: every body becomes an event, unknown
//! kinds and unparsable bytes too. Never knows who asks, where events are kept, or what they cause.

use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened at Telnyx, or that tollbell noticed itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Identity within the account. See [`Event::content_hashed`] for events whose sender gave none.
    pub id: String,
    /// Name of the configured account it belongs to.
    pub account: String,
    /// Dotted kind, such as `call.cost`; the sender's own name where it had one, ours where it had none.
    pub kind: String,
    /// The sender's name for the kind, as sent; empty where it gave none.
    #[serde(rename = "type")]
    pub type_as_sent: String,
    /// When it happened, by the sender's word; `None` when absent or unparsable.
    pub occurred_at: Option<Timestamp>,
    /// When we took it in.
    pub received_at: Timestamp,
    /// The sender's delivery attempt, from 1, where it says.
    pub attempt: Option<u32>,
    /// Who vouches for it.
    pub source: Source,
    /// The event's own data, without delivery envelope, in the form in which it is kept (see [`PayloadPolicy`]).
    pub payload: Value,
    /// The amount as reported on this event; `None` is unknown, never zero.
    pub cost: Option<Decimal>,
    /// What the event changes in the charge ledger; filled by the engine.
    pub charge: Option<Decimal>,
    /// ISO 4217 code of `cost` and `charge`, from beside the amount.
    pub currency: Option<String>,
    /// True when `id` is a hash of the content; then a repeat counts as the same event for an hour only.
    #[serde(default)]
    pub content_hashed: bool,
}

/// Who vouches for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A webhook whose signature was verified.
    Webhook,
    /// A reading tollbell took from the billing API.
    Poller,
    /// Read from the webhook delivery log: authenticated by the API, not by a signature.
    Backfill,
    /// Raised by tollbell about itself.
    Tollbell,
}

impl Source {
    /// The word used in config, expressions and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Poller => "poller",
            Self::Backfill => "backfill",
            Self::Tollbell => "tollbell",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much of a payload is kept (`store.payload`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadPolicy {
    /// As it came.
    Full,
    /// Message text, one-time codes, card and bank data, transcripts, tokened URLs and subjects masked.
    #[default]
    Redacted,
    /// As `Redacted` until the event is judged, then dropped.
    None,
}

/// All kinds that have a name of their own in metrics.
pub fn known_kinds() -> &'static [&'static str] {
    &["call.cost"]
}

/// The kind as a metric label: itself when known, else `other`.
pub fn metric_kind(kind: &str) -> &'static str {
    known_kinds().iter().find(|known| **known == kind).copied().unwrap_or("other")
}
