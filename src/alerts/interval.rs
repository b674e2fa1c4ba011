//! Time intervals: the hours and days in which routes are quiet, or tell at all. Alertmanager's words and meaning.
//!
//! All is read off the wall clock of the spec's location: where clocks are set back, an hour holds twice; where they
//! are set forward, what lies in the hour that is left out does not hold that day.
//!
//! Departs from Alertmanager where that refuses a range which has days in some months (`28:-1`), and where it takes
//! numbers that are no month or year.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Minutes of a day, and the end of its last one.
const DAY_MINUTES: u16 = 24 * 60;
/// Days of the longest month.
const MONTH_DAYS_MAX: i8 = 31;
/// Last year that a range may name, as far as the calendar goes.
const YEAR_MAX: i16 = 9999;
/// Longest text that is read as a range or a location, in bytes.
const TEXT_BYTES_MAX: usize = 128;
/// By their numbers, from 0.
const WEEKDAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
/// By their numbers less one.
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A named entry of `time_intervals`: holds when any of its specs holds.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeInterval {
    /// Its name.
    pub name: String,
    /// Any of these.
    pub specs: Vec<IntervalSpec>,
}

/// One item of a time interval: holds when all of its parts hold; an empty part always does, any other one when one of
/// its ranges does.
#[derive(Debug, Clone, PartialEq)]
pub struct IntervalSpec {
    /// Minutes of the day.
    pub times: Vec<TimeRange>,
    /// Days of the week.
    pub weekdays: Vec<WeekdayRange>,
    /// Days of the month.
    pub days_of_month: Vec<DayRange>,
    /// Months of the year.
    pub months: Vec<MonthRange>,
    /// Years.
    pub years: Vec<YearRange>,
    /// Whose wall clock and calendar count; UTC when the configuration does not say. See [`IntervalSpec::location`].
    pub location: TimeZone,
}

/// A range of minutes of the day, half open. It does not go over midnight: that takes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First minute, 0 to 1439.
    pub start: u16,
    /// First minute after it, 1 to 1440.
    pub end: u16,
}

/// Days of the week, both ends included; 0 is Sunday, 6 Saturday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeekdayRange {
    first: u8,
    last: u8,
}

/// Days of the month, both ends included: 1 to 31, or -1 (the last) down to -31.
///
/// Days that a month does not have are left out: `30:31` holds on the 30th of April and on no day of February.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayRange {
    first: i8,
    last: i8,
}

/// Months, both ends included; 1 is January.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthRange {
    first: u8,
    last: u8,
}

/// Years, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct YearRange {
    first: i16,
    last: i16,
}

/// Why a text of a time interval is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct IntervalError {
    /// Character in the text, from 1.
    pub column: u32,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl TimeInterval {
    /// Whether it holds at a time.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.specs.iter().any(|spec| spec.holds(at))
    }
}

impl Default for IntervalSpec {
    /// Holds always.
    fn default() -> Self {
        Self {
            times: Vec::new(),
            weekdays: Vec::new(),
            days_of_month: Vec::new(),
            months: Vec::new(),
            years: Vec::new(),
            location: TimeZone::UTC,
        }
    }
}

impl IntervalSpec {
    /// Reads a `location`: a name of the IANA time zone database, `UTC`, or `Local` for the machine's own zone.
    pub fn location(text: &str) -> Result<TimeZone, IntervalError> {
        bounded(text)?;
        let zone = match text {
            "Local" => TimeZone::try_system(),
            name => TimeZone::get(name),
        };
        match zone {
            Ok(zone) if !zone.is_unknown() => Ok(zone),
            Ok(_) | Err(_) if text == "Local" => {
                Err(IntervalError::at(0, text, "this machine's time zone is not known"))
            }
            Ok(_) | Err(_) => Err(IntervalError::at(
                0,
                text,
                "unknown time zone: expected a name such as America/Chicago, UTC or Local",
            )),
        }
    }

    /// Whether it holds at a time.
    pub fn holds(&self, at: Timestamp) -> bool {
        let local = self.location.to_datetime(at);
        any(&self.times, |range| range.holds(local))
            && any(&self.weekdays, |range| range.holds(local))
            && any(&self.days_of_month, |range| range.holds(local))
            && any(&self.months, |range| range.holds(local))
            && any(&self.years, |range| range.holds(local))
    }
}

