//! The pure core: `(state, policy, events, now) -> changes`; the state moves along.
//!
//! Knows no clock, no store, no network. Production, `tollbell test`, `explain` and `replay` run this function.
//! Each event is judged at its `received_at`, timers that fall between two events run between them; so the
//! result does not depend on when, or in how many batches, the events are judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::Kept;
use crate::alerts::{
    self, Alert, AlertState, Fingerprint, InhibitRule, Message, MessageAlert, Reason, Route,
    Status, TimeInterval, Transition,
};
use crate::clock;
use crate::event::{Event, Source};
use crate::notify::Receiver;
use crate::rules::{Finding, Labels, RuleSet, Verdict};
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
    /// Which alerts keep which quiet.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Time intervals, by name.
    pub time_intervals: BTreeMap<String, TimeInterval>,
    /// Where links in messages point; empty for none.
    pub external_url: String,
    /// Hash of the configuration, kept with each judgement.
    pub config_hash: String,
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

    /// The firing alert with these labels, ended; with `any_currency`, those of every `currency`.
    fn ended_by(
        &self,
        labels: &Labels,
        any_currency: bool,
        event: &Event,
        at: Timestamp,
    ) -> Vec<(Alert, Transition)> {
        let but_currency = |alert: &&Alert| {
            alert.labels.iter().filter(|(name, _)| *name != "currency").eq(labels.iter())
        };
        let found: Vec<&Alert> = if any_currency {
            self.alerts.values().filter(but_currency).collect()
        } else {
            self.alerts.get(&Fingerprint::of(labels)).into_iter().collect()
        };
        found.into_iter().filter_map(|alert| alerts::resolve(alert, event.snapshot(), at)).collect()
    }

    fn put(&mut self, alert: Alert) {
        if let Some(old) = self.alerts.remove(&alert.fingerprint) {
            if let Some(at) = old.ends_at {
                self.deadlines.remove(&(at, old.fingerprint));
            }
        }
        if alert.state == AlertState::Firing {
            if let Some(at) = alert.ends_at {
                self.deadlines.insert((at, alert.fingerprint.clone()));
            }
            self.alerts.insert(alert.fingerprint.clone(), alert);
        }
    }
}

/// The changes of a batch, and what to say once they are committed.
#[derive(Debug, Default)]
pub struct Judged {
    /// What to commit.
    pub changes: Changes,
    /// What to count and log.
    pub report: Report,
}

/// What is counted and logged of a batch that was committed.
#[derive(Debug, Default)]
pub struct Report {
    /// Rule and outcome of every evaluation.
    pub(super) tally: BTreeMap<(Arc<str>, &'static str), u64>,
    /// Alerts that an event fired or resolved.
    pub(super) changed: Vec<Changed>,
    /// Annotations that could not render.
    pub(super) template_errors: usize,
}

/// One alert that an event fired or resolved. Its labels may hold what a payload says, and stay out of the log.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) account: String,
    pub(super) kind: String,
    pub(super) event: String,
    pub(super) rule: Arc<str>,
    pub(super) outcome: &'static str,
}

