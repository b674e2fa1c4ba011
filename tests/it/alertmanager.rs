//! Alertmanager's API v2: what is posted, for how long we vouch for it, and a real Alertmanager's word on it.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tollbell::clock;
use tollbell::store::DeliveryState;

use crate::dispatch::{receiver, ring, routing, stop_ringing, until, until_tried};
use crate::support::alertmanager::Alertmanager;
use crate::support::app::Setup;
use crate::support::http::{HttpSink, Reply};

fn setup(url: &str, keys: &str) -> Setup {
    let line = format!("alertmanager_configs: [{{url: \"{url}\"{keys}}}]");
    Setup::new(routing(&[receiver("ops", &[&line])]))
        .server("  external_url: https://tollbell.example.com\n")
}

/// A time as it comes back from the store.
fn micros(at: jiff::Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.as_microsecond()).unwrap().to_string()
}

#[tokio::test]
async fn alerts_are_vouched_for_while_they_fire_and_end_when_they_did() {
    let sink = HttpSink::start().await;
    sink.always("/am/api/v2/alerts", Reply::status(200));
    let app = setup(&sink.url("/am/"), ", resend_interval: 30s, headers: {X-Scope-OrgID: voice}")
        .start()
        .await;
    let began = app.clock.now();
    ring(&app, "e-1", "p").await;
    app.settle().await;
    app.clock.advance(Duration::from_secs(29));
    let ended = app.clock.now();
    stop_ringing(&app, "e-2", "p").await;
    app.settle().await;
    let [firing, resolved] = sink.requests("/am/api/v2/alerts").try_into().unwrap();
    assert_eq!(firing.header("content-type"), Some("application/json"));
    assert_eq!(firing.header("x-scope-orgid"), Some("voice"));
    let expected = |ends_at: String, fingerprint: &str| {
        json!([{
            "labels": {
                "account": "default", "alertname": "SpendLimitReached", "profile": "p",
                "severity": "critical",
            },
            "annotations": {"summary": "Messaging profile p spent 10.02 USD of 10.00 USD"},
            "startsAt": micros(began),
            "endsAt": ends_at,
            "generatorURL": format!("https://tollbell.example.com/alerts/{fingerprint}"),
        }])
    };
    let url = firing.json()[0]["generatorURL"].as_str().unwrap().to_owned();
    let fingerprint = url.rsplit_once('/').unwrap().1;
    let vouched = clock::add(began, Duration::from_mins(2)).to_string();
    assert_eq!(firing.json(), expected(vouched, fingerprint));
    assert_eq!(resolved.json(), expected(micros(ended), fingerprint));
    app.stop().await;
}

#[tokio::test]
async fn every_answer_means_one_thing() {
    let sink = HttpSink::start().await;
    let path = "/api/v2/alerts";
    sink.next(path, [Reply::status(500), Reply::status(400).body("\"bad labels\"")]);
    let app = setup(&sink.url(""), ", retry: {initial_backoff: 1h, max_backoff: 1h}").start().await;
    ring(&app, "e-1", "p").await;
    assert_eq!(until_tried(&app, 1).await.reason, "serverError");
    app.advance(Duration::from_hours(1)).await;
    let dead = until(&app, DeliveryState::Dead, 1).await.remove(0);
    assert_eq!(dead.reason, "clientError");
    assert!(!dead.detail.contains("bad labels"), "{}", dead.detail);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_shows_our_alerts_firing_and_then_resolved() {
    let server = Alertmanager::start();
    let app = setup(&server.url(), "").real_time().start().await;
    ring(&app, "e-1", "p").await;
    let alert = server.wait_for_alert("SpendLimitReached").await;
    assert_eq!(alert["status"]["state"], "active", "{alert:#}");
    assert_eq!(alert["labels"]["profile"], "p");
    assert_eq!(alert["annotations"]["summary"], "Messaging profile p spent 10.02 USD of 10.00 USD");
    let left = time(&alert["endsAt"]).duration_since(time(&alert["updatedAt"])).as_secs();
    assert!((200..=240).contains(&left), "vouched for {left} s");

    stop_ringing(&app, "e-2", "p").await;
    until(&app, DeliveryState::Delivered, 2).await;
    server.wait_for_no_alert("SpendLimitReached").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_hears_of_all_alerts_of_a_large_group() {
    const ALERTS: usize = 700;
    let (server, sink) = (Alertmanager::start(), HttpSink::start().await);
    let lines = [
        format!("alertmanager_configs: [{{url: \"{}\"}}]", server.url()),
        format!(
            "webhook_configs: [{{url: \"{}\", max_alerts: 650}}, {{url: \"{}\"}}]",
            sink.url("/many"),
            sink.url("/few")
        ),
    ];
    let route = "route:\n  receiver: ops\n  group_by: [alertname]\n  group_wait: 20s\n  \
                 group_interval: 1s\n  repeat_interval: 366d\n";
    let receivers = receiver("ops", &[&lines[0], &lines[1]]);
    // A movable clock: all of them come before the group's first notification. It begins so early that what ends has ended
    // by the Alertmanager's clock.
    let begins = clock::sub(jiff::Timestamp::now(), Duration::from_secs(90)).to_string();
    let setup = Setup::new(format!("{route}receivers:\n{receivers}")).begins(&begins);
    let app = setup.start().await;
    let names: Vec<String> = (0..ALERTS).map(|n| format!("p-{n:03}")).collect();
    for some in names.chunks(50) {
        join_all(some.iter().map(|name| ring(&app, name, name))).await;
    }
    app.settle().await;
    app.advance(Duration::from_secs(20)).await;
    server.wait_for_alerts("SpendLimitReached", ALERTS).await;
    let hooked = |path: &str| {
        let json = sink.one(path).json();
        (json["alerts"].as_array().unwrap().len(), json["truncatedAlerts"].as_u64().unwrap())
    };
    assert_eq!(hooked("/many"), (650, 50));
    let (shown, left_out) = hooked("/few");
    assert_eq!(shown + usize::try_from(left_out).unwrap(), ALERTS);
    // And of the end of each.
    for some in names.chunks(50) {
        let ids: Vec<String> = some.iter().map(|name| format!("end-{name}")).collect();
        join_all(ids.iter().zip(some).map(|(id, name)| stop_ringing(&app, id, name))).await;
    }
    app.settle().await;
    for _ in 0..3 {
        app.pass(Duration::from_secs(20)).await;
    }
    server.wait_for_no_alert("SpendLimitReached").await;
    app.stop().await;
}

fn time(value: &Value) -> jiff::Timestamp {
    value.as_str().unwrap().parse().unwrap()
}
