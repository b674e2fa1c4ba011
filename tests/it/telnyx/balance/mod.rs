//! Readings of the balance, and what they ring.

mod trouble;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tollbell::event::Source;
use tollbell::store::{DeliveryState, Reading};

use crate::dispatch::{email, receiver, routing, slack, until};
use crate::support::app::{GROUP_INTERVAL, Setup, TestApp, route};
use crate::support::http::{HttpSink, Reply};
use crate::support::smtp::SmtpSink;
use crate::support::telnyx_api::{API_KEY, TelnyxApi};
use crate::support::wait::{SOON, eventually_async};

/// Beyond the longest wait for the next reading: the interval of a minute and a tenth of it.
const NEXT: Duration = Duration::from_secs(67);

fn setup(api: &TelnyxApi) -> Setup {
    let routing = format!("{}receivers: [{{name: nobody}}]\n", route("nobody"));
    Setup::new(routing).account(api.account())
}

/// All payloads of a kind, oldest first.
async fn payloads(app: &TestApp, kind: &str) -> Vec<Value> {
    let store = &app.app().store;
    let kept = store.events_between(Timestamp::MIN, Timestamp::MAX, 0, 10_000).await.unwrap();
    let kept = kept.into_iter().map(|kept| kept.unwrap().event);
    let of_kind = kept.filter(|event| event.kind == kind);
    let polled = of_kind.inspect(|event| assert_eq!(event.source, Source::Poller, "{event:#?}"));
    polled.map(|event| event.payload).collect()
}

/// Waits until there are so many events of a kind.
async fn events(app: &TestApp, kind: &str, count: usize) -> Vec<Value> {
    let look = async || Some(payloads(app, kind).await).filter(|found| found.len() >= count);
    eventually_async(SOON, look).await
}

/// The same while time passes, five seconds at a time: until the next reading, or until the client asks again.
async fn events_in_time(app: &TestApp, kind: &str, count: usize) -> Vec<Value> {
    let look = async || {
        let found = payloads(app, kind).await;
        if found.len() < count {
            app.clock.advance(Duration::from_secs(5));
        }
        (found.len() >= count).then_some(found)
    };
    eventually_async(SOON, look).await
}

async fn readings(app: &TestApp) -> Vec<Reading> {
    app.app().store.readings("default", Timestamp::MIN, 10_000).await.unwrap()
}

