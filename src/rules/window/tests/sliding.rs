//! Windows that slide.

use super::*;

#[test]
fn every_aggregate_of_the_same_values_and_of_none() {
    let over = sliding(60);
    // Own times; all arrive at 30.
    let values = [(30, "1.10"), (10, "-2.25"), (25, "1.1"), (5, "7")];
    for (aggregate, none, some) in [
        (Aggregate::Sum, Some("0"), "6.95"),
        (Aggregate::Min, None, "-2.25"),
        (Aggregate::Max, None, "7"),
        (Aggregate::Avg, None, "1.7375"),
        (Aggregate::Distinct, Some("0"), "3"),
        (Aggregate::Last, None, "1.10"),
        (Aggregate::Count, Some("0"), "4"),
    ] {
        let mut window = Window::new();
        let empty = window.level(&over, aggregate, second(30));
        assert_eq!(empty, Level { value: none.map(decimal), count: 0 }, "{aggregate:?}");
        for (own, value) in values {
            let added = window.add(&over, aggregate, &number(value), second(own), second(30));
            assert_eq!(added, Added::Counted);
        }
        let level = window.level(&over, aggregate, second(30));
        assert_eq!(level, Level { value: Some(decimal(some)), count: 4 }, "{aggregate:?}");
    }
}

#[test]
fn sums_of_money_are_exact_and_absurd_ones_stop_at_the_end() {
    let (over, now) = (sliding(3600), second(0));
    let mut window = Window::new();
    for _ in 0..1_000 {
        window.add(&over, Aggregate::Sum, &number("0.1"), now, now);
    }
    assert_eq!(window.level(&over, Aggregate::Sum, now).value, Some(decimal("100")));
    for aggregate in [Aggregate::Sum, Aggregate::Avg] {
        let mut window = Window::new();
        for own in [0, 0, -100, -1_000] {
            window.add(&over, aggregate, &Observed::Number(Decimal::MAX), second(own), now);
        }
        assert!(window.level(&over, aggregate, now).value.is_some());
    }
}

#[test]
fn an_event_counts_for_over_less_at_most_a_bucket() {
    // Buckets of one second; a bucket leaves when its first instant is as old as `over`.
    let over = sliding(60);
    for (own, last, gone) in [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:59.999999999Z", "2026-01-01T00:01:00Z"),
        ("2026-01-01T00:00:00.999999999Z", "2026-01-01T00:00:59.9Z", "2026-01-01T00:01:00Z"),
        ("1969-12-31T23:59:59.5Z", "1970-01-01T00:00:58.9Z", "1970-01-01T00:00:59Z"),
    ] {
        let mut window = Window::new();
        window.add(&over, Aggregate::Count, &Observed::Event, at(own), at(own));
        assert_eq!(window.next_change(&over), Some(at(gone)), "{own}");
        assert!(!window.is_empty(&over, at(last)));
        assert_eq!(window.level(&over, Aggregate::Count, at(last)).count, 1, "{own}");
        assert!(window.is_empty(&over, at(gone)));
        assert_eq!(window.level(&over, Aggregate::Count, at(gone)).count, 0, "{own}");
        assert_eq!(window.next_change(&over), None);
        assert_eq!(window, Window::new());
    }
}

#[test]
fn what_is_too_old_is_late_and_changes_nothing() {
    let over = sliding(60);
    for (own, added) in [(40, Added::Late), (41, Added::Counted), (100, Added::Counted)] {
        let mut window = Window::new();
        assert_eq!(
            window.add(&over, Aggregate::Sum, &number("1"), second(own), second(100)),
            added
        );
        let count = u64::from(added == Added::Counted);
        assert_eq!(window.level(&over, Aggregate::Sum, second(100)).count, count, "{own}");
    }
}

#[test]
fn what_is_ahead_of_now_counts_as_now() {
    let over = sliding(60);
    let mut window = Window::new();
    window.add(&over, Aggregate::Last, &number("1"), second(300), second(10));
    assert_eq!(window.next_change(&over), Some(second(70)));
    // An own time that is earlier does not make it the latest, until the other has left.
    window.add(&over, Aggregate::Last, &number("2"), second(20), second(20));
    let mut restarted = kept(&window);
    for window in [&mut window, &mut restarted] {
        assert_eq!(window.level(&over, Aggregate::Last, second(69)).value, Some(decimal("1")));
        assert_eq!(window.level(&over, Aggregate::Last, second(70)).value, Some(decimal("2")));
        assert_eq!(window.level(&over, Aggregate::Last, second(80)).value, None);
    }
}

#[test]
fn of_values_of_the_same_time_the_later_arrival_is_the_last() {
    let over = sliding(60);
    let mut window = Window::new();
    for (own, value, last) in [(5, "1", "1"), (5, "2", "2"), (4, "3", "2"), (5, "4", "4")] {
        window.add(&over, Aggregate::Last, &number(value), second(own), second(10));
        assert_eq!(
            window.level(&over, Aggregate::Last, second(10)).value,
            Some(decimal(last)),
            "{value}"
        );
    }
}

