//! One label set of a gauge, window or absence rule: what was observed, and whether its alert waits, fires or ends.
//!
//! Pure: `(series, observation or time) -> turn`. Expressions are asked through [`Terms`].

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::window::{Added, Aggregate, Over, Window};
use super::{Hold, Labels, Observation};

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
    pub rule: String,
    /// What of the rule its data depends on; when that changes, the data is void (see [`super::RuleRef::digest`]).
    pub digest: String,
    /// Labels of the alert.
    pub labels: Labels,
    /// Where its alert stands.
    pub phase: Phase,
    /// What was observed.
    pub data: Data,
    /// The value at the last judgement.
    pub value: Option<Decimal>,
    /// The count at the last judgement.
    pub count: u64,
    /// Snapshot of the last event that touched it, for templates; null before the first.
    pub event: Json,
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
    /// Nothing since: how much ready and active time has passed, in seconds, counted up to when.
    Absence {
        /// Time counted, in seconds.
        counted: f64,
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
        stale_after: Option<std::time::Duration>,
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
        absent_for: std::time::Duration,
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
    /// The alert goes on firing, and was judged anew: its annotations are to be refreshed.
    Refreshed,
    /// The alert ends: the condition did.
    Cleared,
    /// The alert ends: no reading came.
    NoData,
}

impl Series {
    /// A series that has observed nothing; an absence begins to count now.
    pub fn new(rule: &str, digest: &str, labels: Labels, shape: &Shape, now: Timestamp) -> Self {
        let _ = (rule, digest, labels, shape, now);
        unimplemented!()
    }

    /// Takes an observation and judges. `Late`: it was too old to count (a gauge's older reading too), and nothing else happened.
    pub fn observe(
        &mut self,
        shape: &Shape,
        hold: Hold,
        terms: &dyn Terms,
        observation: &Observation,
        now: Timestamp,
    ) -> (Added, Turn) {
        let _ = (shape, hold, terms, observation, now);
        unimplemented!()
    }

    /// Judges because time has passed. `active`: whether time counts now, for an absence rule with active time intervals.
    pub fn tick(
        &mut self,
        shape: &Shape,
        hold: Hold,
        terms: &dyn Terms,
        active: bool,
        now: Timestamp,
    ) -> Turn {
        let _ = (shape, hold, terms, active, now);
        unimplemented!()
    }

    /// When [`Series::tick`] is next to be called.
    pub fn deadline(&self, shape: &Shape, hold: Hold) -> Option<Timestamp> {
        let _ = (shape, hold);
        unimplemented!()
    }

    /// Time in which tollbell was not ready does not count as absence.
    pub fn skip(&mut self, until: Timestamp) {
        let _ = until;
        unimplemented!()
    }

    /// Whether it counts against the rule's limit: its window is not empty, its reading not old, its alert not inactive.
    pub fn is_live(&self, shape: &Shape, now: Timestamp) -> bool {
        let _ = (shape, now);
        unimplemented!()
    }
}
