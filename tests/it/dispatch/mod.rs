//! What becomes of a delivery: order, retries, what is superseded, what dies; one bad receiver slows no other.

mod concurrency;
mod pace;
mod fallback;
mod held;
mod refusals;
mod waiting;

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use tollbell::store::{Delivery, DeliveryFilter, DeliveryState, Retry};
use tollbell::{clock, config};

use crate::support::app::{GROUP_INTERVAL, SPEND_LIMIT_RULE, Setup, TestApp, route};
use crate::support::http::{HttpSink, Reply, Request};
use crate::support::smtp::{Script, SmtpSink, Stage};
use crate::support::telnyx;
use crate::support::wait::{SOON, eventually_async};

// What the tests of the notifiers use, too.

/// A receiver, each line one of its keys.
pub fn receiver(name: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("  - name: {name}\n{lines}")
}

/// All to the first receiver, each alert by itself and at once.
pub fn routing(receivers: &[String]) -> String {
    let first = receivers[0].lines().next().unwrap().trim_start_matches("  - name: ");
    format!("{}receivers:\n{}", route(first), receivers.concat())
}

/// One webhook with further keys, in flow style.
pub fn webhook(sink: &HttpSink, path: &str, keys: &str) -> String {
    let comma = if keys.is_empty() { "" } else { ", " };
    format!("webhook_configs: [{{url: \"{}\"{comma}{keys}}}]", sink.url(path))
}

/// One Slack webhook with further keys, in flow style.
pub fn slack(sink: &HttpSink, path: &str, keys: &str) -> String {
    let comma = if keys.is_empty() { "" } else { ", " };
    format!("slack_configs: [{{api_url: \"{}\"{comma}{keys}}}]", sink.url(path))
}

/// One mail integration with further keys, in flow style.
pub fn email(sink: &SmtpSink, to: &str, keys: &str) -> String {
    format!(
        "email_configs: [{{to: [{to}], from: tollbell@example.com, smarthost: \"{}\", hello: tollbell.test, {keys}}}]",
        sink.smarthost()
    )
}

/// A spend limit of a profile, now.
pub async fn ring(app: &TestApp, id: &str, profile: &str) {
    ring_at(app, id, profile, app.clock.now()).await;
}

/// A spend limit of a profile.
pub async fn ring_at(app: &TestApp, id: &str, profile: &str, at: Timestamp) {
    let body = telnyx::spend_limit(id, at, profile, "10.00", "10.02");
    assert_eq!(app.deliver(body).await, 200);
}

/// The end of a spend limit of a profile, now.
pub async fn stop_ringing(app: &TestApp, id: &str, profile: &str) {
    let kind = "messaging-profile.spend-limit-reset";
    let body = telnyx::event(id, kind, app.clock.now(), &json!({"profile_id": profile}));
    assert_eq!(app.deliver(body).await, 200);
}

/// Deliveries that stand so, oldest first.
pub async fn deliveries(app: &TestApp, state: DeliveryState) -> Vec<Delivery> {
    listed(app, Some(state)).await
}

async fn listed(app: &TestApp, state: Option<DeliveryState>) -> Vec<Delivery> {
    let filter = DeliveryFilter { state, receiver: None, before: None, limit: 1000 };
    let mut found = app.app().store.deliveries(filter).await.unwrap();
    found.reverse();
    found
}

/// Waits until so many deliveries stand so.
pub async fn until(app: &TestApp, state: DeliveryState, count: usize) -> Vec<Delivery> {
    let look = async || Some(deliveries(app, state).await).filter(|found| found.len() == count);
    eventually_async(SOON, look).await
}

/// Waits until one delivery waits, and was tried so often.
pub async fn until_tried(app: &TestApp, attempts: u32) -> Delivery {
    let look = async || {
        let mut waiting = deliveries(app, DeliveryState::Pending).await;
        (waiting.len() == 1 && waiting[0].attempts == attempts).then(|| waiting.remove(0))
    };
    eventually_async(SOON, look).await
}

