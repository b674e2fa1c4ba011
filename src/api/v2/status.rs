//! `GET /api/v2/status` and `/api/v2/receivers`.

use std::fmt::Write as _;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use super::answers::answer;
use super::time::written;
use super::view::ReceiverView;
use super::yaml;
use crate::alerts::{GroupBy, InhibitRule, Matcher, Route, TimeInterval};
use crate::api::{Deps, InForce};

/// The Alertmanager whose words are spoken. Clients compare it with their own version.
const SPEAKS_LIKE: &str = "0.28.1";
/// What stands where tollbell has nothing to tell: clients want a text.
const UNKNOWN: &str = "unknown";

/// Answers `GET /api/v2/status`.
pub(super) async fn status(deps: web::Data<Deps>) -> HttpResponse {
    let original = yaml::document(&original(&deps.in_force.load()));
    answer(&json!({
        "cluster": {"peers": [], "status": "disabled"},
        "config": {"original": original},
        "uptime": written(deps.started_at),
        "versionInfo": {
            "branch": UNKNOWN,
            "buildDate": UNKNOWN,
            "buildUser": UNKNOWN,
            "goVersion": UNKNOWN,
            "revision": concat!("tollbell ", env!("CARGO_PKG_VERSION")),
            "version": SPEAKS_LIKE,
        },
    }))
}

/// Answers `GET /api/v2/receivers`: in the order of the file, unused ones too.
pub(super) async fn receivers(deps: web::Data<Deps>) -> HttpResponse {
    let in_force = deps.in_force.load();
    let views: Vec<_> = in_force.receivers.iter().map(|name| ReceiverView::new(name)).collect();
    answer(&views)
}

/// The configuration as far as Alertmanager has it, so that its own loaders take it: routes, names of receivers, inhibition
/// and time intervals.
fn original(in_force: &InForce) -> Value {
    let routing = &in_force.policy.routing;
    let receivers: Vec<Value> =
        in_force.receivers.iter().map(|name| json!({"name": name})).collect();
    let mut root = Map::new();
    root.insert("route".to_owned(), route(&routing.route, None));
    root.insert("receivers".to_owned(), receivers.into());
    if !routing.inhibit_rules.is_empty() {
        let rules: Vec<Value> = routing.inhibit_rules.iter().map(inhibit_rule).collect();
        root.insert("inhibit_rules".to_owned(), rules.into());
    }
    if !routing.time_intervals.is_empty() {
        let intervals: Vec<Value> = routing.time_intervals.values().map(interval).collect();
        root.insert("time_intervals".to_owned(), intervals.into());
    }
    root.into()
}

/// A route; without a parent it is the root, which has no conditions in Alertmanager.
fn route(of: &Route, parent: Option<&Route>) -> Value {
    let mut fields = Map::new();
    fields.insert("receiver".to_owned(), of.receiver.clone().into());
    let group_by = match &of.group_by {
        GroupBy::All => vec!["...".to_owned()],
        GroupBy::Labels(names) => names.clone(),
    };
    if parent.is_none_or(|parent| parent.group_by != of.group_by) && !group_by.is_empty() {
        fields.insert("group_by".to_owned(), group_by.into());
    }
    let timings = [
        ("group_wait", of.timing.group_wait, Duration::ZERO),
        ("group_interval", of.timing.group_interval, Duration::from_millis(1)),
        ("repeat_interval", of.timing.repeat_interval, Duration::from_millis(1)),
    ];
    for (name, value, least) in timings {
        fields.insert(name.to_owned(), duration(value.max(least)).into());
    }
    if parent.is_some() {
        if !of.matchers.is_empty() {
            fields.insert("matchers".to_owned(), matchers(&of.matchers));
        }
        let names = [
            ("mute_time_intervals", &of.mute_time_intervals),
            ("active_time_intervals", &of.active_time_intervals),
        ];
        for (name, intervals) in names.into_iter().filter(|(_, intervals)| !intervals.is_empty()) {
            fields.insert(name.to_owned(), intervals.clone().into());
        }
        if of.continues {
            fields.insert("continue".to_owned(), true.into());
        }
    }
    if !of.routes.is_empty() {
        let routes: Vec<Value> = of.routes.iter().map(|child| route(child, Some(of))).collect();
        fields.insert("routes".to_owned(), routes.into());
    }
    fields.into()
}

fn matchers(list: &[Matcher]) -> Value {
    list.iter().map(|one| Value::from(one.to_string())).collect()
}

fn inhibit_rule(rule: &InhibitRule) -> Value {
    json!({
        "source_matchers": matchers(&rule.source_matchers),
        "target_matchers": matchers(&rule.target_matchers),
        "equal": rule.equal,
    })
}

fn interval(of: &TimeInterval) -> Value {
    let texts = |texts: Vec<String>| Value::from(texts);
    let spec = |spec: &crate::alerts::IntervalSpec| {
        let mut fields = Map::new();
        if !spec.times.is_empty() {
            let time = |range: &crate::alerts::TimeRange| json!({"start_time": minute(range.start), "end_time": minute(range.end)});
            fields.insert("times".to_owned(), spec.times.iter().map(time).collect());
        }
        let parts = [
            ("weekdays", spec.weekdays.iter().map(ToString::to_string).collect::<Vec<_>>()),
            ("days_of_month", spec.days_of_month.iter().map(ToString::to_string).collect()),
            ("months", spec.months.iter().map(ToString::to_string).collect()),
            ("years", spec.years.iter().map(ToString::to_string).collect()),
        ];
        for (name, ranges) in parts.into_iter().filter(|(_, ranges)| !ranges.is_empty()) {
            fields.insert(name.to_owned(), texts(ranges));
        }
        let zone = spec.location.iana_name().unwrap_or("UTC");
        fields.insert("location".to_owned(), zone.into());
        Value::from(fields)
    };
    let specs: Vec<Value> = of.specs.iter().map(spec).collect();
    json!({"name": of.name, "time_intervals": specs})
}

fn minute(of_day: u16) -> String {
    format!("{:02}:{:02}", of_day / 60, of_day % 60)
}

/// A duration as Prometheus writes it.
fn duration(of: Duration) -> String {
    let mut millis = of.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")]
    {
        if millis >= unit {
            write!(text, "{}{name}", millis / unit).expect("writing to a string cannot fail");
            millis %= unit;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_prometheus_reads_them() {
        for (millis, expected) in [
            (0, "0s"),
            (500, "500ms"),
            (30_000, "30s"),
            (5_400_000, "1h30m"),
            (90_061_001, "1d1h1m1s1ms"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
    }
}
