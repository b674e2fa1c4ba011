//! Hours as the clocks of a time zone show them.
//!
//! An hour is named by how many whole hours the shown date and time is past 1970-01-01T00:00, whatever the offset: so
//! the same hour a week before is 168 less. Seconds are civil seconds likewise.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Seconds of an hour.
pub(super) const HOUR: i64 = 3_600;

/// Civil seconds: what the clocks show at an instant.
pub(super) fn seconds(zone: &TimeZone, at: Timestamp) -> i64 {
    let offset = if *zone == TimeZone::UTC { 0 } else { i64::from(zone.to_offset(at).seconds()) };
    at.as_second().saturating_add(offset)
}

/// The hour of civil seconds.
pub(super) fn hour_of(seconds: i64) -> i64 {
    seconds.div_euclid(HOUR)
}

/// The date and time that civil seconds show; `None` out of range.
pub(super) fn datetime(seconds: i64) -> Option<DateTime> {
    let at = Timestamp::from_second(seconds).ok()?;
    Some(TimeZone::UTC.to_datetime(at))
}

/// When the clocks show a stretch, given in civil seconds, if they pass through it evenly: none where they are set
/// meanwhile, so that a part of it is skipped or shown twice.
pub(super) fn stretch(zone: &TimeZone, from: i64, until: i64) -> Option<(Timestamp, Timestamp)> {
    let instant = |seconds| {
        let shown = zone.to_ambiguous_timestamp(datetime(seconds)?);
        (!shown.is_ambiguous()).then(|| shown.compatible().ok())?
    };
    let (begin, end) = (instant(from)?, instant(until)?);
    (end.as_second() - begin.as_second() == until - from).then_some((begin, end))
}
