//! The values that the store's operations take and give.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::alerts::{Alert, Fingerprint, Group, LogEntry, Message, Silence, TargetId};
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
    /// The database file is broken.
    #[error("the database is broken: {0}")]
    Corrupt(String),
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

impl StoreError {
    /// The same failure for another operation of the same batch, which is not to blame.
    pub(super) fn for_another(&self) -> Self {
        match self {
            Self::Corrupt(reason) => Self::Corrupt(reason.clone()),
            Self::Unavailable(reason) => Self::Unavailable(reason.clone()),
            other => Self::Unavailable(other.to_string()),
        }
    }
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
    /// Deliveries that are opened: who is owed a notification about which group.
    pub deliveries: Vec<NewDelivery>,
    /// Further events that caused deliveries which are open already: the delivery's id, places in the inbox.
    pub causes: Vec<(String, Vec<i64>)>,
    /// Ended deliveries that the engine has taken note of, by [`EndedDelivery::n`].
    pub noted: Vec<i64>,
    /// Groups that are over: their entries of the notification log go.
    pub forgotten: Vec<String>,
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
    /// The alerts of groups; the key is [`member_key`].
    Member,
    /// The user's own metrics.
    Metric,
    /// What was spent so far.
    Spend,
    /// Single values of the engine.
    Engine,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Series, Self::Group, Self::Member, Self::Metric, Self::Spend, Self::Engine];

    /// The word used in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Group => "group",
            Self::Member => "member",
            Self::Metric => "metric",
            Self::Spend => "spend",
            Self::Engine => "engine",
        }
    }
}

/// The key of the row of a group's member.
pub fn member_key(group_key: &str, fingerprint: &Fingerprint) -> String {
    format!("{group_key}\n{fingerprint}")
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
    /// Deliveries that ended and that the engine has not taken note of, in the order in which they were opened.
    pub ended: Vec<EndedDelivery>,
}

/// A delivery that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedDelivery {
    /// Its place among the deliveries.
    pub n: i64,
    /// The group.
    pub group_key: String,
    /// Who was to be notified.
    pub target: TargetId,
    /// The receiver.
    pub receiver: String,
    /// How it ended.
    pub state: DeliveryState,
    /// When.
    pub finished_at: Timestamp,
    /// The reason of the notification, in words; empty when it was never composed.
    pub why: String,
    /// The target's entry of the notification log now.
    pub entry: Option<LogEntry>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
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
    pub maybe_repeated: bool,
    /// Until when its integration is left alone; `None` when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// Why: the reason of the failure that paused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_reason: Option<String>,
    /// What was composed last; `None` before the first attempt.
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
    pub group: Option<Group>,
    /// The alerts of the group, and those that its entry knows, as they are kept.
    pub alerts: BTreeMap<Fingerprint, Alert>,
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
    /// The target's entry of the notification log, where it was delivered.
    pub entry: Option<LogEntry>,
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

/// What [`super::Store::commit`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Events of [`Changes::events`] that are new in the inbox.
    pub recorded: usize,
    /// Deliveries that were opened; not those whose target had one open for the group.
    pub opened: usize,
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
    /// Alerts that ended and that groups still hold.
    pub ended: Vec<Alert>,
    /// The silences.
    pub silences: Silences,
    /// The notification log: group, target, entry.
    pub log: Vec<(String, TargetId, LogEntry)>,
    /// Deliveries that are open, or ended without the engine having taken note of it: group, target, id.
    pub open: Vec<(String, TargetId, String)>,
}

/// What became of a [`Settlement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The delivery moved as asked.
    Applied,
    /// As asked, and a delivery to the fallback was opened.
    FallbackOpened,
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

/// One line of the story of an alert: that it fired or ended, was told or kept quiet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalEntry {
    /// When.
    pub at: Timestamp,
    /// The alert.
    pub fingerprint: String,
    /// The group, where it is about telling.
    pub group_key: String,
    /// `fired`, `resolved`, `expired`, `no_data`, `rule_removed`, `pending`, `notified`, `suppressed`.
    pub what: String,
    /// One line: the value, the receiver and the reason, or what kept it quiet.
    pub detail: String,
}
