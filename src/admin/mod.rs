//! The private listener: metrics, health and reloads. Never reachable by the public address.

mod deps;
mod post_reload;
mod reload;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{ServiceFactoryExt as _, map_config};
use actix_web::dev::{AppConfig, Server, fn_service};
use actix_web::http::header::{self, ContentType};
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpResponse, Resource, Route, guard, web};

pub use self::deps::Deps;
pub use self::reload::{Asked, Reload, ReloadError, Reloaded, Waiting};
use crate::alerts::SilenceState;
use crate::api;
use crate::clock;
use crate::store::{DeliveryState, Role, StoreError};
use crate::tls::HandshakeFailure;

/// How long the store may take to answer a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections to the private listener at most.
const CONNECTIONS_MAX: usize = 256;
/// How long a connection may wait for its next request.
const IDLE: Duration = Duration::from_secs(2);
/// For a client to read its answer and close.
const LINGER: Duration = Duration::from_secs(1);

/// Serves until stopped by its handle. `pages` adds what people look at.
pub fn serve<P>(listener: std::net::TcpListener, deps: Deps, pages: P) -> io::Result<Server>
where
    P: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let address = listener.local_addr()?;
    let (tls, counters) = (deps.tls.clone(), Arc::clone(&deps.metrics));
    let app = move || {
        App::new()
            .app_data(web::Data::new(deps.clone()))
            .app_data(web::Data::from(Arc::clone(&deps.access)))
            .app_data(web::Data::new(deps.api.clone()))
            .service(looked_at("/metrics", || web::to(metrics)))
            .service(looked_at("/livez", || web::to(async || HttpResponse::Ok().body("ok\n"))))
            .service(looked_at("/readyz", || web::to(readyz)))
            .service(web::resource("/-/reload").route(web::post().to(post_reload::post)))
            .service(looked_at("/-/healthy", || web::to(async || HttpResponse::Ok().body("OK\n"))))
            .service(looked_at("/-/ready", || web::to(ready)))
            .service(api::service())
            .configure(pages.clone())
    };
    if tls.is_tls() {
        counters.handshakes_at_zero("private", HandshakeFailure::ALL.map(HandshakeFailure::as_str));
    }
    // Not actix's own server, whose TLS brings HTTP/2 along.
    let builder = Server::build()
        .workers(1)
        .max_concurrent_connections(CONNECTIONS_MAX)
        .shutdown_timeout(1)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("private", listener, move || {
        let app = map_config(app(), |()| AppConfig::default());
        let stopping = stopping.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(IDLE)
            .client_request_timeout(IDLE)
            .client_disconnect_timeout(LINGER)
            .local_addr(address)
            .h1(app);
        let (tls, counters) = (tls.clone(), Arc::clone(&counters));
        fn_service(move |socket: TcpStream| {
            let (tls, counters) = (tls.clone(), Arc::clone(&counters));
            async move {
                let peer = socket.peer_addr().ok();
                let stream = tls.accept(socket, IDLE).await.map_err(|failure| {
                    counters.handshake_failed("private", failure.as_str());
                    DispatchError::Io(io::ErrorKind::ConnectionAborted.into())
                })?;
                Ok((stream, peer))
            }
        })
        .and_then(http)
    })?;
    Ok(server.run())
}

/// Answers GET, and HEAD alike without the body, which many probes ask.
fn looked_at(path: &str, answer: impl Fn() -> Route) -> Resource {
    web::resource(path)
        .route(answer().guard(guard::Any(guard::Get()).or(guard::Head())))
        .default_service(web::to(async || {
            HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish()
        }))
}

async fn metrics(deps: web::Data<Deps>) -> HttpResponse {
    // What the store knows is shown by one replica, so that a sum over all is right.
    let judges = deps.store.holds(&Role::Judge);
    if judges && let Err(error) = refresh(&deps).await {
        // The counters of this process are still true and worth having.
        tracing::warn!(%error, "a scrape could not read the store");
    }
    match if judges { deps.metrics.render() } else { deps.metrics.render_own() } {
        Ok(text) => {
            HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be rendered");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// Reads the gauges that the store knows.
async fn refresh(deps: &Deps) -> Result<(), StoreError> {
    let stats = deps.store.stats().await?;
    let now = deps.clock.now();
    let age = stats.oldest_waiting.map_or(Duration::ZERO, |oldest| clock::until(oldest, now));
    deps.metrics.inbox_lag(stats.inbox_lag_events, age);
    for state in DeliveryState::ALL {
        deps.metrics.set_deliveries(state.as_str(), stats.deliveries_in(state));
    }
    deps.metrics.set_alerts(
        stats
            .alerts
            .iter()
            .map(|found| (found.alertname.as_str(), found.state.as_str(), found.count)),
    );
    let mut silences = SilenceState::ALL.map(|state| (state, 0));
    for silence in deps.store.silences().await?.silences {
        let state = silence.state(now);
        silences.iter_mut().filter(|(of, _)| *of == state).for_each(|(_, count)| *count += 1);
    }
    for (state, count) in silences {
        deps.metrics.set_silences(state.as_str(), count);
    }
    Ok(())
}

async fn readyz(deps: web::Data<Deps>) -> HttpResponse {
    readiness(&deps, "ok\n").await
}

/// As Alertmanager says it.
async fn ready(deps: web::Data<Deps>) -> HttpResponse {
    readiness(&deps, "OK\n").await
}

async fn readiness(deps: &Deps, yes: &'static str) -> HttpResponse {
    let not_ready = |why: String| {
        HttpResponse::ServiceUnavailable()
            .content_type(ContentType::plaintext())
            .body(format!("not ready: {why}\n"))
    };
    if deps.stopping.load(Ordering::Relaxed) {
        return not_ready("shutting down".to_owned());
    }
    match tokio::time::timeout(PROBE_TIMEOUT, deps.store.probe()).await {
        Ok(Ok(())) => HttpResponse::Ok().content_type(ContentType::plaintext()).body(yes),
        Ok(Err(error)) => not_ready(error.to_string()),
        Err(_elapsed) => not_ready("the store does not answer".to_owned()),
    }
}
