//! Who may ask for what.

use serde_json::json;
use tollbell::store::AuditFilter;

use super::{ask, ask_with, quiet, two_alerts};

pub(super) const TOKENS: &str =
    "  auth: {token: write-0123456789abcdef, read_token: read-0123456789abcdef}\n";

#[tokio::test]
async fn tokens_open_the_api_and_nothing_else_does() {
    let app = two_alerts(quiet().server(TOKENS)).await;
    let write = ("authorization", "Bearer write-0123456789abcdef");
    let read = ("authorization", "Bearer read-0123456789abcdef");
    let wrong = ("authorization", "Bearer read-0123456789abcde");
    let basic = ("authorization", "Basic d3JpdGU6d3JpdGU=");
    for (headers, method, path, expected) in [
        (&[][..], "GET", "/api/v2/alerts", 401),
        (&[], "GET", "/api/v2/nothing", 401),
        (&[], "GET", "/api/v1/nothing", 401),
        (&[wrong], "GET", "/api/v2/alerts", 401),
        (&[basic], "GET", "/api/v2/alerts", 401),
        (&[read], "GET", "/api/v2/alerts", 200),
        (&[write], "GET", "/api/v2/alerts", 200),
        (&[read, ("origin", "https://evil.example")], "GET", "/api/v2/alerts", 200),
        (&[read], "POST", "/api/v2/silences", 403),
        (&[read], "DELETE", "/api/v2/silence/0b5c9d1e-0000-4000-8000-00000000abcd", 403),
        (&[write], "DELETE", "/api/v2/silence/0b5c9d1e-0000-4000-8000-00000000abcd", 404),
        (&[write], "POST", "/api/v2/silences", 422),
        (&[], "POST", "/-/reload", 401),
        (&[read], "POST", "/-/reload", 403),
        (&[write], "POST", "/-/reload", 200),
        (&[], "GET", "/metrics", 200),
        (&[], "GET", "/livez", 200),
        (&[], "GET", "/-/ready", 200),
    ] {
        let answer = ask_with(&app, method, path, headers, None).await;
        assert_eq!(answer.status, expected, "{headers:?} {method} {path}: {}", answer.text);
        let problem = answer.kind.as_deref() == Some("application/problem+json");
        match expected {
            401 | 403 if path.starts_with("/api/v2") => assert_eq!(answer.json["code"], expected),
            401 | 403 => {
                assert!(problem && answer.json["status"] == expected, "{path}: {answer:?}");
            }
            _ => {}
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn without_tokens_a_loopback_listener_answers_all_but_pages_of_other_sites() {
    let app = two_alerts(quiet()).await;
    assert_eq!(ask(&app, "GET", "/api/v2/alerts", None).await.status, 200);
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("sec-fetch-site", "cross-site")],
        &[("host", "evil.example")],
    ] {
        let answer = ask_with(&app, "GET", "/api/v2/alerts", headers, None).await;
        assert_eq!((answer.status, &answer.json["code"]), (403, &json!(403)), "{headers:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_reload_swaps_the_tokens() {
    let app = two_alerts(quiet().server(TOKENS)).await;
    let other = quiet().server("  auth: {token_file: tokens}\n");
    std::fs::write(
        app.dir.path().join("tokens"),
        "first-0123456789abcdef\nsecond-0123456789abcdef\n",
    )
    .unwrap();
    app.write(&other);
    let old = [("authorization", "Bearer write-0123456789abcdef")];
    assert_eq!(ask_with(&app, "POST", "/-/reload", &old, None).await.status, 200);
    assert_eq!(ask_with(&app, "GET", "/api/v2/alerts", &old, None).await.status, 401);
    for token in ["first-0123456789abcdef", "second-0123456789abcdef"] {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        assert_eq!(ask_with(&app, "GET", "/api/v2/alerts", &headers, None).await.status, 200);
    }
    let filter = AuditFilter { limit: 9, ..AuditFilter::default() };
    let [noted] = app.app().store.audit(filter).await.unwrap().try_into().unwrap();
    let noted = noted.entry;
    assert_eq!((noted.who.as_str(), noted.action.as_str()), ("token", "config.reload"));
    app.stop().await;
}
