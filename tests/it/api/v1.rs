//! tollbell's own API.

use serde_json::{Value, json};
use tollbell::store::DeliveryState;

use super::{Answer, ask, ask_with, quiet, two_alerts};
use crate::dispatch::{deliveries, receiver, ring, routing, webhook};
use crate::support::app::{Setup, TestApp};
use crate::support::http::{HttpSink, Reply};

async fn get(app: &TestApp, path: &str) -> Value {
    let answer = ask(app, "GET", &format!("/api/v1/{path}"), None).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json
}

async fn post(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask_with(app, "POST", &format!("/api/v1/{path}"), headers, None).await
}

#[tokio::test]
async fn the_document_that_is_checked_in_is_the_one_that_is_served() {
    let app = quiet().start().await;
    let served = ask(&app, "GET", "/api/v1/openapi.json", None).await;
    assert_eq!(served.json["openapi"], "3.1.0");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(kept == served.text, "write it anew: tollbell schema --openapi > docs/reference/openapi.json");
    app.stop().await;
}

#[tokio::test]
async fn events_are_listed_in_pages_shown_and_explained() {
    let app = two_alerts(quiet()).await;
    let first = get(&app, "events?limit=1").await;
    assert_eq!(first["items"][0]["id"], "e-2");
    let next = first["next"].as_str().unwrap();
    let second = get(&app, &format!("events?limit=1&before={next}")).await;
    assert_eq!(second["items"][0]["id"], "e-1");
    let last = second["next"].as_str().unwrap();
    assert_eq!(get(&app, &format!("events?before={last}")).await, json!({"items": [], "next": null}));
    assert_eq!(get(&app, "events?kind=call.*").await["items"], json!([]));
    assert_eq!(get(&app, "events?state=judged&account=default").await["items"].as_array().unwrap().len(), 2);
    let shown = get(&app, "events/e-1").await;
    assert_eq!((&shown["state"], &shown["judgements"][0]["outcome"]), (&json!("judged"), &json!("fired")));
    let explained = get(&app, "events/e-1/explain").await;
    assert_eq!(explained["judged"], true);
    assert!(explained["today"].is_object(), "{explained}");
    for (path, status) in [
        ("events?limit=0", 400),
        ("events?limit=x", 400),
        ("events?state=odd", 400),
        ("events?before=x", 400),
        ("events?nobody=knows", 400),
        ("events?kind=a&kind=b", 400),
        ("events/nobody", 404),
        ("events/nobody/explain", 404),
        ("nothing", 404),
    ] {
        let answer = ask(&app, "GET", &format!("/api/v1/{path}"), None).await;
        assert_eq!((answer.status, &answer.json["status"]), (status, &json!(status)), "{path}");
        assert_eq!(answer.kind.as_deref(), Some("application/problem+json"));
    }
    let other = post(&app, "events", &[]).await;
    assert_eq!((other.status, other.allow.as_deref()), (405, Some("GET")));
    app.stop().await;
}

#[tokio::test]
async fn deliveries_are_listed_tried_again_and_cancelled() {
    let sink = HttpSink::start().await;
    sink.always("/in", Reply::status(400));
    let app = Setup::new(routing(&[receiver("ops", &[&webhook(&sink, "/in", "")])])).start().await;
    ring(&app, "e-1", "p").await;
    ring(&app, "e-2", "q").await;
    app.settle().await;
    let dead = get(&app, "deliveries?state=dead").await;
    let [newest, oldest] = dead["items"].as_array().unwrap().as_slice() else { panic!("{dead}") };
    let (newest, oldest) = (newest["id"].as_str().unwrap(), oldest["id"].as_str().unwrap());
    let page = get(&app, &format!("deliveries?receiver=ops&before={newest}")).await;
    assert_eq!((page["items"].as_array().unwrap().len(), &page["items"][0]["id"]), (1, &json!(oldest)));
    let shown = get(&app, &format!("deliveries/{oldest}")).await;
    assert_eq!(shown["attempts"][0]["reason"], "clientError");

    let stale = post(&app, &format!("deliveries/{oldest}/retry"), &[("if-match", "\"dead-9\"")]).await;
    assert_eq!(stale.status, 412, "{stale:?}");
    let not_pending = post(&app, &format!("deliveries/{oldest}/cancel"), &[]).await;
    assert_eq!(not_pending.status, 409);
    sink.always("/in", Reply::status(503));
    let again = post(&app, &format!("deliveries/{oldest}/retry"), &[("if-match", "\"dead-1\"")]).await;
    assert_eq!((again.status, &again.json), (200, &json!({"changed": 1})));
    app.settle().await;
    assert_eq!(deliveries(&app, DeliveryState::Pending).await.len(), 1);
    let cancelled = post(&app, &format!("deliveries/{oldest}/cancel"), &[]).await;
    assert_eq!(cancelled.json, json!({"changed": 1}), "{cancelled:?}");
    let shown = get(&app, &format!("deliveries/{oldest}")).await;
    assert_eq!(shown["delivery"]["state"], "dead");
    assert_eq!(shown["delivery"]["detail"], "cancelled by local");
    let all = post(&app, "deliveries/retry?receiver=nobody", &[]).await;
    assert_eq!(all.json, json!({"changed": 0}));
    assert_eq!(post(&app, "deliveries/nobody-at-all/retry", &[]).await.status, 404);

    let audit = get(&app, "audit?limit=2").await;
    let actions = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(actions(&audit), ["delivery.retry", "delivery.cancel"]);
    let next = audit["next"].as_str().unwrap();
    assert_eq!(actions(&get(&app, &format!("audit?before={next}")).await), ["delivery.retry"]);
    app.stop().await;
}

