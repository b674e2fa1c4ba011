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

/// Days of the month, both ends included: 1 to 31, or -1 (the last) down to -31. Days that a month does not have are
/// left out: `29:31` holds on no day of most Februaries, on the 30th of April for `30:31`.
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
