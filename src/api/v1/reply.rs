//! What operations answer with.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde::Serialize;

use super::problem::Problem;

/// What an operation answers.
pub(super) type Answered = Result<HttpResponse, Problem>;

/// An answer.
#[expect(clippy::unnecessary_wraps, reason = "the end of every operation")]
pub(super) fn answer(value: &impl Serialize) -> Answered {
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(value))
}
