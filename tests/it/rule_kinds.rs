//! Gauges, windows, absences and the ledger, from real webhooks to the peer and the metrics.

use std::time::Duration;

use serde_json::{Value, json};

use crate::dispatch::receiver;
use crate::support::app::{Setup, TestApp};
use crate::support::http::{HttpSink, Request};
use crate::support::telnyx;

const MINUTE: Duration = Duration::from_mins(1);

fn setup(sink: &HttpSink, rule: &str) -> Setup {
    let hook = format!("webhook_configs: [{{url: \"{}\"}}]", sink.url("/ops"));
    let routing = format!(
        "route: {{receiver: ops, group_by: ['...'], group_wait: 0s, group_interval: 1s}}\nreceivers:\n{}",
        receiver("ops", &[&hook])
    );
    Setup::new(routing).rules(format!("groups:\n- name: g\n  rules:\n  - {rule}\n"))
}

/// Status, and the summary of the one alert.
fn said(requests: &[Request]) -> Vec<[String; 2]> {
    let one = |request: &Request| {
        let json = request.json();
        [&json["status"], &json["alerts"][0]["annotations"]["summary"]]
            .map(|value| value.as_str().unwrap_or_default().to_owned())
    };
    requests.iter().map(one).collect()
}

fn lines(told: &[[&str; 2]]) -> Vec<[String; 2]> {
    told.iter().map(|line| line.map(str::to_owned)).collect()
}

async fn cost(app: &TestApp, id: &str, leg: &str, total: &str) {
    let body = telnyx::call_cost(id, app.clock.now(), leg, Some(total));
    assert_eq!(app.deliver(body).await, 200);
    app.settle().await;
}

async fn send(app: &TestApp, id: &str, kind: &str, payload: Value) {
    assert_eq!(app.deliver(telnyx::event(id, kind, app.clock.now(), &payload)).await, 200);
    app.settle().await;
}

#[tokio::test]
async fn a_window_over_money_fires_and_clears_without_traffic() {
    let sink = HttpSink::start().await;
    let rule = "{alert: Spike, on: [call.cost], over: 15m, value: sum(event.charge), \
                fire: 'value > 5.0 && count >= 2', clear: 'value < 2.0', annotations: {summary: '{{ value }} {{ labels.currency }}'}}";
    let app = setup(&sink, rule).start().await;
    cost(&app, "e-1", "leg-1", "4.10").await;
    app.pass(5 * MINUTE).await;
    sink.expect_none("/ops");
    // A repeat of the same charge changes nothing, another leg does.
    cost(&app, "e-2", "leg-1", "4.10").await;
    sink.expect_none("/ops");
    cost(&app, "e-3", "leg-2", "1.00").await;
    assert_eq!(said(&sink.wait_for("/ops", 1).await), lines(&[["firing", "5.10 USD"]]));
    // The first leaves after fifteen minutes; nothing comes in.
    app.clock.advance(9 * MINUTE);
    app.settle().await;
    app.clock.advance(2 * MINUTE);
    let told = sink.wait_for("/ops", 2).await;
    assert_eq!(said(&told)[1][0], "resolved");
    app.stop().await;
}

#[tokio::test]
async fn a_gauge_that_waits_survives_a_crash_and_fires_when_its_time_has_come() {
    let sink = HttpSink::start().await;
    let rule = "{alert: Slow, on: [call.hangup], by: {trunk: payload.connection_id}, value: payload.setup_ms, \
                fire: 'value > 900.0', clear: 'value < 500.0', for: 5m, stale_after: 20m, \
                annotations: {summary: '{{ labels.trunk }} {{ value }}'}}";
    let mut app = setup(&sink, rule).start().await;
    let hangup = |ms: Value| json!({"connection_id": "t-1", "setup_ms": ms});
    send(&app, "e-1", "call.hangup", hangup(json!(950.5))).await;
    app.pass(3 * MINUTE).await;
    app.crash().await;
    app.pass(MINUTE).await;
    sink.expect_none("/ops");
    app.pass(MINUTE).await;
    assert_eq!(said(&sink.wait_for("/ops", 1).await), lines(&[["firing", "t-1 950.5"]]));
    // Between the two lines it goes on; text is a number, too.
    send(&app, "e-2", "call.hangup", hangup(json!("700"))).await;
    app.crash().await;
    app.pass(MINUTE).await;
    send(&app, "e-3", "call.hangup", hangup(json!(120))).await;
    app.pass(MINUTE).await;
    assert_eq!(said(&sink.wait_for("/ops", 2).await)[1][0], "resolved");
    app.stop().await;
}

#[tokio::test]
async fn silence_on_the_line_is_told_and_its_end_too() {
    let sink = HttpSink::start().await;
    let rule = "{alert: Silent, on: ['call.*'], absent_for: 2h, annotations: {summary: '{{ labels.account }}'}}";
    let mut app = setup(&sink, rule).start().await;
    app.pass(119 * MINUTE).await;
    send(&app, "e-1", "call.answered", json!({"call_leg_id": "l"})).await;
    app.pass(119 * MINUTE).await;
    sink.expect_none("/ops");
    // A minute more is two hours; time in which nothing ran does not count.
    app.crash().await;
    app.pass(MINUTE / 60).await;
    app.clock.advance(MINUTE / 60 * 59);
    assert_eq!(said(&sink.wait_for("/ops", 1).await), lines(&[["firing", "default"]]));
    send(&app, "e-2", "call.hangup", json!({"call_leg_id": "l"})).await;
    app.pass(MINUTE).await;
    assert_eq!(said(&sink.wait_for("/ops", 2).await)[1][0], "resolved");
    app.stop().await;
}

