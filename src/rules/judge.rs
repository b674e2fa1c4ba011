//! The judgement of one event by all rules that name its kind.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::annotations::{Annotations, context_of};
use super::compile::Rule;
use super::index::{Hit, Index};
use super::{
    Added, CallContext, Expression, Failure, Finding, Firing, Hold, Inputs, Labels, Measurement,
    Observation, Series, Turn, Verdict, series::Shape,
};
use crate::clock;
use crate::event::Event;

/// How far the sender's clock may be ahead of ours before we no longer believe its time.
const AHEAD_MAX: std::time::Duration = std::time::Duration::from_mins(5);

/// All rules, ready to judge. Made by [`RuleSet::compile`]; empty by default.
#[derive(Debug, Default)]
pub struct RuleSet {
    pub(super) rules: Vec<Rule>,
    pub(super) index: Index,
    pub(super) annotations: Annotations,
    /// Labels by account.
    pub(super) accounts: HashMap<String, Labels>,
}

impl RuleSet {
    /// What each rule that names the event's kind says, in the order of the rules.
    ///
    /// A rule that names the kind in `on` and in `resolve_on` says the first of these that holds: it fires; it
    /// resolves; it failed; no match. So one event never starts and ends an alert at once.
    ///
    /// `call` is what is known of the event's call leg.
    pub fn judge(&self, event: &Event, call: Option<&CallContext>) -> Vec<Verdict> {
        let _ = call;
        let judgement = Judgement { set: self, event, snapshot: OnceCell::new() };
        let hits = self.index.hits(&event.kind);
        hits.iter()
            .filter_map(|hit| {
                let rule = self.rules.get(hit.rule)?;
                let finding = judgement.finding(rule, *hit).unwrap_or_else(Finding::Failed);
                Some(Verdict { rule: Arc::clone(&rule.name), finding })
            })
            .collect()
    }

    /// What the user's own metrics say of an event, in the order of the configuration.
    pub fn measure(&self, event: &Event, call: Option<&CallContext>) -> Vec<Measurement> {
        let _ = (event, call);
        Vec::new()
    }

    /// The rule of this name, `group/alert`.
    pub fn rule(&self, name: &str) -> Option<RuleRef<'_>> {
        let rule = self.rules.iter().find(|rule| *rule.name == *name)?;
        Some(RuleRef { set: self, rule })
    }

    /// All rules in order.
    pub fn iter(&self) -> impl Iterator<Item = RuleRef<'_>> {
        self.rules.iter().map(|rule| RuleRef { set: self, rule })
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

/// A rule of a set, as far as the engine must know it.
#[derive(Debug, Clone, Copy)]
pub struct RuleRef<'r> {
    set: &'r RuleSet,
    rule: &'r Rule,
}

impl<'r> RuleRef<'r> {
    /// `group/alert`.
    pub fn name(&self) -> &'r Arc<str> {
        &self.rule.name
    }

    /// Hash of what the data of its series depends on: `on`, `when`, `by`, `value`, `over`, the kind. Not of `fire`, `for` or
    /// annotations: when only those change, windows are kept.
    pub fn digest(&self) -> &'r str {
        unimplemented!()
    }

    /// What it says about time; `None` for event rules.
    pub fn shape(&self) -> Option<&'r Shape> {
        unimplemented!()
    }

    /// Its `for` and `keep_firing_for`; none for event rules.
    pub fn hold(&self) -> Hold {
        unimplemented!()
    }

    /// Live series at most.
    pub fn max_series(&self) -> usize {
        unimplemented!()
    }

    /// Names of time intervals outside of which time does not count (absence rules).
    pub fn active_time_intervals(&self) -> &'r [String] {
        unimplemented!()
    }

    /// These labels with every `by` label `__overflow__`.
    pub fn overflow(&self, labels: &Labels) -> Labels {
        let _ = labels;
        unimplemented!()
    }

    /// Whether the rule, as it is now, can make an alert with these labels: the same label names, the same fixed values.
    pub fn makes(&self, labels: &Labels) -> bool {
        let _ = labels;
        unimplemented!()
    }

    /// Labels of the series of an absence rule for an account.
    pub fn absence_labels(&self, account: &str) -> Labels {
        let _ = account;
        unimplemented!()
    }

    /// Takes an observation; see [`Series::observe`]. What `fire` or `clear` failed with is told beside.
    pub fn observe(
        &self,
        series: &mut Series,
        observation: &Observation,
        now: Timestamp,
    ) -> (Added, Turn, Vec<Failure>) {
        let _ = (series, observation, now);
        unimplemented!()
    }

    /// Judges because time has passed; see [`Series::tick`].
    pub fn tick(&self, series: &mut Series, active: bool, now: Timestamp) -> (Turn, Vec<Failure>) {
        let _ = (series, active, now);
        unimplemented!()
    }

    /// When [`RuleRef::tick`] is next to be called for a series.
    pub fn deadline(&self, series: &Series) -> Option<Timestamp> {
        let _ = series;
        unimplemented!()
    }

    /// The annotations of the alert of a series as it stands, and the names of those that could not be rendered. Templates
    /// see `labels`, `value`, `count` and `event` (the snapshot; all fields there and null before the first event).
    pub fn annotate(&self, series: &Series) -> (Labels, Vec<String>) {
        let _ = (self.set, series);
        unimplemented!()
    }
}

