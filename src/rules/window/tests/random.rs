//! Random windows against a naive one.

use super::*;

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
