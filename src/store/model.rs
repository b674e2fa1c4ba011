//! The values that the store's operations take and give.

use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::query::JournalEntry;
use super::withdrawal::Withdrawal;
use crate::alerts::{Alert, Message, Silence};
use crate::event::Event;
use crate::rules::{CallContext, CallKey, Entry};

/// An event with its place in the inbox.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredEvent {
    /// Place in the inbox: strictly increasing in the order of acceptance.
    pub seq: i64,
    /// The event.
    pub event: Event,
}

/// A row of the inbox that could not be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its place in the inbox.
    pub seq: i64,
    /// The account; empty when not even that can be read.
    pub account: String,
    /// What is wrong with it.
    pub detail: String,
}

/// What [`super::Store::record`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is new, and now on disk.
    New,
    /// The same event is on disk already; nothing changed.
    Duplicate,
}

/// Why the store did not do it. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More operations wait than the bound allows.
    #[error("the store's queue is full")]
    QueueFull,
    /// Disk full, read-only, locked, or gone. Worth trying again.
    #[error("the store is not writable: {0}")]
    Unavailable(String),
    /// This value can never be stored, or the row could not be read back.
    #[error("the store cannot hold this: {0}")]
    Unstorable(String),
    /// The batch, or a part of it, is judged already, or the silences have changed. The cursor stands here; read on
    /// from there.
    #[error("the batch is out of date: the cursor stands at {0}")]
    Stale(i64),
    /// The store is shut down.
    #[error("the store is closed")]
    Closed,
}

/// Everything one judged batch changes; committed as one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// The last `seq` that is judged now.
    pub cursor: i64,
    /// Records of what the rules said.
    pub judgements: Vec<Judgement>,
    /// Events that could not be judged, with one line why; marked and skipped.
    pub faulted: Vec<(i64, String)>,
    /// Alerts as they stand now (inserted or replaced by fingerprint).
    pub alerts: Vec<Alert>,
    /// Messages to be sent.
    pub deliveries: Vec<NewDelivery>,
    /// What messages that wait are to say no more; each applied at its place among [`Changes::deliveries`].
    pub withdrawals: Vec<Withdrawal>,
    /// Events tollbell raises about itself; they go through the inbox like any other.
    pub events: Vec<Event>,
    /// The engine's own state: rows that changed.
    pub rows: Vec<Row>,
    /// Charges as they stand now (inserted or replaced by key).
    pub ledger: Vec<Entry>,
    /// What is known of calls now (inserted or replaced by key), with the time at which it was learned.
    pub calls: Vec<(CallKey, CallContext, Timestamp)>,
    /// What events changed in the ledger, by their place in the inbox.
    pub charges: Vec<(i64, Decimal)>,
    /// What happened to alerts and notices, kept so that it can be asked afterwards.
    pub journal: Vec<JournalEntry>,
    /// The version of the silences that were asked; when they have changed since, nothing is committed
    /// ([`StoreError::Stale`]): a silence takes effect at once. `None` asks for no such check.
    pub silences: Option<u64>,
}

/// A part of the engine's state. The store keeps its bytes and does not look inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub space: Space,
    /// Identity within the space.
    pub key: String,
    /// The value; `None` deletes the row.
    pub value: Option<Vec<u8>>,
}

/// The kinds of [`Row`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Series of gauge, window and absence rules.
    Series,
    /// Groups of alerts.
    Group,
    /// The user's own metrics.
    Metric,
    /// What was spent so far.
    Spend,
    /// Single values of the engine.
    Engine,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Series, Self::Group, Self::Metric, Self::Spend, Self::Engine];

    /// The word used in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Group => "group",
            Self::Metric => "metric",
            Self::Spend => "spend",
            Self::Engine => "engine",
        }
    }
}

/// The silences, all that are kept, expired ones too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Silences {
    /// Changes with each change of a silence.
    pub version: u64,
    /// By their beginning.
    pub silences: Vec<Silence>,
}

/// What the ledger and the call context hold of the keys that were asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Charges.
    pub entries: Vec<Entry>,
    /// Calls.
    pub calls: Vec<(CallKey, CallContext)>,
}

/// The next events, and what judging them needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// In the order of acceptance.
    pub events: Vec<Result<StoredEvent, Unreadable>>,
    /// Of the charges and calls that they speak of.
    pub known: Known,
    /// All of them, when they are others than those that were known.
    pub silences: Option<Silences>,
}

/// What one rule said of one event, kept so that it can be asked afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The event.
    pub seq: i64,
    /// `group/alert`.
    pub rule: String,
    /// `fired`, `extended`, `resolved`, `failed`.
    pub outcome: String,
    /// The alert, when there is one.
    pub fingerprint: Option<String>,
    /// One line: values, or why it failed.
    pub detail: String,
    /// Hash of the configuration that judged.
    pub config: String,
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

/// A message to queue for one target of one integration.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    /// Identity, unique for ever; the key the peer sees.
    pub id: String,
    /// The integration's id.
    pub integration: String,
    /// Its receiver.
    pub receiver: String,
    /// The target within the integration.
    pub target: String,
    /// Messages with the same integration, target and group key are sent in order, one in flight.
    pub group_key: String,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When the receiver's fallback is to be rung if this is still undelivered; `None` without a fallback.
    pub fallback_at: Option<Timestamp>,
    /// The delivery whose receiver could not be reached, when this is its fallback's copy.
    pub fallback_of: Option<String>,
    /// The events that caused it, by their place in the inbox, as far as they are still kept.
    pub caused_by: Vec<i64>,
    /// What to tell.
    pub message: Message,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Waits for its first or next attempt.
    Pending,
    /// Claimed under a lease.
    Sending,
    /// The peer took it.
    Delivered,
    /// A later message of its group went out in its place.
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
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// Of a delivery just claimed: whether this very attempt may be the repeat.
    pub maybe_repeated: bool,
    /// What to tell.
    pub message: Message,
}

/// One attempt of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// What becomes of it.
    pub next: Next,
    /// The peer may have taken it all the same: the next attempt may be a repeat.
    pub maybe_taken: bool,
    /// Copies for the receiver's fallback, queued in the same transaction, once for each original delivery:
    /// ids that exist already are left alone.
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

/// What a claim asks for.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Deliveries of this integration only.
    pub integration: &'a str,
    /// The time now.
    pub now: Timestamp,
    /// How long the claim holds; longer than the longest send.
    pub lease: Duration,
    /// Deliveries at most.
    pub limit: usize,
}

/// What [`super::Store::commit`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Events of [`Changes::events`] that are new in the inbox.
    pub recorded: usize,
    /// Deliveries that were queued; those whose id was known are not counted.
    pub queued: usize,
    /// Calls that were forgotten before their time, since too many are known.
    pub calls_evicted: usize,
}

/// What the engine goes on from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resumed {
    /// The last `seq` that is judged; 0 before the first.
    pub cursor: i64,
    /// The alerts that fire.
    pub alerts: Vec<Alert>,
    /// The engine's state; [`Row::value`] is never `None` here.
    pub rows: Vec<Row>,
    /// The silences.
    pub silences: Silences,
}

/// What became of a [`Settlement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The delivery moved as asked.
    Applied,
    /// As asked, and the fallback hears of the message now; it did not before.
    Rang,
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