/// Waits until no event waits and nothing is being sent; what is paced may wait.
pub async fn quiet(app: &TestApp) {
    let look = async || {
        let judged = app.app().store.stats().await.unwrap().inbox_lag_events == 0;
        let quiet = deliveries(app, DeliveryState::Sending).await.is_empty();
        (judged && quiet).then_some(())
    };
    eventually_async(SOON, look).await;
}

/// Moves the clock to when the next delivery is due, over and over, until none waits.
pub async fn until_nothing_waits(app: &TestApp) {
    let step = async || {
        quiet(app).await;
        // One look at all, or what begins to be sent between two looks is seen in neither.
        let open: Vec<Delivery> =
            listed(app, None).await.into_iter().filter(|d| d.finished_at.is_none()).collect();
        if open.iter().any(|delivery| delivery.state == DeliveryState::Sending) {
            return None;
        }
        let Some(next) = open.iter().map(|delivery| delivery.not_before).min() else {
            return Some(());
        };
        // One that is due is being claimed, or its integration is paused: a little on, no lease runs out.
        app.clock.advance(clock::until(app.clock.now(), next).max(Duration::from_secs(1)));
        None
    };
    eventually_async(SOON, step).await;
}

/// The only alert of a webhook's body.
pub fn alert_of(request: &Request) -> Value {
    let alerts = request.json()["alerts"].as_array().unwrap().clone();
    assert_eq!(alerts.len(), 1);
    alerts[0].clone()
}

/// Status, reason and profile of a webhook's body.
pub fn said(request: &Request) -> [String; 3] {
    let (json, alert) = (request.json(), alert_of(request));
    [&json["status"], &json["notification_reason"], &alert["labels"]["profile"]]
        .map(|value| value.as_str().unwrap_or_default().to_owned())
}

const FAST: &str = "rate_limit: {per_second: 1000, burst: 1000}";

#[tokio::test]
async fn a_hung_mail_server_and_a_dead_slack_slow_no_webhook() {
    let (http, dead, smtp) =
        (HttpSink::start().await, HttpSink::start().await, SmtpSink::start().await);
    dead.close().await;
    smtp.always(Script::Hang(Stage::Body));
    let receiver = receiver(
        "ops",
        &[
            &email(
                &smtp,
                "a@example.com, b@example.com",
                &format!("tls: none, timeout: 10s, {FAST}"),
            ),
            &slack(&dead, "/", FAST),
            &webhook(&http, "/hook", FAST),
        ],
    );
    let app = Setup::new(routing(&[receiver])).real_time().start().await;
    ring(&app, "first", "first").await;
    // All that the mail integration may have in flight hangs.
    smtp.wait_for_sessions(2).await;
    let begun = std::time::Instant::now();
    let names: Vec<String> = (0..50).map(|n| format!("p-{n}")).collect();
    join_all(names.iter().map(|name| ring(&app, name, name))).await;
    http.wait_for("/hook", 51).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    smtp.expect_none();
    until(&app, DeliveryState::Delivered, 51).await;
    // Not stopped in order: that would wait for the mail server.
}

