//! PagerDuty's Events API v2: what is posted for a group's life, and what each answer means.

use std::time::Duration;

use serde_json::json;
use tollbell::alerts::{Matcher, Silence};
use tollbell::clock;
use tollbell::store::DeliveryState;

use crate::dispatch::{receiver, ring, routing, stop_ringing, until, until_tried};
use crate::support::app::{GROUP_INTERVAL, Setup, TestApp, route};
use crate::support::http::{HttpSink, Reply};

const KEY: &str = "0123456789abcdef012345678planted";

async fn app(sink: &HttpSink, keys: &str) -> TestApp {
    let url = sink.url("/v2/enqueue");
    let line = format!("pagerduty_configs: [{{url: \"{url}\", routing_key: \"{KEY}\"{keys}}}]");
    Setup::new(routing(&[receiver("ops", &[&line])]))
        .server("  external_url: https://tollbell.example.com\n")
        .start()
        .await
}

fn accepted() -> Reply {
    Reply::status(202)
        .body(r#"{"status": "success", "message": "Event processed", "dedup_key": "k"}"#)
}

#[tokio::test]
async fn a_trigger_and_its_resolve_carry_the_same_key() {
    let sink = HttpSink::start().await;
    sink.always("/v2/enqueue", accepted());
    let app = app(&sink, ", client: bell, severity: {critical: error}").await;
    ring(&app, "e-1", "p").await;
    app.settle().await;
    app.clock.advance(Duration::from_mins(2));
    stop_ringing(&app, "e-2", "p").await;
    app.settle().await;
    let [trigger, resolve] = sink.requests("/v2/enqueue").try_into().unwrap();
    assert_eq!(trigger.header("content-type"), Some("application/json"));
    let [trigger, resolve] = [trigger.json(), resolve.json()];
    assert_eq!(
        (&trigger["event_action"], &trigger["routing_key"]),
        (&json!("trigger"), &json!(KEY))
    );
    assert_eq!(
        (&trigger["client"], &trigger["client_url"]),
        (&json!("bell"), &json!("https://tollbell.example.com"))
    );
    let payload = &trigger["payload"];
    assert_eq!(
        (&payload["severity"], &payload["source"]),
        (&json!("error"), &json!("telnyx:default"))
    );
    assert_eq!(
        (&payload["class"], &payload["component"]),
        (&json!("SpendLimitReached"), &json!("messaging"))
    );
    let summary = payload["summary"].as_str().unwrap();
    assert!(summary.contains("Messaging profile p spent 10.02 USD of 10.00 USD"), "{summary}");
    assert_eq!(payload["custom_details"]["Spent"], "10.02 of 10.00 USD");
    let links = trigger["links"].as_array().unwrap();
    let links: Vec<&str> = links.iter().map(|link| link["text"].as_str().unwrap()).collect();
    assert_eq!(links, ["Alert", "Silence"]);
    assert_eq!(
        resolve,
        json!({"routing_key": KEY, "event_action": "resolve", "dedup_key": trigger["dedup_key"]})
    );
    assert!(!trigger["dedup_key"].as_str().unwrap().is_empty());
    app.stop().await;
}

#[tokio::test]
async fn a_refused_event_is_dead_and_a_slow_down_is_obeyed() {
    let sink = HttpSink::start().await;
    let invalid =
        format!(r#"{{"status": "invalid event", "message": "Event object is invalid {KEY}"}}"#);
    sink.next(
        "/v2/enqueue",
        [Reply::status(400).body(invalid), Reply::too_many("60"), Reply::status(503)],
    );
    sink.always("/v2/enqueue", accepted());
    let url = sink.url("/v2/enqueue");
    let retry = "retry: {initial_backoff: 10ms, max_backoff: 10ms}";
    let line = format!("pagerduty_configs: [{{url: \"{url}\", routing_key: \"{KEY}\", {retry}}}]");
    // What is refused is owed again a quarter of an hour later.
    let routing = routing(&[receiver("ops", &[&line])]);
    let routing = routing.replace("group_interval: 1s", "group_interval: 1h");
    let app = Setup::new(routing).start().await;
    ring(&app, "e-1", "p").await;
    let dead = until(&app, DeliveryState::Dead, 1).await.remove(0);
    assert_eq!(dead.reason, "clientError");
    assert!(dead.detail.contains("Event object is invalid"), "{}", dead.detail);
    assert!(!dead.detail.contains(KEY), "{}", dead.detail);

    ring(&app, "e-2", "q").await;
    let waiting = until_tried(&app, 1).await;
    assert_eq!(waiting.reason, "rateLimited");
    app.clock.advance(Duration::from_secs(61));
    let waiting = until_tried(&app, 2).await;
    assert_eq!(waiting.reason, "serverError");
    app.clock.advance(Duration::from_mins(1));
    until(&app, DeliveryState::Delivered, 1).await;
    let keys: Vec<_> =
        sink.requests("/v2/enqueue")[1..].iter().map(|r| r.json()["dedup_key"].clone()).collect();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    app.stop().await;
}

#[tokio::test]
async fn an_end_that_nobody_reported_resolves_too() {
    let sink = HttpSink::start().await;
    sink.always("/v2/enqueue", accepted());
    let url = sink.url("/v2/enqueue");
    let hook = sink.url("/hook");
    let app = Setup::new(routing(&[receiver(
        "ops",
        &[
            &format!("pagerduty_configs: [{{url: \"{url}\", routing_key: \"{KEY}\"}}]"),
            &format!("webhook_configs: [{{url: \"{hook}\"}}]"),
        ],
    )]))
    .rules(
        crate::support::app::SPEND_LIMIT_RULE
            .replace("active_for: 6h", "active_for: 1h\n        notify_expired: true"),
    )
    .start()
    .await;
    ring(&app, "e-1", "p").await;
    app.settle().await;
    app.advance(Duration::from_hours(2)).await;
    let [_, ended] = sink.wait_for("/hook", 2).await.try_into().unwrap();
    assert_eq!(
        (&ended.json()["status"], &ended.json()["alerts"][0]["expired"]),
        (&json!("resolved"), &json!(true))
    );
    // An incident that stays open would swallow the next page.
    let pages = sink.wait_for("/v2/enqueue", 2).await;
    let actions: Vec<_> = pages.iter().map(|page| page.json()["event_action"].clone()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    until(&app, DeliveryState::Delivered, 4).await;
    app.stop().await;
}

/// The actions so far, all of one incident.
fn actions(sink: &HttpSink) -> Vec<String> {
    let events: Vec<_> = sink.requests("/v2/enqueue").iter().map(|event| event.json()).collect();
    assert!(events.iter().all(|event| event["dedup_key"] == events[0]["dedup_key"]), "{events:#?}");
    events.iter().map(|event| event["event_action"].as_str().unwrap().to_owned()).collect()
}

/// Lets a few intervals pass.
async fn intervals(app: &TestApp) {
    for _ in 0..4 {
        app.pass(GROUP_INTERVAL).await;
    }
}

#[tokio::test]
async fn what_ends_under_a_silence_is_resolved_and_the_next_one_pages() {
    let sink = HttpSink::start().await;
    sink.always("/v2/enqueue", accepted());
    let app = app(&sink, "").await;
    ring(&app, "e-1", "p").await;
    intervals(&app).await;
    let now = app.clock.now();
    let silence = Silence {
        id: "s-1".to_owned(),
        matchers: vec![Matcher::parse("profile=p").unwrap()],
        starts_at: now,
        ends_at: clock::add(now, Duration::from_hours(1)),
        created_by: "me".to_owned(),
        comment: "a test".to_owned(),
        created_at: now,
        updated_at: now,
    };
    app.app().store.put_silence(silence).await.unwrap();
    intervals(&app).await;
    assert_eq!(actions(&sink), ["trigger"], "it fires on");
    stop_ringing(&app, "e-2", "p").await;
    intervals(&app).await;
    assert_eq!(actions(&sink), ["trigger", "resolve"]);
    app.pass(Duration::from_hours(1)).await;
    ring(&app, "e-3", "p").await;
    intervals(&app).await;
    assert_eq!(actions(&sink), ["trigger", "resolve", "trigger"]);
    app.stop().await;
}

#[tokio::test]
async fn what_a_reload_takes_away_is_resolved() {
    let other_rules =
        "groups: [{name: g, rules: [{alert: Fax, on: [fax.failed], active_for: 1h}]}]\n";
    for (case, rules, first_receiver) in [
        ("the rule is removed", Some(other_rules), "ops"),
        ("the receiver has left the route", None, "other"),
    ] {
        let sink = HttpSink::start().await;
        sink.always("/v2/enqueue", accepted());
        let pages = format!(
            "pagerduty_configs: [{{url: \"{}\", routing_key: \"{KEY}\"}}]",
            sink.url("/v2/enqueue")
        );
        let hook = format!("webhook_configs: [{{url: \"{}\"}}]", sink.url("/hook"));
        let setup = |to: &str| {
            let receivers = receiver("ops", &[&pages]) + &receiver("other", &[&hook]);
            Setup::new(format!("{}receivers:\n{receivers}", route(to)))
        };
        let app = setup("ops").start().await;
        ring(&app, "e-1", "p").await;
        intervals(&app).await;
        assert_eq!(actions(&sink), ["trigger"], "{case}");
        let setup = setup(first_receiver);
        let setup = rules.map_or_else(|| setup.clone(), |rules| setup.clone().rules(rules));
        app.reload_with(&setup).await;
        intervals(&app).await;
        assert_eq!(actions(&sink), ["trigger", "resolve"], "{case}");
        assert_eq!(sink.requests("/hook").len(), usize::from(rules.is_none()), "{case}");
        app.stop().await;
    }
}

#[tokio::test]
async fn what_a_restart_takes_away_is_resolved() {
    let sink = HttpSink::start().await;
    sink.always("/v2/enqueue", accepted());
    let mut app = app(&sink, "").await;
    ring(&app, "e-1", "p").await;
    intervals(&app).await;
    let url = sink.url("/v2/enqueue");
    let line = format!("pagerduty_configs: [{{url: \"{url}\", routing_key: \"{KEY}\"}}]");
    let other = "groups: [{name: g, rules: [{alert: Fax, on: [fax.failed], active_for: 1h}]}]\n";
    let setup = Setup::new(routing(&[receiver("ops", &[&line])])).rules(other);
    app.restart(Some(setup)).await;
    intervals(&app).await;
    assert_eq!(actions(&sink), ["trigger", "resolve"]);
    app.stop().await;
}
