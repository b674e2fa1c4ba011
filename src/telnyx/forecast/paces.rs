//! How certain a forecast is: the pace of a balance, looked at over several times.

use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::HOURS_MAX;
use crate::clock;
use crate::store::Reading;

/// The times over which a pace is looked at, for how certain a forecast is.
const PACES: [Duration; 3] =
    [Duration::from_hours(1), Duration::from_hours(6), Duration::from_hours(24)];

/// How fast a balance falls, looked at over several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paces {
    /// The slowest of them, in an hour.
    pub slowest: Option<Decimal>,
    /// The fastest.
    pub fastest: Option<Decimal>,
    /// That of the last day.
    pub day: Option<Decimal>,
}

impl Paces {
    /// By readings of the last days, oldest first, and the last of them with its own estimate.
    pub fn of(readings: &[Reading], last: &Reading) -> Self {
        let pace = |over: Duration| pace(readings, clock::sub(last.at, over));
        let paces = PACES.map(pace);
        let known = || paces.into_iter().flatten().chain(last.burn_per_hour);
        Self {
            slowest: known().min(),
            fastest: known().max(),
            day: paces.last().copied().flatten(),
        }
    }

    /// Hours that are left at the fastest pace and at the slowest; `None` where one of them is not known, or none is lost.
    pub fn hours(&self, last: &Reading) -> Option<[Decimal; 2]> {
        let at = |pace: Option<Decimal>| {
            let (left, pace) = (last.left()?, pace.filter(|pace| *pace > Decimal::ZERO)?);
            Some((left.max(Decimal::ZERO).checked_div(pace)?).min(HOURS_MAX))
        };
        Some([at(self.fastest)?, at(self.slowest)?])
    }
}

/// What was lost in an hour since then; across a rise nothing is known.
fn pace(readings: &[Reading], since: Timestamp) -> Option<Decimal> {
    let (mut fall, mut seconds) = (Decimal::ZERO, 0_i64);
    for pair in readings.windows(2) {
        let [one, next] = pair else { continue };
        let (Some(before), Some(after)) = (one.left(), next.left()) else { continue };
        if one.at >= since && after <= before {
            fall = fall.checked_add(before.checked_sub(after)?)?;
            seconds += next.at.duration_since(one.at).as_secs();
        }
    }
    // With less than a quarter of an hour nothing is certain.
    let known = seconds >= 900;
    known
        .then(|| fall.checked_mul(Decimal::from(3_600))?.checked_div(Decimal::from(seconds)))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: &str, left: &str) -> Reading {
        Reading {
            account: "prod".to_owned(),
            at: format!("2026-11-30T{at}Z").parse().expect(at),
            currency: Some("USD".to_owned()),
            balance: left.parse().ok(),
            available_credit: left.parse().ok(),
            credit_limit: Some(Decimal::ZERO),
            pending: None,
            burn_per_hour: "10".parse().ok(),
            hours_left: "5".parse().ok(),
        }
    }

    #[test]
    fn a_pace_is_the_falls_over_their_time_and_no_payment_counts() {
        let readings =
            [("10:00:00", "100"), ("10:30:00", "90"), ("11:00:00", "190"), ("11:30:00", "180")]
                .map(|(at, left)| reading(at, left));
        let since = |text: &str| format!("2026-11-30T{text}Z").parse().expect(text);
        assert_eq!(pace(&readings, since("09:00:00")), Some(Decimal::from(20)));
        assert_eq!(pace(&readings, since("11:00:00")), Some(Decimal::from(20)));
        assert_eq!(pace(&readings, since("11:20:00")), None, "too little is known");
    }

    #[test]
    fn what_is_left_lasts_between_the_fastest_pace_and_the_slowest() {
        let last = reading("11:30:00", "180");
        let paces =
            Paces { slowest: Some(Decimal::from(10)), fastest: Some(Decimal::from(20)), day: None };
        assert_eq!(paces.hours(&last), Some([Decimal::from(9), Decimal::from(18)]));
        let idle = Paces { slowest: Some(Decimal::ZERO), ..paces };
        assert_eq!(idle.hours(&last), None);
    }
}
