//! How long the balance lasts: what it loses in an hour, estimated from readings.
//!
//! Receives readings in the order in which they were taken. Promises a pace in exact decimals and the hours that are left
//! at it, or nothing while the readings are too few. Never looks at a clock, and never takes a payment for income.
//!
//! # The method
//!
//! Between two readings in a row lies a *stretch*. Where the balance fell or stayed, the stretch counts: its time, and its
//! fall. Where it rose, somebody paid, and what was spent beneath that cannot be seen: the stretch counts for nothing,
//! neither its time nor its rise. A gap is a long stretch and is treated alike: a fall across it is spent over all of
//! it, a balance that is the same to the last digit proves that it was idle, and across a rise nothing is known.
//!
//! A pace is the falls of stretches over their time. There are two:
//!
//! - the *long* one, of [`SPAN`]: a whole day, so that nights and office hours both are in it. While the readings cover
//!   less, the largest fall counts as it would on a whole day: what it is beyond the pace of the rest is spread over
//!   [`SPAN`], so one dear thing soon after the first start is no pace. A stretch longer than [`LUMP_MAX`] is a gap, and
//!   its fall is spent over it;
//! - the *recent* one, of [`RECENT`], without its largest fall: one dear thing (a number order, a monthly fee) is no
//!   pace. It is trusted with [`RECENT_STRETCHES_MIN`] stretches over [`RECENT_COVERED_MIN`], so at intervals of ten
//!   minutes or less.
//!
//! The larger one is taken. So the estimate is right while spending is steady, rises within the hour when spending does,
//! and falls slowly: it errs to the side of ringing early. In the busy hours of a bursty day it says what would be left
//! if they never ended. It is no least-squares line, which one top-up or one gap would bend, and no median of stretches,
//! which is 0 for whoever spends in fewer than half of the minutes.

mod paces;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::{Decimal, RoundingStrategy};

pub use self::paces::Paces;
use crate::clock;
use crate::store::Reading;

/// How far back readings matter.
pub const SPAN: Duration = Duration::from_hours(24);
/// How far back the recent pace looks.
pub const RECENT: Duration = Duration::from_hours(1);
/// Readings that a forecast needs.
pub const READINGS_MIN: usize = 6;
/// Time that their stretches must cover.
pub const COVERED_MIN: Duration = Duration::from_mins(30);
/// Stretches that the recent pace needs, besides the one with the largest fall.
pub const RECENT_STRETCHES_MIN: usize = 4;
/// Time that these must cover.
pub const RECENT_COVERED_MIN: Duration = Duration::from_mins(30);
/// Longest stretch whose fall may be one dear thing.
pub const LUMP_MAX: Duration = Duration::from_hours(2);
/// [`Forecast::hours_left`] at most, and when nothing burns: a year.
pub const HOURS_MAX: Decimal = Decimal::from_parts(8_760, 0, 0, false, 0);
/// Readings of a window at most: a day of readings at the shortest interval of a second, and its jitter.
pub const WINDOW_MAX: usize = 100_000;
/// Decimal places of [`Forecast::burn_per_hour`].
const BURN_PLACES: u32 = 4;
/// Decimal places of [`Forecast::hours_left`].
const HOURS_PLACES: u32 = 2;

/// What readings say of the time to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// What the balance loses in an hour, in its currency, rounded to four places; never negative. `None` while the
    /// readings are too few.
    pub burn_per_hour: Option<Decimal>,
    /// Hours until nothing is left at that pace, from 0 to [`HOURS_MAX`], rounded down to two places. `None` where the pace
    /// or what is left is not known.
    pub hours_left: Option<Decimal>,
    /// Readings that it rests on.
    pub readings: usize,
}

/// The balance at one time.
#[derive(Debug, Clone, Copy)]
struct Point {
    at: Timestamp,
    balance: Decimal,
    /// Whether the stretch from the point before is one: not behind a step of the clock.
    joined: bool,
}

/// From one reading to the next, with no rise between.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: Timestamp,
    micros: i64,
    fall: Decimal,
}

/// The readings of the last [`SPAN`], in one currency.
#[derive(Debug, Clone, Default)]
pub struct Window {
    currency: Option<String>,
    points: VecDeque<Point>,
}

impl Window {
    /// Takes the next reading. One without a balance is left out; another currency begins anew. True when the clock has
    /// stepped back since the last one: then what lies ahead of it is forgotten, and nothing is said of the time
    /// between.
    pub fn take(&mut self, reading: &Reading) -> bool {
        let Some(balance) = reading.balance else { return false };
        if self.currency != reading.currency {
            self.points.clear();
            self.currency.clone_from(&reading.currency);
        }
        let at = reading.at;
        let stepped = self.points.back().is_some_and(|last| last.at >= at);
        while self.points.back().is_some_and(|last| last.at >= at) {
            self.points.pop_back();
        }
        self.points.push_back(Point { at, balance, joined: !stepped });
        let begin = clock::sub(at, SPAN);
        while self.points.len() > WINDOW_MAX
            || self.points.front().is_some_and(|first| first.at < begin)
        {
            self.points.pop_front();
        }
        stepped
    }

