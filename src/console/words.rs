//! Times, spans, amounts and labels as people read them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use crate::alerts::{Alert, severity_rank};
use crate::chart::{amount_text, figure_text};
use crate::rules::Labels;

/// A time for machines and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Stamp {
    /// RFC 3339.
    iso: String,
    /// What is shown.
    text: String,
}

impl Stamp {
    fn new(at: Timestamp, text: String) -> Self {
        Self { iso: format!("{at:.0}"), text }
    }

    /// What is shown.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The time of day, with the date when it is another day than today's (UTC).
    pub(super) fn at(at: Timestamp, now: Timestamp) -> Self {
        let (then, today) = (at.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
        let format = match (then.date() == today.date(), then.year() == today.year()) {
            (true, _) => "%H:%M:%S",
            (false, true) => "%a %-d %b %H:%M",
            (false, false) => "%-d %b %Y %H:%M",
        };
        Self::new(at, then.strftime(format).to_string())
    }

    /// How long ago it was: `4 s ago`.
    pub(super) fn ago(at: Timestamp, now: Timestamp) -> Self {
        let text = match now.duration_since(at).as_secs() {
            ..=0 => "now".to_owned(),
            seconds => format!("{} ago", seconds_text(seconds)),
        };
        Self::new(at, text)
    }

    /// How long it has been since then: `15 min`.
    pub(super) fn since(at: Timestamp, until: Timestamp) -> Self {
        Self::new(at, span_text(at, until))
    }

    /// When it will be, or was: `in 7 min`, `3 min ago`.
    pub(super) fn from_now(at: Timestamp, now: Timestamp) -> Self {
        if at > now {
            Self::new(at, format!("in {}", span_text(now, at)))
        } else {
            Self::ago(at, now)
        }
    }
}

/// From one time to another: `15 min`, `1 h 50 min`, `3 d 4 h`.
pub(super) fn span_text(from: Timestamp, to: Timestamp) -> String {
    seconds_text(to.duration_since(from).as_secs())
}

/// A length of time: `2 h`.
pub(super) fn duration_text(length: Duration) -> String {
    seconds_text(i64::try_from(length.as_secs()).unwrap_or(i64::MAX))
}

fn seconds_text(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let with = |whole: i64, unit: &str, rest: i64, part: &str| match rest {
        0 => format!("{whole} {unit}"),
        rest => format!("{whole} {unit} {rest} {part}"),
    };
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 => with(hours, "h", minutes % 60, "min"),
        86_400..1_209_600 => with(days, "d", hours % 24, "h"),
        _ => format!("{days} d"),
    }
}

/// A value of a rule: rounded to what a person reads, with its unit where there is one.
pub(super) fn value_text(value: Decimal, unit: &str) -> String {
    if !unit.is_empty() {
        return amount_text(value, unit);
    }
    let places = if value.abs() >= Decimal::ONE_HUNDRED { 1 } else { 4 };
    let rounded = value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    figure_text(rounded.normalize())
}

/// `1 alert`, `2 alerts`.
pub(super) fn count_text(count: usize, one: &str, many: &str) -> String {
    match count {
        0 => format!("no {one}"),
        1 => format!("1 {one}"),
        more => format!("{} {many}", figure_text(Decimal::from(more))),
    }
}

/// A number of things with its thousands apart.
pub(super) fn number_text(count: u64) -> String {
    figure_text(Decimal::from(count))
}

/// How much attention an alert asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tone {
    /// Now.
    Critical,
    /// Soon.
    Warning,
    /// Whenever.
    Info,
}

impl Tone {
    pub(super) fn of(labels: &Labels) -> Self {
        match severity_rank(labels) {
            3 => Self::Critical,
            0 => Self::Info,
            _ => Self::Warning,
        }
    }
}

/// A label of an alert; empty when it has none.
pub(super) fn label<'l>(labels: &'l Labels, name: &str) -> &'l str {
    labels.get(name).map_or("", String::as_str)
}

/// What an alert says on one line: its summary, else its name.
pub(super) fn headline(alert: &Alert) -> String {
    let summary = label(&alert.annotations, "summary").trim();
    let text = if summary.is_empty() { label(&alert.labels, "alertname") } else { summary };
    if text.is_empty() { alert.rule.clone() } else { text.to_owned() }
}

/// The first characters of an id, which tell it apart.
pub(super) fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

/// A text as part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The name of a rule as part of a path: group and name each by itself.
pub(super) fn encoded_path(rule: &str) -> String {
    rule.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

/// An integration and its target, for people.
pub(super) fn target_name(integration: &str, target: &str) -> String {
    if target.is_empty() { integration.to_owned() } else { format!("{target} ({integration})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn times_are_as_short_as_they_can_be() {
        let now = at("2026-11-30T10:42:07Z");
        for (then, want) in [
            ("2026-11-30T10:26:42Z", "10:26:42"),
            ("2026-11-28T17:41:00Z", "Sat 28 Nov 17:41"),
            ("2025-11-28T17:41:00Z", "28 Nov 2025 17:41"),
        ] {
            assert_eq!(Stamp::at(at(then), now).text, want);
        }
        for (then, want) in [
            ("2026-11-30T10:42:03.5Z", "3 s ago"),
            ("2026-11-30T10:42:08Z", "now"),
            ("2026-11-30T10:41:00Z", "1 min ago"),
            ("2026-11-30T08:52:07Z", "1 h 50 min ago"),
            ("2026-11-27T06:42:07Z", "3 d 4 h ago"),
            ("2026-10-01T06:42:07Z", "60 d ago"),
        ] {
            assert_eq!(Stamp::ago(at(then), now).text, want);
        }
        assert_eq!(Stamp::from_now(at("2026-11-30T10:49:07Z"), now).text, "in 7 min");
        assert_eq!(Stamp::from_now(at("2026-11-30T10:39:07Z"), now).text, "3 min ago");
    }

    #[test]
    fn values_are_rounded_for_people() {
        for (value, unit, want) in [
            ("35.9512", "USD", "35.95 USD"),
            ("0.80651234", "", "0.8065"),
            ("1234.5678", "", "1,234.6"),
            ("3.0", "", "3"),
        ] {
            assert_eq!(value_text(value.parse().expect(value), unit), want);
        }
    }
}
