//! Gauge, window and absence rules: the series at work.

use std::sync::Arc;

use jiff::Timestamp;

use super::step::{At, Batch};
use super::timers::Due;
use super::timers::SeriesKey;
use crate::alerts::{self, Alert, AlertState, Fingerprint, Transition};
use crate::clock;
use crate::rules::{Added, Failure, Labels, Observation, Phase, RuleRef, Series, Shape, Turn};

/// How often the engine notes that it was ready, while an absence rule needs to know.
const READY_PERIOD: std::time::Duration = std::time::Duration::from_secs(10);
/// A longer gap between two such notes is time in which tollbell was not ready.
const READY_GAP_MAX: std::time::Duration = std::time::Duration::from_secs(20);

impl Batch<'_> {
    /// An event for a series.
    pub(super) fn observe(&mut self, at: &At<'_>, rule: &Arc<str>, mut observation: Observation) {
        let Some(of) = self.policy.rules.rule(rule) else { return };
        let Some(shape) = of.shape() else { return };
        let mut key = (Arc::clone(of.name()), Fingerprint::of(&observation.labels));
        let is_over = !self.state.series.contains_key(&key) && self.is_full(of, shape, at.time);
        if is_over {
            observation.labels = of.overflow(&observation.labels);
            key.1 = Fingerprint::of(&observation.labels);
        }
        let kept = self.state.take_series(&key);
        let is_new = kept.is_none();
        let mut series = kept.unwrap_or_else(|| {
            Series::new(rule, of.digest(), (&observation.labels).into(), shape, at.time)
        });
        let (added, turn, failures) = of.observe(&mut series, &observation, at.time);
        self.count_failures(rule, &failures);
        if added == Added::Late {
            self.judged.report.count(rule, "late");
            if !is_new {
                self.state.put_series_back(key, series);
            }
            return;
        }
        if is_over {
            self.overflow(at, rule, of.max_series(), !is_new, &key.1);
        }
        series.event = at.snapshot();
        series.seq = at.seq;
        let outcome = match turn {
            Turn::Fired { .. } => "fired",
            Turn::Cleared => "resolved",
            Turn::NoData => "no_data",
            Turn::Quiet | Turn::Refreshed => "observed",
        };
        if outcome == "observed" {
            self.judged.report.count(rule, outcome);
        } else {
            let value = series
                .value
                .map_or_else(|| "no value".to_owned(), |value| format!("value {value}"));
            self.record(at, rule, outcome, Some(&key.1), &value);
        }
        self.turn(of, &key, series, turn, Some(at), at.time);
    }

    /// Time has passed for a series.
    pub(super) fn tick(&mut self, key: &SeriesKey, at: Timestamp) {
        let Some(of) = self.policy.rules.rule(&key.0) else { return };
        let Some(mut series) = self.state.take_series(key) else { return };
        let active = self.policy.routing.is_active(of.active_time_intervals(), at);
        let (turn, failures) = of.tick(&mut series, active, at);
        self.count_failures(&key.0, &failures);
        self.turn(of, key, series, turn, None, at);
    }

    /// Keeps a series that was judged, and does to its alert what the judgement says.
    #[expect(clippy::too_many_arguments, reason = "what was judged, how, why and when")]
    fn turn(
        &mut self,
        of: RuleRef<'_>,
        key: &SeriesKey,
        series: Series,
        turn: Turn,
        cause: Option<&At<'_>>,
        at: Timestamp,
    ) {
        match turn {
            Turn::Quiet => {}
            Turn::Fired { .. } | Turn::Refreshed => {
                let since = if let Turn::Fired { since } = turn { since } else { at };
                let (annotations, template_errors) = of.annotate(&series);
                self.judged.report.template_errors += template_errors.len();
                let current = self.state.alerts.get(&key.1);
                let (alert, transition) = alerts::raise(current, &series, annotations, since, at);
                self.change(alert, transition, cause, at);
            }
            Turn::Cleared | Turn::NoData => {
                let state =
                    if turn == Turn::NoData { AlertState::NoData } else { AlertState::Resolved };
                let ended =
                    self.state.alerts.get(&key.1).and_then(|alert| alerts::end(alert, state, at));
                if let Some((mut alert, transition)) = ended {
                    alert.value = series.value;
                    if state == AlertState::Resolved {
                        tell_what_is_now(of, &series, &mut alert);
                    }
                    self.change(alert, transition, cause, at);
                }
            }
        }
        let live = of.shape().is_some_and(|shape| series.is_live(shape, at));
        let deadline = of.deadline(&series).filter(|_| live);
        self.state.put_series(key.clone(), live.then_some(series));
        self.due_after(Due::Series(key.clone()), deadline, at);
    }

    /// Whether the rule has no room for another series, once those that are no longer live are gone.
    fn is_full(&mut self, of: RuleRef<'_>, shape: &Shape, at: Timestamp) -> bool {
        let count = |batch: &Self| batch.state.series_by_rule.get(of.name()).copied().unwrap_or(0);
        if count(self) < of.max_series() {
            return false;
        }
        let dead: Vec<SeriesKey> = self
            .state
            .series_of(of.name())
            .filter(|(_, series)| !series.is_live(shape, at))
            .map(|(key, _)| key.clone())
            .collect();
        for key in dead {
            self.state.put_series(key, None);
        }
        count(self) >= of.max_series()
    }

    fn count_failures(&mut self, rule: &Arc<str>, failures: &[Failure]) {
        for failure in failures {
            self.judged.report.count(rule, failure.reason.as_str());
        }
    }

    /// Notes that the engine was ready until now.
    pub(super) fn ready(&mut self, at: Timestamp) {
        self.state.set_ready(Some(at));
        self.state.timers.set(Due::Ready, Some(clock::add(at, READY_PERIOD)));
    }

    /// Fits what is kept to rules that may be new: series of removed rules go, those whose data means something else now
    /// begin anew, and each absence rule has its series.
    pub(super) fn apply_to_series(&mut self) {
        let now = self.now;
        for key in self.state.series.keys().cloned().collect::<Vec<_>>() {
            let Some(mut series) = self.state.series.get(&key).cloned() else { continue };
            let rule = self
                .policy
                .rules
                .rule(&key.0)
                .filter(|of| self.serves(*of, &series.labels.unpack()));
            let Some((of, shape)) = rule.and_then(|of| Some((of, of.shape()?))) else {
                self.state.put_series(key, None);
                continue;
            };
            if series.digest == *of.digest() {
                self.state.timers.set(Due::Series(key), of.deadline(&series));
            } else {
                let phase = series.phase;
                series =
                    Series { phase, ..Series::new(&key.0, of.digest(), series.labels, shape, now) };
                self.state.put_series(key.clone(), Some(series));
                let soon = (phase != Phase::Inactive).then_some(now);
                self.state.timers.set(Due::Series(key), soon);
            }
        }
        self.fit_absences();
    }

    fn fit_absences(&mut self) {
        let now = self.now;
        let policy = self.policy;
        let mut any = false;
        let gap = self.state.ready_until.is_some_and(|until| {
            now.duration_since(until).unsigned_abs() > READY_GAP_MAX && now > until
        });
        for of in policy.rules.iter() {
            let Some(shape @ Shape::Absence { .. }) = of.shape() else { continue };
            any = true;
            for account in policy.rules.accounts() {
                let labels = of.absence_labels(account);
                let key = (Arc::clone(of.name()), Fingerprint::of(&labels));
                let series = match self.state.series.get(&key).cloned() {
                    Some(mut series) if gap => {
                        series.skip(now);
                        series
                    }
                    Some(_) => continue,
                    None => Series::new(of.name(), of.digest(), (&labels).into(), shape, now),
                };
                let deadline = of.deadline(&series);
                self.state.put_series(key.clone(), Some(series));
                self.state.timers.set(Due::Series(key), deadline);
            }
        }
        if !any {
            self.state.set_ready(None);
            self.state.timers.set(Due::Ready, None);
        } else if gap || self.state.ready_until.is_none() {
            self.ready(now);
        } else if let Some(until) = self.state.ready_until {
            self.state.timers.set(Due::Ready, Some(clock::add(until, READY_PERIOD)));
        }
    }

    /// Whether a rule, as it is now, still makes series and alerts with these labels. Of an account that is gone no event
    /// will come, which is no absence.
    fn serves(&self, of: RuleRef<'_>, labels: &Labels) -> bool {
        let is_absence = matches!(of.shape(), Some(Shape::Absence { .. }));
        let account = labels.get("account").map_or("", String::as_str);
        of.makes(labels) && (!is_absence || self.policy.rules.accounts().any(|one| one == account))
    }

    /// Ends alerts whose rule is gone or makes other labels now, without a notice.
    pub(super) fn apply_to_alerts(&mut self) {
        let gone: Vec<_> = self
            .state
            .alerts
            .values()
            .filter(|alert| {
                let rule = self.policy.rules.rule(&alert.rule);
                // An alert without an end needs a rule that judges: one event is never the end of it.
                let may_end = |of: RuleRef<'_>| alert.ends_at.is_some() || of.shape().is_some();
                !rule.is_some_and(|of| self.serves(of, &alert.labels) && may_end(of))
            })
            .filter_map(|alert| alerts::end(alert, AlertState::RuleRemoved, self.now))
            .collect();
        for (alert, transition) in gone {
            debug_assert_eq!(transition, Transition::RuleRemoved);
            self.change(alert, transition, None, self.now);
        }
    }
}

/// An all-clear tells what is now. Texts that need a value there is none of stay as they were.
fn tell_what_is_now(of: RuleRef<'_>, series: &Series, alert: &mut Alert) {
    let (annotations, template_errors) = of.annotate(series);
    if template_errors.is_empty() {
        alert.annotations = annotations;
        alert.event.clone_from(&series.event);
    }
}
