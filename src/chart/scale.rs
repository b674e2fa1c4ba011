//! Axes: which values get a tick, and where a value lies.

use jiff::{Timestamp, tz::TimeZone};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

/// Steps between two ticks of an axis of values at most.
const STEPS_MAX: u8 = 5;
/// Ticks of an axis of time at most.
const TIMES_MAX: i64 = 9;

/// An axis of values, from the bottom to the top.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    /// The ticks, lowest first, all with the same decimal places.
    pub(super) ticks: Vec<Decimal>,
    low: f64,
    high: f64,
    bottom: f64,
    top: f64,
}

impl Scale {
    /// An axis on which zero and all of `values` lie, drawn from `bottom` up to `top`.
    pub(super) fn new(values: impl Iterator<Item = Decimal>, bottom: f64, top: f64) -> Self {
        let (mut low, mut high) = (Decimal::ZERO, Decimal::ZERO);
        for value in values {
            low = low.min(value);
            high = high.max(value);
        }
        if low == high {
            high = Decimal::ONE;
        }
        let step = step(high.saturating_sub(low));
        let first = (low / step).floor();
        let last = (high / step).ceil();
        let places = step.normalize().scale();
        let mut ticks = Vec::new();
        let mut at = first;
        while at <= last && ticks.len() <= usize::from(STEPS_MAX) + 2 {
            let mut tick = at.saturating_mul(step);
            tick.rescale(places);
            ticks.push(tick);
            at += Decimal::ONE;
        }
        let ends = |tick: Option<&Decimal>, other| tick.map_or(other, |tick| number(*tick));
        let (low, high) = (ends(ticks.first(), 0.0), ends(ticks.last(), 1.0));
        Self { ticks, low, high, bottom, top }
    }

    /// Where a value lies.
    pub(super) fn at(&self, value: Decimal) -> f64 {
        self.of(number(value))
    }

    pub(super) fn of(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.bottom - share * (self.bottom - self.top)
    }
}

/// A round step, by which a span has [`STEPS_MAX`] steps at most.
fn step(span: Decimal) -> Decimal {
    let wanted = span / Decimal::from(STEPS_MAX);
    let mut unit = Decimal::ONE;
    // Amounts end at 28 digits, so these loops do.
    while unit > wanted && unit.scale() < 20 {
        unit /= Decimal::TEN;
    }
    while unit.saturating_mul(Decimal::TEN) <= wanted {
        unit = unit.saturating_mul(Decimal::TEN);
    }
    for times in [1_u8, 2, 5] {
        let step = unit.saturating_mul(Decimal::from(times));
        if step >= wanted {
            return step;
        }
    }
    unit.saturating_mul(Decimal::TEN)
}

/// Where on the picture, never what a label says.
pub(super) fn number(value: Decimal) -> f64 {
    value.to_f64().unwrap_or_default()
}

/// An axis of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) left: f64,
    pub(super) right: f64,
}

/// A tick of an axis of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeTick {
    pub(super) at: Timestamp,
    pub(super) label: String,
    /// The label names what begins here and lasts until the next tick.
    pub(super) lasts: bool,
}

impl Times {
    pub(super) fn at(&self, at: Timestamp) -> f64 {
        let micros = |at: Timestamp| at.as_microsecond();
        let (from, to) = (micros(self.from), micros(self.to));
        let whole = to.saturating_sub(from).max(1);
        let part = micros(at).saturating_sub(from);
        let share = share_of(part, whole).clamp(0.0, 1.0);
        self.left + share * (self.right - self.left)
    }

    /// Ticks at round times of UTC.
    pub(super) fn ticks(&self, room: i64) -> Vec<TimeTick> {
        const STEPS: [(i64, &str); 12] = [
            (60, "%H:%M"),
            (300, "%H:%M"),
            (900, "%H:%M"),
            (1_800, "%H:%M"),
            (3_600, "%H:%M"),
            (3 * 3_600, "%H:%M"),
            (6 * 3_600, "%a %H:%M"),
            (86_400, "%a %-d"),
            (2 * 86_400, "%a %-d"),
            (7 * 86_400, "%-d %b"),
            (14 * 86_400, "%-d %b"),
            (28 * 86_400, "%-d %b"),
        ];
        let span = self.to.as_second().saturating_sub(self.from.as_second()).max(1);
        let most = room.clamp(1, TIMES_MAX);
        let fits = |(step, _): &&(i64, &str)| span / step <= most;
        let (step, format) = STEPS.iter().find(fits).copied().unwrap_or((28 * 86_400, "%-d %b"));
        let first = self.from.as_second().div_euclid(step).saturating_mul(step);
        let lasts = step == 86_400;
        (0..=most.saturating_add(2))
            .filter_map(|n| {
                Timestamp::from_second(first.saturating_add(step.saturating_mul(n))).ok()
            })
            .filter(|at| (*at >= self.from || lasts) && *at <= self.to)
            .map(|at| {
                let label = at.to_zoned(TimeZone::UTC).strftime(format).to_string();
                TimeTick { at, label, lasts }
            })
            .collect()
    }
}

/// A part of a whole, where both are lengths of time.
#[expect(clippy::cast_precision_loss, reason = "a place on a picture of some hundred points")]
fn share_of(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(values: &[&str]) -> String {
        let values = values.iter().map(|value| value.parse().expect("decimal"));
        let scale = Scale::new(values, 100.0, 0.0);
        scale.ticks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_axis_of_values_has_round_ticks_and_zero() {
        for (values, want) in [
            (&[][..], "0.0 0.2 0.4 0.6 0.8 1.0"),
            (&["0", "0"], "0.0 0.2 0.4 0.6 0.8 1.0"),
            (&["1180.40", "1862.40"], "0 500 1000 1500 2000"),
            (&["35.95", "20"], "0 10 20 30 40"),
            (&["-12", "30"], "-20 -10 0 10 20 30"),
            (&["0.0042"], "0.000 0.001 0.002 0.003 0.004 0.005"),
            (
                &["79228162514264337593543950335"],
                "0 20000000000000000000000000000 40000000000000000000000000000 60000000000000000000000000000 79228162514264337593543950335",
            ),
        ] {
            assert_eq!(ticks(values), want, "{values:?}");
        }
    }

    #[test]
    fn zero_is_at_the_bottom_and_the_highest_tick_at_the_top() {
        let scale = Scale::new(["40".parse().expect("decimal")].into_iter(), 200.0, 20.0);
        let at = |value: i64| scale.at(value.into());
        assert!((at(0) - 200.0).abs() < 1e-9 && (at(40) - 20.0).abs() < 1e-9);
        assert!((at(20) - 110.0).abs() < 1e-9);
    }

    #[test]
    fn an_axis_of_time_has_round_times() {
        let labels = |from: &str, to: &str, room| {
            let (from, to) = (from.parse().expect("time"), to.parse().expect("time"));
            let times = Times { from, to, left: 0.0, right: 100.0 };
            let ticks = times.ticks(room);
            ticks.iter().map(|tick| tick.label.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            labels("2026-11-30T09:42:07Z", "2026-11-30T10:42:07Z", 6),
            "09:45 10:00 10:15 10:30"
        );
        assert_eq!(
            labels("2026-11-23T10:42:07Z", "2026-12-01T10:42:07Z", 9),
            "Mon 23 Tue 24 Wed 25 Thu 26 Fri 27 Sat 28 Sun 29 Mon 30 Tue 1"
        );
        assert_eq!(labels("2026-11-30T10:42:07Z", "2026-11-30T10:42:07Z", 6), "");
    }
}
