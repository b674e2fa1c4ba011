//! How the value of one series went, made anew from stored events.
//!
//! Pure. The state keeps what a series is worth now, not what it was: the events are, so they are observed once more, by
//! today's rule, each at the time at which it was taken in.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::policy::Policy;
use crate::clock;
use crate::rules::{self, CallContext, CallKey, Labels, Over, Period, Series, Shape};
use crate::store::StoredEvent;

/// A value of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// How much; `None` where there was nothing to look at.
    pub value: Option<Decimal>,
}

/// How far before a time events matter to the value of a rule at that time; `None` for rules without a value.
pub fn reach(policy: &Policy, rule: &str) -> Option<Duration> {
    match policy.rules.rule(rule)?.shape()? {
        Shape::Gauge { .. } => Some(Duration::from_mins(15)),
        Shape::Absence { .. } => None,
        Shape::Window { over, .. } => Some(match over {
            Over::Sliding(over) => *over,
            Over::Calendar(Period::Day, _) => Duration::from_hours(24),
            Over::Calendar(Period::Week, _) => Duration::from_hours(7 * 24),
            Over::Calendar(Period::Month, _) => Duration::from_hours(31 * 24),
        }),
    }
}

/// The values of the series of a rule with these labels from `from` to `to`.
///
/// One at each event that it takes, and at `ticks` times between, since a window changes by the mere passing of time.
/// `events` are in the order of the inbox, and begin [`reach`] before `from`.
pub fn history(
    policy: &Policy,
    (rule, labels): (&str, &Labels),
    events: &[StoredEvent],
    calls: &BTreeMap<CallKey, CallContext>,
    [from, to]: [Timestamp; 2],
    ticks: u32,
) -> Vec<Sample> {
    let Some((of, shape)) = policy.rules.rule(rule).and_then(|of| Some((of, of.shape()?))) else {
        return Vec::new();
    };
    let begin = events.first().map_or(from, |first| first.event.received_at.min(from));
    let mut series = Series::new(of.name(), of.digest(), labels.into(), shape, begin);
    let step = (clock::until(from, to) / ticks.max(1)).max(Duration::from_secs(1));
    let mut samples = Vec::new();
    let mut next = from;
    let mut tick = |series: &mut Series, samples: &mut Vec<Sample>, until: Timestamp| {
        while next <= until && next <= to {
            of.tick(series, None, true, next);
            samples.push(Sample { at: next, value: series.value });
            next = clock::add(next, step);
        }
    };
    for stored in events {
        let event = &stored.event;
        tick(&mut series, &mut samples, event.received_at);
        let known = rules::call_keys(event);
        let known = known.iter().filter_map(|key| calls.get(key).cloned());
        let call = known.reduce(|one, other| one.merge(&other));
        let Some(observation) = of.observation(event, call.as_ref()) else { continue };
        if *observation.labels != *labels {
            continue;
        }
        of.observe(&mut series, None, &observation, event.received_at);
        if (from..=to).contains(&event.received_at) {
            samples.push(Sample { at: event.received_at, value: series.value });
        }
    }
    tick(&mut series, &mut samples, to);
    samples
}
