//! How a rule's value was distributed, and what other thresholds would have done. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;

/// Bars of the chart.
const BARS: usize = 12;
/// Width of the longest bar, in characters.
const BAR_CHARS: usize = 40;
/// Thresholds that are tried at most, beside the one in force.
const TRIED_MAX: usize = 10;
/// How often a threshold may fire in a week, outside of bad hours, to be suggested: once in five weeks.
const FALSE_A_WEEK: Decimal = Decimal::from_parts(2, 0, 0, false, 1);
const WEEK_SECONDS: i64 = 604_800;

/// Which side of a threshold fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    /// `value > threshold`
    Above,
    /// `value < threshold`
    Below,
}

/// Hours of which somebody knows that they were bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Bad {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// The farthest value of each series in each minute in which it was judged.
#[derive(Debug, Clone, Default)]
pub(super) struct Levels(BTreeMap<(usize, i64), Decimal>);

/// What a threshold would have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Tried {
    pub(super) threshold: Decimal,
    /// Alerts that would have begun in all.
    pub(super) fired: usize,
    /// Of these outside of bad hours.
    pub(super) outside: usize,
    /// Bad hours in which none would have begun, or gone on.
    pub(super) missed: Vec<Bad>,
}

impl Side {
    /// Whether a value is on this side of a threshold.
    fn is_beyond(self, value: Decimal, threshold: Decimal) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::Below => value < threshold,
        }
    }
}

impl Levels {
    /// Takes a value of a series.
    pub(super) fn take(&mut self, side: Side, series: usize, at: Timestamp, value: Decimal) {
        let kept = self.0.entry((series, at.as_second().div_euclid(60))).or_insert(value);
        if side.is_beyond(value, *kept) {
            *kept = value;
        }
    }

    /// All values, the least first.
    fn sorted(&self) -> Vec<Decimal> {
        let mut values: Vec<Decimal> = self.0.values().copied().collect();
        values.sort_unstable();
        values
    }

    /// The values below which so many hundredths are, and the greatest.
    pub(super) fn percentiles(&self) -> Vec<(String, Decimal)> {
        let values = self.sorted();
        let last = values.len().saturating_sub(1);
        let at = |part: usize| values.get((values.len() * part / 1_000).min(last));
        let named = [("50 %", 500), ("90 %", 900), ("99 %", 990), ("99.9 %", 999), ("all", 1_000)];
        named.iter().filter_map(|(name, part)| Some(((*name).to_owned(), *at(*part)?))).collect()
    }

    /// The chart: from, to and how many minutes, in equal parts of the range up to the value that 99.9 % are below, and one
    /// more for what is beyond.
    pub(super) fn chart(&self) -> Vec<(Decimal, Decimal, usize)> {
        let values = self.sorted();
        let (Some(first), Some(last)) = (values.first(), values.last()) else { return Vec::new() };
        let nearly = values.get(values.len() * 999 / 1_000).unwrap_or(last);
        let width = (nearly - first).checked_div(Decimal::from(BARS)).unwrap_or_default();
        if width.is_zero() {
            return vec![(*first, *last, values.len())];
        }
        let edge = |n: usize| first + width * Decimal::from(n);
        let mut bars: Vec<(Decimal, Decimal, usize)> =
            (0..BARS).map(|n| (edge(n), edge(n + 1), 0)).collect();
        if last > nearly {
            bars.push((*nearly, *last, 0));
        }
        for value in &values {
            let place = bars.iter().rposition(|(from, ..)| from <= value).unwrap_or(0);
            if let Some(bar) = bars.get_mut(place) {
                bar.2 += 1;
            }
        }
        bars
    }

    /// What a threshold would have done. An alert ends when its value is back.
    pub(super) fn at_threshold(&self, side: Side, threshold: Decimal, bad: &[Bad]) -> Tried {
        let is_in = |minute: i64, bad: &Bad| {
            (bad.from.as_second() / 60..=(bad.to.as_second() - 1) / 60).contains(&minute)
        };
        let (mut fired, mut outside) = (0, 0);
        let mut found = vec![false; bad.len()];
        let mut before: Option<usize> = None;
        for ((series, minute), value) in &self.0 {
            let beyond = side.is_beyond(*value, threshold);
            if beyond {
                let mut inside = false;
                for (bad, found) in
                    bad.iter().zip(&mut found).filter(|(bad, _)| is_in(*minute, bad))
                {
                    (inside, *found) = (true, bad.from < bad.to);
                }
                if before != Some(*series) {
                    fired += 1;
                    outside += usize::from(!inside);
                }
            }
            before = beyond.then_some(*series);
        }
        let missed = bad.iter().zip(found).filter(|(_, found)| !found).map(|(bad, _)| *bad);
        Tried { threshold, fired, outside, missed: missed.collect() }
    }

    /// Thresholds worth a look: round numbers on the far side of the middle.
    pub(super) fn candidates(&self, side: Side) -> Vec<Decimal> {
        let values = self.sorted();
        let (Some(middle), Some(first), Some(last)) =
            (values.get(values.len() / 2), values.first(), values.last())
        else {
            return Vec::new();
        };
        let (from, to) = match side {
            Side::Above => (*middle, *last * Decimal::TWO),
            Side::Below => (*first / Decimal::TWO, *middle),
        };
        let mut round = round_numbers(from, to);
        if side == Side::Above {
            // The higher ones decide.
            round.reverse();
        }
        round.truncate(TRIED_MAX);
        round.sort_unstable();
        round
    }
}

