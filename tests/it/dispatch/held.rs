//! A receiver that somebody pauses: what it is owed waits, longer than it may be tried, over a restart, and is sent then.

use std::time::Duration;

use serde_json::{Value, json};
use tollbell::store::DeliveryState;

use super::{deliveries, receiver, ring, routing, said, until, until_tried, webhook};
use crate::api::{Answer, ask};
use crate::support::app::{Setup, TestApp};
use crate::support::http::{HttpSink, Reply};

async fn post(app: &TestApp, path: &str) -> Answer {
    ask(app, "POST", &format!("/api/v1/receivers/{path}"), None).await
}

async fn get(app: &TestApp, path: &str) -> Value {
    ask(app, "GET", &format!("/api/v1/{path}"), None).await.json
}

fn setup(sink: &HttpSink) -> Setup {
    let fallback = format!(
        "{}    fallback: next\n    fallback_after: 1h\n",
        receiver("ops", &[&webhook(sink, "/in", "")])
    );
    Setup::new(routing(&[fallback, receiver("next", &[&webhook(sink, "/next", "")])]))
}

const PAUSED: &str = "tollbell_receiver_paused{receiver=\"ops\"}";

#[tokio::test]
async fn what_is_owed_waits_longer_than_it_may_be_tried_and_is_sent_then() {
    let sink = HttpSink::start().await;
    sink.always("/in", Reply::status(503));
    let mut app = setup(&sink).start().await;
    ring(&app, "e-1", "p").await;
    until_tried(&app, 1).await;
    let asked = post(&app, "ops/pause?seconds=172800&comment=the+pager+moves").await;
    assert_eq!(asked.status, 200, "{asked:?}");
    let keys = ["receiver", "who", "comment"].map(|key| asked.json[key].clone());
    assert_eq!(json!(keys), json!(["ops", "local", "the pager moves"]));
    // It is looked for once a second.
    app.clock.advance(Duration::from_secs(1));
    app.metric_becomes(PAUSED, 1.0).await;
    let sent = sink.requests("/in").len();

    // It is seen wherever people look.
    let listed = get(&app, "receivers").await;
    assert_eq!(listed["items"][0]["paused"], asked.json);
    assert_eq!(listed["items"][1]["paused"], Value::Null);
    let waiting = get(&app, "deliveries?state=pending").await;
    assert_eq!(waiting["items"][0]["paused_until"], asked.json["until"]);
    assert_eq!(waiting["items"][0]["paused_reason"], "by local: the pager moves");
    let checks = get(&app, "checks").await;
    let line = checks["lines"].as_array().unwrap().iter().find(|it| it["what"] == "receiver ops");
    let is = line.unwrap()["is"].as_str().unwrap();
    assert!(is.ends_with("by local: the pager moves; 1 wait to be sent"), "{is}");

    // Its fallback is notified in its time, as of a receiver that cannot be reached.
    app.pass(Duration::from_hours(1)).await;
    sink.wait_for("/next", 1).await;
    // A restart, and more time than a delivery may be tried.
    app.restart(None).await;
    app.metric_becomes(PAUSED, 1.0).await;
    app.pass(Duration::from_hours(46)).await;
    assert_eq!(sink.requests("/in").len(), sent, "nothing is sent");
    assert_eq!(deliveries(&app, DeliveryState::Dead).await.len(), 0);

    // It ends by itself. What fails then is tried again: the pause does not count.
    app.clock.advance(Duration::from_hours(1));
    sink.wait_for("/in", sent + 1).await;
    app.metric_becomes(PAUSED, 0.0).await;
    until_tried(&app, 2).await;
    sink.always("/in", Reply::ok());
    app.clock.advance(Duration::from_mins(1));
    let requests = sink.wait_for("/in", sent + 2).await;
    assert_eq!(said(requests.last().unwrap())[0], "resolved", "the state of now");
    until(&app, DeliveryState::Delivered, 2).await;
    app.stop().await;
}

#[tokio::test]
async fn who_resumes_gets_what_waited_and_what_cannot_be_is_refused() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).start().await;
    for (path, status, said) in [
        ("nobody/pause?seconds=60&comment=x", 404, "there is ops, next"),
        ("nobody/resume", 404, "there is ops, next"),
        ("ops/pause?comment=x", 400, "either until or seconds"),
        (
            "ops/pause?comment=x&seconds=1&until=2026-11-24T00:00:00Z",
            400,
            "either until or seconds",
        ),
        ("ops/pause?seconds=60", 400, "say why"),
        ("ops/pause?seconds=60&comment=a%0Ab", 400, "one line"),
        ("ops/pause?seconds=604801&comment=x", 400, "from 1 to 604800"),
        ("ops/pause?until=2027-01-01T00:00:00Z&comment=x", 400, "7 days at most"),
        ("ops/pause?until=2020-01-01T00:00:00Z&comment=x", 400, "over already"),
    ] {
        let answer = post(&app, path).await;
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        assert!(answer.status == status && detail.contains(said), "{path}: {answer:?}");
    }
    assert_eq!(post(&app, "ops/resume").await.json["was_paused"], false);
    assert_eq!(post(&app, "ops/pause?seconds=3600&comment=x").await.status, 200);
    ring(&app, "e-1", "p").await;
    app.pass(Duration::from_mins(5)).await;
    assert_eq!(deliveries(&app, DeliveryState::Pending).await.len(), 1);
    // A test goes past the queue, and ends no pause that somebody made.
    assert_eq!(post(&app, "ops/test?resolve=false").await.json["items"][0]["delivered"], true);
    assert_eq!(ask(&app, "POST", "/api/v1/deliveries/retry", None).await.json["count"], 1);
    app.clock.advance(Duration::from_secs(5));
    app.settle().await;
    assert_eq!(sink.requests("/in").len(), 1, "the test alone");
    assert_eq!(post(&app, "ops/resume").await.json, json!({"receiver": "ops", "was_paused": true}));
    sink.wait_for("/in", 2).await;
    until(&app, DeliveryState::Delivered, 1).await;
    let audit = get(&app, "audit").await;
    let actions: Vec<&str> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    let expected = ["receiver.resume", "delivery.retry", "receiver.test", "receiver.pause"];
    assert_eq!(actions, expected);
    app.stop().await;
}