/// No ranges at all say nothing against any time.
fn any<T>(ranges: &[T], holds: impl Fn(&T) -> bool) -> bool {
    ranges.is_empty() || ranges.iter().any(holds)
}

impl TimeRange {
    /// Makes a range of two times as [`TimeRange::minute`] reads them; the error is about `end_time`.
    pub fn new(start: u16, end: u16) -> Result<Self, IntervalError> {
        if start < end && end <= DAY_MINUTES {
            return Ok(Self { start, end });
        }
        let message = "must be later than start_time; for a time over midnight write two ranges, \
                       one to 24:00 and one from 00:00";
        Err(IntervalError::at(0, "", message))
    }

    /// Reads `start_time` or `end_time`: `HH:MM` from `00:00` to `24:00`, as the minute of the day.
    pub fn minute(text: &str) -> Result<u16, IntervalError> {
        let error =
            || IntervalError::at(0, text, "expected a time of day as HH:MM, from 00:00 to 24:00");
        let two = |text: &str| -> Option<u16> {
            (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| text.parse().ok())
                .flatten()
        };
        let (hour, minute) = text.split_once(':').ok_or_else(error)?;
        let (hour, minute) = two(hour).zip(two(minute)).ok_or_else(error)?;
        let whole = hour * 60 + minute;
        if minute < 60 && whole <= DAY_MINUTES { Ok(whole) } else { Err(error()) }
    }

    fn holds(self, local: DateTime) -> bool {
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        (i32::from(self.start)..i32::from(self.end)).contains(&minute)
    }
}

impl WeekdayRange {
    /// Reads `saturday` or `monday:friday`; the week begins on Sunday, upper case is lower case.
    pub fn parse(text: &str) -> Result<Self, IntervalError> {
        let expected = || format!("expected a day of the week: {}", WEEKDAYS.join(", "));
        let [first, last] = range(text, |word| named(&WEEKDAYS, word).ok_or_else(expected))?;
        if first.value > last.value {
            let message = "the range ends before it begins: the week begins on sunday and ends on \
                           saturday, so write two";
            return Err(IntervalError::at(last.at, text, message));
        }
        Ok(Self { first: first.value, last: last.value })
    }

    fn holds(self, local: DateTime) -> bool {
        let day = local.weekday().to_sunday_zero_offset();
        (i16::from(self.first)..=i16::from(self.last)).contains(&i16::from(day))
    }
}

impl DayRange {
    /// Reads `15`, `1:7` or `-3:-1`; negative days count from the end of the month.
    pub fn parse(text: &str) -> Result<Self, IntervalError> {
        let [first, last] = range(text, |word| {
            number::<i8>(word)
                .filter(|day| *day != 0 && (-MONTH_DAYS_MAX..=MONTH_DAYS_MAX).contains(day))
                .ok_or_else(|| {
                    "expected a day of the month: 1 to 31, or -1 (the last day) to -31".to_owned()
                })
        })?;
        let (from, to) = (first.value, last.value);
        let message = if from < 0 && to > 0 {
            "must be counted from the end of the month (negative), as the range's beginning is"
        } else if from_start(from, MONTH_DAYS_MAX) > from_start(to, MONTH_DAYS_MAX) {
            "the range ends before it begins in every month"
        } else {
            return Ok(Self { first: from, last: to });
        };
        Err(IntervalError::at(last.at, text, message))
    }

    fn holds(self, local: DateTime) -> bool {
        let days = local.date().days_in_month();
        (from_start(self.first, days)..=from_start(self.last, days)).contains(&local.day())
    }
}

/// A day of the month counted from its beginning; 0 or less when that lies before it.
fn from_start(day: i8, days_in_month: i8) -> i8 {
    if day < 0 { days_in_month.saturating_add(day).saturating_add(1) } else { day }
}

impl MonthRange {
    /// Reads `may`, `5`, `may:august` or `5:8`; upper case is lower case.
    pub fn parse(text: &str) -> Result<Self, IntervalError> {
        let [first, last] = range(text, |word| {
            named(&MONTHS, word)
                .map(|place| place.saturating_add(1))
                .or_else(|| number::<u8>(word).filter(|month| (1..=12).contains(month)))
                .ok_or_else(|| format!("expected a month: 1 to 12, or {}", MONTHS.join(", ")))
        })?;
        if first.value > last.value {
            let message = "the range ends before it begins: for one over the new year write two";
            return Err(IntervalError::at(last.at, text, message));
        }
        Ok(Self { first: first.value, last: last.value })
    }