    /// What the readings of [`SPAN`] before `now` say. `left` is what may still be spent, in the same currency.
    pub fn forecast(&self, left: Option<Decimal>, now: Timestamp) -> Forecast {
        let begin = clock::sub(now, SPAN);
        let inside = |point: &&Point| begin <= point.at && point.at <= now;
        let points = || self.points.iter().filter(inside);
        let stretches = points().zip(points().skip(1)).filter_map(|(one, next)| stretch(one, next));
        let (mut all, mut recent) = (Pace::default(), Pace::default());
        let recently = clock::sub(now, RECENT);
        for stretch in stretches {
            all.add(stretch);
            if stretch.from >= recently {
                recent.add(stretch);
            }
        }
        let readings = points().count();
        let enough = readings >= READINGS_MIN && all.micros >= micros(COVERED_MIN);
        let burn = all.per_hour_of_a_day().filter(|_| enough);
        let recent = recent.without_largest().and_then(Pace::per_hour);
        let burn = burn.map(|burn| recent.map_or(burn, |recent| recent.max(burn)));
        Forecast {
            burn_per_hour: burn.map(|burn| rounded(burn, BURN_PLACES, HALF_UP)),
            hours_left: burn.zip(left).map(|(burn, left)| hours(left, burn)),
            readings,
        }
    }
}

const HALF_UP: RoundingStrategy = RoundingStrategy::MidpointAwayFromZero;

/// What may stand between two points; `None` behind a step of the clock, and where the balance rose.
fn stretch(one: &Point, next: &Point) -> Option<Stretch> {
    let fall = one.balance.checked_sub(next.balance)?;
    let micros = next.at.as_microsecond().checked_sub(one.at.as_microsecond())?;
    let counts = next.joined && micros > 0 && fall >= Decimal::ZERO;
    counts.then_some(Stretch { from: one.at, micros, fall })
}

/// Stretches summed up.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    stretches: usize,
    micros: i64,
    fall: Decimal,
    /// The stretch that fell most.
    largest: Option<Stretch>,
}

impl Pace {
    fn add(&mut self, stretch: Stretch) {
        self.stretches += 1;
        self.micros = self.micros.saturating_add(stretch.micros);
        self.fall = self.fall.saturating_add(stretch.fall);
        if self.largest.is_none_or(|largest| stretch.fall > largest.fall) {
            self.largest = Some(stretch);
        }
    }

    /// Without the stretch that fell most, its time included; `None` where the rest is too little to be trusted.
    fn without_largest(self) -> Option<Self> {
        let rest = self.rest(self.largest?)?;
        let enough =
            rest.stretches >= RECENT_STRETCHES_MIN && rest.micros >= micros(RECENT_COVERED_MIN);
        enough.then_some(rest)
    }

    fn rest(self, largest: Stretch) -> Option<Self> {
        Some(Self {
            stretches: self.stretches.checked_sub(1)?,
            micros: self.micros.checked_sub(largest.micros)?,
            fall: self.fall.checked_sub(largest.fall)?,
            largest: None,
        })
    }

    fn per_hour(self) -> Option<Decimal> {
        let hour = Decimal::from(micros(Duration::from_hours(1)));
        self.fall.checked_mul(hour)?.checked_div(Decimal::from(self.micros))
    }

    /// The pace, with what the largest stretch fell beyond the rest's pace spread over [`SPAN`], also where the stretches
    /// cover less. Where they cover [`SPAN`] it is the pace.
    fn per_hour_of_a_day(self) -> Option<Decimal> {
        let whole = self.per_hour()?;
        Some(self.with_largest_spread().map_or(whole, |spread| spread.min(whole)))
    }

    fn with_largest_spread(self) -> Option<Decimal> {
        let largest = self.largest.filter(|it| it.micros <= micros(LUMP_MAX))?;
        let pace = self.rest(largest)?.per_hour()?;
        let hour = Decimal::from(micros(Duration::from_hours(1)));
        let usual = pace.checked_mul(Decimal::from(largest.micros))?.checked_div(hour)?;
        let fall = largest.fall.checked_sub(usual)?;
        let beyond = Self { fall, micros: micros(SPAN), ..Self::default() };
        pace.checked_add(beyond.per_hour()?)
    }
}

fn hours(left: Decimal, burn: Decimal) -> Decimal {
    if left <= Decimal::ZERO {
        return Decimal::ZERO;
    }
    // At a pace that is all but nothing the hours do not fit any more.
    let hours = left.checked_div(burn).unwrap_or(HOURS_MAX).min(HOURS_MAX);
    rounded(hours, HOURS_PLACES, RoundingStrategy::ToZero)
}

fn rounded(number: Decimal, places: u32, strategy: RoundingStrategy) -> Decimal {
    number.round_dp_with_strategy(places, strategy).normalize()
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
