//! What an event tells a rule that remembers: a value with its labels and its time.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;

/// Label or annotation names and values; sorted, so that everything made from them is stable.
pub type Labels = BTreeMap<String, String>;

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
    pub labels: Labels,
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
