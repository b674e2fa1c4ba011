//! The listener itself: sockets, connections and their time limits.
//!
//! actix times the head of a connection's first request, and its idle time between requests, but not the head
//! of a later request: a client that sends one byte of it holds its connection for ever. [`Paced`] closes that
//! gap below actix: whoever begins a request must have its answer within the sum of all limits. When connections
//! become many, it also ends those that want nothing: strangers who only hold places do not keep Telnyx out ([`crowd`]).

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{ServiceFactoryExt as _, map_config};
use actix_web::dev::{AppConfig, Server, fn_service};
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Deps;
use super::crowd::{self, CONNECTIONS_MAX, Crowd, Place};
use super::peers;
use super::receive::{self, State};
use super::timeouts::Timeouts;
use crate::tls::{HandshakeFailure, Stream};

/// How long a connection may wait for its next request while more than half of the places are taken.
const CROWDED_IDLE: Duration = Duration::from_secs(1);

/// How long a request may take then. Telnyx itself gives up after two seconds.
const CROWDED_REQUEST: Duration = Duration::from_secs(3);

/// Threads at most; actix has no more.
const WORKERS_MAX: usize = 512;

/// Serves webhooks on a bound listener with the default [`Timeouts`], until the server's handle stops it.
///
/// `workers` is the number of threads, `shutdown_timeout` how long requests in flight may take after a stop,
/// in whole seconds and one at least. Signals are the caller's business.
pub fn serve(
    listener: TcpListener,
    deps: Deps,
    workers: usize,
    shutdown_timeout: Duration,
) -> io::Result<Server> {
    serve_with(listener, deps, workers, shutdown_timeout, Timeouts::default())
}

/// As [`serve`], with other time limits.
pub fn serve_with(
    listener: TcpListener,
    deps: Deps,
    workers: usize,
    shutdown_timeout: Duration,
    timeouts: Timeouts,
) -> io::Result<Server> {
    let workers = workers.clamp(1, WORKERS_MAX);
    listen(listener, web::Data::new(State::new(deps, workers, timeouts)), workers, shutdown_timeout)
}

pub(super) fn listen(
    listener: TcpListener,
    state: web::Data<State>,
    workers: usize,
    shutdown_timeout: Duration,
) -> io::Result<Server> {
    let timeouts = state.timeouts;
    let address = listener.local_addr()?;
    let builder = Server::build()
        .workers(workers)
        // Not the bound, which the crowd is: one that only stops accepting keeps the wrong ones out.
        .max_concurrent_connections(2 * CONNECTIONS_MAX)
        .shutdown_timeout(shutdown_timeout.as_secs().max(1))
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let crowd = Crowd::new(crowd::places());
    if state.deps.tls.is_tls() {
        let reasons = HandshakeFailure::ALL.map(HandshakeFailure::as_str);
        state.deps.metrics.handshakes_at_zero("public", reasons);
    }
    let server = builder.listen("webhooks", listener, move || {
        let app = App::new().app_data(state.clone()).default_service(web::to(receive::webhook));
        let app = map_config(app, move |()| AppConfig::default());
        let stopping = stopping.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(timeouts.idle)
            .client_request_timeout(timeouts.head)
            .client_disconnect_timeout(timeouts.linger)
            .local_addr(address)
            .h1(app);
        let (crowd, state) = (crowd.clone(), state.clone());
        fn_service(move |socket: TcpStream| {
            let peer = socket.peer_addr().ok();
            let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
            let trusted = &state.deps.live.load().settings.trusted_proxies;
            let place = crowd.enter(address, !peers::is_in(address, trusted), Instant::now());
            let paced = Paced::new(socket, timeouts.request(), place);
            let state = state.clone();
            async move {
                let mut stream =
                    state.deps.tls.accept(paced, timeouts.head).await.map_err(|failure| {
                        state.deps.metrics.handshake_failed("public", failure.as_str());
                        DispatchError::Io(io::ErrorKind::ConnectionAborted.into())
                    })?;
                // What it asks begins after the handshake.
                stream.socket_mut().set_asking(false);
                Ok((Answered(stream), peer))
            }
        })
        .and_then(http)
    })?;
    Ok(server.run())
}

/// A connection on which each answer is noted, above TLS: what TLS itself writes answers nothing.
struct Answered(Stream<Paced>);

impl AsyncRead for Answered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Answered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.socket_mut().set_asking(false);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A socket that ends when a request that has begun gets no answer in time; in a dense [`Crowd`] sooner, and when it
/// only waits; and when its [`Place`] is needed for another.
struct Paced {
    socket: TcpStream,
    limit: Duration,
    place: Place,
    /// Since when the connection waits for a request, or for the answer to one.
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    fn new(socket: TcpStream, limit: Duration, place: Place) -> Self {
        Self { socket, limit, place, since: Instant::now(), timer: None }
    }

    fn set_asking(&mut self, asking: bool) {
        self.since = Instant::now();
        self.place.set_asking(asking, self.since);
    }

    /// Ready when the connection has lasted too long; else sees to it that the task is woken to look again.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            let lasted = now - self.since;
            let asking = self.place.is_asking();
            let patience = if asking { CROWDED_REQUEST } else { CROWDED_IDLE };
            let overdue = asking && lasted >= self.limit;
            if overdue || (lasted >= patience && self.place.is_dense()) {
                return Poll::Ready(());
            }
            let look_again = now + CROWDED_IDLE;
            let look_again =
                if asking { look_again.min(self.since + self.limit) } else { look_again };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(look_again)));
            if timer.is_elapsed() {
                timer.as_mut().reset(look_again);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        match read {
            // An end of input is what actix takes without complaint.
            Poll::Pending if self.place.is_dismissed(cx.waker()) => Poll::Ready(Ok(())),
            Poll::Pending => self.poll_overdue(cx).map(Ok),
            Poll::Ready(read) => {
                if buffer.filled().len() > before && !self.place.is_asking() {
                    self.set_asking(true);
                }
                Poll::Ready(read)
            }
        }
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
