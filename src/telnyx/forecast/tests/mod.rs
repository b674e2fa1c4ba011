mod pace;
mod left;

use std::ops::Range;

use proptest::prelude::*;

use super::*;

/// A Tuesday, midnight.
const START: i64 = 1_771_286_400;
const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).expect("time")
}

fn decimal(text: &str) -> Decimal {
    text.parse().expect("decimal")
}

/// Ten-thousandths of the currency: what Telnyx's prices are made of.
fn tenths_of_mills(units: i64) -> Decimal {
    Decimal::new(units, 4)
}

fn reading(seconds: i64, balance: Decimal) -> Reading {
    Reading {
        account: "default".to_owned(),
        at: at(seconds),
        currency: Some("USD".to_owned()),
        balance: Some(balance),
        available_credit: Some(balance),
        credit_limit: None,
        pending: None,
        burn_per_hour: None,
        hours_left: None,
    }
}

/// An account as it would be recorded; amounts in ten-thousandths.
struct Account {
    balance: i64,
    random: fastrand::Rng,
}

impl Account {
    /// With a balance of 1,000.
    fn new() -> Self {
        Self { balance: 10_000_000, random: fastrand::Rng::with_seed(7) }
    }

    /// Reads each minute of a range of minutes, give or take a tenth; `spend` gives what a minute costs.
    fn minutes(
        &mut self,
        minutes: Range<i64>,
        mut spend: impl FnMut(i64, &mut fastrand::Rng) -> i64,
    ) -> Vec<Reading> {
        let mut readings = Vec::new();
        for minute in minutes {
            self.balance -= spend(minute, &mut self.random);
            let jitter = self.random.i64(-3..=3);
            readings.push(reading(minute * MINUTE + jitter, tenths_of_mills(self.balance)));
        }
        readings
    }
}

fn steady(per_minute: i64) -> impl FnMut(i64, &mut fastrand::Rng) -> i64 {
    move |_, _| per_minute
}

/// Calls in business hours, 9 to 17: in half of the minutes, of very different prices, 10 an hour on average.
fn office(minute: i64, random: &mut fastrand::Rng) -> i64 {
    let busy = (9..17).contains(&(minute / 60 % 24));
    if busy && random.bool() { random.i64(0..=6_666) } else { 0 }
}

fn window(readings: &[Reading]) -> Window {
    let mut window = Window::default();
    for reading in readings {
        window.take(reading);
    }
    window
}

/// The pace that readings tell at the last of them.
fn burn(readings: &[Reading]) -> Option<Decimal> {
    let now = readings.last().expect("a reading").at;
    window(readings).forecast(None, now).burn_per_hour
}

/// Holds when the pace is between two.
#[track_caller]
fn assert_burn(readings: &[Reading], least: &str, most: &str) {
    let burn = burn(readings).expect("enough readings");
    assert!(decimal(least) <= burn && burn <= decimal(most), "{burn} is not in {least}..={most}");
}
