//! What strangers can do to the public listener of the real binary: little.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};
use tollbell::clock::Clock;

use crate::support::load::{self, PATH, Site, value};
use crate::support::process::Running;
use crate::support::raw::{self, RawClient};
use crate::support::telnyx::Signer;
use crate::support::wait::{SOON, eventually_async};

const MIB: usize = 1024 * 1024;
/// Resident memory that is never exceeded.
const RSS_MAX: u64 = 150 * MIB as u64;
/// Connections that post large bodies, and how many they post.
const CONNECTIONS: usize = 64;
const UNSIGNED: usize = 10_000;
const SIGNED: usize = 300;
/// Connections at once, as `intake::server` has it.
const PLACES: usize = 1024;
/// Strangers who hold a connection each.
const HOLDING: usize = 700;
/// Connections that drip.
const SLOW: u32 = 200;

fn site() -> Site {
    Site::new("route: {receiver: nobody}\nreceivers:\n  - name: nobody")
}

async fn rejected(running: &Running, reason: &str) -> f64 {
    let scrape = load::metrics(running.addresses().private).await;
    let series =
        format!("tollbell_webhooks_rejected_total{{account=\"default\",reason=\"{reason}\"}}");
    value(&scrape, &series).unwrap()
}

/// Ends the service, which must not have panicked.
async fn end(mut running: Running) {
    assert!(running.terminate(Duration::from_secs(30)).await.success());
    load::assert_sound(&running.log());
}

/// A mebibyte that no compression and no shortcut helps against.
fn garbage(seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; MIB];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// Posts `count` requests over all connections together; gives how often each status came, 0 for none.
async fn flood(
    to: SocketAddr,
    count: usize,
    request: impl Fn(usize) -> Vec<u8>,
) -> BTreeMap<u16, usize> {
    let (left, seen) = (Cell::new(count), RefCell::new(BTreeMap::new()));
    let clients = (0..CONNECTIONS).map(async |_| {
        let mut connection = None;
        while let Some(number) = left.get().checked_sub(1) {
            left.set(number);
            let mut client = match connection.take() {
                Some(client) => client,
                None => RawClient::connect(to).await.unwrap(),
            };
            // A refusal may come before the body is through; then the rest of it cannot be sent.
            let sent = client.send(&request(number)).await;
            let answer = timeout(Duration::from_mins(1), client.response()).await;
            let status = answer.expect("an answer in time").map_or(0, |answer| answer.status);
            *seen.borrow_mut().entry(status).or_insert(0) += 1;
            connection = (sent.is_ok() && matches!(status, 200..=401)).then_some(client);
        }
    });
    join_all(clients).await;
    seen.into_inner()
}

#[tokio::test]
async fn memory_stays_bounded_under_large_bodies_of_garbage() {
    let site = site();
    let running = site.service().start().await;
    let to = running.addresses().public;
    let peak = |when: &str| {
        let peak = running.rss_peak_bytes();
        assert!(peak < RSS_MAX, "{when}: {} MiB", peak / MIB as u64);
    };
    let unsigned = raw::request_bytes("POST", PATH, &[], &garbage(0));
    let statuses = flood(to, UNSIGNED, |_| unsigned.clone()).await;
    assert_eq!(statuses, BTreeMap::from([(400, UNSIGNED)]));
    peak("unsigned");
    // Signed by a stranger, and signed as it should be: garbage is kept, for its sender is genuine.
    for (signer, status) in [(Signer::from_seed([1; 32]), 401), (site.signer.clone(), 200)] {
        let statuses = flood(to, SIGNED, |number| {
            let body = garbage(number as u64);
            raw::request_bytes("POST", PATH, &signer.headers(Clock::system().now(), &body), &body)
        });
        let statuses = statuses.await;
        // 503: there was no room for one more large body. It is put off, and that is the bound at work.
        let good = statuses.get(&status).copied().unwrap_or_default();
        let put_off = statuses.get(&503).copied().unwrap_or_default();
        assert_eq!(good + put_off, SIGNED, "{statuses:?}");
        assert!(good >= SIGNED / 2, "{statuses:?}");
        peak("signed");
    }
    end(running).await;
}

