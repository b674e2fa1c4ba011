//! CEL's timestamps and durations: their texts and their bounds.
//!
//! A `timestamp` is a date and time in UTC from year 1 to year 9999, to the nanosecond; a `duration` a number of
//! nanoseconds that fits 64 bits, about 292 years either way. <https://github.com/google/cel-spec> leaves both to
//! protobuf's types and asks for these bounds in its tests.

use std::fmt::Write as _;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// The timestamp of an instant.
pub(super) fn of_instant(instant: Timestamp) -> DateTime {
    Offset::UTC.to_datetime(instant)
}

/// The timestamp so many seconds after 1970.
pub(super) fn of_seconds(seconds: i64) -> Option<DateTime> {
    in_bounds(EPOCH.checked_add(SignedDuration::from_secs(seconds)).ok()?)
}

/// Whole seconds since 1970; of an instant between two of them the earlier.
pub(super) fn seconds(timestamp: DateTime) -> i64 {
    let since = timestamp.duration_since(EPOCH);
    since.as_secs() - i64::from(since.subsec_nanos() < 0)
}

pub(super) fn add(timestamp: DateTime, duration: SignedDuration) -> Option<DateTime> {
    in_bounds(timestamp.checked_add(duration).ok()?)
}

/// Only what CEL can write.
fn in_bounds(timestamp: DateTime) -> Option<DateTime> {
    (timestamp.year() >= 1).then_some(timestamp)
}

/// Only what CEL can count.
pub(super) fn bounded(duration: SignedDuration) -> Option<SignedDuration> {
    i64::try_from(duration.as_nanos()).ok().map(|_| duration)
}

/// RFC 3339: `2026-01-31T22:30:05.25Z`, or with an offset such as `+01:00`. More than nine decimals of a second are
/// cut.
pub(super) fn timestamp(text: &str) -> Option<DateTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let time = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = time.split_at_checked(8)?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(clock, ':', [2, 2, 2])?;
    let digits = rest.strip_prefix('.').map(|rest| {
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest.split_at_checked(length).unwrap_or((rest, ""))
    });
    let (nanosecond, zone) = match digits {
        Some(("", _)) => return None,
        Some((digits, zone)) => {
            let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
            (nine.parse().ok()?, zone)
        }
        None => (0, rest),
    };
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let [hour, minute, second] = [hour, minute, second].map(i8::try_from);
    let time = Time::new(hour.ok()?, minute.ok()?, second.ok()?, nanosecond).ok()?;
    let local = date.to_datetime(time);
    let ahead = match zone {
        "Z" | "z" => 0,
        _ => offset_seconds(zone)?,
    };
    in_bounds(local.checked_sub(SignedDuration::from_secs(i64::from(ahead))).ok()?)
}

/// Numbers of so many digits, with `separator` between them.
fn fields(text: &str, separator: char, digits: [usize; 3]) -> Option<[i16; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        *number = part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(numbers)
}

/// `+02:30` or `-09:00`, in seconds.
fn offset_seconds(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("-", digits) => (-1, digits),
        ("+", digits) => (1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':')?;
    let number = |text: &str, end: i32| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i32>().ok().filter(|number| is_number && *number < end)
    };
    Some(sign * (number(hours, 24)? * 3600 + number(minutes, 60)? * 60))
}

/// A time zone as CEL takes it: an IANA name, or an offset such as `-05:00`; its `+` may be left out.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    let seconds = offset_seconds(name).or_else(|| offset_seconds(&format!("+{name}")));
    if let Some(seconds) = seconds {
        return Offset::from_seconds(seconds).ok().map(TimeZone::fixed);
    }
    TimeZone::get(name).ok()
}

/// The date and time that clocks in a zone show at a timestamp.
pub(super) fn local(timestamp: DateTime, zone: &TimeZone) -> Option<DateTime> {
    // The last hours of year 9999 are beyond what the time library calls an instant, and have the offset of its last.
    let instant = Offset::UTC.to_timestamp(timestamp).unwrap_or(Timestamp::MAX);
    let ahead = zone.to_offset(instant).seconds();
    timestamp.checked_add(SignedDuration::from_secs(i64::from(ahead))).ok()
}

/// RFC 3339, in UTC, without zeros at the end of a fraction.
pub(super) fn timestamp_text(timestamp: DateTime) -> String {
    format!("{timestamp}Z")
}

