//! Alerts with what tollbell knows of them beyond Alertmanager's API.

use actix_web::{HttpRequest, web};

use super::page::Query;
use super::problem::Problem;
use super::reply::{Answered, answer};
use crate::api::Deps;
use crate::api::alerts::{self, AlertList, AlertStory, StoryError};

#[utoipa::path(
    get,
    path = "/api/v1/alerts",
    tag = "alerts",
    operation_id = "listAlerts",
    params(
        ("all" = Option<bool>, Query, description = "Also ended ones that are still stored"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "So many at most; 100 by default"),
    ),
    responses((status = 200, description = "Those that fire first, as `tollbell alerts --format json` prints them", body = AlertList)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    let query = Query::read(&request, &["all", "limit"])?;
    let all = query.word("all", &[("true", true), ("false", false)])?.unwrap_or_default();
    answer(&alerts::list(&deps.store, deps.clock.now(), all, query.limit()?).await?)
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
    let lines = query.count("lines")?;
    let story = alerts::story(&deps.store, deps.clock.now(), &fingerprint, lines).await;
    answer(&story.map_err(|error| match error {
        StoryError::Unknown(_) => Problem::missing(error.to_string()),
        StoryError::Several(_) => Problem::conflict(error.to_string()),
        StoryError::Store(error) => Problem::from(error),
    })?)
}
