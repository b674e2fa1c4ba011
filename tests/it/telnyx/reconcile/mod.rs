//! The ledger against detail records: what was missed is booked, no window counts it, nothing is doubled or skipped.

mod trouble;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tollbell::event::{Event, Source};
use tollbell::store::ChargeFilter;

use crate::dispatch::{receiver, routing};
use crate::support::app::{Setup, TestApp};
use crate::support::http::HttpSink;
use crate::support::telnyx;
use crate::support::telnyx_api::{API_KEY, TelnyxApi, page};
use crate::support::wait::{SOON, eventually_async};

const RECORDS: &str = "/detail_records";
/// From one comparison to the next, and how old a record must be.
const ROUND: Duration = Duration::from_hours(7);
const MINUTE: Duration = Duration::from_mins(1);
/// Between two pages, and more.
const PAUSE: Duration = Duration::from_secs(5);

const SPIKE: &str = r#"
groups:
  - name: g
    rules:
      - alert: Spike
        on: ["*"]
        over: 24h
        value: sum(event.charge)
        fire: value > 1.0
        annotations: {summary: "{{ value }} {{ labels.currency }}"}
"#;

/// A service that compares, and the time at which its first range begins.
async fn start(api: &TelnyxApi, sink: &HttpSink) -> (TestApp, Timestamp) {
    let hook = format!("webhook_configs: [{{url: \"{}\"}}]", sink.url("/ops"));
    let setup =
        Setup::new(routing(&[receiver("ops", &[&hook])])).rules(SPIKE).account(api.account());
    let app = setup.begins("2026-08-21T00:00:00Z").start().await;
    let begins = app.clock.now();
    assert_eq!(place(&app, None).await, begins.to_string());
    (app, begins)
}

/// Waits until the place is another than this one, and gives it.
async fn place(app: &TestApp, than: Option<&str>) -> String {
    eventually_async(SOON, async || {
        let place = app.app().store.place("default", "reconcile").await.unwrap()?;
        let json: Value = serde_json::from_slice(&place).unwrap();
        let until = json["until"].as_str().unwrap().to_owned();
        (Some(until.as_str()) != than).then_some(until)
    })
    .await
}

/// Moves the clock to the next comparison and waits until it is made and judged. Pages are read meanwhile.
async fn compare(app: &TestApp) {
    let before = place(app, None).await;
    app.clock.advance(ROUND);
    // What it reads in pages takes its time.
    eventually_async(6 * SOON, async || {
        let place = app.app().store.place("default", "reconcile").await.unwrap()?;
        if String::from_utf8(place).unwrap().contains(&before) {
            app.clock.advance(PAUSE);
            return None;
        }
        Some(())
    })
    .await;
    app.settle().await;
}

/// Every event so far that is not a webhook's.
async fn events(app: &TestApp) -> Vec<Event> {
    let kept = app.app().store.inbox_after(0, 10_000).await.unwrap();
    let events = kept.into_iter().map(|one| one.unwrap().event);
    events
        .filter(|event| event.kind.ends_with(".reconciled") && event.source == Source::Backfill)
        .collect()
}

/// What was told of one product and currency, the latest.
async fn line(app: &TestApp, product: &str, currency: &str) -> Value {
    let of = |event: &Event| {
        event.kind == "spend.reconciled"
            && event.payload["product"] == product
            && event.payload["currency"] == currency
    };
    events(app).await.into_iter().rfind(of).expect("a line").payload
}

/// `key amount currency product kind` of the ledger.
async fn ledger(app: &TestApp) -> Vec<String> {
    let filter = ChargeFilter {
        account: Some("default".to_owned()),
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        after: None,
        limit: 10_000,
    };
    let mut lines: Vec<String> = app
        .app()
        .store
        .charges(filter)
        .await
        .unwrap()
        .into_iter()
        .map(|it| {
            format!("{} {} {} {} {}", it.key.key, it.amount, it.currency, it.product, it.kind)
        })
        .collect();
    lines.sort();
    lines
}

/// `tollbell_spend_total` and `tollbell_spend_corrections_total`.
async fn spent(app: &TestApp, product: &str) -> [f64; 2] {
    let labels = format!("{{account=\"default\",currency=\"USD\",product=\"{product}\"}}");
    let added = app.metric(&format!("tollbell_spend_total{labels}")).await;
    [added, app.metric(&format!("tollbell_spend_corrections_total{labels}")).await]
}

fn message(uuid: &str, at: Timestamp, cost: &Value, currency: &str) -> Value {
    json!({
        "record_type": "message_detail_record", "uuid": uuid, "created_at": at.to_string(), "completed_at": at.to_string(),
        "cli": "+13125550111", "cld": "+37126123456", "direction": "outbound", "message_type": "SMS", "parts": 1,
        "rate": "0.0040", "cost": cost, "currency": currency, "carrier_fee": "0.0", "status": "delivered",
    })
}

