//! One label set of a gauge, window or absence rule: what was observed, and whether its alert waits, fires or ends.
//!
//! Pure: `(series, observation or time) -> turn`. Expressions are asked through [`Terms`].
//!
//! While the alert does not fire only `fire` is asked, while it does (kept firing, too) only `clear`: this is
//! hysteresis, and where both hold the alert that fires ends. The clock may go back: no time is counted then.

mod judge;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::usual::{OpenHours, Usual};
use super::window::{Added, Aggregate, Over, Window};
use super::{Hold, Observation, Observed, PackedLabels};
use crate::clock;
use crate::event::Snapshot;

/// How long a gauge's reading makes its series live, where no `stale_after` is set.
const READING_LIVE: Duration = Duration::from_hours(24);
/// Time between two ticks of an absence at most: whether time counts is asked at each.
const ABSENCE_TICK: Duration = Duration::from_mins(1);
/// Time between two ticks of an absence at least, so that time that does not count is not waited for without rest.
const ABSENCE_TICK_MIN: Duration = Duration::from_secs(1);

/// What is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Level {
    /// The value; `None` when there is none, as the least of no values.
    pub value: Option<Decimal>,
    /// Events in the window; 1 for a gauge's reading.
    pub count: u64,
}

/// A series as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// `group/alert` of its rule.
    pub rule: Arc<str>,
    /// What of the rule its data depends on; when that changes, the data is void (see [`super::RuleRef::digest`]).
    pub digest: Arc<str>,
    /// Labels of the alert.
    pub labels: PackedLabels,
    /// Where its alert stands.
    pub phase: Phase,
    /// What was observed.
    pub data: Data,
    /// The value at the last judgement.
    pub value: Option<Decimal>,
    /// The count at the last judgement.
    pub count: u64,
    /// What was usual at the last judgement, where its rule looks at that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<Usual>,
    /// The hours under way, where its rule looks at what is usual.
    #[serde(default, skip_serializing_if = "OpenHours::is_empty")]
    pub hours: OpenHours,
    /// Snapshot of the last event that touched it, for templates; none before the first.
    pub event: Snapshot,
    /// The last event's place in the inbox; 0 before the first.
    pub seq: i64,
}

/// Where the alert of a series stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Nothing is wrong.
    Inactive,
    /// The condition holds since then, not yet for long enough.
    Pending(Timestamp),
    /// The alert fires.
    Firing,
    /// The condition has ended then; the alert is kept firing.
    Keeping(Timestamp),
}

/// What a series has observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    /// The latest reading: value, its own time, and when it was taken in.
    Gauge(Option<(Decimal, Timestamp, Timestamp)>),
    /// A window.
    Window(Window),
    /// Nothing since: how much ready and active time has passed, counted up to when.
    Absence {
        /// Time counted.
        counted: Duration,
        /// Up to when.
        until: Timestamp,
    },
}

/// What the rule of a series says about time.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// See [`super::KindSpec::Gauge`].
    Gauge {
        /// No reading for so long ends the alert as "no data".
        stale_after: Option<Duration>,
    },
    /// See [`super::KindSpec::Window`].
    Window {
        /// Over which time.
        over: Over,
        /// What is made of the values.
        aggregate: Aggregate,
    },
    /// See [`super::KindSpec::Absence`].
    Absence {
        /// Nothing for so long.
        absent_for: Duration,
    },
}

/// The expressions of a rule, as its series asks them. An expression that fails counts as false, and as a failure
/// that the implementation notes.
pub trait Terms {
    /// Whether `fire` holds.
    fn fires(&self, level: &Level) -> bool;
    /// Whether `clear` holds.
    fn clears(&self, level: &Level) -> bool;
}

/// What a judgement did to the alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Quiet,
    /// The alert begins to fire; the condition holds since `since`.
    Fired {
        /// Start of the alert.
        since: Timestamp,
    },
    /// The alert goes on firing since its condition holds, and it was judged anew: its annotations are to be refreshed.
    /// Said of each new event, and of the mere passing of time only when the value changed; never of an absence.
    Refreshed,
    /// The alert ends: the condition did.
    Cleared,
    /// The alert ends: no reading came.
    NoData,
}

