//! Event rules at work: alerts that one event fires, extends or ends.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::record::describe;
use super::step::{At, Batch};
use crate::alerts::{self, Alert, Fingerprint, Transition};
use crate::event::{Event, Source};
use crate::rules::{Firing, Labels};

impl Batch<'_> {
    /// A match of an event rule. One that is older than what ended its alert begins nothing.
    pub(super) fn fire(&mut self, at: &At<'_>, rule: &Arc<str>, mut firing: Firing) {
        self.judged.report.template_errors += firing.template_errors.len();
        let fingerprint = Fingerprint::of(&firing.labels);
        if self.state.ended_after(&fingerprint, firing.sent_at) {
            let why = "it happened before the event that ended its alert";
            self.record(at, rule, "late", Some(&fingerprint), why);
            return;
        }
        let known = self.state.alerts.contains_key(&fingerprint);
        if !known && let Some(of) = self.policy.rules.rule(rule) {
            let firing_now = self.state.firing_by_rule.get(&**rule).copied().unwrap_or(0);
            if firing_now >= of.max_series() {
                firing.labels = of.overflow(&firing.labels);
                (firing.annotations, _) =
                    of.annotate_event(at.event, &at.event.snapshot(), &firing.labels);
                self.overflow(at, rule, firing_now, false, &Fingerprint::of(&firing.labels));
            }
        }
        let current = self.state.alerts.get(&Fingerprint::of(&firing.labels));
        let (alert, transition) = alerts::fire(current, rule, &firing, at.snapshot(), at.time);
        let outcome = if transition == Transition::Extended { "extended" } else { "fired" };
        self.record(at, rule, outcome, Some(&alert.fingerprint), &describe(&alert));
        self.change(alert, transition, Some(at), at.time);
    }

    /// Counts an event that goes to its rule's overflow series, and raises an event when that begins: when there was neither a
    /// series nor an alert of it before.
    pub(super) fn overflow(
        &mut self,
        at: &At<'_>,
        rule: &Arc<str>,
        live: usize,
        had_series: bool,
        overflow: &Fingerprint,
    ) {
        self.judged.report.overflow(rule);
        let begun = had_series || self.state.alerts.contains_key(overflow);
        // What the limit's own rule does is not notified, or it would never end.
        if !begun && at.event.source != Source::Tollbell {
            let id = format!("tollbell.series_limit:{rule}:{}", at.event.id);
            let payload = json!({"rule": &**rule, "count": live});
            let event =
                Event::tollbell("tollbell.series_limit", &at.event.account, id, at.time, payload);
            self.judged.changes.events.push(event);
        }
    }

    /// A match of `resolve_on`.
    pub(super) fn resolve(
        &mut self,
        at: &At<'_>,
        rule: &Arc<str>,
        labels: &Labels,
        any_currency: bool,
        sent_at: Option<Timestamp>,
    ) {
        let but_currency = |alert: &&Alert| {
            alert.labels.iter().filter(|(name, _)| *name != "currency").eq(labels.iter())
        };
        let found: Vec<&Alert> = if any_currency {
            self.state.alerts.values().filter(but_currency).collect()
        } else {
            self.state.alerts.get(&Fingerprint::of(labels)).into_iter().collect()
        };
        let none = if found.is_empty() { "no_match" } else { "late" };
        let ended: Vec<(Alert, Transition)> = found
            .into_iter()
            .filter_map(|alert| alerts::resolve(alert, at.snapshot(), sent_at, at.time))
            .collect();
        if ended.is_empty() {
            self.judged.report.count(rule, none);
        }
        for (alert, transition) in ended {
            self.record(at, rule, "resolved", Some(&alert.fingerprint), &describe(&alert));
            self.state.note_end(&alert.fingerprint, sent_at);
            self.change(alert, transition, Some(at), at.time);
        }
    }
}
