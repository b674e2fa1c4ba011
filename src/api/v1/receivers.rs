//! Receivers: their integrations and how they are; a test notification.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::Query;
use super::{Answered, Problem, answer};
use crate::alerts::{Fingerprint, Message, MessageAlert, Reason, Status};
use crate::api::{Deps, Principal};
use crate::clock;
use crate::notify::{Integration, Notification, Notifier, Outcome};
use crate::rules::Labels;
use crate::store::{DeliveryFilter, DeliveryState};

/// Open and dead deliveries that are looked at, at most.
const DELIVERIES_MAX: usize = 1_000;
/// Targets that one test notifies at most.
const TARGETS_MAX: usize = 20;
/// How long a test waits for the peers at most.
const TEST_WAIT: Duration = Duration::from_secs(60);

/// The receivers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReceiverList {
    /// In the order of the file.
    items: Vec<ReceiverItem>,
}

/// A receiver.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReceiverItem {
    /// Its name.
    name: String,
    /// The receiver that stands in for it.
    fallback: Option<String>,
    /// `ok`, `paused` while one of its integrations is left alone, `failing` while what it is owed was refused, or `none`
    /// without integrations.
    health: &'static str,
    /// How it is notified.
    integrations: Vec<IntegrationItem>,
    /// Deliveries to it that are stored, by state.
    deliveries: Vec<StateCount>,
}

/// One way to a receiver.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IntegrationItem {
    /// Identity.
    id: String,
    /// `email`, `slack` and so on.
    kind: &'static str,
    /// Until when it is left alone after a failure; null when it is not.
    #[schema(value_type = Option<String>, format = DateTime)]
    paused_until: Option<Timestamp>,
    /// Why the last attempt of a delivery that is open failed; null when none did.
    problem: Option<String>,
}

/// How many stand so.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StateCount {
    /// The state.
    state: &'static str,
    /// How many.
    count: u64,
}

/// What became of a test notification.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tested {
    /// One for each target.
    items: Vec<TestedTarget>,
}

/// What one target said to a test notification.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestedTarget {
    /// The integration.
    integration: String,
    /// The target within it: a mail address, else empty.
    target: String,
    /// `delivered`, `retry` (it could be taken later) or `rejected`.
    outcome: &'static str,
    /// One line why it was not delivered.
    detail: String,
}

#[utoipa::path(
    get,
    path = "/api/v1/receivers",
    tag = "receivers",
    responses((status = 200, description = "The receivers and how they are", body = ReceiverList)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    Query::read(&request, &[])?;
    let (stats, now) = (deps.store.stats().await.map_err(Problem::from)?, deps.clock.now());
    let pending = DeliveryFilter {
        state: Some(DeliveryState::Pending),
        receiver: None,
        limit: DELIVERIES_MAX,
    };
    let pending = deps.store.deliveries(pending).await.map_err(Problem::from)?;
    let in_force = deps.in_force.load();
    let integration = |of: &Integration| {
        let open = || pending.iter().filter(|delivery| delivery.integration == of.id);
        let problem = open().find(|delivery| !delivery.reason.is_empty());
        IntegrationItem {
            id: of.id.clone(),
            kind: of.channel.kind().as_str(),
            paused_until: open().find_map(|one| one.paused_until.filter(|until| *until > now)),
            problem: problem.map(|one| format!("{}: {}", one.reason, one.detail)),
        }
    };
    let item = |name: &String| {
        let receiver = in_force.policy.receivers.get(name)?;
        let integrations: Vec<_> = receiver.integrations.iter().map(integration).collect();
        let counts = stats.deliveries.iter().filter(|one| one.receiver == *name);
        let health = match () {
            () if integrations.is_empty() => "none",
            () if integrations.iter().any(|one| one.paused_until.is_some()) => "paused",
            () if integrations.iter().any(|one| one.problem.is_some()) => "failing",
            () => "ok",
        };
        Some(ReceiverItem {
            name: name.clone(),
            fallback: receiver.fallback.clone(),
            health,
            integrations,
            deliveries: counts
                .map(|one| StateCount { state: one.state.as_str(), count: one.count })
                .collect(),
        })
    };
    answer(&ReceiverList { items: in_force.receivers.iter().filter_map(item).collect() })
}

