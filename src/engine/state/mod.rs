//! What the engine remembers between batches: rows of the store, what is derived from them, and what was loaded for the
//! batch at hand.

mod counts;
mod ends;
mod looks;
mod past;
mod rows;
mod seen;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use self::counts::less;
use self::past::Pasts;
use super::timers::{Due, SeriesKey, Timers};
use crate::alerts::{
    ActiveSilences, Alert, Fingerprint, Group, InhibitRule, Inhibitor, LogEntry, Suppression,
    TargetId,
};
use crate::event::Event;
use crate::rules::{
    CallContext, CallKey, Entry, LedgerKey, Meter, MeterRow, Series, Spend, SpendRow,
};
use crate::store::{Batch, EndedDelivery, Known, Silences, StoredEvent, Unreadable};

/// What the engine remembers between batches.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(super) cursor: i64,
    /// Hash of the configuration that was applied to the state; empty before the first batch.
    pub(super) applied: String,
    /// What was in force when rows were last written.
    pub(super) in_force: InForce,
    /// The alerts that fire.
    pub(super) alerts: BTreeMap<Fingerprint, Alert>,
    /// How many of them each rule has.
    pub(super) firing_by_rule: HashMap<String, usize>,
    /// When the event happened that last ended an alert by `resolve_on`: what happened before it begins nothing.
    ended: BTreeMap<Fingerprint, Timestamp>,
    pub(super) series: BTreeMap<SeriesKey, Series>,
    /// How many series each rule has.
    pub(super) series_by_rule: HashMap<Arc<str>, usize>,
    pub(super) groups: BTreeMap<String, Group>,
    /// The notification log, by group.
    pub(super) log: BTreeMap<String, BTreeMap<TargetId, LogEntry>>,
    /// Deliveries that are open, or ended without our having taken note of it: by group and target, their ids.
    pub(super) open: BTreeMap<String, BTreeMap<TargetId, String>>,
    /// Ended deliveries to take note of.
    pub(super) ended_deliveries: Vec<EndedDelivery>,
    /// The sources among the firing alerts.
    pub(super) inhibitor: Inhibitor,
    /// Groups with an alert that is inhibited, by the source.
    pub(super) inhibited: BTreeMap<Fingerprint, BTreeSet<String>>,
    /// Groups with an alert that is silenced.
    pub(super) silenced: BTreeSet<String>,
    /// Groups by which Alertmanager knows an alert that another group notifies it of now, by the alert.
    pub(super) elsewhere: BTreeMap<Fingerprint, BTreeSet<String>>,
    /// Groups with a target that failed, by its integration.
    pub(super) gated: BTreeMap<String, BTreeSet<String>>,
    /// When routes that are quiet by the time of day are so no more: asked when, and the answer.
    pub(super) edges: BTreeMap<String, (Timestamp, Option<Timestamp>)>,
    /// Charges and calls that the events at hand speak of.
    pub(super) ledger: HashMap<LedgerKey, Entry>,
    pub(super) calls: HashMap<CallKey, CallContext>,
    pub(super) silences: Arc<ActiveSilences>,
    /// The series of the user's own metrics.
    pub(super) meter: Meter,
    /// What was spent.
    pub(super) spent: Spend,
    /// Up to when the engine was ready; `None` while no rule needs to know.
    pub(super) ready_until: Option<Timestamp>,
    /// What series had before, where their rules look at what is usual.
    pub(super) pasts: Pasts,
    pub(super) timers: Timers,
    /// What happened before begins no notification: an older database was restored then. By the command line, not a row.
    pub(super) restored_at: Option<Timestamp>,
    /// Alerts that fire and began before: nobody is notified of them until something extends them.
    unnotified: BTreeSet<Fingerprint>,
    /// Totals that changed since the last batch.
    totals: Totals,
    /// Rows that changed since the last batch.
    touched: BTreeSet<Touched>,
}

/// What deadlines depend on besides the rows: while it is the same, they hold across a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct InForce {
    /// tollbell's version.
    version: String,
    /// Hash of the configuration.
    config: String,
    /// Version of the silences.
    silences: u64,
}

/// Totals that changed in a batch, by the key of their row.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    pub(super) metered: BTreeMap<String, MeterRow>,
    pub(super) spent: BTreeMap<String, SpendRow>,
}

/// A row that changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Touched {
    Series(SeriesKey),
    Group(String),
    Member(String, Fingerprint),
    Metric(String),
    Spend(String),
    Ended(Fingerprint),
    Unnotified(Fingerprint),
    InForce,
    Ready,
}