    fn holds(self, local: DateTime) -> bool {
        (i16::from(self.first)..=i16::from(self.last)).contains(&i16::from(local.month()))
    }
}

impl YearRange {
    /// Reads `2027` or `2027:2030`.
    pub fn parse(text: &str) -> Result<Self, IntervalError> {
        let [first, last] = range(text, |word| {
            number::<i16>(word)
                .filter(|year| (1..=YEAR_MAX).contains(year))
                .ok_or_else(|| format!("expected a year: 1 to {YEAR_MAX}"))
        })?;
        if first.value > last.value {
            return Err(IntervalError::at(last.at, text, "the range ends before it begins"));
        }
        Ok(Self { first: first.value, last: last.value })
    }

    fn holds(self, local: DateTime) -> bool {
        (self.first..=self.last).contains(&local.year())
    }
}

/// An end of a range, and where in the text it stands.
#[derive(Clone, Copy)]
struct End<T> {
    value: T,
    at: usize,
}

/// Reads `end` or `end:end`, blanks around each allowed.
fn range<T: Copy>(
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<[End<T>; 2], IntervalError> {
    bounded(text)?;
    let end = |part: &str, at: usize| {
        let at = at.saturating_add(part.len().saturating_sub(part.trim_start().len()));
        let value = read(part.trim()).map_err(|message| IntervalError::at(at, text, &message))?;
        Ok(End { value, at })
    };
    match text.split_once(':') {
        None => {
            let only = end(text, 0)?;
            Ok([only, only])
        }
        Some((first, last)) => Ok([end(first, 0)?, end(last, first.len().saturating_add(1))?]),
    }
}

/// The place of a name among others.
fn named(names: &[&str], word: &str) -> Option<u8> {
    let place = names.iter().position(|name| name.eq_ignore_ascii_case(word))?;
    u8::try_from(place).ok()
}

/// A decimal number without a plus sign, which people do not write here.
fn number<T: std::str::FromStr>(word: &str) -> Option<T> {
    if word.starts_with('+') { None } else { word.parse().ok() }
}

fn bounded(text: &str) -> Result<(), IntervalError> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("longer than {TEXT_BYTES_MAX} bytes");
        return Err(IntervalError { column: 1, message });
    }
    Ok(())
}

