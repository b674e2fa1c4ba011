//! `GET /api/v1/stream`: server-sent events that say that something has changed.
//!
//! A stream looks at the store's figures when this process has changed something, and from time to time, for another replica
//! or a command may have. It says which figures are others than before: whoever listens reads again what it shows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::page::Query;
use super::problem::Problem;
use super::reply::Answered;
use crate::api::Deps;
use crate::store::{AlertCount, DeliveryState, StoreError};

/// Streams at a time.
const STREAMS_MAX: usize = 64;
/// How often a stream looks at the store when nothing is signalled.
const LOOK: Duration = Duration::from_secs(5);
/// Least time between two looks: what changes in between is one change.
const PACE: Duration = Duration::from_secs(1);
/// After so long without news a comment is sent, so that both ends know that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams that are open.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A place among the streams, while one is open.
struct Seat;

impl Seat {
    fn take() -> Option<Self> {
        let seats = OPEN.fetch_add(1, Ordering::Relaxed);
        // Made in any case: it gives the place back.
        let seat = Self;
        (seats < STREAMS_MAX).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq)]
struct Figures {
    events: Value,
    firing: u64,
    alerts: Vec<AlertCount>,
    deliveries: Value,
    silences: u64,
    config: String,
}

impl Figures {
    async fn of(deps: &Deps) -> Result<Self, StoreError> {
        let stats = deps.store.stats().await?;
        let count =
            |state: DeliveryState| (state.as_str().to_owned(), json!(stats.deliveries_in(state)));
        Ok(Self {
            events: json!({"total": stats.events_total, "waiting": stats.inbox_lag_events}),
            deliveries: DeliveryState::ALL.into_iter().map(count).collect(),
            firing: stats.firing(),
            alerts: stats.alerts,
            silences: deps.store.silences_version().await?,
            config: deps.in_force.load().policy.config_hash.clone(),
        })
    }

    /// What is other than before, as server-sent events.
    fn news(&self, before: &Self) -> Vec<String> {
        let mut news = Vec::new();
        let mut say = |name: &str, changed: bool, data: Value| {
            if changed {
                news.push(format!("event: {name}\ndata: {data}\n\n"));
            }
        };
        say("events", self.events != before.events, self.events.clone());
        say("alerts", self.alerts != before.alerts, json!({"firing": self.firing}));
        say("deliveries", self.deliveries != before.deliveries, self.deliveries.clone());
        say("silences", self.silences != before.silences, json!({"version": self.silences}));
        say("config", self.config != before.config, json!({"hash": self.config}));
        news
    }
}

struct Listener {
    deps: Arc<Deps>,
    recorded: watch::Receiver<u64>,
    queued: watch::Receiver<u64>,
    seen: Figures,
    news: VecDeque<String>,
    said_at: Instant,
    _seat: Seat,
}

#[utoipa::path(
    get,
    path = "/api/v1/stream",
    tag = "status",
    operation_id = "stream",
    responses(
        (
            status = 200,
            description = "Server-sent events that say what has changed: `events`, `alerts`, `deliveries`, `silences`, `config`, each with its figures as a JSON object in `data`. Read again what you show",
            body = String,
            content_type = "text/event-stream",
        ),
    ),
)]
pub(super) async fn get(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    Query::read(&request, &[])?;
    let Some(seat) = Seat::take() else {
        let detail = format!("{STREAMS_MAX} streams are open already");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let deps = deps.into_inner();
    let listener = Listener {
        recorded: deps.store.recorded(),
        queued: deps.store.queued(),
        seen: Figures::of(&deps).await?,
        deps,
        // Whoever connects knows at once that it worked.
        news: [": connected\n\n".to_owned()].into(),
        said_at: Instant::now(),
        _seat: seat,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(stream::unfold(listener, async |mut listener| {
            let piece = listener.next().await?;
            Some((Ok::<_, actix_web::Error>(Bytes::from(piece)), listener))
        })))
}

impl Listener {
    /// The next piece of a stream; `None` at shutdown.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(piece) = self.news.pop_front() {
                self.said_at = Instant::now();
                return Some(piece);
            }
            if self.said_at.elapsed() >= KEEP_ALIVE {
                self.news.push_back(": still here\n\n".to_owned());
                continue;
            }
            tokio::select! {
                changed = self.recorded.changed() => changed.ok()?,
                changed = self.queued.changed() => changed.ok()?,
                () = tokio::time::sleep(LOOK) => {}
                () = self.deps.tasks.stopping() => return None,
            }
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                () = self.deps.tasks.stopping() => return None,
            }
            self.look().await;
        }
    }

    async fn look(&mut self) {
        match Figures::of(&self.deps).await {
            Ok(figures) => {
                self.news.extend(figures.news(&self.seen));
                self.seen = figures;
            }
            // It is looked at again soon; that the store is ill is said elsewhere.
            Err(error) => tracing::debug!(%error, "a stream could not look at the store"),
        }
    }
}
