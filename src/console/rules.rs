//! The rules: what they look at, what fires by them, and one rule with its series.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use serde::Serialize;

use super::page::State;
use super::situation::{AlertRow, Situation, other_labels, severity};
use super::thresholds;
use super::visit::{Trouble, Visit, show};
use super::words::{Stamp, count_text, duration_text, encoded_path, value_text};
use crate::engine;
use crate::event;
use crate::rules::{Labels, Phase, RuleRef, Series, Shape};

/// Series of one rule that are listed at most.
const SERIES_MAX: usize = 200;

#[derive(Debug, Serialize)]
struct ListView {
    answer: String,
    beside: String,
    filter: String,
    groups: Vec<(String, Vec<Row>)>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    path: String,
    kind: &'static str,
    severity: State,
    fires: String,
    state: State,
}

#[derive(Debug, Serialize)]
struct OneView {
    name: String,
    group: String,
    kind: &'static str,
    state: State,
    written: Vec<(String, String)>,
    facts: Vec<(&'static str, String)>,
    on: Vec<&'static str>,
    alerts: Vec<AlertRow>,
    series: Vec<SeriesRow>,
    series_more: bool,
    has_series: bool,
}

#[derive(Debug, Serialize)]
struct SeriesRow {
    labels: String,
    account: String,
    value: String,
    count: u64,
    state: State,
    since: Option<Stamp>,
}

/// `GET /rules`
pub(super) async fn list(visit: Visit) -> Result<HttpResponse, Trouble> {
    let query = visit.query().into_iter().find(|(name, _)| name == "name");
    let filter = query.map(|(_, value)| value.trim().to_owned()).unwrap_or_default();
    let situation = Situation::of(&visit).await?;
    let mut firing: BTreeMap<&str, usize> = BTreeMap::new();
    for alert in &situation.alerts {
        *firing.entry(alert.rule.as_str()).or_default() += 1;
    }
    let mut groups: Vec<(String, Vec<Row>)> = Vec::new();
    let wanted = filter.to_lowercase();
    for of in situation.policy.rules.iter() {
        if !of.name().to_lowercase().contains(&wanted) {
            continue;
        }
        let group = of.name().split('/').next().unwrap_or_default();
        let row = row(of, firing.get(&**of.name()).copied().unwrap_or_default());
        match groups.last_mut() {
            Some((name, rows)) if name == group => rows.push(row),
            _ => groups.push((group.to_owned(), vec![row])),
        }
    }
    let (all, fire) = (situation.policy.rules.len(), firing.len());
    let view = ListView {
        answer: match fire {
            0 => format!("{}, and nothing fires", count_text(all, "rule", "rules")),
            fire => format!("Alerts fire by {fire} of {}", count_text(all, "rule", "rules")),
        },
        beside: format!("Configuration {}.", situation.policy.config_hash),
        filter,
        groups,
    };
    let page = visit.page("/rules", view.answer.clone()).await?.live();
    show("rules.html", page, view)
}

fn row(of: RuleRef<'_>, firing: usize) -> Row {
    let labels: Labels = of.labels().iter().cloned().collect();
    Row {
        name: of.name().split('/').nth(1).unwrap_or_default().to_owned(),
        path: format!("/rules/{}", encoded_path(of.name())),
        kind: of.kind(),
        severity: severity(&labels),
        fires: when(of),
        state: state(firing),
    }
}

fn state(firing: usize) -> State {
    match firing {
        0 => State::quiet("dot", "nothing fires"),
        1 => State::new("warning", "bell", "1 alert"),
        more => State::new("warning", "bell", format!("{more} alerts")),
    }
}

/// When it fires, in short.
fn when(of: RuleRef<'_>) -> String {
    let written = of.written();
    let shape = of.shape().map(engine::shape_text);
    match (shape, written.fire, written.when) {
        (Some(shape), Some(fire), _) => format!("{shape}: {fire}"),
        (Some(shape), None, _) => shape,
        (None, _, Some(when)) => crate::template::truncate(when, 120),
        (None, _, None) => "each event".to_owned(),
    }
}

/// `GET /rules/{group}/{alert}`
pub(super) async fn one(visit: Visit) -> Result<HttpResponse, Trouble> {
    let name = format!("{}/{}", visit.part("group"), visit.part("alert"));
    let situation = Situation::of(&visit).await?;
    let policy = Arc::clone(&situation.policy);
    let Some(of) = policy.rules.rule(&name) else {
        return Err(Trouble::Missing(format!("The configuration in force has no rule {name}.")));
    };
    let rows = visit.store().series(&name, &[], 0, SERIES_MAX + 1).await?;
    let series_more = rows.len() > SERIES_MAX;
    let mut series: Vec<Series> = rows
        .iter()
        .take(SERIES_MAX)
        .filter_map(|row| serde_json::from_slice(row.value.as_deref()?).ok())
        .collect();
    // What matters first.
    series.sort_by_key(|series| {
        let rank = match series.phase {
            Phase::Firing | Phase::Keeping(_) => 0,
            Phase::Pending(_) => 1,
            Phase::Inactive => 2,
        };
        (rank, std::cmp::Reverse(series.value))
    });
    let firing: Vec<AlertRow> = situation
        .alerts
        .iter()
        .filter(|alert| alert.rule == name)
        .map(|alert| situation.row(alert))
        .collect();
    let names =
        |kind: &&&str| policy.rules.naming(kind).iter().any(|(it, ..)| *it.name() == *of.name());
    let view = OneView {
        name: visit.part("alert"),
        group: visit.part("group"),
        kind: of.kind(),
        state: state(firing.len()),
        written: written(of),
        facts: facts(of),
        on: event::known_kinds().iter().filter(names).copied().collect(),
        alerts: firing,
        series: series.iter().map(|one| series_row(of, one, &visit)).collect(),
        series_more,
        has_series: of.shape().is_some(),
    };
    let page = visit.page("/rules", view.name.clone()).await?.live();
    show("rule.html", page, view)
}

fn written(of: RuleRef<'_>) -> Vec<(String, String)> {
    let written = of.written();
    let pair = |key: &str, source: Option<&str>| source.map(|it| (key.to_owned(), it.to_owned()));
    let by = written.by.iter().map(|(label, source)| (format!("by {label}"), (*source).to_owned()));
    pair("when", written.when)
        .into_iter()
        .chain(by)
        .chain(pair("value", written.value))
        .chain(pair("fire", written.fire))
        .chain(pair("clear", written.clear))
        .collect()
}

fn facts(of: RuleRef<'_>) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(shape) = of.shape() {
        facts.push(("Looks at", engine::shape_text(shape)));
        if let Shape::Gauge { stale_after: Some(stale) } = shape {
            facts.push(("No data after", duration_text(*stale)));
        }
        facts.push(("Series at most", of.max_series().to_string()));
    }
    let hold = of.hold();
    if !hold.wait.is_zero() {
        facts.push(("Pending for", duration_text(hold.wait)));
    }
    if !hold.keep.is_zero() {
        facts.push(("Kept firing for", duration_text(hold.keep)));
    }
    for (name, value) in of.labels() {
        if name == "severity" || name == "team" {
            facts.push((if name == "severity" { "Severity" } else { "Team" }, value.clone()));
        }
    }
    facts
}

fn series_row(of: RuleRef<'_>, series: &Series, visit: &Visit) -> SeriesRow {
    let labels = series.labels.unpack();
    let unit = thresholds::unit(of, &labels);
    let (state, since) = match series.phase {
        Phase::Inactive => (State::quiet("dot", "inactive"), None),
        Phase::Pending(since) => (State::new("", "wait", "pending"), Some(since)),
        Phase::Firing => (State::new("warning", "bell", "firing"), None),
        Phase::Keeping(since) => (State::new("", "bell", "kept firing"), Some(since)),
    };
    SeriesRow {
        labels: other_labels(&labels),
        account: labels.get("account").cloned().unwrap_or_default(),
        value: series.value.map_or_else(|| "–".to_owned(), |value| value_text(value, &unit)),
        count: series.count,
        state,
        since: since.map(|at| Stamp::at(at, visit.now())),
    }
}
