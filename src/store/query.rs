//! The values of the operations that people and metrics ask with: lists, records, figures.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::{Judgement, StoredEvent};
use super::outbox::DeliveryState;
use crate::alerts::{Group, LogEntry, TargetId};
use crate::event::Source;

/// Which deliveries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only those that stand so.
    pub state: Option<DeliveryState>,
    /// Only those to this receiver.
    pub receiver: Option<String>,
    /// Only those queued before the one with this id; none when that is gone.
    pub before: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// Which deliveries to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retry {
    /// The one with this id, dead or waiting.
    One(String),
    /// All dead ones to this receiver.
    Receiver(String),
    /// All dead ones.
    All,
}

/// What became of a wish to try deliveries again. Targets are those of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Retried {
    /// Deliveries that wait to be tried at once: those that were dead, one for each target, and those that waited already.
    pub count: usize,
    /// Targets that have a delivery open already: what they are owed goes out with that.
    pub open: usize,
    /// Targets that took a later delivery: nothing that is dead is news to them.
    pub notified: usize,
    /// Targets with a later dead delivery than the one that was asked for: that one says what is owed now.
    pub newer: usize,
    /// Of the only target that was asked for: the delivery by which it was left alone.
    pub instead: Option<String>,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventState {
    /// Not judged yet.
    Waiting,
    /// Judged, with whatever came of it.
    Judged,
    /// Could not be judged, and was skipped.
    Faulted,
}

impl EventState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Judged, Self::Faulted];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Judged => "judged",
            Self::Faulted => "faulted",
        }
    }
}

/// Which events to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only kinds that match, with `*` globs.
    pub kind: Option<String>,
    /// Not this kind.
    pub without_kind: Option<String>,
    /// Only of this account.
    pub account: Option<String>,
    /// Only those that stand so.
    pub state: Option<EventState>,
    /// Only those before this place.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: usize,
}

/// One line of a list of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventSummary {
    /// Place in the inbox.
    pub seq: i64,
    /// Identity within the account.
    pub id: String,
    /// The account.
    pub account: String,
    /// Dotted kind.
    pub kind: String,
    /// When it happened, by the sender's word.
    pub occurred_at: Option<Timestamp>,
    /// When it was taken in.
    pub received_at: Timestamp,
    /// Who vouches for it.
    pub source: Source,
    /// The amount as reported on it, as decimal text.
    pub cost: Option<String>,
    /// The amount's currency.
    pub currency: Option<String>,
    /// Where it stands.
    pub state: EventState,
}

/// All that is known of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventRecord {
    /// The event; its payload is null once it was dropped.
    pub stored: StoredEvent,
    /// True when the payload was dropped after judging (`store.payload: none`).
    pub payload_dropped: bool,
    /// Where it stands.
    pub state: EventState,
    /// Why it could not be judged.
    pub fault: Option<String>,
    /// What the rules said of it.
    pub judgements: Vec<Judgement>,
    /// The deliveries it caused, as far as they are still kept.
    pub deliveries: Vec<CausedDelivery>,
}

/// A delivery that an event caused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CausedDelivery {
    /// The delivery.
    pub id: String,
    /// Its receiver.
    pub receiver: String,
    /// Where it stands.
    pub state: DeliveryState,
}

/// How the store stands; cheap to ask, whatever its size.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Events ever taken in; retention does not lower it.
    pub events_total: u64,
    /// Events that wait to be judged.
    pub inbox_lag_events: u64,
    /// When the oldest of them was taken in.
    pub oldest_waiting: Option<Timestamp>,
    /// Deliveries that are kept, for each receiver and state; pairs never seen are absent, others may be 0.
    pub deliveries: Vec<DeliveryCount>,
    /// Alerts that are kept, for each name and state.
    pub alerts: Vec<AlertCount>,
}

impl Stats {
    /// How many alerts fire.
    pub fn firing(&self) -> u64 {
        self.alerts.iter().filter(|found| found.state == "firing").map(|found| found.count).sum()
    }

    /// How many deliveries stand so, over all receivers.
    pub fn deliveries_in(&self, state: DeliveryState) -> u64 {
        self.deliveries.iter().filter(|found| found.state == state).map(|found| found.count).sum()
    }
}

/// A part of [`Stats`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryCount {
    /// The receiver.
    pub receiver: String,
    /// Where they stand.
    pub state: DeliveryState,
    /// How many.
    pub count: u64,
}

/// A part of [`Stats`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertCount {
    /// The label `alertname`.
    pub alertname: String,
    /// The word of its [`crate::alerts::AlertState`].
    pub state: String,
    /// How many.
    pub count: u64,
}

/// What [`super::Store::sweep`] deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Events.
    pub events: usize,
    /// Deliveries.
    pub deliveries: usize,
    /// Alerts.
    pub alerts: usize,
    /// Charges.
    pub ledger: usize,
    /// Calls.
    pub calls: usize,
    /// Silences.
    pub silences: usize,
    /// Lines of the journal.
    pub journal: usize,
    /// Readings of balances.
    pub readings: usize,
    /// Entries of the audit log.
    pub audit: usize,
    /// True when the limit was reached, so that there may be more.
    pub more: bool,
}

/// Which alerts to list.
#[derive(Debug, Clone, Default)]
pub struct AlertFilter {
    /// Only those that fire.
    pub firing_only: bool,
    /// Only this one.
    pub fingerprint: Option<String>,
    /// Alerts at most.
    pub limit: usize,
}

/// A group with its members and its part of the notification log.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRecord {
    /// The group.
    pub group: Group,
    /// What each target was last notified of about it.
    pub log: Vec<(TargetId, LogEntry)>,
}
