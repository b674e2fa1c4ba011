//! Durations and sizes as people write them.

use std::time::Duration;

/// Units of a duration with their milliseconds. `ms` stands before `m` and `s`: the longer name is tried first.
const TIME_UNITS: [(&str, u64); 7] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
    ("y", 31_536_000_000),
];
/// Units of a size with their bytes.
const SIZE_UNITS: [(&str, u64); 4] =
    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// Reads `500ms`, `30s`, `5m`, `4h`, `30d`, `1w`, `1y`, a row of them (`1h30m`), or `0`. As in Prometheus a day is 24 h
/// and a year 365 days.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = if text == "0" { "0s" } else { text };
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let (unit, scale) = TIME_UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(*scale)?)?;
        rest = after.strip_prefix(unit)?;
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

/// Reads `1MiB`, `512KiB`, `4096B` or plain bytes.
pub(super) fn size(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "" => 1,
        unit => SIZE_UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    usize::try_from(number.parse::<u64>().ok()?.checked_mul(scale)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_follow_the_table() {
        for (text, want) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1w", Some(604_800_000)),
            ("1y", Some(31_536_000_000)),
            ("1y2w3d4h5m6s7ms", Some(33_019_506_007)),
            ("0s", Some(0)),
            ("0", Some(0)),
            ("00", None),
            ("", None),
            ("5", None),
            ("m", None),
            ("-5m", None),
            ("1.5h", None),
            ("5 m", None),
            ("5M", None),
            ("99999999999999999999s", None),
            ("9999999999999999w", None),
        ] {
            assert_eq!(duration(text), want.map(Duration::from_millis), "{text}");
        }
        for (text, want) in [
            ("1MiB", Some(1_048_576)),
            ("512KiB", Some(524_288)),
            ("4096", Some(4096)),
            ("7B", Some(7)),
            ("1MB", None),
            ("MiB", None),
            ("", None),
            ("-1", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(size(text), want, "{text}");
        }
    }
}
