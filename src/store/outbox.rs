//! The values of the outbox: deliveries, their claims and outcomes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::journal::JournalEntry;
use crate::alerts::{Alert, Fingerprint, Group, LogEntry, Message, TargetId};
use crate::event::Event;

/// A delivery that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedDelivery {
    /// Its place among the deliveries.
    pub n: i64,
    /// Its identity.
    pub id: String,
    /// The group.
    pub group_key: String,
    /// Who was to be notified.
    pub target: TargetId,
    /// How it ended.
    pub state: DeliveryState,
    /// When.
    pub finished_at: Timestamp,
    /// The target's entry of the notification log now.
    pub entry: Option<LogEntry>,
}

/// A delivery's identity, made from what causes it: judging the same batch again makes the same ids.
pub fn delivery_id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(hash.finalize()) {
        *byte = hashed;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// A delivery to open: somebody is owed a notification about a group. What it says is composed when it is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Identity, unique for ever; the key the peer sees.
    pub id: String,
    /// Who is owed. There is one open delivery for each group and target.
    pub target: TargetId,
    /// The integration's receiver.
    pub receiver: String,
    /// The group.
    pub group_key: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When the receiver's fallback is to be notified if this is still undelivered; `None` without a fallback.
    pub fallback_at: Option<Timestamp>,
    /// The delivery whose receiver could not be reached, when this is for its fallback.
    pub fallback_of: Option<String>,
    /// The events that caused it, by their place in the inbox, as far as they are still kept.
    pub caused_by: Vec<i64>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Waits for its first or next attempt.
    Pending,
    /// Claimed under a lease.
    Sending,
    /// The peer took it.
    Delivered,
    /// There was nothing left to say when it was claimed.
    Superseded,
    /// Given up, with the reason; can be retried by hand.
    Dead,
}

impl DeliveryState {
    /// All of them, for series that start at zero.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Sending, Self::Delivered, Self::Superseded, Self::Dead];

    /// The word used in the store, metrics and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Superseded => "superseded",
            Self::Dead => "dead",
        }
    }
}

/// A delivery as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// Identity.
    pub id: String,
    /// The integration's id.
    pub integration: String,
    /// Its receiver.
    pub receiver: String,
    /// The target within the integration.
    pub target: String,
    /// The group.
    pub group_key: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts begun.
    pub attempts: u32,
    /// When it was queued.
    pub created_at: Timestamp,
    /// Not tried before this.
    pub not_before: Timestamp,
    /// When it reached its end.
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed: `clientError` and so on; empty when it did not.
    pub reason: String,
    /// One line about the last failure.
    pub detail: String,
    /// The delivery it stands in for.
    pub fallback_of: Option<String>,
    /// True when an earlier attempt was cut off by a crash, so that the peer may have seen it already.
    pub maybe_repeated: bool,
    /// Until when its integration is left alone; `None` when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// Why: the reason of the failure that paused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_reason: Option<String>,
    /// The name that all its alerts share: before the first attempt, those of the group as they are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alertname: Option<String>,
    /// What was composed last; `None` before the first attempt.
    #[schema(value_type = Option<Object>)]
    pub message: Option<Message>,
}

impl Delivery {
    /// When it is tried next: never in the past, and not while its integration is paused. `None` when it has ended.
    pub fn next_try(&self, now: Timestamp) -> Option<Timestamp> {
        let open = matches!(self.state, DeliveryState::Pending | DeliveryState::Sending);
        open.then(|| self.not_before.max(self.paused_until.unwrap_or(now)).max(now))
    }
}

/// A delivery that is due, with all that its message is composed of.
#[derive(Debug, Clone, PartialEq)]
pub struct DueDelivery {
    /// Its place among the deliveries.
    pub n: i64,
    /// The delivery as it is kept, with the message of its last attempt.
    pub delivery: Delivery,
    /// Whether the attempt before was cut off: this one may be its repeat.
    pub cut_off: bool,
    /// Digest of the last attempt's message.
    pub digest: Option<Vec<u8>>,
    /// How often its content has changed between attempts.
    pub revision: u32,
    /// Whether somebody asked for it to be tried again.
    pub by_hand: bool,
    /// The delivery that it stands in for: its receiver, and whether that was reached meanwhile.
    pub original: Option<(String, bool)>,
    /// The group with its members; `None` when it is over.
    pub group: Option<Arc<Group>>,
    /// The alerts of the group, and those that its entry knows, as they are kept.
    pub alerts: BTreeMap<Fingerprint, Arc<Alert>>,
    /// The target's entry of the notification log.
    pub entry: Option<LogEntry>,
}

/// Deliveries that are due.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DueDeliveries {
    /// Longest due first.
    pub deliveries: Vec<DueDelivery>,
    /// Those that cannot be read back, each with one line why: nobody will ever be able to send them.
    pub unreadable: Vec<(i64, String)>,
    /// The version of the silences of the same moment.
    pub silences: u64,
}