/// One judgement.
#[derive(Debug, Clone, Copy)]
struct LevelJudgement {
    hold: Hold,
    level: Level,
    /// Since when the condition holds if it begins to hold now.
    since: Timestamp,
    /// Whether there is a new event.
    fresh: bool,
    now: Timestamp,
}

impl Data {
    fn new(shape: &Shape, now: Timestamp) -> Self {
        match shape {
            Shape::Gauge { .. } => Self::Gauge(None),
            Shape::Window { .. } => Self::Window(Window::new()),
            Shape::Absence { .. } => Self::Absence { counted: Duration::ZERO, until: now },
        }
    }
}

impl Series {
    /// Whether a text is among the different values of its window.
    pub fn has_seen(&self, text: &str) -> bool {
        matches!(&self.data, Data::Window(window) if window.has_seen(text))
    }

    /// A series that has observed nothing; an absence begins to count now.
    pub fn new(
        rule: &Arc<str>,
        digest: &Arc<str>,
        labels: PackedLabels,
        shape: &Shape,
        now: Timestamp,
    ) -> Self {
        Self {
            rule: Arc::clone(rule),
            digest: Arc::clone(digest),
            labels,
            phase: Phase::Inactive,
            data: Data::new(shape, now),
            value: None,
            count: 0,
            usual: None,
            hours: OpenHours::default(),
            event: Snapshot::NONE,
            seq: 0,
        }
    }

    /// Takes an observation and judges. `Late`: it was too old to count (a gauge's older reading too, and what came before
    /// an absence that fires), and nothing else happened. Data of another shape is void, and begins anew.
    pub fn observe(
        &mut self,
        shape: &Shape,
        hold: Hold,
        terms: &dyn Terms,
        observation: &Observation,
        now: Timestamp,
    ) -> (Added, Turn) {
        let Observation { at, value, .. } = observation;
        self.fit(shape, now);
        let judgement = match (&mut self.data, shape) {
            (Data::Gauge(reading), Shape::Gauge { .. }) => {
                if matches!(reading, Some((_, latest, _)) if at < latest) {
                    return (Added::Late, Turn::Quiet);
                }
                // Only numbers are readings; rules are compiled so that there is nothing else.
                let Observed::Number(number) = value else { return (Added::Counted, Turn::Quiet) };
                *reading = Some((*number, *at, now));
                let level = Level { value: Some(*number), count: 1 };
                LevelJudgement { hold, level, since: now.min(*at), fresh: true, now }
            }
            (Data::Window(window), Shape::Window { over, aggregate }) => {
                if window.add(over, *aggregate, value, *at, now) == Added::Late {
                    return (Added::Late, Turn::Quiet);
                }
                let level = window.level(over, *aggregate, now);
                LevelJudgement { hold, level, since: now, fresh: true, now }
            }
            (Data::Absence { counted, until }, Shape::Absence { absent_for }) => {
                // What was counted after it happened stays: one that was fetched afterwards proves nothing of now.
                let since = clock::until(*at, *until).min(*counted);
                let (since, from) =
                    if *at < now { (since, (*until).max(*at)) } else { (Duration::ZERO, now) };
                let goes_on = since.saturating_add(clock::until(from, now)) >= *absent_for;
                if goes_on && self.phase == Phase::Firing {
                    return (Added::Late, Turn::Quiet);
                }
                (*counted, *until) = (since, from);
                let turn = if goes_on { Turn::Quiet } else { self.not_held(hold, now) };
                return (Added::Counted, turn);
            }
            _ => return (Added::Counted, Turn::Quiet),
        };
        (Added::Counted, self.judge(terms, judgement))
    }

