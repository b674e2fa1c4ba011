//! One event from the public listener to its receivers: fires, is extended, ends.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tollbell::clock;
use tollbell::store::{EventFilter, EventState, EventSummary};

use crate::dispatch::{alert_of, receiver, ring, ring_at, routing, said, stop_ringing};
use crate::support::app::{GROUP_INTERVAL, SPEND_LIMIT_RULE, Setup, TestApp, route};
use crate::support::http::{HttpSink, Request};
use crate::support::telnyx;
use crate::support::wait::{SOON, eventually_async};

const HOUR: Duration = Duration::from_hours(1);

/// A webhook for each name, at the path of that name.
fn hooks(sink: &HttpSink, names: &[&str]) -> String {
    let one = |name: &&str| {
        let hook = format!("webhook_configs: [{{url: \"{}\"}}]", sink.url(&format!("/{name}")));
        receiver(name, &[&hook])
    };
    names.iter().map(one).collect()
}

fn ops(sink: &HttpSink) -> String {
    routing(&[hooks(sink, &["ops"])])
}

/// Without a fraction: the store keeps microseconds.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap()
}

/// Waits until a series has a value: for what the passing of time does, which nothing else announces.
async fn until(app: &TestApp, series: &str, value: f64) {
    let reached = async || (app.metric(series).await == value).then_some(());
    eventually_async(SOON, reached).await;
}

async fn until_alerts(app: &TestApp, alert: &str, state: &str, count: f64) {
    let series = format!("tollbell_alerts{{alertname=\"{alert}\",state=\"{state}\"}}");
    until(app, &series, count).await;
}

async fn evaluations(app: &TestApp, rule: &str, outcome: &str) -> f64 {
    let series =
        format!("tollbell_rule_evaluations_total{{outcome=\"{outcome}\",rule=\"{rule}\"}}");
    app.metric(&series).await
}

async fn events(app: &TestApp) -> Vec<EventSummary> {
    let filter = EventFilter { limit: 100, ..EventFilter::default() };
    app.app().store.events(filter).await.unwrap()
}

/// What each request says, oldest first.
fn told(requests: &[Request]) -> Vec<[String; 3]> {
    requests.iter().map(said).collect()
}