/// A group of which an integration with one target knows alerts as firing.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownGroup {
    /// The group with its members.
    pub group: Group,
    /// Its alerts that fire, as they are kept.
    pub alerts: BTreeMap<Fingerprint, Alert>,
    /// The target's entry of the notification log.
    pub entry: LogEntry,
}

/// What becomes of deliveries that are due.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The integration: where several processes send, only the one whose turn it is may claim.
    pub integration: String,
    /// The version of the silences by which they were composed: when they have changed since, nothing is claimed
    /// ([`StoreError::Stale`]). Once a silence is answered, nothing more is composed of what it matches.
    pub silences: u64,
    /// The time now.
    pub now: Timestamp,
    /// How long the claim holds; longer than the longest send.
    pub lease: Duration,
    /// Each delivery by [`DueDelivery::n`].
    pub deliveries: Vec<(i64, Claimed)>,
}

/// What a claim makes of one delivery.
#[derive(Debug, Clone)]
pub enum Claimed {
    /// It is sent now.
    Sent {
        /// What is sent.
        content: Content,
        /// The target's entry of the notification log while the attempt is unanswered; `None` leaves it alone.
        unanswered: Option<LogEntry>,
    },
    /// Nothing is left to say: one line why.
    Superseded(String),
    /// It cannot be sent: one line why.
    Dead(String),
}

/// What one attempt sends.
#[derive(Debug, Clone)]
pub struct Content {
    /// [`DueDelivery::revision`], or one more when the content has changed.
    pub revision: u32,
    /// SHA-256 of [`Content::message`]: targets that are sent the same share it.
    pub digest: Vec<u8>,
    /// The message as JSON.
    pub message: Vec<u8>,
    /// The reason of the notification, in words.
    pub why: &'static str,
}

/// One attempt of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Attempt, from 1.
    pub number: u32,
    /// When it ended.
    pub finished_at: Timestamp,
    /// `delivered`, `retry` or `rejected`.
    pub outcome: String,
    /// Why it failed; empty when it did not.
    pub reason: String,
    /// One line about it.
    pub detail: String,
}

/// How one attempt ended, and what becomes of the delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The delivery.
    pub id: String,
    /// The attempt.
    pub attempt: Attempt,
    /// Which content it sent: [`Content::revision`].
    pub revision: u32,
    /// What becomes of it.
    pub next: Next,
    /// The peer may have taken it all the same: the next attempt may be a repeat.
    pub maybe_taken: bool,
    /// The delivery that it stood in for when it was composed. When it has come to stand in for one since, its target is owed
    /// more than was said: it goes on although it was delivered.
    pub fallback_of: Option<String>,
    /// The target's entry of the notification log, where it was delivered.
    pub entry: Option<LogEntry>,
    /// What the journal says then; not what another target of the integration had it say within the second.
    pub journal: Vec<JournalEntry>,
    /// Deliveries to the receiver's fallback, opened in the same transaction, once for each original delivery.
    pub fallbacks: Vec<NewDelivery>,
    /// Events that tollbell raises about it.
    pub events: Vec<Event>,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It reached its receiver.
    Delivered,
    /// Again, not before this.
    RetryAt(Timestamp),
    /// Given up.
    Dead,
}

impl Settlement {
    /// The attempt by which a success is noted in the notification log, of a delivery with so many attempts, the last of them
    /// with this content: whoever took the same content earlier has taken what the last one says.
    pub(super) fn logged_by(&self, attempts: u32, revision: u32) -> u32 {
        let number = self.attempt.number;
        if self.revision == revision { number.max(attempts) } else { number }
    }

    /// What becomes of the delivery, which stands in for `fallback_of` now: what has come to stand in for another one while it
    /// was sent goes on at once.
    pub(super) fn next_of(&self, fallback_of: Option<&String>) -> Next {
        match self.next {
            Next::Delivered if self.fallback_of.as_ref() != fallback_of => {
                Next::RetryAt(self.attempt.finished_at)
            }
            next => next,
        }
    }
}

impl Next {
    /// Whether an outcome still counts of a delivery that stands so. A peer that took it took it; any other word counts only
    /// from the attempt that is under way.
    pub(super) fn is_heeded(self, state: DeliveryState, attempts: u32, attempt: &Attempt) -> bool {
        match self {
            Self::Delivered => state != DeliveryState::Delivered,
            Self::RetryAt(_) | Self::Dead => {
                state == DeliveryState::Sending && attempts == attempt.number
            }
        }
    }
}

/// What became of a [`Settlement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The delivery moved as asked.
    Applied,
    /// Only the attempt was noted: another attempt has been begun since, the delivery has ended, or it is gone.
    Stale,
}

/// Deliveries whose sending a crash cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resent {
    /// The integration's id.
    pub integration: String,
    /// Its receiver.
    pub receiver: String,
    /// How many.
    pub count: usize,
}