#[utoipa::path(
    post,
    path = "/api/v1/receivers/{name}/test",
    tag = "receivers",
    params(("name" = String, Path, description = "The receiver's name")),
    responses(
        (status = 200, description = "What each of its targets said", body = Tested),
        (status = 404, description = "No receiver has this name", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn test(
    request: HttpRequest,
    name: web::Path<String>,
    principal: Principal,
    deps: web::Data<Deps>,
) -> Answered {
    Query::read(&request, &[])?;
    let in_force = deps.in_force.load_full();
    let unknown = || Problem::missing(format!("no receiver has the name {:?}", name.as_str()));
    let receiver = in_force.policy.receivers.get(name.as_str()).ok_or_else(unknown)?;
    let noted = deps.audit.note(&principal, "receiver.test", &receiver.name, "");
    noted.await.map_err(Problem::from)?;
    let now = deps.clock.now();
    let message = message(&receiver.name, &in_force.policy.routing.external_url, &principal, now);
    let targets = receiver.integrations.iter().flat_map(|integration| {
        integration.channel.targets().into_iter().map(move |target| (integration, target))
    });
    let sends = targets.take(TARGETS_MAX).map(async |(integration, target)| {
        let key = Uuid::new_v4().to_string();
        let message = message.clone();
        let notification = Notification { key, target: target.clone(), attempt: 1, now, message };
        let (outcome, detail) = match Notifier::new(integration, &in_force.templates) {
            Ok(notifier) => {
                let sent = tokio::time::timeout(TEST_WAIT, notifier.send(&notification)).await;
                said(sent.map(|sent| sent.outcome).ok())
            }
            Err(error) => ("rejected", error.to_string()),
        };
        TestedTarget { integration: integration.id.clone(), target, outcome, detail }
    });
    answer(&Tested { items: join_all(sends).await })
}

fn said(outcome: Option<Outcome>) -> (&'static str, String) {
    match outcome {
        Some(Outcome::Delivered) => ("delivered", String::new()),
        Some(Outcome::Retry { reason, detail, .. }) => {
            ("retry", format!("{}: {detail}", reason.as_str()))
        }
        Some(Outcome::Rejected { reason, detail }) => {
            ("rejected", format!("{}: {detail}", reason.as_str()))
        }
        None => ("retry", "timeout: no answer in time".to_owned()),
    }
}

/// A notification that says that it is a test. Its alert ends at once: an incident that a peer opens for it does not stay.
fn message(receiver: &str, external_url: &str, principal: &Principal, now: Timestamp) -> Message {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let labels: Labels = [pair("alertname", "TestNotification"), pair("severity", "info")].into();
    let summary = format!("A test notification, sent by {}: nothing is wrong", principal.name);
    let annotations: Labels = [pair("summary", &summary)].into();
    let alert = MessageAlert {
        fingerprint: Fingerprint::of(&labels),
        status: Status::Firing,
        expired: false,
        no_data: false,
        missed: false,
        unheard: false,
        value: None,
        labels: labels.clone(),
        annotations: annotations.clone(),
        starts_at: now,
        ends_at: Some(clock::add(now, Duration::from_secs(1))),
        event: serde_json::Value::Object(serde_json::Map::new()),
    };
    Message {
        receiver: receiver.to_owned(),
        status: Status::Firing,
        reason: Reason::FirstNotification,
        reopens: false,
        group_key: format!("test:{}", Uuid::new_v4()),
        group_labels: labels.clone(),
        common_labels: labels,
        common_annotations: annotations,
        alerts: vec![alert],
        truncated_alerts: 0,
        external_url: external_url.to_owned(),
        created_at: now,
        fallback_for: None,
    }
}