#[tokio::test]
async fn receivers_say_how_they_are_and_take_a_test() {
    let sink = HttpSink::start().await;
    sink.always("/in", Reply::status(200));
    sink.always("/sick", Reply::status(503));
    let (well, sick) = (webhook(&sink, "/in", ""), webhook(&sink, "/sick", ""));
    let receivers = [receiver("ops", &[&well]), receiver("sick", &[&sick]), receiver("none", &[])];
    let app = Setup::new(routing(&receivers)).start().await;
    let listed = get(&app, "receivers").await;
    let health: Vec<_> = listed["items"].as_array().unwrap().iter().map(|one| &one["health"]).collect();
    assert_eq!(health, [&json!("ok"), &json!("ok"), &json!("none")]);
    let tested = post(&app, "receivers/ops/test", &[]).await;
    assert_eq!(tested.json["items"][0]["outcome"], "delivered", "{tested:?}");
    let [request] = sink.requests("/in").try_into().unwrap();
    assert_eq!(request.json()["alerts"][0]["labels"]["alertname"], "TestNotification");
    let tested = post(&app, "receivers/sick/test", &[]).await;
    assert_eq!(tested.json["items"][0]["outcome"], "retry", "{tested:?}");
    assert_eq!(post(&app, "receivers/none/test", &[]).await.json, json!({"items": []}));
    assert_eq!(post(&app, "receivers/nobody/test", &[]).await.status, 404);
    assert_eq!(get(&app, "deliveries").await["items"], json!([]), "a test is no delivery");
    app.stop().await;
}

#[tokio::test]
async fn status_rules_and_money_are_told() {
    let app = two_alerts(quiet()).await;
    let status = get(&app, "status").await;
    assert_eq!((&status["inbox"]["events_total"], &status["inbox"]["lag_events"]), (&json!(2), &json!(0)));
    assert_eq!((&status["firing"], &status["store_error"]), (&json!(2), &Value::Null));
    let rules = get(&app, "rules").await;
    assert_eq!((&rules["items"][0]["state"], &rules["items"][0]["firing"]), (&json!("firing"), &json!(2)));
    for by in ["account", "product", "day", "kind", "connection", "country", "number"] {
        let spend = get(&app, &format!("spend?by={by}&time_zone=Europe/Berlin")).await;
        assert_eq!((&spend["by"], &spend["partial"]), (&json!(by), &json!(false)), "{spend}");
    }
    assert_eq!(get(&app, "balance").await, json!({"items": []}));
    assert_eq!(get(&app, "balance/default").await, json!({"items": []}));
    for (path, status) in [
        ("balance/nobody", 404),
        ("balance/default?since=yesterday", 400),
        ("spend?by=colour", 400),
        ("spend?time_zone=Nowhere/At_all", 400),
        ("spend?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", 400),
    ] {
        assert_eq!(ask(&app, "GET", &format!("/api/v1/{path}"), None).await.status, status, "{path}");
    }
    app.stop().await;
}
