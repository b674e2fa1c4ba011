//! What Prometheus sees: names and labels it likes, all there from the first scrape, none made by a stranger.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::app::{Setup, TestApp, route};
use crate::support::http::{HttpSink, Reply};
use crate::support::prometheus::{Prometheus, check_metrics};
use crate::support::raw::{self, RawClient};
use crate::support::telnyx::{Signer, call_cost, event, spend_limit};
use crate::support::wait::{SOON, eventually_async};

/// Slack and a webhook for `ops`, which falls back to `other`.
fn routing(sink: &HttpSink) -> String {
    format!(
        "{}receivers:\n  - name: ops\n    fallback: other\n    slack_configs: [{{api_url: '{}'}}]\n    \
         webhook_configs: [{{url: '{}'}}]\n  - name: other\n",
        route("ops"),
        sink.url("/slack"),
        sink.url("/hook"),
    )
}

async fn start(sink: &HttpSink) -> TestApp {
    Setup::new(routing(sink)).start().await
}

async fn page(app: &TestApp) -> String {
    let (status, page) = app.private_get("/metrics").await;
    assert_eq!(status, 200);
    page
}

/// The series of a page without their values, and without the buckets of histograms.
fn series(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let names = samples.map(|line| line.rsplit_once(' ').expect("a value").0.to_owned());
    names.filter(|name| name.starts_with("tollbell_") && !name.contains("_bucket{")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_configured_name_is_at_zero_on_the_first_scrape() {
    let sink = HttpSink::start().await;
    let app = start(&sink).await;
    let first = page(&app).await;
    assert_eq!(check_metrics(&first), Ok(()), "promtool dislikes a fresh page");
    for name in [
        "webhooks_received_total{account=\"default\",kind=\"call.cost\"}",
        "webhooks_received_total{account=\"default\",kind=\"message.finalized\"}",
        "webhooks_received_total{account=\"default\",kind=\"other\"}",
        "webhooks_rejected_total{account=\"default\",reason=\"bad_signature\"}",
        "webhooks_rejected_total{account=\"default\",reason=\"clock\"}",
        "webhooks_rejected_total{account=\"\",reason=\"wrong_path\"}",
        "events_duplicate_total{account=\"default\"}",
        "events_faulted_total{account=\"default\"}",
        "rule_evaluations_total{outcome=\"fired\",rule=\"spend/SpendLimitReached\"}",
        "rule_evaluations_total{outcome=\"missing_field\",rule=\"spend/SpendLimitReached\"}",
        "alerts{alertname=\"SpendLimitReached\",state=\"firing\"}",
        "notifications_total{integration=\"slack\",receiver=\"ops\"}",
        "notifications_failed_total{integration=\"webhook\",reason=\"serverError\",receiver=\"ops\"}",
        "notifications_resent_total{integration=\"slack\",receiver=\"ops\"}",
        "notification_latency_seconds_count{integration=\"slack\",receiver=\"ops\"}",
        "fallbacks_total{receiver=\"ops\"}",
        "dead_letters_total{integration=\"webhook\",receiver=\"ops\"}",
        "template_errors_total{template=\"slack\"}",
        "deliveries{state=\"dead\"}",
        "inbox_lag_events",
        "inbox_lag_seconds",
        "webhook_ack_duration_seconds_count",
    ] {
        assert!(
            first.contains(&format!("\ntollbell_{name} 0\n")),
            "{name} is not at 0 in\n{first}"
        );
    }
    assert!(first.contains("\ntollbell_config_last_reload_successful 1\n"), "{first}");
    assert!(first.contains(concat!(
        "tollbell_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"} 1"
    )));
    assert!(first.contains("\nprocess_resident_memory_bytes "), "{first}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_of_all_sorts_makes_no_new_series_and_promtool_stays_content() {
    let sink = HttpSink::start().await;
    sink.always("/hook", Reply::status(400).body("no"));
    let app = start(&sink).await;
    let before = series(&page(&app).await);
    let now = app.clock.now();

    assert_eq!(app.deliver(spend_limit("e-1", now, "p-1", "10.00", "10.02")).await, 200);
    for leg in ["leg-1", "leg-2"] {
        assert_eq!(app.deliver(call_cost(leg, now, leg, Some("0.01"))).await, 200);
    }
    assert_eq!(app.deliver(call_cost("leg-1", now, "leg-1", Some("0.01"))).await, 200);
    // Kinds that nobody knows, some made to break the exposition.
    for kind in ["brand.new", "other", "x\"} 1\nevil 1\n", "call.costs", "ünïcödé"] {
        let body = event(&format!("e-{kind:?}"), kind, now, &json!({}));
        assert_eq!(app.deliver(body).await, 200);
    }
    assert_eq!(app.deliver("no json").await, 200);
    app.settle().await;
    // Strangers: another key, no headers, accounts, paths and methods that are not there.
    let to = app.app().public_addr;
    let forged = Signer::from_seed([1; 32]).headers(now, b"{}");
    for (method, path, headers, status) in [
        ("POST", "/webhooks/telnyx", &forged[..], 401),
        ("POST", "/webhooks/telnyx", &[], 400),
        ("POST", "/webhooks/telnyx/evil%22%7D", &forged[..], 404),
        ("POST", "/webhooks/evil", &forged[..], 404),
        ("PATCH", "/webhooks/telnyx", &forged[..], 405),
    ] {
        assert_eq!(
            raw::request(to, method, path, headers, b"{}").await.unwrap().status,
            status,
            "{method} {path}"
        );
    }
    let mut garbage = RawClient::connect(to).await.unwrap();
    garbage.send(b"\x00\x01\x02 evil\r\n\r\n").await.unwrap();
    let _closed = garbage.response().await;

    let after = page(&app).await;
    assert_eq!(check_metrics(&after), Ok(()), "promtool dislikes the page after traffic");
    let new: Vec<String> = series(&after).difference(&before).cloned().collect();
    assert!(new.is_empty(), "{new:?}");
    for (series, value) in [
        ("webhooks_received_total{account=\"default\",kind=\"call.cost\"}", 3.0),
        ("webhooks_received_total{account=\"default\",kind=\"unparsed\"}", 1.0),
        ("webhooks_received_total{account=\"default\",kind=\"unnamed\"}", 1.0),
        ("events_duplicate_total{account=\"default\"}", 1.0),
        ("webhooks_rejected_total{account=\"default\",reason=\"bad_signature\"}", 1.0),
        ("webhooks_rejected_total{account=\"default\",reason=\"missing_header\"}", 1.0),
        ("webhooks_rejected_total{account=\"\",reason=\"wrong_path\"}", 2.0),
        ("rule_evaluations_total{outcome=\"fired\",rule=\"spend/SpendLimitReached\"}", 1.0),
        ("alerts{alertname=\"SpendLimitReached\",state=\"firing\"}", 1.0),
        ("notifications_total{integration=\"slack\",receiver=\"ops\"}", 1.0),
        (
            "notifications_failed_total{integration=\"webhook\",reason=\"clientError\",receiver=\"ops\"}",
            1.0,
        ),
        ("notification_latency_seconds_count{integration=\"slack\",receiver=\"ops\"}", 1.0),
        ("dead_letters_total{integration=\"webhook\",receiver=\"ops\"}", 1.0),
        ("deliveries{state=\"delivered\"}", 1.0),
        ("deliveries{state=\"dead\"}", 1.0),
        ("fallbacks_total{receiver=\"ops\"}", 0.0),
        ("inbox_lag_events", 0.0),
        ("webhook_ack_duration_seconds_count", 10.0),
    ] {
        assert_eq!(app.metric(&format!("tollbell_{series}")).await, value, "{series}\n{after}");
    }
    let other =
        app.metric("tollbell_webhooks_received_total{account=\"default\",kind=\"other\"}").await;
    assert_eq!(other, 4.0);
    assert!(!after.contains("evil") && !after.contains("brand.new"), "{after}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_sees_how_many_webhooks_came() {
    let sink = HttpSink::start().await;
    let app = start(&sink).await;
    let prometheus = Prometheus::scraping(app.app().private_addr);
    for leg in ["leg-1", "leg-2", "leg-3"] {
        assert_eq!(app.deliver(call_cost(leg, app.clock.now(), leg, Some("0.01"))).await, 200);
    }
    let expression = "tollbell_webhooks_received_total{kind=\"call.cost\"} == 3";
    let samples = prometheus.wait_for(expression).await;
    assert_eq!(samples.len(), 1, "{samples:?}");
    let labels = &samples[0].0;
    assert_eq!((&labels["account"], &labels["job"]), (&json!("default"), &json!("tollbell")));
    let up = prometheus.wait_for("up").await;
    assert_eq!(up[0].1, "1");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_a_store_that_cannot_be_written_from_a_process_that_is_gone() {
    let sink = HttpSink::start().await;
    let app = start(&sink).await;
    assert_eq!(app.private_get("/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(app.private_get("/readyz").await, (200, "ok\n".to_owned()));
    // The public listener knows none of it.
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(raw::get(app.app().public_addr, path).await.unwrap().status, 404, "{path}");
    }
    assert_eq!(app.private_get("/webhooks/telnyx").await.0, 404);

    app.app().store.pragma("query_only = 1").await.unwrap();
    let (status, said) = app.private_get("/readyz").await;
    assert!(status == 503 && said.starts_with("not ready: "), "{status} {said}");
    assert_eq!(app.private_get("/livez").await.0, 200);
    assert_eq!(app.private_get("/metrics").await.0, 200);
    eventually_async(SOON, async || {
        let ready = app.private_get("/readyz").await.0 == 200;
        ready.then_some(())
    })
    .await;
    app.stop().await;
}
