//! Spend limits and the limits of voice profiles, from Telnyx's API to events and series.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::dispatch::{receiver, routing};
use crate::support::app::{Setup, TestApp};
use crate::support::http::{HttpSink, Reply};
use crate::support::telnyx;
use crate::support::telnyx_api::{TelnyxApi, error, page};
use crate::support::wait::{SOON, eventually_async};

async fn start(api: &TelnyxApi) -> TestApp {
    let sink = HttpSink::start().await;
    let hook = format!("webhook_configs: [{{url: \"{}\"}}]", sink.url("/ops"));
    let setup = Setup::new(routing(&[receiver("ops", &[&hook])])).account(api.account());
    setup.begins("2026-11-30T10:00:00Z").start().await
}

/// Lets time pass, five seconds at a time, until a path was asked for so often.
async fn asked(app: &TestApp, api: &TelnyxApi, path: &str, count: usize) {
    eventually_async(SOON, async || {
        let is_there = api.requests(path).len() >= count;
        if !is_there {
            app.clock.advance(Duration::from_secs(5));
        }
        is_there.then_some(())
    })
    .await;
}

async fn payloads(app: &TestApp, kind: &str, count: usize) -> Vec<Value> {
    let store = &app.app().store;
    eventually_async(SOON, async || {
        let kept = store.events_between(Timestamp::MIN, Timestamp::MAX, 0, 10_000).await.unwrap();
        let kept = kept.into_iter().map(|kept| kept.unwrap().event);
        let found: Vec<Value> = kept.filter(|it| it.kind == kind).map(|it| it.payload).collect();
        (found.len() >= count).then_some(found)
    })
    .await
}

fn limit(product: &str, spend: &Value, blocked: bool) -> Value {
    let block = json!({"blocked_until": "2026-12-01", "detected_at": "2026-11-30T10:02:00Z", "limit_usd": "12.00", "spend_usd": "12.01"});
    json!({
        "record_type": "spend_limit", "product": product, "product_name": "Inference", "period": "daily",
        "period_start": "2026-11-30", "period_end": "2026-12-01", "effective_limit_usd": "12.00",
        "limit": {"amount": "12.00", "unlimited": false, "origin": "operator", "updated_at": "2026-11-02T00:00:00Z"},
        "spend_usd": spend, "blocked": blocked, "block": if blocked { block } else { Value::Null },
    })
}

fn answer(limits: &[Value]) -> Reply {
    Reply::json(&json!({"data": limits}))
}

#[tokio::test]
async fn a_spend_limit_becomes_events_and_series_when_it_changes_and_now_and_then() {
    let api = TelnyxApi::start().await;
    let unknown = json!({"product": "new\"thing", "period": "monthly", "limit": null, "effective_limit_usd": null, "spend_usd": null});
    api.always("/spend_limits", answer(&[limit("inference", &json!("3.00"), false), unknown]));
    let app = start(&api).await;
    let told = payloads(&app, "account.spend_limit", 2).await;
    assert_eq!(
        (&told[0]["percent"], &told[0]["blocked"], &told[0]["origin"]),
        (&json!("25"), &json!(false), &json!("operator"))
    );
    assert_eq!(
        (&told[1]["limit"], &told[1]["unlimited"], &told[1]["percent"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let series = |name: &str| {
        format!(
            "tollbell_spend_limit{name}{{account=\"default\",period=\"daily\",product=\"inference\"}}"
        )
    };
    assert_eq!(app.metric(&series("_usd")).await, 12.0);
    assert_eq!(app.metric(&series("_spend_usd")).await, 3.0);
    assert_eq!(app.metric(&series("_blocked")).await, 0.0);
    assert_eq!(api.requests("/spend_limits")[0].query, "");

    // The same is told again after five minutes, what has changed at once.
    asked(&app, &api, "/spend_limits", 4).await;
    app.settle().await;
    let before = payloads(&app, "account.spend_limit", 2).await.len();
    assert_eq!(before, 2, "not with each reading");
    api.always("/spend_limits", answer(&[limit("inference", &json!("12.02"), true)]));
    asked(&app, &api, "/spend_limits", 6).await;
    let told = payloads(&app, "account.spend_limit", before + 1).await;
    let last = told.iter().rfind(|it| it["product"] == "inference").unwrap();
    assert_eq!((&last["blocked"], &last["blocked_until"]), (&json!(true), &json!("2026-12-01")));
    assert_eq!(app.metric(&series("_blocked")).await, 1.0);
    let before = told.len();
    asked(&app, &api, "/spend_limits", 14).await;
    payloads(&app, "account.spend_limit", before + 1).await;
    app.stop().await;
}

#[tokio::test]
async fn a_missing_right_is_tried_again_hourly_and_delays_no_balance() {
    let api = TelnyxApi::start().await;
    api.always("/spend_limits", error(403, "10010", "Authorization failed"));
    let app = start(&api).await;
    api.wait_for("/spend_limits", 1).await;
    asked(&app, &api, "/balance", 4).await;
    assert_eq!(api.requests("/spend_limits").len(), 1);
    api.always("/spend_limits", answer(&[limit("inference", &json!("3.00"), false)]));
    app.advance(Duration::from_mins(70)).await;
    payloads(&app, "account.spend_limit", 1).await;
    app.stop().await;
}

#[tokio::test]
async fn what_calls_cost_today_is_told_beside_the_limit_of_their_voice_profile() {
    let api = TelnyxApi::start().await;
    let profile = |id: &str, on: bool| json!({"id": id, "name": "Sales", "daily_spend_limit": "40.00", "daily_spend_limit_enabled": on});
    api.always(
        "/outbound_voice_profiles",
        page(&[profile("p1", true), profile("p2", false)], 1, 1),
    );
    for path in [
        "/call_control_applications",
        "/texml_applications",
        "/fqdn_connections",
        "/ip_connections",
        "/uac_connections",
    ] {
        api.always(path, page(&[], 1, 1));
    }
    let connection =
        json!({"id": "1494404757140276705", "outbound": {"outbound_voice_profile_id": "p1"}});
    api.always("/credential_connections", page(&[connection], 1, 1));
    let app = start(&api).await;
    let told = payloads(&app, "account.voice_profile", 1).await;
    assert_eq!(
        (&told[0]["spend"], &told[0]["limit"], &told[0]["partial"]),
        (&json!("0"), &json!("40.00"), &json!(false))
    );
    let call = json!({"call_leg_id": "leg-1", "call_control_id": "v3:control-of-leg-1", "connection_id": "1494404757140276705",
        "direction": "outgoing", "from": "+13125550111", "to": "+37126123456"});
    let at = app.clock.now();
    assert_eq!(app.deliver(telnyx::event("e-1", "call.initiated", at, &call)).await, 200);
    assert_eq!(app.deliver(telnyx::call_cost("e-2", at, "leg-1", Some("33.00"))).await, 200);
    app.settle().await;
    app.advance(Duration::from_mins(15)).await;
    let told = payloads(&app, "account.voice_profile", 2).await;
    assert_eq!(
        (&told[1]["profile_id"], &told[1]["spend"], &told[1]["percent"]),
        (&json!("p1"), &json!("33.00"), &json!("82.5"))
    );
    // The limits are read daily, and it begins again at midnight.
    assert_eq!(api.requests("/outbound_voice_profiles").len(), 1);
    app.advance(Duration::from_hours(15)).await;
    let told = payloads(&app, "account.voice_profile", 3).await;
    assert_eq!(
        (&told[2]["spend"], &told[2]["since"]),
        (&json!("0"), &json!("2026-12-01T00:00:00Z"))
    );
    app.stop().await;
}