#[tokio::test]
async fn a_reading_becomes_an_event_a_row_and_series_at_once_and_each_minute() {
    let api = TelnyxApi::start().await;
    let answer = json!({"data": {
        "record_type": "balance", "balance": "-12.3400", "available_credit": "87.6600", "credit_limit": "100.00",
        "pending": "0.05", "currency": "EUR",
    }});
    api.always("/balance", Reply::json(&answer));
    let app = setup(&api).start().await;
    let payload = events(&app, "account.balance", 1).await.remove(0);
    assert_eq!(
        payload,
        json!({
            "balance": "-12.3400", "available_credit": "87.6600", "credit_limit": "100.00", "pending": "0.05",
            "currency": "EUR", "burn_per_hour": null, "hours_left": null, "readings": 1, "auto_recharge": null,
        })
    );
    let reading = readings(&app).await.remove(0);
    let texts = [reading.balance, reading.available_credit, reading.credit_limit, reading.pending];
    let texts = texts.map(|amount| amount.unwrap().to_string());
    assert_eq!(texts, ["-12.3400", "87.6600", "100.00", "0.05"]);
    assert_eq!(reading.currency.as_deref(), Some("EUR"));
    let labels = "{account=\"default\",currency=\"EUR\"}";
    assert_eq!(app.metric(&format!("tollbell_balance{labels}")).await, -12.34);
    assert_eq!(app.metric(&format!("tollbell_available_credit{labels}")).await, 87.66);
    let request = api.requests("/balance").remove(0);
    assert_eq!(request.header("authorization").unwrap(), format!("Bearer {API_KEY}"));

    // Within each minute and a tenth there is one more, and never two.
    for count in 2..5 {
        app.advance(Duration::from_secs(50)).await;
        assert_eq!(api.requests("/balance").len(), count - 1);
        app.advance(NEXT.saturating_sub(Duration::from_secs(50))).await;
        api.wait_for("/balance", count).await;
        events(&app, "account.balance", count).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn amounts_stay_exact_also_where_telnyx_writes_floats() {
    let api = TelnyxApi::start().await;
    let body = r#"{"data":{"balance":0.30000000000000004,"available_credit":1911.6248,"pending":5e-05,"currency":"usd"}}"#;
    let typed =
        |body: &str| Reply::status(200).header("content-type", "application/json").body(body);
    api.always("/balance", typed(body));
    let app = setup(&api).start().await;
    let payload = events(&app, "account.balance", 1).await.remove(0);
    let read = |key: &str| payload[key].as_str().unwrap().to_owned();
    assert_eq!(
        ["balance", "available_credit", "pending", "currency"].map(read),
        ["0.30000000000000004", "1911.6248", "0.00005", "USD"]
    );
    assert_eq!(payload["credit_limit"], Value::Null);
    let reading = readings(&app).await.remove(0);
    assert_eq!(reading.balance.unwrap().to_string(), "0.30000000000000004");
    app.stop().await;
}

#[tokio::test]
async fn a_rise_is_told_as_a_payment_once_even_when_it_came_while_we_were_down() {
    let api = TelnyxApi::start().await;
    api.balance("10.00");
    let mut app = setup(&api).start().await;
    events(&app, "account.balance", 1).await;
    api.balance("110.50");
    app.restart(None).await;
    let payload = events(&app, "account.topped_up", 1).await.remove(0);
    assert_eq!(
        payload,
        json!({
            "amount": "100.50", "balance_before": "10.00", "balance": "110.50", "available_credit": "110.50",
            "currency": "USD",
        })
    );
    // A correction is no payment.
    api.balance("110.51");
    events_in_time(&app, "account.balance", 4).await;
    app.restart(None).await;
    events_in_time(&app, "account.balance", 6).await;
    assert_eq!(payloads(&app, "account.topped_up").await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn the_forecast_is_there_once_there_are_enough_readings_and_after_a_restart_at_once() {
    let api = TelnyxApi::start().await;
    api.balance("1000.00");
    let mut app = setup(&api).start().await;
    events(&app, "account.balance", 1).await;
    for minute in 1..40_usize {
        api.balance(&format!("{}.00", 1000 - minute));
        app.clock.advance(NEXT);
        events(&app, "account.balance", minute + 1).await;
    }
    let last = payloads(&app, "account.balance").await.pop().unwrap();
    let number =
        |payload: &Value, key: &str| -> f64 { payload[key].as_str().unwrap().parse().unwrap() };
    // 1.00 in each 67 seconds.
    let burn = number(&last, "burn_per_hour");
    assert!((burn - 3600.0 / 67.0).abs() < 0.001, "{last:#}");
    let hours = number(&last, "hours_left");
    assert!((hours - 961.0 / burn).abs() < 0.02, "{last:#}");
    assert_eq!(last["readings"], 40);
    let series = "tollbell_burn_per_hour{account=\"default\",currency=\"USD\"}";
    assert_eq!(app.metric(series).await, burn);
    assert_eq!(app.metric("tollbell_hours_left{account=\"default\"}").await, hours);

    // Telnyx hangs: what was read last is shown, from before the restart.
    api.always("/balance", Reply::hang());
    app.restart(None).await;
    let shown = async || (app.metric(series).await == burn).then_some(());
    eventually_async(SOON, shown).await;
    api.balance("960.00");
    app.clock.advance(NEXT);
    app.restart(None).await;
    let first = events(&app, "account.balance", 41).await.pop().unwrap();
    assert_eq!(first["readings"], 41);
    assert!((number(&first, "burn_per_hour") - burn).abs() < 0.001, "{first:#}");
    app.stop().await;
}

#[tokio::test]
async fn automatic_recharge_is_read_by_either_path_and_holds_up_no_reading() {
    let prefs = json!({"data": {
        "record_type": "auto_recharge_prefs", "enabled": false, "threshold_amount": "104.00",
        "recharge_amount": "200.00", "preference": "credit_paypal",
    }});
    let told = json!({"enabled": false, "threshold_amount": "104.00", "recharge_amount": "200.00"});
    let paths = ["/payment/auto_recharge_prefs", "/payments/auto_recharge_prefs"];
    for path in paths {
        let api = TelnyxApi::start().await;
        api.always(path, Reply::json(&prefs));
        let app = setup(&api).start().await;
        api.wait_for(path, 1).await;
        // It is with one of the next readings.
        let with = async || {
            let last = payloads(&app, "account.balance").await.pop();
            app.clock.advance(Duration::from_secs(1));
            last.filter(|last| last["auto_recharge"] == told).map(drop)
        };
        eventually_async(SOON, with).await;
        let asked = api.requests(path).len();
        app.advance(Duration::from_hours(23)).await;
        assert_eq!(api.requests(path).len(), asked, "it is asked daily");
        app.advance(Duration::from_hours(2)).await;
        api.wait_for(path, asked + 1).await;
        for path in paths {
            assert!(api.requests(path).iter().all(|request| request.method == "GET"));
        }
        app.stop().await;
    }
    // On neither path: asked again in an hour, and unknown until then.
    let api = TelnyxApi::start().await;
    let app = setup(&api).start().await;
    api.wait_for(paths[1], 1).await;
    app.advance(Duration::from_mins(50)).await;
    assert_eq!(api.requests(paths[1]).len(), 1);
    app.advance(Duration::from_mins(11)).await;
    api.wait_for(paths[1], 2).await;
    api.always(paths[0], Reply::hang());
    app.advance(Duration::from_mins(61)).await;
    api.wait_for(paths[0], 3).await;
    let before = payloads(&app, "account.balance").await.len();
    let last = events_in_time(&app, "account.balance", before + 2).await.pop().unwrap();
    assert_eq!(last["auto_recharge"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn a_low_balance_rings_once_within_an_interval_and_a_top_up_is_the_all_clear() {
    let (api, sink, smtp) =
        (TelnyxApi::start().await, HttpSink::start().await, SmtpSink::start().await);
    let integrations = [slack(&sink, "/slack", ""), email(&smtp, "ops@example.com", "tls: none")];
    let routing = routing(&[receiver("ops", &[&integrations[0], &integrations[1]])]);
    let shipped = include_str!("../../../../config/rules/balance.yaml");
    let app = Setup::new(routing).rules(shipped).account(api.account()).start().await;
    events(&app, "account.balance", 1).await;
    app.settle().await;
    sink.expect_none("/slack");

    api.balance("49.99");
    app.clock.advance(NEXT);
    let [told] = sink.wait_for("/slack", 1).await.try_into().unwrap();
    let text = told.json()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("[FIRING]") && text.contains("49.99 USD left"), "{text}");
    let mail = smtp.wait_for(1).await.remove(0);
    assert!(mail.subject.starts_with("[FIRING] default: 49.99 USD left"), "{}", mail.subject);
    // Recorded before the clock goes on: else the lease of what was sent runs out.
    app.settle().await;
    // It stays low, and nobody is told again.
    for (n, amount) in ["49.50", "49.90", "50.40"].into_iter().enumerate() {
        api.balance(amount);
        app.clock.advance(NEXT);
        events(&app, "account.balance", n + 3).await;
    }
    app.settle().await;
    assert_eq!((sink.requests("/slack").len(), smtp.mails().len()), (1, 1));

    api.balance("260.00");
    app.clock.advance(NEXT);
    events(&app, "account.topped_up", 1).await;
    app.settle().await;
    app.advance(GROUP_INTERVAL).await;
    until(&app, DeliveryState::Pending, 0).await;
    let texts: Vec<String> = sink
        .wait_for("/slack", 3)
        .await
        .iter()
        .map(|request| request.json()["text"].as_str().unwrap().to_owned())
        .collect();
    let clear = texts.iter().filter(|it| it.contains("[RESOLVED]")).collect::<Vec<_>>();
    assert!(
        matches!(clear[..], [clear] if clear.contains("left on the Telnyx account")),
        "{texts:#?}"
    );
    let rung =
        texts.iter().filter(|it| it.contains("[FIRING]") && it.contains("left on the")).count();
    assert_eq!(rung, 1, "{texts:#?}");
    let ends = async || {
        let ended = smtp.mails().into_iter().filter(|mail| mail.subject.starts_with("[RESOLVED]"));
        (ended.count() == 1).then_some(())
    };
    eventually_async(SOON, ends).await;
    app.stop().await;
}

#[tokio::test]
async fn an_account_whose_key_was_taken_away_has_no_balance_any_more_and_its_alert_ends() {
    let (api, sink) = (TelnyxApi::start().await, HttpSink::start().await);
    let routing = routing(&[receiver("ops", &[&slack(&sink, "/slack", "")])]);
    let shipped = include_str!("../../../../config/rules/balance.yaml");
    let without = Setup::new(routing).rules(shipped);
    let with = without.clone().account(api.account());
    api.balance("30.00");
    let app = with.clone().start().await;
    sink.wait_for("/slack", 1).await;
    let series = async || {
        let page = app.private_get("/metrics").await.1;
        let of_balance = |line: &&str| {
            ["balance", "available_credit", "burn_", "hours_left"]
                .iter()
                .any(|name| line.starts_with(&format!("tollbell_{name}")))
        };
        page.lines().filter(of_balance).map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(series().await.len(), 3);
    app.reload_with(&without).await;
    assert_eq!(series().await, Vec::<String>::new());
    app.settle().await;
    app.advance(Duration::from_mins(16)).await;
    let told = sink.wait_for("/slack", 2).await.pop().unwrap().json();
    assert!(told["text"].as_str().unwrap().contains("[NO DATA]"), "{told:#}");
    let asked = api.requests("/balance").len();
    app.reload_with(&with).await;
    api.wait_for("/balance", asked + 1).await;
    let back = async || (series().await.len() == 3).then_some(());
    eventually_async(SOON, back).await;
    app.stop().await;
}

#[tokio::test]
async fn another_currency_takes_the_place_of_the_one_before_on_the_page() {
    let api = TelnyxApi::start().await;
    api.balance("30.00");
    let app = setup(&api).start().await;
    events(&app, "account.balance", 1).await;
    let euros =
        json!({"data": {"balance": "500.00", "available_credit": "500.00", "currency": "EUR"}});
    api.always("/balance", Reply::json(&euros));
    app.clock.advance(NEXT);
    events(&app, "account.balance", 2).await;
    let page = app.private_get("/metrics").await.1;
    assert!(page.contains("tollbell_balance{account=\"default\",currency=\"EUR\"} 500"), "{page}");
    let old = page.lines().filter(|line| line.contains("balance") && line.contains("USD"));
    assert_eq!(old.collect::<Vec<_>>(), Vec::<&str>::new());
    app.stop().await;
}