fn usd(uuid: &str, at: Timestamp, cost: &str) -> Value {
    message(uuid, at, &json!(cost), "USD")
}

fn call_control(leg: &str, at: Timestamp, cost: &str) -> Value {
    json!({
        "record_type": "call-control", "id": format!("own-{leg}"), "telnyx_leg_id": leg, "telnyx_session_id": "s",
        "started_at": at.to_string(), "finished_at": at.to_string(), "cost": cost, "currency": "USD", "billed_sec": 60,
    })
}

fn sip_trunking(leg: &str, at: Timestamp, cost: &str) -> Value {
    json!({
        "record_type": "sip-trunking", "id": leg, "call_control_id": format!("v3:control-of-{leg}"),
        "started_at": at.to_string(), "cli": "+13125550111", "cld": "+37126123456", "direction": "outbound",
        "cost": cost, "currency": "USD", "connection_id": "1494404757140276705",
    })
}

/// What the next comparison reads: messages, call control, SIP trunking; a page each.
fn records(api: &TelnyxApi, types: [&[Value]; 3]) {
    api.always(RECORDS, page(&[], 1, 1));
    api.next(RECORDS, types.map(|items| page(items, 1, 1)));
}

async fn deliver(app: &TestApp, body: Vec<u8>) {
    assert_eq!(app.deliver(body).await, 200);
    app.settle().await;
}

async fn deliver_message(app: &TestApp, id: &str, message: &str, amount: &str) {
    deliver(app, telnyx::message_finalized(id, app.clock.now(), message, amount)).await;
}

