//! Deliveries and their attempts: listed, shown, tried again, cancelled.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, HeaderMap, IF_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::page::{self, Query};
use super::{Answered, Problem, answer};
use crate::api::{Deps, Principal};
use crate::store::{Attempt, Delivery, DeliveryFilter, DeliveryState, Retry};

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryPage {
    /// Newest first.
    #[schema(value_type = Vec<DeliveryItem>)]
    items: Vec<Delivery>,
    /// The `before` of the page behind this one; null at the end.
    next: Option<String>,
}

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "describes Delivery")]
pub(super) struct DeliveryItem {
    /// Identity.
    id: String,
    /// The integration's id.
    integration: String,
    /// Its receiver.
    receiver: String,
    /// The target within the integration.
    target: String,
    /// The group.
    group_key: String,
    /// `pending`, `sending`, `delivered`, `superseded` or `dead`.
    state: String,
    /// Attempts begun.
    attempts: u32,
    /// When it was queued.
    #[schema(format = DateTime)]
    created_at: String,
    /// Not tried before this.
    #[schema(format = DateTime)]
    not_before: String,
    /// When it reached its end.
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Why the last attempt failed; empty when it did not.
    reason: String,
    /// One line about the last failure.
    detail: String,
    /// The delivery it stands in for.
    fallback_of: Option<String>,
    /// Whether an earlier attempt was cut off, so that the peer may have seen it already.
    maybe_repeated: bool,
    /// What was composed last; null before the first attempt.
    #[schema(value_type = Option<Object>)]
    message: Option<Value>,
}

/// A delivery with its attempts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryDetail {
    /// The delivery.
    #[schema(value_type = DeliveryItem)]
    delivery: Delivery,
    /// Its last attempts, oldest first.
    #[schema(value_type = Vec<AttemptItem>)]
    attempts: Vec<Attempt>,
}

/// One try to send a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "describes Attempt")]
pub(super) struct AttemptItem {
    /// From 1.
    number: u32,
    /// When it ended.
    #[schema(format = DateTime)]
    finished_at: String,
    /// `delivered`, `retry` or `rejected`.
    outcome: String,
    /// Why it failed; empty when it did not.
    reason: String,
    /// One line about it.
    detail: String,
}

/// How many deliveries were changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Changed {
    /// So many.
    changed: usize,
}

#[utoipa::path(
    get,
    path = "/api/v1/deliveries",
    tag = "deliveries",
    params(
        ("state" = Option<String>, Query, description = "pending, sending, delivered, superseded or dead (dead letters)"),
        ("receiver" = Option<String>, Query, description = "Only those to this receiver"),
        ("before" = Option<String>, Query, description = "Only those queued before the one with this id"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "So many at most"),
    ),
    responses((status = 200, description = "A page, newest first", body = DeliveryPage)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    let query = Query::read(&request, &["state", "receiver", "before", "limit"])?;
    let limit = query.limit()?;
    let states = DeliveryState::ALL.map(|state| (state.as_str(), state));
    let filter = DeliveryFilter {
        state: query.word("state", &states)?,
        receiver: query.text("receiver"),
        limit,
    };
    let before = query.text("before");
    let items = deps.store.deliveries_before(filter, before).await.map_err(Problem::from)?;
    let next = page::next(&items, limit, |item| item.id.clone());
    answer(&DeliveryPage { items, next })
}

#[utoipa::path(
    get,
    path = "/api/v1/deliveries/{id}",
    tag = "deliveries",
    params(("id" = String, Path, description = "The delivery's id, or its first eight characters or more")),
    responses(
        (status = 200, description = "The delivery with its attempts; ETag changes with its state and attempts", body = DeliveryDetail),
        (status = 404, description = "No delivery has this id", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(id: web::Path<String>, deps: web::Data<Deps>) -> Answered {
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
    params(
        ("id" = String, Path, description = "The delivery's id, or its first eight characters or more"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the delivery as it was seen"),
    ),
    responses(
        (status = 200, description = "How many wait again: 0 when its target was notified since", body = Changed),
        (status = 404, description = "No delivery has this id", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is not dead", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It has changed", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn retry(
    request: HttpRequest,
    id: web::Path<String>,
    principal: Principal,
    deps: web::Data<Deps>,
) -> Answered {
    let (delivery, _) = find(&deps, &id).await?;
    unchanged(request.headers(), &delivery)?;
    if delivery.state != DeliveryState::Dead {
        let state = delivery.state.as_str();
        return Err(Problem::conflict(format!("the delivery {} is {state}, not dead", delivery.id)));
    }
    let noted = deps.audit.note(&principal, "delivery.retry", &delivery.id, &delivery.receiver);
    noted.await.map_err(Problem::from)?;
    let changed = deps.store.retry(Retry::One(delivery.id), deps.clock.now()).await;
    answer(&Changed { changed: changed.map_err(Problem::from)? })
}

#[utoipa::path(
    post,
    path = "/api/v1/deliveries/retry",
    tag = "deliveries",
    params(("receiver" = Option<String>, Query, description = "Only dead deliveries to this receiver; otherwise all")),
    responses((status = 200, description = "How many wait again", body = Changed)),
)]
pub(super) async fn retry_all(
    request: HttpRequest,
    principal: Principal,
    deps: web::Data<Deps>,
) -> Answered {
    let query = Query::read(&request, &["receiver"])?;
    let (subject, selection) = match query.text("receiver") {
        Some(receiver) => (receiver.clone(), Retry::Receiver(receiver)),
        None => ("all".to_owned(), Retry::All),
    };
    let noted = deps.audit.note(&principal, "delivery.retry", &subject, "all dead ones");
    noted.await.map_err(Problem::from)?;
    let changed = deps.store.retry(selection, deps.clock.now()).await;
    answer(&Changed { changed: changed.map_err(Problem::from)? })
}

#[utoipa::path(
    post,
    path = "/api/v1/deliveries/{id}/cancel",
    tag = "deliveries",
    params(
        ("id" = String, Path, description = "The delivery's id, or its first eight characters or more"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the delivery as it was seen"),
    ),
    responses(
        (status = 200, description = "It is dead, and can be tried again", body = Changed),
        (status = 404, description = "No delivery has this id", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is being sent, or has ended", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It has changed", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn cancel(
    request: HttpRequest,
    id: web::Path<String>,
    principal: Principal,
    deps: web::Data<Deps>,
) -> Answered {
    let (delivery, _) = find(&deps, &id).await?;
    unchanged(request.headers(), &delivery)?;
    let (id, state) = (delivery.id.clone(), delivery.state.as_str());
    if delivery.state != DeliveryState::Pending {
        return Err(Problem::conflict(format!("the delivery {id} is {state}, not pending")));
    }
    let noted = deps.audit.note(&principal, "delivery.cancel", &id, &delivery.receiver);
    noted.await.map_err(Problem::from)?;
    let why = format!("cancelled by {}", principal.name);
    let cancelled = deps.store.cancel(id.clone(), why, deps.clock.now()).await;
    if cancelled.map_err(Problem::from)? {
        answer(&Changed { changed: 1 })
    } else {
        Err(Problem::conflict(format!("the delivery {id} is not pending any more")))
    }
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
    let Some(wanted) = headers.get(IF_MATCH) else { return Ok(()) };
    let now = etag(delivery);
    let wanted = wanted.to_str().unwrap_or_default();
    if wanted.split(',').map(str::trim).any(|tag| tag == "*" || tag == now) {
        Ok(())
    } else {
        let detail = format!("the delivery has changed: it is {now} now");
        Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail))
    }
}
