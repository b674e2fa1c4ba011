//! Alertmanager's HTTP API v2, so that what speaks with Alertmanager speaks with tollbell: amtool, Grafana, karma.
//!
//! Reads alerts, groups, receivers and the configuration; reads and changes silences. Alerts cannot be posted: tollbell makes
//! its own. What departs from Alertmanager, and why, is in `docs/alertmanager-api.md`.

mod alerts;
mod answers;
mod draft;
mod matcher;
mod params;
mod silences;
mod status;
mod time;
mod view;
mod yaml;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource, guard};
use serde_json::json;

use self::answers::failed;

/// The largest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Registers everything below `/api/v2`, within the scope `/api`.
pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
        .service(resource("/v2/status", "GET").route(get().to(status::status)))
        .service(resource("/v2/receivers", "GET").route(get().to(status::receivers)))
        .service(
            resource("/v2/alerts", "GET")
                .route(get().to(alerts::alerts))
                .route(web::post().to(post_alerts)),
        )
        .service(resource("/v2/alerts/groups", "GET").route(get().to(alerts::groups)))
        .service(
            resource("/v2/silences", "GET, POST")
                .route(get().to(silences::list))
                .route(web::post().to(silences::post)),
        )
        .service(
            resource("/v2/silence/{id}", "GET, DELETE")
                .route(get().to(silences::get))
                .route(web::delete().to(silences::delete)),
        )
        .service(web::resource("/v2").to(async || {
            HttpResponse::MovedPermanently().insert_header((LOCATION, "/api/v2/")).finish()
        }));
}

/// A path, with or without a slash at its end; other methods than those allowed are told which.
fn resource(path: &str, allowed: &'static str) -> Resource {
    let resource = web::resource([path.to_owned(), format!("{path}/")]);
    resource.default_service(web::to(move |request: HttpRequest| {
        std::future::ready(other_method(&request, allowed))
    }))
}

fn other_method(request: &HttpRequest, allowed: &'static str) -> HttpResponse {
    // What was refused for its Accept header comes here, too.
    if allowed.split(", ").any(|method| method == request.method().as_str()) {
        let detail = "unsupported media type requested, only [application/json] are available";
        return failed(StatusCode::NOT_ACCEPTABLE, detail);
    }
    let detail = format!("method {} is not allowed, but [{allowed}] are", request.method());
    let mut response = failed(StatusCode::METHOD_NOT_ALLOWED, &detail);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// GET, for whoever accepts JSON.
fn get() -> actix_web::Route {
    web::get().guard(guard::fn_guard(|context| {
        let accepted: Vec<&str> =
            context.head().headers().get_all(ACCEPT).filter_map(|one| one.to_str().ok()).collect();
        accepted.is_empty() || accepted.iter().any(|one| accepts_json(one))
    }))
}

fn accepts_json(accept: &str) -> bool {
    let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds.into_iter().any(|kind| {
        kind.is_empty()
            || ["application/json", "application/*", "*/*"].contains(&&*kind.to_ascii_lowercase())
    })
}

async fn post_alerts() -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, "GET"))
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(
            json!({
                "code": 405,
                "message": "tollbell makes its own alerts, from its rules: none can be posted",
            })
            .to_string(),
        )
}