/// It was asked for the records of each type, by a field that the type has; else Telnyx refuses.
fn asked_by_each_types_time(api: &TelnyxApi) {
    let asked: Vec<String> =
        api.requests(RECORDS).iter().map(|request| request.query.clone()).collect();
    assert_eq!(asked.len(), 13, "{asked:#?}");
    for (query, words) in asked.iter().zip([
        ["messaging", "created_at%5D%5Bgte%5D=2026-08-20T23%3A00%3A00Z", "created_at%5D%5Blt%5D="],
        [
            "call-control",
            "started_at%5D%5Bgte%5D=2026-08-20T23%3A00%3A00Z",
            "started_at%5D%5Blte%5D=",
        ],
        [
            "sip-trunking",
            "started_at%5D%5Bgte%5D=2026-08-20T23%3A00%3A00Z",
            "started_at%5D%5Blte%5D=",
        ],
    ]) {
        assert!(
            words.iter().all(|word| query.contains(word)) && query.contains("size%5D=50"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn what_was_missed_is_booked_and_no_window_counts_it() {
    let (api, sink) = (TelnyxApi::start().await, HttpSink::start().await);
    let (mut app, begins) = start(&api, &sink).await;
    app.clock.advance(MINUTE);
    let at = app.clock.now();
    deliver_message(&app, "e-1", "m-1", "0.50").await;
    let call = json!({"call_leg_id": "leg-1", "call_control_id": "v3:control-of-leg-1", "connection_id": "c-1",
        "direction": "outgoing", "from": "+13125550111", "to": "+37126123456"});
    deliver(&app, telnyx::event("e-2", "call.initiated", at, &call)).await;
    records(
        &api,
        [
            &[usd("m-1", at, "0.5000"), usd("m-2", at, "5.00")],
            &[call_control("leg-1", at, "2.00"), call_control("leg-9", at, "4.00")],
            &[sip_trunking("leg-1", at, "1.00")],
        ],
    );
    compare(&app).await;

    let booked = [
        "call:leg-1 3.00 USD voice charge.reconciled",
        "message:m-1 0.50 USD messaging message.finalized",
        "message:m-2 5.00 USD messaging charge.reconciled",
    ];
    assert_eq!(ledger(&app).await, booked);
    assert_eq!(spent(&app, "messaging").await, [5.5, 0.0]);
    assert_eq!(spent(&app, "voice").await, [3.0, 0.0]);
    let messages = line(&app, "messaging", "USD").await;
    assert_eq!(
        messages,
        json!({
            "from": begins.to_string(), "to": messages["to"], "product": "messaging", "counted": true, "currency": "USD",
            "ledger_amount": "0.50", "telnyx_amount": "5.50", "difference": "5.00", "records": 2, "charges": 1,
            "booked": 1, "unbooked": 0, "unmatched": 0, "unknown": 0, "partial": false,
        })
    );
    let voice = line(&app, "voice", "USD").await;
    assert_eq!(
        (&voice["telnyx_amount"], &voice["unmatched"], &voice["booked"]),
        (&json!("7.00"), &json!(1), &json!(1))
    );

    asked_by_each_types_time(&api);

    // The webhooks come after all: the same amount changes nothing, more is charged by what it is more.
    deliver_message(&app, "e-3", "m-2", "5.00").await;
    deliver(&app, telnyx::call_cost("e-4", app.clock.now(), "leg-1", Some("3.25"))).await;
    assert_eq!(spent(&app, "messaging").await, [5.5, 0.0]);
    assert_eq!(spent(&app, "voice").await, [3.25, 0.0]);
    app.pass(MINUTE).await;
    sink.expect_none("/ops");

    // Nothing of it is told again, by a restart or by the next comparison.
    let told = events(&app).await;
    assert!(told.iter().all(|event| event.charge.is_none()), "{told:#?}");
    app.restart(None).await;
    compare(&app).await;
    assert_eq!(events(&app).await, told);
    assert_eq!(spent(&app, "messaging").await, [5.5, 0.0]);

    // The window works: what is charged now rings, with what came as webhooks before it (0.50 and 0.25), and nothing else.
    deliver_message(&app, "e-5", "m-3", "2.00").await;
    let rung = sink.wait_for("/ops", 1).await;
    assert_eq!(rung[0].json()["alerts"][0]["annotations"]["summary"], "2.75 USD");
    app.stop().await;
}

#[tokio::test]
async fn other_amounts_are_corrected_where_that_is_certain() {
    let (api, sink) = (TelnyxApi::start().await, HttpSink::start().await);
    let (app, _) = start(&api, &sink).await;
    app.clock.advance(MINUTE);
    let at = app.clock.now();
    for (message, amount) in
        [("more", "0.10"), ("less", "0.10"), ("euro", "0.10"), ("null", "0.10")]
    {
        deliver_message(&app, &format!("e-{message}"), message, amount).await;
    }
    deliver(&app, telnyx::call_cost("e-leg", at, "leg-1", Some("0.0106"))).await;
    // Signed, and still no record of Telnyx's.
    let forged = json!({"key": "message:forged", "amount": "9", "currency": "USD", "ledger_amount": null,
        "cost": {"amount": "9", "currency": "USD"}, "total_cost": "9"});
    deliver(&app, telnyx::event("e-forged", "charge.reconciled", at, &forged)).await;
    records(
        &api,
        [
            &[
                usd("more", at, "0.12"),
                usd("less", at, "0.07"),
                message("euro", at, &json!("0.20"), "EUR"),
                message("null", at, &Value::Null, "USD"),
                message("float", at, &json!(0.1), "USD"),
                message("unnamed", at, &json!("1.5E-2"), ""),
                json!({"id": "no-uuid", "created_at": at.to_string(), "cost": "0.30", "currency": "USD"}),
            ],
            &[call_control("leg-1", at, "0.0038")],
            &[sip_trunking("leg-1", at, "0.0050")],
        ],
    );
    compare(&app).await;
    assert_eq!(
        ledger(&app).await,
        [
            // Its records are parts of it.
            "call:leg-1 0.0106 USD voice call.cost",
            "message:euro 0.10 USD messaging message.finalized",
            "message:float 0.1 USD messaging charge.reconciled",
            "message:less 0.07 USD messaging charge.reconciled",
            "message:more 0.12 USD messaging charge.reconciled",
            "message:null 0.10 USD messaging message.finalized",
            "message:unnamed 0.015 unknown messaging charge.reconciled",
        ]
    );
    assert_eq!(spent(&app, "messaging").await, [0.52, 0.03]);
    let line = line(&app, "messaging", "USD").await;
    let numbers = ["records", "charges", "booked", "unbooked", "unmatched", "unknown"]
        .map(|name| line[name].as_u64().unwrap());
    assert_eq!(numbers, [5, 4, 3, 0, 1, 1]);
    assert_eq!(
        [&line["ledger_amount"], &line["telnyx_amount"], &line["difference"]],
        ["0.40", "0.59", "0.19"]
    );
    let text = format!("{:?}", events(&app).await);
    assert!(!text.contains(API_KEY) && text.contains("EUR"));
    sink.expect_none("/ops");
    app.stop().await;
}

#[tokio::test]
async fn without_back_fill_nothing_is_compared() {
    let (api, sink) = (TelnyxApi::start().await, HttpSink::start().await);
    let hook = format!("webhook_configs: [{{url: \"{}\"}}]", sink.url("/ops"));
    let account = format!("{}    backfill: {{enabled: false}}\n", api.account());
    let app = Setup::new(routing(&[receiver("ops", &[&hook])])).account(account).start().await;
    app.pass(4 * ROUND).await;
    assert_eq!(app.app().store.place("default", "reconcile").await.unwrap(), None);
    assert_eq!(api.requests(RECORDS).len(), 0);
    app.stop().await;
}
