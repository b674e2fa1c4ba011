//! A rule as the engine sees it: what it says about time, and what it makes of the series of its alerts.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::annotations::Judged;
use super::inputs::{Memory, Seen};
use super::news;
use super::rule::{Rule, RuleKind, Watch};
use super::usual::{self, Past, Usual};
use super::{
    Added, CallContext, Expression, Failure, FailureReason, Hold, Inputs, Labels, Level,
    Observation, PackedLabels, Phase, RuleSet, Series, Shape, Terms, Traced, Turn, judge, trace,
};
use crate::diagnostic::Position;
use crate::event::Event;

/// Value of the labels in which series beyond the limit come together.
const OVERFLOW: &str = "__overflow__";

/// The expressions of a rule, as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<'r> {
    /// Which events it looks at.
    pub when: Option<&'r str>,
    /// The labels that tell its alerts apart.
    pub by: Vec<(&'r str, &'r str)>,
    /// What it looks at of an event.
    pub value: Option<&'r str>,
    /// When its alert fires.
    pub fire: Option<&'r str>,
    /// When it ends; otherwise when `fire` holds no more.
    pub clear: Option<&'r str>,
}

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

    /// The word for what it is: `event`, `gauge`, `window` or `absence`.
    pub fn kind(&self) -> &'static str {
        match self.shape() {
            None => "event",
            Some(Shape::Gauge { .. }) => "gauge",
            Some(Shape::Window { .. }) => "window",
            Some(Shape::Absence { .. }) => "absence",
        }
    }

    /// Its `for` and `keep_firing_for`; none for event rules.
    pub fn hold(&self) -> Hold {
        self.watch().map_or_else(Hold::default, |watch| watch.hold)
    }

    /// How the hours of its series are kept, where `fire` or `clear` looks at what is usual.
    pub fn usual_terms(&self) -> Option<&'r usual::Terms> {
        self.watch().and_then(|watch| watch.usual.as_ref())
    }

    /// Its `fire` as written, and where it stands; `None` where there is none.
    pub fn fire(&self) -> Option<(&'r str, &'r Position)> {
        let fire = self.watch()?.fire.as_ref()?;
        Some((fire.source(), fire.origin()))
    }

    /// Whether its `when` asks what was seen before.
    pub fn remembers(&self) -> bool {
        self.rule.remembers
    }

    /// The values of an event that its `is_new` remember: by which of them, and as text. Whatever the rest of `when` says of
    /// the event: it was seen.
    pub fn news(&self, event: &Event, call: Option<&CallContext>) -> Vec<(usize, String)> {
        let inputs = Inputs::Event { event, call, seen: None };
        let when = self.rule.when.as_ref().filter(|_| self.rule.remembers);
        when.map_or_else(Vec::new, |when| news::values(when.root(), inputs))
    }

    /// Whether these data's histories mean the same: as [`RuleRef::digest`], with the time zone of the hours.
    pub fn usual_digest(&self) -> String {
        let zone = self.usual_terms().and_then(|terms| terms.zone.iana_name()).unwrap_or_default();
        format!("{} {zone}", self.rule.digest)
    }

    /// Live series at most.
    pub fn max_series(&self) -> usize {
        self.rule.max_series
    }

    /// Names of time intervals outside of which time does not count (absence rules).
    pub fn active_time_intervals(&self) -> &'r [String] {
        self.watch().map_or(&[], |watch| &watch.active_time_intervals)
    }

    /// Its expressions as they are written.
    pub fn written(&self) -> Written<'r> {
        let watch = self.watch();
        let source = |expression: &'r Expression| expression.source().trim();
        Written {
            when: self.rule.when.as_ref().map(source),
            by: self.rule.by.iter().map(|(name, by)| (name.as_str(), source(by))).collect(),
            value: self.rule.judged.value().map(source),
            fire: watch.and_then(|watch| watch.fire.as_ref()).map(source),
            clear: watch.and_then(|watch| watch.clear.as_ref()).map(source),
        }
    }

    /// Whether amounts of different currencies are different alerts of it.
    pub fn is_about_money(&self) -> bool {
        self.rule.by_currency
    }

    /// The labels that it gives its alerts, beside those of the account.
    pub fn labels(&self) -> &'r [(String, String)] {
        &self.rule.labels
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

    /// Takes an observation; see [`Series::observe`]. What `fire` or `clear` failed with is told beside. `past` is that of
    /// the series, where the rule has [`RuleRef::usual_terms`].
    pub fn observe(
        &self,
        series: &mut Series,
        past: Option<&mut Past<'_>>,
        observation: &Observation,
        now: Timestamp,
    ) -> (Added, Turn, Vec<Failure>) {
        let Some(watch) = self.watch() else { return (Added::Late, Turn::Quiet, Vec::new()) };
        let mut compared = Compared::new(watch, past);
        let mut line = Line::new(watch, &series.labels);
        line.usual = compared.ask(series, now);
        let (added, turn) = series.observe(&watch.shape, watch.hold, &line, observation, now);
        compared.observe(series, observation, now);
        compared.judged(series, added == Added::Counted, turn, line.usual, now);
        (added, turn, line.failures.into_inner())
    }

    /// Judges because time has passed; see [`Series::tick`].
    pub fn tick(
        &self,
        series: &mut Series,
        past: Option<&mut Past<'_>>,
        active: bool,
        now: Timestamp,
    ) -> (Turn, Vec<Failure>) {
        let Some(watch) = self.watch() else { return (Turn::Quiet, Vec::new()) };
        let mut compared = Compared::new(watch, past);
        let mut line = Line::new(watch, &series.labels);
        line.usual = compared.ask(series, now);
        let turn = series.tick(&watch.shape, watch.hold, &line, active, now);
        compared.judged(series, true, turn, line.usual, now);
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

    /// What was judged and what is usual, in words; `None` where nothing is known of that.
    pub fn compared(&self, series: &Series, at: Timestamp) -> Option<String> {
        let usual = series.usual.as_ref()?;
        let labels = series.labels.unpack();
        let currency = labels.get("currency").filter(|_| self.rule.by_currency);
        let terms = self.usual_terms()?;
        Some(usual::in_words(series.value, usual, currency.map(String::as_str), terms, at))
    }

    /// The annotations of the alert of a series as it stands, and the names of those that could not be rendered. Templates
    /// see `labels`, `value`, `count`, `usual`, `spread`, `weeks`, `factor`, `compared` and `event` (the snapshot; all
    /// fields there and null before the first event).
    pub fn annotate(&self, series: &Series, at: Timestamp) -> (Labels, Vec<String>) {
        let templates = &self.rule.annotations;
        if templates.is_empty() {
            return (Labels::new(), Vec::new());
        }
        let judged = Judged {
            value: series.value,
            count: series.count,
            usual: series.usual,
            compared: self.compared(series, at),
        };
        let labels = series.labels.unpack();
        let context = self.set.annotations.series_context(&series.event, labels, judged);
        self.set.annotations.render_all(templates, &context)
    }

    /// What a gauge, window or absence rule takes from an event of a kind that its `on` names; nothing where it does not
    /// match or cannot be evaluated.
    pub fn observation(&self, event: &Event, call: Option<&CallContext>) -> Option<Observation> {
        self.set.observation(self.rule, self.watch()?, event, call)
    }

    /// How the rule came to what it says of an event: each of its expressions over events, with its parts. For an
    /// operator who asks; holds values of the event's payload.
    pub fn trace(
        &self,
        event: &Event,
        call: Option<&CallContext>,
        memory: Option<&dyn Memory>,
    ) -> Vec<Traced> {
        let seen = memory.map(|memory| Seen { memory, rule: &self.rule.name });
        trace::trace(self.rule, Inputs::Event { event, call, seen })
    }

    /// How the rule looks at a series as it was last judged: `fire` and `clear`, with their parts.
    pub fn trace_line(&self, series: &Series) -> Vec<Traced> {
        let level = Level { value: series.value, count: series.count };
        trace::trace_line(
            self.rule,
            Inputs::Line { level: &level, labels: &series.labels.unpack(), usual: series.usual },
        )
    }
}

