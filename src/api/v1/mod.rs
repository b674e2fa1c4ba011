//! tollbell's own API, `/api/v1`: what Alertmanager's does not know.
//!
//! Errors are `application/problem+json`. Lists come in pages, newest first: `next` of a page is the `before` of the one behind
//! it, so nothing is left out or shown twice while more comes in. The OpenAPI document is made from this code.

mod alerts;
mod audit;
mod balance;
mod body;
mod checks;
mod deliveries;
mod document;
mod events;
mod page;
mod problem;
mod receivers;
mod reply;
mod rules;
mod spend;
mod status;
mod stream;

use std::future::ready;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, ResponseError as _, Route};

pub use self::document::document;
use self::problem::Problem;

/// Registers everything below `/api/v1`, within the scope `/api`.
pub(super) fn configure(config: &mut ServiceConfig) {
    let get = |path: &str, route: Route| resource(path, "GET", route);
    let post = |path: &str, route: Route| resource(path, "POST", route);
    config
        .app_data(web::Data::new(stream::Looks::default()))
        .service(get("/v1/openapi.json", web::get().to(document::get)))
        .service(get("/v1/status", web::get().to(status::get)))
        .service(get("/v1/checks", web::get().to(checks::list)))
        .service(get("/v1/alerts", web::get().to(alerts::list)))
        .service(get("/v1/alerts/{fingerprint}", web::get().to(alerts::show)))
        .service(get("/v1/events", web::get().to(events::list)))
        .service(get("/v1/events/{id}", web::get().to(events::show)))
        .service(get("/v1/events/{id}/explain", web::get().to(events::explain)))
        .service(get("/v1/rules", web::get().to(rules::list)))
        .service(get("/v1/rules/{group}/{alert}", web::get().to(rules::show)))
        .service(get("/v1/deliveries", web::get().to(deliveries::list)))
        .service(post("/v1/deliveries/retry", web::post().to(deliveries::retry_all)))
        .service(get("/v1/deliveries/{id}", web::get().to(deliveries::show)))
        .service(post("/v1/deliveries/{id}/retry", web::post().to(deliveries::retry)))
        .service(post("/v1/deliveries/{id}/cancel", web::post().to(deliveries::cancel)))
        .service(get("/v1/receivers", web::get().to(receivers::list)))
        .service(post("/v1/receivers/{name}/test", web::post().to(receivers::test)))
        .service(post("/v1/receivers/{name}/pause", web::post().to(receivers::pause)))
        .service(post("/v1/receivers/{name}/resume", web::post().to(receivers::resume)))
        .service(get("/v1/spend", web::get().to(spend::get)))
        .service(get("/v1/balance", web::get().to(balance::list)))
        .service(get("/v1/balance/{account}/readings", web::get().to(balance::readings)))
        .service(get("/v1/audit", web::get().to(audit::list)))
        .service(get("/v1/stream", web::get().to(stream::get)));
}

/// What is answered at a path by one method, and by no other.
fn resource(path: &str, method: &'static str, route: Route) -> Resource {
    let allow = HeaderValue::from_static(method);
    web::resource(path).route(route).default_service(web::to(move || {
        let problem =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("only {method} is answered here"));
        let mut response = problem.error_response();
        response.headers_mut().insert(ALLOW, allow.clone());
        ready(response)
    }))
}
