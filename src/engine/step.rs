//! The pure core: `(state, policy, events, now) -> changes`; the state moves along.
//!
//! Knows no clock, no store, no network. Production, `tollbell test`, `explain` and `replay` run this function.
//! Each event is judged at its `received_at`, timers that fall between two events run between them; so the
//! result does not depend on when, or in how many batches, the events are judged.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::json;

use super::policy::Policy;
use super::report::Report;
use super::state::State;
use super::timers::Due;
use crate::alerts::{self, Alert, Fingerprint, Transition};
use crate::clock;
use crate::event::{self, Event, Snapshot, Source};
use crate::rules::{self, CallContext, Finding, Verdict};
use crate::store::{Changes, StoredEvent, Unreadable};

/// Longest `detail` of a judgement or a line of the journal, in characters.
const DETAIL_CHARS_MAX: usize = 500;
/// Rows that a batch causes at most, plus those of one event: what is caused must fit into memory, and into a commit that
/// keeps nobody waiting.
const BATCH_ROWS_MAX: usize = 2_000;
/// How far a timer moves when what it woke asks for the same time again, or an earlier one.
const TIMER_STEP_MIN: Duration = Duration::from_secs(1);

/// The changes of a batch, and what to say once they are committed.
#[derive(Debug, Default)]
pub struct Judged {
    /// What to commit.
    pub changes: Changes,
    /// What to count and log.
    pub report: Report,
}

/// Judges `events` in order; without any, runs the timers that are due. The state moves along.
///
/// A batch that causes more rows than it may ends early: the events behind [`State::cursor`], and the timers that are due, wait for the next one.
///
/// Timers that fall between two events run between them, at their own time. Those behind the last event wait for a call
/// without events: one that is still to be read may have come before them. When the changes are not committed, the
/// state is void and must be read back from the store.
pub fn step(state: &mut State, policy: &Policy, events: &[&StoredEvent], now: Timestamp) -> Judged {
    step_through(state, policy, events.iter().map(|stored| Cow::Borrowed(*stored)), now)
}

/// As [`step`], for events that nobody needs afterwards: what is learned of one is noted in it, not in a copy.
pub(super) fn step_owned(
    state: &mut State,
    policy: &Policy,
    events: Vec<StoredEvent>,
    now: Timestamp,
) -> Judged {
    step_through(state, policy, events.into_iter().map(Cow::Owned), now)
}

fn step_through<'e>(
    state: &mut State,
    policy: &Policy,
    events: impl ExactSizeIterator<Item = Cow<'e, StoredEvent>>,
    now: Timestamp,
) -> Judged {
    let is_time_alone = events.len() == 0;
    let mut batch = Batch::new(state, policy, now);
    batch.apply_config();
    batch.note_ended_deliveries();
    for stored in events {
        let at = stored.event.received_at.min(now);
        batch.run_timers(at);
        // What is left of the timers comes first in the next batch, and this event after it.
        if batch.has_caused_enough() {
            break;
        }
        batch.state.cursor = stored.seq;
        batch.judge(stored, at);
        // What this event made due at once goes out with it.
        batch.run_timers(at);
    }
    if is_time_alone {
        batch.run_timers(now);
    }
    batch.finish()
}

/// An event's place in the inbox.
pub(super) fn seq_of(one: &Kept) -> i64 {
    one.as_ref().map_or_else(|unreadable| unreadable.seq, |stored| stored.seq)
}

/// An event's account.
pub(super) fn account_of(one: &Kept) -> &str {
    one.as_ref().map_or_else(|unreadable| &*unreadable.account, |stored| &*stored.event.account)
}

/// The changes that mark an event as one that cannot be judged, and raise an event that says so.
pub(super) fn fault(one: &Kept, detail: &str, now: Timestamp) -> Judged {
    let seq = seq_of(one);
    let event = one.as_ref().ok().map(|stored| &stored.event);
    // A fault of such an event itself raises none, or it would never end.
    let raises = event.is_none_or(|event| event.source != Source::Tollbell);
    let events = raises.then(|| {
        let id = format!("tollbell.event_faulted:{seq}");
        let payload = json!({"seq": seq, "reason": detail});
        Event::tollbell("tollbell.event_faulted", account_of(one), id, now, payload)
    });
    let changes = Changes {
        cursor: seq,
        faulted: vec![(seq, clip(detail))],
        events: events.into_iter().collect(),
        ..Changes::default()
    };
    Judged { changes, ..Judged::default() }
}

/// A batch being judged: `state` runs ahead of what is committed.
pub(super) struct Batch<'a> {
    pub(super) policy: &'a Policy,
    pub(super) now: Timestamp,
    pub(super) state: &'a mut State,
    /// Alerts that changed, as they are now.
    changed: BTreeMap<Fingerprint, Alert>,
    pub(super) judged: Judged,
}

