//! How near the pace is, for each way of spending: the bounds that docs/balance.md names.

use super::*;

/// 0.0710 a minute is 4.26 an hour; the jitter of two readings is 6 s of an hour.
#[test]
fn a_steady_pace_is_known_to_a_quarter_of_a_percent() {
    let readings = Account::new().minutes(0..30 * 60, steady(710));
    assert_burn(&readings, "4.2494", "4.2706");
    // Half an hour after the first start, too.
    assert_burn(&readings[..32], "4.22", "4.30");
}

/// One pace for busy hours: the mean of 60 minutes, half of them idle, has a standard error of 11 %.
#[test]
fn in_business_hours_the_pace_is_that_of_business_hours_to_thirty_percent() {
    let readings = Account::new().minutes(0..48 * 60, office);
    for hour in [11, 12, 13, 14, 15, 16, 34, 35, 37, 39, 40] {
        assert_burn(&readings[..hour * 60 + 30], "7.0", "13.0");
    }
}

/// 80 a day is 3.33 an hour. The sum of 480 minutes has a standard error of 4 %.
#[test]
fn at_night_the_pace_is_that_of_the_day_before_to_ten_percent() {
    let readings = Account::new().minutes(0..48 * 60, office);
    for hour in [27, 29, 31, 32] {
        assert_burn(&readings[..hour * 60 + 30], "3.0", "3.67");
    }
}

/// Each top-up hides one minute of 180.
#[test]
fn top_ups_change_a_steady_pace_by_less_than_half_a_percent() {
    let mut account = Account::new();
    let mut readings = Vec::new();
    for block in 0..9 {
        readings.extend(account.minutes(block * 180..(block + 1) * 180, steady(1_000)));
        account.balance += 500_000;
    }
    assert_burn(&readings, "5.97", "6.03");
}

/// In office hours, with a recharge of 20 whenever less than 10 is there: about four a day, each hiding a minute.
#[test]
fn automatic_recharge_changes_the_pace_of_business_hours_by_less_than_thirty_percent() {
    let mut account = Account::new();
    account.balance = 250_000;
    let mut readings = Vec::new();
    for minute in 0..40 * 60 {
        readings.extend(account.minutes(minute..minute + 1, office));
        if account.balance < 100_000 {
            account.balance += 200_000;
        }
    }
    for hour in [11, 13, 15, 35, 37, 39] {
        assert_burn(&readings[..hour * 60 + 30], "7.0", "13.0");
    }
}

/// A third of the readings is missing, and six hours in a row are.
#[test]
fn missing_readings_change_a_steady_pace_by_less_than_one_percent() {
    let mut random = fastrand::Rng::with_seed(1);
    let readings = Account::new().minutes(0..24 * 60, steady(710));
    let mut kept = Vec::new();
    for (minute, reading) in readings.into_iter().enumerate() {
        if !(600..960).contains(&minute) && random.u8(0..3) > 0 {
            kept.push(reading);
        }
    }
    assert_burn(&kept, "4.2174", "4.3026");
}

/// A gap of 8 h in which 34 was spent and 100 was paid: nothing is known of it, and it is not taken for idle.
#[test]
fn a_gap_with_a_top_up_changes_a_steady_pace_by_less_than_one_percent() {
    let mut account = Account::new();
    let mut readings = account.minutes(0..8 * 60, steady(710));
    account.minutes(8 * 60..16 * 60, steady(710));
    account.balance += 1_000_000;
    readings.extend(account.minutes(16 * 60..20 * 60, steady(710)));
    assert_burn(&readings, "4.2174", "4.3026");
}

/// Idle for 8 h without readings: the same balance proves it. The pace of 12 busy hours is spread over 20.
#[test]
fn a_gap_across_which_the_balance_stays_is_idle_to_one_percent() {
    let mut account = Account::new();
    let mut readings = account.minutes(0..12 * 60, steady(1_000));
    readings.extend(account.minutes(20 * 60..21 * 60 + 30, steady(0)));
    // 72 over 21.5 hours.
    assert_burn(&readings, "3.3153", "3.3823");
}

/// After an hour the new pace is there; halfway, half of it.
#[test]
fn a_pace_that_changed_an_hour_ago_shows_to_two_percent_and_half_of_it_after_half_an_hour() {
    let mut account = Account::new();
    let mut readings = account.minutes(0..20 * 60, steady(200));
    readings.extend(account.minutes(20 * 60..21 * 60 + 2, steady(4_000)));
    assert_burn(&readings[..20 * 60 + 30], "11.0", "13.0");
    assert_burn(&readings, "23.52", "24.48");
}

