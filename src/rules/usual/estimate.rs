//! What the same stretch of time had in the weeks before: the median, and the spread around it.

use jiff::Timestamp;
use rust_decimal::{Decimal, RoundingStrategy};

use super::computed::{Cache, Parts, Stretch};
use super::week::Units;
use super::{History, Kept, Outages, Span, Terms, Usual, WEEK_HOURS, WEEKS_MAX, WEEKS_MIN, civil};
use crate::clock;

/// Seconds of a day, and of a week.
const DAY: i64 = 24 * civil::HOUR;
const WEEK: i64 = WEEK_HOURS * civil::HOUR;
/// Parts of a sliding window: so often what is usual is computed anew.
const PARTS: i64 = 60;
/// The longest time between two of these, in seconds.
const STEP_MAX: i64 = 900;
/// The same for calendar windows.
const STEP_CALENDAR: i64 = 60;
/// Digits behind the point that a computed value has at least; a mean has [`MEAN_DIGITS`].
const DIGITS_MIN: u32 = 2;
/// Digits behind the point of a mean at least.
const MEAN_DIGITS: u32 = 6;

impl Terms {
    /// What the value covers now. Moves in steps, so that it need not be computed at each event.
    fn stretch(&self, now: Timestamp) -> Stretch {
        let now = civil::seconds(&self.zone, now);
        let next = |step: i64| (now.div_euclid(step) + 1) * step;
        if !matches!(self.kept, Kept::Total | Kept::Mean) {
            let from = now.div_euclid(civil::HOUR) * civil::HOUR;
            return Stretch { from, until: from + civil::HOUR };
        }
        match self.span {
            Span::Sliding(seconds) => {
                let until = next((seconds / PARTS).clamp(1, STEP_MAX));
                Stretch { from: until - seconds, until }
            }
            Span::Day => Stretch { from: now.div_euclid(DAY) * DAY, until: next(STEP_CALENDAR) },
            Span::Week => {
                // 1970-01-05 was a Monday.
                let from = (now - 4 * DAY).div_euclid(WEEK) * WEEK + 4 * DAY;
                Stretch { from, until: next(STEP_CALENDAR) }
            }
        }
    }

    /// Whether tollbell was ready while what is judged now happened. A reading is not made of what happened before.
    fn is_known(&self, outages: &Outages, now: Timestamp) -> bool {
        if self.kept == Kept::Reading {
            return true;
        }
        let civil_now = civil::seconds(&self.zone, now);
        let seconds = match self.span {
            Span::Sliding(seconds) => seconds,
            Span::Day => civil_now.rem_euclid(DAY),
            Span::Week => (civil_now - 4 * DAY).rem_euclid(WEEK),
        };
        let length = std::time::Duration::from_secs(seconds.unsigned_abs());
        !outages.any_between(clock::sub(now, length), now)
    }
}

impl History {
    /// What is usual now, by at least [`WEEKS_MIN`] weeks; `None` also while the window reaches into a time in which
    /// tollbell was not ready, with which nothing can be compared.
    pub(super) fn usual(
        &mut self,
        terms: &Terms,
        outages: &Outages,
        now: Timestamp,
    ) -> Option<Usual> {
        let stretch = terms.stretch(now);
        if let Some(cache) = self.cache.as_ref().filter(|cache| cache.stretch == stretch) {
            return cache.usual.filter(|_| terms.is_known(outages, now));
        }
        let hours = (civil::hour_of(stretch.from), civil::hour_of(stretch.until - 1));
        let known = self.cache.take().filter(|cache| cache.hours == hours);
        let parts = match known {
            Some(cache) => cache.parts,
            None => self.parts(terms, outages, hours),
        };
        let usual = median_of_weeks(terms.kept, &parts, stretch);
        self.cache = Some(Box::new(Cache { hours, parts, stretch, usual }));
        usual.filter(|_| terms.is_known(outages, now))
    }

    /// Forgets what was computed: the outages are others.
    pub fn forget_computed(&mut self) {
        self.cache = None;
    }

