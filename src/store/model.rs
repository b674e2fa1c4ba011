//! The values that the store's operations take and give.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::AuditEntry;
use super::journal::JournalEntry;
use super::outbox::{EndedDelivery, NewDelivery};
use crate::alerts::{Alert, Fingerprint, LogEntry, Silence, TargetId};
use crate::event::Event;
use crate::rules::{CallContext, CallKey, Entry};

/// An event with its place in the inbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StoredEvent {
    /// Place in the inbox: strictly increasing in the order of acceptance.
    pub seq: i64,
    /// The event.
    #[schema(value_type = Object)]
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
    /// The epoch of [`Role::Judge`](super::Role::Judge) under which was read what this was computed from: when another has judged since,
    /// it is refused. `None`: it hangs on nothing that was read.
    pub epoch: Option<i64>,
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
    /// What series had in the hours of the last weeks.
    Usual,
    /// What rules have seen.
    Seen,
    /// Single values of the engine.
    Engine,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Series,
        Self::Group,
        Self::Member,
        Self::Metric,
        Self::Spend,
        Self::Usual,
        Self::Seen,
        Self::Engine,
    ];

    /// The word used in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Group => "group",
            Self::Member => "member",
            Self::Metric => "metric",
            Self::Spend => "spend",
            Self::Usual => "usual",
            Self::Seen => "seen",
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

/// A change of silences, in one transaction with its entry of the audit log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SilencesChange {
    /// Inserted, or replaced by id.
    pub silences: Vec<Silence>,
    /// By which version of the silences it was decided: nothing is changed when they have changed since. `None` changes in
    /// any case.
    pub version: Option<u64>,
    /// Who asked for it.
    pub audit: Option<AuditEntry>,
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

/// What one rule said of one event, kept so that it can be asked afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// Deliveries that are open, or ended without the engine having taken note of it: group, target, id. The open ones come
    /// first, then the others, each from the newest to the oldest: of a group and target the first is the one that counts.
    pub open: Vec<(String, TargetId, String)>,
}
