//! `GET /api/v1/status`: how the service stands.

use actix_web::{HttpRequest, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::Query;
use super::{Answered, Problem, answer};
use crate::api::Deps;
use crate::clock;
use crate::store::DeliveryState;

/// How the service stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// tollbell's version.
    version: &'static str,
    /// When this process began to serve.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// The configuration in force.
    config: ConfigStatus,
    /// The inbox.
    inbox: InboxStatus,
    /// Deliveries that are stored, by state.
    deliveries: Vec<StateCount>,
    /// Alerts that fire.
    firing: u64,
    /// What does not work of the store; null when all does.
    store_error: Option<String>,
}

/// The configuration in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConfigStatus {
    /// Hash of its files.
    hash: String,
    /// Since when it is in force.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// The inbox.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InboxStatus {
    /// Events ever taken in.
    events_total: u64,
    /// Events that wait to be judged.
    lag_events: u64,
    /// How long the oldest of them has waited, in seconds.
    lag_seconds: u64,
}

/// How many stand so.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StateCount {
    /// The state.
    state: &'static str,
    /// How many.
    count: u64,
}

#[utoipa::path(
    get,
    path = "/api/v1/status",
    tag = "status",
    responses((status = 200, description = "How the service stands", body = Status)),
)]
pub(super) async fn get(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    Query::read(&request, &[])?;
    let stats = deps.store.stats().await.map_err(Problem::from)?;
    let store_error = deps.store.probe().await.err().map(|error| error.to_string());
    let in_force = deps.in_force.load();
    let waited = stats.oldest_waiting.map(|oldest| clock::until(oldest, deps.clock.now()));
    let count = |state: DeliveryState| StateCount {
        state: state.as_str(),
        count: stats.deliveries_in(state),
    };
    answer(&Status {
        version: env!("CARGO_PKG_VERSION"),
        started_at: deps.started_at,
        config: ConfigStatus { hash: in_force.policy.config_hash.clone(), since: in_force.since },
        inbox: InboxStatus {
            events_total: stats.events_total,
            lag_events: stats.inbox_lag_events,
            lag_seconds: waited.unwrap_or_default().as_secs(),
        },
        deliveries: DeliveryState::ALL.into_iter().map(count).collect(),
        firing: stats.alerts.iter().filter(|one| one.state == "firing").map(|one| one.count).sum(),
        store_error,
    })
}
