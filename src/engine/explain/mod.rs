//! What the rules say of one event and why, and what comes of it; changes nothing.
//!
//! Pure. An event that is new is judged by [`super::step`] on a copy of the state, so that what is said is what would
//! happen. One that was judged before is asked about without being entered again: its charge is the one it had, no
//! series takes its value twice, and its alert is shown as today's rules would make it.

mod asked;
mod notified;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use self::asked::Asked;
pub use self::asked::Question;
use self::notified::alert_report;
pub use self::notified::{AlertReport, GroupReport, NotificationReport, NotifiedReport, Quiet};
use super::policy::Policy;
use super::state::State;
use super::step::{Batch, Booked, Judged, step};
use crate::alerts::{self, Alert, Fingerprint};
use crate::event::Event;
use crate::rules::usual::Usual;
use crate::rules::{
    self, CallContext, Finding, Labels, Memory, Over, Period, Phase, RuleRef, Shape, Traced,
};

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// At which time it was judged.
    pub at: Timestamp,
    /// What the event changes in the ledger of charges; `None` where it books nothing.
    pub charge: Option<Decimal>,
    /// What is known of its call or message from other events.
    pub call: Option<CallContext>,
    /// What each rule that names the kind says, in order.
    pub rules: Vec<RuleReport>,
    /// Names of the rules that do not name the kind.
    pub others: Vec<String>,
    /// The alerts that it concerns.
    pub alerts: Vec<AlertReport>,
}

/// What came of an event at one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An alert begins.
    Fires,
    /// Its alert fires already, and is extended.
    Extends,
    /// An alert ends.
    Ends,
    /// It would end an alert, and none fires.
    NothingToEnd,
    /// Its value was taken; the alert stays as it is.
    Observed,
    /// Its value came too late to count.
    Late,
    /// Of an event that was judged before: the rule matches, and nothing is done again.
    Matches,
    /// The rule does not match.
    NoMatch,
    /// An expression ended in an error, so the rule does not match.
    Failed,
}

/// What one rule says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// `group/alert`.
    pub rule: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, where the outcome does not say it.
    pub detail: Option<String>,
    /// Its expressions with the values of their parts.
    pub expressions: Vec<Traced>,
    /// The series that took the value, as it stands then.
    pub series: Option<SeriesReport>,
    /// The alerts that it concerns, by fingerprint.
    pub alerts: Vec<Fingerprint>,
}

/// A series as a rule looks at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesReport {
    /// Its labels.
    pub labels: Labels,
    /// What is judged: `latest value`, `sum over 15m`, `count in the month`, `nothing for 2h`.
    pub of: String,
    /// The value.
    pub value: Option<Decimal>,
    /// The value before this event, where it is new.
    pub before: Option<Decimal>,
    /// Events in the window.
    pub count: u64,
    /// What is usual, by how many weeks, where the rule looks at that.
    pub usual: Option<Usual>,
    /// The value and what is usual, in words.
    pub compared: Option<String>,
    /// `inactive`, `pending`, `firing` or `keeping` (kept firing).
    pub phase: Cow<'static, str>,
    /// Since when it is pending, or its condition ended.
    pub since: Option<Timestamp>,
    /// When it is looked at again without an event.
    pub next: Option<Timestamp>,
    /// `fire` and `clear` with the values of their parts.
    pub terms: Vec<Traced>,
}

/// The series that an event is about: of a rule those with these fingerprints, and all once it has so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeriesAsked {
    /// `group/alert`.
    pub rule: Arc<str>,
    /// The series that takes the value, and the one of what is beyond the limit.
    pub fingerprints: [Fingerprint; 2],
    /// The rule's limit.
    pub max: usize,
}

/// Which series [`explain`] needs to know; a state that was kept may have very many others.
pub(super) fn series_asked(
    state: &State,
    policy: &Policy,
    question: &Question<'_>,
) -> Vec<SeriesAsked> {
    let (event, call) = booked(state, policy, question);
    let verdicts = policy.rules.judge(&event, call.as_ref(), Some(&state.pasts)).into_iter();
    verdicts
        .filter_map(|verdict| {
            let Finding::Observe(observation) = verdict.finding else { return None };
            let of = policy.rules.rule(&verdict.rule)?;
            let overflow = of.overflow(&observation.labels);
            let fingerprints =
                [observation.labels.fingerprint().clone(), Fingerprint::of(&overflow)];
            Some(SeriesAsked { rule: verdict.rule, fingerprints, max: of.max_series() })
        })
        .collect()
}

