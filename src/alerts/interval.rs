//! Time intervals: the hours and days in which routes are quiet, or tell at all. Alertmanager's words and meaning.

use jiff::Timestamp;

/// A named entry of `time_intervals`: holds when any of its specs holds.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeInterval {
    /// Its name.
    pub name: String,
    /// Any of these.
    pub specs: Vec<IntervalSpec>,
}

/// One item of a time interval: holds when all of its parts hold; an absent part always does.
#[derive(Debug, Clone, PartialEq)]
pub struct IntervalSpec {
    /// Minutes of the day, `[start, end)`, `end` up to 1440.
    pub times: Vec<TimeRange>,
    // weekdays, days_of_month, months, years, location: see the implementation
}

/// A range of minutes of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First minute, 0 to 1439.
    pub start: u16,
    /// First minute after it, 1 to 1440.
    pub end: u16,
}

impl TimeInterval {
    /// Whether it holds at a time.
    pub fn holds(&self, at: Timestamp) -> bool {
        let _ = at;
        unimplemented!()
    }
}
