//! Silences: listed, shown, made, changed, expired.

use std::cmp::Reverse;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::draft::{self, Posted};
use super::view::SilenceView;
use super::{answer, failed, invalid, params, refused, unavailable};
use crate::alerts::{Matcher, Silence, SilenceError, SilenceState};
use crate::api::silences::{self, Refused};
use crate::api::{Deps, Principal};
use crate::store::Silences;

/// Alertmanager's code of a text of the wrong form.
const WRONG_FORM: u16 = 601;

/// Answers `GET /api/v2/silences`.
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> HttpResponse {
    let filters = match params::filters(&request) {
        Ok(filters) => filters,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
    };
    let Silences { mut silences, .. } = match deps.store.silences().await {
        Ok(silences) => silences,
        Err(error) => return unavailable(&error),
    };
    let now = deps.clock.now();
    silences.retain(|silence| filters.iter().all(|filter| has(silence, filter)));
    silences.sort_by_cached_key(|silence| (place(silence, now), silence.id.clone()));
    let shown: Vec<_> = silences.iter().map(|one| SilenceView::new(one, now)).collect();
    answer(&shown)
}

/// Whether a silence has a matcher of the same name, kind and text.
fn has(silence: &Silence, filter: &Matcher) -> bool {
    silence.matchers.contains(filter)
}

/// What is active by its end, what is pending by its start, what is expired by its end, the latest first.
fn place(silence: &Silence, now: Timestamp) -> (u8, Timestamp, Reverse<Timestamp>) {
    match silence.state(now) {
        SilenceState::Active => (0, silence.ends_at, Reverse(Timestamp::MIN)),
        SilenceState::Pending => (1, silence.starts_at, Reverse(Timestamp::MIN)),
        SilenceState::Expired => (2, Timestamp::MIN, Reverse(silence.ends_at)),
    }
}

/// Answers `GET /api/v2/silence/{id}`.
pub(super) async fn get(id: web::Path<String>, deps: web::Data<Deps>) -> HttpResponse {
    if let Some(refused) = refused_id(&id) {
        return refused;
    }
    match deps.store.silences().await {
        Ok(Silences { silences, .. }) => match silences.iter().find(|one| one.id == *id) {
            Some(silence) => answer(&SilenceView::new(silence, deps.clock.now())),
            None => HttpResponse::NotFound().finish(),
        },
        Err(error) => unavailable(&error),
    }
}

/// Answers `DELETE /api/v2/silence/{id}`: the silence ends now. One that has ended stays so.
pub(super) async fn delete(
    id: web::Path<String>,
    principal: Principal,
    deps: web::Data<Deps>,
) -> HttpResponse {
    if let Some(refused) = refused_id(&id) {
        return refused;
    }
    match silences::expire(&deps.audit, &principal, &id).await {
        Ok(_) => HttpResponse::Ok().finish(),
        Err(Refused::Unknown) => HttpResponse::NotFound().finish(),
        Err(why) => refusal(&why),
    }
}

/// Answers `POST /api/v2/silences`: makes a silence, or changes the one whose id is given.
pub(super) async fn post(
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    principal: Principal,
    deps: web::Data<Deps>,
) -> HttpResponse {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let body = match body {
        Ok(body) => body,
        Err(error) => return failed(error.as_response_error().status_code(), &error.to_string()),
    };
    if !kind.eq_ignore_ascii_case("application/json") && !body.is_empty() {
        let why = format!("unsupported media type {kind:?}, only [application/json] are allowed");
        return failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, &why);
    }
    let Posted { id, draft } = match draft::read(&body) {
        Ok(posted) => posted,
        Err(unfit) => return unfit.response(),
    };
    let changed = match id {
        Some(id) => silences::update(&deps.audit, &principal, &id, draft).await,
        None => silences::create(&deps.audit, &principal, draft).await,
    };
    match changed {
        Ok(id) => answer(&json!({"silenceID": id})),
        Err(why) => refusal(&why),
    }
}

/// As Alertmanager says why nothing was changed.
fn refusal(why: &Refused) -> HttpResponse {
    match why {
        Refused::Unknown => refused(StatusCode::NOT_FOUND, "silence not found"),
        Refused::Unfit(error) => {
            let why = match error {
                SilenceError::EndsBeforeStart => {
                    "failed to create silence: start time must be before end time".to_owned()
                }
                SilenceError::Over => {
                    "failed to create silence: end time can't be in the past".to_owned()
                }
                error => format!("invalid silence: {error}"),
            };
            refused(StatusCode::BAD_REQUEST, &why)
        }
        Refused::Store(error) => unavailable(error),
    }
}

/// The answer to an id that can be none.
fn refused_id(id: &str) -> Option<HttpResponse> {
    let fits = [32, 36].contains(&id.len()) && Uuid::parse_str(id).is_ok();
    (!fits).then(|| invalid(WRONG_FORM, &format!("silenceID in path must be of type uuid: {id:?}")))
}