/// 1.20 an hour, and 100 for numbers: a day later forgotten, until then a twenty-fourth of it is in the pace of the day.
#[test]
fn one_dear_thing_is_no_pace_of_the_hour() {
    let mut account = Account::new();
    let mut readings = account.minutes(0..26 * 60, steady(200));
    account.balance -= 1_000_000;
    readings.extend(account.minutes(26 * 60..26 * 60 + 30, steady(200)));
    assert_burn(&readings, "1.2", "5.4");
}

/// Soon after a first start one fall of 30 is a twenty-fourth of it an hour at most, on top of what is spent anyway.
#[test]
fn one_dear_thing_is_no_pace_soon_after_the_first_start_either() {
    for (per_minute, least, most) in [(0, "0", "1.25"), (710, "4.20", "5.56")] {
        for quiet in [5, 32, 60, 180, 600, 1_200] {
            for after in [25, 40, 90] {
                let mut account = Account::new();
                let mut readings = account.minutes(0..quiet, steady(per_minute));
                account.balance -= 300_000;
                readings.extend(account.minutes(quiet..quiet + after, steady(per_minute)));
                // From the first reading after it on, where there is a forecast by then.
                for end in
                    [quiet + 1, quiet + after].map(|end| usize::try_from(end).expect("small"))
                {
                    if end > 32 {
                        assert_burn(&readings[..end], least, most);
                    }
                }
            }
        }
    }
    let mut account = Account::new();
    account.balance = 5_000_000;
    let mut readings = account.minutes(0..32, steady(0));
    readings.extend(account.minutes(32..33, steady(300_000)));
    let forecast = window(&readings).forecast(Some(decimal("470")), readings[32].at);
    assert_eq!(forecast.hours_left, Some(decimal("376")));
}

/// A gap of 8 h soon after the first start in which 34 was spent is no dear thing.
#[test]
fn the_fall_across_a_gap_is_spent_over_the_gap_soon_after_the_first_start_too() {
    let mut account = Account::new();
    let mut readings = account.minutes(0..5, steady(710));
    account.minutes(5..8 * 60, steady(710));
    readings.extend(account.minutes(8 * 60..8 * 60 + 10, steady(0)));
    assert_burn(&readings, "4.1", "4.26");
}

/// Each ten minutes, give or take one: the hour still has five stretches or six, of which four or five count.
#[test]
fn at_intervals_of_ten_minutes_a_changed_pace_shows_after_an_hour_to_ten_percent() {
    let mut account = Account::new();
    let mut readings = account.minutes(0..20 * 60, steady(200));
    readings.extend(account.minutes(20 * 60..21 * 60 + 15, steady(4_000)));
    for offset in [9, 10, 11] {
        let sparse: Vec<Reading> = readings.iter().rev().step_by(offset).rev().cloned().collect();
        assert_burn(&sparse, "21.6", "26.4");
    }
}

/// Read each hour the recent pace is not asked; the day's is exact.
#[test]
fn at_long_intervals_the_pace_of_the_day_counts_to_a_quarter_of_a_percent() {
    let readings = Account::new().minutes(0..24 * 60, steady(710));
    let hourly: Vec<Reading> = readings.into_iter().step_by(60).collect();
    assert_burn(&hourly, "4.2494", "4.2706");
}

/// The clock was 90 minutes ahead and is put right; then all that it said of these 90 minutes is forgotten.
#[test]
fn a_clock_that_steps_back_changes_a_steady_pace_by_less_than_one_percent() {
    let mut account = Account::new();
    let mut all = account.minutes(0..10 * 60, steady(710));
    all.extend(account.minutes(8 * 60 + 30..12 * 60, steady(710)));
    // From right after it, too.
    for end in [10 * 60 + 1, 10 * 60 + 20, 11 * 60, all.len()] {
        assert_burn(&all[..end], "4.2174", "4.3026");
    }
}

/// Six hours that never were look like idle ones: for half an hour the pace is too low by a quarter at most, as they are a
/// quarter of the day; then it is that of the last hour.
#[test]
fn a_clock_that_steps_ahead_hides_a_quarter_of_the_pace_for_half_an_hour() {
    let mut account = Account::new();
    let mut all = account.minutes(0..24 * 60, steady(710));
    all.extend(account.minutes(30 * 60..31 * 60, steady(710)));
    assert_burn(&all[..24 * 60 + 10], "3.19", "4.30");
    assert_burn(&all, "4.2174", "4.3026");
}
