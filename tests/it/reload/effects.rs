//! What a reload leaves alone, what it ends, and that load does not notice two hundred of them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_sibling_route_resends_nothing_and_loses_nothing() {
    let sink = HttpSink::start().await;
    let routes = |siblings: &str| {
        format!(
            "route:\n  receiver: ops\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 1m\n  routes:\n{siblings}    \
             - {{matchers: ['severity=\"critical\"'], receiver: ops}}\nreceivers:\n{}{}",
            receiver("ops", &[&webhook(&sink, "/hook", "send_resolved: true")]),
            receiver("other", &[&webhook(&sink, "/other", "send_resolved: true")]),
        )
    };
    let app = Setup::new(routes("")).start().await;
    ring(&app, "e-1", "p-1").await;
    sink.wait_for("/hook", 1).await;
    let sibling = "    - {matchers: ['profile=\"p-2\"'], receiver: other}\n";
    app.reload_with(&Setup::new(routes(sibling))).await;
    // Or a lease runs out, for the clock jumps.
    app.settle().await;
    app.advance(Duration::from_mins(2)).await;
    ring(&app, "e-2", "p-2").await;
    sink.wait_for("/other", 1).await;
    let reset = event(
        "e-3",
        "messaging-profile.spend-limit-reset",
        app.clock.now(),
        &json!({"profile_id": "p-1"}),
    );
    assert_eq!(app.deliver(reset).await, 200);
    app.settle().await;
    app.advance(Duration::from_mins(2)).await;
    sink.wait_for("/hook", 2).await;
    app.settle().await;
    let told = sink.requests("/hook");
    let statuses: Vec<Value> = told.iter().map(|one| one.json()["status"].clone()).collect();
    assert_eq!(statuses, ["firing", "resolved"], "the first is not told again, its end is");
    assert_eq!(sink.requests("/other").len(), 1);
    app.stop().await;
}

const OVER_TIME: &str = r"
groups:
  - name: time
    rules:
      - alert: Burst
        on: [fax.failed]
        over: 30m
        value: count()
        fire: value >= 3.0
      - alert: Low
        on: [account.low_available_credit]
        value: payload.available_credit
        fire: value < 10.0
        for: 10m
";