/// Says what today's rules make of an event. `before` is as it was kept, with the charges, calls, silences and series that
/// the event needs.
pub fn explain(mut before: State, policy: &Policy, question: &Question<'_>) -> Explanation {
    let Question { stored, judged, now, .. } = *question;
    let at = if judged { now } else { stored.event.received_at.min(now) };
    let mut batch = Batch::new(&mut before, policy, now);
    batch.apply_config();
    batch.run_timers(at);
    let (event, call) = booked(&before, policy, question);
    let mut after = before.clone();
    let done = if judged { Judged::default() } else { step(&mut after, policy, &[stored], now) };
    let asked = Asked { policy, question, at, event, call, before, after, done };
    let rules = asked.rules();
    let alerts = asked.alerts(&rules);
    let wanted = |name: &str| question.only.is_none_or(|only| rules::is_like(name, only));
    let named: Vec<&str> = rules.iter().map(|said| said.rule.as_str()).collect();
    let others = policy.rules.names().filter(|name| wanted(name) && !named.contains(name));
    Explanation {
        at,
        charge: asked.event.charge,
        call: asked.call.clone(),
        others: others.map(str::to_owned).collect(),
        rules,
        alerts,
    }
}

/// The event with its charge, and what is known of its call.
fn booked(
    before: &State,
    policy: &Policy,
    question: &Question<'_>,
) -> (Event, Option<CallContext>) {
    let Question { stored, judged, now, .. } = *question;
    if judged {
        let known = rules::call_keys(&stored.event);
        let known = known.iter().filter_map(|key| before.calls.get(key).cloned());
        return (stored.event.clone(), known.reduce(|one, other| one.merge(&other)));
    }
    // Of the state no more is looked at than this.
    let mut scratch = State::default();
    (scratch.ledger, scratch.calls) = (before.ledger.clone(), before.calls.clone());
    let Booked { charge, call } = Batch::new(&mut scratch, policy, now).book(stored);
    (Event { charge: charge.or(stored.event.charge), ..stored.event.clone() }, call)
}