impl State {
    /// The last event that was judged.
    pub fn cursor(&self) -> i64 {
        self.cursor
    }

    /// Whether an event is of the time before an older database was restored.
    pub(super) fn is_old(&self, event: &Event) -> bool {
        event.occurred_at.zip(self.restored_at).is_some_and(|(at, from)| at < from)
    }

    /// Lets an alert fire without a notification, until [`State::notify_again`].
    pub(super) fn keep_unnotified(&mut self, fingerprint: &Fingerprint) {
        if self.unnotified.insert(fingerprint.clone()) {
            self.touched.insert(Touched::Unnotified(fingerprint.clone()));
        }
    }

    /// Ends that; whether it was so.
    pub(super) fn notify_again(&mut self, fingerprint: &Fingerprint) -> bool {
        let was = self.unnotified.remove(fingerprint);
        if was {
            self.touched.insert(Touched::Unnotified(fingerprint.clone()));
        }
        was
    }

    /// Whether nobody is to be notified of an alert for now.
    pub(super) fn is_unnotified(&self, fingerprint: &Fingerprint) -> bool {
        self.unnotified.contains(fingerprint)
    }

    /// Whether the configuration with this hash was applied to it.
    pub fn has_applied(&self, hash: &str) -> bool {
        self.applied == hash
    }

    /// Whether deliveries ended that are to be taken note of.
    pub fn has_ended_deliveries(&self) -> bool {
        !self.ended_deliveries.is_empty()
    }

    /// After which stored event the next stands that rules which are new take in; `None` when they have taken in all.
    pub fn fill_after(&self) -> Option<i64> {
        self.pasts.fill_after()
    }

    /// When the next timer is due.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// The firing alerts.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    /// The groups.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The silences that are asked.
    pub fn silences(&self) -> &ActiveSilences {
        &self.silences
    }

    /// Takes the silences as they are now. Groups with an alert that was silenced are looked at: it may be so no more.
    pub fn set_silences(&mut self, silences: Silences, now: Timestamp) {
        self.silences = Arc::new(compiled(silences));
        for key in std::mem::take(&mut self.silenced) {
            self.look_soon(&key, now);
        }
    }

    /// Loads what the store knows of the charges and calls that a batch speaks of, the silences when they have changed, and
    /// the deliveries that ended. Gives the events.
    pub fn load(&mut self, batch: Batch, now: Timestamp) -> Vec<Result<StoredEvent, Unreadable>> {
        let Batch { events, known, silences, ended } = batch;
        if let Some(silences) = silences {
            self.set_silences(silences, now);
        }
        self.load_known(known);
        self.ended_deliveries = ended;
        events
    }

    /// Gives the deliveries that ended, for the next step to take note of.
    pub fn set_ended_deliveries(&mut self, ended: Vec<EndedDelivery>) {
        self.ended_deliveries = ended;
    }

    /// Loads charges and calls.
    pub fn load_known(&mut self, known: Known) {
        self.ledger.extend(known.entries.into_iter().map(|entry| (entry.key.clone(), entry)));
        self.calls.extend(known.calls);
    }

    /// Clears what was loaded for a batch: the store has it.
    pub fn clear(&mut self) {
        self.ledger.clear();
        self.calls.clear();
        self.ended_deliveries.clear();
    }

    /// Indexes the sources of inhibition by the rules in force.
    pub(super) fn index_inhibition(&mut self, rules: &[InhibitRule]) {
        self.inhibitor = Inhibitor::new(rules, self.alerts.values());
    }

    /// What keeps an alert quiet for its own sake: another alert, or a silence.
    pub(super) fn suppression(
        &self,
        rules: &[InhibitRule],
        alert: &Alert,
        at: Timestamp,
    ) -> Option<Suppression> {
        let inhibited =
            self.inhibitor.inhibited_by(rules, &alert.labels).map(Suppression::Inhibited);
        inhibited.or_else(|| self.silenced(alert, at))
    }

    /// The silence that keeps an alert quiet.
    pub(super) fn silenced(&self, alert: &Alert, at: Timestamp) -> Option<Suppression> {
        let silence = self.silences.silencing(&alert.labels, at);
        silence.map(|silence| Suppression::Silenced(silence.id.clone()))
    }

    /// When a silence ends.
    pub(super) fn silence_ends(&self, id: &str) -> Option<Timestamp> {
        self.silences.get(id).map(|silence| silence.ends_at)
    }

