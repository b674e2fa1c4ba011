//! An HTTP/1.1 server over real TCP, scripted by path, that records each request.
//!
//! Written by hand over a socket, because the cases that page people are those that a proper server refuses to
//! produce: silence, a reset, a body that stops half way, bytes that drip.

mod connection;
mod reply;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

pub use reply::Reply;

use super::peer::{Port, lock};
use super::wait::{SOON, eventually_some};

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query without its `?`; empty when there is none.
    pub query: String,
    /// The headers in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// When its last byte came.
    pub arrived: Instant,
    /// When its last byte came, by the wall clock.
    pub arrived_at: Timestamp,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Request {
    /// The first parameter of this name in the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// The body as text, bad bytes replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics when it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Makes the reply to a request.
type Answer = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// What one path answers: each of `next` once, then what `always` makes.
#[derive(Default)]
struct Script {
    next: VecDeque<Reply>,
    always: Option<Answer>,
}

/// What the sink and its connections share.
#[derive(Default)]
struct State {
    scripts: Mutex<HashMap<String, Script>>,
    requests: Mutex<Vec<Request>>,
    connections: Mutex<usize>,
    closed: Mutex<usize>,
    /// Requests that are not answered yet: now, and at most so far.
    waiting: Mutex<(usize, usize)>,
}

impl State {
    /// The answer for a request; a path without a script answers 200 `ok`, as Slack does.
    fn reply_for(&self, request: &Request) -> Reply {
        let always = {
            let mut scripts = lock(&self.scripts);
            let Some(script) = scripts.get_mut(&request.path) else { return Reply::ok() };
            if let Some(reply) = script.next.pop_front() {
                return reply;
            }
            script.always.clone()
        };
        always.map_or_else(Reply::ok, |answer| answer(request))
    }
}

/// The scripted HTTP server. Dropping it closes it.
pub struct HttpSink {
    state: Arc<State>,
    port: Port,
}

impl HttpSink {
    /// A server that answers 200 `ok` to everything until it is told otherwise.
    pub async fn start() -> Self {
        let state = Arc::new(State::default());
        let served = Arc::clone(&state);
        let port = Port::open(move |stream| connection::serve(Arc::clone(&served), stream)).await;
        Self { state, port }
    }

    /// The URL of a path (which begins with `/`) on this server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.port.address())
    }

    /// Its port on `127.0.0.1`.
    pub fn port(&self) -> u16 {
        self.port.address().port()
    }

    // Scripts.

    /// What the path answers from now on, once [`HttpSink::next`] has no more for it.
    pub fn always(&self, path: &str, reply: Reply) {
        self.answer(path, move |_request| reply.clone());
    }

    /// The same, made from the request, such as from its query.
    pub fn answer(&self, path: &str, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        let always: Answer = Arc::new(answer);
        lock(&self.state.scripts).entry(path.to_owned()).or_default().always = Some(always);
    }

    /// What the next requests of the path are answered with, one reply each.
    pub fn next(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        lock(&self.state.scripts).entry(path.to_owned()).or_default().next.extend(replies);
    }

    /// Closes the listener and all connections: connecting is refused.
    pub async fn close(&self) {
        self.port.close().await;
    }

    /// Listens again, on the same port.
    pub async fn reopen(&self) {
        self.port.reopen().await;
    }

    // Records.

    /// The requests to the path so far, in the order in which they were complete.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        self.all_requests().into_iter().filter(|request| request.path == path).collect()
    }

    /// The requests to any path.
    pub fn all_requests(&self) -> Vec<Request> {
        lock(&self.state.requests).clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        *lock(&self.state.connections)
    }

    /// How many connections have ended so far.
    pub fn closed_connections(&self) -> usize {
        *lock(&self.state.closed)
    }

    /// The most requests that waited for their answers at the same time so far.
    pub fn most_in_flight(&self) -> usize {
        lock(&self.state.waiting).1
    }

    /// The only request to the path so far; panics when there is another number of them.
    #[track_caller]
    pub fn one(&self, path: &str) -> Request {
        let mut requests = self.requests(path);
        assert_eq!(requests.len(), 1, "requests to {path}");
        requests.remove(0)
    }

    /// Panics when there was a request to the path.
    #[track_caller]
    pub fn expect_none(&self, path: &str) {
        let requests = self.requests(path);
        assert!(requests.is_empty(), "{} requests to {path}", requests.len());
    }

    /// Waits until at least `count` requests to the path are complete, and returns all of them.
    #[track_caller]
    pub fn wait_for(&self, path: &str, count: usize) -> impl Future<Output = Vec<Request>> {
        eventually_some(SOON, move || {
            Some(self.requests(path)).filter(|requests| requests.len() >= count)
        })
    }
}

#[cfg(test)]
mod tests;
