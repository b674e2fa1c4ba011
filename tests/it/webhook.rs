//! Generic webhooks: Alertmanager's JSON or a body of the user's making, signed, and what each answer means.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use tollbell::clock;
use tollbell::store::DeliveryState;

use crate::dispatch::{receiver, ring, routing, stop_ringing, until_tried, webhook};
use crate::support::app::{GROUP_INTERVAL, Setup};
use crate::support::http::{HttpSink, Reply, Request};
use crate::support::wait::{SOON, eventually_async};

fn setup(lines: &[&str]) -> Setup {
    Setup::new(routing(&[receiver("ops", lines)]))
}

#[tokio::test]
async fn a_proxy_stands_in_between_where_it_is_configured() {
    let (proxy, own, peer) =
        (HttpSink::start().await, HttpSink::start().await, HttpSink::start().await);
    let by = |name: &str, more: &str| {
        format!("{{name: {name}, url: 'http://peer.example.com/{name}'{more}}}")
    };
    let entries = [
        by("general", ""),
        by("own", &format!(", proxy_url: '{}'", own.url(""))),
        format!("{{name: direct, url: '{}', proxy_url: direct}}", peer.url("/direct")),
    ];
    let lines = [format!("webhook_configs: [{}]", entries.join(", "))];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let app = setup(&lines).server(format!("  proxy_url: '{}'\n", proxy.url(""))).start().await;
    ring(&app, "e-1", "p").await;
    app.settle().await;
    let there = "http://peer.example.com";
    for (sink, asked) in [
        (&proxy, format!("{there}/general")),
        (&own, format!("{there}/own")),
        (&peer, "/direct".to_owned()),
    ] {
        let [request] = sink.wait_for(&asked, 1).await.try_into().unwrap();
        assert_eq!(request.header("host") == Some("peer.example.com"), asked.starts_with(there));
    }
    app.stop().await;
}

#[tokio::test]
async fn the_body_is_alertmanagers_in_every_field() {
    let sink = HttpSink::start().await;
    let app = setup(&[&webhook(&sink, "/hook?token=t0k3n", "")])
        .server("  external_url: https://tollbell.example.com/\n")
        .start()
        .await;
    let began = app.clock.now();
    ring(&app, "e-1", "p").await;
    app.settle().await;
    app.clock.advance(Duration::from_mins(2));
    stop_ringing(&app, "e-2", "p").await;
    app.settle().await;
    app.clock.advance(GROUP_INTERVAL);
    let [firing, resolved] = sink.wait_for("/hook", 2).await.try_into().unwrap();
    assert_eq!((firing.method.as_str(), firing.query.as_str()), ("POST", "token=t0k3n"));
    assert_eq!(firing.header("content-type"), Some("application/json"));
    assert!(firing.header("user-agent").unwrap().starts_with("tollbell/"));

    let [firing, resolved] = [firing.json(), resolved.json()];
    let fingerprint = firing["alerts"][0]["fingerprint"].as_str().unwrap();
    assert_eq!(
        (fingerprint.len(), fingerprint.contains(|c: char| !c.is_ascii_hexdigit())),
        (16, false)
    );
    let labels = json!({
        "account": "default", "alertname": "SpendLimitReached", "profile": "p", "severity": "critical",
    });
    let annotations = json!({"summary": "Messaging profile p spent 10.02 USD of 10.00 USD"});
    let expected = |status: &str, reason: &str, ends_at: &str| {
        json!({
            "version": "4",
            "groupKey": format!("root/{fingerprint}"),
            "truncatedAlerts": 0,
            "status": status,
            "receiver": "ops",
            "notification_reason": reason,
            "groupLabels": labels,
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "externalURL": "https://tollbell.example.com",
            "alerts": [{
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": micros(began),
                "endsAt": ends_at,
                "generatorURL": format!("https://tollbell.example.com/alerts/{fingerprint}"),
                "fingerprint": fingerprint,
            }],
        })
    };
    assert_eq!(firing, expected("firing", "first notification", "0001-01-01T00:00:00Z"));
    let ended = micros(clock::add(began, Duration::from_mins(2)));
    assert_eq!(resolved, expected("resolved", "all alerts resolved", &ended));
    app.stop().await;
}