    /// These hours in each of the weeks before that counts, the last first.
    fn parts(&self, terms: &Terms, outages: &Outages, (first, last): (i64, i64)) -> Box<[Parts]> {
        (1..=i64::from(WEEKS_MAX))
            .map(|week| (first - week * WEEK_HOURS, last - week * WEEK_HOURS))
            .take_while(|(first, _)| *first >= self.from())
            .filter_map(|(first, last)| {
                let (from, until) =
                    civil::stretch(&terms.zone, first * civil::HOUR, (last + 1) * civil::HOUR)?;
                if outages.any_between(from, until) {
                    return None;
                }
                self.sum(first, last, terms.kept)
            })
            .collect()
    }

    /// These hours; `None` where one of them weighs nothing, or where nothing has a value.
    fn sum(&self, first: i64, last: i64, kept: Kept) -> Option<Parts> {
        let numbers = first.div_euclid(WEEK_HOURS)..=last.div_euclid(WEEK_HOURS);
        let weeks =
            || numbers.clone().filter_map(|number| Some((number, self.week(number * WEEK_HOURS)?)));
        let scale = weeks().map(|(_, week)| week.scale()).max().unwrap_or(0);
        let mut parts = Parts { units: [0; 3], counts: [0; 3], scale };
        let mut any = false;
        for (number, week) in weeks() {
            let factor = 10_i64.checked_pow(scale - week.scale())?;
            for (place, units) in week.iter() {
                let hour = number * WEEK_HOURS + i64::try_from(place).ok()?;
                if hour < first || hour > last {
                    continue;
                }
                let Units::Some(units, count) = units else { return None };
                let part = if hour == first {
                    0
                } else if hour == last {
                    2
                } else {
                    1
                };
                let sum = parts.units.get_mut(part)?;
                *sum = sum.checked_add(units.checked_mul(factor)?)?;
                let counted = parts.counts.get_mut(part)?;
                *counted = counted.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                any = true;
            }
        }
        (any || kept.counts_nothing()).then_some(parts)
    }
}

impl Parts {
    /// The value of a stretch of these hours; `None` where there is none.
    fn value(&self, kept: Kept, seconds: [i64; 3]) -> Option<Decimal> {
        let weigh = |of: [i128; 3]| {
            of.iter().zip(seconds).map(|(of, seconds)| of * i128::from(seconds)).sum::<i128>()
        };
        let sum = Decimal::try_from_i128_with_scale(weigh(self.units.map(i128::from)), self.scale)
            .ok()?;
        let (divisor, digits) = match kept {
            Kept::Total => (i128::from(civil::HOUR), DIGITS_MIN),
            Kept::Mean => (weigh(self.counts.map(i128::from)), MEAN_DIGITS),
            Kept::Reading | Kept::Greatest | Kept::Least => {
                return Decimal::try_from_i128_with_scale(i128::from(self.units[0]), self.scale)
                    .ok();
            }
        };
        let value = sum.checked_div(Decimal::try_from_i128_with_scale(divisor, 0).ok()?)?;
        let digits = self.scale.max(digits);
        Some(value.round_dp_with_strategy(digits, RoundingStrategy::MidpointNearestEven))
    }
}

fn median_of_weeks(kept: Kept, parts: &[Parts], Stretch { from, until }: Stretch) -> Option<Usual> {
    let (first, last) = (civil::hour_of(from), civil::hour_of(until - 1));
    let seconds = if first == last {
        [until - from, 0, 0]
    } else {
        [(first + 1) * civil::HOUR - from, civil::HOUR, until - last * civil::HOUR]
    };
    let mut values: Vec<Decimal> =
        parts.iter().filter_map(|parts| parts.value(kept, seconds)).collect();
    let weeks = u32::try_from(values.len()).unwrap_or(u32::MAX);
    if weeks < WEEKS_MIN {
        return None;
    }
    let value = median(&mut values)?;
    for one in &mut values {
        *one = (*one - value).abs();
    }
    let spread = median(&mut values)?;
    Some(Usual { value, spread, weeks })
}

/// The middle one; of an even number the mean of the two in the middle.
fn median(values: &mut [Decimal]) -> Option<Decimal> {
    values.sort_unstable();
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper.normalize());
    }
    let lower = *values.get(middle.checked_sub(1)?)?;
    Some(lower.checked_add(upper)?.checked_div(Decimal::TWO)?.normalize())
}