#[tokio::test(flavor = "multi_thread")]
async fn windows_and_waits_of_rules_that_stay_go_on() {
    let sink = HttpSink::start().await;
    let setup = setup(&sink).rules(OVER_TIME);
    let app = setup.clone().start().await;
    let fax = async |id: &str| {
        let body = event(id, "fax.failed", app.clock.now(), &json!({}));
        assert_eq!(app.deliver(body).await, 200);
    };
    fax("f-1").await;
    fax("f-2").await;
    let low = json!({"available_credit": "3.50"});
    let low = event("l-1", "account.low_available_credit", app.clock.now(), &low);
    assert_eq!(app.deliver(low).await, 200);
    app.advance(Duration::from_mins(6)).await;
    let changed = format!("{OVER_TIME}{FAX}");
    app.reload_with(&setup.clone().rules(changed)).await;
    sink.expect_none("/hook");
    app.clock.advance(Duration::from_mins(5));
    let told = sink.wait_for("/hook", 1).await;
    assert_eq!(told[0].json()["alerts"][0]["labels"]["alertname"], "Low");
    fax("f-3").await;
    let told = sink.wait_for("/hook", 3).await;
    let mut names: Vec<String> = told[1..]
        .iter()
        .map(|one| one.json()["alerts"][0]["labels"]["alertname"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["Burst", "Fax"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alert_of_a_rule_that_is_gone_ends_in_silence() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).start().await;
    ring(&app, "e-1", "p-1").await;
    sink.wait_for("/hook", 1).await;
    let other = SPEND_LIMIT_RULE.replace("alert: SpendLimitReached", "alert: LimitReached");
    app.reload_with(&setup(&sink).rules(other)).await;
    let removed = "tollbell_alerts{alertname=\"SpendLimitReached\",state=\"rule_removed\"}";
    assert_eq!(app.metric(removed).await, 1.0);
    app.settle().await;
    app.advance(Duration::from_mins(10)).await;
    assert_eq!(sink.requests("/hook").len(), 1, "nobody is told");
    ring(&app, "e-2", "p-1").await;
    sink.wait_for("/hook", 2).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_removed_receiver_dies_and_what_is_being_sent_ends() {
    let sink = HttpSink::start().await;
    let new = receiver("new", &[&webhook(&sink, "/new", "")]);
    let gone = receiver("gone", &[&webhook(&sink, "/gone", "name: gone")]);
    let told = |name: &str, receivers: &[&str]| {
        let receivers = receivers.concat();
        Setup::new(format!("route: {{receiver: {name}, {AT_ONCE}}}\nreceivers:\n{receivers}"))
    };
    let app = told("gone", &[&new, &gone]).start().await;
    // One is refused and waits, one hangs until it is let go.
    sink.next("/gone", [Reply::status(503), Reply::ok().after(Duration::from_secs(2))]);
    ring(&app, "e-1", "p-1").await;
    until_tried(&app, 1).await;
    ring(&app, "e-2", "p-2").await;
    until(&app, DeliveryState::Sending, 1).await;
    app.reload_with(&told("new", &[&new])).await;
    let dead = until(&app, DeliveryState::Dead, 1).await;
    assert_eq!((&*dead[0].reason, &*dead[0].receiver), ("receiver removed", "gone"));
    // Both alerts still fire: whoever hears of them now is told, by the pace of their groups.
    app.clock.advance(Duration::from_secs(2));
    sink.wait_for("/new", 2).await;
    let delivered = until(&app, DeliveryState::Delivered, 3).await;
    assert_eq!(delivered.iter().filter(|one| one.receiver == "gone").count(), 1);
    app.clock.advance(Duration::from_hours(1));
    quiet(&app).await;
    assert_eq!(sink.requests("/gone").len(), 2, "nobody is sent to any more");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_with_another_url_gets_what_waits_there() {
    let sink = HttpSink::start().await;
    sink.always("/old", Reply::status(503));
    let app = Setup::new(to(&sink, "/old", "")).start().await;
    ring(&app, "e-1", "p-1").await;
    let waiting = until_tried(&app, 1).await;
    app.reload_with(&Setup::new(to(&sink, "/new", ""))).await;
    app.clock.advance(Duration::from_secs(5));
    let told = sink.wait_for("/new", 1).await;
    assert_eq!(told[0].header("idempotency-key"), Some(&*waiting.id));
    until(&app, DeliveryState::Delivered, 1).await;
    app.advance(Duration::from_mins(1)).await;
    assert_eq!((sink.requests("/old").len(), sink.requests("/new").len()), (1, 1));
    assert_eq!(deliveries(&app, DeliveryState::Dead).await, []);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn series_of_the_users_own_are_declared_at_the_start_and_anew() {
    let sink = HttpSink::start().await;
    let with = |metrics: &str| Setup::new(format!("{}metrics:\n{metrics}", to(&sink, "/hook", "")));
    let faxes = "  - {name: faxes_total, type: counter, help: Faxes., on: [fax.failed]}\n";
    let app = with(faxes).start().await;
    let page = app.private_get("/metrics").await.1;
    assert!(page.contains("# TYPE faxes_total counter\nfaxes_total 0\n"), "{page}");
    let fax = async |id: &str| {
        let body = event(id, "fax.failed", app.clock.now(), &json!({"status": "busy"}));
        assert_eq!(app.deliver(body).await, 200);
        app.settle().await;
    };
    fax("f-1").await;
    app.metric_becomes("faxes_total", 1.0).await;
    let more = "  - {name: more_total, type: counter, help: More., on: [fax.failed], by: {status: payload.status}}\n";
    app.reload_with(&with(&format!("{faxes}{more}"))).await;
    assert_eq!(app.metric("faxes_total").await, 1.0);
    fax("f-2").await;
    app.metric_becomes("faxes_total", 2.0).await;
    app.metric_becomes("more_total{status=\"busy\"}", 1.0).await;
    app.reload_with(&with(&more.replace("by: {status: payload.status}", "by: {kind: event.kind}")))
        .await;
    fax("f-3").await;
    app.metric_becomes("more_total{kind=\"fax.failed\"}", 1.0).await;
    let page = app.private_get("/metrics").await.1;
    assert!(!page.contains("faxes_total") && !page.contains("status=\"busy\""), "{page}");
    assert!(page.contains("\nmore_total{kind=\"fax.failed\"} 1\n"), "{page}");
    app.stop().await;
}

/// One of the configurations between which the service goes to and fro: `Each` is told to `ops` in all of them.
fn variant(sink: &HttpSink, n: usize) -> Setup {
    let hook = webhook(
        sink,
        "/hook",
        &format!(
            "name: hook, timeout: {}s, rate_limit: {{per_second: 1000, burst: {}}}",
            20 + n % 3,
            700 + n
        ),
    );
    let mut siblings = String::new();
    let mut receivers = receiver("ops", &[&hook]);
    for other in (0..4).filter(|other| n >> other & 1 == 1) {
        siblings += &format!(
            "    - {{matchers: ['alertname=\"Never{other}\"'], receiver: other-{other}}}\n"
        );
        receivers += &receiver(&format!("other-{other}"), &[&webhook(sink, "/other", "")]);
    }
    let routes = if siblings.is_empty() { String::new() } else { format!("  routes:\n{siblings}") };
    let rules = format!(
        "groups:\n  - name: load\n    rules:\n      - alert: Each\n        on: [messaging-profile.spend-limit-reached]\n        \
         by: {{event_id: event.id}}\n        max_series: 10000\n        active_for: 12h\n        annotations: {{summary: \"variant {n}\"}}\n      \
         - alert: Other{}\n        on: [fax.failed]\n        active_for: 1h\n",
        n % 5
    );
    Setup::new(format!(
        "route:\n  receiver: ops\n  group_by: ['...']\n  group_wait: 0s\n  repeat_interval: 24h\n{routes}receivers:\n{receivers}"
    ))
    .rules(rules)
    .real_time()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_reloads_under_load_lose_nothing_and_double_nothing() {
    const POSTS: usize = 4;
    let sink = HttpSink::start().await;
    let app = variant(&sink, 0).start().await;
    let mut acknowledged = Vec::new();
    for n in 1..=200 {
        // Some before the swap, some after it, some in the middle.
        let posts = join_all((0..POSTS).map(async |post| {
            let id = format!("event-{n:03}-{post}");
            let body = spend_limit(&id, app.clock.now(), "p", "10.00", "10.02");
            assert_eq!(app.deliver(body).await, 200, "{id}");
            id
        }));
        let other = variant(&sink, n);
        let (posted, _warnings) = join(posts, app.reload_with(&other)).await;
        acknowledged.extend(posted);
    }
    let delivered = async || {
        let stats = app.app().store.stats().await.unwrap();
        (stats.deliveries_in(DeliveryState::Delivered) >= acknowledged.len() as u64).then_some(())
    };
    eventually_async(Duration::from_mins(1), delivered).await;
    app.settle().await;

    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in sink.requests("/hook") {
        let body = request.json();
        let alerts = body["alerts"].as_array().unwrap();
        assert_eq!(alerts.len(), 1);
        let id = alerts[0]["labels"]["event_id"].as_str().unwrap().to_owned();
        told.entry(id).or_default().push(request.header("idempotency-key").unwrap().to_owned());
    }
    let doubled: Vec<_> = told.iter().filter(|(_, keys)| keys.len() != 1).collect();
    assert_eq!(doubled, [], "each event is one notice");
    assert_eq!(acknowledged.len(), 200 * POSTS);
    assert_eq!(told.keys().collect::<Vec<_>>(), acknowledged.iter().collect::<Vec<_>>());
    sink.expect_none("/other");
    let firing = app.metric("tollbell_alerts{alertname=\"Each\",state=\"firing\"}").await;
    assert_eq!(firing, 800.0, "one for each event");
    assert_eq!(deliveries(&app, DeliveryState::Dead).await, []);
    app.stop().await;
}