/// A time as it comes back from the store.
fn micros(at: jiff::Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.as_microsecond()).unwrap().to_string()
}

/// The signature of Standard Webhooks 1.0, written out from its specification.
fn signature(key: &[u8], request: &Request) -> String {
    let header = |name| request.header(name).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(&request.body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn each_attempt_is_signed_afresh_under_the_same_key_of_identity() {
    let sink = HttpSink::start().await;
    sink.next("/hook", [Reply::status(502)]);
    let key = b"0123456789abcdef0123456789abcdef";
    let secret = format!("secret: whsec_{}", STANDARD.encode(key));
    let app = setup(&[&webhook(&sink, "/hook", &secret)]).start().await;
    ring(&app, "e-1", "p").await;
    until_tried(&app, 1).await;
    app.advance(Duration::from_secs(5)).await;
    ring(&app, "e-2", "q").await;
    let requests = sink.wait_for("/hook", 3).await;
    for request in &requests {
        assert_eq!(request.header("webhook-signature"), Some(&*signature(key, request)));
        assert_eq!(request.header("webhook-id"), request.header("idempotency-key"));
    }
    let ids: Vec<_> = requests.iter().map(|r| r.header("idempotency-key").unwrap()).collect();
    assert_eq!((ids[0] == ids[1], ids[0] == ids[2]), (true, false), "{ids:?}");
    let times: Vec<i64> = requests
        .iter()
        .map(|request| request.header("webhook-timestamp").unwrap().parse().unwrap())
        .collect();
    assert_eq!((times[1], times[1] - times[0]), (app.clock.now().as_second(), 5));
    app.stop().await;
}

#[tokio::test]
async fn a_body_and_headers_of_ones_own() {
    let sink = HttpSink::start().await;
    let body = r#"{"content": {{ commonAnnotations.summary | tojson }}, "left": {{ alerts | length }}, "at": "{{ alerts[0].event.kind }}"}"#;
    let hook = format!(
        "body: '{body}', headers: {{X-Team: voice, Content-Type: application/vnd.own+json}}"
    );
    let app = setup(&[&webhook(&sink, "/hook", &hook)]).start().await;
    ring(&app, "e-1", "a\"quoted\"\\<name>").await;
    app.settle().await;
    let request = sink.one("/hook");
    assert_eq!(request.header("x-team"), Some("voice"));
    assert_eq!(request.header("content-type"), Some("application/vnd.own+json"));
    let summary = "Messaging profile a\"quoted\"\\<name> spent 10.02 USD of 10.00 USD";
    let kind = "messaging-profile.spend-limit-reached";
    assert_eq!(request.json(), json!({"content": summary, "left": 1, "at": kind}));
    app.stop().await;
}

#[tokio::test]
async fn what_stands_in_files_may_change_without_a_restart() {
    let sink = HttpSink::start().await;
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    write("url", &sink.url("/old"));
    write("secret", "old key\n");
    write("token", "Bearer old");
    let hook = format!(
        "webhook_configs: [{{url_file: {}, secret_file: {}, header_files: {{Authorization: {}}}}}]",
        path("url"),
        path("secret"),
        path("token")
    );
    let app = setup(&[&hook]).start().await;
    ring(&app, "e-1", "p").await;
    app.settle().await;
    let old = sink.one("/old");
    assert_eq!(old.header("authorization"), Some("Bearer old"));
    assert_eq!(old.header("webhook-signature"), Some(&*signature(b"old key", &old)));
    write("url", &format!("{}\n", sink.url("/new")));
    write("secret", "new key");
    write("token", "Bearer new\n");
    ring(&app, "e-2", "q").await;
    app.settle().await;
    let new = sink.one("/new");
    assert_eq!(new.header("authorization"), Some("Bearer new"));
    assert_eq!(new.header("webhook-signature"), Some(&*signature(b"new key", &new)));
    sink.one("/old");

    // A file that is gone for a moment is no dead letter.
    std::fs::remove_file(dir.path().join("secret")).unwrap();
    ring(&app, "e-3", "r").await;
    let waiting = until_tried(&app, 1).await;
    assert_eq!(waiting.reason, "authError");
    assert!(!waiting.detail.contains(&path("secret")), "{}", waiting.detail);
    write("secret", "newest key");
    app.advance(Duration::from_mins(1)).await;
    let newest = sink.wait_for("/new", 2).await.remove(1);
    assert_eq!(newest.header("webhook-signature"), Some(&*signature(b"newest key", &newest)));
    app.stop().await;
}

#[tokio::test]
async fn every_answer_means_one_thing_within_the_deadline() {
    let sink = HttpSink::start().await;
    let target = sink.url("/followed");
    let ok = || Reply::status(200).body("some words");
    let table = [
        ("200", Reply::status(200), "delivered"),
        ("201", Reply::status(201), "delivered"),
        ("204", Reply::status(204), "delivered"),
        ("301", Reply::redirect(&target), "pending clientError"),
        ("307", Reply::status(307).header("location", &target), "pending clientError"),
        ("400", Reply::status(400), "dead clientError"),
        ("401", Reply::status(401), "pending authError"),
        ("403", Reply::status(403), "pending authError"),
        ("404", Reply::status(404), "pending clientError"),
        ("405", Reply::status(405), "pending clientError"),
        ("408", Reply::status(408), "pending timeout"),
        ("410", Reply::status(410), "pending clientError"),
        ("413", Reply::status(413), "dead clientError"),
        ("422", Reply::status(422), "dead clientError"),
        ("425", Reply::status(425), "pending serverError"),
        ("429", Reply::too_many("60"), "pending rateLimited"),
        ("500", Reply::status(500), "pending serverError"),
        ("503", Reply::status(503).header("retry-after", "60"), "pending serverError"),
        ("599", Reply::status(599), "pending serverError"),
        ("silent", Reply::hang(), "pending timeout"),
        ("closed", Reply::close(), "pending connect"),
        ("reset", Reply::reset(), "pending connect"),
        ("garbage", Reply::garbage(), "pending other"),
        ("large", Reply::large(10 * 1024 * 1024), "delivered"),
        ("cut", ok().close_mid_body(), "delivered"),
        ("stuck", ok().hang_mid_body(), "delivered"),
        ("slow", ok().drip(Duration::from_millis(2)), "delivered"),
        ("late", ok().after(Duration::from_millis(300)), "delivered"),
    ];
    let hooks: Vec<String> = table
        .iter()
        .map(|(name, reply, _)| {
            sink.always(&format!("/{name}"), reply.clone());
            let url = sink.url(&format!("/{name}"));
            // Retries are far away, so that each has its one attempt.
            let retry = "retry: {initial_backoff: 1h, max_backoff: 1h}";
            format!("{{name: \"{name}\", url: \"{url}\", timeout: 2s, {retry}}}")
        })
        .collect();
    let app = setup(&[&format!("webhook_configs: [{}]", hooks.join(", "))]).start().await;
    let begun = std::time::Instant::now();
    ring(&app, "e-1", "p").await;
    let found = eventually_async(SOON, async || {
        let filter = tollbell::store::DeliveryFilter { limit: 100, ..Default::default() };
        let all = app.app().store.deliveries(filter).await.unwrap();
        let tried = |state| state != DeliveryState::Sending;
        (all.len() == table.len() && all.iter().all(|d| d.attempts == 1 && tried(d.state)))
            .then_some(all)
    })
    .await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    let found: BTreeMap<&str, String> = found
        .iter()
        .map(|delivery| {
            let name = delivery.integration.rsplit_once('/').unwrap().1;
            (name, format!("{} {}", delivery.state.as_str(), delivery.reason).trim().to_owned())
        })
        .collect();
    let expected: BTreeMap<&str, String> =
        table.iter().map(|(name, _, meaning)| (*name, (*meaning).to_owned())).collect();
    assert_eq!(found, expected);
    sink.expect_none("/followed");
}
