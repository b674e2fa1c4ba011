//! One event from the public listener to its receivers: fires, is extended, ends.

use std::time::Duration;

use crate::support::app::Setup;
use crate::support::http::HttpSink;
use crate::support::telnyx;

fn slack(sink: &HttpSink) -> String {
    format!(
        "route: {{receiver: ops}}\nreceivers:\n  - name: ops\n    slack_configs:\n      - api_url: {}\n",
        sink.url("/slack")
    )
}

#[tokio::test]
async fn a_spend_limit_rings_once_and_expires_in_silence() {
    let sink = HttpSink::start().await;
    let app = Setup::new(slack(&sink)).start().await;
    let now = app.clock.now();
    let body = telnyx::spend_limit("e-1", now, "profile-1", "10.00", "10.02");
    assert_eq!(app.deliver(body.clone()).await, 200);
    app.settle().await;
    let text = sink.one("/slack").text();
    assert!(text.contains("profile-1") && text.contains("10.02"), "{text}");

    // The same again, and another event of the same profile: nobody is told twice.
    assert_eq!(app.deliver(body).await, 200);
    let again = telnyx::spend_limit("e-2", now, "profile-1", "10.00", "10.05");
    assert_eq!(app.deliver(again).await, 200);
    app.settle().await;
    assert_eq!(sink.requests("/slack").len(), 1);
    assert_eq!(app.metric("tollbell_events_duplicate_total{account=\"default\"}").await, 1.0);

    app.advance(Duration::from_hours(7)).await;
    assert_eq!(sink.requests("/slack").len(), 1);
    let expired = "tollbell_alerts{alertname=\"SpendLimitReached\",state=\"expired\"}";
    assert_eq!(app.metric(expired).await, 1.0);
    app.stop().await;
}
