//! `POST /-/reload`: load the configuration again, and hear what became of it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{Deps, origin};
use crate::diagnostic::Diagnostic;

/// Who may wait for a reload at once.
const WAITING_MAX: usize = 64;

/// A configuration was taken over.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// Its hash.
    pub config: String,
    /// What is odd about it, or takes effect later.
    pub warnings: Vec<Diagnostic>,
}

/// No configuration was taken over; the one before stays in force.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReloadError {
    /// It has errors; warnings may be among the problems.
    #[error("the configuration cannot be used")]
    Refused(Vec<Diagnostic>),
    /// Nobody can load it now: shutting down, too many ask, or there is no file.
    #[error("the configuration cannot be loaded now")]
    Unavailable,
}

type Answer = Result<Reloaded, ReloadError>;

/// Asks for reloads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reload(mpsc::Sender<oneshot::Sender<Answer>>);

/// Hears who asks for reloads.
#[derive(Debug)]
pub struct Asked(mpsc::Receiver<oneshot::Sender<Answer>>);

/// Those who wait for the same reload.
#[derive(Debug)]
pub struct Waiting(Vec<oneshot::Sender<Answer>>);

impl Reload {
    /// Both ends.
    pub fn channel() -> (Self, Asked) {
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        (Self(asks), Asked(asked))
    }

    /// Asks, and waits for a reload that began afterwards.
    pub async fn ask(&self) -> Result<Reloaded, ReloadError> {
        let (answer, heard) = oneshot::channel();
        self.0.try_send(answer).map_err(|_full_or_closed| ReloadError::Unavailable)?;
        heard.await.unwrap_or(Err(ReloadError::Unavailable))
    }

    /// Asks without waiting. Where too many wait already, their reload will do.
    pub fn ask_only(&self) {
        drop(self.0.try_send(oneshot::channel().0));
    }
}

impl Asked {
    /// All who have asked by now, at least one; never resolves when nobody can ask any more.
    pub async fn next(&mut self) -> Waiting {
        let Some(first) = self.0.recv().await else { std::future::pending().await };
        let mut waiting = vec![first];
        while let Ok(another) = self.0.try_recv() {
            waiting.push(another);
        }
        Waiting(waiting)
    }
}

impl Waiting {
    /// Tells them.
    pub fn answer(self, answer: &Result<Reloaded, ReloadError>) {
        for one in self.0 {
            // Whoever went away need not know.
            drop(one.send(answer.clone()));
        }
    }
}

/// Answers `POST /-/reload`.
pub(super) async fn post(request: HttpRequest, deps: web::Data<Deps>) -> HttpResponse {
    if let Err(why) = origin::check(request.headers(), deps.own_host.as_deref()) {
        return HttpResponse::Forbidden().content_type("application/problem+json").body(
            json!({"type": "about:blank", "title": "Forbidden", "status": 403, "detail": why})
                .to_string(),
        );
    }
    let Some(reload) = &deps.reload else { return respond(&Err(ReloadError::Unavailable)) };
    respond(&reload.ask().await)
}

fn respond(answer: &Answer) -> HttpResponse {
    let (status, title, detail, problems) = match answer {
        Ok(Reloaded { config, warnings }) => {
            return HttpResponse::Ok().json(json!({"config": config, "warnings": shown(warnings)}));
        }
        Err(error @ ReloadError::Refused(problems)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Content", error, &problems[..])
        }
        Err(error @ ReloadError::Unavailable) => {
            (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable", error, &[][..])
        }
    };
    // RFC 9457.
    let body = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": format!("{detail}; the one before stays in force"),
        "problems": shown(problems),
    });
    HttpResponse::build(status).content_type("application/problem+json").body(body.to_string())
}

fn shown(problems: &[Diagnostic]) -> Vec<Value> {
    let shown = |problem: &Diagnostic| {
        let Diagnostic { severity, position, key, message, hint } = problem;
        json!({
            "severity": severity,
            "file": position.as_ref().map(|place| &place.file),
            "line": position.as_ref().map(|place| place.line),
            "column": position.as_ref().map(|place| place.column),
            "key": key,
            "message": message,
            "hint": hint,
        })
    };
    problems.iter().map(shown).collect()
}
