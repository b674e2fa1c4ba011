//! The pure core: `(state, policy, events, now) -> changes`; the state moves along.
//!
//! Knows no clock, no store, no network. Production, `tollbell test`, `explain` and `replay` run this function.
//! Each event is judged at its `received_at`, timers that fall between two events run between them; so the
//! result does not depend on when, or in how many batches, the events are judged.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::Kept;
use crate::alerts::{
    self, Alert, AlertState, Fingerprint, Message, MessageAlert, Reason, Route, Status, Transition,
};
use crate::clock;
use crate::event::{Event, Source};
use crate::metrics::Metrics;
use crate::notify::Receiver;
use crate::rules::{Finding, RuleSet, Verdict};
use crate::store::{Changes, Judgement, NewDelivery, StoredEvent, delivery_id};

/// Longest `detail` of a judgement, in characters.
const DETAIL_CHARS_MAX: usize = 500;

/// What is judged by: the part of the configuration that decides.
#[derive(Debug)]
pub struct Policy {
    /// The rules.
    pub rules: RuleSet,
    /// The routing tree.
    pub route: Route,
    /// The receivers, by name.
    pub receivers: BTreeMap<String, Receiver>,
    /// Where links in messages point; empty for none.
    pub external_url: String,
}

/// What the engine remembers between batches: the firing alerts and how far it has read.
#[derive(Debug, Clone, Default)]
pub struct State {
    cursor: i64,
    alerts: BTreeMap<Fingerprint, Alert>,
    deadlines: BTreeSet<(Timestamp, Fingerprint)>,
}

impl State {
    /// The state as it was kept.
    pub fn resume(cursor: i64, alerts: Vec<Alert>) -> Self {
        let mut state = Self { cursor, ..Self::default() };
        for alert in alerts {
            state.put(alert);
        }
        state
    }

    /// The last event that was judged.
    pub fn cursor(&self) -> i64 {
        self.cursor
    }

    /// When the next timer is due.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The firing alerts.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    fn put(&mut self, alert: Alert) {
        if let Some(old) = self.alerts.remove(&alert.fingerprint) {
            self.deadlines.remove(&(old.ends_at, old.fingerprint));
        }
        if alert.state == AlertState::Firing {
            self.deadlines.insert((alert.ends_at, alert.fingerprint.clone()));
            self.alerts.insert(alert.fingerprint.clone(), alert);
        }
    }
}