#[tokio::test]
async fn a_spend_limit_rings_once_and_expires_in_silence() {
    let sink = HttpSink::start().await;
    let app = Setup::new(ops(&sink)).start().await;
    let now = app.clock.now();
    let body = telnyx::spend_limit("e-1", now, "profile-1", "10.00", "10.02");
    assert_eq!(app.deliver(body.clone()).await, 200);
    app.settle().await;
    let text = sink.one("/ops").text();
    assert!(text.contains("profile-1") && text.contains("10.02"), "{text}");

    // The same again, and another event of the same profile: nobody is told twice.
    assert_eq!(app.deliver(body).await, 200);
    let again = telnyx::spend_limit("e-2", now, "profile-1", "10.00", "10.05");
    assert_eq!(app.deliver(again).await, 200);
    app.settle().await;
    assert_eq!(sink.requests("/ops").len(), 1);
    assert_eq!(app.metric("tollbell_events_duplicate_total{account=\"default\"}").await, 1.0);

    app.advance(7 * HOUR).await;
    until_alerts(&app, "SpendLimitReached", "expired", 1.0).await;
    app.settle().await;
    assert_eq!(sink.requests("/ops").len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn an_end_by_word_is_told_unless_the_integration_does_not_want_ends() {
    let sink = HttpSink::start().await;
    let hooks = format!(
        "webhook_configs: [{{name: all, url: \"{}\"}}, {{name: bad, url: \"{}\", send_resolved: false}}]",
        sink.url("/all"),
        sink.url("/bad-news")
    );
    let app = Setup::new(routing(&[receiver("ops", &[&hooks])])).start().await;
    // An end without a beginning is nothing.
    stop_ringing(&app, "e-0", "p").await;
    ring(&app, "e-1", "p").await;
    app.settle().await;
    // Another profile's end is not this one's.
    stop_ringing(&app, "e-2", "q").await;
    app.clock.advance(Duration::from_secs(1));
    stop_ringing(&app, "e-3", "p").await;
    app.settle().await;
    app.clock.advance(GROUP_INTERVAL);
    sink.wait_for("/all", 2).await;
    stop_ringing(&app, "e-4", "p").await;
    app.settle().await;
    let firing = ["firing", "first notification", "p"].map(str::to_owned);
    let resolved = ["resolved", "all alerts resolved", "p"].map(str::to_owned);
    assert_eq!(told(&sink.requests("/all")), [firing.clone(), resolved]);
    assert_eq!(told(&sink.requests("/bad-news")), [firing]);
    let end: Timestamp =
        alert_of(&sink.requests("/all")[1])["endsAt"].as_str().unwrap().parse().unwrap();
    assert!(clock::until(end, app.clock.now()) < 2 * GROUP_INTERVAL, "{end}");
    assert_eq!(evaluations(&app, "spend/SpendLimitReached", "resolved").await, 1.0);
    assert_eq!(evaluations(&app, "spend/SpendLimitReached", "no_match").await, 3.0);
    app.stop().await;
}

#[tokio::test]
async fn an_end_by_time_is_told_where_the_rule_says_so() {
    let sink = HttpSink::start().await;
    let rules =
        SPEND_LIMIT_RULE.replace("active_for: 6h", "active_for: 6h\n        notify_expired: true");
    let app = Setup::new(ops(&sink)).rules(rules).start().await;
    ring(&app, "e-1", "p").await;
    app.settle().await;
    app.advance(6 * HOUR).await;
    until_alerts(&app, "SpendLimitReached", "expired", 1.0).await;
    app.clock.advance(GROUP_INTERVAL);
    let requests = sink.wait_for("/ops", 2).await;
    assert_eq!(said(&requests[1]), ["resolved", "all alerts resolved", "p"]);
    app.settle().await;
    assert_eq!(sink.requests("/ops").len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn a_further_match_moves_the_end_and_tells_nobody() {
    let sink = HttpSink::start().await;
    let app = Setup::new(ops(&sink)).start().await;
    ring(&app, "e-1", "p").await;
    app.settle().await;
    app.advance(4 * HOUR).await;
    ring(&app, "e-2", "p").await;
    app.settle().await;
    assert_eq!(evaluations(&app, "spend/SpendLimitReached", "extended").await, 1.0);
    // Past the first end, before the second. The other profile's expiry shows that the timers were looked at.
    ring_at(&app, "e-3", "other", clock::sub(app.clock.now(), 4 * HOUR)).await;
    app.settle().await;
    app.advance(3 * HOUR).await;
    until_alerts(&app, "SpendLimitReached", "expired", 1.0).await;
    until_alerts(&app, "SpendLimitReached", "firing", 1.0).await;
    app.advance(3 * HOUR).await;
    until_alerts(&app, "SpendLimitReached", "expired", 2.0).await;
    // It is over: the next match is a new alert.
    ring(&app, "e-4", "p").await;
    app.settle().await;
    let first = |profile: &str| ["firing", "first notification", profile].map(str::to_owned);
    assert_eq!(told(&sink.requests("/ops")), [first("p"), first("other"), first("p")]);
    app.stop().await;
}

#[tokio::test]
async fn what_was_over_before_we_heard_of_it_is_told_once_as_ended_even_to_who_wants_no_ends() {
    let sink = HttpSink::start().await;
    let hooks = format!(
        "webhook_configs: [{{name: all, url: \"{}\"}}, {{name: bad, url: \"{}\", send_resolved: false}}]",
        sink.url("/all"),
        sink.url("/bad-news")
    );
    let app = Setup::new(routing(&[receiver("ops", &[&hooks])])).start().await;
    let happened = whole(clock::sub(app.clock.now(), 8 * HOUR));
    ring_at(&app, "e-1", "p", happened).await;
    app.settle().await;
    app.advance(24 * HOUR).await;
    until_alerts(&app, "SpendLimitReached", "expired", 1.0).await;
    for path in ["/all", "/bad-news"] {
        let request = sink.one(path);
        assert_eq!(said(&request), ["resolved", "first notification", "p"], "{path}");
        let alert = alert_of(&request);
        assert_eq!(alert["startsAt"], happened.to_string());
        assert_eq!(alert["endsAt"], clock::add(happened, 6 * HOUR).to_string());
    }
    app.stop().await;
}

#[tokio::test]
async fn routes_choose_by_labels_of_event_rule_and_account() {
    let sink = HttpSink::start().await;
    let rules = r"
groups:
  - name: g
    rules:
      - alert: Failed
        on: [fax.failed]
        by: {number: payload.to}
        labels: {severity: critical}
      - alert: Cost
        on: [call.cost]
        by: {leg: payload.call_leg_id}
        labels: {severity: info}
";
    let routing = format!(
        "{}  routes:\n\
        \x20   - {{matchers: ['severity=\"critical\"', 'team=\"voice\"'], receiver: oncall, continue: true}}\n\
        \x20   - {{matchers: ['number=~\"[+]1.*\"'], receiver: america}}\n\
        \x20   - {{matchers: ['team!=\"voice\"'], receiver: never}}\n\
        receivers:\n{}",
        route("rest"),
        hooks(&sink, &["rest", "oncall", "america", "never"])
    );
    let setup = Setup::new(routing).rules(rules).account("    labels: {team: voice}");
    let app = setup.start().await;
    let now = app.clock.now();
    for (id, number) in [("e-1", "+15550001"), ("e-2", "+4930001"), ("e-3", "+4930001")] {
        let body = telnyx::event(id, "fax.failed", now, &json!({"to": number}));
        assert_eq!(app.deliver(body).await, 200);
    }
    assert_eq!(app.deliver(telnyx::call_cost("e-4", now, "leg-1", Some("0.1"))).await, 200);
    app.settle().await;
    let labels = |path: &str, name: &str| {
        let mut found: Vec<Value> =
            sink.requests(path).iter().map(|r| alert_of(r)["labels"][name].clone()).collect();
        found.sort_by_key(Value::to_string);
        found
    };
    // One alert for each number: the second call to the same one rings nobody.
    assert_eq!(labels("/oncall", "number"), ["+15550001", "+4930001"]);
    assert_eq!(labels("/oncall", "team"), ["voice", "voice"]);
    assert_eq!(labels("/america", "number"), ["+15550001"]);
    assert_eq!(labels("/rest", "leg"), ["leg-1"]);
    sink.expect_none("/never");
    app.stop().await;
}

#[tokio::test]
async fn what_no_rule_names_is_kept_and_rings_nobody() {
    let sink = HttpSink::start().await;
    let app = Setup::new(ops(&sink)).start().await;
    let now = app.clock.now();
    assert_eq!(
        app.deliver(telnyx::event("e-1", "brand.new.kind", now, &json!({"x": 1}))).await,
        200
    );
    for body in ["", "not json {", "\u{feff}[]", "[1, 2]", "\"text\"", "{\"data\": 7}"] {
        assert_eq!(app.deliver(body).await, 200, "{body:?}");
    }
    ring(&app, "e-2", "p").await;
    app.settle().await;
    let events = events(&app).await;
    assert_eq!(events.len(), 8, "{events:#?}");
    assert!(events.iter().all(|event| event.state == EventState::Judged));
    assert_eq!(events.iter().filter(|event| event.kind == "brand.new.kind").count(), 1);
    assert!(events.iter().any(|event| event.kind == "unparsed"));
    let unknown = app.app().store.event("e-1", None).await.unwrap().unwrap();
    assert_eq!((unknown.judgements, unknown.deliveries), (vec![], vec![]));
    assert_eq!(unknown.stored.event.payload, json!({"x": 1}));
    assert_eq!(said(&sink.one("/ops"))[2], "p");
    let other = "tollbell_webhooks_received_total{account=\"default\",kind=\"other\"}";
    assert!(app.metric(other).await >= 1.0);
    app.stop().await;
}

#[tokio::test]
async fn an_older_match_that_comes_late_neither_rings_nor_shortens() {
    let sink = HttpSink::start().await;
    let app = Setup::new(ops(&sink)).start().await;
    let now = whole(app.clock.now());
    ring(&app, "e-2", "p").await;
    ring_at(&app, "e-1", "p", clock::sub(now, 5 * HOUR)).await;
    app.settle().await;
    // The late one alone would have ended after an hour.
    ring_at(&app, "e-3", "witness", clock::sub(now, 5 * HOUR)).await;
    app.settle().await;
    app.advance(2 * HOUR).await;
    until_alerts(&app, "SpendLimitReached", "expired", 1.0).await;
    until_alerts(&app, "SpendLimitReached", "firing", 1.0).await;
    stop_ringing(&app, "e-4", "p").await;
    app.settle().await;
    app.clock.advance(GROUP_INTERVAL);
    sink.wait_for("/ops", 3).await;
    let requests: Vec<Request> =
        sink.requests("/ops").into_iter().filter(|request| said(request)[2] == "p").collect();
    assert_eq!(requests.len(), 2);
    // The end knows the earlier beginning.
    assert_eq!(alert_of(&requests[1])["startsAt"], clock::sub(now, 5 * HOUR).to_string());
    app.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_alerts_and_timers_and_does_not_ring_again() {
    let sink = HttpSink::start().await;
    let mut app = Setup::new(ops(&sink)).start().await;
    ring(&app, "e-1", "p").await;
    ring(&app, "e-2", "q").await;
    app.settle().await;
    app.restart(None).await;
    ring(&app, "e-3", "p").await;
    ring(&app, "e-2", "q").await;
    app.settle().await;
    until_alerts(&app, "SpendLimitReached", "firing", 2.0).await;
    assert_eq!(evaluations(&app, "spend/SpendLimitReached", "extended").await, 1.0);
    assert_eq!(sink.requests("/ops").len(), 2);
    stop_ringing(&app, "e-4", "p").await;
    app.settle().await;
    app.clock.advance(GROUP_INTERVAL);
    sink.wait_for("/ops", 3).await;
    app.settle().await;
    app.restart(None).await;
    app.advance(7 * HOUR).await;
    until_alerts(&app, "SpendLimitReached", "expired", 1.0).await;
    app.settle().await;
    let said = told(&sink.requests("/ops"));
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[2], ["resolved", "all alerts resolved", "p"]);
    app.stop().await;
}

#[tokio::test]
async fn a_rule_that_fails_is_counted_and_stops_no_other() {
    let sink = HttpSink::start().await;
    let rules = r#"
groups:
  - name: g
    rules:
      - {alert: NoSuchField, on: ["brand.*"], when: payload.deep.down > 1.0}
      - {alert: WrongType, on: ["brand.*"], when: payload.text + 1 > 2}
      - {alert: WrongLabel, on: ["brand.*"], by: {profile: payload.text * 2}}
      - {alert: Fine, on: ["brand.*"], by: {profile: payload.text}}
      - {alert: NotYet, on: ["brand.*"], when: payload.text == "other"}
"#;
    let app = Setup::new(ops(&sink)).rules(rules).start().await;
    let body = telnyx::event("e-1", "brand.new", app.clock.now(), &json!({"text": "ten"}));
    assert_eq!(app.deliver(body).await, 200);
    app.settle().await;
    assert_eq!(alert_of(&sink.one("/ops"))["labels"]["alertname"], "Fine");
    for (alert, outcome) in [
        ("NoSuchField", "missing_field"),
        ("WrongType", "type"),
        ("WrongLabel", "type"),
        ("Fine", "fired"),
        ("NotYet", "no_match"),
    ] {
        assert_eq!(evaluations(&app, &format!("g/{alert}"), outcome).await, 1.0, "{alert}");
    }
    // Asked afterwards, it says why.
    let judgements = app.app().store.event("e-1", None).await.unwrap().unwrap().judgements;
    let failed = judgements.iter().find(|judgement| judgement.rule == "g/NoSuchField").unwrap();
    assert_eq!(failed.outcome, "missing_field");
    assert!(failed.detail.contains("when"), "{}", failed.detail);
    app.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_judged_is_marked_told_and_passed_over() {
    let sink = HttpSink::start().await;
    let rules = format!(
        "{SPEND_LIMIT_RULE}      - {{alert: Poison, on: [tollbell.event_faulted], by: {{profile: '\"seq \" + string(payload.seq)'}}}}\n"
    );
    let app = Setup::new(ops(&sink)).rules(rules).start().await;
    ring(&app, "e-1", "before").await;
    app.settle().await;
    {
        // What a disk may do to a row.
        let store = rusqlite::Connection::open(app.dir.path().join("tollbell.db")).unwrap();
        let poison = "INSERT INTO inbox (id, account, kind, type, received_at, source, content_hashed, payload) \
             SELECT 'e-poison', account, kind, type, received_at, source, content_hashed, x'7B22' FROM inbox WHERE id = 'e-1'";
        assert_eq!(store.execute(poison, ()).unwrap(), 1);
    }
    for (id, profile) in [("e-2", "after"), ("e-3", "long-after")] {
        ring(&app, id, profile).await;
    }
    sink.wait_for("/ops", 4).await;
    app.settle().await;
    let mut profiles: Vec<String> =
        sink.requests("/ops").iter().map(|request| said(request)[2].clone()).collect();
    profiles.sort();
    assert_eq!(profiles, ["after", "before", "long-after", "seq 2"]);
    assert_eq!(app.metric("tollbell_events_faulted_total{account=\"default\"}").await, 1.0);
    let faulted: Vec<EventSummary> =
        events(&app).await.into_iter().filter(|event| event.state == EventState::Faulted).collect();
    assert_eq!(faulted.len(), 1, "{faulted:#?}");
    assert_eq!(faulted[0].id, "e-poison");
    let of_it = sink.requests("/ops").into_iter().find(|request| said(request)[2] == "seq 2");
    assert_eq!(alert_of(&of_it.unwrap())["labels"]["account"], "default");
    app.stop().await;
}
