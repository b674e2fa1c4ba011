//! What an event tells a rule that remembers: a value with its labels and its time.

use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::LabelSet;

/// `for` and `keep_firing_for`, as in Prometheus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hold {
    /// The condition holds so long before the alert fires.
    pub wait: Duration,
    /// The alert goes on so long after the condition ended.
    pub keep: Duration,
}

/// What an event tells a gauge, window or absence rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The labels of the series, and of its alert. See [`super::Firing::labels`]; `currency` is there also where the value looks
    /// at `event.cost` or `event.charge`.
    pub labels: LabelSet,
    /// When it happened: the event's time, or when it was received where that is absent or well ahead. For an absence
    /// rule when it came, unless it was fetched afterwards: then nothing came now.
    pub at: Timestamp,
    /// What is observed.
    pub value: Observed,
}

/// The observed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// An exact number.
    Number(Decimal),
    /// A text, for `distinct`.
    Text(String),
    /// That it happened: `count()` and absence.
    Event,
}

impl Observed {
    /// What it adds to its hour: the number, or one event of `count()`. `distinct` is kept by its level.
    pub(super) fn number(&self) -> Option<Decimal> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Event => Some(Decimal::ONE),
            Self::Text(_) => None,
        }
    }
}
