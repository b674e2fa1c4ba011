//! Silences over Alertmanager's API: made, changed, expired, and in the audit log.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tollbell::clock;
use tollbell::store::AuditFilter;

use super::{Answer, ask, ask_with, quiet, two_alerts};
use crate::support::app::TestApp;

fn hours(app: &TestApp, hours: u64) -> String {
    format!("{:.3}", clock::add(app.clock.now(), Duration::from_hours(hours)))
}

fn silence(app: &TestApp, starts: u64, ends: u64) -> Value {
    json!({
        "matchers": [{"name": "profile", "value": "p", "isRegex": false}],
        "startsAt": hours(app, starts), "endsAt": hours(app, ends),
        "createdBy": "ada", "comment": "paying",
    })
}

async fn post(app: &TestApp, silence: &Value) -> Answer {
    ask(app, "POST", "/api/v2/silences", Some(&silence.to_string())).await
}

async fn made(app: &TestApp, silence: &Value) -> String {
    let answer = post(app, silence).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json["silenceID"].as_str().unwrap().to_owned()
}

async fn get(app: &TestApp, id: &str) -> Value {
    let answer = ask(app, "GET", &format!("/api/v2/silence/{id}"), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json
}

#[tokio::test]
async fn a_silence_suppresses_its_alert_at_once_and_lets_it_go_when_it_expires() {
    let app = two_alerts(quiet()).await;
    let id = made(&app, &silence(&app, 0, 2)).await;
    let read = get(&app, &id).await;
    assert_eq!(read["status"], json!({"state": "active"}));
    assert_eq!(
        read["matchers"],
        json!([{"isEqual": true, "isRegex": false, "name": "profile", "value": "p"}])
    );
    let silenced = async || {
        let alerts = ask(&app, "GET", "/api/v2/alerts?filter=profile%3Dp", None).await.json;
        (alerts[0]["status"]["state"].clone(), alerts[0]["status"]["silencedBy"].clone())
    };
    assert_eq!(silenced().await, (json!("suppressed"), json!([id])));
    let left = ask(&app, "GET", "/api/v2/alerts?silenced=false", None).await.json;
    assert_eq!(left.as_array().unwrap().len(), 1);
    for _ in 0..2 {
        let ended = ask(&app, "DELETE", &format!("/api/v2/silence/{id}"), None).await;
        assert_eq!((ended.status, ended.text.as_str()), (200, ""));
    }
    assert_eq!(silenced().await, (json!("active"), json!([])));
    assert_eq!(get(&app, &id).await["status"]["state"], "expired");
    let unknown = ask(&app, "DELETE", "/api/v2/silence/0b5c9d1e-0000-4000-8000-00000000abcd", None);
    let unknown = unknown.await;
    assert_eq!((unknown.status, unknown.text.as_str(), unknown.kind), (404, "", None));
    let no_id = ask(&app, "GET", "/api/v2/silence/x", None).await;
    assert_eq!((no_id.status, &no_id.json["code"]), (422, &json!(601)));

    let audit = app.app().store.audit(AuditFilter { limit: 9, ..AuditFilter::default() }).await;
    let audit = audit.unwrap();
    let noted: Vec<_> = audit.iter().map(|one| one.entry.action.as_str()).collect();
    assert_eq!(noted, ["silence.expire", "silence.create"], "what changes nothing is not noted");
    assert_eq!((audit[1].entry.who.as_str(), audit[1].entry.subject.as_str()), ("local", &*id));
    assert_eq!(audit[1].entry.detail, "profile=\"p\"");
    app.stop().await;
}

#[tokio::test]
async fn an_update_keeps_the_id_while_it_changes_no_history() {
    let app = two_alerts(quiet()).await;
    let first = silence(&app, 0, 2);
    let id = made(&app, &first).await;
    // As it was read, with times cut to milliseconds.
    let mut read = get(&app, &id).await;
    app.clock.advance(Duration::from_mins(1));
    read["comment"] = json!("");
    read["endsAt"] = json!(hours(&app, 3));
    assert_eq!(made(&app, &read).await, id);
    assert_eq!(get(&app, &id).await["comment"], "");

    let other = json!([{"name": "profile", "value": "q", "isRegex": true, "isEqual": false}]);
    read["matchers"] = other;
    let next = made(&app, &read).await;
    assert_ne!(next, id);
    assert_eq!(get(&app, &id).await["status"]["state"], "expired");
    read["id"] = json!(id);
    assert_ne!(made(&app, &read).await, id, "an expired one is not revived");

    let pending = made(&app, &silence(&app, 1, 2)).await;
    let mut moved = silence(&app, 2, 4);
    moved["id"] = json!(pending);
    assert_eq!(made(&app, &moved).await, pending);
    moved["startsAt"] = json!("2020-01-01T00:00:00Z");
    assert_ne!(made(&app, &moved).await, pending, "it would have begun already");

    for unknown in ["0b5c9d1e-0000-4000-8000-00000000abcd", "x"] {
        read["id"] = json!(unknown);
        let answer = post(&app, &read).await;
        assert!(answer.status == 404 && answer.json.is_string(), "{answer:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let app = two_alerts(quiet()).await;
    let id = made(&app, &silence(&app, 0, 2)).await;
    let with = |name: &str, value: Value| {
        let mut silence = silence(&app, 0, 2);
        silence["id"] = json!(id);
        silence[name] = value;
        silence.to_string()
    };
    let matchers = |name: &str, value: &str, regex: bool| json!([{"name": name, "value": value, "isRegex": regex}]);
    for (body, expected) in [
        (with("endsAt", json!(hours(&app, 0))), 400),
        (with("endsAt", json!("2020-01-01T00:00:00Z")), 400),
        (with("endsAt", json!("9999-12-31T00:00:00Z")), 400),
        (with("endsAt", json!("tomorrow")), 400),
        (with("endsAt", Value::Null), 422),
        (with("matchers", json!([])), 422),
        (with("matchers", matchers("a", "", false)), 400),
        (with("matchers", matchers("a", ".*", true)), 400),
        (with("matchers", matchers("a", "(", true)), 400),
        (with("matchers", matchers("", "x", false)), 400),
        (with("comment", json!(7)), 400),
        ("{".to_owned(), 400),
        (String::new(), 422),
    ] {
        let answer = ask(&app, "POST", "/api/v2/silences", Some(&body)).await;
        assert_eq!(answer.status, expected, "{body}: {answer:?}");
        assert!(answer.json.is_string() || answer.json["message"].is_string(), "{answer:?}");
    }
    let text = [("content-type", "text/plain")];
    let body = silence(&app, 0, 1).to_string();
    let answer = ask_with(&app, "POST", "/api/v2/silences", &text, Some(&body)).await;
    assert_eq!(answer.status, 415);
    let huge = " ".repeat(2 << 20);
    assert_eq!(ask(&app, "POST", "/api/v2/silences", Some(&huge)).await.status, 413);
    let listed = ask(&app, "GET", "/api/v2/silences", None).await.json;
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed[0]["status"]["state"], "active");
    app.stop().await;
}

#[tokio::test]
async fn silences_are_listed_in_order_and_filtered_by_their_own_matchers() {
    let app = two_alerts(quiet()).await;
    let mut ids = Vec::new();
    for (starts, ends) in [(0, 5), (0, 2), (3, 9), (1, 9), (0, 9)] {
        ids.push(made(&app, &silence(&app, starts, ends)).await);
    }
    ask(&app, "DELETE", &format!("/api/v2/silence/{}", ids[4]), None).await;
    let list = async |query: &str| {
        let listed = ask(&app, "GET", &format!("/api/v2/silences{query}"), None).await.json;
        let listed = listed.as_array().unwrap().iter();
        listed.map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let order = [1, 0, 3, 2, 4].map(|n: usize| ids[n].clone());
    assert_eq!(list("").await, order);
    assert_eq!(list("?filter=profile%3Dp").await, order);
    for none in ["profile%3D~p", "profile!%3Dq", "account%3D%22%22"] {
        assert_eq!(list(&format!("?filter={none}")).await, Vec::<String>::new(), "{none}");
    }
    // Times without a zone are UTC.
    let mut zoneless = silence(&app, 0, 1);
    zoneless["endsAt"] = json!(hours(&app, 1).trim_end_matches('Z'));
    let id = made(&app, &zoneless).await;
    let ends: Timestamp = get(&app, &id).await["endsAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(format!("{ends:.3}"), hours(&app, 1));
    app.stop().await;
}
