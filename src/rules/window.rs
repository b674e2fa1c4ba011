//! What happened over a time: sums and the like in buckets, exact, and O(1) for each event.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{Level, Observed};

/// Over which time a window reaches.
#[derive(Debug, Clone, PartialEq)]
pub enum Over {
    /// The last so long, in 60 buckets.
    Sliding(Duration),
    /// From a boundary of the calendar to the next.
    Calendar(Period, TimeZone),
}

/// A part of the calendar. Weeks begin on Monday (ISO 8601).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
}

/// What is made of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregate {
    /// Their sum; 0 without values.
    Sum,
    /// The least; unknown without values.
    Min,
    /// The greatest; unknown without values.
    Max,
    /// Their mean; unknown without values.
    Avg,
    /// How many different ones; exact up to 10,000, then at least.
    Distinct,
    /// The latest by its time; unknown without values.
    Last,
    /// How many events.
    Count,
}

/// The content of a window, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It counts.
    Counted,
    /// It is older than the window, and does not.
    Late,
}

impl Window {
    /// An empty one.
    pub fn new() -> Self {
        Self {}
    }

    /// Takes a value that was observed `at`, now.
    pub fn add(
        &mut self,
        over: &Over,
        aggregate: Aggregate,
        value: &Observed,
        at: Timestamp,
        now: Timestamp,
    ) -> Added {
        let _ = (over, aggregate, value, at, now);
        unimplemented!()
    }

    /// The value now; forgets what has left the window.
    pub fn level(&mut self, over: &Over, aggregate: Aggregate, now: Timestamp) -> Level {
        let _ = (over, aggregate, now);
        unimplemented!()
    }

    /// When the value will change next without a new event; `None` when it is empty.
    pub fn next_change(&self, over: &Over, now: Timestamp) -> Option<Timestamp> {
        let _ = (over, now);
        unimplemented!()
    }
}
