//! Times as Telnyx spells them.
//!
//! Receives a JSON value. Promises a time only when it is one that an event can have; anything else is `None`,
//! and the engine then takes the time of receipt. Never guesses a zone other than UTC.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Longest text that is tried as a time, in bytes.
const TIME_BYTES_MAX: usize = 64;
/// Seconds since the epoch from which a time is taken for a mistake: the year 2200. Below it the count of
/// nanoseconds fits 63 bits everywhere.
const SECONDS_MAX: i64 = 7_258_118_400;
/// A count from here on is of microseconds.
const MILLIS_END: i64 = 10_000_000_000_000;
/// A count from here on is of nanoseconds.
const MICROS_END: i64 = 10_000_000_000_000_000;

/// Reads a time as any sender spells it; `None` for what is no time that an event can have.
///
/// RFC 3339 with any offset and precision, the same without an offset (then UTC), RFC 2822, or a count of seconds,
/// milliseconds, microseconds or nanoseconds since 1970. Times before 1970 or from 2200 on are not believed.
pub fn lenient(value: &Value) -> Option<Timestamp> {
    let at = match value {
        Value::String(text) => from_text(text.trim()),
        Value::Number(number) => number.as_i64().and_then(from_count),
        _ => None,
    }?;
    (0..SECONDS_MAX).contains(&at.as_second()).then_some(at)
}

fn from_text(text: &str) -> Option<Timestamp> {
    if text.is_empty() || text.len() > TIME_BYTES_MAX {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().and_then(from_count);
    }
    text.parse::<Timestamp>().ok().or_else(|| naive(text)).or_else(|| rfc_2822(text))
}

fn naive(text: &str) -> Option<Timestamp> {
    let local = text.parse::<DateTime>().ok()?;
    TimeZone::UTC.to_timestamp(local).ok()
}

fn rfc_2822(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// The unit follows from the size: each one's plausible range lies apart from the others'.
fn from_count(count: i64) -> Option<Timestamp> {
    let duration = match count {
        0..SECONDS_MAX => SignedDuration::from_secs(count),
        SECONDS_MAX..MILLIS_END => SignedDuration::from_millis(count),
        MILLIS_END..MICROS_END => SignedDuration::from_micros(count),
        MICROS_END.. => SignedDuration::from_nanos(count),
        _ => return None,
    };
    Timestamp::from_duration(duration).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_spelling_is_read() {
        let expected = "2024-09-13T09:12:19Z";
        for json in [
            r#""2024-09-13T09:12:19Z""#,
            r#""2024-09-13T09:12:19.000000Z""#,
            r#""2024-09-13T09:12:19.000+00:00""#,
            r#""2024-09-13T11:12:19+02:00""#,
            r#""2024-09-13T11:12:19+0200""#,
            r#""2024-09-13T09:12:19""#,
            r#"" 2024-09-13 09:12:19 ""#,
            r#""Fri, 13 Sep 2024 09:12:19 +0000""#,
            r#""1726218739""#,
            "1726218739",
            "1726218739000",
            "1726218739000000",
            "1726218739000000000",
        ] {
            let value: Value = serde_json::from_str(json).expect("json");
            let at = lenient(&value).map(|at| at.to_string());
            assert_eq!(at.as_deref(), Some(expected), "{json}");
        }
        let micros = lenient(&Value::from("2018-02-02T22:25:27.521992Z")).expect("time");
        assert_eq!(micros.to_string(), "2018-02-02T22:25:27.521992Z");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for json in [
            "null",
            "true",
            "{}",
            "-1",
            "1.5",
            "1e400",
            "9223372036854775807",
            "18446744073709551615",
            r#""""#,
            r#""createDate""#,
            r#""2024-13-45T00:00:00Z""#,
            r#""9999-12-30T00:00:00Z""#,
            r#""1969-12-31T23:59:59Z""#,
            r#""99999999999999999999999""#,
        ] {
            let value: Value = serde_json::from_str(json).expect("json");
            assert_eq!(lenient(&value), None, "{json}");
        }
    }
}
