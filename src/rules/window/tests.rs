use proptest::prelude::*;

use super::seen::DISTINCT_MAX;
use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("time")
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn decimal(text: &str) -> Decimal {
    text.parse().expect("decimal")
}

fn number(text: &str) -> Observed {
    Observed::Number(decimal(text))
}

fn sliding(seconds: u64) -> Over {
    Over::Sliding(Duration::from_secs(seconds))
}

fn calendar(period: Period, zone: &str) -> Over {
    Over::Calendar(period, TimeZone::get(zone).expect("zone"))
}

fn kept(window: &Window) -> Window {
    serde_json::from_str(&serde_json::to_string(window).expect("json")).expect("window")
}

const AGGREGATES: [Aggregate; 7] = [
    Aggregate::Sum,
    Aggregate::Min,
    Aggregate::Max,
    Aggregate::Avg,
    Aggregate::Distinct,
    Aggregate::Last,
    Aggregate::Count,
];

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

/// Zone, a time inside of a period, its last second, and when the next begins.
const PERIODS: [(Period, &str, &str, &str, &str); 9] = [
    // The plain case.
    (Period::Day, "UTC", "2026-01-01T00:00:00Z", "2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z"),
    // 23 hours, and 25.
    (
        Period::Day,
        "America/New_York",
        "2026-03-08T05:00:00Z",
        "2026-03-09T03:59:59Z",
        "2026-03-09T04:00:00Z",
    ),
    (
        Period::Day,
        "Europe/Berlin",
        "2026-10-24T22:00:00Z",
        "2026-10-25T22:59:59Z",
        "2026-10-25T23:00:00Z",
    ),
    // Monday to Monday, across the change.
    (
        Period::Week,
        "Europe/Berlin",
        "2026-03-22T23:00:00Z",
        "2026-03-29T21:59:59Z",
        "2026-03-29T22:00:00Z",
    ),
    (Period::Week, "UTC", "2027-01-03T12:00:00Z", "2027-01-03T23:59:59Z", "2027-01-04T00:00:00Z"),
    (
        Period::Month,
        "America/New_York",
        "2026-11-01T04:00:00Z",
        "2026-12-01T04:59:59Z",
        "2026-12-01T05:00:00Z",
    ),
    (Period::Month, "UTC", "2028-02-01T00:00:00Z", "2028-02-29T23:59:59Z", "2028-03-01T00:00:00Z"),
    // Midnight does not exist: the day begins at one.
    (
        Period::Day,
        "Africa/Cairo",
        "2026-04-23T12:00:00Z",
        "2026-04-23T21:59:59Z",
        "2026-04-23T22:00:00Z",
    ),
    // A whole date does not exist.
    (
        Period::Day,
        "Pacific/Apia",
        "2011-12-29T12:00:00Z",
        "2011-12-30T09:59:59Z",
        "2011-12-30T10:00:00Z",
    ),
];

#[test]
fn calendar_windows_begin_anew_at_the_boundary() {
    for (period, zone, inside, last, boundary) in PERIODS {
        let over = calendar(period, zone);
        let mut window = Window::new();
        let (inside, last, boundary) = (at(inside), at(last), at(boundary));
        assert_eq!(window.add(&over, Aggregate::Sum, &number("1"), inside, inside), Added::Counted);
        assert_eq!(window.next_change(&over), Some(boundary), "{zone} {inside}");
        assert_eq!(window.add(&over, Aggregate::Sum, &number("2"), inside, last), Added::Counted);
        assert_eq!(
            window.level(&over, Aggregate::Sum, last),
            Level { value: Some(decimal("3")), count: 2 },
            "{zone} {inside}"
        );
        assert_eq!(window.buckets.len(), 1);
        assert_eq!(
            window.add(&over, Aggregate::Sum, &number("4"), last, boundary),
            Added::Late,
            "{zone} {inside}"
        );
        assert_eq!(window, Window::new());
        assert_eq!(
            window.add(&over, Aggregate::Sum, &number("5"), boundary, boundary),
            Added::Counted
        );
        assert!(window.is_empty(&over, window.next_change(&over).expect("not empty")));
        assert!(!window.is_empty(&over, boundary));
    }
}