#[tokio::test]
async fn a_peer_in_trouble_is_asked_again_with_the_same_key_until_it_takes_it() {
    let sink = HttpSink::start().await;
    sink.next("/hook", [Reply::status(500), Reply::status(503), Reply::close()]);
    let app =
        Setup::new(routing(&[receiver("ops", &[&webhook(&sink, "/hook", "")])])).start().await;
    ring(&app, "e-1", "p").await;
    for (attempt, bound) in [(1, 1), (2, 2), (3, 4)] {
        let requests = sink.wait_for("/hook", attempt).await;
        assert_eq!(requests.len(), attempt);
        let waiting = until_tried(&app, u32::try_from(attempt).unwrap()).await;
        let wait = clock::until(app.clock.now(), waiting.not_before);
        assert!(wait <= Duration::from_secs(bound), "attempt {attempt}: {wait:?}");
        app.clock.advance(Duration::from_secs(bound));
    }
    let delivered = until(&app, DeliveryState::Delivered, 1).await;
    let requests = sink.requests("/hook");
    assert_eq!(requests.len(), 4);
    for request in &requests {
        assert_eq!(request.header("idempotency-key"), Some(delivered[0].id.as_str()));
        assert_eq!(request.body, requests[0].body);
    }
    let (_, attempts) = app.app().store.delivery(&delivered[0].id).await.unwrap().unwrap();
    let words: Vec<&str> = attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
    assert_eq!(words, ["retry", "retry", "retry", "delivered"]);
    let failed = "tollbell_notifications_failed_total{integration=\"webhook\",reason=\"serverError\",receiver=\"ops\"}";
    assert_eq!(app.metric(failed).await, 2.0);
    let tried = "tollbell_notifications_total{integration=\"webhook\",receiver=\"ops\"}";
    assert_eq!(app.metric(tried).await, 4.0);
    app.stop().await;
}

#[tokio::test]
async fn one_group_goes_in_order_one_at_a_time_and_another_does_not_wait_for_it() {
    let sink = HttpSink::start().await;
    let slow = Duration::from_millis(1_500);
    sink.next("/hook", [Reply::ok().after(slow)]);
    let app =
        Setup::new(routing(&[receiver("ops", &[&webhook(&sink, "/hook", "")])])).start().await;
    ring(&app, "e-1", "slow").await;
    sink.wait_for("/hook", 1).await;
    stop_ringing(&app, "e-2", "slow").await;
    ring(&app, "e-3", "other").await;
    sink.wait_for("/hook", 2).await;
    app.clock.advance(GROUP_INTERVAL);
    until(&app, DeliveryState::Delivered, 2).await;
    // What the group owes besides is looked at when its delivery has ended.
    app.pass(GROUP_INTERVAL).await;
    let requests = sink.wait_for("/hook", 3).await;
    let told: Vec<[String; 3]> = requests.iter().map(said).collect();
    let brief: Vec<[&str; 2]> =
        told.iter().map(|[status, _, profile]| [status.as_str(), profile.as_str()]).collect();
    assert_eq!(brief, [["firing", "slow"], ["firing", "other"], ["resolved", "slow"]]);
    assert!(requests[2].arrived - requests[0].arrived >= slow);
    app.stop().await;
}

