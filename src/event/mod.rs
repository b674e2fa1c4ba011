//! One [`Event`] from whatever Telnyx sent.
//!
//! Receives bytes that a verifier vouched for. Promises to be total: every body becomes an event, unknown
//! kinds and unparsable bytes too. Never knows who asks, where events are kept, or what they cause.
//!
//! [`parse`] is the way in: `envelope` finds the parts, `identity` the id, `kind` the name, `money` the amount, and
//! `mask` takes out what must not be kept. `snapshot` is what templates see, `sample` what people can try out.

mod envelope;
mod identity;
mod kind;
mod time;
mod money;
mod mask;
mod snapshot;
mod sample;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use identity::{is_id, small as small_id};
pub use kind::{Money, is_family, known_kinds, metric_kind, money as money_of, product};
pub use mask::MASKED;
pub use money::{amount, has_unread as has_unread_amount, iso_code};
pub use sample::{content_type, freshen, sample, samples};
pub use snapshot::Snapshot;
pub use time::lenient as time_of;

/// Longest [`Event::type_as_sent`], in characters; more is cut.
const TYPE_CHARS_MAX: usize = 128;

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

/// A body that a verifier vouched for, and what is known around it.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Name of the configured account whose key verified it.
    pub account: &'a str,
    /// Currency of amounts that name none, where one is configured.
    pub default_currency: Option<&'a str>,
    /// The `Content-Type` header; a hint, not trusted.
    pub content_type: Option<&'a str>,
    /// The bytes as they came.
    pub body: &'a [u8],
    /// When we took it in.
    pub received_at: Timestamp,
    /// How much of the payload is kept. `None` masks like `Redacted` here; who judges the event drops the rest.
    pub policy: PayloadPolicy,
}

/// Turns a body into an event; total, so that whatever a genuine sender says can be kept.
///
/// Bytes that are neither JSON nor a form, or nest deeper than 100 levels, become kind `unparsed` with their size and
/// SHA-256, and themselves in base64 only under [`PayloadPolicy::Full`]. JSON of no known shape becomes `unnamed`.
/// In TeXML forms all values are text, save `CallQualityStats`, which is opened where it is a JSON object.
/// Id, kind and cost do not depend on the policy.
pub fn parse(incoming: &Incoming<'_>) -> Event {
    let Some(envelope) = envelope::open(incoming.content_type, incoming.body) else {
        return unparsed(incoming);
    };
    let (id, content_hashed) = identity::of(&envelope);
    let (cost, currency) =
        money::of_event(&envelope.kind, &envelope.payload, incoming.default_currency);
    let mut payload = envelope.payload;
    if incoming.policy != PayloadPolicy::Full {
        mask::mask(&envelope.kind, &mut payload);
    }
    Event {
        id,
        account: incoming.account.to_owned(),
        kind: envelope.kind,
        type_as_sent: envelope.name.chars().take(TYPE_CHARS_MAX).collect(),
        occurred_at: envelope.occurred_at,
        received_at: incoming.received_at,
        attempt: envelope.attempt,
        source: Source::Webhook,
        payload,
        cost,
        charge: None,
        currency,
        content_hashed,
    }
}

fn unparsed(incoming: &Incoming<'_>) -> Event {
    let body = incoming.body;
    let (size_bytes, sha256) = (body.len(), identity::sha256_hex(body));
    let payload = json!({ "size_bytes": size_bytes, "sha256": sha256 });
    let id = identity::of_content(kind::UNPARSED, None, &payload);
    let payload = match incoming.policy {
        PayloadPolicy::Redacted | PayloadPolicy::None => payload,
        PayloadPolicy::Full => json!({
            "size_bytes": size_bytes,
            "sha256": sha256,
            "body_base64": STANDARD.encode(body),
        }),
    };
    Event {
        id,
        account: incoming.account.to_owned(),
        kind: kind::UNPARSED.to_owned(),
        type_as_sent: String::new(),
        occurred_at: None,
        received_at: incoming.received_at,
        attempt: None,
        source: Source::Webhook,
        payload,
        cost: None,
        charge: None,
        currency: None,
        content_hashed: true,
    }
}

impl Event {
    /// An event that tollbell raises about itself (`tollbell.dead_letter`, …). The payload is kept as it is: give
    /// it nothing that must be masked.
    pub fn tollbell(kind: &str, account: &str, id: String, now: Timestamp, payload: Value) -> Self {
        Self {
            id,
            account: account.to_owned(),
            kind: kind.to_owned(),
            type_as_sent: kind.to_owned(),
            occurred_at: Some(now),
            received_at: now,
            attempt: None,
            source: Source::Tollbell,
            payload,
            cost: None,
            charge: None,
            currency: None,
            content_hashed: false,
        }
    }
}

#[cfg(test)]
mod tests;
