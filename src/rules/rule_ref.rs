//! A rule as the engine sees it: what it says about time, and what it makes of the series of its alerts.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::rule::{Rule, RuleKind, Watch};
use super::{
    Added, CallContext, Expression, Failure, FailureReason, Hold, Inputs, Labels, Level,
    Observation, PackedLabels, RuleSet, Series, Shape, Terms, Traced, Turn, judge, trace,
};
use crate::event::Event;

/// Value of the labels in which series beyond the limit come together.
const OVERFLOW: &str = "__overflow__";

/// A rule of a set, as far as the engine must know it.
#[derive(Debug, Clone, Copy)]
pub struct RuleRef<'r> {
    pub(super) set: &'r RuleSet,
    pub(super) rule: &'r Rule,
}

impl<'r> RuleRef<'r> {
    /// `group/alert`.
    pub fn name(&self) -> &'r Arc<str> {
        &self.rule.name
    }

    /// Hash of what the data of its series depends on: `on`, `when`, `by`, `value`, `over`, the kind. Not of `fire`, `for` or
    /// annotations: when only those change, windows are kept.
    pub fn digest(&self) -> &'r Arc<str> {
        &self.rule.digest
    }

    fn watch(&self) -> Option<&'r Watch> {
        match &self.rule.judged {
            RuleKind::Series(watch) => Some(watch),
            RuleKind::Event { .. } => None,
        }
    }

    /// What it says about time; `None` for event rules.
    pub fn shape(&self) -> Option<&'r Shape> {
        self.watch().map(|watch| &watch.shape)
    }

    /// Its `for` and `keep_firing_for`; none for event rules.
    pub fn hold(&self) -> Hold {
        self.watch().map_or_else(Hold::default, |watch| watch.hold)
    }

    /// Live series at most.
    pub fn max_series(&self) -> usize {
        self.rule.max_series
    }

    /// Names of time intervals outside of which time does not count (absence rules).
    pub fn active_time_intervals(&self) -> &'r [String] {
        self.watch().map_or(&[], |watch| &watch.active_time_intervals)
    }

    /// The annotations of an alert of an event rule under other labels than the event's own; see [`RuleRef::overflow`].
    pub fn annotate_event(
        &self,
        event: &Event,
        snapshot: &Json,
        labels: &Labels,
    ) -> (Labels, Vec<String>) {
        self.set.annotations_of(self.rule, event, || snapshot, labels)
    }

    /// These labels with every `by` label `__overflow__`.
    pub fn overflow(&self, labels: &Labels) -> Labels {
        let mut labels = labels.clone();
        labels.extend(self.rule.by.iter().map(|(name, _)| (name.clone(), OVERFLOW.to_owned())));
        labels
    }

    /// Whether the rule, as it is now, can make an alert with these labels: the same label names, the same fixed values.
    pub fn makes(&self, labels: &Labels) -> bool {
        let Some(account) = labels.get("account") else { return false };
        let mut made = self.fixed_labels(account);
        // Of these the rule says only that they are there.
        let currency = self.rule.by_currency.then_some("currency");
        for name in self.rule.by.iter().map(|(name, _)| name.as_str()).chain(currency) {
            let value = labels.get(name).cloned().unwrap_or_default();
            made.insert(name.to_owned(), value);
        }
        made == *labels
    }

    /// Labels of the series of an absence rule for an account.
    pub fn absence_labels(&self, account: &str) -> Labels {
        self.fixed_labels(account)
    }

    /// The labels that do not depend on the event, but for its account.
    fn fixed_labels(&self, account: &str) -> Labels {
        let mut labels = self.set.accounts.get(account).cloned().unwrap_or_default();
        labels.extend(self.rule.labels.iter().cloned());
        labels.insert("alertname".to_owned(), self.rule.alert.clone());
        labels.insert("account".to_owned(), account.to_owned());
        labels
    }

    /// Takes an observation; see [`Series::observe`]. What `fire` or `clear` failed with is told beside.
    pub fn observe(
        &self,
        series: &mut Series,
        observation: &Observation,
        now: Timestamp,
    ) -> (Added, Turn, Vec<Failure>) {
        let Some(watch) = self.watch() else { return (Added::Late, Turn::Quiet, Vec::new()) };
        let line = Line::new(watch, &series.labels);
        let (added, turn) = series.observe(&watch.shape, watch.hold, &line, observation, now);
        (added, turn, line.failures.into_inner())
    }

    /// Judges because time has passed; see [`Series::tick`].
    pub fn tick(&self, series: &mut Series, active: bool, now: Timestamp) -> (Turn, Vec<Failure>) {
        let Some(watch) = self.watch() else { return (Turn::Quiet, Vec::new()) };
        let line = Line::new(watch, &series.labels);
        let turn = series.tick(&watch.shape, watch.hold, &line, active, now);
        (turn, line.failures.into_inner())
    }

    /// Whether `fire` and `clear` hold, and what they failed with.
    #[cfg(test)]
    pub(super) fn ask(&self, labels: &Labels, level: &Level) -> (bool, bool, Vec<Failure>) {
        let line = Line::new(self.watch().expect("a rule that judges values"), &labels.into());
        (line.fires(level), line.clears(level), line.failures.into_inner())
    }

    /// When [`RuleRef::tick`] is next to be called for a series.
    pub fn deadline(&self, series: &Series) -> Option<Timestamp> {
        self.watch().and_then(|watch| series.deadline(&watch.shape, watch.hold))
    }

    /// The annotations of the alert of a series as it stands, and the names of those that could not be rendered. Templates
    /// see `labels`, `value`, `count` and `event` (the snapshot; all fields there and null before the first event).
    pub fn annotate(&self, series: &Series) -> (Labels, Vec<String>) {
        let Series { event, labels, value, count, .. } = series;
        let templates = &self.rule.annotations;
        if templates.is_empty() {
            return (Labels::new(), Vec::new());
        }
        let context = self.set.annotations.series_context(event, labels.unpack(), *value, *count);
        self.set.annotations.render_all(templates, &context)
    }

    /// How the rule came to what it says of an event: each of its expressions over events, with its parts. For an
    /// operator who asks; holds values of the event's payload.
    pub fn trace(&self, event: &Event, call: Option<&CallContext>) -> Vec<Traced> {
        trace::trace(self.rule, Inputs::Event { event, call })
    }

    /// How the rule looks at a series as it was last judged: `fire` and `clear`, with their parts.
    pub fn trace_line(&self, series: &Series) -> Vec<Traced> {
        let level = Level { value: series.value, count: series.count };
        trace::trace_line(
            self.rule,
            Inputs::Line { level: &level, labels: &series.labels.unpack() },
        )
    }
}

