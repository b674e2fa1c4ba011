//! Telnyx refuses, or must not be asked.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::support::telnyx_api::error;

#[tokio::test]
async fn after_each_kind_of_refusal_it_goes_on_where_it_was() {
    let log = Log::default();
    let (api, hook) = (log.serve().await, HttpSink::start().await);
    let app = start(&api, &hook).await;
    covered(&app).await;
    let refused = |status, code| error(status, code, "No");
    let limited = || refused(429, "10011").header("retry-after", "120");
    let unavailable = || refused(503, "10016");
    let rows: Vec<(&str, Vec<Reply>, Duration)> = vec![
        ("unauthorized", vec![refused(401, "10009")], Duration::from_secs(30)),
        ("limited", vec![limited()], minutes(2)),
        ("forbidden", vec![refused(403, "10010")], HOUR),
        ("not there", vec![refused(404, "10005")], HOUR),
        ("no list", vec![Reply::json(&json!({"data": 5}))], Duration::from_secs(30)),
        ("no JSON", vec![Reply::ok().body("<html>")], Duration::from_secs(30)),
        ("no fields", vec![Reply::json(&json!({"data": [null, 1, {}, []]}))], EVERY),
        ("unavailable", (0..4).map(|_| unavailable()).collect(), Duration::from_secs(30)),
        ("cut", (0..4).map(|_| Reply::close()).collect(), Duration::from_secs(30)),
    ];
    let mut expected = Vec::new();
    for (name, replies, wait) in rows {
        let id = format!("after-{}", name.replace(' ', "-"));
        log.add([missed(&id, app.clock.now())]);
        let before = api.requests(PATH).len();
        let count = before + replies.len();
        api.next(PATH, replies);
        app.clock.advance(EVERY);
        // The client itself tries again, within seconds.
        ask_again(&app, &api, Duration::from_secs(1), count).await;
        // The answer is read, and the wait has begun, at the latest when nothing more is asked.
        ask_again(&app, &api, wait / 4, count + 1).await;
        expected.push(id);
        eventually_async(SOON, || async { (spends(&app).await == expected).then_some(()) }).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn a_refusal_in_the_middle_keeps_what_was_read() {
    let log = Log::with([missed("early", ago(23 * HOUR)), missed("late", ago(minutes(30)))]);
    let api = TelnyxApi::start().await;
    let served = log.clone();
    // Ten slices, then no more.
    api.answer(PATH, {
        let count = Mutex::new(0);
        move |request| {
            let mut count = lock(&count);
            *count += 1;
            if *count > 10 { error(401, "10009", "No") } else { served.page(request) }
        }
    });
    let hook = HttpSink::start().await;
    let app = start(&api, &hook).await;
    api.wait_for(PATH, 11).await;
    eventually_async(SOON, || async { (app.metric(FETCHED).await == 1.0).then_some(()) }).await;
    assert_eq!(spends(&app).await, ["early"]);
    let reached = app.metric(COVERED).await;
    assert_eq!(reached, seconds(ago(14 * HOUR)));
    log.answer(&api);
    let before = api.requests(PATH).len();
    ask_again(&app, &api, Duration::from_secs(10), before + 1).await;
    eventually_async(SOON, || async { (spends(&app).await == ["early", "late"]).then_some(()) })
        .await;
    let again = api.requests(PATH)[before].parameter("filter[started_at][gte]").unwrap();
    assert_eq!(again, ago(14 * HOUR + minutes(15)).to_string(), "not from the beginning");
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_asked_without_a_public_address_or_when_it_is_off() {
    let log = Log::with([missed("missed", ago(minutes(30)))]);
    let (api, hook) = (log.serve().await, HttpSink::start().await);
    let nobody = "route: {receiver: nobody}\nreceivers:\n  - name: nobody";
    let off = format!("{}    backfill: {{enabled: false}}\n", api.account());
    for (server, account) in
        [("", api.account()), ("  public_url: https://hooks.example.com\n", off)]
    {
        let setup = Setup::new(nobody).server(server).account(account).begins(BEGINS);
        let app = setup.start().await;
        app.pass(HOUR).await;
        assert_eq!(spends(&app).await, Vec::<String>::new());
        app.stop().await;
    }
    api.sink.expect_none("/v2/webhook_deliveries");
    // The same log is read where it is wanted.
    let app = start(&api, &hook).await;
    covered(&app).await;
    assert_eq!(spends(&app).await, ["missed"]);
    app.stop().await;
}
