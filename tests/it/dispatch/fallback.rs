//! Who is rung when a receiver cannot be reached, and what becomes of each recipient of a mail.

use std::time::Duration;

use tollbell::store::{DeliveryState, Retry};

use super::{
    deliveries, email, quiet, receiver, ring, routing, slack, until, until_nothing_waits,
    until_tried, webhook,
};
use crate::support::app::{Setup, TestApp};
use crate::support::http::{HttpSink, Reply};
use crate::support::smtp::SmtpSink;

/// `oncall` by webhook, with `ops` by Slack behind it.
async fn oncall_and_ops(sink: &HttpSink) -> TestApp {
    let oncall = [webhook(sink, "/oncall", ""), "fallback: ops".to_owned()];
    let receivers = [
        receiver("oncall", &[&oncall[0], &oncall[1]]),
        receiver("ops", &[&slack(sink, "/ops", "")]),
    ];
    Setup::new(routing(&receivers)).start().await
}

async fn rung(app: &TestApp) -> f64 {
    app.metric("tollbell_fallbacks_total{receiver=\"oncall\"}").await
}

#[tokio::test]
async fn the_fallback_is_rung_at_once_when_a_delivery_dies_and_once_only() {
    let sink = HttpSink::start().await;
    sink.always("/oncall", Reply::status(400));
    let app = oncall_and_ops(&sink).await;
    ring(&app, "e-1", "p").await;
    let copy = sink.wait_for("/ops", 1).await.remove(0).text();
    assert!(copy.contains("receiver oncall, which could not be reached"), "{copy}");
    let dead = until(&app, DeliveryState::Dead, 1).await;
    assert_eq!(dead[0].reason, "clientError");
    let sent = until(&app, DeliveryState::Delivered, 1).await;
    assert_eq!(
        (sent[0].receiver.as_str(), sent[0].fallback_of.as_ref()),
        ("ops", Some(&dead[0].id))
    );
    assert_eq!(rung(&app).await, 1.0);
    // Dead again, by hand and as it is owed again: the fallback knows.
    app.app().store.retry(Retry::All, app.clock.now()).await.unwrap();
    sink.wait_for("/oncall", 2).await;
    until(&app, DeliveryState::Dead, 1).await;
    app.clock.advance(Duration::from_hours(1));
    app.settle().await;
    until(&app, DeliveryState::Dead, 2).await;
    app.settle().await;
    assert_eq!(sink.requests("/ops").len(), 1);
    assert_eq!(rung(&app).await, 1.0, "counted is what was sent");
    app.stop().await;
}

#[tokio::test]
async fn refused_credentials_ring_the_fallback_at_once_while_the_original_keeps_trying() {
    let sink = HttpSink::start().await;
    sink.next("/oncall", vec![Reply::status(401); 3]);
    let app = oncall_and_ops(&sink).await;
    ring(&app, "e-1", "p").await;
    sink.wait_for("/ops", 1).await;
    assert_eq!(until_tried(&app, 1).await.receiver, "oncall");
    for attempts in 2..=4 {
        quiet(&app).await;
        app.clock.advance(Duration::from_mins(1));
        sink.wait_for("/oncall", attempts).await;
    }
    until(&app, DeliveryState::Delivered, 2).await;
    app.clock.advance(Duration::from_mins(10));
    app.settle().await;
    assert_eq!(sink.requests("/ops").len(), 1);
    assert_eq!(rung(&app).await, 1.0);
    app.stop().await;
}

#[tokio::test]
async fn the_fallback_is_rung_when_a_delivery_takes_too_long_and_the_original_still_gets_through() {
    let sink = HttpSink::start().await;
    sink.always("/oncall", Reply::status(503));
    let app = oncall_and_ops(&sink).await;
    ring(&app, "e-1", "p").await;
    sink.wait_for("/oncall", 1).await;
    quiet(&app).await;
    app.clock.advance(Duration::from_secs(299));
    sink.wait_for("/oncall", 2).await;
    quiet(&app).await;
    sink.expect_none("/ops");
    app.clock.advance(Duration::from_secs(1));
    let copy = sink.wait_for("/ops", 1).await.remove(0).text();
    assert!(copy.contains("receiver oncall"), "{copy}");
    quiet(&app).await;
    app.clock.advance(Duration::from_mins(20));
    quiet(&app).await;
    sink.always("/oncall", Reply::ok());
    until_nothing_waits(&app).await;
    until(&app, DeliveryState::Delivered, 2).await;
    assert_eq!(sink.requests("/ops").len(), 1);
    assert_eq!(rung(&app).await, 1.0);
    app.stop().await;
}

