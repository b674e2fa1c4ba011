//! Receivers: their integrations and how they are reached; a test notification; pauses.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::NoBody;
use super::page::Query;
use super::problem::Problem;
use super::reply::{Answered, answer};
use super::status::StateCount;
use crate::api::pauses::{self, RECEIVER_PAUSE_MAX, Refused};
use crate::api::{Deps, Health, InForce, Principal, Reached};
use crate::clock;
use crate::notify::{Integration, Receiver, TestAnswer};
use crate::store::{DeliveryState, ReceiverPause};

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
    /// The receiver that is notified when this one cannot be reached.
    fallback: Option<String>,
    /// The pause that somebody has made of it; null when there is none. Nothing is sent to it until then.
    paused: Option<ReceiverPause>,
    /// How it is notified; none without integrations.
    integrations: Vec<IntegrationItem>,
    /// Deliveries to it that are stored, by state.
    deliveries: Vec<StateCount>,
}

/// How an integration is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum HealthWord {
    /// What was owed was taken.
    Reached,
    /// What it is owed waits after a failed attempt, or was given up last.
    Failing,
    /// It is left alone for a while after a failure.
    Paused,
    /// Nothing was sent yet, as far as is looked back.
    Unused,
}

/// One way to a receiver.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IntegrationItem {
    /// Identity.
    id: String,
    /// The kind of its channel, such as `email`.
    kind: &'static str,
    /// How it is reached.
    health: HealthWord,
    /// Why it is not reached: the reason, and one line about it.
    problem: Option<String>,
    /// Until when it is left alone; null when it is not.
    paused_until: Option<Timestamp>,
    /// When it last took a delivery, as far as is looked back.
    last_delivered_at: Option<Timestamp>,
}

/// What became of a test notification.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestResult {
    /// One for each target and what was sent to it; none when the receiver notifies nobody.
    items: Vec<TestAnswer>,
}

#[utoipa::path(
    get,
    path = "/api/v1/receivers",
    tag = "receivers",
    operation_id = "listReceivers",
    responses((status = 200, description = "The receivers and how they are reached", body = ReceiverList)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    Query::read(&request, &[])?;
    let in_force = deps.in_force.load_full();
    let reached = Reached::of(&deps.store, deps.clock.now()).await?;
    let mut items = Vec::new();
    for name in &in_force.receivers {
        let Some(receiver) = in_force.policy.receivers.get(name) else { continue };
        let health = reached.receiver(&deps.store, receiver).await?;
        let integrations = receiver.integrations.iter().zip(health.integrations);
        items.push(ReceiverItem {
            name: name.clone(),
            fallback: receiver.fallback.clone(),
            paused: health.paused,
            integrations: integrations.map(|(of, health)| integration(of, health)).collect(),
            deliveries: DeliveryState::ALL
                .map(|state| StateCount { state, count: reached.count(name, state) })
                .into(),
        });
    }
    answer(&ReceiverList { items })
}

fn integration(
    of: &Integration,
    (health, last_delivered_at): (Health, Option<Timestamp>),
) -> IntegrationItem {
    let (health, problem, paused_until) = match health {
        Health::Paused(pause) => (HealthWord::Paused, Some(pause.reason), Some(pause.until)),
        Health::Failing(reason, detail) => {
            (HealthWord::Failing, Some(format!("{reason}: {detail}")), None)
        }
        Health::Reached => (HealthWord::Reached, None, None),
        Health::Unused => (HealthWord::Unused, None, None),
    };
    let kind = of.channel.kind();
    IntegrationItem { id: of.id.clone(), kind, health, problem, paused_until, last_delivered_at }
}

