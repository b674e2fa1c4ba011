//! `GET /api/v1/stream`: server-sent events that say that something has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use tokio::sync::watch;

use super::page::Query;
use super::{Answered, Problem};
use crate::api::Deps;

/// Streams at a time.
const STREAMS_MAX: usize = 64;
/// After so long without news a comment is sent, so that both ends know that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Least time between two events of a stream: what changes in between is one change.
const PACE: Duration = Duration::from_secs(1);

/// Streams that are open.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Counts a stream while it is open.
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Listener {
    recorded: watch::Receiver<u64>,
    queued: watch::Receiver<u64>,
    deps: Arc<Deps>,
    first: bool,
    _counted: Counted,
}

#[utoipa::path(
    get,
    path = "/api/v1/stream",
    tag = "status",
    responses(
        (status = 200, description = "Server-sent events: `events` when events came in, `deliveries` when deliveries were opened; `data` is a JSON object. Read again what you show", body = String, content_type = "text/event-stream"),
        (status = 503, description = "Too many streams are open", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    Query::read(&request, &[])?;
    let counted = Counted;
    if OPEN.fetch_add(1, Ordering::Relaxed) >= STREAMS_MAX {
        let detail = format!("{STREAMS_MAX} streams are open already");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    }
    let listener = Listener {
        recorded: deps.store.recorded(),
        queued: deps.store.queued(),
        deps: deps.into_inner(),
        first: true,
        _counted: counted,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(stream::unfold(listener, next)))
}

/// The next piece of a stream; `None` at shutdown.
async fn next(mut listener: Listener) -> Option<(Result<Bytes, actix_web::Error>, Listener)> {
    if std::mem::take(&mut listener.first) {
        // Whoever connects knows at once that it worked.
        return Some((Ok(Bytes::from_static(b": connected\n\n")), listener));
    }
    let piece = tokio::select! {
        changed = listener.recorded.changed() => {
            changed.ok()?;
            "event: events\ndata: {}\n\n"
        }
        changed = listener.queued.changed() => {
            changed.ok()?;
            "event: deliveries\ndata: {}\n\n"
        }
        () = tokio::time::sleep(KEEP_ALIVE) => ": still here\n\n",
        () = listener.deps.tasks.stopping() => return None,
    };
    tokio::select! {
        () = tokio::time::sleep(PACE) => {}
        () = listener.deps.tasks.stopping() => return None,
    }
    Some((Ok(Bytes::from_static(piece.as_bytes())), listener))
}
