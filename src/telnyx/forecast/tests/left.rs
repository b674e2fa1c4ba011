//! When there is a forecast, and what is left.

use super::*;

#[test]
fn nothing_is_said_until_there_are_enough_readings_over_enough_time() {
    let readings = Account::new().minutes(0..40, steady(710));
    let forecast = |readings: &[Reading]| {
        let now = readings.last().expect("a reading").at;
        window(readings).forecast(Some(Decimal::TEN), now)
    };
    let none = |readings| Forecast { burn_per_hour: None, hours_left: None, readings };
    assert_eq!(forecast(&readings[..29]), none(29));
    assert!(forecast(&readings[..32]).hours_left.is_some());
    // Over enough time, but too few.
    let few: Vec<Reading> = readings.iter().step_by(9).cloned().collect();
    assert_eq!(forecast(&few), none(5));
    // Rises alone tell no pace.
    let rises = Account::new().minutes(0..90, steady(-10));
    assert_eq!(forecast(&rises), none(90));
    assert_eq!(Window::default().forecast(Some(Decimal::TEN), at(0)), none(0));
}

#[test]
fn what_burns_nothing_lasts_for_exactly_a_year_of_hours() {
    let mut readings = Account::new().minutes(0..40, steady(0));
    let now = readings[39].at;
    let said = |readings: &[Reading], left: &str| {
        let forecast = window(readings).forecast(Some(decimal(left)), now);
        let text = |it: Option<Decimal>| it.expect("known").to_string();
        (text(forecast.burn_per_hour), text(forecast.hours_left))
    };
    assert_eq!(said(&readings, "0.01"), ("0".to_owned(), "8760".to_owned()));
    assert_eq!(said(&readings, "0.00").1, "0");
    assert_eq!(said(&readings, "-3").1, "0");
    readings = Account::new().minutes(0..40, steady(1));
    assert_eq!(said(&readings, "1000000000").1, "8760");
}

#[test]
fn hours_are_what_is_left_over_the_pace_rounded_down() {
    let readings: Vec<Reading> = (0..61)
        .map(|minute| reading(minute * MINUTE, tenths_of_mills(1_000_000 - minute * 500)))
        .collect();
    let forecast = window(&readings).forecast(Some(decimal("20.0")), at(HOUR));
    assert_eq!(
        forecast,
        Forecast {
            burn_per_hour: Some(decimal("3")),
            hours_left: Some(decimal("6.66")),
            readings: 61
        }
    );
}

#[test]
fn what_is_left_is_the_available_credit_else_what_is_known() {
    let mut reading = reading(0, decimal("-2.00"));
    reading.available_credit = Some(decimal("48.00"));
    reading.credit_limit = Some(decimal("50.00"));
    assert_eq!(reading.left(), Some(decimal("48.00")));
    reading.available_credit = None;
    assert_eq!(reading.left(), Some(decimal("48.00")));
    reading.credit_limit = None;
    assert_eq!(reading.left(), Some(decimal("-2.00")));
    reading.balance = None;
    assert_eq!(reading.left(), None);
}

#[test]
fn another_currency_begins_anew_and_a_reading_without_a_balance_is_left_out() {
    let mut readings = Account::new().minutes(0..60, steady(710));
    for reading in readings.iter_mut().skip(40) {
        reading.currency = Some("EUR".to_owned());
    }
    let now = readings[59].at;
    let forecast = window(&readings).forecast(None, now);
    assert_eq!((forecast.burn_per_hour, forecast.readings), (None, 20));

    let mut readings = Account::new().minutes(0..60, steady(710));
    for reading in readings.iter_mut().skip(20).take(10) {
        // A raised limit is no payment, and a balance that is not told no zero.
        reading.balance = None;
        reading.available_credit = Some(decimal("5000.00"));
    }
    assert_eq!(window(&readings).forecast(None, now).readings, 50);
    assert_burn(&readings, "4.2174", "4.3026");
}

#[test]
fn a_window_forgets_what_is_older_than_a_day() {
    let mut account = Account::new();
    let mut readings = account.minutes(0..24 * 60, steady(5_000));
    readings.extend(account.minutes(24 * 60..49 * 60, steady(100)));
    assert_burn(&readings, "0.594", "0.606");
    assert!(window(&readings).points.len() <= 24 * 60 + 1);
}

proptest! {
    /// Whatever the readings are: no negative pace, hours in bounds, no panic.
    #[test]
    fn a_forecast_is_never_negative_and_never_beyond_its_bounds(
        moves in prop::collection::vec((-400_i64..4_000, -20_000_000_000_i64..20_000_000_000, 0_u32..6), 0..80),
        left in -10_000_000_000_i64..10_000_000_000,
    ) {
        let (mut seconds, mut window) = (0, Window::default());
        for (step, units, scale) in moves {
            seconds += step;
            window.take(&reading(seconds, Decimal::new(units, scale)));
        }
        let forecast = window.forecast(Some(tenths_of_mills(left)), at(seconds));
        prop_assert!(forecast.burn_per_hour.is_none_or(|burn| burn >= Decimal::ZERO));
        prop_assert!(forecast.hours_left.is_none_or(|hours| (Decimal::ZERO..=HOURS_MAX).contains(&hours)));
        prop_assert_eq!(forecast.burn_per_hour.is_some(), forecast.hours_left.is_some());
    }

    /// Top-ups at any minutes, larger than what a gap may hide, and any readings missing but the last hour's: a steady pace
    /// stays within 2 %.
    #[test]
    fn a_steady_pace_is_known_to_two_percent_whatever_is_paid_and_missing(
        per_minute in 10_i64..50_000,
        paid in prop::collection::btree_map(0_i64..360, 100_000_i64..10_000_000, 0..6),
        missing in prop::collection::btree_set(0_i64..300, 0..200),
    ) {
        let mut account = Account::new();
        let mut readings = Vec::new();
        for minute in 0..361 {
            let paid = paid.get(&minute).map_or(0, |paid| paid + per_minute * 301);
            let read = account.minutes(minute..minute + 1, steady(per_minute - paid));
            if !missing.contains(&minute) {
                readings.extend(read);
            }
        }
        let burn = burn(&readings).expect("enough");
        let exact = tenths_of_mills(per_minute * 60);
        let error = (burn - exact).abs() / exact;
        prop_assert!(error <= decimal("0.02"), "{burn} {exact}");
    }
}
