//! Deliveries and their attempts: listed, shown, tried again, cancelled.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, HeaderMap, IF_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::NoBody;
use super::page::{self, Query};
use super::problem::Problem;
use super::reply::{Answered, answer};
use crate::api::{Deps, Principal};
use crate::store::{Attempt, Delivery, DeliveryFilter, DeliveryState, Retried, Retry};

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryPage {
    /// Newest first.
    items: Vec<Delivery>,
    /// The `before` of the page behind this one; null at the end.
    next: Option<String>,
}

/// A delivery with its attempts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryDetail {
    /// The delivery.
    delivery: Delivery,
    /// Its last attempts, oldest first.
    attempts: Vec<Attempt>,
}

/// A delivery that was cancelled.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Cancelled {
    /// Its id.
    id: String,
    /// Where it stands now: `dead`.
    state: DeliveryState,
}

#[utoipa::path(
    get,
    path = "/api/v1/deliveries",
    tag = "deliveries",
    operation_id = "listDeliveries",
    params(
        ("state" = Option<DeliveryState>, Query, description = "Only those that stand so; dead ones are the dead letters"),
        ("receiver" = Option<String>, Query, description = "Only those to this receiver"),
        ("before" = Option<String>, Query, description = "Only those queued before the one with this id: the next of a page"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "So many at most; 100 by default"),
    ),
    responses(
        (status = 200, description = "A page, newest first", body = DeliveryPage),
        (status = 404, description = "No receiver has this name, and no delivery is to one that had", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    let query = Query::read(&request, &["state", "receiver", "before", "limit"])?;
    let limit = query.limit()?;
    let states = DeliveryState::ALL.map(|state| (state.as_str(), state));
    let filter = DeliveryFilter {
        state: query.word("state", &states)?,
        receiver: query.text("receiver"),
        before: query.text("before"),
        limit: limit + 1,
    };
    if let Some(receiver) = &filter.receiver {
        known(&deps, receiver).await?;
    }
    let found = deps.store.deliveries(filter).await?;
    let (items, next) = page::cut(found, limit, |item| item.id.clone());
    answer(&DeliveryPage { items, next })
}

#[utoipa::path(
    get,
    path = "/api/v1/deliveries/{id}",
    tag = "deliveries",
    operation_id = "showDelivery",
    params(("id" = String, Path, description = "The delivery's id, or its first eight characters or more")),
    responses(
        (
            status = 200,
            description = "The delivery with its attempts",
            body = DeliveryDetail,
            headers(("ETag" = String, description = "Changes with its state and its attempts; for If-Match")),
        ),
        (status = 404, description = "No delivery has this id", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(
    request: HttpRequest,
    id: web::Path<String>,
    deps: web::Data<Deps>,
) -> Answered {
    Query::read(&request, &[])?;
    let (delivery, attempts) = find(&deps, &id).await?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((ETAG, etag(&delivery)))
        .json(DeliveryDetail { delivery, attempts }))
}

#[utoipa::path(
    post,
    path = "/api/v1/deliveries/{id}/retry",
    tag = "deliveries",
    operation_id = "retryDelivery",
    params(
        ("id" = String, Path, description = "The delivery's id, or its first eight characters or more"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the delivery as it was seen"),
    ),
    responses(
        (status = 200, description = "Whether it is tried at once, which ends a pause of its integration, and otherwise why it was left alone", body = Retried),
        (status = 404, description = "No delivery has this id", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is being sent, was delivered or superseded", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It has changed", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn retry(
    request: HttpRequest,
    id: web::Path<String>,
    principal: Principal,
    _: NoBody,
    deps: web::Data<Deps>,
) -> Answered {
    Query::read(&request, &[])?;
    let (delivery, _) = find(&deps, &id).await?;
    unchanged(request.headers(), &delivery)?;
    if !matches!(delivery.state, DeliveryState::Dead | DeliveryState::Pending) {
        let (id, state) = (delivery.id, delivery.state.as_str());
        let detail = format!("the delivery {id} is {state}, neither dead nor pending");
        return Err(Problem::conflict(detail));
    }
    answer(&deps.audit.retry(&principal, Retry::One(delivery.id)).await?)
}

#[utoipa::path(
    post,
    path = "/api/v1/deliveries/retry",
    tag = "deliveries",
    operation_id = "retryDeliveries",
    params(("receiver" = Option<String>, Query, description = "Only deliveries to this receiver; otherwise all")),
    responses(
        (status = 200, description = "How many are tried at once, dead ones and those that waited, which ends the pauses of their integrations; and how many were left alone", body = Retried),
        (status = 404, description = "No receiver has this name, and no delivery is to one that had", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn retry_all(
    request: HttpRequest,
    principal: Principal,
    _: NoBody,
    deps: web::Data<Deps>,
) -> Answered {
    let query = Query::read(&request, &["receiver"])?;
    let selection = match query.text("receiver") {
        Some(receiver) => {
            known(&deps, &receiver).await?;
            Retry::Receiver(receiver)
        }
        None => Retry::All,
    };
    answer(&deps.audit.retry(&principal, selection).await?)
}

#[utoipa::path(
    post,
    path = "/api/v1/deliveries/{id}/cancel",
    tag = "deliveries",
    operation_id = "cancelDelivery",
    params(
        ("id" = String, Path, description = "The delivery's id, or its first eight characters or more"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the delivery as it was seen"),
    ),
    responses(
        (status = 200, description = "It is dead, and can be tried again. What still fires is owed again as after any failure", body = Cancelled),
        (status = 404, description = "No delivery has this id", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is being sent, or has ended", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It has changed", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn cancel(
    request: HttpRequest,
    id: web::Path<String>,
    principal: Principal,
    _: NoBody,
    deps: web::Data<Deps>,
) -> Answered {
    Query::read(&request, &[])?;
    let (delivery, _) = find(&deps, &id).await?;
    unchanged(request.headers(), &delivery)?;
    let Delivery { id, attempts, receiver, .. } = delivery;
    if delivery.state != DeliveryState::Pending {
        let state = delivery.state.as_str();
        return Err(Problem::conflict(format!("the delivery {id} is {state}, not pending")));
    }
    deps.audit.note(&principal, "delivery.cancel", &id, &receiver).await?;
    let why = format!("cancelled by {}", principal.name);
    // It may have been claimed, or tried, since it was looked at.
    if deps.store.cancel(id.clone(), attempts, why, deps.clock.now()).await? {
        answer(&Cancelled { id, state: DeliveryState::Dead })
    } else {
        Err(Problem::conflict(format!("the delivery {id} was claimed in this moment")))
    }
}

/// One that is no longer configured may still have deliveries.
async fn known(deps: &Deps, receiver: &str) -> Result<(), Problem> {
    let configured = deps.in_force.load().policy.receivers.contains_key(receiver);
    if configured || deps.store.stats().await?.deliveries.iter().any(|it| it.receiver == receiver) {
        return Ok(());
    }
    Err(Problem::missing(format!("no receiver has the name {receiver:?}")))
}

async fn find(deps: &Deps, id: &str) -> Result<(Delivery, Vec<Attempt>), Problem> {
    let found = deps.store.delivery(id).await?;
    found.ok_or_else(|| Problem::missing(format!("no delivery has the id {id:?}")))
}

/// Changes with what somebody may decide by.
fn etag(delivery: &Delivery) -> String {
    format!("\"{}-{}\"", delivery.state.as_str(), delivery.attempts)
}

fn unchanged(headers: &HeaderMap, delivery: &Delivery) -> Result<(), Problem> {
    let now = etag(delivery);
    let mut wanted = headers.get_all(IF_MATCH).peekable();
    let fits = |value: &actix_web::http::header::HeaderValue| {
        let tags = value.to_str().unwrap_or_default();
        tags.split(',').map(str::trim).any(|tag| tag == "*" || tag == now)
    };
    if wanted.peek().is_none() || wanted.any(fits) {
        return Ok(());
    }
    let detail = format!("the delivery has changed: its ETag is {now} now");
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail))
}