impl Asked<'_> {
    fn rules(&self) -> Vec<RuleReport> {
        let memory = Some(&self.before.pasts as &dyn Memory);
        let verdicts = self.policy.rules.judge(&self.event, self.call.as_ref(), memory);
        let mut findings: BTreeMap<Arc<str>, Finding> =
            verdicts.into_iter().map(|verdict| (verdict.rule, verdict.finding)).collect();
        let named = self.policy.rules.naming(&self.event.kind).into_iter();
        let wanted = |name: &str| self.question.only.is_none_or(|only| rules::is_like(name, only));
        named
            .filter(|(of, ..)| wanted(of.name()))
            .filter_map(|(of, fires, resolves)| {
                let finding = findings.remove(of.name())?;
                let mut expressions = of.trace(&self.event, self.call.as_ref(), memory);
                expressions.retain(|traced| match traced.key.as_str() {
                    "when" => fires,
                    "resolve_on.when" => resolves,
                    _ => true,
                });
                Some(self.rule(of, &finding, expressions))
            })
            .collect()
    }

    fn rule(&self, of: RuleRef<'_>, finding: &Finding, expressions: Vec<Traced>) -> RuleReport {
        let key = match finding {
            Finding::Observe(observation) => Some(self.series_of(of, &observation.labels)),
            _ => None,
        };
        let series = key.as_ref().and_then(|fingerprint| self.series(of, fingerprint));
        let alerts = self.concerned(of, finding, key);
        let detail = match finding {
            Finding::Failed(failure) => Some(failure.detail.clone()),
            Finding::NoMatch => why_no_match(of, &expressions),
            Finding::Fire(_) | Finding::Resolve { .. } | Finding::Observe(_) => None,
        };
        let outcome = self.outcome(of, finding, !alerts.is_empty());
        RuleReport { rule: of.name().to_string(), outcome, detail, expressions, series, alerts }
    }

    fn outcome(&self, of: RuleRef<'_>, finding: &Finding, any: bool) -> Outcome {
        let counted = |word| self.done.report.tally.contains_key(&(Arc::clone(of.name()), word));
        match finding {
            Finding::NoMatch => Outcome::NoMatch,
            Finding::Failed(_) => Outcome::Failed,
            _ if self.question.judged => Outcome::Matches,
            _ if counted("late") => Outcome::Late,
            _ if counted("fired") => Outcome::Fires,
            _ if counted("extended") => Outcome::Extends,
            _ if counted("resolved") || counted("no_data") => Outcome::Ends,
            Finding::Resolve { .. } => Outcome::NothingToEnd,
            Finding::Observe(_) | Finding::Fire(_) if any => Outcome::Extends,
            Finding::Observe(_) | Finding::Fire(_) => Outcome::Observed,
        }
    }

    /// The series that takes an observation with these labels; the overflow series where the rule is full.
    fn series_of(&self, of: RuleRef<'_>, labels: &Labels) -> Fingerprint {
        let (own, overflow) = (Fingerprint::of(labels), Fingerprint::of(&of.overflow(labels)));
        let holds = |fingerprint: &Fingerprint| {
            self.after.series.contains_key(&(Arc::clone(of.name()), fingerprint.clone()))
        };
        if holds(&own) || !holds(&overflow) { own } else { overflow }
    }

    fn series(&self, of: RuleRef<'_>, fingerprint: &Fingerprint) -> Option<SeriesReport> {
        let key = (Arc::clone(of.name()), fingerprint.clone());
        let series = self.after.series.get(&key)?;
        let before = self.before.series.get(&key).filter(|_| !self.question.judged);
        let (phase, since) = match series.phase {
            Phase::Inactive => ("inactive", None),
            Phase::Pending(since) => ("pending", Some(since)),
            Phase::Firing => ("firing", None),
            Phase::Keeping(since) => ("keeping", Some(since)),
        };
        Some(SeriesReport {
            labels: series.labels.unpack(),
            of: of.shape().map(shape_text).unwrap_or_default(),
            value: series.value,
            before: before.and_then(|series| series.value),
            count: series.count,
            usual: series.usual,
            compared: of.compared(series, self.at),
            phase: phase.into(),
            since,
            next: of.deadline(series),
            terms: of.trace_line(series),
        })
    }

    /// The alerts that a finding concerns.
    fn concerned(
        &self,
        of: RuleRef<'_>,
        finding: &Finding,
        series: Option<Fingerprint>,
    ) -> Vec<Fingerprint> {
        let judgements = self.done.changes.judgements.iter();
        let mut found: Vec<Fingerprint> = judgements
            .filter(|judgement| judgement.seq == self.question.stored.seq)
            .filter(|judgement| judgement.rule == **of.name())
            .filter_map(|judgement| judgement.fingerprint.clone().map(Fingerprint::from))
            .collect();
        match finding {
            Finding::Fire(firing) if found.is_empty() => {
                found.push(Fingerprint::of(&firing.labels));
            }
            Finding::Resolve { labels, .. } if found.is_empty() => {
                found.extend(self.firing(Fingerprint::of(labels)));
            }
            Finding::Observe(_) if found.is_empty() => {
                found.extend(series.and_then(|fingerprint| self.firing(fingerprint)));
            }
            _ => {}
        }
        found
    }

    fn firing(&self, fingerprint: Fingerprint) -> Option<Fingerprint> {
        self.after.alerts.contains_key(&fingerprint).then_some(fingerprint)
    }

    fn alerts(&self, rules: &[RuleReport]) -> Vec<AlertReport> {
        let wanted = rules.iter().flat_map(|said| said.alerts.iter());
        let mut made = self.made();
        wanted
            .filter_map(|fingerprint| {
                let changed = self.done.changes.alerts.iter();
                let alert = changed
                    .chain(self.after.alerts.values())
                    .find(|alert| alert.fingerprint == *fingerprint)
                    .cloned();
                Some(alert_report(self, made.remove(fingerprint).or(alert)?))
            })
            .collect()
    }

    /// The alerts of an event that was judged before, as today's rules would have begun them.
    fn made(&self) -> BTreeMap<Fingerprint, Alert> {
        if !self.question.judged {
            return BTreeMap::new();
        }
        let memory = Some(&self.before.pasts as &dyn Memory);
        let verdicts = self.policy.rules.judge(&self.event, self.call.as_ref(), memory);
        verdicts
            .into_iter()
            .filter_map(|verdict| {
                let Finding::Fire(firing) = verdict.finding else { return None };
                let received = self.event.received_at;
                let snapshot = (&self.event).into();
                let (alert, _) = alerts::fire(None, &verdict.rule, &firing, snapshot, received);
                Some((alert.fingerprint.clone(), alert))
            })
            .collect()
    }
}

/// Why a rule does not match, when no expression failed.
fn why_no_match(of: RuleRef<'_>, expressions: &[Traced]) -> Option<String> {
    let is = |key: &str, outcome: &str| {
        expressions.iter().any(|traced| traced.key == key && traced.outcome == outcome)
    };
    if is("when", "false") {
        return Some("when is false".to_owned());
    }
    if is("resolve_on.when", "false") {
        return Some("resolve_on.when is false".to_owned());
    }
    let takes_value = of.shape().is_some();
    takes_value.then(|| "the value is null".to_owned())
}

/// What a series is about, in words: `latest value`, `sum over 15m`.
pub fn shape_text(shape: &Shape) -> String {
    let span = |span: std::time::Duration| {
        crate::template::duration_text(i64::try_from(span.as_secs()).unwrap_or(i64::MAX))
    };
    match shape {
        Shape::Gauge { .. } => "latest value".to_owned(),
        Shape::Absence { absent_for } => format!("nothing for {}", span(*absent_for)),
        Shape::Window { over, aggregate } => {
            let aggregate = format!("{aggregate:?}").to_lowercase();
            match over {
                Over::Sliding(over) => format!("{aggregate} over {}", span(*over)),
                Over::Calendar(Period::Day, _) => format!("{aggregate} in the day"),
                Over::Calendar(Period::Week, _) => format!("{aggregate} in the week"),
                Over::Calendar(Period::Month, _) => format!("{aggregate} in the month"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