#[test]
fn periods_follow_each_other_where_clocks_go_back_across_midnight() {
    // In St. John's, at a minute past midnight, the clocks once went back to the day before.
    let over = calendar(Period::Day, "America/St_Johns");
    let (midnight, again) = (at("2010-11-07T02:30:00Z"), at("2010-11-07T03:00:00Z"));
    let mut window = Window::new();
    window.add(&over, Aggregate::Count, &Observed::Event, midnight, midnight);
    window.add(&over, Aggregate::Count, &Observed::Event, again, again);
    assert_eq!(window.buckets.len(), 1);
    assert!(window.next_change(&over) > Some(at("2010-11-08T00:00:00Z")));
    let before = at("2010-11-07T02:29:59Z");
    assert_eq!(window.add(&over, Aggregate::Count, &Observed::Event, before, again), Added::Late);
}

/// All values with their arrival, in order.
#[derive(Default)]
struct Naive(Vec<(Timestamp, Timestamp, Observed)>);

impl Naive {
    fn level(&self, aggregate: Aggregate, counts: impl Fn(Timestamp) -> bool) -> Level {
        let live: Vec<_> = self.0.iter().filter(|(own, now, _)| counts(*own.min(now))).collect();
        let numbers: Vec<Decimal> = live
            .iter()
            .filter_map(|(_, _, value)| match value {
                Observed::Number(number) => Some(*number),
                _ => None,
            })
            .collect();
        let sum: Decimal = numbers.iter().sum();
        let value = match aggregate {
            Aggregate::Sum => Some(sum),
            Aggregate::Min => numbers.iter().min().copied(),
            Aggregate::Max => numbers.iter().max().copied(),
            Aggregate::Avg => sum.checked_div(Decimal::from(numbers.len())),
            Aggregate::Distinct => {
                let mut numbers = numbers;
                numbers.sort();
                numbers.dedup();
                Some(Decimal::from(numbers.len()))
            }
            Aggregate::Last => {
                live.iter().enumerate().max_by_key(|(place, (own, ..))| (*own, *place)).map(
                    |(_, (_, _, value))| match value {
                        Observed::Number(number) => *number,
                        _ => unreachable!("numbers only"),
                    },
                )
            }
            Aggregate::Count => Some(Decimal::from(live.len())),
        };
        Level { value, count: u64::try_from(live.len()).expect("fits") }
    }
}

/// Seconds since the last step, how far the event's own time is from now in seconds, and its value in hundredths.
fn steps() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    let own = prop_oneof![Just(0_i64), -20..20_i64, -2_000..300_i64];
    prop::collection::vec((prop_oneof![0..3_i64, 0..900_i64], own, -5..5_i64), 1..80)
}

