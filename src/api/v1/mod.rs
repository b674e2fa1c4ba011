//! tollbell's own API, `/api/v1`: what Alertmanager's does not know.
//!
//! Errors are `application/problem+json`. Lists come in pages, newest first: `next` of a page is the `before` of the one behind
//! it, so nothing is left out or shown twice while more comes in. The OpenAPI document is made from this code.

mod audit;
mod balance;
mod deliveries;
mod document;
mod events;
mod page;
mod problem;
mod receivers;
mod rules;
mod spend;
mod status;
mod stream;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL};
use actix_web::web::{self, ServiceConfig};
use serde::Serialize;

pub use self::document::document;
use self::problem::Problem;

/// What an operation answers.
type Answered = Result<HttpResponse, Problem>;

/// Registers everything below `/api/v1`, within the scope `/api`.
pub(super) fn configure(config: &mut ServiceConfig) {
    let get = |path: &str, route: actix_web::Route| resource(path, "GET", vec![route]);
    let post = |path: &str, route: actix_web::Route| resource(path, "POST", vec![route]);
    config
        .service(get("/v1/openapi.json", web::get().to(document::get)))
        .service(get("/v1/status", web::get().to(status::get)))
        .service(get("/v1/events", web::get().to(events::list)))
        .service(get("/v1/events/{id}", web::get().to(events::show)))
        .service(get("/v1/events/{id}/explain", web::get().to(events::explain)))
        .service(get("/v1/rules", web::get().to(rules::list)))
        .service(get("/v1/deliveries", web::get().to(deliveries::list)))
        .service(post("/v1/deliveries/retry", web::post().to(deliveries::retry_all)))
        .service(get("/v1/deliveries/{id}", web::get().to(deliveries::show)))
        .service(post("/v1/deliveries/{id}/retry", web::post().to(deliveries::retry)))
        .service(post("/v1/deliveries/{id}/cancel", web::post().to(deliveries::cancel)))
        .service(get("/v1/receivers", web::get().to(receivers::list)))
        .service(post("/v1/receivers/{name}/test", web::post().to(receivers::test)))
        .service(get("/v1/spend", web::get().to(spend::get)))
        .service(get("/v1/balance", web::get().to(balance::list)))
        .service(get("/v1/balance/{account}", web::get().to(balance::history)))
        .service(get("/v1/audit", web::get().to(audit::list)))
        .service(get("/v1/stream", web::get().to(stream::get)));
}

fn resource(path: &str, allowed: &'static str, routes: Vec<actix_web::Route>) -> actix_web::Resource {
    let resource = routes.into_iter().fold(web::resource(path), actix_web::Resource::route);
    resource.default_service(web::to(move || {
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "only this method is answered here");
        let mut response = actix_web::ResponseError::error_response(&problem);
        let allowed = actix_web::http::header::HeaderValue::from_static(allowed);
        response.headers_mut().insert(ALLOW, allowed);
        std::future::ready(response)
    }))
}

/// An answer.
fn answer(value: &impl Serialize) -> Answered {
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(value))
}
