//! Events: listed, shown, explained.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::page::{self, Query};
use super::{Answered, Problem, answer};
use crate::api::{Deps, explain as explained};
use crate::store::{EventFilter, EventState, EventSummary};

/// The states by the words that name them.
const STATES: [(&str, EventState); 3] = [
    ("waiting", EventState::Waiting),
    ("judged", EventState::Judged),
    ("faulted", EventState::Faulted),
];

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventPage {
    /// Newest first.
    #[schema(value_type = Vec<EventItem>)]
    items: Vec<EventSummary>,
    /// The `before` of the page behind this one; null at the end.
    next: Option<String>,
}

/// One event of a list.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "describes EventSummary")]
pub(super) struct EventItem {
    /// Place in the inbox.
    seq: i64,
    /// Identity within the account.
    id: String,
    /// The account.
    account: String,
    /// Dotted kind.
    kind: String,
    /// When it happened, by the sender's word.
    #[schema(format = DateTime)]
    occurred_at: Option<String>,
    /// When it was taken in.
    #[schema(format = DateTime)]
    received_at: String,
    /// Who vouches for it: `webhook`, `poller`, `backfill` or `tollbell`.
    source: String,
    /// The amount as reported on it, as decimal text.
    cost: Option<String>,
    /// The amount's currency.
    currency: Option<String>,
    /// `waiting`, `judged` or `faulted`.
    state: String,
}

/// All that is known of one event.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "describes EventRecord")]
pub(super) struct EventDetail {
    /// `seq` and the `event` with its payload, as it is stored.
    #[schema(value_type = Object)]
    stored: Value,
    /// Whether the payload was dropped once it was judged.
    payload_dropped: bool,
    /// `waiting`, `judged` or `faulted`.
    state: String,
    /// Why it could not be judged.
    fault: Option<String>,
    /// What the rules said of it.
    #[schema(value_type = Vec<Object>)]
    judgements: Vec<Value>,
    /// The deliveries it caused.
    #[schema(value_type = Vec<Object>)]
    deliveries: Vec<Value>,
}

/// What the rules say of one event.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "describes the answer")]
pub(super) struct EventExplained {
    /// The event.
    #[schema(value_type = Object)]
    event: Value,
    /// Hash of the configuration that explains.
    config: String,
    /// When it is explained.
    #[schema(format = DateTime)]
    now: String,
    /// What is to be known about the explanation.
    notes: Vec<String>,
    /// Whether it was judged before.
    judged: bool,
    /// What was recorded when it was judged.
    #[schema(value_type = Vec<Object>)]
    judgements: Vec<Value>,
    /// What today's rules say, with the value of each part of their expressions; null when its payload was dropped.
    #[schema(value_type = Option<Object>)]
    today: Option<Value>,
}

#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "events",
    params(
        ("kind" = Option<String>, Query, description = "Only kinds that match, with * globs"),
        ("account" = Option<String>, Query, description = "Only of this account"),
        ("state" = Option<String>, Query, description = "waiting, judged or faulted"),
        ("before" = Option<i64>, Query, description = "Only those before this place in the inbox"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "So many at most"),
    ),
    responses((status = 200, description = "A page, newest first", body = EventPage)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    let query = Query::read(&request, &["kind", "account", "state", "before", "limit"])?;
    let limit = query.limit()?;
    let filter = EventFilter {
        kind: query.text("kind"),
        account: query.text("account"),
        state: query.word("state", &STATES)?,
        limit,
    };
    let before = query.value("before", "the next of a page")?;
    let items = deps.store.events_before(filter, before).await.map_err(Problem::from)?;
    let next = page::next(&items, limit, |item| item.seq.to_string());
    answer(&EventPage { items, next })
}

#[utoipa::path(
    get,
    path = "/api/v1/events/{id}",
    tag = "events",
    params(
        ("id" = String, Path, description = "The event's id"),
        ("account" = Option<String>, Query, description = "Its account, where several share the id"),
    ),
    responses(
        (status = 200, description = "All that is known of it", body = EventDetail),
        (status = 404, description = "No event has this id", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(
    request: HttpRequest,
    id: web::Path<String>,
    deps: web::Data<Deps>,
) -> Answered {
    let query = Query::read(&request, &["account"])?;
    let account = query.text("account");
    let record = deps.store.event(&id, account.as_deref()).await.map_err(Problem::from)?;
    let record = record.ok_or_else(|| unknown(&id))?;
    answer(&record)
}

#[utoipa::path(
    get,
    path = "/api/v1/events/{id}/explain",
    tag = "events",
    params(
        ("id" = String, Path, description = "The event's id"),
        ("account" = Option<String>, Query, description = "Its account, where several share the id"),
        ("rule" = Option<String>, Query, description = "Only rules whose names match, with * globs"),
    ),
    responses(
        (status = 200, description = "What the rules make of it", body = EventExplained),
        (status = 404, description = "No event has this id", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn explain(
    request: HttpRequest,
    id: web::Path<String>,
    deps: web::Data<Deps>,
) -> Answered {
    let query = Query::read(&request, &["account", "rule"])?;
    let (account, rule) = (query.text("account"), query.text("rule"));
    let found = explained::stored(&deps, &id, account.as_deref(), rule.as_deref()).await;
    let found = found.map_err(Problem::from)?.ok_or_else(|| unknown(&id))?;
    answer(&json!({
        "event": found.record.stored.event,
        "config": found.config,
        "now": found.now,
        "notes": found.notes,
        "judged": found.judged,
        "judgements": found.record.judgements,
        "today": found.today,
    }))
}

fn unknown(id: &str) -> Problem {
    Problem::missing(format!("no event has the id {id:?}"))
}