#[tokio::test]
async fn a_month_of_the_calendar_begins_anew_at_its_boundary() {
    let sink = HttpSink::start().await;
    let rule = "{alert: Budget, on: [call.cost, message.finalized], over: month, time_zone: America/Chicago, \
                value: sum(event.charge), fire: 'value > 800.0', annotations: {summary: '{{ value }}'}}";
    // Ten minutes before February in Chicago.
    let mut app = setup(&sink, rule).begins("2027-02-01T05:50:00Z").start().await;
    cost(&app, "e-1", "leg-1", "500").await;
    let body = telnyx::message_finalized("e-2", app.clock.now(), "m-1", "400");
    assert_eq!(app.deliver(body).await, 200);
    app.settle().await;
    assert_eq!(said(&sink.wait_for("/ops", 1).await), lines(&[["firing", "900"]]));
    app.crash().await;
    app.pass(9 * MINUTE).await;
    assert_eq!(sink.requests("/ops").len(), 1);
    app.clock.advance(MINUTE);
    assert_eq!(said(&sink.wait_for("/ops", 2).await)[1][0], "resolved");
    // The new month has its own sum.
    cost(&app, "e-3", "leg-2", "700").await;
    app.pass(MINUTE).await;
    assert_eq!(sink.requests("/ops").len(), 2);
    cost(&app, "e-4", "leg-3", "101").await;
    app.pass(MINUTE).await;
    assert_eq!(said(&sink.wait_for("/ops", 3).await)[2], ["firing", "801"]);
    app.stop().await;
}

/// The series of money and of the user's own metrics.
async fn totals(app: &TestApp) -> Vec<String> {
    let (_, text) = app.private_get("/metrics").await;
    let ours = ["tollbell_spend", "my_"];
    text.lines()
        .filter(|line| ours.iter().any(|name| line.starts_with(name)))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn money_is_counted_once_and_totals_survive_a_crash() {
    let sink = HttpSink::start().await;
    let rule = "{alert: Far, on: [call.cost], when: 'call.country == \"DE\" && event.charge > 0.0', by: {leg: payload.call_leg_id}, \
                annotations: {summary: '{{ labels.leg }}'}}";
    let mut setup = setup(&sink, rule);
    setup.routing += "metrics:\n\
        - {name: my_billed_seconds_total, type: counter, help: h, on: [call.cost], value: payload.billed_duration_secs, by: {status: payload.status}}\n\
        - {name: my_last_charge, type: gauge, help: h, on: [call.cost], value: event.charge}\n\
        - {name: my_charges, type: histogram, help: h, on: [call.cost], value: event.charge}\n";
    let mut app = setup.start().await;
    let call = |leg: &str| json!({"call_leg_id": leg, "from": "+13125550111", "to": "+4930123456", "direction": "outgoing"});
    // Known before the cost: the rule sees the country.
    send(&app, "e-1", "call.initiated", call("leg-1")).await;
    cost(&app, "e-2", "leg-1", "2.50").await;
    // The same again, then less, then more.
    cost(&app, "e-3", "leg-1", "2.50").await;
    app.pass(MINUTE).await;
    cost(&app, "e-4", "leg-1", "1.00").await;
    app.pass(MINUTE).await;
    cost(&app, "e-5", "leg-1", "1.25").await;
    // Known too late for the rule.
    cost(&app, "e-6", "leg-2", "3").await;
    send(&app, "e-7", "call.hangup", call("leg-2")).await;
    app.pass(MINUTE).await;
    let told: Vec<String> = said(&sink.requests("/ops")).into_iter().map(|[_, leg]| leg).collect();
    assert_eq!(told, ["leg-1"]);
    let spend = "{account=\"default\",currency=\"USD\",product=\"voice\"}";
    assert_eq!(app.metric(&format!("tollbell_spend_total{spend}")).await, 5.75);
    assert_eq!(app.metric(&format!("tollbell_spend_corrections_total{spend}")).await, 1.5);
    assert_eq!(app.metric("my_billed_seconds_total{status=\"success\"}").await, 210.0);
    assert_eq!(app.metric("my_last_charge{currency=\"USD\"}").await, 3.0);
    assert_eq!(app.metric("my_charges_count{currency=\"USD\"}").await, 5.0);
    let before = totals(&app).await;
    app.crash().await;
    app.pass(MINUTE).await;
    assert_eq!(totals(&app).await, before);
    // What was counted is known to be.
    cost(&app, "e-8", "leg-2", "3").await;
    assert_eq!(app.metric(&format!("tollbell_spend_total{spend}")).await, 5.75);
    app.stop().await;
}
