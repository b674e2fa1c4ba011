//! What comes late: events that were fetched because their webhook was missed, and events that overtook each other.

use std::time::Duration;

use serde_json::json;
use tollbell::clock;
use tollbell::event::{self, Event, Incoming, PayloadPolicy, Source};
use tollbell::store::{Feed, Recorded};

use crate::dispatch::{receiver, routing, webhook};
use crate::support::app::{Setup, TestApp};
use crate::support::http::{HttpSink, Request};
use crate::support::telnyx;

const HOUR: Duration = Duration::from_hours(1);

/// The event that the back-fill makes of a webhook that was missed so long ago.
fn fetched(app: &TestApp, id: &str, ago: Duration, kind: &str, profile: &str) -> Event {
    let now = app.clock.now();
    let happened = now - jiff::SignedDuration::try_from(ago).unwrap();
    let payload =
        json!({"profile_id": profile, "configured_limit": "10.00", "current_cost": "10.02"});
    let body = telnyx::event(id, kind, happened, &payload);
    let mut event = event::parse(&Incoming {
        account: "default",
        default_currency: Some("USD"),
        content_type: None,
        body: &body,
        received_at: now,
        policy: PayloadPolicy::Redacted,
    });
    event.source = Source::Backfill;
    event
}

async fn feed(app: &TestApp, event: Event) -> Vec<Recorded> {
    let feed = Feed { events: vec![event], ..Feed::default() };
    let recorded = app.app().store.feed(feed).await.unwrap();
    app.settle().await;
    recorded
}

/// What a webhook says of its one alert: status, and when it began.
fn said(request: &Request) -> [String; 2] {
    let alert = &request.json()["alerts"][0];
    ["status", "startsAt"].map(|name| alert[name].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_missed_webhook_rings_with_its_age_and_by_its_own_time() {
    const REACHED: &str = "messaging-profile.spend-limit-reached";
    const RESET: &str = "messaging-profile.spend-limit-reset";
    let sink = HttpSink::start().await;
    let slack = format!("slack_configs: [{{api_url: \"{}\"}}]", sink.url("/slack"));
    let ways = receiver("ops", &[&webhook(&sink, "/ops", ""), &slack]);
    let app = Setup::new(routing(&[ways])).begins("2027-01-15T12:00:00Z").start().await;

    // Three hours late; active for six hours from when it happened.
    let event = fetched(&app, "e-1", 3 * HOUR, REACHED, "p-1");
    assert_eq!(feed(&app, event.clone()).await, [Recorded::New]);
    let told = sink.wait_for("/ops", 1).await;
    assert_eq!(said(&told[0]), ["firing", "2027-01-15T09:00:00Z"]);
    let slack = sink.wait_for("/slack", 1).await[0].text();
    assert!(slack.contains("Occurred 3h ago. Its webhook was missed"), "{slack}");
    assert!(slack.contains("· occurred 3h ago · account default"), "{slack}");
    app.settle().await;
    // The webhook itself comes after all, or the same page of the log once more.
    assert_eq!(feed(&app, event).await, [Recorded::Duplicate]);
    app.pass(Duration::from_secs(2 * 3_600 + 3_599)).await;
    assert_eq!(
        app.metric("tollbell_alerts{alertname=\"SpendLimitReached\",state=\"firing\"}").await,
        1.0
    );
    app.pass(Duration::from_secs(2)).await;
    assert_eq!(
        app.metric("tollbell_alerts{alertname=\"SpendLimitReached\",state=\"firing\"}").await,
        0.0
    );
    assert_eq!(sink.requests("/ops").len(), 1, "its end is told to nobody");

    // Over by now: told once, as ended.
    let over = fetched(&app, "e-2", 8 * HOUR, REACHED, "p-2");
    feed(&app, over).await;
    let told = sink.wait_for("/ops", 2).await;
    app.settle().await;
    assert_eq!(said(&told[1]), ["resolved", "2027-01-15T07:00:01Z"]);
    app.pass(24 * HOUR).await;
    assert_eq!(sink.requests("/ops").len(), 2);

    // An end that was missed ends what it ended, and nothing that began after it.
    let now = app.clock.now();
    assert_eq!(app.deliver(telnyx::spend_limit("e-3", now, "p-3", "10.00", "10.02")).await, 200);
    sink.wait_for("/ops", 3).await;
    app.settle().await;
    app.pass(HOUR).await;
    let before = fetched(&app, "e-4", 2 * HOUR, RESET, "p-3");
    feed(&app, before).await;
    app.pass(Duration::from_mins(1)).await;
    assert_eq!(sink.requests("/ops").len(), 3);
    let after = fetched(&app, "e-5", Duration::from_mins(30), RESET, "p-3");
    feed(&app, after).await;
    assert_eq!(said(&sink.wait_for("/ops", 4).await[3])[0], "resolved");
    app.stop().await;
}

#[tokio::test]
async fn a_match_that_its_end_overtook_is_no_new_story() {
    let sink = HttpSink::start().await;
    let ways = receiver("ops", &[&webhook(&sink, "/ops", "")]);
    let mut app = Setup::new(routing(&[ways])).start().await;
    let began = app.clock.now();
    let after = |seconds| clock::add(began, Duration::from_secs(seconds));
    let reached = |id: &str, at| telnyx::spend_limit(id, at, "p-1", "10.00", "10.02");
    assert_eq!(app.deliver(reached("e-1", began)).await, 200);
    sink.wait_for("/ops", 1).await;
    app.settle().await;
    app.pass(Duration::from_mins(1)).await;
    let payload = json!({"profile_id": "p-1"});
    let reset = telnyx::event("e-2", "messaging-profile.spend-limit-reset", after(50), &payload);
    assert_eq!(app.deliver(reset).await, 200);
    sink.wait_for("/ops", 2).await;
    app.settle().await;
    // What is remembered of the end outlives a crash.
    app.crash().await;
    app.pass(Duration::from_mins(1)).await;
    assert_eq!(app.deliver(reached("e-3", after(40))).await, 200);
    app.settle().await;
    let told: Vec<String> = sink.requests("/ops").iter().map(Request::text).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    let late = "tollbell_events_late_total{rule=\"spend/SpendLimitReached\"}";
    assert_eq!(app.metric(late).await, 1.0);
    // One that happened after it is.
    assert_eq!(app.deliver(reached("e-4", after(51))).await, 200);
    sink.wait_for("/ops", 3).await;
    app.stop().await;
}
