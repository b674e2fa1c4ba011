//! Who changed what.

use actix_web::HttpResponse;
use serde::Serialize;

use super::visit::{Trouble, Visit, show};
use super::words::Stamp;
use crate::store::{AuditFilter, AuditRecord};

/// Entries of one page.
const PAGE: usize = 100;

#[derive(Debug, Serialize)]
struct View {
    answer: String,
    rows: Vec<Row>,
    older: String,
}

#[derive(Debug, Serialize)]
struct Row {
    at: Stamp,
    who: String,
    from: String,
    action: String,
    subject: String,
    detail: String,
}

/// `GET /audit`
pub(super) async fn get(visit: Visit) -> Result<HttpResponse, Trouble> {
    let before = visit.query().into_iter().find(|(name, _)| name == "before");
    let before = before.and_then(|(_, value)| value.parse().ok());
    let filter = AuditFilter { action: None, before, limit: PAGE + 1 };
    let mut found = visit.store().audit(filter).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let row = |record: &AuditRecord| Row {
        at: Stamp::at(record.entry.at, visit.now()),
        who: record.entry.who.clone(),
        from: record.entry.from.map(|from| from.to_string()).unwrap_or_default(),
        action: record.entry.action.clone(),
        subject: record.entry.subject.clone(),
        detail: record.entry.detail.clone(),
    };
    let answer = match found.first() {
        None => "Nobody has changed anything".to_owned(),
        Some(last) => {
            let ago = Stamp::ago(last.entry.at, visit.now());
            format!("{} was the last to change something, {}", last.entry.who, ago.text())
        }
    };
    let view = View {
        answer,
        rows: found.iter().map(row).collect(),
        older: found
            .last()
            .filter(|_| more)
            .map(|last| format!("/audit?before={}", last.n))
            .unwrap_or_default(),
    };
    let page = visit.page("/audit", view.answer.clone()).await?;
    show("audit.html", page, view)
}