impl IntervalError {
    /// At the byte `at` of the text.
    fn at(at: usize, text: &str, message: &str) -> Self {
        let before = text.get(..at).unwrap_or(text).chars().count();
        Self {
            column: u32::try_from(before).map_or(u32::MAX, |chars| chars.saturating_add(1)),
            message: message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    fn times(ranges: &[(&str, &str)]) -> Vec<TimeRange> {
        ranges
            .iter()
            .map(|(start, end)| {
                let minute = |text| TimeRange::minute(text).expect(text);
                TimeRange::new(minute(start), minute(end)).expect(start)
            })
            .collect()
    }

    fn zone(name: &str) -> TimeZone {
        IntervalSpec::location(name).expect(name)
    }

    /// A spec from texts as they stand in a configuration: key, then value.
    fn spec(parts: &[(&str, &str)]) -> IntervalSpec {
        let mut spec = IntervalSpec::default();
        for (key, text) in parts {
            match *key {
                "times" => {
                    let (start, end) = text.split_once('-').expect(text);
                    spec.times.extend(times(&[(start, end)]));
                }
                "weekdays" => spec.weekdays.push(WeekdayRange::parse(text).expect(text)),
                "days_of_month" => spec.days_of_month.push(DayRange::parse(text).expect(text)),
                "months" => spec.months.push(MonthRange::parse(text).expect(text)),
                "years" => spec.years.push(YearRange::parse(text).expect(text)),
                "location" => spec.location = zone(text),
                other => panic!("{other}"),
            }
        }
        spec
    }

    /// Parts of a spec, when it holds, and when it does not.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);

    fn hold(cases: &[Case<'_>]) {
        for (parts, inside, outside) in cases {
            let spec = spec(parts);
            for text in *inside {
                assert!(spec.holds(at(text)), "{parts:?} holds at {text}");
            }
            for text in *outside {
                assert!(!spec.holds(at(text)), "{parts:?} does not hold at {text}");
            }
        }
    }

    #[test]
    fn times_and_weekdays_hold_within_their_ranges() {
        hold(&[
            (&[], &["2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z"], &[]),
            (
                &[("times", "08:00-18:00")],
                &["2026-03-04T08:00:00Z", "2026-03-04T17:59:59.999999999Z"],
                &["2026-03-04T07:59:59.999999999Z", "2026-03-04T18:00:00Z"],
            ),
            (
                &[("times", "23:59-24:00"), ("times", "00:00-00:01")],
                &["2026-03-04T23:59:59Z", "2026-03-05T00:00:59Z"],
                &["2026-03-04T23:58:59Z", "2026-03-05T00:01:00Z"],
            ),
            (
                &[("weekdays", "monday:friday")],
                &["2026-03-02T00:00:00Z", "2026-03-06T23:59:59Z"],
                &["2026-03-01T23:59:59Z", "2026-03-07T00:00:00Z"],
            ),
            (
                &[("weekdays", "Sunday"), ("weekdays", " saturday ")],
                &["2026-03-01T12:00:00Z", "2026-03-07T12:00:00Z"],
                &["2026-03-02T12:00:00Z", "2026-03-06T12:00:00Z"],
            ),
            (&[("weekdays", "sunday:saturday")], &["2026-03-01T12:00:00Z"], &[]),
        ]);
    }

    #[test]
    fn days_count_from_either_end_of_the_month() {
        hold(&[
            (
                &[("days_of_month", "1:5"), ("days_of_month", "-3:-1")],
                &["2026-02-05T00:00:00Z", "2026-02-26T00:00:00Z", "2026-02-28T23:59:59Z"],
                &["2026-02-06T00:00:00Z", "2026-02-25T23:59:59Z"],
            ),
            (
                &[("days_of_month", "-1")],
                &["2026-02-28T12:00:00Z", "2028-02-29T12:00:00Z", "2026-04-30T12:00:00Z"],
                &["2028-02-28T12:00:00Z", "2026-05-30T12:00:00Z", "2026-05-01T12:00:00Z"],
            ),
            (
                &[("days_of_month", "29"), ("months", "february")],
                &["2028-02-29T12:00:00Z"],
                &["2026-02-28T12:00:00Z", "2026-03-01T12:00:00Z", "2028-01-29T12:00:00Z"],
            ),
            // What a month does not have is left out, at either end.
            (
                &[("days_of_month", "30:31")],
                &["2026-04-30T12:00:00Z", "2026-05-31T12:00:00Z"],
                &["2026-02-28T12:00:00Z", "2026-05-01T12:00:00Z"],
            ),
            (
                &[("days_of_month", "-31:-29")],
                &["2026-05-03T12:00:00Z", "2026-04-02T12:00:00Z", "2028-02-01T12:00:00Z"],
                &["2026-05-04T12:00:00Z", "2026-04-03T12:00:00Z", "2026-02-01T12:00:00Z"],
            ),
            (
                &[("days_of_month", "28:-1")],
                &["2026-02-28T12:00:00Z", "2026-05-28T12:00:00Z", "2026-05-31T12:00:00Z"],
                &["2026-02-27T12:00:00Z"],
            ),
        ]);
    }

    #[test]
    fn months_years_and_places_hold_with_the_rest() {
        hold(&[
            (
                &[("months", "1:3"), ("months", "May:august"), ("months", "december")],
                &["2026-03-31T23:59:59Z", "2026-05-01T00:00:00Z", "2026-12-31T23:59:59Z"],
                &["2026-04-01T00:00:00Z", "2026-09-01T00:00:00Z", "2026-11-30T23:59:59Z"],
            ),
            (
                &[("years", "2026:2027"), ("years", "2030")],
                &["2026-01-01T00:00:00Z", "2027-12-31T23:59:59Z", "2030-06-01T00:00:00Z"],
                &["2025-12-31T23:59:59Z", "2028-01-01T00:00:00Z"],
            ),
            // Office hours far from UTC: the week and the day begin there, not here.
            (
                &[
                    ("times", "09:00-17:00"),
                    ("weekdays", "monday:friday"),
                    ("location", "Australia/Sydney"),
                ],
                &["2026-03-01T22:00:00Z", "2026-03-06T05:59:59Z", "2026-07-05T23:00:00Z"],
                &["2026-03-01T21:59:59Z", "2026-03-06T06:00:00Z", "2026-03-06T22:30:00Z"],
            ),
            (
                &[("years", "2027"), ("months", "1"), ("location", "Pacific/Kiritimati")],
                &["2026-12-31T10:00:00Z"],
                &["2026-12-31T09:59:59Z"],
            ),
        ]);
    }

    /// Minutes of a UTC day and the night before and after it in which the range holds.
    fn minutes(zone: &str, start: &str, end: &str, around: &str) -> i64 {
        let spec = IntervalSpec { times: times(&[(start, end)]), ..spec(&[("location", zone)]) };
        let around = at(around).as_second();
        (-12 * 60..12 * 60)
            .filter(|minute| {
                spec.holds(Timestamp::from_second(around + minute * 60).expect("in range"))
            })
            .count()
            .try_into()
            .expect("few")
    }

    #[test]
    fn where_clocks_change_the_wall_clock_counts() {
        // The place, the instant of the change, a range over it, and how many minutes that lasts.
        for (zone, change, start, end, lasts) in [
            ("America/New_York", "2026-03-08T07:00:00Z", "01:00", "04:00", 120),
            ("America/New_York", "2026-03-08T07:00:00Z", "02:00", "03:00", 0),
            ("America/New_York", "2026-11-01T06:00:00Z", "01:00", "04:00", 240),
            ("America/New_York", "2026-11-01T06:00:00Z", "01:00", "02:00", 120),
            ("Europe/Berlin", "2026-03-29T01:00:00Z", "02:30", "03:30", 30),
            ("Europe/Berlin", "2026-10-25T01:00:00Z", "02:30", "03:30", 90),
            ("Australia/Lord_Howe", "2026-10-03T15:30:00Z", "01:00", "03:00", 90),
            ("Australia/Lord_Howe", "2026-10-03T15:30:00Z", "02:00", "02:30", 0),
            ("Australia/Lord_Howe", "2026-04-04T15:00:00Z", "01:30", "02:00", 60),
            ("UTC", "2026-03-29T01:00:00Z", "00:30", "02:30", 120),
        ] {
            assert_eq!(minutes(zone, start, end, change), lasts, "{zone} {change} {start} {end}");
        }
        let office = spec(&[("times", "09:00-17:00"), ("location", "America/New_York")]);
        for (text, holds) in [
            ("2026-03-07T13:59:59Z", false),
            ("2026-03-07T14:00:00Z", true),
            ("2026-03-08T13:00:00Z", true),
            ("2026-10-31T13:00:00Z", true),
            ("2026-11-01T13:59:59Z", false),
            ("2026-11-01T14:00:00Z", true),
        ] {
            assert_eq!(office.holds(at(text)), holds, "{text}");
        }
    }

    #[test]
    fn an_interval_holds_when_any_of_its_specs_does() {
        let nights = TimeInterval {
            name: "nights".to_owned(),
            specs: vec![spec(&[("times", "22:00-24:00")]), spec(&[("times", "00:00-06:00")])],
        };
        for (text, holds) in [("22:00", true), ("05:59", true), ("06:00", false), ("21:59", false)]
        {
            assert_eq!(nights.holds(at(&format!("2026-03-04T{text}:00Z"))), holds, "{text}");
        }
        assert!(!TimeInterval { name: "none".to_owned(), specs: vec![] }.holds(Timestamp::MIN));
    }

    fn error<T>(result: Result<T, IntervalError>, text: &str) -> IntervalError {
        result.err().unwrap_or_else(|| panic!("{text} is read"))
    }

    #[test]
    fn what_is_wrong_with_times_and_weekdays_is_said() {
        for text in [
            "", "8:00", "08:0", "0800", "08:60", "24:01", "25:00", "08:00:00", "+8:00", " 08:00",
            "é:00",
        ] {
            let error = error(TimeRange::minute(text), text);
            assert_eq!(error.column, 1, "{text}");
            assert!(error.message.contains("HH:MM"), "{text}: {error}");
        }
        for (start, end) in [(600, 600), (600, 599), (0, 1441), (1440, 1440)] {
            assert!(TimeRange::new(start, end).is_err(), "{start} {end}");
        }
        for (text, column, words) in [
            ("", 1, "a day of the week: sunday, monday"),
            ("1", 1, "day of the week"),
            ("monday:fryday", 8, "day of the week"),
            ("monday:", 8, "day of the week"),
            ("monday: tuesday:friday", 9, "day of the week"),
            ("friday : monday", 10, "write two"),
            ("saturday:sunday", 10, "write two"),
        ] {
            let error = error(WeekdayRange::parse(text), text);
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_with_dates_is_said() {
        for (text, column, words) in [
            ("0", 1, "1 to 31, or -1"),
            ("32", 1, "1 to 31"),
            ("1:-32", 3, "1 to 31"),
            ("+1", 1, "1 to 31"),
            ("1.5", 1, "1 to 31"),
            ("999", 1, "1 to 31"),
            ("5:1", 3, "before it begins"),
            ("-1:-3", 4, "before it begins"),
            ("20:-20", 4, "in every month"),
            ("-5:5", 4, "from the end"),
        ] {
            let error = error(DayRange::parse(text), text);
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(words), "{text}: {error}");
        }
        for (text, column, words) in [
            ("0", 1, "1 to 12, or january"),
            ("13", 1, "1 to 12"),
            ("jan", 1, "1 to 12"),
            ("march:smarch", 7, "1 to 12"),
            ("november:2", 10, "new year"),
        ] {
            let error = error(MonthRange::parse(text), text);
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(words), "{text}: {error}");
        }
        for (text, column, words) in [
            ("0", 1, "1 to 9999"),
            ("10000", 1, "1 to 9999"),
            ("-2026", 1, "1 to 9999"),
            ("2027:2026", 6, "before it begins"),
        ] {
            let error = error(YearRange::parse(text), text);
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_location_is_a_name_of_the_database() {
        for text in ["", "Atlantis/Capital", "Etc/Unknown", "EST5EDT,M3.2.0,M11.1.0", "+01:00"] {
            let error = error(IntervalSpec::location(text), text);
            assert!(error.message.contains("America/Chicago"), "{text}: {error}");
        }
        let long = "a".repeat(TEXT_BYTES_MAX + 1);
        assert!(error(WeekdayRange::parse(&long), &long).message.contains("longer than"));
        assert!(error(IntervalSpec::location(&long), &long).message.contains("longer than"));
    }

    #[test]
    fn time_zones_need_nothing_of_the_machine() {
        let bundled = TimeZoneDatabase::bundled();
        for name in ["America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"] {
            let bundled = bundled.get(name).expect(name);
            let at = at("2026-07-01T12:00:00Z");
            assert_eq!(bundled.to_offset(at), zone(name).to_offset(at), "{name}");
        }
        assert_eq!(zone("UTC").to_datetime(at("2026-07-01T12:00:00Z")).hour(), 12);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+: a-z0-9/é]{0,12}|[0-9:-]{0,6}|.*") {
            let columns = u32::try_from(text.chars().count()).expect("short") + 1;
            let errors = [
                WeekdayRange::parse(&text).err(),
                DayRange::parse(&text).err(),
                MonthRange::parse(&text).err(),
                YearRange::parse(&text).err(),
                TimeRange::minute(&text).err(),
                IntervalSpec::location(&text).err(),
            ];
            for error in errors.into_iter().flatten() {
                prop_assert!((1..=columns).contains(&error.column), "{error:?}");
            }
        }

        #[test]
        fn any_time_holds_or_does_not(
            seconds in Timestamp::MIN.as_second()..=Timestamp::MAX.as_second(),
            days in (-31_i8..=31, -31_i8..=31),
            location in prop::sample::select(vec![
                "UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Monrovia",
            ]),
        ) {
            let (first, last) = days;
            let day = DayRange::parse(&format!("{first}:{last}"));
            let spec = IntervalSpec {
                days_of_month: day.into_iter().collect(),
                ..spec(&[("times", "00:00-12:00"), ("weekdays", "monday"), ("location", location)])
            };
            let rest = IntervalSpec { times: times(&[("12:00", "24:00")]), ..spec.clone() };
            let whole = IntervalSpec { times: vec![], ..spec.clone() };
            let at = Timestamp::from_second(seconds).expect("in range");
            prop_assert_eq!(spec.holds(at) || rest.holds(at), whole.holds(at));
            prop_assert!(!(spec.holds(at) && rest.holds(at)));
        }
    }

    #[test]
    fn the_ends_of_time_hold_too() {
        for name in ["UTC", "Pacific/Kiritimati", "America/Adak"] {
            for at in [Timestamp::MIN, Timestamp::MAX] {
                assert!(spec(&[("location", name)]).holds(at), "{name} {at}");
            }
        }
    }
}