proptest! {
    #[test]
    fn a_sliding_window_is_what_a_list_of_all_values_says(
        steps in steps(),
        which in 0..AGGREGATES.len(),
        start in 1_600_000_000..1_800_000_000_i64,
    ) {
        // Buckets of 15 seconds. On their boundaries the window is (now - over, now] exactly.
        let (over, aggregate, width) = (sliding(900), AGGREGATES[which], 15);
        let (mut window, mut naive, mut now) = (Window::new(), Naive::default(), start * width);
        for (passed, own, value) in steps {
            now += passed * width;
            let value = Observed::Number(Decimal::new(value, 2));
            let (own_time, time) = (second(now + own * width), second(now));
            let added = window.add(&over, aggregate, &value, own_time, time);
            prop_assert_eq!(added == Added::Late, own * width <= -900);
            naive.0.push((own_time, time, value));
            prop_assert_eq!(&kept(&window), &window);
            let mut restarted = kept(&window);
            for later in [0, 7, 200] {
                let read = second(now + later * width);
                let level = restarted.level(&over, aggregate, read);
                let counts = |at: Timestamp| at.as_second() > read.as_second() - 900;
                prop_assert_eq!(level, naive.level(aggregate, counts));
            }
            prop_assert_eq!(restarted.next_change(&over), None);
        }
    }

    #[test]
    fn between_boundaries_a_sliding_window_is_right_to_a_bucket(
        steps in steps(),
        nanos in 0..1_000_000_000_i64,
    ) {
        // The width of a bucket, 1.85 s, is no whole number of milliseconds times a power of two.
        let over = sliding(111);
        let (mut window, mut naive, mut now) = (Window::new(), Naive::default(), 1_700_000_000);
        for (passed, own, _) in steps {
            now += passed;
            let time = Timestamp::new(now, i32::try_from(nanos).expect("fits")).expect("in range");
            let own_time = second(now + own);
            window.add(&over, Aggregate::Count, &Observed::Event, own_time, time);
            naive.0.push((own_time, time, Observed::Event));
            let age = |at: Timestamp| time.duration_since(at).as_millis_f64();
            let most = naive.level(Aggregate::Count, |at| age(at) < 111_000.0).count;
            let least = naive.level(Aggregate::Count, |at| age(at) <= 109_150.0).count;
            let level = window.level(&over, Aggregate::Count, time);
            prop_assert!((least..=most).contains(&level.count), "{least} {level:?} {most}");
        }
    }

    #[test]
    fn the_value_changes_only_at_the_next_change(steps in steps(), which in 0..AGGREGATES.len()) {
        let (over, aggregate) = (sliding(900), AGGREGATES[which]);
        let (mut window, mut now) = (Window::new(), 1_700_000_000);
        for (passed, own, value) in steps {
            now += passed;
            let value = Observed::Number(Decimal::from(value));
            window.add(&over, aggregate, &value, second(now + own), second(now));
        }
        let mut level = window.level(&over, aggregate, second(now));
        while let Some(next) = window.next_change(&over) {
            let just_before = next - Duration::from_nanos(1);
            prop_assert_eq!(kept(&window).level(&over, aggregate, just_before), level);
            let count = level.count;
            level = window.level(&over, aggregate, next);
            prop_assert!(level.count < count);
        }
        prop_assert_eq!(level.count, 0);
    }

    #[test]
    fn a_calendar_window_is_what_a_list_of_all_values_says(
        steps in prop::collection::vec((0..200_000_i64, -300_000..400_i64, -5..5_i64), 1..60),
        which in 0..AGGREGATES.len(),
        zone in prop_oneof![Just("America/New_York"), Just("Europe/Berlin"), Just("Asia/Kolkata")],
        start in 1_700_000_000..1_800_000_000_i64,
    ) {
        let (over, aggregate) = (calendar(Period::Day, zone), AGGREGATES[which]);
        let zone = TimeZone::get(zone).expect("zone");
        let date = |at: Timestamp| zone.to_datetime(at).date();
        let (mut window, mut naive, mut now) = (Window::new(), Naive::default(), start);
        for (passed, own, value) in steps {
            now += passed;
            let (own_time, time) = (second(now + own), second(now));
            let value = Observed::Number(Decimal::new(value, 1));
            let added = window.add(&over, aggregate, &value, own_time, time);
            prop_assert_eq!(added == Added::Late, date(own_time.min(time)) < date(time));
            naive.0.push((own_time, time, value));
            prop_assert_eq!(&kept(&window), &window);
            let level = window.level(&over, aggregate, time);
            prop_assert_eq!(level, naive.level(aggregate, |at| date(at) == date(time)));
        }
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm(
        steps in prop::collection::vec((-2_000..2_000_i64, -2_000..400_i64), 1..80),
        which in 0..AGGREGATES.len(),
    ) {
        let (over, aggregate) = (sliding(900), AGGREGATES[which]);
        let (mut window, mut now) = (Window::new(), 1_700_000_000);
        for (passed, own) in steps {
            now += passed;
            window.add(&over, aggregate, &number("1"), second(now + own), second(now));
            prop_assert_eq!(&kept(&window), &window);
            prop_assert!(window.next_change(&over).is_none_or(|next| next > second(now)));
            window.level(&over, aggregate, second(now));
            prop_assert!(window.buckets.is_sorted_by(|a, b| a.0 < b.0));
        }
    }
}