#[test]
fn values_are_told_apart_as_they_mean() {
    let (over, now) = (sliding(60), second(0));
    let text = |text: &str| Observed::Text(text.to_owned());
    let mut window = Window::new();
    for (value, distinct) in [
        (number("1"), 1),
        (number("1.00"), 1),
        (text("1"), 2),
        (text("+15550100"), 3),
        (text("+15550100"), 3),
        (text(""), 4),
        (Observed::Event, 4),
    ] {
        window.add(&over, Aggregate::Distinct, &value, now, now);
        let level = window.level(&over, Aggregate::Distinct, now);
        assert_eq!(level.value, Some(Decimal::from(distinct)), "{value:?}");
    }
}

#[test]
fn distinct_values_leave_with_their_latest_occurrence() {
    let over = sliding(60);
    let mut window = Window::new();
    for (value, own) in [("1", 0), ("2", 0), ("1", 30), ("1", 10)] {
        window.add(&over, Aggregate::Distinct, &number(value), second(own), second(30));
    }
    for (now, distinct) in [(59, 2), (60, 1), (89, 1), (90, 0)] {
        window = kept(&window);
        let level = window.level(&over, Aggregate::Distinct, second(now));
        assert_eq!(level.value, Some(Decimal::from(distinct)), "{now}");
    }
}

#[test]
fn distinct_stops_at_its_bound_and_goes_on_when_there_is_room() {
    let over = sliding(60);
    let mut window = Window::new();
    let value = |number: usize| Observed::Number(Decimal::from(number));
    for number in 0..DISTINCT_MAX + 10 {
        window.add(&over, Aggregate::Distinct, &value(number), second(0), second(0));
    }
    let level = window.level(&over, Aggregate::Distinct, second(0));
    assert_eq!(level.value, Some(Decimal::from(DISTINCT_MAX)));
    assert_eq!(level.count, 10_010);
    let json = serde_json::to_string(&window).expect("json");
    assert!(json.len() < 110_000, "{}", json.len());
    assert_eq!(kept(&window), window);
    window.add(&over, Aggregate::Distinct, &value(99_999), second(60), second(60));
    let level = window.level(&over, Aggregate::Distinct, second(60));
    assert_eq!(level, Level { value: Some(Decimal::ONE), count: 1 });
}

#[test]
fn only_what_is_needed_is_kept() {
    let over = sliding(900);
    let mut window = Window::new();
    assert_eq!(serde_json::to_string(&window).expect("json"), "{}");
    for (value, own) in [("1.10", 0), ("2", 14), ("0.5", 40)] {
        window.add(&over, Aggregate::Sum, &number(value), second(own), second(60));
    }
    assert_eq!(
        serde_json::to_string(&window).expect("json"),
        r#"{"buckets":[[0,2,"3.10"],[2,1,"0.5"]]}"#
    );
    let mut window = Window::new();
    for (value, own) in [("1", 0), ("2", 30)] {
        window.add(&over, Aggregate::Last, &number(value), second(own), second(60));
    }
    assert_eq!(
        serde_json::to_string(&window).expect("json"),
        r#"{"buckets":[[0,1],[2,1,"2","1970-01-01T00:00:30Z"]]}"#
    );
}

#[test]
fn many_events_make_few_buckets() {
    for aggregate in AGGREGATES {
        let over = sliding(3600);
        let mut window = Window::new();
        for step in 0..100_000_i64 {
            let now = second(step);
            // A third arrives late, a third ahead of its time.
            let own = second(step + (step % 3 - 1) * 1_000);
            window.add(&over, aggregate, &Observed::Number(Decimal::from(step % 7)), own, now);
            assert!(window.buckets.len() <= 60);
        }
        assert!(serde_json::to_string(&window).expect("json").len() < 4_000, "{aggregate:?}");
    }
}

#[test]
fn extreme_times_and_lengths_do_no_harm() {
    let lengths = [Duration::ZERO, Duration::from_nanos(7), Duration::from_secs(1), Duration::MAX];
    let mut overs: Vec<Over> = lengths.map(Over::Sliding).to_vec();
    for period in [Period::Day, Period::Week, Period::Month] {
        overs.push(calendar(period, "Pacific/Apia"));
    }
    let times = [Timestamp::MIN, second(0), Timestamp::MAX];
    for over in &overs {
        for (own, now) in times.iter().flat_map(|own| times.map(|now| (*own, now))) {
            for aggregate in AGGREGATES {
                let mut window = Window::new();
                window.add(over, aggregate, &number("1"), own, now);
                window.level(over, aggregate, now);
                let next = window.next_change(over);
                assert!(next.is_none_or(|next| next > now || now == Timestamp::MAX), "{over:?}");
            }
        }
    }
}