/// 1, 1.5, 2, 3, 5, 7 and these times powers of ten, between two numbers that are not negative.
fn round_numbers(from: Decimal, to: Decimal) -> Vec<Decimal> {
    let mut found = Vec::new();
    let mut power = Decimal::new(1, 4);
    while power <= to {
        for tenths in [10, 15, 20, 30, 50, 70] {
            let number = power * Decimal::new(tenths, 1);
            if number >= from && number <= to && number > Decimal::ZERO {
                found.push(number.normalize());
            }
        }
        let Some(next) = power.checked_mul(Decimal::TEN) else { break };
        power = next;
    }
    found
}

/// The threshold to take, and why; nothing where none is better than what is there.
pub(super) fn suggest(
    side: Side,
    tried: &[Tried],
    bad: &[Bad],
    seconds: i64,
) -> Option<(Decimal, String)> {
    let weeks = (Decimal::from(seconds) / Decimal::from(WEEK_SECONDS)).max(Decimal::ONE);
    let is_quiet =
        |one: &&Tried| Decimal::from(one.outside) <= (weeks * FALSE_A_WEEK).max(Decimal::ONE);
    let mut nearest: Vec<&Tried> = tried.iter().collect();
    // From the most sensitive one on.
    nearest.sort_unstable_by_key(|one| one.threshold);
    if side == Side::Below {
        nearest.reverse();
    }
    let found = |one: &Tried| bad.len() - one.missed.len();
    let best = nearest.iter().filter(|one| is_quiet(one)).max_by(|a, b| {
        // More bad hours first, then fewer others, then the more sensitive one.
        let rank = |one: &Tried| (found(one), std::cmp::Reverse(one.outside));
        rank(a).cmp(&rank(b)).then(std::cmp::Ordering::Greater)
    })?;
    let times =
        |count: usize| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let mut why = format!("it would have fired {} outside of bad hours", times(best.outside));
    if bad.is_empty() {
        why = format!(
            "it would have fired {}, and none that is more sensitive is as quiet",
            times(best.fired)
        );
    } else {
        let of = bad.len();
        why = format!("{why}, and finds {} of {of} bad hours", found(best));
    }
    Some((best.threshold, why))
}

/// A bar of the chart.
pub(super) fn bar(count: usize, most: usize) -> String {
    let chars = (count * BAR_CHARS).div_ceil(most.max(1));
    "█".repeat(chars)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).expect("in range")
    }

    /// 1 to 10 in turn, each for a minute, and 40 and 90 once.
    fn levels() -> Levels {
        let mut levels = Levels::default();
        for minute in 0..1_000 {
            let value = match minute {
                300 => 40,
                700 => 90,
                minute => minute % 10 + 1,
            };
            levels.take(Side::Above, 0, at(minute), Decimal::from(value));
            levels.take(Side::Above, 0, at(minute), Decimal::ONE);
        }
        levels
    }

    #[test]
    fn thresholds_are_tried_on_what_was() {
        let bad = [
            Bad { from: at(690), to: at(710) },
            Bad { from: at(295), to: at(301) },
            Bad { from: at(100), to: at(101) },
        ];
        let levels = levels();
        let tried =
            |threshold: i64| levels.at_threshold(Side::Above, Decimal::from(threshold), &bad);
        assert_eq!((tried(50).fired, tried(50).outside, tried(50).missed.len()), (1, 0, 2));
        assert_eq!((tried(20).fired, tried(20).outside, tried(20).missed), (2, 0, vec![bad[2]]));
        assert_eq!((tried(9).fired, tried(9).outside), (100, 97));
        assert_eq!(tried(90).fired, 0);
        let below = levels.at_threshold(Side::Below, Decimal::TWO, &[]);
        // A minute of ten, but for the two that had more.
        assert_eq!(below.fired, 98);
    }

    #[test]
    fn the_suggestion_finds_what_was_bad_and_is_quiet() {
        let levels = levels();
        let bad = [Bad { from: at(295), to: at(305) }];
        let tried: Vec<Tried> = levels
            .candidates(Side::Above)
            .into_iter()
            .map(|threshold| levels.at_threshold(Side::Above, threshold, &bad))
            .collect();
        let (threshold, why) =
            suggest(Side::Above, &tried, &bad, WEEK_SECONDS).expect("there is one");
        assert_eq!(threshold, Decimal::from(10));
        assert_eq!(
            why,
            "it would have fired once outside of bad hours, and finds 1 of 1 bad hours"
        );
        assert_eq!(suggest(Side::Above, &[], &bad, WEEK_SECONDS), None);
    }

    #[test]
    fn the_chart_has_all_values_and_the_percentiles_their_places() {
        let levels = levels();
        let chart = levels.chart();
        assert_eq!(chart.iter().map(|(.., count)| count).sum::<usize>(), 1_000);
        let percentiles = levels.percentiles();
        assert_eq!(percentiles[0].1, Decimal::from(6));
        assert_eq!(percentiles[4].1, Decimal::from(90));
        assert!(Levels::default().chart().is_empty() && Levels::default().percentiles().is_empty());
        let mut flat = Levels::default();
        flat.take(Side::Below, 0, at(0), Decimal::ONE);
        assert_eq!(flat.chart(), [(Decimal::ONE, Decimal::ONE, 1)]);
        assert_eq!(bar(1, 1_000), "█");
        assert_eq!(bar(0, 1_000), "");
    }
}
