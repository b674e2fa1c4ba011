//! The judgement of one event by all rules that name its kind.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::annotations::{Annotations, context_of};
use super::compile::Rule;
use super::index::{Hit, Index};
use super::{Expression, Failure, Finding, Firing, Inputs, Labels, Verdict};
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
    pub fn judge(&self, event: &Event) -> Vec<Verdict> {
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
fn happened_at(event: &Event) -> Timestamp {
    let latest = clock::add(event.received_at, AHEAD_MAX);
    event.occurred_at.filter(|at| *at <= latest).unwrap_or(event.received_at)
}

fn named(key: &str, mut failure: Failure) -> Failure {
    failure.detail = format!("{key} at {}", failure.detail);
    failure
}
