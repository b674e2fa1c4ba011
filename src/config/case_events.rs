//! The events of cases: in parts, and again and again in the weeks before.

use jiff::Timestamp;
use serde_json::Value;

use super::section::Section;
use super::words::{EventWords, HistoryWords};
use super::yaml::{Data, Node};
use crate::alerts::{IntervalError, IntervalSpec, TimeRange, WeekdayRange};
use crate::diagnostic::{At, Diagnostic};
use crate::event::Source;
use crate::simulation::{Body, EventSpec, Field, HistorySpec, Repeat};

/// An event that happened again and again.
pub(super) fn read_history(section: &HistoryWords<'_>) -> Option<HistorySpec> {
    let when = |key: &str, error: IntervalError| section.error(key, error.message);
    let hours = section.hours();
    let times = hours.value.split_once('-').map(|(start, end)| {
        let (start, end) = (TimeRange::minute(start)?, TimeRange::minute(end)?);
        TimeRange::new(start, end)
    });
    let times = if let Some(times) = times {
        times.map_err(|error| when("hours", error)).ok()
    } else {
        section.error("hours", "expected two times such as 08:00-18:00");
        None
    };
    let weekdays = WeekdayRange::parse(&section.weekdays().value);
    let weekdays = weekdays.map_err(|error| when("weekdays", error)).ok();
    let location = IntervalSpec::location(&section.time_zone().value);
    let location = location.map_err(|error| when("time_zone", error)).ok();
    let mut vary = vec![Field::Id];
    vary.extend(fields(section, section.vary()));
    let event = section.event();
    if !section.has("event") {
        return None;
    }
    let event = parts(&event, Repeat { vary, ..Repeat::once() })?;
    Some(HistorySpec {
        weeks: section.weeks(),
        every: section.every(),
        when: IntervalSpec {
            times: vec![times?],
            weekdays: vec![weekdays?],
            location: location?,
            ..IntervalSpec::default()
        },
        event,
    })
}

/// A time in RFC 3339.
pub(super) fn time(section: &Section<'_>, key: &str, text: &str) -> Option<Timestamp> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        section.error(key, "expected a time such as 2026-01-05T09:00:00Z");
    }
    parsed
}

/// An event in parts.
pub(super) fn parts(section: &EventWords<'_>, repeat: Repeat) -> Option<EventSpec> {
    let occurred_at = section.occurred_at();
    let occurred_at = occurred_at.and_then(|text| time(section, "occurred_at", &text.value));
    let source = match section.source() {
        "poller" => Source::Poller,
        "backfill" => Source::Backfill,
        "tollbell" => Source::Tollbell,
        _ => Source::Webhook,
    };
    let payload = section.payload().map(json).unwrap_or_default();
    let body = Body::Parts {
        kind: section.kind()?.value,
        id: section.id().map(|id| id.value),
        occurred_at,
        payload,
    };
    let (place, account) = (section.position.clone(), section.account());
    Some(EventSpec { place, account, source, body, repeat })
}

/// What each of several events has of its own.
pub(super) fn fields(section: &Section<'_>, given: Vec<At<String>>) -> Vec<Field> {
    let fields = given.into_iter().enumerate();
    let field = |(n, text): (usize, At<String>)| {
        let field = Field::parse(&text.value);
        if field.is_none() {
            let key = format!("{}[{n}]", section.at("vary"));
            let message = "expected id or a field such as payload.call_leg_id";
            section.push(Diagnostic::error(text.position, key, message));
        }
        field
    };
    fields.filter_map(field).collect()
}

/// YAML as JSON. A scalar in quotes is text; a plain one is what JSON takes it for, and else text.
fn json(node: &Node) -> Value {
    match &node.data {
        Data::Null | Data::Broken => Value::Null,
        Data::List(nodes) => nodes.iter().map(json).collect(),
        Data::Map(entries) => {
            entries.iter().map(|(key, node)| (key.value.clone(), json(node))).collect()
        }
        Data::Scalar(text) if node.plain => match serde_json::from_str(text) {
            Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
            _ => Value::String(text.clone()),
        },
        Data::Scalar(text) => Value::String(text.clone()),
    }
}
