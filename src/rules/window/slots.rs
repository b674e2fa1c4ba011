//! Where a window's buckets begin and end.
//!
//! A slot names a bucket: for sliding windows how many sixtieths of `over` had passed since 1970 when it began, for
//! calendar windows the second since 1970 at which the period began. Slots grow with time.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

use super::{Over, Period};

/// Buckets of a sliding window.
const BUCKETS: i64 = 60;
/// The shortest sliding window, in nanoseconds: below it a slot would not fit its integer for every time.
const OVER_MIN_NS: i128 = 60_000;

impl Over {
    /// The slot that an event of this time counts in.
    pub(super) fn slot(&self, at: Timestamp) -> i64 {
        match self {
            Self::Sliding(over) => {
                let slot = (at.as_nanosecond() * i128::from(BUCKETS)).div_euclid(nanos(*over));
                i64::try_from(slot).unwrap_or(i64::MAX)
            }
            Self::Calendar(period, zone) => {
                period_at(*period, zone, at).map_or(i64::MIN, Timestamp::as_second)
            }
        }
    }

    /// The oldest slot that counts now.
    pub(super) fn oldest(&self, now: Timestamp) -> i64 {
        let slot = self.slot(now);
        match self {
            Self::Sliding(_) => slot.saturating_sub(BUCKETS - 1),
            Self::Calendar(..) => slot,
        }
    }

    /// When this slot will no longer count: the first time at which [`Over::oldest`] is beyond it.
    pub(super) fn leaves(&self, slot: i64) -> Timestamp {
        let at = match self {
            Self::Sliding(over) => (i128::from(slot) + i128::from(BUCKETS))
                .checked_mul(nanos(*over))
                .map(|parts| (parts + i128::from(BUCKETS - 1)).div_euclid(i128::from(BUCKETS)))
                .and_then(|at| Timestamp::from_nanosecond(at).ok()),
            Self::Calendar(period, zone) => Timestamp::from_second(slot)
                .ok()
                .and_then(|at| following(*period, zone, first_date(*period, zone, at)?)),
        };
        at.unwrap_or(Timestamp::MAX)
    }
}

fn nanos(over: Duration) -> i128 {
    i128::try_from(over.as_nanos()).unwrap_or(i128::from(i64::MAX)).max(OVER_MIN_NS)
}

/// When the period that contains `at` began; `None` at the ends of representable time.
///
/// A period begins when its first date does for the first time. Where a clock is set back across midnight the old date
/// comes once more: that hour belongs to the new period, so that periods follow each other.
fn period_at(period: Period, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
    let date = first_date(period, zone, at)?;
    match following(period, zone, date) {
        Some(next) if next <= at => Some(next),
        _ => midnight(zone, date),
    }
}

/// First date of the period of the date that clocks show.
fn first_date(period: Period, zone: &TimeZone, at: Timestamp) -> Option<Date> {
    let date = zone.to_datetime(at).date();
    match period {
        Period::Day => Some(date),
        Period::Week => {
            let past = i64::from(date.weekday().to_monday_zero_offset());
            date.checked_sub(past.days()).ok()
        }
        Period::Month => Some(date.first_of_month()),
    }
}

/// When the period after the one that begins with `date` begins.
fn following(period: Period, zone: &TimeZone, date: Date) -> Option<Timestamp> {
    let length: Span = match period {
        Period::Day => 1.day(),
        Period::Week => 1.week(),
        Period::Month => 1.month(),
    };
    midnight(zone, date.checked_add(length).ok()?)
}

/// When a date begins; later than midnight where clocks skip it.
fn midnight(zone: &TimeZone, date: Date) -> Option<Timestamp> {
    Some(date.to_zoned(zone.clone()).ok()?.timestamp())
}