/// The changes of a batch, and what to count once they are committed.
#[derive(Debug, Default)]
pub struct Judged {
    /// What to commit.
    pub changes: Changes,
    /// Rule and outcome of every evaluation.
    tally: BTreeMap<(String, &'static str), u64>,
    /// Annotations that could not render.
    template_errors: usize,
}

impl Judged {
    /// Counts what was committed.
    pub fn report(&self, metrics: &Metrics) {
        for ((rule, outcome), count) in &self.tally {
            metrics.rules_evaluated(rule, outcome, *count);
        }
        for _ in 0..self.template_errors {
            metrics.template_error("annotation");
        }
    }
}

/// Judges `events` in order; the state moves along.
///
/// With `timers`, also what falls due up to `now`: only when no event waits behind these, for it could have come
/// before the timer. When the changes are not committed, the state is void and must be read back from the store.
pub fn step(
    state: &mut State,
    policy: &Policy,
    events: &[&StoredEvent],
    now: Timestamp,
    timers: bool,
) -> Judged {
    let mut batch = Batch { policy, now, state, judged: Judged::default() };
    for stored in events {
        let at = stored.event.received_at.min(now);
        batch.run_timers(at);
        batch.judge(stored, at);
        batch.state.cursor = stored.seq;
    }
    if timers {
        batch.run_timers(now);
    }
    batch.judged.changes.cursor = batch.state.cursor;
    batch.judged
}

/// An event's place in the inbox.
pub(super) fn seq_of(one: &Kept) -> i64 {
    one.as_ref().map_or_else(|unreadable| unreadable.seq, |stored| stored.seq)
}

/// An event's account.
pub(super) fn account_of(one: &Kept) -> &str {
    one.as_ref().map_or_else(|unreadable| &*unreadable.account, |stored| &*stored.event.account)
}

/// The changes that mark an event as one that cannot be judged, and tell so.
pub(super) fn fault(one: &Kept, detail: &str, now: Timestamp) -> Judged {
    let seq = seq_of(one);
    let event = one.as_ref().ok().map(|stored| &stored.event);
    // A fault of the telling itself is not told, or it would never end.
    let tell = event.is_none_or(|event| event.source != Source::Tollbell);
    let events = tell.then(|| {
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
struct Batch<'a> {
    policy: &'a Policy,
    now: Timestamp,
    state: &'a mut State,
    judged: Judged,
}

impl Batch<'_> {
    fn run_timers(&mut self, until: Timestamp) {
        while let Some((at, fingerprint)) = self.state.deadlines.first().cloned() {
            if at > until {
                return;
            }
            let Some((alert, transition)) =
                self.state.alerts.get(&fingerprint).and_then(|alert| alerts::expire(alert, at))
            else {
                self.state.deadlines.remove(&(at, fingerprint));
                continue;
            };
            self.change(alert, transition, &format!("timer {at}"));
        }
    }

    fn judge(&mut self, stored: &StoredEvent, at: Timestamp) {
        for Verdict { rule, finding } in self.policy.rules.judge(&stored.event) {
            let (outcome, fingerprint, detail) = match finding {
                Finding::NoMatch => ("no_match", None, String::new()),
                Finding::Failed(failure) => (failure.reason.as_str(), None, failure.detail),
                Finding::Fire(firing) => {
                    self.judged.template_errors += firing.template_errors.len();
                    let current = self.state.alerts.get(&Fingerprint::of(&firing.labels));
                    let snapshot = stored.event.snapshot();
                    let (alert, transition) = alerts::fire(current, &rule, &firing, snapshot, at);
                    let outcome =
                        if transition == Transition::Extended { "extended" } else { "fired" };
                    let detail = describe(&alert);
                    (outcome, Some(self.change(alert, transition, &stored.seq.to_string())), detail)
                }
                Finding::Resolve { labels } => {
                    let current = self.state.alerts.get(&Fingerprint::of(&labels));
                    match current.and_then(|c| alerts::resolve(c, stored.event.snapshot(), at)) {
                        None => ("no_match", None, String::new()),
                        Some((alert, transition)) => {
                            let detail = describe(&alert);
                            let seq = stored.seq.to_string();
                            ("resolved", Some(self.change(alert, transition, &seq)), detail)
                        }
                    }
                }
            };
            self.record(stored.seq, &rule, outcome, fingerprint, &detail);
        }
    }

    fn record(
        &mut self,
        seq: i64,
        rule: &str,
        outcome: &'static str,
        fingerprint: Option<Fingerprint>,
        detail: &str,
    ) {
        *self.judged.tally.entry((rule.to_owned(), outcome)).or_default() += 1;
        if outcome == "no_match" {
            return;
        }
        self.judged.changes.judgements.push(Judgement {
            seq,
            rule: rule.to_owned(),
            outcome: outcome.to_owned(),
            fingerprint: fingerprint.map(|fingerprint| fingerprint.to_string()),
            detail: clip(detail),
        });
    }

    /// Takes a changed alert over and tells whom it concerns. `cause` makes the deliveries' ids unique.
    fn change(&mut self, alert: Alert, transition: Transition, cause: &str) -> Fingerprint {
        let fingerprint = alert.fingerprint.clone();
        let told = match transition {
            Transition::Fired | Transition::FiredAndEnded => Some(Reason::First),
            Transition::Resolved => Some(Reason::AllResolved),
            Transition::Expired if alert.notify_expired => Some(Reason::AllResolved),
            Transition::Expired | Transition::Extended => None,
        };
        if let Some(reason) = told {
            self.tell(&alert, reason, cause);
        }
        self.state.put(alert.clone());
        self.judged.changes.alerts.retain(|earlier| earlier.fingerprint != fingerprint);
        self.judged.changes.alerts.push(alert);
        fingerprint
    }

    fn tell(&mut self, alert: &Alert, reason: Reason, cause: &str) {
        for route in self.policy.route.take(&alert.labels) {
            let Some(receiver) = self.policy.receivers.get(&route.receiver) else { continue };
            let group_key = format!("{}/{}", route.id, alert.fingerprint);
            let message = message(self.policy, receiver, group_key, alert, reason, self.now);
            for integration in &receiver.integrations {
                // Who wants no ends still hears of what began and ended before it could be told.
                if reason == Reason::AllResolved && !integration.send_resolved {
                    continue;
                }
                for target in integration.channel.targets() {
                    self.judged.changes.deliveries.push(NewDelivery {
                        id: delivery_id(&[
                            cause,
                            &message.group_key,
                            &integration.id,
                            &target,
                            reason.as_str(),
                        ]),
                        integration: integration.id.clone(),
                        receiver: receiver.name.clone(),
                        target,
                        group_key: message.group_key.clone(),
                        created_at: self.now,
                        fallback_at: receiver
                            .fallback
                            .as_ref()
                            .map(|_| clock::add(self.now, receiver.fallback_after)),
                        fallback_of: None,
                        message: message.clone(),
                    });
                }
            }
        }
    }
}

/// The message about one alert.
fn message(
    policy: &Policy,
    receiver: &Receiver,
    group_key: String,
    alert: &Alert,
    reason: Reason,
    now: Timestamp,
) -> Message {
    let status = if alert.state == AlertState::Firing { Status::Firing } else { Status::Resolved };
    Message {
        receiver: receiver.name.clone(),
        status,
        reason,
        group_key,
        group_labels: alert.labels.clone(),
        common_labels: alert.labels.clone(),
        common_annotations: alert.annotations.clone(),
        alerts: vec![MessageAlert {
            fingerprint: alert.fingerprint.clone(),
            status,
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            starts_at: alert.starts_at,
            ends_at: alert.ends_at,
            event: alert.event.clone(),
        }],
        truncated_alerts: 0,
        external_url: policy.external_url.clone(),
        created_at: now,
        fallback_for: None,
    }
}

fn describe(alert: &Alert) -> String {
    let labels: Vec<String> =
        alert.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}} until {}", labels.join(", "), alert.ends_at)
}

fn clip(text: &str) -> String {
    text.chars().take(DETAIL_CHARS_MAX).collect()
}
