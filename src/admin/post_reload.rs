//! The reply to `POST /-/reload`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::deps::Deps;
use super::reload::{Answer, ReloadError, Reloaded};
use crate::api::{Principal, Refusal, Scope, Shape};
use crate::diagnostic::Diagnostic;

/// Who asks where nobody has to say.
const ANYBODY: &str = "anybody";

/// Answers `POST /-/reload`.
pub(super) async fn post(request: HttpRequest, deps: web::Data<Deps>) -> HttpResponse {
    let principal = match may(&request, &deps) {
        Ok(principal) => principal,
        Err(refusal) => return refusal.response(Shape::Problem),
    };
    let Some(reload) = &deps.reload else { return respond(&Err(ReloadError::Unavailable)) };
    if principal.name == ANYBODY {
        // Nobody to hold to account, and no bound on how often: the log has it.
        tracing::info!(from = ?principal.from, "a reload was asked for");
    } else if let Err(error) =
        deps.api.audit.note(&principal, "config.reload", "configuration", "").await
    {
        // As everything that somebody asks for: what cannot be noted is not done. A signal reloads all the same.
        tracing::warn!(%error, "a reload that was asked for could not be noted in the audit log");
        return Shape::Problem.error(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
    }
    respond(&reload.ask().await)
}

/// Where no token is configured a reload stays free, whatever the listener's address: it changes only what files say.
fn may(request: &HttpRequest, deps: &Deps) -> Result<Principal, Refusal> {
    let from = request.peer_addr().map(|peer| peer.ip());
    match deps.access.principal(request.headers(), request.method(), from) {
        Err(Refusal::NoTokenConfigured) => {
            deps.access.check_origin(request.headers())?;
            Ok(Principal { name: ANYBODY.to_owned(), scope: Scope::Write, from })
        }
        found => found,
    }
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
