use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::week::{Cell, Week};
use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn decimal(text: &str) -> Decimal {
    text.parse().expect("a decimal")
}

fn terms(kept: Kept, span: Span, zone: &str) -> Terms {
    Terms { kept, span, zone: TimeZone::get(zone).expect("a zone") }
}

fn hourly() -> Terms {
    terms(Kept::Total, Span::Sliding(3_600), "UTC")
}

/// A series without a rule: its hours, its history, and what was usual at the last look.
struct Series {
    terms: Terms,
    hours: OpenHours,
    history: History,
    outages: Outages,
}

impl Series {
    fn new(terms: Terms, begins: &str) -> Self {
        let history = History::beginning(&terms, at(begins));
        Self { terms, hours: OpenHours::default(), history, outages: Outages::default() }
    }

    fn look(&mut self, now: Timestamp) -> Option<Usual> {
        let mut past = Past::new(&mut self.history, &self.outages, true);
        past.usual(&self.terms, &mut self.hours, now)
    }

    fn observe(&mut self, number: &str, when: Timestamp) {
        self.observe_late(number, when, when);
    }

    fn observe_late(&mut self, number: &str, when: Timestamp, now: Timestamp) {
        self.look(now);
        let mut past = Past::new(&mut self.history, &self.outages, true);
        past.observe(&self.terms, &mut self.hours, decimal(number), when, now);
    }