#[utoipa::path(
    post,
    path = "/api/v1/receivers/{name}/test",
    tag = "receivers",
    operation_id = "testReceiver",
    params(
        ("name" = String, Path, description = "The receiver's name"),
        ("resolve" = Option<bool>, Query, description = "Whether the end follows at once; by default where the peer keeps incidents or alerts"),
    ),
    responses(
        (status = 200, description = "What each of its targets answered; within the timeouts of its integrations", body = TestResult),
        (status = 404, description = "No receiver has this name", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn test(
    request: HttpRequest,
    name: web::Path<String>,
    principal: Principal,
    _: NoBody,
    deps: web::Data<Deps>,
) -> Answered {
    let query = Query::read(&request, &["resolve"])?;
    let ends = query.word("resolve", &[("true", true), ("false", false)])?;
    let in_force = deps.in_force.load_full();
    let receiver = known(&in_force, &name)?;
    answer(&TestResult { items: deps.test(&principal, receiver, ends).await? })
}

/// A receiver that was resumed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Resumed {
    /// Its name.
    receiver: String,
    /// Whether it was paused.
    was_paused: bool,
}

#[utoipa::path(
    post,
    path = "/api/v1/receivers/{name}/pause",
    tag = "receivers",
    operation_id = "pauseReceiver",
    params(
        ("name" = String, Path, description = "The receiver's name"),
        ("comment" = String, Query, description = "Why: one line, 200 characters at most"),
        ("until" = Option<Timestamp>, Query, description = "When the pause ends, seven days from now at most"),
        ("seconds" = Option<u64>, Query, minimum = 1, maximum = 604_800, description = "How long it lasts, where until is not given"),
    ),
    responses(
        (status = 200, description = "The pause. What is owed to the receiver waits, and is sent when it ends", body = ReceiverPause),
        (status = 404, description = "No receiver has this name", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn pause(
    request: HttpRequest,
    name: web::Path<String>,
    principal: Principal,
    _: NoBody,
    deps: web::Data<Deps>,
) -> Answered {
    let query = Query::read(&request, &["comment", "until", "seconds"])?;
    let max = RECEIVER_PAUSE_MAX.as_secs();
    let expected = format!("a number from 1 to {max}");
    let seconds = query.value::<u64>("seconds", &expected)?;
    if seconds.is_some_and(|seconds| !(1..=max).contains(&seconds)) {
        return Err(Problem::bad(format!("seconds: expected {expected}")));
    }
    let until = match (query.instant("until")?, seconds) {
        (Some(until), None) => until,
        (None, Some(seconds)) => clock::add(deps.clock.now(), Duration::from_secs(seconds)),
        _ => return Err(Problem::bad("give either until or seconds")),
    };
    let comment = query.text("comment").ok_or_else(|| Problem::bad("comment: say why"))?;
    let in_force = deps.in_force.load_full();
    let receiver = &known(&in_force, &name)?.name;
    answer(&pauses::pause(&deps.audit, &principal, receiver, until, &comment).await?)
}

#[utoipa::path(
    post,
    path = "/api/v1/receivers/{name}/resume",
    tag = "receivers",
    operation_id = "resumeReceiver",
    params(("name" = String, Path, description = "The receiver's name")),
    responses(
        (status = 200, description = "It is paused no more, and what waited is sent", body = Resumed),
        (status = 404, description = "No receiver has this name, and none that had is paused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn resume(
    request: HttpRequest,
    name: web::Path<String>,
    principal: Principal,
    _: NoBody,
    deps: web::Data<Deps>,
) -> Answered {
    Query::read(&request, &[])?;
    let was_paused = pauses::resume(&deps.audit, &principal, &name).await?;
    if !was_paused {
        known(&deps.in_force.load(), &name)?;
    }
    answer(&Resumed { receiver: name.into_inner(), was_paused })
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unfit(detail) => Self::bad(detail),
            Refused::Store(error) => error.into(),
        }
    }
}

/// A receiver that is configured.
fn known<'f>(in_force: &'f InForce, name: &str) -> Result<&'f Receiver, Problem> {
    in_force.policy.receivers.get(name).ok_or_else(|| {
        let known = in_force.receivers.join(", ");
        Problem::missing(format!("no receiver has the name {name}: there is {known}"))
    })
}
