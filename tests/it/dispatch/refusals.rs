//! A refusal is no notification: who could not be notified is owed it, soon after it is well.

use std::time::Duration;

use tollbell::clock;
use tollbell::store::DeliveryState;

use super::{
    deliveries, listed, receiver, ring, route, said, stop_ringing, until, until_tried, webhook,
};
use crate::support::app::{SPEND_LIMIT_RULE, Setup, TestApp};
use crate::support::http::{HttpSink, Reply};

/// One webhook; `group_interval` is five minutes, and nothing is repeated.
async fn app(sink: &HttpSink, rules: &str) -> TestApp {
    let hook = receiver("ops", &[&webhook(sink, "/hook", "")]);
    let route = route("ops").replace("group_interval: 1s", "group_interval: 5m");
    Setup::new(format!("{route}receivers:\n{hook}")).rules(rules).start().await
}

/// Lets time pass in small steps until it is so; how long that took.
async fn pass_until(app: &TestApp, done: impl AsyncFn() -> bool) -> Duration {
    let begun = app.clock.now();
    while !done().await {
        let passed = clock::until(begun, app.clock.now());
        assert!(passed < Duration::from_hours(2), "not in two hours");
        // What is due by now happens, or the clock would run ahead of it.
        app.pass(Duration::from_secs(10)).await;
    }
    clock::until(begun, app.clock.now())
}

#[tokio::test]
async fn a_receiver_in_the_middle_of_a_rollout_hears_as_soon_as_it_is_well() {
    for status in [404, 405, 410, 307, 301] {
        let sink = HttpSink::start().await;
        let refused = Reply::status(status).header("location", "http://127.0.0.1:9/");
        sink.next("/hook", vec![refused; 4]);
        let app = app(&sink, SPEND_LIMIT_RULE).await;
        ring(&app, "e-1", "p").await;
        let reason = until_tried(&app, 1).await.reason;
        assert_eq!(reason, "clientError", "{status}");
        let is_delivered = async || !deliveries(&app, DeliveryState::Delivered).await.is_empty();
        let took = pass_until(&app, is_delivered).await;
        // Four waits that double from one second, and the pause of a peer that does nothing but refuse.
        assert!(took <= Duration::from_mins(2), "{status}: {took:?}");
        let requests = sink.requests("/hook");
        assert_eq!(requests.len(), 5, "{status}");
        for request in &requests {
            assert_eq!(said(request), ["firing", "first notification", "p"]);
            let key = request.header("idempotency-key");
            assert_eq!(key, requests[0].header("idempotency-key"), "{status}");
        }
        assert_eq!(listed(&app, None).await.len(), 1, "{status}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_receiver_that_was_away_for_long_hears_of_what_fires_a_quarter_of_an_hour_later_at_most()
{
    let sink = HttpSink::start().await;
    sink.always("/hook", Reply::status(404));
    let app = app(&sink, SPEND_LIMIT_RULE).await;
    ring(&app, "e-1", "p").await;
    let is_dead = async || !deliveries(&app, DeliveryState::Dead).await.is_empty();
    let took = pass_until(&app, is_dead).await;
    assert!((Duration::from_mins(10)..Duration::from_mins(16)).contains(&took), "{took:?}");
    assert_eq!(app.metric("tollbell_deliveries{state=\"dead\"}").await, 1.0);

    sink.always("/hook", Reply::ok());
    let is_delivered = async || !deliveries(&app, DeliveryState::Delivered).await.is_empty();
    let took = pass_until(&app, is_delivered).await;
    // Not before `group_interval` has passed.
    assert!((Duration::from_mins(4)..=Duration::from_mins(15)).contains(&took), "{took:?}");
    let request = sink.requests("/hook").pop().unwrap();
    assert_eq!(said(&request), ["firing", "first notification", "p"]);
    app.stop().await;
}

#[tokio::test]
async fn a_one_shot_that_nobody_could_be_told_of_is_seen_and_told_late() {
    let sink = HttpSink::start().await;
    sink.always("/hook", Reply::status(404));
    let rules = SPEND_LIMIT_RULE.replace("active_for: 6h", "active_for: 1m");
    let app = app(&sink, &rules).await;
    ring(&app, "e-1", "p").await;
    let is_dead = async || !deliveries(&app, DeliveryState::Dead).await.is_empty();
    pass_until(&app, is_dead).await;
    let dead = deliveries(&app, DeliveryState::Dead).await.remove(0);
    assert_eq!((dead.receiver.as_str(), dead.reason.as_str()), ("ops", "clientError"));
    sink.always("/hook", Reply::ok());
    let is_delivered = async || !deliveries(&app, DeliveryState::Delivered).await.is_empty();
    let took = pass_until(&app, is_delivered).await;
    // Not before `group_interval` has passed.
    assert!((Duration::from_mins(4)..=Duration::from_mins(15)).contains(&took), "{took:?}");
    let request = sink.requests("/hook").pop().unwrap();
    assert_eq!(said(&request), ["resolved", "first notification", "p"]);
    // Once.
    let so_far = sink.requests("/hook").len();
    for _ in 0..4 {
        app.pass(Duration::from_mins(15)).await;
    }
    assert_eq!(sink.requests("/hook").len(), so_far);
    app.stop().await;
}

#[tokio::test]
async fn what_dies_for_one_receiver_is_told_to_another_once() {
    let sink = HttpSink::start().await;
    sink.always("/bad", Reply::status(400));
    let hooks = format!(
        "webhook_configs: [{{url: \"{}\"}}, {{url: \"{}\"}}]",
        sink.url("/bad"),
        sink.url("/good")
    );
    let route = route("ops").replace("group_interval: 1s", "group_interval: 5m");
    let setup = Setup::new(format!("{route}receivers:\n{}", receiver("ops", &[&hooks])));
    let app = setup.start().await;
    ring(&app, "e-1", "p").await;
    until(&app, DeliveryState::Dead, 1).await;
    until(&app, DeliveryState::Delivered, 1).await;
    for _ in 0..3 {
        app.pass(Duration::from_mins(5)).await;
    }
    assert_eq!(sink.requests("/good").len(), 1);
    assert_eq!(sink.requests("/bad").len(), 4, "owed again after each group_interval");
    stop_ringing(&app, "e-2", "p").await;
    app.pass(Duration::from_mins(5)).await;
    app.pass(Duration::from_mins(5)).await;
    let told: Vec<_> = sink.requests("/good").iter().map(said).collect();
    assert_eq!(told[1..], [["resolved", "all alerts resolved", "p"].map(str::to_owned)]);
    app.stop().await;
}
