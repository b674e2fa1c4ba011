//! Rules: what they look at, where they stand, and what they said last.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::Query;
use super::problem::Problem;
use super::reply::{Answered, answer};
use crate::alerts::Alert;
use crate::api::Deps;
use crate::engine;
use crate::event;
use crate::rules::{Labels, Phase, RuleRef, Series};
use crate::store::{AlertFilter, Judgement};

/// Alerts that fire and are looked at, at most.
const ALERTS_MAX: usize = 100_000;
/// Alerts and series of one rule that are shown at most, of each.
const SHOWN_MAX: usize = 1_000;

/// The rules of the configuration in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleList {
    /// Hash of the configuration.
    config: String,
    /// In the order of the files.
    items: Vec<RuleItem>,
}

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleItem {
    /// `group/alert`.
    name: String,
    /// `event`, `gauge`, `window` or `absence`.
    kind: &'static str,
    /// `firing` while any of its alerts fires, else `inactive`.
    state: RuleState,
    /// How many of its alerts fire.
    firing: usize,
    /// The labels that it gives its alerts.
    #[schema(value_type = Object)]
    labels: Labels,
    /// What it said last that was recorded; null when nothing is, as far as is looked back. That it did not match is not
    /// recorded.
    last: Option<RuleResult>,
}

/// Where a rule stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RuleState {
    /// None of its alerts fires.
    Inactive,
    /// An alert of it fires.
    Firing,
}

/// What a rule said of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleResult {
    /// `fired`, `extended`, `resolved`, `no_data` or `failed`.
    outcome: String,
    /// One line: values, or why it failed.
    detail: String,
    /// When the event was taken in.
    at: Timestamp,
    /// The event's place in the inbox.
    seq: i64,
    /// The alert, when there is one.
    fingerprint: Option<String>,
    /// Hash of the configuration that judged.
    config: String,
}

/// A rule with its expressions, its alerts and its series.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleDetail {
    /// The rule.
    rule: RuleItem,
    /// The kinds of events that it looks at, as far as they are known.
    on: Vec<&'static str>,
    /// Its expressions as they are written, by their key; those of `by` as `by LABEL`.
    expressions: BTreeMap<String, String>,
    /// What it looks at, in words; null for an event rule.
    over: Option<String>,
    /// How long its condition must hold before it fires, in seconds.
    for_seconds: u64,
    /// How long it goes on firing when its condition has ended, in seconds.
    keep_firing_for_seconds: u64,
    /// Its alerts that fire, 1000 at most.
    alerts: Vec<RuleAlert>,
    /// Its series, 1000 at most; none of an event rule.
    series: Vec<RuleSeries>,
    /// Whether there are more series.
    series_more: bool,
}

/// An alert of a rule that fires.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleAlert {
    /// Identity.
    fingerprint: String,
    /// Its labels.
    #[schema(value_type = Object)]
    labels: Labels,
    /// Since when it fires.
    starts_at: Timestamp,
    /// When an event last touched it.
    updated_at: Timestamp,
    /// The value that was judged last; null of an event rule.
    value: Option<Decimal>,
}

/// A series of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleSeries {
    /// The labels of its alert.
    #[schema(value_type = Object)]
    labels: Labels,
    /// Where its alert stands.
    phase: SeriesPhase,
    /// Since when it is pending, or its condition has ended; null otherwise.
    since: Option<Timestamp>,
    /// The value at the last judgement; null while there is none.
    value: Option<Decimal>,
    /// How many observations that value was made of.
    count: u64,
}

/// Where the alert of a series stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SeriesPhase {
    /// Nothing is wrong.
    Inactive,
    /// The condition holds, not yet for long enough.
    Pending,
    /// The alert fires.
    Firing,
    /// The condition has ended, and the alert is kept firing.
    Keeping,
}

/// What is known of the rules' results, by rule.
struct Results {
    firing: BTreeMap<String, Vec<Alert>>,
    last: BTreeMap<String, (Judgement, Timestamp)>,
}

impl Results {
    /// Those of all rules.
    async fn of_all(deps: &Deps) -> Result<Self, Problem> {
        let filter = AlertFilter { firing_only: true, fingerprint: None, limit: ALERTS_MAX };
        let alerts = deps.store.alerts(filter).await?;
        Ok(Self::new(alerts, deps.store.last_judgements(None).await?))
    }

    /// Those of one rule, `group/alert`.
    async fn of_one(deps: &Deps, rule: &str, alert: &str) -> Result<Self, Problem> {
        let alerts = deps.store.firing_of(alert, ALERTS_MAX).await?;
        Ok(Self::new(alerts, deps.store.last_judgements(Some(rule)).await?))
    }

