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
use tokio::sync::{Mutex, watch};
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

/// The last look at the figures: all streams share it, so that a change costs one look, however many listen.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<Option<(Instant, Figures)>>);

impl Looks {
    /// The figures as they were at this time or later; they are read where nobody has.
    async fn since(
        &self,
        time: Instant,
        read: impl AsyncFnOnce() -> Result<Figures, StoreError>,
    ) -> Result<Figures, StoreError> {
        let mut last = self.0.lock().await;
        if let Some((begun, figures)) = &*last
            && *begun >= time
        {
            return Ok(figures.clone());
        }
        let begun = Instant::now();
        let figures = read().await?;
        *last = Some((begun, figures.clone()));
        Ok(figures)
    }
}

struct Listener {
    deps: Arc<Deps>,
    looks: Arc<Looks>,
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
pub(super) async fn get(
    request: HttpRequest,
    deps: web::Data<Deps>,
    looks: web::Data<Looks>,
) -> Answered {
    Query::read(&request, &[])?;
    let Some(seat) = Seat::take() else {
        let detail = format!("{STREAMS_MAX} streams are open already");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let (deps, looks) = (deps.into_inner(), looks.into_inner());
    let seen = looks.since(Instant::now(), async || Figures::of(&deps).await).await?;
    let listener = Listener {
        recorded: deps.store.recorded(),
        queued: deps.store.queued(),
        seen,
        deps,
        looks,
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
            let changed_at = Instant::now();
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                () = self.deps.tasks.stopping() => return None,
            }
            self.look(changed_at).await;
        }
    }

    async fn look(&mut self, changed_at: Instant) {
        let read = async || Figures::of(&self.deps).await;
        match self.looks.since(changed_at, read).await {
            Ok(figures) => {
                self.news.extend(figures.news(&self.seen));
                self.seen = figures;
            }
            // It is looked at again soon; that the store is ill is said elsewhere.
            Err(error) => tracing::debug!(%error, "a stream could not look at the store"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(firing: u64) -> Figures {
        Figures {
            events: Value::Null,
            firing,
            alerts: Vec::new(),
            deliveries: Value::Null,
            silences: 0,
            config: String::new(),
        }
    }

    #[tokio::test]
    async fn streams_share_a_look_that_is_newer_than_the_change() {
        let looks = Looks::default();
        let before = Instant::now();
        let first = looks.since(before, async || Ok(figures(1))).await.expect("reads");
        let shared = looks.since(before, async || Ok(figures(2))).await.expect("reads");
        assert_eq!((first.firing, shared.firing), (1, 1));
        // What has changed after a look began it may not have seen.
        let after = Instant::now() + Duration::from_nanos(1);
        let anew = looks.since(after, async || Ok(figures(3))).await.expect("reads");
        assert_eq!(anew.firing, 3);
        let failed = looks.since(after + PACE, async || Err(StoreError::Closed)).await;
        failed.expect_err("is said, not remembered");
        let kept = looks.since(before, async || Ok(figures(4))).await.expect("reads");
        assert_eq!(kept.firing, 3);
    }
}
