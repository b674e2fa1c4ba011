//! When a route that is quiet by the time of day is quiet no more, or the other way round.
//!
//! Time intervals are read off wall clocks, so what can change their answer is a boundary of their times, a local midnight
//! (in either fold, where a clock is set back over it) or a transition of a zone. Those are asked in order.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};

use super::{IntervalSpec, TimeInterval};
use crate::clock;

/// How far ahead is looked, in days: five years. A leap day comes within.
const AHEAD_DAYS_MAX: u32 = 5 * 366;
const DAY: Duration = Duration::from_hours(24);

/// The first time after `after` at which `state` gives another answer than at `after`, where nothing but `intervals` and the
/// time decides it; `None` when it goes on for five years.
pub fn next_change<S: PartialEq>(
    intervals: &[&TimeInterval],
    state: impl Fn(Timestamp) -> S,
    after: Timestamp,
) -> Option<Timestamp> {
    if intervals.iter().all(|interval| interval.specs.is_empty()) {
        return None;
    }
    let now = state(after);
    let mut from = after;
    for _ in 0..AHEAD_DAYS_MAX {
        let until = clock::add(from, DAY);
        let mut candidates = BTreeSet::new();
        for spec in intervals.iter().flat_map(|interval| &interval.specs) {
            candidates_of(spec, from, until, &mut candidates);
        }
        let changed = |at: &&Timestamp| **at > from && **at <= until && state(**at) != now;
        if let Some(at) = candidates.iter().find(changed) {
            return Some(*at);
        }
        from = until;
    }
    None
}

/// Adds the times at which a spec may change its answer, those from `from` to `until` among them.
fn candidates_of(
    spec: &IntervalSpec,
    from: Timestamp,
    until: Timestamp,
    into: &mut BTreeSet<Timestamp>,
) {
    let zone = &spec.location;
    into.extend(
        zone.following(from)
            .next()
            .map(|transition| transition.timestamp())
            .filter(|at| *at <= until),
    );
    let minutes: BTreeSet<u16> =
        spec.times.iter().flat_map(|range| [range.start, range.end]).chain([0]).collect();
    let (mut date, last) = (zone.to_datetime(from).date(), zone.to_datetime(until).date());
    while date <= last {
        for minute in &minutes {
            wall_clock(zone, date, *minute, into);
        }
        let Ok(next) = date.tomorrow() else { return };
        date = next;
    }
}

/// Adds the times at which a wall clock shows a minute of a day: none, one, or two.
fn wall_clock(zone: &TimeZone, date: Date, minute: u16, into: &mut BTreeSet<Timestamp>) {
    let minute = i64::from(minute);
    let Ok(local) = date.to_datetime(Time::midnight()).checked_add(Span::new().minutes(minute))
    else {
        return;
    };
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let offsets = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { offset } => [Some(offset), None],
        // Left out by the clock: the transition itself is asked.
        AmbiguousOffset::Gap { .. } => [None, None],
        AmbiguousOffset::Fold { before, after } => [Some(before), Some(after)],
    };
    into.extend(offsets.into_iter().flatten().filter_map(|offset| offset.to_timestamp(local).ok()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::{TimeRange, WeekdayRange};

    fn interval(zone: &str, times: &[(u16, u16)], weekdays: &[&str]) -> TimeInterval {
        let spec = IntervalSpec {
            times: times
                .iter()
                .map(|(start, end)| TimeRange::new(*start, *end).expect("range"))
                .collect(),
            weekdays: weekdays
                .iter()
                .map(|text| WeekdayRange::parse(text).expect("range"))
                .collect(),
            location: IntervalSpec::location(zone).expect("zone"),
            ..IntervalSpec::default()
        };
        TimeInterval { name: "some".to_owned(), specs: vec![spec] }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn next(interval: &TimeInterval, after: &str) -> Option<Timestamp> {
        next_change(&[interval], |at| interval.holds(at), at(after))
    }

    #[test]
    fn a_night_ends_in_the_morning_on_days_of_change_too() {
        let night = |zone| interval(zone, &[(0, 8 * 60), (20 * 60, 24 * 60)], &[]);
        assert_eq!(next(&night("UTC"), "2026-11-29T22:00:00Z"), Some(at("2026-11-30T08:00:00Z")));
        let berlin = night("Europe/Berlin");
        assert_eq!(
            next(&berlin, "2026-03-28T21:00:00Z"),
            Some(at("2026-03-29T06:00:00Z")),
            "an hour is left out"
        );
        assert_eq!(
            next(&berlin, "2026-10-24T20:00:00Z"),
            Some(at("2026-10-25T07:00:00Z")),
            "an hour comes twice"
        );
        // What lies in the hour that is left out does not hold that day: the next edge is a day later.
        let gap = interval("Europe/Berlin", &[(2 * 60 + 15, 2 * 60 + 45)], &[]);
        assert_eq!(next(&gap, "2026-03-29T00:00:00Z"), Some(at("2026-03-30T00:15:00Z")));
    }

    #[test]
    fn days_and_what_never_changes() {
        let weekend = interval("America/New_York", &[], &["saturday", "sunday"]);
        assert_eq!(next(&weekend, "2026-11-30T12:00:00Z"), Some(at("2026-12-05T05:00:00Z")));
        assert_eq!(next(&weekend, "2026-12-05T05:00:00Z"), Some(at("2026-12-07T05:00:00Z")));
        let always = interval("UTC", &[(0, 24 * 60)], &[]);
        assert_eq!(next(&always, "2026-11-30T12:00:00Z"), None);
    }

    /// Against a look at every minute.
    #[test]
    fn equal_to_a_look_at_every_minute() {
        let zones =
            ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Beirut"];
        let specs: [&[(u16, u16)]; 4] =
            [&[], &[(0, 480), (1200, 1440)], &[(90, 150)], &[(23 * 60, 24 * 60)]];
        let starts = [
            "2026-03-27T22:13:00Z",
            "2026-10-24T21:59:00Z",
            "2026-10-03T10:00:00Z",
            "2018-11-03T20:00:00Z",
        ];
        for zone in zones {
            for times in specs {
                for days in [&[][..], &["sunday"][..]] {
                    let interval = interval(zone, times, days);
                    for start in starts {
                        let from = at(start);
                        let state = interval.holds(from);
                        let minute = Duration::from_mins(1);
                        let by_minute = (1..3 * 24 * 60_u32)
                            .map(|n| clock::add(from, minute * n))
                            .find(|at| interval.holds(*at) != state);
                        let found =
                            next(&interval, start).filter(|at| *at < clock::add(from, 3 * DAY));
                        assert_eq!(found, by_minute, "{zone} {times:?} {days:?} {start}");
                    }
                }
            }
        }
    }
}
