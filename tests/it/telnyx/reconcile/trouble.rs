//! Many pages, refusals, nonsense, and an end at any instant.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    MINUTE, RECORDS, ROUND, compare, events, ledger, line, place, sip_trunking, spent, start, usd,
};
use crate::support::http::{HttpSink, Reply};
use crate::support::telnyx_api::{TelnyxApi, error, page};
use crate::support::wait::{SOON, eventually_async};

#[tokio::test]
async fn all_pages_are_read_within_a_bound() {
    let (api, sink) = (TelnyxApi::start().await, HttpSink::start().await);
    let (app, at) = start(&api, &sink).await;
    api.always(RECORDS, page(&[], 1, 1));
    api.next(
        RECORDS,
        (1..=3).map(|number| page(&[usd(&format!("m-{number}"), at, "0.01")], number, 3)),
    );
    compare(&app).await;
    let all = line(&app, "messaging", "USD").await;
    assert_eq!(
        (&all["records"], &all["partial"], &all["difference"]),
        (&json!(3), &json!(false), &json!("0.03"))
    );
    assert_eq!(api.requests(RECORDS).len(), 15);
    assert_eq!(spent(&app, "messaging").await, [0.03, 0.0]);

    // More pages than are read: what is read is booked, and the sums say nothing of a difference.
    let at = app.clock.now();
    let pages =
        (1..=200).map(|number| page(&[usd(&format!("n-{number}"), at, "0.01")], number, 999));
    api.next(RECORDS, pages);
    compare(&app).await;
    let part = line(&app, "messaging", "USD").await;
    assert_eq!(
        (&part["records"], &part["partial"], &part["difference"]),
        (&json!(200), &json!(true), &Value::Null)
    );
    assert_eq!(api.requests(RECORDS).len(), 15 + 212);
    assert_eq!(spent(&app, "messaging").await, [2.03, 0.0]);
    app.stop().await;
}

#[tokio::test]
async fn what_fails_is_tried_again_each_hour_and_nothing_is_skipped() {
    let (api, sink) = (TelnyxApi::start().await, HttpSink::start().await);
    let (app, begins) = start(&api, &sink).await;
    api.always(RECORDS, error(403, "10010", "Authorization failed"));
    app.clock.advance(ROUND);
    api.wait_for(RECORDS, 1).await;
    app.pass(Duration::from_mins(55)).await;
    assert_eq!(api.requests(RECORDS).len(), 1, "once an hour");
    // What is no JSON, and what is no list.
    for (count, odd) in [(2, Reply::garbage()), (3, Reply::json(&json!({"data": {}})))] {
        api.always(RECORDS, odd);
        app.clock.advance(Duration::from_hours(1));
        // A cut connection is tried more than once.
        eventually_async(SOON, async || {
            app.clock.advance(Duration::from_secs(1));
            (api.requests(RECORDS).len() >= count).then_some(())
        })
        .await;
    }
    assert_eq!(place(&app, None).await, begins.to_string());
    assert_eq!(events(&app).await, []);
    // A list of odd things; and a type that the account does not have.
    let odd = [
        json!("odd"),
        json!(5),
        Value::Null,
        json!({}),
        json!({"uuid": {}, "cost": {}, "currency": [], "created_at": 7}),
    ];
    let known = usd("m-1", begins, "0.01");
    api.always(RECORDS, page(&[], 1, 1));
    api.next(
        RECORDS,
        [
            page(&[odd.as_slice(), &[known]].concat(), 1, 1),
            error(400, "10011", "No matching record type was found"),
            page(&[sip_trunking("leg", begins, "0.02")], 1, 1),
        ],
    );
    eventually_async(SOON, async || {
        app.clock.advance(MINUTE);
        (!events(&app).await.is_empty()).then_some(())
    })
    .await;
    app.settle().await;
    assert_eq!(ledger(&app).await, ["message:m-1 0.01 USD messaging charge.reconciled"]);
    let voice = line(&app, "voice", "USD").await;
    assert_eq!(
        (&voice["partial"], &voice["difference"], &voice["unmatched"]),
        (&json!(true), &Value::Null, &json!(1))
    );
    assert_ne!(place(&app, None).await, begins.to_string());
    app.stop().await;
}

#[tokio::test]
async fn an_end_at_any_instant_doubles_and_skips_nothing() {
    let (api, sink) = (TelnyxApi::start().await, HttpSink::start().await);
    let (mut app, begins) = start(&api, &sink).await;
    let messages = page(&[usd("m-1", begins, "0.01")], 1, 1);
    api.always(RECORDS, page(&[], 1, 1));
    api.next(RECORDS, [messages.clone(), Reply::hang()]);
    app.clock.advance(ROUND);
    api.wait_for(RECORDS, 2).await;
    app.crash().await;
    assert_eq!(place(&app, None).await, begins.to_string());
    assert_eq!(events(&app).await, []);

    // From the beginning of the range, once more.
    api.next(RECORDS, [messages.clone()]);
    compare(&app).await;
    assert_eq!(ledger(&app).await, ["message:m-1 0.01 USD messaging charge.reconciled"]);
    let told = events(&app).await;
    assert_eq!(told.len(), 2);
    app.crash().await;
    api.next(RECORDS, [messages]);
    compare(&app).await;
    assert_eq!(events(&app).await, told);
    assert_eq!(spent(&app, "messaging").await, [0.01, 0.0]);
    app.stop().await;
}
