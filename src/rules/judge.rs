//! The judgement of one event by all rules that name its kind.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::annotations::{Annotations, context_of};
use super::index::{Hit, Index};
use super::inputs::{Memory, Seen};
use super::labels::{LabelSets, Parts};
use super::metric::Metrics;
use super::rule::{Rule, RuleKind, Valued, Watch};
use super::{
    CallContext, Expression, Failure, Finding, Firing, Inputs, LabelSet, Labels, Measurement,
    Metric, Observation, Observed, RuleRef, Shape, Verdict,
};
use crate::clock;
use crate::event::{Event, Source};

/// How far the sender's clock may be ahead of ours before we no longer believe its time.
const AHEAD_MAX: Duration = Duration::from_mins(5);

/// All rules, ready to judge. Made by [`RuleSet::compile`]; empty by default.
#[derive(Debug, Default)]
pub struct RuleSet {
    pub(super) rules: Vec<Rule>,
    /// Whether one of them asks what was seen before.
    pub(super) remembers: bool,
    /// Places in `rules` by name.
    pub(super) by_name: HashMap<Arc<str>, usize>,
    pub(super) index: Index,
    pub(super) metrics: Metrics,
    pub(super) annotations: Annotations,
    pub(super) sets: LabelSets,
    /// Labels by account.
    pub(super) accounts: HashMap<String, Labels>,
}

impl RuleSet {
    /// What each rule that names the event's kind says, in the order of the rules.
    ///
    /// A rule that names the kind in `on` and in `resolve_on` says the first of these that holds: it fires; it
    /// resolves; it failed; no match. So one event never starts and ends an alert at once.
    ///
    /// `call` is what is known of the event's call leg, `memory` what was seen before; without it nothing is new.
    pub fn judge(
        &self,
        event: &Event,
        call: Option<&CallContext>,
        memory: Option<&dyn Memory>,
    ) -> Vec<Verdict> {
        let judgement = EventJudgement::new(self, event, call, memory);
        let hits = self.index.hits(&event.kind);
        hits.iter()
            .filter_map(|hit| {
                let rule = self.rules.get(hit.rule)?;
                let finding = judgement.finding(rule, *hit).unwrap_or_else(Finding::Failed);
                Some(Verdict { rule: Arc::clone(&rule.name), finding })
            })
            .collect()
    }

    /// The rules that name a kind, in order, and where: in `on`, in `resolve_on`. Of these [`RuleSet::judge`] tells.
    pub fn naming(&self, kind: &str) -> Vec<(RuleRef<'_>, bool, bool)> {
        let hits = self.index.hits(kind);
        hits.iter()
            .filter_map(|hit| {
                let rule = self.rules.get(hit.rule)?;
                Some((RuleRef { set: self, rule }, hit.fires, hit.resolves))
            })
            .collect()
    }

    /// See [`RuleRef::observation`].
    pub(super) fn observation(
        &self,
        rule: &Rule,
        watch: &Watch,
        event: &Event,
        call: Option<&CallContext>,
    ) -> Option<Observation> {
        let judgement = EventJudgement::new(self, event, call, None);
        match judgement.observe(rule, watch) {
            Ok(Finding::Observe(observation)) => Some(observation),
            _ => None,
        }
    }

    /// What the user's own metrics say of an event, in the order of the configuration.
    pub fn measure(&self, event: &Event, call: Option<&CallContext>) -> Vec<Measurement> {
        self.metrics.measure(event, call)
    }

    /// The user's own metric of this name.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.all.iter().find(|metric| *metric.name == *name)
    }

    /// The user's own metrics, in the order of the configuration.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.metrics.all.iter()
    }

    /// The rule of this name, `group/alert`.
    pub fn rule(&self, name: &str) -> Option<RuleRef<'_>> {
        let rule = self.rules.get(*self.by_name.get(name)?)?;
        Some(RuleRef { set: self, rule })
    }

    /// All rules in order.
    pub fn iter(&self) -> impl Iterator<Item = RuleRef<'_>> {
        self.rules.iter().map(|rule| RuleRef { set: self, rule })
    }

    /// The annotations of an event rule's alert, and the names of those that could not be rendered.
    pub(super) fn annotations_of<'s>(
        &self,
        rule: &Rule,
        event: &Event,
        snapshot: impl FnOnce() -> &'s Json,
        labels: &Labels,
    ) -> (Labels, Vec<String>) {
        if rule.annotations.is_empty() {
            return (Labels::new(), Vec::new());
        }
        let context = context_of(snapshot(), &event.payload, labels);
        self.annotations.render_all(&rule.annotations, &context)
    }

    /// Whether a rule asks what was seen before.
    pub fn remembers(&self) -> bool {
        self.remembers
    }

    /// Names of the accounts.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        self.accounts.keys().map(String::as_str)
    }

    /// `group/alert` of each rule.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.name.as_ref())
    }

    /// The names of alerts that the rules can fire, each once, sorted.
    pub fn alert_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.alert.as_str()).collect::<BTreeSet<_>>().into_iter()
    }

    /// Number of rules.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// One event and what is known of it.
struct EventJudgement<'j> {
    set: &'j RuleSet,
    event: &'j Event,
    call: Option<&'j CallContext>,
    memory: Option<&'j dyn Memory>,
    inputs: Inputs<'j>,
    /// Made for the first rule that fires.
    snapshot: OnceCell<Json>,
}

impl<'j> EventJudgement<'j> {
    fn new(
        set: &'j RuleSet,
        event: &'j Event,
        call: Option<&'j CallContext>,
        memory: Option<&'j dyn Memory>,
    ) -> Self {
        let inputs = Inputs::Event { event, call, seen: None };
        Self { set, event, call, memory, inputs, snapshot: OnceCell::new() }
    }

