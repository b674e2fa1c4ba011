//! Times as Alertmanager's framework reads and writes them.

use std::sync::LazyLock;

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use regex::Regex;

/// Date, time, second with its fraction, zone.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    let zone = r"(?<zone>Z|[+-]\d\d:\d\d)";
    let pattern = format!(
        r"^(?<date>\d{{4}}-\d\d-\d\d)(?:T(?<time>\d\d:\d\d)(?::(?<second>\d\d)(?:[.,](?<fraction>\d+))?)?{zone}?)?$"
    );
    Regex::new(&pattern).expect("a constant")
});

/// A time as it is written: RFC 3339, in UTC, with three digits that are cut.
pub(super) fn written(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Reads a time: RFC 3339, also without a zone (UTC), without seconds, or a date alone. An empty text is the year 1.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    if text.is_empty() {
        return Date::new(1, 1, 1).ok()?.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    }
    let found = TIME.captures(text)?;
    let part = |name: &str| found.name(name).map(|part| part.as_str());
    let offset = match part("zone") {
        None | Some("Z") => Offset::UTC,
        // Without seconds only UTC is read.
        Some(_) if part("second").is_none() => return None,
        Some(zone) => offset(zone)?,
    };
    let (time, second) = (part("time").unwrap_or("00:00"), part("second").unwrap_or("00"));
    let digits: String = part("fraction").unwrap_or("0").chars().take(9).collect();
    let whole: DateTime = format!("{}T{time}:{second}.{digits}", part("date")?).parse().ok()?;
    // A leap second is read as the second before it, and no time is.
    (second != "60").then(|| offset.to_timestamp(whole).ok()).flatten()
}

fn offset(text: &str) -> Option<Offset> {
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let seconds = sign * (hours * 3600 + minutes * 60);
    let allowed = hours < 24 && minutes < 60;
    allowed.then(|| Offset::try_from(SignedDuration::from_secs(seconds)).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_and_programs_write_them() {
        for (text, expected) in [
            ("2026-12-01T10:20:30.123Z", Some("2026-12-01T10:20:30.123Z")),
            ("2026-12-01T10:20:30Z", Some("2026-12-01T10:20:30.000Z")),
            ("2026-12-01T10:20:30.123456789Z", Some("2026-12-01T10:20:30.123Z")),
            ("2026-12-01T10:20:30.1239999999999Z", Some("2026-12-01T10:20:30.123Z")),
            ("2026-12-01T10:20:30,5Z", Some("2026-12-01T10:20:30.500Z")),
            ("2026-12-01T10:20:30+05:30", Some("2026-12-01T04:50:30.000Z")),
            ("2026-12-01T10:20:30", Some("2026-12-01T10:20:30.000Z")),
            ("2026-12-01T10:20:30.123456", Some("2026-12-01T10:20:30.123Z")),
            ("2026-12-01T10:20Z", Some("2026-12-01T10:20:00.000Z")),
            ("2026-12-01T10:20", Some("2026-12-01T10:20:00.000Z")),
            ("2026-12-01", Some("2026-12-01T00:00:00.000Z")),
            ("", Some("0001-01-01T00:00:00.000Z")),
            ("2026-12-01 10:20:30Z", None),
            ("2026-12-01T10:20:30+0100", None),
            ("2026-12-01T10:20+01:00", None),
            ("2026-13-01T10:20:30Z", None),
            ("2026-12-01T24:20:30Z", None),
            ("2026-12-01T10:20:60Z", None),
            ("2026-12-01T10:20:30+99:00", None),
            ("9999-12-31T23:59:59Z", None),
            ("tomorrow", None),
            ("1764582030", None),
        ] {
            assert_eq!(parse(text).map(written).as_deref(), expected, "{text}");
        }
    }
}