struct Judgement<'j> {
    set: &'j RuleSet,
    event: &'j Event,
    /// Made for the first rule that fires.
    snapshot: OnceCell<Json>,
}

impl Judgement<'_> {
    fn finding(&self, rule: &Rule, hit: Hit) -> Result<Finding, Failure> {
        let fires = hit.fires.then(|| self.holds(rule.when.as_ref(), "when"));
        if let Some(Ok(true)) = fires {
            return self.fire(rule).map(Finding::Fire);
        }
        let resolves =
            hit.resolves.then(|| self.holds(rule.resolve_when.as_ref(), "resolve_on.when"));
        if let Some(Ok(true)) = resolves {
            let mut labels = self.labels(rule)?;
            let any_currency = rule.by_currency && self.event.currency.is_none();
            if any_currency {
                labels.remove("currency");
            }
            return Ok(Finding::Resolve { labels, any_currency });
        }
        fires.into_iter().chain(resolves).find_map(Result::err).map_or(Ok(Finding::NoMatch), Err)
    }

    fn holds(&self, condition: Option<&Expression>, key: &str) -> Result<bool, Failure> {
        let Some(condition) = condition else {
            return Ok(true);
        };
        condition.holds(Inputs { event: self.event }).map_err(|failure| named(key, failure))
    }

    fn fire(&self, rule: &Rule) -> Result<Firing, Failure> {
        let labels = self.labels(rule)?;
        let mut annotations = Labels::new();
        let mut template_errors = Vec::new();
        if !rule.annotations.is_empty() {
            let snapshot = self.snapshot.get_or_init(|| self.event.snapshot());
            let context = context_of(snapshot, &self.event.payload, &labels);
            for (name, template) in &rule.annotations {
                let (text, rendered) = self.set.annotations.render(template, &context);
                if !rendered {
                    template_errors.push(name.clone());
                }
                annotations.insert(name.clone(), text);
            }
        }
        Ok(Firing {
            labels,
            annotations,
            active_for: rule.active_for,
            notify_expired: rule.notify_expired,
            template_errors,
            at: happened_at(self.event),
        })
    }

    /// The account's labels, then `by`, then the rule's own; what comes later wins over the account's.
    fn labels(&self, rule: &Rule) -> Result<Labels, Failure> {
        let mut labels = self.set.accounts.get(&self.event.account).cloned().unwrap_or_default();
        for (name, expression) in &rule.by {
            let value = expression
                .label(Inputs { event: self.event })
                .map_err(|failure| named(&format!("by.{name}"), failure))?;
            labels.insert(name.clone(), value.unwrap_or_default());
        }
        labels.extend(rule.labels.iter().cloned());
        if rule.by_currency {
            let currency = self.event.currency.as_deref().unwrap_or("unknown");
            labels.insert("currency".to_owned(), currency.to_owned());
        }
        labels.insert("alertname".to_owned(), rule.alert.clone());
        labels.insert("account".to_owned(), self.event.account.clone());
        Ok(labels)
    }
}

/// When an event happened: the sender's word, unless it is absent or well ahead of our clock.
pub(super) fn happened_at(event: &Event) -> Timestamp {
    let latest = clock::add(event.received_at, AHEAD_MAX);
    event.occurred_at.filter(|at| *at <= latest).unwrap_or(event.received_at)
}

fn named(key: &str, mut failure: Failure) -> Failure {
    failure.detail = format!("{key} at {}", failure.detail);
    failure
}