/// `fire` and `clear` of a rule over the labels of one series.
struct Line<'l> {
    watch: &'l Watch,
    labels: Cow<'static, Labels>,
    /// What they failed with, each once.
    failures: RefCell<Vec<Failure>>,
}

impl<'l> Line<'l> {
    fn new(watch: &'l Watch, labels: &PackedLabels) -> Self {
        static NONE: Labels = Labels::new();
        let looks = |term: &Option<Expression>| term.as_ref().is_some_and(|t| t.uses().labels);
        let labels = if looks(&watch.fire) || looks(&watch.clear) {
            Cow::Owned(labels.unpack())
        } else {
            Cow::Borrowed(&NONE)
        };
        Self { watch, labels, failures: RefCell::default() }
    }

    /// Whether a term holds; `None` when it failed, or has no value to look at.
    fn holds(&self, term: &Expression, level: &Level, key: &str) -> Option<bool> {
        let failure = match term.holds(Inputs::Line { level, labels: &self.labels }) {
            Ok(holds) => return Some(holds),
            Err(failure) => judge::named(key, failure),
        };
        let mut failures = self.failures.borrow_mut();
        if !has_no_value(level, &failure) && !failures.contains(&failure) {
            failures.push(failure);
        }
        None
    }
}

/// The least of nothing is not known: that is no mistake of the rule's.
fn has_no_value(level: &Level, failure: &Failure) -> bool {
    level.value.is_none() && failure.reason == FailureReason::MissingField
}

impl Terms for Line<'_> {
    fn fires(&self, level: &Level) -> bool {
        let fire = self.watch.fire.as_ref();
        fire.and_then(|fire| self.holds(fire, level, "fire")).unwrap_or(false)
    }

    /// A term that looks for a value where there is none holds: nothing is left that could be wrong. One that fails for
    /// another reason does not: an alert never ends by a mistake in its rule.
    fn clears(&self, level: &Level) -> bool {
        let nothing = level.value.is_none();
        match (&self.watch.clear, &self.watch.fire) {
            (Some(clear), _) => self.holds(clear, level, "clear").unwrap_or(nothing),
            (None, Some(fire)) => !self.holds(fire, level, "fire").unwrap_or(!nothing),
            (None, None) => false,
        }
    }
}
