//! From when until when.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::config::units;
use crate::telnyx::charges::Days;

/// Characters of an ISO date.
const DATE_CHARACTERS: usize = 10;

/// A time as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// So long before now.
    Ago(Duration),
    /// The beginning of a day.
    Day(Date),
    /// A time.
    At(Timestamp),
}

impl When {
    /// Reads `7d`, `2026-11-01` or `2026-11-01T12:00:00Z`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let date = || text.parse().ok().filter(|_| text.len() == DATE_CHARACTERS);
        let ago = units::duration(text).map(Self::Ago);
        let when = ago.or_else(|| date().map(Self::Day));
        when.or_else(|| text.parse().ok().map(Self::At)).ok_or_else(|| {
            "expected a duration such as 12h or 7d, a date such as 2026-11-01, or a time such as \
             2026-11-23T22:00:00Z"
                .to_owned()
        })
    }

    /// The moment. A day that no time has, at the end of the calendar, counts as the last moment or the first.
    fn at(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Ago(by) => now.checked_sub(by).ok(),
            Self::Day(day) => {
                let beyond = if day.year() > 0 { Timestamp::MAX } else { Timestamp::MIN };
                Some(day.to_zoned(zone.clone()).map_or(beyond, |begin| begin.timestamp()))
            }
            Self::At(at) => Some(at),
        }
    }
}

/// A range of time, its end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Range {
    /// The range that is asked for, as far as it is not in the future; the error is one line for people.
    pub(super) fn new(
        since: When,
        until: Option<When>,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Self, String> {
        let at = |when: When| when.at(now, zone).ok_or("that is too long ago");
        let from = at(since)?;
        if from > now {
            return Err(format!("the time range begins in the future: {from:.0}"));
        }
        let to = until.map_or(Ok(now), at)?.min(now);
        if from >= to {
            return Err(format!("the time range is empty: from {from:.0} until {to:.0}"));
        }
        Ok(Self { from, to })
    }

    /// The days in UTC that it touches, whole.
    pub(super) fn whole_days(self) -> Result<Self, String> {
        let days = self.utc_days().ok_or("that is too long ago")?;
        let begin = |day: Date| {
            let begin = day.to_zoned(TimeZone::UTC).map(|at| at.timestamp());
            begin.map_err(|_beyond| "that is too long ago".to_owned())
        };
        Ok(Self { from: begin(days.start_date)?, to: begin(days.end_date)? })
    }

    /// The days in UTC that it touches.
    pub(super) fn utc_days(self) -> Option<Days> {
        let (first, last) = self.days_from(self.from, &TimeZone::UTC)?;
        Some(Days { start_date: first, end_date: last.checked_add(1.day()).ok()? })
    }

    /// The first and the last day of what is left of it from `first` on; `None` when nothing is.
    pub(super) fn days_from(self, first: Timestamp, zone: &TimeZone) -> Option<(Date, Date)> {
        let last = self.to.checked_sub(1.nanosecond()).ok()?;
        let day = |at: Timestamp| at.to_zoned(zone.clone()).date();
        (first <= last).then(|| (day(first), day(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().expect("time")
    }

    #[test]
    fn people_write_times_in_three_ways() {
        let now = at("2026-11-23T10:30:00Z");
        for (text, zone, expected) in [
            ("7d", "UTC", "2026-11-16T10:30:00Z"),
            ("12h", "Asia/Tokyo", "2026-11-22T22:30:00Z"),
            ("1w", "UTC", "2026-11-16T10:30:00Z"),
            ("1h30m", "UTC", "2026-11-23T09:00:00Z"),
            ("2026-11-01", "UTC", "2026-11-01T00:00:00Z"),
            ("2026-11-01", "Europe/Berlin", "2026-10-31T23:00:00Z"),
            ("2026-11-01T12:00:00Z", "Europe/Berlin", "2026-11-01T12:00:00Z"),
            ("2026-11-01T12:00:00+02:00", "UTC", "2026-11-01T10:00:00Z"),
        ] {
            let zone = TimeZone::get(zone).expect("zone");
            let when = When::parse(text).expect("a time");
            assert_eq!(when.at(now, &zone), Some(at(expected)), "{text}");
        }
        // A time of which nobody knows where it is; a day that is none.
        for text in ["", "7", "yesterday", "2026-11-01T12:00", "2026-11-31", "2026-11", "20261101"]
        {
            let said = When::parse(text).expect_err(text);
            assert!(said.starts_with("expected a duration such as 12h"), "{said}");
        }
    }

    #[test]
    fn the_range_is_half_open_and_ends_now_at_the_latest() {
        let now = at("2026-11-23T10:30:00Z");
        let range = |since: &str, until: Option<&str>| {
            let until = until.map(|text| When::parse(text).expect("a time"));
            Range::new(When::parse(since).expect("a time"), until, now, &TimeZone::UTC)
        };
        let until_now = Range { from: at("2026-11-16T10:30:00Z"), to: now };
        assert_eq!(range("7d", None), Ok(until_now));
        assert_eq!(range("7d", Some("2027-01-01")), Ok(until_now));
        for (since, until, said) in [
            (
                "0s",
                None,
                "the time range is empty: from 2026-11-23T10:30:00Z until 2026-11-23T10:30:00Z",
            ),
            (
                "1d",
                Some("2d"),
                "the time range is empty: from 2026-11-22T10:30:00Z until 2026-11-21T10:30:00Z",
            ),
            ("2026-12-01", None, "the time range begins in the future: 2026-12-01T00:00:00Z"),
            ("9999-12-31", None, "the time range begins in the future: 9999-12-30T22:00:00Z"),
            ("99999999d", None, "that is too long ago"),
        ] {
            assert_eq!(range(since, until), Err(said.to_owned()));
        }
    }

    #[test]
    fn whole_days_are_all_that_are_touched() {
        for (from, to, expected) in [
            ("2026-11-16T10:30:00Z", "2026-11-23T10:30:00Z", ["2026-11-16", "2026-11-24"]),
            ("2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z", ["2026-11-16", "2026-11-23"]),
            ("2026-11-15T23:59:59Z", "2026-11-23T00:00:01Z", ["2026-11-15", "2026-11-24"]),
        ] {
            let range = Range { from: at(from), to: at(to) };
            let days = range.utc_days().expect("days");
            assert_eq!([days.start_date.to_string(), days.end_date.to_string()], expected);
            let whole = range.whole_days().expect("days");
            let midnights = expected.map(|day| at(&format!("{day}T00:00:00Z")));
            assert_eq!([whole.from, whole.to], midnights);
            assert_eq!(whole.utc_days(), Some(days), "rounded once is enough");
        }
        let range = Range { from: at("2026-11-16T10:30:00Z"), to: at("2026-11-23T10:30:00Z") };
        assert_eq!(range.days_from(at("2026-11-24T00:00:00Z"), &TimeZone::UTC), None);
        let tokyo = TimeZone::get("Asia/Tokyo").expect("zone");
        let (first, last) = range.days_from(at("2026-11-16T15:00:00Z"), &tokyo).expect("days");
        assert_eq!([first.to_string(), last.to_string()], ["2026-11-17", "2026-11-23"]);
    }
}
