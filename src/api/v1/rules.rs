//! `GET /api/v1/rules`: each rule with its alerts and its series.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::Query;
use super::{Answered, Problem, answer};
use crate::alerts::Alert;
use crate::api::Deps;
use crate::rules::Labels;
use crate::store::AlertFilter;

/// Alerts that are looked at, at most.
const ALERTS_MAX: usize = 100_000;
/// Alerts of one rule that are shown at most.
const SHOWN_MAX: usize = 100;

/// The rules of the configuration in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleList {
    /// In the order of the files.
    items: Vec<RuleItem>,
}

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleItem {
    /// `group/alert`.
    name: String,
    /// `firing` while any of its alerts fires, else `inactive`.
    state: &'static str,
    /// How many of its alerts fire.
    firing: usize,
    /// When an event last touched an alert of it that is stored; null when none did.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_at: Option<Timestamp>,
    /// Its alerts that fire, 100 at most.
    alerts: Vec<RuleAlert>,
}

/// An alert of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleAlert {
    /// Identity.
    fingerprint: String,
    /// Its labels.
    #[schema(value_type = Object)]
    labels: Labels,
    /// Since when it fires.
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    /// When an event last touched it.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// The value that was judged last, as decimal text; event rules have none.
    #[schema(value_type = Option<String>)]
    value: Option<Decimal>,
}

impl RuleAlert {
    fn new(alert: &Alert) -> Self {
        Self {
            fingerprint: alert.fingerprint.to_string(),
            labels: alert.labels.clone(),
            starts_at: alert.starts_at,
            updated_at: alert.updated_at,
            value: alert.value,
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/v1/rules",
    tag = "rules",
    responses((status = 200, description = "Each rule with the alerts that it has", body = RuleList)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    Query::read(&request, &[])?;
    let filter = AlertFilter { firing_only: false, fingerprint: None, limit: ALERTS_MAX };
    let alerts = deps.store.alerts(filter).await.map_err(Problem::from)?;
    let mut by_rule: BTreeMap<&str, Vec<&Alert>> = BTreeMap::new();
    for alert in &alerts {
        by_rule.entry(&alert.rule).or_default().push(alert);
    }
    let in_force = deps.in_force.load();
    let item = |name: &str| {
        let known = by_rule.get(name).map_or(&[][..], Vec::as_slice);
        let firing = || known.iter().filter(|alert| alert.is_firing());
        let count = firing().count();
        RuleItem {
            name: name.to_owned(),
            state: if count > 0 { "firing" } else { "inactive" },
            firing: count,
            last_at: known.iter().map(|alert| alert.updated_at).max(),
            alerts: firing().take(SHOWN_MAX).map(|alert| RuleAlert::new(alert)).collect(),
        }
    };
    answer(&RuleList { items: in_force.policy.rules.names().map(item).collect() })
}