/// `fire` and `clear` of a rule over the labels of one series.
struct Line<'l> {
    watch: &'l Watch,
    labels: Cow<'static, Labels>,
    usual: Option<Usual>,
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
        Self { watch, labels, usual: None, failures: RefCell::default() }
    }

    /// Whether a term holds; `None` when it failed, or has no value to look at.
    fn holds(&self, term: &Expression, level: &Level, key: &str) -> Option<bool> {
        let inputs = Inputs::Line { level, labels: &self.labels, usual: self.usual };
        let failure = match term.holds(inputs) {
            Ok(holds) => return Some(holds),
            Err(failure) => judge::named(key, failure),
        };
        let mut failures = self.failures.borrow_mut();
        let lacks_usual = term.uses().usual && self.usual.is_none();
        let is_no_mistake =
            failure.reason == FailureReason::MissingField && (level.value.is_none() || lacks_usual);
        if !is_no_mistake && !failures.contains(&failure) {
            failures.push(failure);
        }
        None
    }
}

/// A series and its past, while it is judged; nothing where its rule does not look at what is usual.
struct Compared<'c, 'p> {
    terms: Option<&'c usual::Terms>,
    past: Option<&'c mut Past<'p>>,
}

impl<'c, 'p> Compared<'c, 'p> {
    fn new(watch: &'c Watch, past: Option<&'c mut Past<'p>>) -> Self {
        Self { terms: watch.usual.as_ref(), past }
    }

    fn ask(&mut self, series: &mut Series, now: Timestamp) -> Option<Usual> {
        let (Some(terms), Some(past)) = (self.terms, &mut self.past) else { return None };
        past.usual(terms, &mut series.hours, now)
    }

    fn observe(&mut self, series: &mut Series, observation: &Observation, now: Timestamp) {
        let (Some(terms), Some(past)) = (self.terms, &mut self.past) else { return };
        if let Some(number) = observation.value.number() {
            past.observe(terms, &mut series.hours, number, observation.at, now);
        }
    }

    fn judged(
        &mut self,
        series: &mut Series,
        counted: bool,
        turn: Turn,
        usual: Option<Usual>,
        now: Timestamp,
    ) {
        let (Some(terms), Some(_)) = (self.terms, &self.past) else { return };
        if counted {
            series.usual = usual;
        }
        let fires = matches!(series.phase, Phase::Firing | Phase::Keeping(_));
        let begins = matches!(turn, Turn::Fired { .. });
        series.hours.judge(terms, series.value, fires, begins, now);
    }
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
