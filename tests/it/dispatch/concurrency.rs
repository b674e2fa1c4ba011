//! How many sends of one integration are in flight: as many as `concurrency` says, and never more.

use std::time::Duration;

use tollbell::store::DeliveryState;

use super::{FAST, deliveries, email, quiet, receiver, ring, routing, slack, until, webhook};
use crate::support::app::{Setup, TestApp};
use crate::support::http::{HttpSink, Reply};
use crate::support::smtp::{Script, SmtpSink};
use crate::support::wait::{SOON, eventually_async};

/// Lets so many groups wait, each with one alert.
async fn ring_many(app: &TestApp, count: usize) {
    for n in 0..count {
        ring(app, &format!("e-{n}"), &format!("p-{n}")).await;
    }
}

/// The integration is paused while `count` groups begin to wait; then it is free.
async fn drained(keys: &str, in_flight: usize, count: usize) {
    let sink = HttpSink::start().await;
    sink.next("/hook", [Reply::too_many("60")]);
    let keys = [FAST, keys].join(if keys.is_empty() { "" } else { ", " });
    let app =
        Setup::new(routing(&[receiver("ops", &[&webhook(&sink, "/hook", &keys)])])).start().await;
    ring(&app, "e-first", "p-first").await;
    sink.wait_for("/hook", 1).await;
    ring_many(&app, count - 1).await;
    quiet(&app).await;
    until(&app, DeliveryState::Pending, count).await;
    assert_eq!(sink.requests("/hook").len(), 1);
    sink.always("/hook", Reply::ok().after(Duration::from_millis(100)));
    app.clock.advance(Duration::from_mins(1));
    until(&app, DeliveryState::Delivered, count).await;
    assert_eq!(sink.most_in_flight(), in_flight, "{keys}");
    assert_eq!(sink.requests("/hook").len(), count + 1, "each once");
    app.stop().await;
}

#[tokio::test]
async fn as_many_sends_are_in_flight_as_the_key_says() {
    drained("concurrency: 1", 1, 10).await;
    drained("concurrency: 7", 7, 70).await;
    drained("", 16, 160).await;
    drained("concurrency: 64", 64, 640).await;
}

#[tokio::test]
async fn slack_hears_one_at_a_time() {
    let sink = HttpSink::start().await;
    sink.always("/slack", Reply::ok().after(Duration::from_millis(20)));
    let app =
        Setup::new(routing(&[receiver("ops", &[&slack(&sink, "/slack", FAST)])])).start().await;
    ring_many(&app, 20).await;
    until(&app, DeliveryState::Delivered, 20).await;
    assert_eq!(sink.most_in_flight(), 1);
    app.stop().await;
}

#[tokio::test]
async fn what_waits_behind_sends_that_hang_is_not_claimed() {
    let sink = HttpSink::start().await;
    sink.always("/hook", Reply::hang());
    let keys = format!("{FAST}, concurrency: 2, timeout: 60s");
    let setup = Setup::new(routing(&[receiver("ops", &[&webhook(&sink, "/hook", &keys)])]));
    let app = setup.real_time().start().await;
    ring_many(&app, 5).await;
    sink.wait_for("/hook", 2).await;
    // What was claimed for the moment when a send usually ends is given back when it does not.
    let given_back = async || {
        let sending = deliveries(&app, DeliveryState::Sending).await.len();
        let waiting = deliveries(&app, DeliveryState::Pending).await;
        (sending == 2 && waiting.iter().all(|one| one.attempts == 0)).then_some(())
    };
    eventually_async(SOON, given_back).await;
    assert_eq!(sink.most_in_flight(), 2);
    // Not stopped in order: that would wait for the peer.
}

#[tokio::test]
async fn a_mail_server_has_no_more_sessions_than_sends_are_in_flight() {
    let smtp = SmtpSink::start().await;
    smtp.always(Script::Slow(Duration::from_millis(1)));
    let keys = format!("tls: none, concurrency: 3, {FAST}");
    let app =
        Setup::new(routing(&[receiver("ops", &[&email(&smtp, "a@example.com", &keys)])])).start();
    let app = app.await;
    ring_many(&app, 60).await;
    until(&app, DeliveryState::Delivered, 60).await;
    assert_eq!(smtp.most_sessions(), 3);
    app.stop().await;
}

#[tokio::test]
async fn a_reload_changes_how_many_are_in_flight() {
    let sink = HttpSink::start().await;
    sink.always("/hook", Reply::ok().after(Duration::from_millis(50)));
    let with = |concurrency: usize| {
        let keys = format!("{FAST}, name: hook, concurrency: {concurrency}");
        Setup::new(routing(&[receiver("ops", &[&webhook(&sink, "/hook", &keys)])]))
    };
    let app = with(2).start().await;
    ring_many(&app, 20).await;
    until(&app, DeliveryState::Delivered, 20).await;
    assert_eq!(sink.most_in_flight(), 2);
    app.reload_with(&with(6)).await;
    for n in 20..80 {
        ring(&app, &format!("e-{n}"), &format!("p-{n}")).await;
    }
    until(&app, DeliveryState::Delivered, 80).await;
    assert_eq!(sink.most_in_flight(), 6);
    app.stop().await;
}
