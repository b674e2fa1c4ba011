//! `GET /api/v1/status`: how the service stands.

use actix_web::{HttpRequest, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::Query;
use super::reply::{Answered, answer};
use crate::api::{Deps, LastReload};
use crate::clock;
use crate::store::{DeliveryState, Role};

/// How the service stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServiceStatus {
    /// tollbell's version.
    version: &'static str,
    /// When this process began to serve.
    started_at: Timestamp,
    /// The configuration in force.
    config: ConfigStatus,
    /// Whether this process judges: one of several replicas does.
    judges: bool,
    /// The processes that serve from the store; none with SQLite, where there is no other.
    replicas: Vec<ReplicaItem>,
    /// The store.
    store: StoreStatus,
    /// The inbox.
    inbox: InboxStatus,
    /// Deliveries that are stored, by state.
    deliveries: Vec<StateCount>,
    /// Alerts that fire.
    firing: u64,
}

/// The configuration in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConfigStatus {
    /// Hash of its files.
    hash: String,
    /// Since when it is in force.
    since: Timestamp,
    /// How the last reload went; null while there was none.
    last_reload: Option<LastReload>,
}

/// A process that serves from the store.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplicaItem {
    /// Identity, new with each start.
    id: String,
    /// The host and the process.
    name: String,
    /// Its version.
    version: String,
    /// Hash of its configuration.
    config: String,
    /// Whether it judges.
    judges: bool,
    /// Whether it is the one that answers.
    is_self: bool,
}

/// The store.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoreStatus {
    /// `sqlite` or `postgresql`.
    kind: &'static str,
    /// What of it does not work; null when all does.
    error: Option<String>,
}

/// The inbox.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InboxStatus {
    /// Events ever taken in.
    events_total: u64,
    /// Events that wait to be judged.
    lag_events: u64,
    /// How long the oldest of them has waited, in whole seconds.
    lag_seconds: u64,
}

/// How many deliveries stand so.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StateCount {
    /// The state.
    pub(super) state: DeliveryState,
    /// How many.
    pub(super) count: u64,
}

#[utoipa::path(
    get,
    path = "/api/v1/status",
    tag = "status",
    operation_id = "showStatus",
    responses((status = 200, description = "How the service stands", body = ServiceStatus)),
)]
pub(super) async fn get(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    Query::read(&request, &[])?;
    let stats = deps.store.stats().await?;
    let error = deps.store.probe().await.err().map(|error| error.to_string());
    let in_force = deps.in_force.load();
    let waited = stats.oldest_waiting.map(|oldest| clock::until(oldest, deps.clock.now()));
    let replicas = deps.store.replicas().into_iter().map(|replica| ReplicaItem {
        id: replica.id,
        name: replica.name,
        version: replica.version,
        config: replica.config,
        judges: replica.is_judge,
        is_self: replica.is_self,
    });
    answer(&ServiceStatus {
        version: env!("CARGO_PKG_VERSION"),
        started_at: deps.started_at,
        config: ConfigStatus {
            hash: in_force.policy.config_hash.clone(),
            since: in_force.since,
            last_reload: deps.last_reload.load().as_deref().cloned(),
        },
        judges: deps.store.holds(&Role::Judge),
        replicas: replicas.collect(),
        store: StoreStatus { kind: deps.store.kind(), error },
        inbox: InboxStatus {
            events_total: stats.events_total,
            lag_events: stats.inbox_lag_events,
            lag_seconds: waited.unwrap_or_default().as_secs(),
        },
        deliveries: DeliveryState::ALL
            .map(|state| StateCount { state, count: stats.deliveries_in(state) })
            .into(),
        firing: stats.firing(),
    })
}
