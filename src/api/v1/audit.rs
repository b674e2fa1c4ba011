//! `GET /api/v1/audit`: who changed what.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::page::{self, Query};
use super::reply::{Answered, answer};
use crate::api::Deps;
use crate::store::{AuditFilter, AuditRecord};

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditPage {
    /// Newest first.
    items: Vec<AuditRecord>,
    /// The `before` of the page behind this one; null at the end.
    next: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/v1/audit",
    tag = "audit",
    operation_id = "listAudit",
    params(
        ("action" = Option<String>, Query, description = "Only this action, such as silence.create"),
        ("before" = Option<i64>, Query, description = "Only those before this place: the next of a page"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "So many at most; 100 by default"),
    ),
    responses((status = 200, description = "A page, newest first", body = AuditPage)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    let query = Query::read(&request, &["action", "before", "limit"])?;
    let limit = query.limit()?;
    let before = query.value("before", "the next of a page")?;
    let filter = AuditFilter { action: query.text("action"), before, limit: limit + 1 };
    let found = deps.store.audit(filter).await?;
    let (items, next) = page::cut(found, limit, |item| item.n.to_string());
    answer(&AuditPage { items, next })
}
