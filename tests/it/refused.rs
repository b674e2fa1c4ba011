//! Webhooks that are refused at the door, and who hears of it.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tollbell::store::EventFilter;

use crate::dispatch::{receiver, routing, webhook};
use crate::support::app::{Setup, TestApp, reqwest_client};
use crate::support::http::HttpSink;
use crate::support::raw;
use crate::support::telnyx::{self, SIGNATURE_HEADER, Signer, TIMESTAMP_HEADER};
use crate::support::wait::{SOON, eventually_async};

const RULES: &str = include_str!("../../config/rules/intake.yaml");
/// Connections at once.
const CONNECTIONS: usize = 32;

/// Posts a webhook `count` times, made by the `sign` of a body; gives the statuses.
async fn post(app: &TestApp, count: usize, headers: &[(String, String)], body: &[u8]) -> Vec<u16> {
    let (client, url) = (reqwest_client(), app.public("/webhooks/telnyx"));
    let one = async || {
        let mut request = client.post(&url).body(body.to_vec());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.send().await.expect("answers").status().as_u16()
    };
    let mut statuses = Vec::new();
    while statuses.len() < count {
        let batch = CONNECTIONS.min(count - statuses.len());
        statuses.extend(join_all((0..batch).map(|_| one())).await);
    }
    statuses
}

/// The payloads of the events of a kind, the newest first, once there are so many.
async fn events(app: &TestApp, kind: &str, count: usize) -> Vec<Value> {
    let store = &app.app().store;
    let ids = eventually_async(SOON, async || {
        let filter =
            EventFilter { kind: Some(kind.to_owned()), limit: 100, ..EventFilter::default() };
        let found = store.events(filter).await.expect("list");
        (found.len() >= count).then(|| found.into_iter().map(|one| one.id).collect::<Vec<_>>())
    })
    .await;
    assert_eq!(ids.len(), count, "{ids:?}");
    let one = async |id: &String| {
        store.event(id, None).await.expect("reads").expect("is there").stored.event.payload
    };
    join_all(ids.iter().map(one)).await
}

fn setup(sink: &HttpSink) -> Setup {
    Setup::new(routing(&[receiver("ops", &[&webhook(sink, "/ops", "")])])).rules(RULES)
}

#[tokio::test]
async fn a_genuine_webhook_of_another_time_is_put_off_and_somebody_hears_of_it() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).start().await;
    let body = telnyx::event("e-1", "call.hangup", app.clock.now(), &json!({}));
    let other = app.clock.now() - jiff::SignedDuration::from_secs(420);
    let headers = app.signer.headers(other, &body);
    assert_eq!(post(&app, 1, &headers, &body).await, [503]);
    let told = sink.wait_for("/ops", 1).await;
    let summary = told[0].json()["alerts"][0]["annotations"]["summary"].clone();
    assert!(summary.as_str().unwrap().ends_with("are 7m apart"), "{summary}");

    app.settle().await;
    assert_eq!(post(&app, 40, &headers, &body).await, [503; 40]);
    app.pass(Duration::from_secs(299)).await;
    events(&app, "tollbell.clock_skew", 1).await;
    app.pass(Duration::from_secs(1)).await;
    let payloads = events(&app, "tollbell.clock_skew", 2).await;
    assert_eq!(payloads[0], json!({"count": 40, "skew_seconds": 420, "window_seconds": 300}));
    assert_eq!(payloads[1], json!({"count": 1, "skew_seconds": 420, "window_seconds": 0}));
    assert_eq!(sink.requests("/ops").len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn many_bad_signatures_are_told_once_in_a_window_however_many() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).start().await;
    let body = telnyx::event(
        "e-1",
        "call.hangup",
        app.clock.now(),
        &json!({"x": "planted-by-a-stranger"}),
    );
    let forged = Signer::from_seed([7; 32]).headers(app.clock.now(), &body);
    assert_eq!(post(&app, 19, &forged, &body).await, [401; 19]);
    app.pass(Duration::from_secs(1)).await;
    events(&app, "tollbell.rejected_signatures", 0).await;
    assert_eq!(post(&app, 11, &forged, &body).await, [401; 11]);
    let told = sink.wait_for("/ops", 1).await;
    let alert = &told[0].json()["alerts"][0];
    assert_eq!(alert["labels"]["alertname"], "SignaturesRejected");
    let first = &events(&app, "tollbell.rejected_signatures", 1).await[0];
    let count = first["count"].as_u64().unwrap();
    assert!((20..=30).contains(&count), "{first}");
    assert_eq!(first["reasons"], json!([{"reason": "bad_signature", "count": count}]));

    app.settle().await;
    // A flood that costs the sender nothing.
    let nonsense = [
        (TIMESTAMP_HEADER.to_owned(), app.clock.now().as_second().to_string()),
        (SIGNATURE_HEADER.to_owned(), "planted-by-a-stranger".to_owned()),
    ];
    assert_eq!(post(&app, 5_000, &nonsense, b"{}").await, [400; 5_000]);
    app.pass(Duration::from_secs(299)).await;
    events(&app, "tollbell.rejected_signatures", 1).await;
    app.pass(Duration::from_secs(1)).await;
    let second = &events(&app, "tollbell.rejected_signatures", 2).await[0];
    let rest = 30 - count;
    assert_eq!(second["count"], 5_000 + rest);
    let flood = json!({"reason": "bad_signature_encoding", "count": 5_000});
    assert!(second["reasons"].as_array().unwrap().contains(&flood), "{second}");
    assert!(!second.to_string().contains("stranger"), "{second}");
    assert_eq!(sink.requests("/ops").len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_webhook_on_a_wrong_path_is_told_of_whether_it_is_kept_or_lost() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).start().await;
    let body = telnyx::event("e-1", "call.hangup", app.clock.now(), &json!({}));
    let ours = app.signer.headers(app.clock.now(), &body);
    let removed = Signer::from_seed([7; 32]).headers(app.clock.now(), &body);
    let post_to = async |path: &str, headers: &[(String, String)]| {
        let to = app.app().public_addr;
        raw::request(to, "POST", path, headers, &body).await.unwrap().status
    };
    assert_eq!(post_to("/webhooks/telnyx/defualt", &ours).await, 200);
    let told = sink.wait_for("/ops", 1).await;
    let alert = &told[0].json()["alerts"][0];
    assert_eq!(alert["labels"]["alertname"], "WebhooksMisdirected");
    assert_eq!(alert["labels"]["account"], "default");
    let kept = json!({"count": 1, "kept": true, "window_seconds": 0});
    assert_eq!(events(&app, "tollbell.misdirected_webhooks", 1).await[0], kept);
    assert_eq!(events(&app, "call.hangup", 1).await.len(), 1);

    app.settle().await;
    for _ in 0..30 {
        assert_eq!(post_to("/webhooks/telnyx/old-name", &removed).await, 404);
    }
    sink.wait_for("/ops", 2).await;
    app.pass(Duration::from_mins(5)).await;
    let lost = events(&app, "tollbell.misdirected_webhooks", 3).await;
    let counts: u64 = lost[..2].iter().map(|event| event["count"].as_u64().unwrap()).sum();
    assert_eq!(counts, 30);
    assert!(lost[..2].iter().all(|event| event["kept"] == false), "{lost:?}");
    assert_eq!(sink.requests("/ops").len(), 2);
    // Scanners bring no such headers, and are nobody's trouble.
    assert_eq!(post_to("/webhooks/telnyx/old-name", &[]).await, 404);
    app.pass(Duration::from_mins(10)).await;
    events(&app, "tollbell.misdirected_webhooks", 3).await;
    app.stop().await;
}
