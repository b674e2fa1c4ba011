//! Alerts with what tollbell knows of them beyond Alertmanager's API.

use actix_web::{HttpRequest, web};

use tokio::runtime::Handle;

use super::page::Query;
use super::problem::Problem;
use super::reply::{Answered, answer};
use crate::api::alerts::{self, ALERTS_MAX, AlertList, AlertStory, LINES_MAX, StoryError};
use crate::api::{Deps, aside};

#[utoipa::path(
    get,
    path = "/api/v1/alerts",
    tag = "alerts",
    operation_id = "listAlerts",
    params(
        ("all" = Option<bool>, Query, description = "Also ended ones that are still stored"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 10_000, description = "So many at most; 100 by default"),
    ),
    responses((status = 200, description = "Those that fire first, as `tollbell alerts --format json` prints them", body = AlertList)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    let query = Query::read(&request, &["all", "limit"])?;
    let all = query.word("all", &[("true", true), ("false", false)])?.unwrap_or_default();
    let limit = query.count("limit", 1..=ALERTS_MAX)?;
    let (store, now, here) = (deps.store.clone(), deps.clock.now(), Handle::current());
    answer(&aside(move || here.block_on(alerts::list(&store, now, all, limit))).await??)
}

#[utoipa::path(
    get,
    path = "/api/v1/alerts/{fingerprint}",
    tag = "alerts",
    operation_id = "showAlert",
    params(
        ("fingerprint" = String, Path, description = "The alert's fingerprint, or its first eight characters or more"),
        ("lines" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "Lines of its history at most; 100 by default"),
    ),
    responses(
        (status = 200, description = "All that is known of it", body = AlertStory),
        (status = 404, description = "No alert has this fingerprint", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Several alerts' fingerprints begin so", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(
    request: HttpRequest,
    fingerprint: web::Path<String>,
    deps: web::Data<Deps>,
) -> Answered {
    let query = Query::read(&request, &["lines"])?;
    let lines = query.count("lines", 1..=LINES_MAX)?;
    let (store, now, here) = (deps.store.clone(), deps.clock.now(), Handle::current());
    let story = move || here.block_on(alerts::story(&store, now, &fingerprint, lines));
    let story = aside(story).await?;
    answer(&story.map_err(|error| match error {
        StoryError::Unknown(_) => Problem::missing(error.to_string()),
        StoryError::Several(_) => Problem::conflict(error.to_string()),
        StoryError::Store(error) => Problem::from(error),
    })?)
}
