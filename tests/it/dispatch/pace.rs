//! How fast an integration is sent to: by its own limit, by the peer's word, and not at all while it fails.

use std::time::{Duration, SystemTime};

use tollbell::clock;
use tollbell::store::DeliveryState;

use super::{FAST, deliveries, quiet, receiver, ring, routing, slack, until, until_tried, webhook};
use crate::support::app::{Setup, TestApp, reqwest_client};
use crate::support::http::{HttpSink, Reply};
use crate::support::wait::{SOON, eventually};

/// Slack under test, and a webhook beside it that hears the same: what it heard is queued for Slack, too.
fn slack_and_witness(sink: &HttpSink, keys: &str) -> Setup {
    let lines = [slack(sink, "/slack", keys), webhook(sink, "/witness", FAST)];
    Setup::new(routing(&[receiver("ops", &[&lines[0], &lines[1]])]))
}

async fn ring_many(app: &TestApp, sink: &HttpSink, count: usize) {
    let before = sink.requests("/witness").len();
    for n in before..before + count {
        ring(app, &format!("e-{n}"), &format!("p-{n}")).await;
    }
    sink.wait_for("/witness", before + count).await;
    quiet(app).await;
}

#[tokio::test]
async fn a_429_pauses_the_whole_integration_for_as_long_as_it_says() {
    let sink = HttpSink::start().await;
    sink.next("/slack", [Reply::too_many("2")]);
    let app = slack_and_witness(&sink, FAST).real_time().start().await;
    ring_many(&app, &sink, 6).await;
    let requests = sink.wait_for("/slack", 7).await;
    let refused = requests[0].arrived;
    for request in &requests[1..] {
        let waited = request.arrived - refused;
        assert!(waited >= Duration::from_secs(2), "{waited:?}");
    }
    let resumed = requests[1].arrived - refused;
    assert!(resumed < Duration::from_secs(3), "{resumed:?}");
    until(&app, DeliveryState::Delivered, 12).await;
    let limited = "tollbell_notifications_failed_total{integration=\"slack\",reason=\"rateLimited\",receiver=\"ops\"}";
    assert_eq!(app.metric(limited).await, 1.0);
    app.stop().await;
}

#[tokio::test]
async fn whoever_asks_for_it_ends_a_long_pause() {
    let sink = HttpSink::start().await;
    let app = slack_and_witness(&sink, FAST).start().await;
    let post = async |path: String| {
        let url = format!("http://{}/api/v1/{path}", app.app().private_addr);
        reqwest_client().post(url).send().await.unwrap().status()
    };
    // By the delivery that waits, by a test that is taken, by all that the receiver is owed.
    for round in 1..=3 {
        sink.next("/slack", [Reply::too_many("86400")]);
        let sent = sink.requests("/slack").len();
        ring_many(&app, &sink, 1).await;
        let waiting = until_tried(&app, 1).await;
        let wait = clock::until(app.clock.now(), waiting.not_before);
        assert!(wait > Duration::from_mins(59) && wait <= Duration::from_hours(1), "{wait:?}");
        ring_many(&app, &sink, 1).await;
        assert_eq!(sink.requests("/slack").len(), sent + 1, "it is left alone");
        let path = match round {
            1 => format!("deliveries/{}/retry", waiting.id),
            2 => "receivers/ops/test".to_owned(),
            _ => "deliveries/retry?receiver=ops".to_owned(),
        };
        assert_eq!(post(path).await, 200);
        app.clock.advance(Duration::from_secs(2));
        until(&app, DeliveryState::Delivered, round * 4).await;
        let paused = "tollbell_integration_paused{integration=\"slack\",receiver=\"ops\"}";
        assert_eq!(app.metric(paused).await, 0.0);
    }
    app.stop().await;
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    let sink = HttpSink::start().await;
    let app = slack_and_witness(&sink, FAST).start().await;
    let date = SystemTime::from(clock::add(app.clock.now(), Duration::from_secs(91)));
    sink.next("/slack", [Reply::too_many(&httpdate::fmt_http_date(date))]);
    ring_many(&app, &sink, 1).await;
    let waiting = until_tried(&app, 1).await;
    let wait = clock::until(app.clock.now(), waiting.not_before);
    assert!(wait > Duration::from_secs(89) && wait <= Duration::from_secs(91), "{wait:?}");
    app.clock.advance(Duration::from_secs(89));
    ring_many(&app, &sink, 3).await;
    assert_eq!(sink.requests("/slack").len(), 1);
    app.clock.advance(Duration::from_secs(2));
    sink.wait_for("/slack", 5).await;
    until(&app, DeliveryState::Delivered, 8).await;
    app.stop().await;
}

#[tokio::test]
async fn slack_gets_three_at_once_then_one_a_second() {
    let sink = HttpSink::start().await;
    let app = slack_and_witness(&sink, "").start().await;
    ring_many(&app, &sink, 6).await;
    sink.wait_for("/slack", 3).await;
    quiet(&app).await;
    ring_many(&app, &sink, 1).await;
    assert_eq!(sink.requests("/slack").len(), 3);
    for sent in 4..=7 {
        app.clock.advance(Duration::from_millis(900));
        quiet(&app).await;
        assert_eq!(sink.requests("/slack").len(), sent - 1);
        app.clock.advance(Duration::from_millis(100));
        sink.wait_for("/slack", sent).await;
    }
    app.settle().await;
    assert_eq!(sink.requests("/slack").len(), 7);
    app.stop().await;
}

#[tokio::test]
async fn a_peer_that_keeps_failing_is_left_alone_and_probed_with_one() {
    let sink = HttpSink::start().await;
    sink.always("/slack", Reply::status(500));
    let app = slack_and_witness(&sink, FAST).start().await;
    ring_many(&app, &sink, 12).await;
    sink.wait_for("/slack", 5).await;
    quiet(&app).await;
    app.clock.advance(Duration::from_secs(4));
    ring_many(&app, &sink, 1).await;
    assert_eq!(sink.requests("/slack").len(), 5);
    app.clock.advance(Duration::from_secs(1));
    sink.wait_for("/slack", 6).await;
    quiet(&app).await;
    app.clock.advance(Duration::from_secs(9));
    ring_many(&app, &sink, 1).await;
    assert_eq!(sink.requests("/slack").len(), 6);
    // The probe that succeeds lets all go.
    sink.always("/slack", Reply::ok());
    app.clock.advance(Duration::from_secs(10));
    until(&app, DeliveryState::Delivered, 28).await;
    assert_eq!(sink.requests("/slack").len(), 20);
    app.stop().await;
}

#[tokio::test]
async fn a_peer_that_refuses_our_credentials_is_left_alone_for_a_minute() {
    let sink = HttpSink::start().await;
    sink.next("/slack", [Reply::status(403).body("invalid_token")]);
    let app = slack_and_witness(&sink, FAST).start().await;
    ring_many(&app, &sink, 1).await;
    assert_eq!(until_tried(&app, 1).await.reason, "authError");
    app.clock.advance(Duration::from_secs(59));
    ring_many(&app, &sink, 2).await;
    assert_eq!(sink.requests("/slack").len(), 1);
    assert_eq!(deliveries(&app, DeliveryState::Pending).await.len(), 3);
    app.clock.advance(Duration::from_secs(1));
    sink.wait_for("/slack", 4).await;
    eventually(SOON, || sink.requests("/slack").len() == 4).await;
    until(&app, DeliveryState::Delivered, 6).await;
    app.stop().await;
}