#[tokio::test]
async fn an_outage_of_hours_ends_in_one_message_with_the_state_of_now() {
    let sink = HttpSink::start().await;
    let app =
        Setup::new(routing(&[receiver("ops", &[&webhook(&sink, "/hook", "")])])).start().await;
    sink.close().await;
    ring(&app, "e-1", "p").await;
    until_tried(&app, 1).await;
    for (n, hours) in [1, 2, 1].into_iter().enumerate() {
        stop_ringing(&app, &format!("end-{n}"), "p").await;
        app.pass(GROUP_INTERVAL).await;
        ring(&app, &format!("begin-{n}"), "p").await;
        app.pass(Duration::from_hours(hours)).await;
    }
    stop_ringing(&app, "e-9", "p").await;
    app.pass(GROUP_INTERVAL).await;
    sink.reopen().await;
    until_nothing_waits(&app).await;
    // Nobody had heard that it fires.
    assert_eq!(said(&sink.one("/hook")), ["resolved", "first notification", "p"]);
    assert_eq!(listed(&app, None).await.len(), 1, "whatever happens, one is open");
    assert_eq!(deliveries(&app, DeliveryState::Delivered).await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn what_is_too_old_is_dead_listed_counted_and_can_be_tried_again() {
    let sink = HttpSink::start().await;
    let hook = webhook(&sink, "/hook", "retry: {max_age: 1h}");
    let app = Setup::new(routing(&[receiver("ops", &[&hook])])).start().await;
    sink.close().await;
    ring(&app, "e-1", "p").await;
    let id = until_tried(&app, 1).await.id;
    app.clock.advance(Duration::from_mins(59));
    assert_eq!(until_tried(&app, 2).await.reason, "connect");
    app.clock.advance(Duration::from_mins(6));
    let dead = until(&app, DeliveryState::Dead, 1).await;
    assert_eq!((dead[0].id.as_str(), dead[0].attempts), (id.as_str(), 3));
    assert_eq!(dead[0].reason, "connect");
    let counted = "tollbell_dead_letters_total{integration=\"webhook\",receiver=\"ops\"}";
    assert_eq!(app.metric(counted).await, 1.0);
    assert_eq!(app.metric("tollbell_deliveries{state=\"dead\"}").await, 1.0);

    sink.reopen().await;
    let again = app.app().store.retry(Retry::One(id.clone()), app.clock.now()).await.unwrap();
    assert_eq!((again.count, again.instead), (1, None));
    app.settle().await;
    assert_eq!(sink.one("/hook").header("idempotency-key"), Some(id.as_str()));
    assert!(deliveries(&app, DeliveryState::Dead).await.is_empty());
    assert_eq!(app.metric(counted).await, 1.0);
    app.stop().await;
}

#[tokio::test]
async fn a_template_that_fails_when_it_counts_gives_way_to_plain_text() {
    let sink = HttpSink::start().await;
    let rules = format!(
        "{SPEND_LIMIT_RULE}      - {{alert: Other, on: [fax.failed], labels: {{team: voice}}, annotations: {{summary: a fax}}}}\n"
    );
    let hook = webhook(&sink, "/hook", "body: '{\"team\": \"{{ alerts[0].labels.team }}\"}'");
    let app = Setup::new(routing(&[receiver("ops", &[&hook])])).rules(rules).start().await;
    let fax = telnyx::event("e-1", "fax.failed", app.clock.now(), &json!({}));
    assert_eq!(app.deliver(fax).await, 200);
    app.settle().await;
    assert_eq!(sink.one("/hook").json(), json!({"team": "voice"}));
    let errors = "tollbell_template_errors_total{template=\"webhook\"}";
    assert_eq!(app.metric(errors).await, 0.0);
    ring(&app, "e-2", "p").await;
    app.settle().await;
    let plain = sink.requests("/hook").remove(1);
    assert!(plain.header("content-type").unwrap().starts_with("text/plain"));
    assert!(plain.text().contains("profile p spent 10.02 USD"), "{}", plain.text());
    assert_eq!(app.metric(errors).await, 1.0);
    assert_eq!(deliveries(&app, DeliveryState::Delivered).await.len(), 2);
    app.stop().await;
}

#[test]
fn a_template_that_can_never_render_is_found_at_load() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), SPEND_LIMIT_RULE).unwrap();
    let key = telnyx::Signer::new().public_key_base64();
    for (body, found) in [
        ("{{ alerts[0].labels.team }}", "team"),
        ("{{ nothing_like_this }}", "nothing_like_this"),
        ("{{ status | no_such_filter }}", "no_such_filter"),
        ("{% if status %}", "end"),
    ] {
        let hook = format!("webhook_configs: [{{url: \"http://127.0.0.1:1/\", body: '{body}'}}]");
        let yaml = Setup::new(routing(&[receiver("ops", &[&hook])])).yaml(dir.path(), &key);
        let loaded = config::parse("test.yaml", &yaml, dir.path(), &|_name| None);
        assert!(loaded.config.is_none(), "{body}");
        let problems: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        let named = problems.iter().any(|p| p.starts_with("test.yaml:") && p.contains(found));
        assert!(named, "{body}: {problems:?}");
    }
}
