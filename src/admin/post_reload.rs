//! The reply to `POST /-/reload`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::deps::Deps;
use super::origin;
use super::reload::{Answer, ReloadError, Reloaded};
use crate::diagnostic::Diagnostic;

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
