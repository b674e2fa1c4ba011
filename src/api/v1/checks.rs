//! `GET /api/v1/checks`: whether all is well.

use actix_web::{HttpRequest, web};

use super::page::Query;
use super::reply::{Answered, answer};
use crate::api::Deps;
use crate::api::checks::Checks;

#[utoipa::path(
    get,
    path = "/api/v1/checks",
    tag = "status",
    operation_id = "listChecks",
    responses((status = 200, description = "Whether all is well, as `tollbell status --format json` prints it", body = Checks)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    Query::read(&request, &[])?;
    deps.store.probe().await?;
    answer(&Checks::of(&deps).await?)
}