/// As Go writes durations: `1h30m`, `1.5s`, `-250ms`, `0`.
pub(super) fn duration(text: &str) -> Option<SignedDuration> {
    let (sign, unsigned) = match text.split_at_checked(1)? {
        ("-", rest) => (-1, rest),
        ("+", rest) => (1, rest),
        _ => (1, text),
    };
    if unsigned == "0" {
        return Some(SignedDuration::ZERO);
    }
    let (mut rest, mut nanos) = (unsigned, 0_i128);
    while !rest.is_empty() {
        let length = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(length)?;
        let length = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(length)?;
        nanos = nanos.checked_add(nanoseconds(number, unit)?)?;
        rest = after;
    }
    let nanos = i64::try_from(sign * nanos).ok()?;
    (!unsigned.is_empty()).then(|| SignedDuration::from_nanos(nanos))
}

/// `1.5` of a unit, what is less than a nanosecond cut off.
fn nanoseconds(number: &str, unit: &str) -> Option<i128> {
    let unit: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3600 * NANOS_PER_SECOND,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // More digits than these are less than a nanosecond of an hour.
    let fraction = fraction.get(..fraction.len().min(18)).unwrap_or_default();
    let parts: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(unit)?.checked_add(parts * unit / scale)
}

/// Seconds with at most nine decimals, as CEL writes durations: `5400s`, `-0.25s`.
pub(super) fn duration_text(duration: SignedDuration) -> String {
    let nanos = duration.as_nanos();
    let (seconds, rest) = (nanos.abs() / NANOS_PER_SECOND, nanos.abs() % NANOS_PER_SECOND);
    let mut text = format!("{}{seconds}", if nanos < 0 { "-" } else { "" });
    if rest > 0 {
        let fraction = format!("{rest:09}");
        write!(text, ".{}", fraction.trim_end_matches('0'))
            .expect("writing to a string cannot fail");
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_from_year_1_to_9999() {
        for (text, want) in [
            ("2026-01-31T22:30:05Z", Some("2026-01-31T22:30:05Z")),
            ("2026-01-31T22:30:05.2500+01:30", Some("2026-01-31T21:00:05.25Z")),
            ("2026-01-31 22:30:05z", Some("2026-01-31T22:30:05Z")),
            ("2026-01-31T22:30:05.1234567899Z", Some("2026-01-31T22:30:05.123456789Z")),
            ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z")),
            ("9999-12-31T23:59:59.999999999Z", Some("9999-12-31T23:59:59.999999999Z")),
            ("0001-01-01T00:00:00+01:00", None),
            ("9999-12-31T23:59:59-01:00", None),
            ("10000-01-01T00:00:00Z", None),
            ("2026-02-29T00:00:00Z", None),
            ("2026-01-31T22:30:60Z", None),
            ("2026-01-31T22:30:05", None),
            ("2026-01-31T22:30:05.Z", None),
            ("2026-01-31T22:30Z", None),
            ("2026-1-31T22:30:05Z", None),
            ("2026-01-31T22:30:05Z[UTC]", None),
            ("", None),
        ] {
            assert_eq!(timestamp(text).map(timestamp_text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn seconds_before_1970_are_rounded_down() {
        for (text, want) in [
            ("1970-01-01T00:00:00.9Z", 0),
            ("1969-12-31T23:59:59.5Z", -1),
            ("1969-12-31T23:59:59Z", -1),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(seconds(timestamp(text).expect(text)), want, "{text}");
        }
        assert_eq!(of_seconds(-62_135_596_800), timestamp("0001-01-01T00:00:00Z"));
        assert_eq!(of_seconds(-62_135_596_801), None);
        assert_eq!(of_seconds(253_402_300_800), None);
        assert_eq!(of_seconds(i64::MAX), None);
    }

    #[test]
    fn durations_are_as_go_writes_them() {
        for (text, want) in [
            ("0", Some("0s")),
            ("-0", Some("0s")),
            ("1.5h30m", Some("7200s")),
            (".5s", Some("0.5s")),
            ("5.s", Some("5s")),
            ("-1h2m3s4ms5us6ns", Some("-3723.004005006s")),
            ("+1µs1μs", Some("0.000002s")),
            ("0.9999999999999999999999h", Some("3599.999999999s")),
            ("2562047h", Some("9223369200s")),
            ("2562048h", None),
            ("1 hour 30 minutes ago", None),
            ("1d", None),
            ("1", None),
            ("s", None),
            (".s", None),
            ("1..5s", None),
            ("1s ", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(duration(text).map(duration_text).as_deref(), want, "{text}");
        }
    }
}
