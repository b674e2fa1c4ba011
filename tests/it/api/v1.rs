//! tollbell's own API.

use std::time::Duration;

use serde_json::{Value, json};
use tollbell::store::{DeliveryState, Feed, Reading};

use super::tokens::TOKENS;
use super::{Answer, ask, ask_with, quiet, two_alerts};
use crate::dispatch::{deliveries, receiver, ring, routing, webhook};
use crate::support::app::{Setup, TestApp, reqwest_client};
use crate::support::http::{HttpSink, Reply};

async fn get(app: &TestApp, path: &str) -> Value {
    let answer = ask(app, "GET", &format!("/api/v1/{path}"), None).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json
}

async fn post(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask_with(app, "POST", &format!("/api/v1/{path}"), headers, None).await
}

/// One member of each item of a list.
fn each(list: &Value, member: &str) -> Vec<Value> {
    list["items"].as_array().unwrap().iter().map(|item| item[member].clone()).collect()
}

/// The receiver `ops` at a peer that answers as the sink does, and two deliveries to it, oldest first.
async fn two_deliveries(sink: &HttpSink) -> (TestApp, [String; 2]) {
    let app = Setup::new(routing(&[receiver("ops", &[&webhook(sink, "/in", "")])])).start().await;
    ring(&app, "e-1", "p").await;
    app.settle().await;
    ring(&app, "e-2", "q").await;
    app.settle().await;
    let listed = get(&app, "deliveries").await;
    let [newest, oldest] = each(&listed, "id").try_into().unwrap();
    (app, [oldest, newest].map(|id| id.as_str().unwrap().to_owned()))
}

#[tokio::test]
async fn the_document_that_is_checked_in_is_the_one_that_is_served() {
    let app = quiet().start().await;
    let served = ask(&app, "GET", "/api/v1/openapi.json", None).await;
    assert_eq!(served.json["openapi"], "3.1.0");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap();
    let anew = "write it anew: tollbell schema --openapi > docs/reference/openapi.json";
    assert!(kept == served.text, "{anew}");
    app.stop().await;
}