/// Strangers who were answered once and then only hold their connections: more than half of all places.
#[tokio::test]
async fn strangers_who_only_hold_connections_make_room() {
    let site = site();
    let running = site.service().start().await;
    let to = running.addresses().public;
    let strangers = (0..HOLDING).map(async |_| {
        let mut client = RawClient::connect(to).await.unwrap();
        client.send(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        client.response().await.unwrap();
        client
    });
    let mut held = join_all(strangers).await;
    assert_eq!(site.post(to, "good", "p").await.status, 200);
    // The idle limit is a minute; these are sent away in seconds, without a word from anybody.
    let closing: FuturesUnordered<_> = held.iter_mut().map(RawClient::closed).collect();
    let sent_away = closing.take(HOLDING - PLACES / 2).count();
    timeout(Duration::from_secs(20), sent_away).await.expect("they still hold their places");
    end(running).await;
}

/// Half of them drip their head, half their body. All are cut off, and nobody else notices them.
#[tokio::test]
async fn slow_clients_stop_nobody_and_are_cut_off() {
    let site = site();
    let running = site.service().start().await;
    let to = running.addresses().public;
    let request = site.request("slow", "p");
    let body_at = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let slow = (0..SLOW).map(async |number| {
        let begun = if number % 2 == 0 { 20 } else { body_at };
        let mut client = RawClient::connect(to).await.unwrap();
        client.send(&request[..begun]).await.unwrap();
        // Much slower than the limits, and never silent for long.
        let rest = &request[begun..];
        let sent = timeout(
            Duration::from_secs(30),
            client.send_slowly(rest, 1, Duration::from_millis(200)),
        );
        assert!(!matches!(sent.await, Ok(Ok(()))), "all of it was taken, drop by drop");
    });
    let (posted, dripping) = (Cell::new(0), Cell::new(true));
    let good = async {
        while dripping.get() {
            let asked = Instant::now();
            let id = format!("good-{}", posted.get());
            assert_eq!(site.post(to, &id, "p").await.status, 200);
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
            posted.set(posted.get() + 1);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let started = Instant::now();
    let slow = async {
        join_all(slow).await;
        dripping.set(false);
    };
    tokio::join!(slow, good);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(posted.get() > 50);
    assert_eq!(rejected(&running, "body_timeout").await, f64::from(SLOW / 2));
    assert_eq!(site.stored().await.len(), posted.get());
    end(running).await;
}

/// With a trusted proxy in front, so that one socket address stands for several clients.
fn behind_proxy() -> Site {
    site().server("  trusted_proxies: [127.0.0.1/32]")
}

fn forwarded(mut headers: Vec<(String, String)>, client: &str) -> Vec<(String, String)> {
    headers.push(("x-forwarded-for".to_owned(), client.to_owned()));
    headers
}

#[tokio::test]
async fn a_flood_of_bad_signatures_shuts_nobody_else_out() {
    let site = behind_proxy();
    let running = site.service().start().await;
    let to = running.addresses().public;
    let (headers, body) = site.event("bad", "p");
    let mut bad = forwarded(headers, "203.0.113.9");
    bad[1].1 = Signer::from_seed([9; 32]).sign(&bad[2].1, &body);
    let bad = raw::request_bytes("POST", PATH, &bad, &body);
    let flooding = Cell::new(true);
    let flood = (0..8).map(async |_| {
        let mut client = RawClient::connect(to).await.unwrap();
        let mut refused = 0_u32;
        while flooding.get() {
            client.send(&bad).await.unwrap();
            let answer = client.response().await.unwrap();
            assert!(matches!(answer.status, 401 | 503), "{}", answer.status);
            refused += 1;
            if answer.status == 503 {
                client = RawClient::connect(to).await.unwrap();
            }
        }
        refused
    });
    let good = async {
        for number in 0..200 {
            let (headers, body) = site.event(&format!("good-{number}"), "p");
            let headers = forwarded(headers, "192.0.2.1");
            let answer = raw::request(to, "POST", PATH, &headers, &body);
            let answer = timeout(Duration::from_secs(2), answer).await.expect("in time");
            assert_eq!(answer.unwrap().status, 200, "good-{number}");
        }
        flooding.set(false);
    };
    let (refused, ()) = tokio::join!(join_all(flood), good);
    let refused: u32 = refused.into_iter().sum();
    assert!(refused > 200, "no flood: {refused}");
    let counted =
        rejected(&running, "bad_signature").await + rejected(&running, "peer_limit").await;
    assert_eq!(counted, f64::from(refused));
    assert_eq!(site.stored().await.len(), 200);
    let told = running.log().lines().filter(|line| line.contains(" WARN ")).count();
    assert!((1..100).contains(&told), "a flood does not fill the log: {told}");
    end(running).await;
}

#[tokio::test]
async fn the_source_is_judged_by_the_address_that_trusted_proxies_saw() {
    let allowed =
        "  trusted_proxies: [127.0.0.1/32, 10.0.0.0/8]\n  allowed_sources: [192.0.2.0/24]";
    let site = site().server(allowed);
    let running = site.service().start().await;
    for (hops, status) in [
        ("192.0.2.7", 200),
        ("192.0.2.7, 10.1.2.3", 200),
        ("203.0.113.1, 192.0.2.7", 200),
        ("192.0.2.7, 203.0.113.1", 401),
        ("203.0.113.1", 401),
        ("nonsense", 401),
        ("", 401),
    ] {
        let (headers, body) = site.event(hops, "p");
        let to = running.addresses().public;
        let answer = raw::request(to, "POST", PATH, &forwarded(headers, hops), &body).await;
        assert_eq!(answer.unwrap().status, status, "{hops:?}");
    }
    assert_eq!(rejected(&running, "source").await, 4.0);
    assert_eq!(site.stored().await.len(), 3);
    end(running).await;
}

#[tokio::test]
async fn an_event_is_kept_though_its_sender_hangs_up_with_a_reset() {
    let site = site();
    let running = site.service().start().await;
    let to = running.addresses().public;
    for number in 0..50 {
        let mut client = RawClient::connect(to).await.unwrap();
        let request = site.request(&format!("reset-{number}"), "p");
        client.send(&request).await.unwrap();
        client.reset();
    }
    eventually_async(SOON, || async { (site.stored().await.len() == 50).then_some(()) }).await;
    assert_eq!(site.post(to, "after", "p").await.status, 200);
    end(running).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let site = site();
    let running = site.service().start().await;
    let mut client = RawClient::connect(running.addresses().public).await.unwrap();
    let get = raw::request_bytes("GET", PATH, &[], b"");
    let unsigned = raw::request_bytes("POST", PATH, &[], b"{}");
    let (headers, body) = site.event("chunked", "p");
    let chunked = raw::chunked_request_bytes("POST", PATH, &headers, &body, 10);
    let [first, last] = ["first", "last"].map(|id| site.request(id, "p"));
    client.send(&[first, get, chunked, unsigned, last].concat()).await.unwrap();
    for expected in [200, 405, 200, 400, 200] {
        let answer = timeout(SOON, client.response()).await.unwrap().unwrap();
        assert_eq!(answer.status, expected);
    }
    assert_eq!(site.stored().await, ["last", "chunked", "first"]);
    end(running).await;
}

/// Method, path, headers, body, and the status that is the answer.
type Case<'a> = (&'a str, &'a str, &'a [(String, String)], &'a [u8], u16);

#[tokio::test]
async fn what_is_no_webhook_gets_the_status_that_telnyx_understands() {
    let site = site();
    let running = site.service().start().await;
    let to = running.addresses().public;
    let (headers, body) = site.event("event", "p");
    let skewed = |seconds: i64| {
        let at = Clock::system().now() + jiff::SignedDuration::from_secs(seconds);
        site.signer.headers(at, &body)
    };
    let with = |index: usize, value: &str| {
        let mut headers = headers.clone();
        value.clone_into(&mut headers[index].1);
        headers
    };
    let stranger = Signer::from_seed([1; 32]).headers(Clock::system().now(), &body);
    let large = vec![b' '; MIB + 1];
    let cases: [Case<'_>; 13] = [
        ("POST", "/", &stranger, &body, 404),
        ("POST", "/webhooks/telnyx/nobody", &stranger, &body, 404),
        ("GET", "/metrics", &[], b"", 404),
        ("GET", PATH, &[], b"", 405),
        ("PUT", PATH, &headers, &body, 405),
        ("POST", PATH, &headers, &large, 413),
        ("POST", PATH, &[], &large, 413),
        ("POST", PATH, &headers[..2], &body, 400),
        ("POST", PATH, &with(2, "+1735689600"), &body, 400),
        ("POST", PATH, &with(1, "c2lnbmF0dXJl"), &body, 400),
        ("POST", PATH, &stranger, &body, 401),
        ("POST", PATH, &skewed(-400), &body, 503),
        ("POST", PATH, &skewed(400), &body, 503),
    ];
    for (method, path, headers, body, expected) in cases {
        let mut client = RawClient::connect(to).await.unwrap();
        // The answer to what is too large does not wait for the whole of it.
        drop(client.send(&raw::request_bytes(method, path, headers, body)).await);
        let answer = timeout(SOON, client.response()).await.unwrap().unwrap();
        assert_eq!(answer.status, expected, "{method} {path} {headers:?}");
        assert_eq!(answer.header("allow"), (expected == 405).then_some("POST"));
        assert_eq!(answer.header("retry-after"), (expected == 503).then_some("2"));
        assert_eq!(answer.header("location"), None);
    }
    let mut client = RawClient::connect(to).await.unwrap();
    let chunked = raw::chunked_request_bytes("POST", PATH, &headers, &large, 16 * 1024);
    drop(client.send(&chunked).await);
    assert_eq!(timeout(SOON, client.response()).await.unwrap().unwrap().status, 413);
    assert_eq!(rejected(&running, "clock").await, 2.0);
    assert_eq!(site.stored().await, Vec::<String>::new());
    end(running).await;
}
