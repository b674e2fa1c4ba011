//! The real listener on port 0, over raw sockets, with a real store behind it.

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
use crate::metrics::Names;
use crate::store;
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

fn settings() -> Settings {
    Settings {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_webhook_is_kept_once_and_answered_200() {
    let bed = bed().await;
    for kept in [1, 1, 2] {
        let body = if kept == 2 { b"{}".as_slice() } else { BODY };
        let answer = bed.send(&bed.good(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("server"), None);
        assert_eq!(bed.kept().await, kept);
    }
    assert!(bed.counts(r#"tollbell_events_duplicate_total{account="default"} 1"#));
    assert!(
        bed.counts(r#"tollbell_webhooks_received_total{account="default",kind="call.cost"} 2"#)
    );
    assert!(bed.counts("tollbell_webhook_ack_duration_seconds_count 3"));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_amount_without_a_currency_is_in_that_of_the_account_or_of_its_last_reading() {
    let reading = store::Reading {
        account: "default".to_owned(),
        at: "2026-01-01T00:00:00Z".parse().unwrap(),
        currency: Some("EUR".to_owned()),
        balance: None,
        available_credit: None,
        credit_limit: None,
        pending: None,
        burn_per_hour: None,
        hours_left: None,
    };
    for (configured, expected) in [(None, [None, Some("EUR")]), (Some("USD"), [Some("USD"); 2])] {
        let currency = configured.map(str::to_owned);
        let account = Account { currency, ..account("default", &[1]) };
        let bed = bed_with(Live::new(vec![account], settings()), Timeouts::default()).await;
        for (n, expected) in expected.into_iter().enumerate() {
            let body = format!(
                r#"{{"data":{{"event_type":"call.cost","id":"e-{n}","payload":{{"total_cost":"0.01"}}}}}}"#
            );
            assert_eq!(bed.send(&bed.good(body.as_bytes())).await.status, 200);
            let kept = bed.deps.store.inbox_after(0, 9).await.unwrap().pop().unwrap().unwrap();
            assert_eq!(kept.event.currency.as_deref(), expected);
            let feed = store::Feed { reading: Some(reading.clone()), ..store::Feed::default() };
            bed.deps.store.feed(feed).await.unwrap();
        }
        bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_of_the_reply_table() {
    let bed = bed().await;
    let (now, good) = (bed.now(), signed(&bed.now(), BODY, 1));
    let old = (bed.deps.clock.now().as_second() - 301).to_string();
    let new = (bed.deps.clock.now().as_second() + 301).to_string();
    let (time, sign) = good.split_once("\r\n").unwrap();
    let (time, sign) = (format!("{time}\r\n"), sign.to_owned());
    let garbage = vec![b'x'; MAX_BODY + 1];
    for (status, reason, request) in [
        (400, "missing_header", post(PATH, "", BODY)),
        (400, "missing_header", post(PATH, &time, BODY)),
        (400, "missing_header", post(PATH, &sign, BODY)),
        (400, "missing_header", post(PATH, &format!("telnyx-timestamp:\r\n{sign}"), BODY)),
        (400, "repeated_header", post(PATH, &format!("{time}{good}"), BODY)),
        (400, "repeated_header", post(PATH, &format!("{sign}{good}"), BODY)),
        (400, "bad_timestamp", post(PATH, &signed(&format!("+{now}"), BODY, 1), BODY)),
        (400, "bad_signature_encoding", post(PATH, &good.replace("==\r\n", "\r\n"), BODY)),
        (401, "bad_signature", post(PATH, &signed(&now, BODY, 2), BODY)),
        (401, "bad_signature", post(PATH, &good, b"{}")),
        (405, "method", format!("GET {PATH} HTTP/1.1\r\nhost: t\r\n\r\n").into_bytes()),
        (
            405,
            "method",
            format!("HEAD {PATH} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").into_bytes(),
        ),
        (
            405,
            "method",
            format!("PUT {PATH} HTTP/1.1\r\nhost: t\r\ncontent-length: 1\r\n\r\nx").into_bytes(),
        ),
        (413, "body_too_large", post(PATH, "", &garbage)),
        (413, "body_too_large", post(PATH, &signed(&now, &garbage, 1), &garbage)),
        (503, "clock", post(PATH, &signed(&old, BODY, 1), BODY)),
        (503, "clock", post(PATH, &signed(&new, BODY, 1), BODY)),
    ] {
        let answer = bed.send(&request).await;
        assert_eq!(answer.status, status, "{reason}: {answer:?}");
        assert_eq!(answer.header("retry-after").is_some(), status == 503, "{reason}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST"), "{reason}");
    }
    assert_eq!(bed.kept().await, 0);
    for (reason, count) in
        [("missing_header", 4), ("bad_signature", 2), ("method", 3), ("clock", 2)]
    {
        assert!(bed.rejected(reason, count), "{reason}");
    }
    assert!(bed.counts(r#"tollbell_webhook_clock_skew_seconds{account="default"} -301"#));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_path_is_404_whatever_the_rest() {
    let bed = bed().await;
    for path in [
        "/",
        "/webhooks",
        "/webhooks/telnyx/",
        "/webhooks/telnyx/other",
        "/webhooks/telnyx/default/x",
        "/metrics",
    ] {
        let answer = bed.send(&post(path, &signed(&bed.now(), BODY, 1), BODY)).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let by_name = post("/webhooks/telnyx/default?token=x", &signed(&bed.now(), BODY, 1), BODY);
    assert_eq!(bed.send(&by_name).await.status, 200);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_account_has_its_own_keys_and_a_reload_replaces_them() {
    let accounts = vec![account("north", &[1, 2]), account("south", &[3])];
    let bed = bed_with(Live::new(accounts, settings()), Timeouts::default()).await;
    let status = async |path: &str, key| {
        bed.send(&post(path, &signed(&bed.now(), BODY, key), BODY)).await.status
    };
    assert_eq!(status(PATH, 1).await, 404, "none of several is named default");
    assert_eq!(status("/webhooks/telnyx/north", 1).await, 200);
    assert_eq!(status("/webhooks/telnyx/north", 2).await, 200);
    assert_eq!(status("/webhooks/telnyx/north", 3).await, 401);
    assert_eq!(status("/webhooks/telnyx/south", 3).await, 200);
    bed.deps.live.store(Arc::new(Live::new(vec![account("south", &[4])], settings())));
    assert_eq!(status("/webhooks/telnyx/south", 3).await, 401);
    assert_eq!(status("/webhooks/telnyx/south", 4).await, 200);
    assert_eq!(status("/webhooks/telnyx/north", 1).await, 404);
    assert_eq!(bed.kept().await, 2, "the same event id in two accounts is two events");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunked_bodies_are_capped_while_they_are_read() {
    let bed = bed().await;
    let head = |headers: &str| {
        format!("POST {PATH} HTTP/1.1\r\nhost: t\r\n{headers}transfer-encoding: chunked\r\n\r\n")
    };
    let mut good = head(&signed(&bed.now(), BODY, 1)).into_bytes();
    for piece in BODY.chunks(7) {
        good.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        good.extend_from_slice(piece);
        good.extend_from_slice(b"\r\n");
    }
    good.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(bed.send(&good).await.status, 200);

    for headers in [signed(&bed.now(), BODY, 1), String::new()] {
        let mut socket = bed.connect().await;
        socket.write_all(head(&headers).as_bytes()).await.unwrap();
        let piece = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
        // Never ended: the reply must come all the same, and the connection must go.
        let (mut reader, mut writer) = socket.split();
        let write = async { while writer.write_all(&piece).await.is_ok() {} };
        let read = async {
            let mut start = [0; 12];
            reader.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"HTTP/1.1 413");
        };
        timeout(SOON, async { tokio::join!(write, read) }).await.unwrap();
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_and_odd_bytes_are_taken_as_they_are() {
    let bed = bed().await;
    let large = [b"{\"x\":\"", vec![b'y'; MAX_BODY - 8].as_slice(), b"\"}"].concat();
    assert_eq!(large.len(), MAX_BODY);
    for body in [large.as_slice(), b"", b"\xff\xfe\x00", b"\x1f\x8b\x08"] {
        let headers = format!("content-encoding: gzip\r\n{}", signed(&bed.now(), body, 1));
        assert_eq!(bed.send(&post(PATH, &headers, body)).await.status, 200, "{}", body.len());
    }
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_serves_request_after_request() {
    let bed = bed().await;
    let mut socket = bed.connect().await;
    for round in 0..3 {
        socket.write_all(&bed.good(format!("{{\"n\":{round}}}").as_bytes())).await.unwrap();
        assert_eq!(answer(&mut socket).await.status, 200);
        socket.write_all(&post(PATH, &signed(&bed.now(), BODY, 2), BODY)).await.unwrap();
        assert_eq!(answer(&mut socket).await.status, 401);
    }
    let expect = format!("expect: 100-continue\r\n{}", signed(&bed.now(), BODY, 1));
    let request = post(PATH, &expect, BODY);
    let (head, body) = request.split_at(request.len() - BODY.len());
    socket.write_all(head).await.unwrap();
    let mut interim = [0; 25];
    timeout(SOON, socket.read_exact(&mut interim)).await.unwrap().unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(body).await.unwrap();
    assert_eq!(answer(&mut socket).await.status, 200);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_after_its_body_loses_nothing() {
    let bed = bed().await;
    for round in 0..20 {
        let mut socket = bed.connect().await;
        socket.write_all(&bed.good(format!("{{\"n\":{round}}}").as_bytes())).await.unwrap();
        drop(socket);
    }
    bed.kept_soon(20).await;
    assert_eq!(bed.send(&bed.good(BODY)).await.status, 200);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_sent_away() {
    let live = Live::new(vec![account("default", &[1])], settings());
    let bed = bed_with(live, TIMEOUTS).await;
    let partial = bed.good(BODY);
    let (head, body) = partial.split_at(partial.len() - BODY.len());

    let mut silent = bed.connect().await;
    let mut headless = bed.connect().await;
    headless.write_all(&head[..20]).await.unwrap();
    let mut bodiless = bed.connect().await;
    bodiless.write_all(head).await.unwrap();
    let mut dripping = bed.connect().await;
    dripping.write_all(head).await.unwrap();
    // The head of a second request is nobody's business but ours.
    let mut second = bed.connect().await;
    second.write_all(&bed.good(b"1")).await.unwrap();
    assert_eq!(answer(&mut second).await.status, 200);
    second.write_all(&head[..20]).await.unwrap();
    let mut idle = bed.connect().await;
    idle.write_all(&bed.good(b"2")).await.unwrap();
    assert_eq!(answer(&mut idle).await.status, 200);

    assert_eq!(answer(&mut silent).await.status, 408);
    assert_eq!(answer(&mut headless).await.status, 408);
    let slow = answer(&mut bodiless).await;
    assert_eq!((slow.status, slow.header("retry-after")), (503, Some("2")));
    let (mut reader, mut writer) = dripping.split();
    let drip = async {
        for byte in body {
            if writer.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut start = [0; 12];
    let read = async { reader.read_exact(&mut start).await.unwrap() };
    tokio::select! {
        () = drip => panic!("the whole body was let in, drop by drop"),
        _ = timeout(SOON, read) => assert_eq!(&start, b"HTTP/1.1 503"),
    }
    let started = Instant::now();
    closed(&mut second).await;
    closed(&mut idle).await;
    closed(&mut bodiless).await;
    assert!(started.elapsed() < SOON);
    assert!(bed.rejected("body_timeout", 2));
    assert_eq!(bed.kept().await, 2);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_is_the_address_behind_trusted_proxies() {
    let live = |trusted: &str| {
        let settings = Settings {
            trusted_proxies: vec![trusted.parse().unwrap()],
            allowed_sources: vec!["192.0.2.0/24".parse().unwrap()],
            ..settings()
        };
        Live::new(vec![account("default", &[1])], settings)
    };
    let bed = bed_with(live("127.0.0.0/8"), Timeouts::default()).await;
    let status = async |forwarded: &str| {
        let headers = format!("{forwarded}{}", signed(&bed.now(), BODY, 1));
        bed.send(&post(PATH, &headers, BODY)).await.status
    };
    assert_eq!(status("x-forwarded-for: 192.0.2.7\r\n").await, 200);
    assert_eq!(status("x-forwarded-for: 192.0.2.7, 203.0.113.1\r\n").await, 401);
    assert_eq!(status("").await, 401);
    bed.deps.live.store(Arc::new(live("10.0.0.0/8")));
    assert_eq!(status("x-forwarded-for: 192.0.2.7\r\n").await, 401);
    assert!(bed.rejected("source", 3));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_signatures_do_not_shut_out_a_good_one_behind_the_same_address() {
    let bed = bed().await;
    let mut socket = bed.connect().await;
    let bad = post(PATH, &signed(&bed.now(), BODY, 2), BODY);
    for _ in 0..500 {
        socket.write_all(&bad).await.unwrap();
        assert_eq!(answer(&mut socket).await.status, 401);
    }
    assert_eq!(bed.send(&bed.good(BODY)).await.status, 200);
    let exhausted = |peers: &mut peers::Peers| peers.charge(usize::MAX, 1);
    exhausted(&mut bed.state.peers.lock().unwrap());
    let answer = bed.send(&bed.good(BODY)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    assert!(bed.rejected("peer_limit", 1));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_closed_means_try_again() {
    let bed = bed().await;
    bed.deps.store.close().await.unwrap();
    let answer = bed.send(&bed.good(BODY)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    assert!(bed.rejected("store", 1));
    bed.server.stop(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_the_request_in_flight_end_and_sends_idle_clients_away() {
    let bed = bed().await;
    let mut idle = bed.connect().await;
    idle.write_all(&bed.good(b"1")).await.unwrap();
    assert_eq!(answer(&mut idle).await.status, 200);
    let request = bed.good(BODY);
    let (head, body) = request.split_at(request.len() - BODY.len());
    let mut socket = bed.connect().await;
    socket.write_all(head).await.unwrap();
    // An answered request behind it shows that the head has been taken up.
    assert_eq!(bed.send(&bed.good(b"2")).await.status, 200);
    let stopped = bed.server.stop(true);
    let finish = async {
        closed(&mut idle).await;
        socket.write_all(body).await.unwrap();
        answer(&mut socket).await
    };
    let ((), answer) = timeout(SOON, async { tokio::join!(stopped, finish) }).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(bed.kept().await, 3);
    assert!(bed.tasks.drain(SOON).await);
}
