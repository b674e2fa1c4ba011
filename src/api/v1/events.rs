//! Events: listed, shown, explained.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::page::{self, Query};
use super::problem::Problem;
use super::reply::{Answered, answer};
use crate::api::Deps;
use crate::api::explain::{self as explained, Asked, Report};
use crate::store::{EventFilter, EventRecord, EventState, EventSummary};

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventPage {
    /// Newest first.
    items: Vec<EventSummary>,
    /// The `before` of the page behind this one; null at the end.
    next: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "events",
    operation_id = "listEvents",
    params(
        ("kind" = Option<String>, Query, description = "Only kinds that match, with * globs"),
        ("without_kind" = Option<String>, Query, description = "Not this kind, such as account.balance"),
        ("account" = Option<String>, Query, description = "Only of this account"),
        ("state" = Option<EventState>, Query, description = "Only those that stand so"),
        ("before" = Option<i64>, Query, description = "Only those before this place in the inbox: the next of a page"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "So many at most; 100 by default"),
    ),
    responses((status = 200, description = "A page, newest first, of the last million events", body = EventPage)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    let known = ["kind", "without_kind", "account", "state", "before", "limit"];
    let query = Query::read(&request, &known)?;
    let limit = query.limit()?;
    let states = EventState::ALL.map(|state| (state.as_str(), state));
    let filter = EventFilter {
        kind: query.text("kind"),
        without_kind: query.text("without_kind"),
        account: query.text("account"),
        state: query.word("state", &states)?,
        before: query.value("before", "the next of a page")?,
        limit: limit + 1,
    };
    let found = deps.store.events(filter).await?;
    let (items, next) = page::cut(found, limit, |item| item.seq.to_string());
    answer(&EventPage { items, next })
}

#[utoipa::path(
    get,
    path = "/api/v1/events/{id}",
    tag = "events",
    operation_id = "showEvent",
    params(
        ("id" = String, Path, description = "The event's id"),
        ("account" = Option<String>, Query, description = "Its account, where several share the id; the newest by default"),
    ),
    responses(
        (status = 200, description = "All that is known of it", body = EventRecord),
        (status = 404, description = "No event has this id", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(
    request: HttpRequest,
    id: web::Path<String>,
    deps: web::Data<Deps>,
) -> Answered {
    let query = Query::read(&request, &["account"])?;
    let record = deps.store.event(&id, query.text("account").as_deref()).await?;
    answer(&record.ok_or_else(|| unknown(&id))?)
}

#[utoipa::path(
    get,
    path = "/api/v1/events/{id}/explain",
    tag = "events",
    operation_id = "explainEvent",
    params(
        ("id" = String, Path, description = "The event's id"),
        ("account" = Option<String>, Query, description = "Its account, where several share the id; the newest by default"),
        ("rule" = Option<String>, Query, description = "Only rules whose names match, with * globs"),
        ("no_state" = Option<bool>, Query, description = "true: as if nothing had happened before; no alerts, series, groups or silences"),
    ),
    responses(
        (status = 200, description = "What the rules make of it, as `tollbell explain --format json` prints it", body = Report),
        (status = 404, description = "No event has this id", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn explain(
    request: HttpRequest,
    id: web::Path<String>,
    deps: web::Data<Deps>,
) -> Answered {
    let query = Query::read(&request, &["account", "rule", "no_state"])?;
    let no_state = query.word("no_state", &[("true", true), ("false", false)])?;
    let asked = Asked {
        rule: query.text("rule"),
        no_state: no_state.unwrap_or_default(),
        ..Asked::of(&deps.in_force.load(), deps.clock.now())
    };
    let account = query.text("account");
    let found = explained::stored(&deps.store, asked, &id, account.as_deref()).await?;
    answer(&found.ok_or_else(|| unknown(&id))?)
}

fn unknown(id: &str) -> Problem {
    Problem::missing(format!("no event has the id {id:?}"))
}