#[tokio::test]
async fn events_are_listed_in_pages_shown_and_explained() {
    let app = two_alerts(quiet()).await;
    let first = get(&app, "events?limit=1").await;
    assert_eq!(each(&first, "id"), ["e-2"]);
    let next = first["next"].as_str().unwrap();
    let second = get(&app, &format!("events?limit=1&before={next}")).await;
    assert_eq!(each(&second, "id"), ["e-1"]);
    assert_eq!(second["next"], Value::Null, "a full page at the end");
    let last = second["items"][0]["seq"].to_string();
    let behind = get(&app, &format!("events?before={last}")).await;
    assert_eq!(behind, json!({"items": [], "next": null}));
    let kind = first["items"][0]["kind"].as_str().unwrap();
    for (query, count) in [
        ("kind=call.*", 0),
        ("state=judged&account=default", 2),
        ("state=faulted", 0),
        (&format!("without_kind={kind}"), 0),
        ("without_kind=call.cost", 2),
    ] {
        let listed = get(&app, &format!("events?{query}")).await;
        assert_eq!(each(&listed, "id").len(), count, "{query}");
    }
    let shown = get(&app, "events/e-1?account=default").await;
    assert_eq!(shown["stored"]["event"]["payload"]["profile_id"], "p");
    let judged = &shown["judgements"][0]["outcome"];
    assert_eq!((&shown["state"], judged), (&json!("judged"), &json!("fired")));
    let explained = get(&app, "events/e-1/explain?rule=*").await;
    assert_eq!(explained["then"]["judgements"][0]["outcome"], "fired");
    assert_eq!(explained["today"]["rules"][0]["outcome"], "matches", "{explained}");
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_problem() {
    let app = two_alerts(quiet()).await;
    for (path, status, words) in [
        ("events?limit=0", 400, "1 to 1000"),
        ("events?limit=1001", 400, "1 to 1000"),
        ("events?limit=x", 400, "1 to 1000"),
        ("events?state=odd", 400, "waiting, judged, faulted"),
        ("events?before=x", 400, "before"),
        ("events?nobody=knows", 400, "unknown parameter"),
        ("events?kind=a&kind=b", 400, "twice"),
        ("deliveries?receiver=", 400, "receiver: is empty"),
        ("deliveries?receiver=nobody", 404, "no receiver has the name \"nobody\""),
        ("events?kind=%00", 400, "zero byte"),
        ("events/nobody", 404, "nobody"),
        ("events/%ff", 404, ""),
        ("events/e-1?x=1", 400, "unknown parameter"),
        ("events/nobody/explain", 404, "nobody"),
        ("deliveries?state=odd", 400, "superseded"),
        ("deliveries/nobody-at-all", 404, "nobody-at-all"),
        ("rules/no/Such", 404, "no/Such"),
        ("balance/nobody/readings", 404, "nobody"),
        ("balance/default/readings?since=yesterday", 400, "2026-11-23T22:00:00Z"),
        ("spend?by=colour", 400, "country"),
        ("spend?time_zone=Nowhere/At_all", 400, "time_zone"),
        ("spend?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", 400, "empty"),
        ("spend?account=nobody", 404, "no account nobody: there is default"),
        ("events/nobody/explain?no_state=maybe", 400, "true, false"),
        ("nothing", 404, "not found"),
    ] {
        let answer = ask(&app, "GET", &format!("/api/v1/{path}"), None).await;
        let said = (answer.status, &answer.json["status"]);
        assert_eq!(said, (status, &json!(status)), "{path}: {}", answer.text);
        assert_eq!(answer.kind.as_deref(), Some("application/problem+json"), "{path}");
        assert!(answer.json["detail"].as_str().unwrap().contains(words), "{path}: {}", answer.text);
    }
    for (method, path, allow) in [
        ("POST", "events", "GET"),
        ("DELETE", "deliveries/x", "GET"),
        ("GET", "deliveries/x/retry", "POST"),
        ("PUT", "receivers/ops/test", "POST"),
    ] {
        let answer = ask(&app, method, &format!("/api/v1/{path}"), None).await;
        assert_eq!((answer.status, answer.allow.as_deref()), (405, Some(allow)), "{method} {path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_tried_again_once_it_was_seen_as_it_is() {
    let sink = HttpSink::start().await;
    sink.always("/in", Reply::status(400));
    let (app, [oldest, newest]) = two_deliveries(&sink).await;
    let dead = get(&app, "deliveries?state=dead&limit=1").await;
    assert_eq!((each(&dead, "id"), dead["next"].as_str()), (vec![json!(newest)], Some(&*newest)));
    let behind = get(&app, &format!("deliveries?receiver=ops&before={newest}")).await;
    assert_eq!((each(&behind, "id"), &behind["next"]), (vec![json!(oldest)], &Value::Null));

    let all = get(&app, "deliveries?limit=2").await;
    assert_eq!((each(&all, "id").len(), &all["next"]), (2, &Value::Null), "a full page at the end");
    let receivers = get(&app, "receivers").await;
    let reached = &receivers["items"][0]["integrations"][0];
    assert_eq!(reached["health"], "failing", "it refused all: {receivers}");
    assert!(reached["problem"].as_str().unwrap().starts_with("clientError: "), "{receivers}");

    let shown = ask(&app, "GET", &format!("/api/v1/deliveries/{oldest}"), None).await;
    assert_eq!(shown.json["attempts"][0]["reason"], "clientError");
    let etag = shown.etag.unwrap();
    let retry = format!("deliveries/{oldest}/retry");
    let stale = post(&app, &retry, &[("if-match", "\"pending-0\"")]).await;
    assert_eq!(stale.status, 412, "{stale:?}");
    let cancel = post(&app, &format!("deliveries/{oldest}/cancel"), &[]).await;
    assert_eq!(cancel.status, 409, "it waits no more");
    for path in [&*retry, "deliveries/retry", "receivers/ops/test"] {
        let path = format!("/api/v1/{path}");
        let meant = ask_with(&app, "POST", &path, &[], Some("{\"receiver\": \"noc\"}")).await;
        let kind = meant.kind.as_deref();
        assert_eq!((meant.status, kind), (400, Some("application/problem+json")), "{path}");
        assert!(meant.text.contains("this operation takes none"), "{meant:?}");
    }
    assert_eq!(get(&app, "audit").await["items"], json!([]), "nothing was changed");

    sink.always("/in", Reply::status(200));
    let again = post(&app, &retry, &[("if-match", &format!("\"x\", {etag}"))]).await;
    let left_alone = json!({"count": 1, "open": 0, "notified": 0, "newer": 0, "instead": null});
    assert_eq!((again.status, &again.json), (200, &left_alone));
    app.settle().await;
    let shown = get(&app, &format!("deliveries/{oldest}")).await;
    assert_eq!(shown["delivery"]["state"], "delivered");
    let gone = post(&app, &retry, &[("if-match", &etag)]).await;
    assert_eq!(gone.status, 412, "{gone:?}");
    let unknown = post(&app, "deliveries/retry?receiver=nobody", &[]).await;
    assert!(unknown.status == 404 && unknown.text.contains("nobody"), "{unknown:?}");
    assert_eq!(post(&app, "deliveries/retry?receiver=ops", &[]).await.json["count"], 1);
    assert_eq!(post(&app, "deliveries/retry", &[]).await.json["count"], 0);

    let audit = get(&app, "audit?limit=2").await;
    assert_eq!(each(&audit, "subject"), ["all", "ops"]);
    let next = audit["next"].as_str().unwrap();
    let first = get(&app, &format!("audit?before={next}")).await;
    let entry = &first["items"][0];
    assert_eq!([&entry["action"], &entry["subject"]], [&json!("delivery.retry"), &json!(oldest)]);
    assert_eq!([&entry["who"], &entry["from"]], [&json!("local"), &json!("127.0.0.1")]);
    app.stop().await;
}

#[tokio::test]
async fn what_waits_is_cancelled_and_not_sent() {
    let sink = HttpSink::start().await;
    sink.always("/in", Reply::status(503));
    let (app, [oldest, _]) = two_deliveries(&sink).await;
    let before = sink.requests("/in").len();
    let cancelled = post(&app, &format!("deliveries/{oldest}/cancel"), &[]).await;
    assert_eq!(cancelled.json, json!({"id": oldest, "state": "dead"}), "{cancelled:?}");
    let shown = get(&app, &format!("deliveries/{oldest}")).await;
    let why = (&shown["delivery"]["reason"], &shown["delivery"]["detail"]);
    assert_eq!(why, (&json!("cancelled"), &json!("cancelled by local")));
    let again = post(&app, &format!("deliveries/{oldest}/cancel"), &[]).await;
    assert_eq!(again.status, 409);
    assert_eq!(deliveries(&app, DeliveryState::Pending).await.len(), 1);
    assert_eq!(sink.requests("/in").len(), before);
    app.stop().await;
}

#[tokio::test]
async fn receivers_say_how_they_are_reached_and_take_a_test() {
    let sink = HttpSink::start().await;
    sink.always("/in", Reply::status(200));
    sink.always("/sick", Reply::status(503));
    let (well, sick) = (webhook(&sink, "/in", ""), webhook(&sink, "/sick", ""));
    let receivers = [receiver("ops", &[&sick]), receiver("well", &[&well]), receiver("none", &[])];
    let app = two_alerts(Setup::new(routing(&receivers))).await;
    let listed = get(&app, "receivers").await;
    assert_eq!(each(&listed, "name"), ["ops", "well", "none"]);
    let first = &listed["items"][0]["integrations"][0];
    assert_eq!((&first["health"], &first["kind"]), (&json!("failing"), &json!("webhook")));
    assert!(first["problem"].as_str().unwrap().starts_with("serverError: "), "{listed}");
    assert_eq!(listed["items"][1]["integrations"][0]["health"], "unused");
    assert_eq!(listed["items"][2]["integrations"], json!([]));
    let pending = json!({"state": "pending", "count": 2});
    assert!(listed["items"][0]["deliveries"].as_array().unwrap().contains(&pending), "{listed}");

    for (name, expected) in [("well", json!([true])), ("ops", json!([false])), ("none", json!([]))]
    {
        let tested = post(&app, &format!("receivers/{name}/test"), &[]).await;
        let items = tested.json["items"].as_array().unwrap();
        let delivered: Vec<&Value> = items.iter().map(|item| &item["delivered"]).collect();
        assert_eq!(json!(delivered), expected, "{tested:?}");
    }
    let [request] = sink.requests("/in").try_into().unwrap();
    assert_eq!(request.json()["alerts"][0]["labels"]["alertname"], "TestNotification");
    assert_eq!(post(&app, "receivers/nobody/test", &[]).await.status, 404);
    let audit = get(&app, "audit?action=receiver.test").await;
    assert_eq!(each(&audit, "subject"), ["none", "ops", "well"]);
    assert_eq!(get(&app, "deliveries?receiver=well").await["items"], json!([]), "no delivery");
    app.stop().await;
}

#[tokio::test]
async fn status_says_what_is_in_force_and_how_the_last_reload_went() {
    let app = two_alerts(quiet()).await;
    let status = get(&app, "status").await;
    let inbox = json!({"events_total": 2, "lag_events": 0, "lag_seconds": 0});
    assert_eq!((&status["inbox"], &status["firing"]), (&inbox, &json!(2)));
    assert_eq!(status["store"], json!({"kind": "sqlite", "error": null}));
    assert_eq!((&status["judges"], &status["replicas"]), (&json!(true), &json!([])));
    assert_eq!(status["config"]["last_reload"], Value::Null);
    let rules = app.dir.path().join("rules.yaml");
    let good = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, good.replace("when:", "wen:").replace("on:", "onn:")).unwrap();
    app.app().reload().await.expect_err("refused");
    let refused = get(&app, "status").await;
    let last = &refused["config"]["last_reload"];
    assert_eq!(
        (&last["ok"], &refused["config"]["hash"]),
        (&json!(false), &status["config"]["hash"])
    );
    assert!(last["problems"][0].as_str().unwrap().contains("rules.yaml"), "{last}");
    std::fs::write(&rules, good + "\n").unwrap();
    app.app().reload().await.expect("taken over");
    let taken = get(&app, "status").await;
    assert_eq!(taken["config"]["last_reload"]["ok"], true);
    app.stop().await;
}

#[tokio::test]
async fn rules_say_where_they_stand_and_what_they_said_last() {
    let app = two_alerts(quiet()).await;
    let listed = get(&app, "rules").await;
    let rule = &listed["items"][0];
    assert_eq!(
        (&rule["state"], &rule["firing"], &rule["kind"]),
        (&json!("firing"), &json!(2), &json!("event"))
    );
    assert_eq!((&rule["last"]["outcome"], &rule["last"]["seq"]), (&json!("fired"), &json!(2)));
    let shown = get(&app, &format!("rules/{}", rule["name"].as_str().unwrap())).await;
    assert_eq!(&shown["rule"], rule);
    let profiles: Vec<&Value> =
        shown["alerts"].as_array().unwrap().iter().map(|one| &one["labels"]["profile"]).collect();
    assert!(profiles.contains(&&json!("p")) && profiles.len() == 2, "{shown}");
    assert_eq!((&shown["series"], &shown["over"]), (&json!([]), &Value::Null));
    app.stop().await;
}

#[tokio::test]
async fn money_is_exact_and_in_pages() {
    let app = quiet().begins("2026-11-23T12:00:00Z").start().await;
    let costs = [("c-1", "call-1", "0.1"), ("c-2", "call-2", "0.20")];
    for (id, leg, cost) in costs {
        let at = app.clock.now();
        let body = crate::support::telnyx::event(
            id,
            "call.cost",
            at,
            &json!({"call_leg_id": leg, "total_cost": cost, "billed_duration_secs": 60, "status": "valid"}),
        );
        assert_eq!(app.deliver(body).await, 200);
    }
    app.settle().await;
    app.clock.advance(Duration::from_secs(1));
    for by in ["account", "product", "day", "kind", "connection", "country", "number"] {
        let spend = get(&app, &format!("spend?by={by}&time_zone=Europe/Berlin")).await;
        let total = json!([{"currency": "USD", "charges": 2, "amount": "0.30"}]);
        assert_eq!((&spend["by"], &spend["totals"]), (&json!(by), &total), "{spend}");
    }
    let day = get(&app, "spend?by=day").await;
    assert_eq!(day["rows"][0]["group"], "2026-11-23");
    assert_eq!(get(&app, "spend?account=default&limit=0").await["rows"], json!([]));

    let unread = json!([{"account": "default", "last": null, "forecast": null}]);
    assert_eq!(get(&app, "balance").await["items"], unread);
    for (minute, balance) in [(1, "10.00"), (2, "9.50"), (3, "9.0")] {
        let reading = Reading {
            account: "default".to_owned(),
            at: format!("2026-11-23T11:0{minute}:00Z").parse().unwrap(),
            currency: Some("USD".to_owned()),
            balance: balance.parse().ok(),
            available_credit: None,
            credit_limit: None,
            pending: None,
            burn_per_hour: "1.5".parse().ok(),
            hours_left: "6".parse().ok(),
        };
        let feed = Feed { reading: Some(reading), ..Feed::default() };
        app.app().store.feed(feed).await.unwrap();
    }
    let balance = get(&app, "balance").await;
    assert_eq!(balance["items"][0]["last"]["balance"], "9.0");
    assert_eq!(balance["items"][0]["forecast"]["hours_left"], "6");
    let page = get(&app, "balance/default/readings?limit=2").await;
    assert_eq!(each(&page, "balance"), ["9.0", "9.50"]);
    let next = page["next"].as_str().unwrap();
    let behind = get(&app, &format!("balance/default/readings?before={next}")).await;
    assert_eq!(each(&behind, "balance"), ["10.00"]);
    app.stop().await;
}

#[tokio::test]
async fn a_stream_says_what_has_changed_and_ends_with_the_service() {
    let app = quiet().start().await;
    let url = format!("http://{}/api/v1/stream", app.app().private_addr);
    let mut response = reqwest_client().get(url).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut piece =
        async || String::from_utf8(response.chunk().await.unwrap().unwrap().into()).unwrap();
    let mut heard = String::new();
    while !heard.contains(": connected\n\n") {
        heard += &piece().await;
    }
    ring(&app, "e-1", "p").await;
    let mut events: Vec<(String, Value)> = Vec::new();
    let has = |events: &[(String, Value)], name: &str, member: &str, value: u64| {
        events.iter().any(|(event, data)| event == name && data[member] == value)
    };
    while !(has(&events, "events", "total", 1) && has(&events, "alerts", "firing", 1)) {
        heard += &piece().await;
        while let Some((event, rest)) = heard.split_once("\n\n") {
            if let Some((name, data)) = event.split_once("\ndata: ") {
                let name = name.strip_prefix("event: ").unwrap().to_owned();
                events.push((name, serde_json::from_str(data).unwrap()));
            }
            heard = rest.to_owned();
        }
    }
    app.stop().await;
    while let Ok(Some(_)) = response.chunk().await {}
}

#[tokio::test]
async fn one_who_may_read_changes_nothing() {
    let app = two_alerts(quiet().server(TOKENS)).await;
    let read = ("authorization", "Bearer read-0123456789abcdef");
    let write = ("authorization", "Bearer write-0123456789abcdef");
    for (method, path, [nobody, reader, writer]) in [
        ("GET", "status", [401, 200, 200]),
        ("GET", "openapi.json", [401, 200, 200]),
        ("GET", "stream?x=1", [401, 400, 400]),
        ("POST", "deliveries/retry", [401, 403, 200]),
        ("POST", "deliveries/nobody-at-all/retry", [401, 403, 404]),
        ("POST", "deliveries/nobody-at-all/cancel", [401, 403, 404]),
        ("POST", "receivers/ops/test", [401, 403, 200]),
    ] {
        for (headers, expected) in [(&[][..], nobody), (&[read], reader), (&[write], writer)] {
            let path = format!("/api/v1/{path}");
            let answer = ask_with(&app, method, &path, headers, None).await;
            assert_eq!(answer.status, expected, "{headers:?} {method} {path}: {}", answer.text);
            let problem = answer.kind.as_deref() == Some("application/problem+json");
            assert_eq!(problem, expected >= 400, "{path}");
        }
    }
    let audit = ask_with(&app, "GET", "/api/v1/audit", &[read], None).await.json;
    assert_eq!(each(&audit, "who"), ["token", "token"]);
    assert_eq!(each(&audit, "action"), ["receiver.test", "delivery.retry"]);
    app.stop().await;
}