    /// Keeps an alert while it fires.
    pub(super) fn put_alert(&mut self, alert: Alert) {
        let due = Due::Alert(alert.fingerprint.clone());
        if let Some(old) = self.alerts.remove(&alert.fingerprint) {
            less(&mut self.firing_by_rule, old.rule.as_str());
        }
        let ends_at = alert.ends_at.filter(|_| alert.is_firing());
        self.timers.set(due, ends_at);
        if alert.is_firing() {
            *self.firing_by_rule.entry(alert.rule.clone()).or_default() += 1;
            self.alerts.insert(alert.fingerprint.clone(), alert);
        }
    }

    /// Begins a series. It is a row only once it is touched.
    pub(super) fn begin_series(&mut self, key: SeriesKey, series: Series) {
        let rule = Arc::clone(&key.0);
        if self.series.insert(key, series).is_none() {
            *self.series_by_rule.entry(rule).or_default() += 1;
        }
    }

    /// Forgets a series that was begun and not touched.
    pub(super) fn drop_series(&mut self, key: &SeriesKey) {
        if self.series.remove(key).is_some() {
            less(&mut self.series_by_rule, &key.0);
        }
    }

    /// A series was changed where it is.
    pub(super) fn touch_series(&mut self, key: &SeriesKey) {
        self.touched.insert(Touched::Series(key.clone()));
    }

    /// Keeps a series, or forgets it; its deadline is set by who knows its rule.
    pub(super) fn put_series(&mut self, key: SeriesKey, series: Option<Series>) {
        self.touch_series(&key);
        if let Some(series) = series {
            self.begin_series(key, series);
        } else {
            self.drop_series(&key);
            self.timers.set(Due::Series(key), None);
        }
    }

    /// Takes a group out to be changed; it is to be put again.
    pub(super) fn take_group(&mut self, key: &str) -> Option<Group> {
        self.groups.remove(key)
    }

    /// Puts a group again that was taken and did not change.
    pub(super) fn put_group_back(&mut self, group: Group) {
        self.groups.insert(group.key.clone(), group);
    }

    /// Keeps a group that was changed; its deadline is set by who knows its route. Members that changed are touched apart.
    pub(super) fn put_group(&mut self, group: Group) {
        self.touched.insert(Touched::Group(group.key.clone()));
        self.groups.insert(group.key.clone(), group);
    }

    /// A member of a group was changed, added or removed.
    pub(super) fn touch_member(&mut self, key: &str, fingerprint: &Fingerprint) {
        self.touched.insert(Touched::Member(key.to_owned(), fingerprint.clone()));
    }

    /// Forgets a group that is over, with its entries of the notification log.
    pub(super) fn forget_group(&mut self, group: &Group) {
        self.timers.set(Due::Group(group.key.clone()), None);
        self.touched.insert(Touched::Group(group.key.clone()));
        for fingerprint in group.members.keys() {
            self.touch_member(&group.key, fingerprint);
        }
        self.log.remove(&group.key);
        self.open.remove(&group.key);
        self.groups.remove(&group.key);
    }

    /// Adds to what was spent.
    pub(super) fn spend(&mut self, account: &str, product: &str, currency: &str, charge: Decimal) {
        if let Some(row) = self.spent.apply(account, product, currency, charge) {
            self.touched.insert(Touched::Spend(row.key()));
            self.totals.spent.insert(row.key(), row);
        }
    }

    /// A series of the user's metrics has changed.
    pub(super) fn metered(&mut self, row: MeterRow) {
        self.touched.insert(Touched::Metric(row.key()));
        self.totals.metered.insert(row.key(), row);
    }

    /// A series of the user's metrics is gone.
    pub(super) fn unmetered(&mut self, row: &MeterRow) {
        self.touched.insert(Touched::Metric(row.key()));
        self.totals.metered.remove(&row.key());
    }

    /// The series of one rule.
    pub(super) fn series_of(&self, rule: &Arc<str>) -> impl Iterator<Item = (&SeriesKey, &Series)> {
        let first = (Arc::clone(rule), Fingerprint::from(String::new()));
        let rule = Arc::clone(rule);
        self.series.range(first..).take_while(move |(key, _)| key.0 == rule)
    }

    /// Notes up to when the engine was ready.
    pub(super) fn set_ready(&mut self, until: Option<Timestamp>) {
        if self.ready_until != until {
            self.ready_until = until;
            self.touched.insert(Touched::Ready);
        }
    }
}

fn compiled(silences: Silences) -> ActiveSilences {
    ActiveSilences::new(silences.version, silences.silences)
}