/// Judges `events` in order; without any, runs the timers that are due. The state moves along.
///
/// Timers that fall between two events run between them, at their own time. Those behind the last event wait for a call
/// without events: one that is still to be read may have come before them. When the changes are not committed, the
/// state is void and must be read back from the store.
pub fn step(state: &mut State, policy: &Policy, events: &[&StoredEvent], now: Timestamp) -> Judged {
    let mut batch = Batch { policy, now, state, judged: Judged::default() };
    for stored in events {
        let at = stored.event.received_at.min(now);
        batch.run_timers(at);
        batch.judge(stored, at);
        batch.state.cursor = stored.seq;
    }
    if events.is_empty() {
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
        // Not the place in the inbox: another database may hold another event there.
        let cause = format!("{} {}", stored.event.id, stored.event.received_at);
        for Verdict { rule, finding } in self.policy.rules.judge(&stored.event, None) {
            match finding {
                Finding::Observe(_) => {}
                Finding::NoMatch => self.record(stored, &rule, "no_match", None, ""),
                Finding::Failed(failure) => {
                    self.record(stored, &rule, failure.reason.as_str(), None, &failure.detail);
                }
                Finding::Fire(firing) => {
                    self.judged.report.template_errors += firing.template_errors.len();
                    let current = self.state.alerts.get(&Fingerprint::of(&firing.labels));
                    let snapshot = stored.event.snapshot();
                    let (alert, transition) = alerts::fire(current, &rule, &firing, snapshot, at);
                    let outcome =
                        if transition == Transition::Extended { "extended" } else { "fired" };
                    self.record(
                        stored,
                        &rule,
                        outcome,
                        Some(&alert.fingerprint),
                        &describe(&alert),
                    );
                    self.change(alert, transition, &cause);
                }
                Finding::Resolve { labels, any_currency } => {
                    let ended = self.state.ended_by(&labels, any_currency, &stored.event, at);
                    if ended.is_empty() {
                        self.record(stored, &rule, "no_match", None, "");
                    }
                    for (alert, transition) in ended {
                        let told = describe(&alert);
                        self.record(stored, &rule, "resolved", Some(&alert.fingerprint), &told);
                        self.change(alert, transition, &cause);
                    }
                }
            }
        }
    }

    fn record(
        &mut self,
        stored: &StoredEvent,
        rule: &Arc<str>,
        outcome: &'static str,
        fingerprint: Option<&Fingerprint>,
        detail: &str,
    ) {
        let report = &mut self.judged.report;
        *report.tally.entry((Arc::clone(rule), outcome)).or_default() += 1;
        if outcome == "no_match" {
            return;
        }
        if ["fired", "resolved"].contains(&outcome) {
            report.changed.push(Changed {
                account: stored.event.account.clone(),
                kind: stored.event.kind.clone(),
                event: stored.event.id.clone(),
                rule: Arc::clone(rule),
                outcome,
            });
        }
        self.judged.changes.judgements.push(Judgement {
            seq: stored.seq,
            rule: rule.to_string(),
            outcome: outcome.to_owned(),
            fingerprint: fingerprint.map(ToString::to_string),
            detail: clip(detail),
            config: self.policy.config_hash.clone(),
        });
    }

    /// Takes a changed alert over and tells whom it concerns. `cause` makes the deliveries' ids unique.
    fn change(&mut self, alert: Alert, transition: Transition, cause: &str) {
        let fingerprint = alert.fingerprint.clone();
        let told = match transition {
            Transition::Fired | Transition::FiredAndEnded => Some(Reason::First),
            Transition::Resolved | Transition::NoData => Some(Reason::AllResolved),
            Transition::Expired if alert.notify_expired => Some(Reason::AllResolved),
            Transition::Expired | Transition::Extended | Transition::RuleRemoved => None,
        };
        if let Some(reason) = told {
            self.tell(&alert, reason, cause);
        }
        self.state.put(alert.clone());
        self.judged.changes.alerts.retain(|earlier| earlier.fingerprint != fingerprint);
        self.judged.changes.alerts.push(alert);
    }

    fn tell(&mut self, alert: &Alert, reason: Reason, cause: &str) {
        for route in self.policy.route.take(&alert.labels) {
            let Some(receiver) = self.policy.receivers.get(&route.receiver) else { continue };
            let group_key = format!("{}/{}", route.id, alert.fingerprint);
            let message = message(self.policy, receiver, group_key, alert, reason, self.now);
            for integration in receiver.integrations.iter().filter(|one| one.tells(&message)) {
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
                        caused_by: Vec::new(),
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
            expired: alert.state == AlertState::Expired,
            no_data: alert.state == AlertState::NoData,
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
    let until = alert.ends_at.map_or_else(String::new, |at| format!(" until {at}"));
    format!("{{{}}}{until}", labels.join(", "))
}

fn clip(text: &str) -> String {
    text.chars().take(DETAIL_CHARS_MAX).collect()
}