/// What an event says of money and of its call.
pub(super) struct Booked {
    /// [`Event::charge`].
    pub(super) charge: Option<Decimal>,
    /// What is known of its call.
    pub(super) call: Option<CallContext>,
}

/// The event at hand.
pub(super) struct At<'e> {
    pub(super) seq: i64,
    pub(super) event: &'e Event,
    pub(super) time: Timestamp,
    snapshot: OnceCell<Snapshot>,
}

impl At<'_> {
    /// What is kept of it for templates.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.snapshot.get_or_init(|| self.event.into()).clone()
    }
}

impl<'a> Batch<'a> {
    pub(super) fn new(state: &'a mut State, policy: &'a Policy, now: Timestamp) -> Self {
        Self { policy, now, state, changed: BTreeMap::new(), judged: Judged::default() }
    }
}

impl Batch<'_> {
    /// Applies a configuration that may be new to what is kept.
    pub(super) fn apply_config(&mut self) {
        let is_other = self.state.note_in_force(&self.policy.config_hash);
        if self.state.applied == self.policy.config_hash && !self.policy.config_hash.is_empty() {
            return;
        }
        self.state.index_inhibition(&self.policy.routing.inhibit_rules);
        self.apply_to_alerts();
        self.apply_to_series();
        self.apply_routes(is_other);
        self.apply_to_metrics();
        self.state.applied.clone_from(&self.policy.config_hash);
    }

    /// Runs what is due by `until`, in the order of the deadlines.
    pub(super) fn run_timers(&mut self, until: Timestamp) {
        while !self.has_caused_enough()
            && let Some((at, due)) = self.state.timers.pop(until)
        {
            match due {
                Due::Alert(fingerprint) => {
                    let alert = self.state.alerts.get(&fingerprint);
                    if let Some((alert, transition)) =
                        alert.and_then(|alert| alerts::expire(alert, at))
                    {
                        self.change(alert, transition, None, at);
                    }
                }
                Due::Series(key) => self.tick(&key, at),
                Due::Ready => self.ready(at),
                Due::Group(key) => self.look_at(&key, at),
            }
        }
    }

    /// Whether the batch has caused as many rows as it may. One event may cause more by itself.
    fn has_caused_enough(&self) -> bool {
        let Changes { deliveries, causes, journal, events, .. } = &self.judged.changes;
        let rows =
            deliveries.len() + causes.len() + journal.len() + events.len() + self.changed.len();
        rows >= BATCH_ROWS_MAX
    }

    /// Sets when something is due next, never for the very time at which it was just looked at.
    pub(super) fn due_after(&mut self, due: Due, deadline: Option<Timestamp>, at: Timestamp) {
        let later =
            |deadline| if deadline > at { deadline } else { clock::add(at, TIMER_STEP_MIN) };
        self.state.timers.set(due, deadline.map(later));
    }

    fn judge(&mut self, mut stored: Cow<'_, StoredEvent>, at: Timestamp) {
        let Booked { charge, call } = self.book(&stored);
        if let Some(charge) = charge {
            stored.to_mut().event.charge = Some(charge);
        }
        let event = &stored.event;
        self.raise_unread_amount(event, at);
        let at = At { seq: stored.seq, event, time: at, snapshot: OnceCell::new() };
        let policy = self.policy;
        let verdicts = policy.rules.judge(event, call.as_ref(), Some(&self.state.pasts));
        if policy.rules.remembers() {
            self.remember(&at, call.as_ref());
        }
        for Verdict { rule, finding } in verdicts {
            match finding {
                Finding::NoMatch => self.judged.report.count(&rule, "no_match"),
                Finding::Failed(failure) => {
                    self.record(&at, &rule, failure.reason.as_str(), None, &failure.detail);
                }
                Finding::Fire(firing) => self.fire(&at, &rule, firing),
                Finding::Resolve { labels, any_currency, sent_at } => {
                    self.resolve(&at, &rule, &labels, any_currency, sent_at);
                }
                Finding::Observe(observation) => self.observe(&at, &rule, observation),
            }
        }
        self.measure(&at, call.as_ref());
        if at.event.kind == "tollbell.clock_step" && at.event.source == Source::Tollbell {
            self.state.look_at_everything(at.time);
        }
    }

    /// Notes the values of the event that rules ask of whether they are new.
    fn remember(&mut self, at: &At<'_>, call: Option<&CallContext>) {
        for (of, fires, _) in self.policy.rules.naming(&at.event.kind) {
            if fires && of.remembers() {
                self.state.pasts.see(of, at.event, call);
            }
        }
    }

    /// Enters what the event says of money and of its call.
    pub(super) fn book(&mut self, stored: &StoredEvent) -> Booked {
        let event = &stored.event;
        let mut charge = None;
        let keys = rules::call_keys(event);
        let known = keys.iter().filter_map(|key| self.state.calls.get(key));
        let mut call = known.cloned().reduce(|one, other| one.merge(&other));
        let nothing = CallContext::default();
        if let Some(key) = keys.into_iter().next()
            && let Some(joined) = call.as_ref().unwrap_or(&nothing).join(event)
        {
            self.state.calls.insert(key.clone(), joined.clone());
            self.complete(&key, &joined);
            self.judged.changes.calls.push((key, joined.clone(), event.received_at));
            call = Some(joined);
        }
        if let Some(key) = rules::ledger_key(event) {
            let (current, known) = (self.state.ledger.get(&key), call.as_ref().unwrap_or(&nothing));
            let booked = rules::Entry::book(current, &key, event, known);
            if let Some(rules::Booked { entry, charge: change }) = booked {
                let currency = event.currency.as_deref().unwrap_or("unknown");
                self.state.spend(&event.account, &entry.product, currency, change);
                self.judged.changes.ledger.push(entry.clone());
                self.state.ledger.insert(key, entry);
                if !rules::is_reconciled(event) {
                    self.judged.changes.charges.push((stored.seq, change));
                    charge = Some(change);
                }
            }
        }
        Booked { charge, call }
    }

    /// Says that an event reports a cost that cannot be kept: of each account as rarely as [`Batch::raise_once`] does.
    fn raise_unread_amount(&mut self, event: &Event, at: Timestamp) {
        if event.cost.is_some() || !event::has_unread_amount(&event.kind, &event.payload) {
            return;
        }
        *self.judged.report.unread_amounts.entry(event.account.clone()).or_default() += 1;
        let payload = json!({"kind": event.kind, "event": event.id});
        self.raise_once("tollbell.amount_unread", "", &event.account, payload, at);
    }

    /// A call's charge that was booked before its numbers were known gets them now.
    fn complete(&mut self, key: &rules::CallKey, call: &CallContext) {
        let key =
            rules::LedgerKey { account: key.account.clone(), key: format!("call:{}", key.leg) };
        let completed = self.state.ledger.get(&key).and_then(|entry| entry.complete(call));
        if let Some(entry) = completed {
            self.judged.changes.ledger.push(entry.clone());
            self.state.ledger.insert(key, entry);
        }
    }

    /// Takes a changed alert over, and notes it in the groups that it concerns.
    pub(super) fn change(
        &mut self,
        alert: Alert,
        transition: Transition,
        cause: Option<&At<'_>>,
        at: Timestamp,
    ) {
        let seq = cause.map(|at| at.seq);
        let is_old = cause.is_some_and(|at| self.state.is_old(at.event));
        if transition != Transition::Extended {
            self.note(&alert, transition, cause, at);
        }
        match transition {
            // It happened before the database that was restored ended: who was to hear of it has.
            Transition::Fired | Transition::FiredAndEnded if is_old => {
                self.state.keep_unnotified(&alert.fingerprint);
            }
            Transition::Extended => {
                if !is_old && self.state.notify_again(&alert.fingerprint) {
                    self.note_in_groups(&alert, seq, false, at);
                }
            }
            _ => {
                let unnotified = self.state.notify_again(&alert.fingerprint);
                self.note_in_groups(&alert, seq, !alert.is_firing() && (unnotified || is_old), at);
            }
        }
        let rules = &self.policy.routing.inhibit_rules;
        let is_source = match transition {
            Transition::Extended => false,
            _ if alert.is_firing() => self.state.inhibitor.add(rules, &alert),
            _ => self.state.inhibitor.remove(rules, &alert),
        };
        self.state.put_alert(alert.clone());
        if !alert.is_firing() {
            for key in self.state.elsewhere.remove(&alert.fingerprint).unwrap_or_default() {
                self.state.look_soon(&key, at);
            }
        }
        if is_source && alert.is_firing() {
            self.source_began(at);
        } else if is_source {
            self.source_ended(&alert.fingerprint, at);
        }
        self.changed.insert(alert.fingerprint.clone(), alert);
    }

    fn finish(self) -> Judged {
        let mut judged = self.judged;
        judged.changes.cursor = self.state.cursor;
        judged.changes.alerts = self.changed.into_values().collect();
        (judged.changes.rows, judged.report.totals) = self.state.changed_rows();
        judged
    }
}

pub(super) fn clip(text: &str) -> String {
    text.chars().take(DETAIL_CHARS_MAX).collect()
}

/// An event of the inbox, or why it cannot be read back.
pub(super) type Kept = Result<StoredEvent, Unreadable>;