    /// Ten equal events between ten and eleven on each Monday, beginning with that of `first`.
    fn mondays(&mut self, first: &str, numbers: &[&str]) {
        for (week, number) in numbers.iter().enumerate() {
            let week = i64::try_from(week).expect("fits") * 168;
            let begin = at(first).as_second() + week * 3_600;
            for minute in 0..10 {
                let when = Timestamp::from_second(begin + minute * 360).expect("in range");
                self.observe(number, when);
            }
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as it is compared")]
fn usual(value: &str, spread: &str, weeks: u32) -> Option<Usual> {
    Some(Usual { value: decimal(value), spread: decimal(spread), weeks })
}

#[test]
fn it_is_the_median_of_the_same_hour_of_the_weeks_before() {
    let mut series = Series::new(hourly(), "2026-01-04T12:00:00Z");
    series.mondays("2026-01-05T10:00:00Z", &["1", "2"]);
    // Of one week nothing is said; of two their mean. The window of the last minute before eleven is that hour.
    assert_eq!(series.look(at("2026-01-12T10:59:30Z")), None);
    assert_eq!(series.look(at("2026-01-19T10:59:30Z")), usual("15", "5", 2));
    series.mondays("2026-01-19T10:00:00Z", &["9", "2.5"]);
    // 10, 20, 90, 25: the median is between 20 and 25, the distances are 12.5, 2.5, 67.5, 2.5.
    assert_eq!(series.look(at("2026-02-02T10:59:59Z")), usual("22.5", "7.5", 4));
    // Half an hour of the window is before ten, when there was nothing, or after eleven.
    assert_eq!(series.look(at("2026-02-02T10:29:59Z")), usual("11.25", "3.75", 4));
    assert_eq!(series.look(at("2026-02-02T11:29:59Z")), usual("11.25", "3.75", 4));
    assert_eq!(series.look(at("2026-02-02T13:29:59Z")), usual("0", "0", 4));
}

#[test]
fn eight_weeks_are_looked_back_and_no_more() {
    let mut series = Series::new(hourly(), "2026-01-04T12:00:00Z");
    series.mondays("2026-01-05T10:00:00Z", &["100", "1", "1", "1", "1", "1", "1", "1", "1"]);
    assert_eq!(series.look(at("2026-03-09T10:59:59Z")), usual("10", "0", 8));
    // Without events the weeks go by, and what was is forgotten.
    assert_eq!(series.look(at("2026-03-16T10:59:59Z")), usual("10", "0", 8));
    assert_eq!(series.look(at("2026-04-27T10:59:59Z")), usual("0", "0", 8));
}

#[test]
fn hours_are_those_of_the_time_zone_over_daylight_saving() {
    // In Berlin the clocks are set on 2026-03-29: ten there is 09:00Z before, 08:00Z after.
    let mut series = Series::new(
        terms(Kept::Total, Span::Sliding(3_600), "Europe/Berlin"),
        "2026-03-15T12:00:00Z",
    );
    series.mondays("2026-03-16T09:00:00Z", &["1", "2"]);
    assert_eq!(series.look(at("2026-03-30T08:59:59Z")), usual("15", "5", 2));
    // The hour that was skipped says nothing of that hour a week later.
    assert_eq!(series.look(at("2026-04-05T00:30:00Z")), None);
    assert_eq!(series.look(at("2026-04-05T03:30:00Z")), usual("0", "0", 2));
    // Nor does the one that came twice: of three weeks two are left.
    let mut series = Series::new(series.terms, "2026-10-10T12:00:00Z");
    assert_eq!(series.look(at("2026-11-01T01:30:00Z")), usual("0", "0", 2));
    assert_eq!(series.look(at("2026-11-01T03:30:00Z")), usual("0", "0", 3));
}

#[test]
fn outages_the_first_hour_and_hours_in_which_it_fired_weigh_nothing() {
    let mut series = Series::new(hourly(), "2026-01-04T12:00:00Z");
    series.mondays("2026-01-05T10:00:00Z", &["1", "1", "50"]);
    series.hours.judge(&series.terms, None, true, false, at("2026-01-19T10:54:00Z"));
    series.mondays("2026-01-26T10:00:00Z", &["1"]);
    assert_eq!(series.look(at("2026-02-02T10:59:59Z")), usual("10", "0", 3));
    assert!(!series.outages.note(at("2026-01-12T10:10:00Z"), at("2026-01-12T10:14:00Z")));
    assert!(series.outages.note(at("2026-01-12T10:10:00Z"), at("2026-01-12T10:15:00Z")));
    series.history.forget_computed();
    assert_eq!(series.look(at("2026-02-02T10:59:59Z")), usual("10", "0", 2));
    // While the window reaches into such a time nothing is compared.
    series.outages.note(at("2026-02-02T09:00:00Z"), at("2026-02-02T10:20:00Z"));
    series.history.forget_computed();
    assert_eq!(series.look(at("2026-02-02T11:19:00Z")), None);
    assert_ne!(series.look(at("2026-02-02T11:20:01Z")), None);
}

#[test]
fn a_mean_weighs_its_values_and_a_reading_is_that_of_the_hour() {
    let mut series =
        Series::new(terms(Kept::Mean, Span::Sliding(7_200), "UTC"), "2026-01-04T12:00:00Z");
    for monday in ["2026-01-05", "2026-01-12"] {
        for (time, number) in [("09:10", "1"), ("10:10", "0"), ("10:20", "0"), ("10:30", "0")] {
            series.observe(number, at(&format!("{monday}T{time}:00Z")));
        }
    }
    assert_eq!(series.look(at("2026-01-19T10:59:59Z")), usual("0.25", "0", 2));
    // Where nothing had a value there is no mean, and no usual one.
    assert_eq!(series.look(at("2026-01-19T14:30:00Z")), None);

    let gauge = terms(Kept::Reading, Span::Sliding(0), "UTC");
    let mut series = Series::new(gauge, "2026-01-04T12:00:00Z");
    for monday in ["2026-01-05", "2026-01-12", "2026-01-19"] {
        for (time, number) in [("10:00", "10.00"), ("10:20", "10.01"), ("10:40", "10.02")] {
            series.observe(number, at(&format!("{monday}T{time}:00Z")));
        }
    }
    assert_eq!(series.look(at("2026-01-26T10:00:00Z")), usual("10.01", "0", 3));
    assert_eq!(series.look(at("2026-01-26T11:00:00Z")), None);
}

#[test]
fn the_greatest_of_an_hour_is_what_the_window_was_judged_as() {
    let mut series =
        Series::new(terms(Kept::Greatest, Span::Sliding(600), "UTC"), "2026-01-04T12:00:00Z");
    for (monday, greatest) in [("2026-01-05", "7"), ("2026-01-12", "9")] {
        for (minute, value) in [(10, "3"), (20, greatest), (30, "5")] {
            let now = at(&format!("{monday}T10:{minute}:00Z"));
            series.look(now);
            series.hours.judge(&series.terms, Some(decimal(value)), false, false, now);
        }
    }
    assert_eq!(series.look(at("2026-01-19T10:00:00Z")), usual("8", "1", 2));
}

#[test]
fn what_comes_late_belongs_to_its_own_hour() {
    let mut series = Series::new(hourly(), "2026-01-04T12:00:00Z");
    for monday in ["2026-01-05", "2026-01-12"] {
        let when = |time: &str| at(&format!("{monday}T{time}:00Z"));
        series.observe_late("1", when("10:30"), when("10:31"));
        series.observe_late("2", when("10:40"), when("11:31"));
        series.observe_late("4", when("10:50"), when("14:31"));
        // Before the history begins nothing is known.
        series.observe_late("100", at("2026-01-04T10:00:00Z"), when("14:31"));
    }
    assert_eq!(series.look(at("2026-01-19T10:59:59Z")), usual("7", "0", 2));
}

#[test]
fn days_and_weeks_are_compared_from_their_beginning() {
    for (span, value) in [(Span::Day, "12"), (Span::Week, "42")] {
        let mut series = Series::new(terms(Kept::Total, span, "UTC"), "2026-01-04T12:00:00Z");
        for (monday, tuesday) in [("2026-01-05", "2026-01-06"), ("2026-01-12", "2026-01-13")] {
            series.observe("30", at(&format!("{monday}T08:30:00Z")));
            series.observe("12", at(&format!("{tuesday}T08:30:00Z")));
            series.observe("5", at(&format!("{tuesday}T12:30:00Z")));
        }
        assert_eq!(series.look(at("2026-01-20T11:59:59Z")), usual(value, "0", 2), "{span:?}");
    }
}

#[test]
fn a_history_is_small_and_gives_up_its_oldest_weeks_for_it() {
    for (digits, weeks_at_least) in
        [("0.57", 8), ("57.1234", 5), ("9571.1234", 4), ("123456789012345678.901234567", 1)]
    {
        let mut history = History::new(0);
        let mut changed = 0;
        for hour in 1..(10 * 168) {
            changed += history.keep(hour, Cell::Some(decimal(digits), 0), Kept::Total).len();
            let bytes: usize =
                history.weeks().filter_map(|week| history.stored_week(week)).map(<[u8]>::len).sum();
            assert!(bytes <= 3_480, "{bytes}");
        }
        assert!(changed >= 10 * 168 - 1);
        let weeks = history.weeks().count();
        assert!(weeks > weeks_at_least, "{digits}: {weeks}");
    }
}

#[test]
fn words_say_how_many_times_the_usual() {
    let usual = Usual { value: decimal("31.1000"), spread: Decimal::ONE, weeks: 8 };
    let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
    let monday = at("2026-11-30T08:12:00Z");
    let of = |kept, span| Terms { kept, span, zone: berlin.clone() };
    let hour = of(Kept::Total, Span::Sliding(3_600));
    let words = |value: Option<&str>, usual: &Usual, currency| {
        in_words(value.map(decimal), usual, currency, &hour, monday)
    };
    assert_eq!(
        words(Some("130.60"), &usual, Some("USD")),
        "4.2 × the usual 31.10 USD for a Monday between 09:00 and 10:00"
    );
    let none = Usual { value: Decimal::ZERO, ..usual };
    assert_eq!(words(Some("7"), &none, None), "the usual 0 for a Monday between 09:00 and 10:00");
    assert_eq!(words(None, &none, None), words(Some("7"), &none, None));
    for (kept, span, time) in [
        (Kept::Mean, Span::Sliding(900), "within 15m on a Monday between 09:00 and 10:00"),
        (Kept::Total, Span::Sliding(21_600), "within 6h on a Monday between 09:00 and 10:00"),
        (Kept::Total, Span::Day, "for a Monday until 09:12"),
        (Kept::Total, Span::Week, "for a week until Monday 09:12"),
        // Of a level the same hour counts, however long its window is.
        (Kept::Reading, Span::Sliding(0), "for a Monday between 09:00 and 10:00"),
        (Kept::Greatest, Span::Sliding(900), "for a Monday between 09:00 and 10:00"),
    ] {
        let words = in_words(None, &usual, None, &of(kept, span), monday);
        assert_eq!(words, format!("the usual 31.1 {time}"));
    }
}

/// What happens to a series.
#[derive(Debug, Clone)]
enum Did {
    Observed(u32, i64, u32),
    Fired(u32),
}

fn did() -> impl Strategy<Value = Vec<Did>> {
    let one = prop_oneof![
        8 => (1_u32..40_000, -2_000_i64..1_000_000, 0_u32..200_000).prop_map(|(after, cents, late)| Did::Observed(after, cents, late)),
        1 => (1_u32..40_000).prop_map(Did::Fired),
    ];
    prop::collection::vec(one, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// After a crash at any place the hours under way and the stored weeks give the same as without one.
    #[test]
    fn what_is_stored_is_all_there_is(did in did(), crashes in prop::collection::vec(any::<bool>(), 200)) {
        let zone = terms(Kept::Total, Span::Sliding(5_400), "America/New_York");
        let begins = "2026-02-20T12:00:00Z";
        let (mut whole, mut broken) = (Series::new(zone.clone(), begins), Series::new(zone, begins));
        let mut stored = std::collections::BTreeMap::new();
        let mut now = at(begins);
        for (did, crash) in did.into_iter().zip(crashes) {
            let after = match &did { Did::Observed(after, ..) | Did::Fired(after) => *after };
            now += Duration::from_secs(u64::from(after));
            for series in [&mut whole, &mut broken] {
                let mut past = Past::new(&mut series.history, &series.outages, true);
                past.usual(&series.terms, &mut series.hours, now);
                match &did {
                    Did::Observed(_, cents, late) => {
                        let when = now - Duration::from_secs(u64::from(*late));
                        past.observe(&series.terms, &mut series.hours, Decimal::new(*cents, 2), when, now);
                    }
                    Did::Fired(_) => series.hours.judge(&series.terms, None, true, true, now),
                }
                let changed = past.into_changed();
                for week in changed.weeks {
                    stored.insert(week, series.history.stored_week(week).map(<[u8]>::to_vec));
                }
            }
            if crash {
                let mut read = History::resume(broken.history.stored_from());
                for (number, bytes) in &stored {
                    if let Some(bytes) = bytes {
                        prop_assert!(read.resume_week(*number, bytes));
                    }
                }
                broken.history = read;
                let hours = serde_json::to_string(&broken.hours).expect("plain data");
                broken.hours = serde_json::from_str(&hours).expect("as written");
            }
            prop_assert_eq!(&whole.history, &broken.history);
            prop_assert_eq!(whole.look(now), broken.look(now));
        }
    }

    /// Looking more often changes nothing of what is seen.
    #[test]
    fn looks_between_change_nothing(did in did(), looks in prop::collection::vec(0_u32..40_000, 200)) {
        let begins = "2026-02-20T12:00:00Z";
        let (mut often, mut seldom) = (Series::new(hourly(), begins), Series::new(hourly(), begins));
        let mut now = at(begins);
        for (did, look) in did.into_iter().zip(looks) {
            let Did::Observed(after, cents, late) = did else { continue };
            often.look(now + Duration::from_secs(u64::from(look % after)));
            now += Duration::from_secs(u64::from(after));
            let when = now - Duration::from_secs(u64::from(late));
            let number = Decimal::new(cents, 2).to_string();
            often.observe_late(&number, when, now);
            seldom.observe_late(&number, when, now);
            prop_assert_eq!(often.look(now), seldom.look(now));
        }
    }

    /// Sums of an hour are exact, and the median is what a plain computation gives.
    #[test]
    fn it_is_what_a_plain_computation_gives(numbers in prop::collection::vec(prop::collection::vec(0_i64..100_000_000, 1..6), 2..9)) {
        let mut series = Series::new(hourly(), "2026-01-04T12:00:00Z");
        let mut sums = Vec::new();
        for (week, numbers) in numbers.iter().enumerate() {
            let monday = at("2026-01-05T10:00:00Z").as_second() + i64::try_from(week).expect("fits") * 604_800;
            for (minute, number) in numbers.iter().enumerate() {
                let when = Timestamp::from_second(monday + i64::try_from(minute).expect("fits") * 60).expect("in range");
                series.observe(&Decimal::new(*number, 4).to_string(), when);
            }
            sums.push(numbers.iter().sum::<i64>());
        }
        sums.sort_unstable();
        let doubled = |sorted: &[i64]| sorted[sorted.len() / 2] + sorted[(sorted.len() - 1) / 2];
        let median = doubled(&sums);
        let mut distances: Vec<i64> = sums.iter().map(|sum| (2 * sum - median).abs()).collect();
        distances.sort_unstable();
        let week = i64::try_from(numbers.len()).expect("fits") * 604_800;
        let now = Timestamp::from_second(at("2026-01-05T10:59:59Z").as_second() + week).expect("in range");
        let seen = series.look(now).expect("two weeks");
        prop_assert_eq!(seen.value * Decimal::from(20_000), Decimal::from(median));
        prop_assert_eq!(seen.spread * Decimal::from(40_000), Decimal::from(doubled(&distances)));
        prop_assert_eq!(usize::try_from(seen.weeks).expect("fits"), numbers.len());
    }

    /// Any cells are read back as they were packed, and no bytes panic.
    #[test]
    fn weeks_are_read_back(cells in prop::collection::btree_map(0_usize..168, (any::<i32>(), 0_u32..9, 0_u64..1_000_000, 0_u8..10), 0..168), paired: bool, junk in prop::collection::vec(any::<u8>(), 0..80)) {
        let cells: Vec<(usize, Cell)> = cells
            .into_iter()
            .map(|(place, (units, scale, count, void))| {
                let count = if paired { count } else { 0 };
                (place, if void == 0 { Cell::Void } else { Cell::Some(Decimal::new(units.into(), scale % 4), count) })
            })
            .collect();
        let week = Week::pack(&cells, paired);
        prop_assert_eq!(week.unpack(), cells);
        prop_assert_eq!(Week::read(week.bytes()), Some(week));
        if let Some(read) = Week::read(&junk) {
            prop_assert_eq!(read.unpack().len(), read.iter().count());
        }
        let mut head = vec![1, 0];
        head.extend(&junk);
        drop(Week::read(&head).map(|read| read.unpack()));
    }
}
