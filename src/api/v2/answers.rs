//! Answers and errors as Alertmanager writes them.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use serde_json::json;

use crate::api::refusal::Shape;
use crate::store::StoreError;

/// An answer, as Alertmanager writes it: JSON with the end of a line.
pub(super) fn answer(value: &impl Serialize) -> HttpResponse {
    written(StatusCode::OK, value)
}

/// An error of the API's own: a sentence as a JSON string.
pub(super) fn refused(status: StatusCode, why: &str) -> HttpResponse {
    written(status, &why)
}

/// An error of the framework: an object with code and message.
pub(super) fn failed(status: StatusCode, why: &str) -> HttpResponse {
    Shape::Alertmanager.error(status, why)
}

/// What does not fit the document that describes the API; `code` is that of Alertmanager's framework.
pub(super) fn invalid(code: u16, why: &str) -> HttpResponse {
    written(StatusCode::UNPROCESSABLE_ENTITY, &json!({"code": code, "message": why}))
}

/// The store does not do it now.
pub(super) fn unavailable(error: &StoreError) -> HttpResponse {
    tracing::warn!(%error, "the API could not use the store");
    let status = match error {
        StoreError::Unstorable(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    refused(status, &error.to_string())
}

fn written(status: StatusCode, value: &impl Serialize) -> HttpResponse {
    match serde_json::to_string(value) {
        Ok(text) => HttpResponse::build(status)
            .insert_header((CONTENT_TYPE, "application/json"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(text + "\n"),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}