    /// Whether the rule's `when` holds.
    fn when(&self, rule: &Rule) -> Result<bool, Failure> {
        let seen = self.memory.filter(|_| rule.remembers);
        let seen = seen.map(|memory| Seen { memory, rule: &rule.name });
        let inputs = match seen {
            Some(_) => Inputs::Event { event: self.event, call: self.call, seen },
            None => self.inputs,
        };
        holds(rule.when.as_ref(), inputs, "when")
    }

    fn finding(&self, rule: &Rule, hit: Hit) -> Result<Finding, Failure> {
        let (active_for, notify_expired, resolve_when) = match &rule.judged {
            RuleKind::Series(watch) => return self.observe(rule, watch),
            RuleKind::Event { active_for, notify_expired, resolve_when } => {
                (*active_for, *notify_expired, resolve_when.as_ref())
            }
        };
        let fires = hit.fires.then(|| self.when(rule));
        if let Some(Ok(true)) = fires {
            return self.fire(rule, active_for, notify_expired).map(Finding::Fire);
        }
        let resolves = hit.resolves.then(|| holds(resolve_when, self.inputs, "resolve_on.when"));
        if let Some(Ok(true)) = resolves {
            let mut labels = Labels::clone(&*self.labels(rule)?);
            let any_currency = rule.by_currency && self.event.currency.is_none();
            if any_currency {
                labels.remove("currency");
            }
            let sent_at = sent_at(self.event);
            return Ok(Finding::Resolve { labels, any_currency, sent_at });
        }
        fires.into_iter().chain(resolves).find_map(Result::err).map_or(Ok(Finding::NoMatch), Err)
    }

    /// What a gauge, window or absence rule takes from the event.
    fn observe(&self, rule: &Rule, watch: &Watch) -> Result<Finding, Failure> {
        if !self.when(rule)? {
            return Ok(Finding::NoMatch);
        }
        let value = match &watch.value {
            Valued::Event => Ok(Some(Observed::Event)),
            Valued::Number(value) => value.number(self.inputs).map(|n| n.map(Observed::Number)),
            Valued::Text(value) => value.text(self.inputs).map(|text| text.map(Observed::Text)),
        };
        let Some(value) = value.map_err(|failure| named("value", failure))? else {
            return Ok(Finding::NoMatch);
        };
        let came = matches!(watch.shape, Shape::Absence { .. }) && !self.is_backfilled();
        let at = if came { self.event.received_at } else { happened_at(self.event) };
        Ok(Finding::Observe(Observation { labels: self.labels(rule)?, at, value }))
    }

    fn fire(
        &self,
        rule: &Rule,
        active_for: Duration,
        notify_expired: bool,
    ) -> Result<Firing, Failure> {
        let labels = Labels::clone(&*self.labels(rule)?);
        let snapshot = || self.snapshot.get_or_init(|| self.event.snapshot());
        let (annotations, template_errors) =
            self.set.annotations_of(rule, self.event, snapshot, &labels);
        Ok(Firing {
            labels,
            annotations,
            active_for,
            notify_expired,
            template_errors,
            at: happened_at(self.event),
            sent_at: sent_at(self.event),
            backfilled: self.is_backfilled(),
        })
    }

    fn is_backfilled(&self) -> bool {
        self.event.source == Source::Backfill
    }

    /// The account's labels, then `by`, then the rule's own; what comes later wins over the account's.
    fn labels(&self, rule: &Rule) -> Result<LabelSet, Failure> {
        let account = &self.event.account;
        let currency =
            rule.by_currency.then(|| self.event.currency.as_deref().unwrap_or("unknown"));
        let by = by_values(&rule.by, self.inputs)?;
        let mut parts = Parts::new();
        for part in [&*rule.name, account, currency.unwrap_or_default()] {
            parts.push(part);
        }
        for value in &by {
            parts.push(value);
        }
        Ok(self.set.sets.get(&parts, || {
            let mut labels = self.set.accounts.get(account).cloned().unwrap_or_default();
            labels.extend(rule.by.iter().map(|(name, _)| name.clone()).zip(by));
            labels.extend(rule.labels.iter().cloned());
            if let Some(currency) = currency {
                labels.insert("currency".to_owned(), currency.to_owned());
            }
            labels.insert("alertname".to_owned(), rule.alert.clone());
            labels.insert("account".to_owned(), account.clone());
            labels
        }))
    }
}

/// Whether a condition holds; always, where there is none.
pub(super) fn holds(
    condition: Option<&Expression>,
    inputs: Inputs<'_>,
    key: &str,
) -> Result<bool, Failure> {
    let Some(condition) = condition else {
        return Ok(true);
    };
    condition.holds(inputs).map_err(|failure| named(key, failure))
}

/// The values of the `by` labels, in their order; what is missing is empty.
pub(super) fn by_values(
    by: &[(String, Expression)],
    inputs: Inputs<'_>,
) -> Result<Vec<String>, Failure> {
    by.iter()
        .map(|(name, expression)| match expression.label(inputs) {
            Ok(value) => Ok(value.unwrap_or_default()),
            Err(failure) => Err(named(&format!("by.{name}"), failure)),
        })
        .collect()
}

/// When an event happened: the sender's word, unless it is absent or well ahead of our clock.
pub(super) fn happened_at(event: &Event) -> Timestamp {
    sent_at(event).unwrap_or(event.received_at)
}

/// When an event happened by the sender's word, where that is believed.
fn sent_at(event: &Event) -> Option<Timestamp> {
    let latest = clock::add(event.received_at, AHEAD_MAX);
    event.occurred_at.filter(|at| *at <= latest)
}

pub(super) fn named(key: &str, mut failure: Failure) -> Failure {
    failure.detail = format!("{key} at {}", failure.detail);
    failure
}
