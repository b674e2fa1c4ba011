//! What happened over a time: sums and the like in buckets, exact, and O(1) for each event.
//!
//! A sliding window has 60 buckets that are aligned to absolute time. It reaches back from now by `over` less at most
//! one bucket: what is as old as `over` never counts, what is younger by a bucket always does.

mod seen;
mod slots;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use self::seen::DistinctValues;
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
///
/// Only buckets that hold something, oldest first, and of them only what the aggregate needs. A window is for one
/// [`Over`] and one [`Aggregate`], which its rule knows: give it the same ones each time.
///
/// Holds 60 buckets at most, or one for a calendar window; a clock that is set back can leave as many again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    buckets: Vec<Bucket>,
    #[serde(default, skip_serializing_if = "DistinctValues::is_empty")]
    seen: DistinctValues,
}

/// What happened in one slot. An array in JSON, without what is `None`: there is no time without a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Bucket(
    /// Slot.
    i64,
    /// Events.
    u64,
    /// Sum, least, greatest or latest number; `None` for other aggregates, and for a latest one that a later replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    Option<Decimal>,
    /// Own time of the latest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    Option<Timestamp>,
);

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
        Self::default()
    }

    /// Takes a value that was observed `at`, now; forgets what has left the window. What is ahead of now counts as
    /// happening now. A value that the aggregate cannot use, as a text in a sum, counts as an event only.
    pub fn add(
        &mut self,
        over: &Over,
        aggregate: Aggregate,
        value: &Observed,
        at: Timestamp,
        now: Timestamp,
    ) -> Added {
        let oldest = over.oldest(now);
        let slot = over.slot(at.min(now));
        self.forget(oldest);
        if slot < oldest {
            return Added::Late;
        }
        let place = self.place(slot);
        if let Some(bucket) = self.buckets.get_mut(place) {
            bucket.1 = bucket.1.saturating_add(1);
        }
        match (aggregate, value) {
            (Aggregate::Distinct, _) => self.seen.add(value, slot),
            (Aggregate::Last, Observed::Number(number)) => self.take_last(slot, *number, at),
            (_, Observed::Number(number)) => {
                if let Some(bucket) = self.buckets.get_mut(place) {
                    bucket.2 = merge(aggregate, bucket.2, *number);
                }
            }
            (_, Observed::Text(_) | Observed::Event) => {}
        }
        Added::Counted
    }

    /// Whether a text is among the different values.
    pub fn has_seen(&self, text: &str) -> bool {
        self.seen.has(&Observed::Text(text.to_owned()))
    }

    /// The value now; forgets what has left the window.
    pub fn level(&mut self, over: &Over, aggregate: Aggregate, now: Timestamp) -> Level {
        self.forget(over.oldest(now));
        let count = self.buckets.iter().fold(0_u64, |sum, bucket| sum.saturating_add(bucket.1));
        let numbers = || self.buckets.iter().filter_map(|bucket| bucket.2);
        let value = match aggregate {
            Aggregate::Count => Some(Decimal::from(count)),
            Aggregate::Distinct => Some(Decimal::from(self.seen.len())),
            Aggregate::Sum => Some(numbers().fold(Decimal::ZERO, Decimal::saturating_add)),
            Aggregate::Avg => numbers()
                .reduce(Decimal::saturating_add)
                .and_then(|sum| sum.checked_div(Decimal::from(count))),
            Aggregate::Min => numbers().min(),
            Aggregate::Max => numbers().max(),
            Aggregate::Last => {
                self.buckets.iter().max_by_key(|bucket| bucket.3).and_then(|bucket| bucket.2)
            }
        };
        Level { value, count }
    }

    /// When the value may change next without a new event, which is when the oldest bucket leaves; `None` when it is
    /// empty. Past when [`Window::level`] was not called since.
    pub fn next_change(&self, over: &Over) -> Option<Timestamp> {
        self.buckets.first().map(|bucket| over.leaves(bucket.0))
    }

    /// Whether nothing is in it now.
    pub fn is_empty(&self, over: &Over, now: Timestamp) -> bool {
        let oldest = over.oldest(now);
        self.buckets.last().is_none_or(|bucket| bucket.0 < oldest)
    }

    /// Where the bucket of a slot is, made when there is none.
    fn place(&mut self, slot: i64) -> usize {
        match self.buckets.binary_search_by_key(&slot, |bucket| bucket.0) {
            Ok(place) => place,
            Err(place) => {
                self.buckets.insert(place, Bucket(slot, 0, None, None));
                place
            }
        }
    }

    /// Keeps a number as the latest, and drops those that can never be it again: older ones that leave no later.
    /// Events ahead of now are why more than one may be kept.
    fn take_last(&mut self, slot: i64, number: Decimal, at: Timestamp) {
        if self.buckets.iter().any(|bucket| bucket.0 >= slot && bucket.3 > Some(at)) {
            return;
        }
        for bucket in self.buckets.iter_mut().filter(|bucket| bucket.0 <= slot) {
            if bucket.0 == slot {
                (bucket.2, bucket.3) = (Some(number), Some(at));
            } else if bucket.3 <= Some(at) {
                (bucket.2, bucket.3) = (None, None);
            }
        }
    }

    fn forget(&mut self, oldest: i64) {
        let gone = self.buckets.partition_point(|bucket| bucket.0 < oldest);
        if gone > 0 {
            self.buckets.drain(..gone);
            self.seen.forget(oldest);
        }
    }
}

/// A bucket's number with one more.
fn merge(aggregate: Aggregate, held: Option<Decimal>, number: Decimal) -> Option<Decimal> {
    let merged = |merge: fn(Decimal, Decimal) -> Decimal| {
        Some(held.map_or(number, |held| merge(held, number)))
    };
    match aggregate {
        Aggregate::Sum | Aggregate::Avg => merged(Decimal::saturating_add),
        Aggregate::Min => merged(Ord::min),
        Aggregate::Max => merged(Ord::max),
        Aggregate::Distinct | Aggregate::Last | Aggregate::Count => held,
    }
}

#[cfg(test)]
mod tests;
