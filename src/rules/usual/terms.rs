//! How the hours of a series are kept, and what is usual by them.

use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Weeks that are looked back at most.
pub const WEEKS_MAX: u32 = 8;
/// Weeks below which nothing is called usual.
pub const WEEKS_MIN: u32 = 2;
/// Hours of a week.
pub(super) const WEEK_HOURS: i64 = 168;

/// What is usual for a series in this window at this hour of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    /// Median over the weeks.
    pub value: Decimal,
    /// Median of the distances from it (median absolute deviation).
    pub spread: Decimal,
    /// How many weeks it rests on, 2 to 8.
    pub weeks: u32,
}

/// What is kept of an hour, and how hours make a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// What adds up: `sum`, `count`. A window has its part of each hour that it covers.
    Total,
    /// Sum and number of values: `avg`. A window has its part of both.
    Mean,
    /// The mean of the readings: gauges, `last`. That of the hour at hand is the value.
    Reading,
    /// The greatest value that the window had: `max`, `distinct`. That of the hour at hand is the value.
    Greatest,
    /// The least value that the window had: `min`. That of the hour at hand is the value.
    Least,
}

impl Kept {
    /// Whether it is made of what the window was judged as, not of what was observed.
    pub(super) fn is_of_level(self) -> bool {
        matches!(self, Self::Greatest | Self::Least)
    }

    /// Whether an hour in which nothing happened has a value, which is 0.
    pub(super) fn counts_nothing(self) -> bool {
        self == Self::Total
    }
}

/// How a rule keeps its hours.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// What is kept of each.
    pub kept: Kept,
    /// Over which time a value reaches.
    pub span: Span,
    /// Whose hours of the week.
    pub zone: TimeZone,
}

/// Over which time a value reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The last so many seconds; a week at most. Of a gauge 0.
    Sliding(i64),
    /// Since midnight.
    Day,
    /// Since Monday.
    Week,
}
