//! What the private listener offers to programs and people: who may ask for what, and the words of refusals.
//!
//! Promises that nothing below `/api` is answered without a [`Principal`], that tokens are compared in constant time and
//! never shown, and that whatever changes something is in the audit log first ([`Audit`]).

mod access;
pub mod alerts;
mod aside;
mod audit;
pub mod checks;
mod deps;
pub mod explain;
mod health;
mod origin;
pub mod pauses;
mod refusal;
pub mod silences;
pub mod spend;
mod v1;
mod v2;

use actix_web::dev::HttpServiceFactory;
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, web};

pub use self::access::{Access, Principal, Scope, Token, Tokens, protect};
pub use self::aside::aside;
pub use self::audit::Audit;
pub use self::deps::{AccountInForce, Deps, InForce, LastReload};
pub use self::health::{Health, Reached, ReceiverHealth, Verdict};
pub use self::refusal::{Refusal, Shape};
pub use self::v1::document as openapi;

/// Everything below `/api`; needs [`Deps`] and [`Access`] among the application's data.
pub fn service() -> impl HttpServiceFactory {
    web::scope("/api")
        .wrap(from_fn(protect))
        .configure(v1::configure)
        .configure(v2::configure)
        .default_service(web::to(not_found))
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    let detail = format!("path {} was not found", request.path());
    Shape::of(request.path()).error(StatusCode::NOT_FOUND, &detail)
}