    fn new(alerts: Vec<Alert>, last: Vec<(Judgement, Timestamp)>) -> Self {
        let mut firing: BTreeMap<String, Vec<Alert>> = BTreeMap::new();
        for alert in alerts {
            firing.entry(alert.rule.clone()).or_default().push(alert);
        }
        let last = last.into_iter().map(|(judged, at)| (judged.rule.clone(), (judged, at)));
        Self { firing, last: last.collect() }
    }

    fn alerts(&self, rule: &str) -> &[Alert] {
        self.firing.get(rule).map_or(&[], Vec::as_slice)
    }

    fn item(&self, of: RuleRef<'_>) -> RuleItem {
        let firing = self.alerts(of.name()).len();
        RuleItem {
            name: of.name().to_string(),
            kind: of.kind(),
            state: if firing > 0 { RuleState::Firing } else { RuleState::Inactive },
            firing,
            labels: of.labels().iter().cloned().collect(),
            last: self.last.get(&**of.name()).map(|(judged, at)| RuleResult {
                outcome: judged.outcome.clone(),
                detail: judged.detail.clone(),
                at: *at,
                seq: judged.seq,
                fingerprint: judged.fingerprint.clone(),
                config: judged.config.clone(),
            }),
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/v1/rules",
    tag = "rules",
    operation_id = "listRules",
    responses((status = 200, description = "Each rule with where it stands and what it said last", body = RuleList)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    Query::read(&request, &[])?;
    let results = Results::of_all(&deps).await?;
    let policy = &deps.in_force.load_full().policy;
    let items = policy.rules.iter().map(|of| results.item(of)).collect();
    answer(&RuleList { config: policy.config_hash.clone(), items })
}

#[utoipa::path(
    get,
    path = "/api/v1/rules/{group}/{alert}",
    tag = "rules",
    operation_id = "showRule",
    params(
        ("group" = String, Path, description = "The rule's group"),
        ("alert" = String, Path, description = "The rule's alert"),
    ),
    responses(
        (status = 200, description = "The rule with its expressions, alerts and series", body = RuleDetail),
        (status = 404, description = "No rule has this name", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    deps: web::Data<Deps>,
) -> Answered {
    Query::read(&request, &[])?;
    let (group, alert) = path.into_inner();
    let name = format!("{group}/{alert}");
    let policy = &deps.in_force.load_full().policy;
    let unknown = || Problem::missing(format!("no rule has the name {name:?}"));
    let of = policy.rules.rule(&name).ok_or_else(unknown)?;
    let results = Results::of_one(&deps, &name, &alert).await?;
    let rows = deps.store.series(&name, &[], 0, SHOWN_MAX + 1).await?;
    let series = rows.iter().take(SHOWN_MAX).filter_map(|row| {
        let series = serde_json::from_slice::<Series>(row.value.as_deref()?);
        // What cannot be read back the engine has told already.
        Some(RuleSeries::of(&series.ok()?))
    });
    let names =
        |kind: &&&str| policy.rules.naming(kind).iter().any(|(it, ..)| *it.name() == *of.name());
    let alerts = results.alerts(&name).iter().take(SHOWN_MAX);
    answer(&RuleDetail {
        rule: results.item(of),
        on: event::known_kinds().iter().filter(names).copied().collect(),
        expressions: expressions(of),
        over: of.shape().map(engine::shape_text),
        for_seconds: of.hold().wait.as_secs(),
        keep_firing_for_seconds: of.hold().keep.as_secs(),
        alerts: alerts.map(RuleAlert::of).collect(),
        series: series.collect(),
        series_more: rows.len() > SHOWN_MAX,
    })
}

impl RuleAlert {
    fn of(alert: &Alert) -> Self {
        Self {
            fingerprint: alert.fingerprint.to_string(),
            labels: alert.labels.clone(),
            starts_at: alert.starts_at,
            updated_at: alert.updated_at,
            value: alert.value,
        }
    }
}

impl RuleSeries {
    fn of(series: &Series) -> Self {
        let (phase, since) = match series.phase {
            Phase::Inactive => (SeriesPhase::Inactive, None),
            Phase::Pending(since) => (SeriesPhase::Pending, Some(since)),
            Phase::Firing => (SeriesPhase::Firing, None),
            Phase::Keeping(since) => (SeriesPhase::Keeping, Some(since)),
        };
        let labels = series.labels.unpack();
        Self { labels, phase, since, value: series.value, count: series.count }
    }
}

fn expressions(of: RuleRef<'_>) -> BTreeMap<String, String> {
    let written = of.written();
    let keys = [
        ("when", written.when),
        ("value", written.value),
        ("fire", written.fire),
        ("clear", written.clear),
    ];
    let keys = keys.into_iter().filter_map(|(key, source)| Some((key.to_owned(), source?)));
    let by = written.by.iter().map(|(label, source)| (format!("by {label}"), *source));
    keys.chain(by).map(|(key, source)| (key, source.to_owned())).collect()
}