    /// Judges because time has passed. `active`: whether time counts now, for an absence rule with active time intervals.
    ///
    /// A gauge whose alert is inactive is not judged: only a reading can make it fire. One that is pending when its
    /// reading gets too old becomes inactive quietly.
    pub fn tick(
        &mut self,
        shape: &Shape,
        hold: Hold,
        terms: &dyn Terms,
        active: bool,
        now: Timestamp,
    ) -> Turn {
        self.fit(shape, now);
        let judgement = match (&mut self.data, shape) {
            (Data::Gauge(reading), Shape::Gauge { stale_after }) => {
                if self.phase == Phase::Inactive {
                    return Turn::Quiet;
                }
                let Some((number, at, taken)) = *reading else { return self.no_data() };
                if stale_after.is_some_and(|stale| clock::add(taken, stale) <= now) {
                    return self.no_data();
                }
                let level = Level { value: Some(number), count: 1 };
                LevelJudgement { hold, level, since: now.min(at), fresh: false, now }
            }
            (Data::Window(window), Shape::Window { over, aggregate }) => {
                let level = window.level(over, *aggregate, now);
                LevelJudgement { hold, level, since: now, fresh: false, now }
            }
            (Data::Absence { counted, until }, Shape::Absence { absent_for }) => {
                let missing = absent_for.saturating_sub(*counted);
                let since = clock::add(*until, missing).min(now);
                if active {
                    *counted = counted.saturating_add(clock::until(*until, now));
                }
                *until = now;
                if *counted < *absent_for {
                    return self.not_held(hold, now);
                }
                // `for` is waited for in the same time: what does not count is no sign of anything.
                let ripe = *counted >= absent_for.saturating_add(hold.wait);
                return self.held(since, |_| ripe, false);
            }
            _ => return Turn::Quiet,
        };
        self.judge(terms, judgement)
    }

    /// When [`Series::tick`] is next to be called. An absence that fires waits for an event, not for time.
    pub fn deadline(&self, shape: &Shape, hold: Hold) -> Option<Timestamp> {
        let of_data = match (&self.data, shape) {
            (Data::Gauge(Some((_, _, taken))), Shape::Gauge { stale_after: Some(stale) }) => {
                (self.phase != Phase::Inactive).then(|| clock::add(*taken, *stale))
            }
            (Data::Window(window), Shape::Window { over, .. }) => window.next_change(over),
            (Data::Absence { counted, until }, Shape::Absence { absent_for }) => {
                let fires = absent_for.saturating_add(hold.wait);
                let next = if counted < absent_for { *absent_for } else { fires };
                let wait = next.saturating_sub(*counted).clamp(ABSENCE_TICK_MIN, ABSENCE_TICK);
                (self.phase != Phase::Firing).then(|| clock::add(*until, wait))
            }
            _ => None,
        };
        let of_phase = match (self.phase, shape) {
            (Phase::Pending(_), Shape::Absence { .. }) | (Phase::Inactive | Phase::Firing, _) => {
                None
            }
            (Phase::Pending(since), _) => Some(clock::add(since, hold.wait)),
            (Phase::Keeping(since), _) => Some(clock::add(since, hold.keep)),
        };
        of_data.into_iter().chain(of_phase).min()
    }

    /// Time in which tollbell was not ready does not count as absence. Changes no other series.
    pub fn skip(&mut self, until: Timestamp) {
        if let Data::Absence { until: counted_until, .. } = &mut self.data {
            *counted_until = until.max(*counted_until);
        }
    }

    /// Whether it counts against the rule's limit: its window is not empty, its reading not old, its alert not inactive.
    /// A reading is old after `stale_after`, or a day. Absences always count.
    pub fn is_live(&self, shape: &Shape, now: Timestamp) -> bool {
        let live = match (&self.data, shape) {
            (Data::Gauge(Some((_, _, taken))), Shape::Gauge { stale_after }) => {
                clock::add(*taken, stale_after.unwrap_or(READING_LIVE)) > now
            }
            (Data::Window(window), Shape::Window { over, .. }) => !window.is_empty(over, now),
            (Data::Absence { .. }, Shape::Absence { .. }) => true,
            _ => false,
        };
        live || self.phase != Phase::Inactive
    }

    /// Begins anew when the data is of another shape; the alert stays where it is.
    fn fit(&mut self, shape: &Shape, now: Timestamp) {
        let fits = matches!(
            (&self.data, shape),
            (Data::Gauge(_), Shape::Gauge { .. })
                | (Data::Window(_), Shape::Window { .. })
                | (Data::Absence { .. }, Shape::Absence { .. })
        );
        if !fits {
            self.data = Data::new(shape, now);
        }
    }
}

#[cfg(test)]
mod tests;
