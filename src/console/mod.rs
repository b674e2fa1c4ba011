//! The console: pages on the private listener, made by the server.
//!
//! Each page is a handler that reads the store, a pure view of what it read, and a template. Pages work without a script,
//! for reading and for every action; what changes something is a form with a token, asked of someone who may write, and is
//! in the audit log first. All text that is not ours is escaped by the templates; the policy of each answer allows no inline
//! script and no inline style, and nothing from elsewhere.

mod alert;
mod alert_chart;
mod alert_story;
mod alerts;
mod audit;
mod balances;
mod cookies;
mod deliveries;
mod deps;
mod event;
mod event_rules;
mod events;
mod form;
mod html;
mod overview;
mod page;
mod receivers;
mod rules;
mod session;
mod sign_in;
mod silence;
mod silences;
mod situation;
mod spend;
mod sums;
mod thresholds;
mod tries;
mod visit;
mod words;

use std::pin::Pin;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

pub use self::deps::Deps;
use self::form::Form;
use self::visit::{Trouble, Visit, response};

/// How long browsers keep the console's files; their addresses change with them.
const FILES_KEPT: &str = "public, max-age=31536000, immutable";
/// Longest form, in bytes.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// Adds the console's pages to a listener.
pub fn configure(deps: Deps) -> impl Fn(&mut web::ServiceConfig) + Clone {
    let deps = web::Data::new(deps);
    move |config| {
        let get = |path: &str, route: actix_web::Route| web::resource(path).route(route);
        config
            .app_data(deps.clone())
            .app_data(web::PayloadConfig::new(FORM_BYTES_MAX))
            .service(get("/", web::get().to(page(overview::get))))
            .service(get("/alerts", web::get().to(page(alerts::get))))
            .service(get("/alerts/{fingerprint}", web::get().to(page(alert::get))))
            .service(get("/alerts/{fingerprint}/value", web::get().to(page(alert::value))))
            .service(get("/silences", web::get().to(page(silences::list))))
            .service(
                web::resource("/silences/new")
                    .route(web::get().to(page(silence::form)))
                    .route(web::post().to(form(silence::make))),
            )
            .service(get("/silences/{id}/expire", web::post().to(form(silence::expire))))
            .service(get("/events", web::get().to(page(events::get))))
            .service(get("/events/{account}/{id}", web::get().to(page(event::get))))
            .service(get("/deliveries", web::get().to(page(deliveries::list))))
            .service(get("/deliveries/retry", web::post().to(form(deliveries::retry))))
            .service(get("/deliveries/{id}", web::get().to(page(deliveries::one))))
            .service(get("/receivers", web::get().to(page(receivers::get))))
            .service(get("/receivers/{name}/test", web::post().to(form(receivers::test))))
            .service(get("/receivers/{name}/pause", web::post().to(form(receivers::pause))))
            .service(get("/receivers/{name}/resume", web::post().to(form(receivers::resume))))
            .service(get("/rules", web::get().to(page(rules::list))))
            .service(get("/rules/{group}/{alert}", web::get().to(page(rules::one))))
            .service(get("/spend", web::get().to(page(spend::get))))
            .service(get("/spend.csv", web::get().to(page(spend::csv))))
            .service(get("/audit", web::get().to(page(audit::get))))
            .service(
                web::resource("/login")
                    .route(web::get().to(sign_in::get))
                    .route(web::post().to(sign_in::post)),
            )
            .service(web::resource("/logout").route(web::post().to(sign_in::leave)))
            .service(web::resource("/theme").route(web::post().to(sign_in::theme)))
            .service(web::resource("/console/console.css").route(web::get().to(stylesheet)))
            .service(web::resource("/console/console.js").route(web::get().to(script)))
            .service(web::resource("/console/icon.svg").route(web::get().to(icon)))
            .default_service(web::to(nothing));
    }
}

/// A handler of a page: asked only by somebody who may look.
fn page<H, F>(handler: H) -> impl Fn(HttpRequest) -> Answer + Clone
where
    H: Fn(Visit) -> F + Copy + 'static,
    F: Future<Output = Result<HttpResponse, Trouble>> + 'static,
{
    move |request: HttpRequest| {
        Box::pin(async move {
            let answered = match Visit::of(&request) {
                Ok(visit) => handler(visit).await,
                Err(trouble) => Err(trouble),
            };
            answered.unwrap_or_else(|trouble| trouble.answer(&Visit::anyone(&request)))
        })
    }
}

/// A handler of a form: asked only by somebody who may change things, with the token of a page of ours.
fn form<H, F>(handler: H) -> impl Fn(HttpRequest, web::Bytes) -> Answer + Clone
where
    H: Fn(Visit, Form) -> F + Copy + 'static,
    F: Future<Output = Result<HttpResponse, Trouble>> + 'static,
{
    move |request: HttpRequest, body: web::Bytes| {
        Box::pin(async move {
            let answered = match Visit::of(&request).and_then(|visit| Form::of(visit, &body)) {
                Ok((visit, form)) => handler(visit, form).await,
                Err(trouble) => Err(trouble),
            };
            answered.unwrap_or_else(|trouble| trouble.answer(&Visit::anyone(&request)))
        })
    }
}

type Answer = Pin<Box<dyn Future<Output = HttpResponse>>>;

async fn nothing(request: HttpRequest) -> HttpResponse {
    let missing = || Trouble::Missing(format!("There is no page at {}.", request.path()));
    let trouble = Visit::of(&request).map_or_else(|trouble| trouble, |_visit| missing());
    trouble.answer(&Visit::anyone(&request))
}

async fn stylesheet() -> HttpResponse {
    file("text/css; charset=utf-8", html::STYLESHEET)
}

async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", html::SCRIPT)
}

async fn icon() -> HttpResponse {
    file("image/svg+xml", html::ICON)
}

fn file(kind: &'static str, content: &'static str) -> HttpResponse {
    response(StatusCode::OK)
        .insert_header((header::CACHE_CONTROL, FILES_KEPT))
        .content_type(kind)
        .body(content)
}
