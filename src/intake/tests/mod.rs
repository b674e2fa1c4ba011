//! The real listener on port 0, over raw sockets, with a real store behind it.

mod replies;
mod strangers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web;
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::receive::State;
use super::*;
use crate::clock::Clock;
use crate::event::PayloadPolicy;
use crate::metrics::{Metrics, Names};
use crate::store::{self, Store};
use crate::tasks::Tasks;

const PATH: &str = "/webhooks/telnyx";
const BODY: &[u8] = br#"{"data":{"event_type":"call.cost","id":"0f3c","payload":{}}}"#;
const MAX_BODY: usize = 256 * 1024;
/// How long anything may take that happens at once.
const SOON: Duration = Duration::from_secs(10);

/// Small enough to be waited for, large enough for a busy machine.
const TIMEOUTS: Timeouts = Timeouts {
    head: Duration::from_millis(300),
    body_idle: Duration::from_millis(300),
    body: Duration::from_millis(600),
    idle: Duration::from_millis(900),
    room: Duration::from_millis(100),
    record: Duration::from_millis(1500),
    linger: Duration::from_millis(300),
};

struct Bed {
    address: SocketAddr,
    deps: Deps,
    state: web::Data<State>,
    server: ServerHandle,
    tasks: Tasks,
    _dir: tempfile::TempDir,
}

fn secret(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn account(name: &str, keys: &[u8]) -> Account {
    let key = |number: &u8| {
        PublicKey::parse(&STANDARD.encode(secret(*number).verifying_key().as_bytes())).unwrap()
    };
    Account {
        name: name.to_owned(),
        keys: keys.iter().map(key).collect(),
        tolerance: Duration::from_mins(5),
        currency: Some("USD".to_owned()),
    }
}

fn settings() -> ListenerSettings {
    ListenerSettings {
        max_body: MAX_BODY,
        trusted_proxies: vec![],
        allowed_sources: vec![],
        payload: PayloadPolicy::Redacted,
    }
}

async fn bed() -> Bed {
    bed_with(Live::new(vec![account("default", &[1])], settings()), Timeouts::default()).await
}

async fn bed_with(live: Live, timeouts: Timeouts) -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let kept = store::Settings {
        path: dir.path().join("tollbell.db"),
        retention: Duration::from_hours(30 * 24),
        payload: PayloadPolicy::Redacted,
    };
    let deps = Deps {
        live: Arc::new(ArcSwap::from_pointee(live)),
        store: Store::open(&kept, Box::new(|_| ())).await.unwrap(),
        clock: Clock::manual("2026-01-01T00:00:00Z".parse().unwrap()),
        metrics: Arc::new(Metrics::new(&Names { accounts: vec!["default"], ..Names::default() })),
        troubles: Troubles::default(),
        tls: crate::tls::Acceptor::new(None),
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let state = web::Data::new(State::new(deps.clone(), 2, timeouts));
    let server = server::listen(listener, state.clone(), 2, SOON).unwrap();
    let handle = server.handle();
    let tasks = Tasks::new();
    tasks.spawn_short(async move { server.await.unwrap() });
    Bed { address, deps, state, server: handle, tasks, _dir: dir }
}

/// A reply as it came over the wire.
#[derive(Debug)]
struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Reads one reply that has a `Content-Length`, or up to the end of a reply to HEAD.
async fn answer(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let read = async {
        loop {
            let mut piece = [0; 4096];
            let count = socket.read(&mut piece).await.unwrap_or(0);
            bytes.extend_from_slice(&piece[..count]);
            if count == 0 || is_whole(&bytes) {
                return;
            }
        }
    };
    timeout(SOON, read).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let status = text.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
    Answer { status, text }
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next());
    length.is_some_and(|length| body.len() >= length.parse::<usize>().unwrap())
}

/// Waits until the peer has closed.
async fn closed(socket: &mut TcpStream) {
    let mut piece = [0; 4096];
    let gone = async { while socket.read(&mut piece).await.unwrap_or(0) > 0 {} };
    timeout(SOON, gone).await.unwrap();
}

fn signed(timestamp: &str, body: &[u8], key: u8) -> String {
    let message = [timestamp.as_bytes(), b"|", body].concat();
    let signature = STANDARD.encode(secret(key).sign(&message).to_bytes());
    format!("telnyx-timestamp: {timestamp}\r\nTelnyx-Signature-Ed25519: {signature}\r\n")
}

fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

impl Bed {
    fn now(&self) -> String {
        self.deps.clock.now().as_second().to_string()
    }

    /// A good request with this body.
    fn good(&self, body: &[u8]) -> Vec<u8> {
        post(PATH, &signed(&self.now(), body, 1), body)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, bytes: &[u8]) -> Answer {
        let mut socket = self.connect().await;
        // A refused sender may be cut off while it still writes.
        let _cut_off = socket.write_all(bytes).await;
        answer(&mut socket).await
    }

    async fn kept(&self) -> usize {
        self.deps.store.inbox_after(0, 1000).await.unwrap().len()
    }

    async fn kept_soon(&self, wanted: usize) {
        let mut recorded = self.deps.store.recorded();
        let arrived = async {
            while self.kept().await < wanted {
                recorded.changed().await.unwrap();
            }
        };
        timeout(SOON, arrived).await.unwrap();
    }

    fn counts(&self, line: &str) -> bool {
        self.deps.metrics.render().unwrap().lines().any(|found| found == line)
    }

    fn rejected(&self, reason: &str, count: u32) -> bool {
        let name = "tollbell_webhooks_rejected_total";
        self.counts(&format!(r#"{name}{{account="default",reason="{reason}"}} {count}"#))
    }

    async fn stop(self) {
        self.server.stop(true).await;
        assert!(self.tasks.drain(SOON).await);
        self.deps.store.close().await.unwrap();
    }
}