#[tokio::test]
async fn what_is_delivered_in_time_rings_no_fallback() {
    let sink = HttpSink::start().await;
    sink.next("/oncall", [Reply::status(500)]);
    let app = oncall_and_ops(&sink).await;
    ring(&app, "e-1", "p").await;
    sink.wait_for("/oncall", 1).await;
    until_nothing_waits(&app).await;
    until(&app, DeliveryState::Delivered, 1).await;
    app.clock.advance(Duration::from_mins(10));
    // A second one that dies shows that fallbacks work.
    sink.next("/oncall", [Reply::status(400)]);
    ring(&app, "e-2", "witness").await;
    let copy = sink.wait_for("/ops", 1).await.remove(0).text();
    assert!(copy.contains("witness"), "{copy}");
    app.stop().await;
}

#[tokio::test]
async fn a_fallback_has_a_fallback() {
    let sink = HttpSink::start().await;
    sink.always("/oncall", Reply::status(400));
    sink.always("/ops", Reply::status(400).body("invalid_payload"));
    let oncall = webhook(&sink, "/oncall", "");
    let ops = slack(&sink, "/ops", "");
    let receivers = [
        receiver("oncall", &[&oncall, "fallback: ops"]),
        receiver("ops", &[&ops, "fallback: last"]),
        receiver("last", &[&slack(&sink, "/last", "")]),
    ];
    let app = Setup::new(routing(&receivers)).start().await;
    ring(&app, "e-1", "p").await;
    let copy = sink.wait_for("/last", 1).await.remove(0).text();
    assert!(copy.contains("receiver ops, which could not be reached"), "{copy}");
    assert_eq!(until(&app, DeliveryState::Dead, 2).await.len(), 2);
    app.settle().await;
    assert_eq!(sink.requests("/last").len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn however_many_ways_to_a_receiver_fail_its_fallback_is_told_once() {
    let sink = HttpSink::start().await;
    let smtp = SmtpSink::start().await;
    for address in ["a@example.com", "b@example.com"] {
        smtp.rcpt(address, 550);
    }
    sink.always("/oncall", Reply::status(400));
    let mail = email(&smtp, "a@example.com, b@example.com", "tls: none");
    let receivers = [
        receiver("oncall", &[&mail, &webhook(&sink, "/oncall", ""), "fallback: ops"]),
        receiver("ops", &[&slack(&sink, "/ops", "")]),
    ];
    let app = Setup::new(routing(&receivers)).start().await;
    ring(&app, "e-1", "p").await;
    assert_eq!(until(&app, DeliveryState::Dead, 3).await.len(), 3);
    app.settle().await;
    assert_eq!(sink.requests("/ops").len(), 1);
    assert_eq!(rung(&app).await, 1.0);
    app.stop().await;
}

#[tokio::test]
async fn each_recipient_of_a_mail_has_its_own_fate() {
    let smtp = SmtpSink::start().await;
    smtp.rcpt("gone@example.com", 550);
    smtp.rcpt_later("busy@example.com", 451, 2);
    let to = "good@example.com, gone@example.com, busy@example.com";
    let app =
        Setup::new(routing(&[receiver("ops", &[&email(&smtp, to, "tls: none")])])).start().await;
    ring(&app, "e-1", "p").await;
    smtp.wait_for_attempts("busy@example.com", 1).await;
    until_nothing_waits(&app).await;
    let mut taken: Vec<String> = smtp.mails().into_iter().flat_map(|mail| mail.to).collect();
    taken.sort();
    assert_eq!(taken, ["busy@example.com", "good@example.com"]);
    for (address, attempts) in [("good", 1), ("busy", 3)] {
        let address = format!("{address}@example.com");
        assert_eq!(smtp.attempts_for(&address), attempts, "{address}");
    }
    // Each refusal is the end of a delivery; the alert fires on, so that it is owed again.
    let dead = deliveries(&app, DeliveryState::Dead).await;
    assert!(!dead.is_empty(), "the refused recipient has a dead delivery");
    assert_eq!(dead.len(), smtp.attempts_for("gone@example.com"));
    for dead in dead {
        let ended = (dead.target.as_str(), dead.reason.as_str());
        assert_eq!(ended, ("gone@example.com", "clientError"));
    }
    assert_eq!(smtp.violations(), Vec::<String>::new());
    app.stop().await;
}
