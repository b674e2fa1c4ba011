//! `GET /api/v1/audit`: who changed what.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::page::{self, Query};
use super::{Answered, Problem, answer};
use crate::api::Deps;
use crate::store::{AuditFilter, AuditRecord};

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditPage {
    /// Newest first.
    #[schema(value_type = Vec<AuditItem>)]
    items: Vec<AuditRecord>,
    /// The `before` of the page behind this one; null at the end.
    next: Option<String>,
}

/// One change that somebody asked for.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "describes AuditRecord")]
pub(super) struct AuditItem {
    /// Its place in the log.
    n: i64,
    /// When it was asked for.
    #[schema(format = DateTime)]
    at: String,
    /// Who asked.
    who: String,
    /// From which address; null for a command on the machine.
    from: Option<String>,
    /// What, such as `silence.create`.
    action: String,
    /// Of what.
    subject: String,
    /// More, on one line.
    detail: String,
}

#[utoipa::path(
    get,
    path = "/api/v1/audit",
    tag = "audit",
    params(
        ("action" = Option<String>, Query, description = "Only this action, such as silence.create"),
        ("before" = Option<i64>, Query, description = "Only those before this place"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "So many at most"),
    ),
    responses((status = 200, description = "A page, newest first", body = AuditPage)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    let query = Query::read(&request, &["action", "before", "limit"])?;
    let limit = query.limit()?;
    let before = query.value("before", "the next of a page")?;
    let filter = AuditFilter { action: query.text("action"), before, limit };
    let items = deps.store.audit(filter).await.map_err(Problem::from)?;
    let next = page::next(&items, limit, |item| item.n.to_string());
    answer(&AuditPage { items, next })
}
