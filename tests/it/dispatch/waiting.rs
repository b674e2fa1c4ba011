//! What waits for a receiver that is down tells the state of now when it goes out.

use std::time::Duration;

use tollbell::alerts::{Matcher, Silence};
use tollbell::clock;
use tollbell::store::DeliveryState;

use super::{
    deliveries, quiet, receiver, ring, routing, said, stop_ringing, until, until_nothing_waits,
    until_tried, webhook,
};
use crate::support::app::{GROUP_INTERVAL, SPEND_LIMIT_RULE, Setup, TestApp};
use crate::support::http::{HttpSink, Reply};

/// A receiver that is down, and one notice that it was not told.
async fn down(keys: &str) -> (HttpSink, TestApp) {
    down_under(SPEND_LIMIT_RULE, keys).await
}

async fn down_under(rules: &str, keys: &str) -> (HttpSink, TestApp) {
    let sink = HttpSink::start().await;
    sink.always("/hook", Reply::status(503));
    let setup = Setup::new(routing(&[receiver("ops", &[&webhook(&sink, "/hook", keys)])]));
    let app = setup.rules(rules).start().await;
    ring(&app, "e-1", "p").await;
    until_tried(&app, 1).await;
    (sink, app)
}

async fn back(sink: &HttpSink, app: &TestApp) -> Vec<[String; 3]> {
    let before = sink.requests("/hook").len();
    sink.always("/hook", Reply::ok());
    until_nothing_waits(app).await;
    sink.requests("/hook")[before..].iter().map(said).collect()
}

fn line(status: &str, reason: &str) -> [String; 3] {
    [status, reason, "p"].map(str::to_owned)
}

/// A silence of what [`down`] rings, from now on.
fn silence(app: &TestApp, lasts: Duration) -> Silence {
    let now = app.clock.now();
    Silence {
        id: "s-1".to_owned(),
        matchers: vec![Matcher::parse("profile=p").unwrap()],
        starts_at: now,
        ends_at: clock::add(now, lasts),
        created_by: "me".to_owned(),
        comment: "a test".to_owned(),
        created_at: now,
        updated_at: now,
    }
}

/// The only delivery ended with nothing left to say; gives what the list says of it.
async fn superseded(app: &TestApp) -> String {
    let found = until(app, DeliveryState::Superseded, 1).await;
    assert_eq!(deliveries(app, DeliveryState::Delivered).await.len(), 0);
    format!("{}: {}", found[0].reason, found[0].detail)
}

#[tokio::test]
async fn an_end_that_a_receiver_does_not_want_is_told_where_its_beginning_was_not_heard() {
    let (sink, app) = down("send_resolved: false").await;
    stop_ringing(&app, "e-2", "p").await;
    app.pass(GROUP_INTERVAL).await;
    quiet(&app).await;
    assert_eq!(back(&sink, &app).await, [line("resolved", "first notification")]);
    // It fires again: that is new, and its end is not told to who heard of it.
    let so_far = sink.requests("/hook").len();
    ring(&app, "e-3", "p").await;
    let requests = sink.wait_for("/hook", so_far + 1).await;
    assert_eq!(said(requests.last().unwrap()), line("firing", "first notification"));
    stop_ringing(&app, "e-4", "p").await;
    app.pass(GROUP_INTERVAL).await;
    quiet(&app).await;
    assert_eq!(sink.requests("/hook").len(), so_far + 1);
    app.stop().await;
}

#[tokio::test]
async fn a_silent_expiry_is_told_by_what_still_waits() {
    let (sink, app) = down("send_resolved: true").await;
    app.pass(Duration::from_hours(6)).await;
    assert_eq!(back(&sink, &app).await, [line("resolved", "first notification")]);
    app.stop().await;
}

#[tokio::test]
async fn a_silence_stops_what_waits_and_what_still_fires_is_told_when_it_ends() {
    let (sink, app) = down("send_resolved: true").await;
    let silence = silence(&app, Duration::from_hours(1));
    app.app().store.put_silence(silence).await.unwrap();
    assert_eq!(back(&sink, &app).await, Vec::<[String; 3]>::new());
    assert_eq!(superseded(&app).await, "settled: what it would have said is suppressed now");
    quiet(&app).await;
    app.pass(Duration::from_mins(59)).await;
    assert_eq!(sink.requests("/hook").len(), 1);
    app.pass(Duration::from_mins(2)).await;
    let requests = sink.wait_for("/hook", 2).await;
    assert_eq!(said(&requests[1]), line("firing", "first notification"));
    app.stop().await;
}

#[tokio::test]
async fn what_ends_while_it_is_silenced_is_never_told() {
    let (sink, app) = down("send_resolved: true").await;
    let silence = silence(&app, Duration::from_secs(30));
    // Nothing is tried while the receiver is paused.
    sink.always("/hook", Reply::too_many("3600"));
    app.clock.advance(Duration::from_secs(2));
    sink.wait_for("/hook", 2).await;
    until_tried(&app, 2).await;
    app.app().store.put_silence(silence).await.unwrap();
    stop_ringing(&app, "e-2", "p").await;
    app.pass(GROUP_INTERVAL * 2).await;
    assert_eq!(back(&sink, &app).await, Vec::<[String; 3]>::new());
    assert_eq!(superseded(&app).await, "settled: what it would have said is over");
    app.stop().await;
}

#[tokio::test]
async fn what_expires_while_it_is_silenced_is_never_told() {
    let rule = SPEND_LIMIT_RULE.replace("active_for: 6h", "active_for: 20m");
    let (sink, app) = down_under(&rule, "send_resolved: true").await;
    // The receiver is paused until after the alert's time.
    sink.always("/hook", Reply::too_many("3600"));
    app.clock.advance(Duration::from_secs(2));
    sink.wait_for("/hook", 2).await;
    until_tried(&app, 2).await;
    let silence = silence(&app, Duration::from_hours(2));
    app.app().store.put_silence(silence).await.unwrap();
    app.pass(Duration::from_mins(20)).await;
    assert_eq!(back(&sink, &app).await, Vec::<[String; 3]>::new());
    assert_eq!(superseded(&app).await, "settled: what it would have said is over");
    app.stop().await;
}

#[tokio::test]
async fn a_rule_that_is_removed_takes_what_waits_along() {
    let (sink, app) = down("send_resolved: true").await;
    let other = "groups: [{name: g, rules: [{alert: Fax, on: [fax.failed], active_for: 1h}]}]\n";
    let setup =
        Setup::new(routing(&[receiver("ops", &[&webhook(&sink, "/hook", "send_resolved: true")])]));
    app.reload_with(&setup.rules(other)).await;
    assert_eq!(back(&sink, &app).await, Vec::<[String; 3]>::new());
    assert_eq!(superseded(&app).await, "settled: what it would have said is over");
    app.stop().await;
}
