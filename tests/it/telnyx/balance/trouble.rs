//! Readings that fail, and what must not be seen then.

use std::fs;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tollbell::clock;

use super::{NEXT, events, events_in_time, payloads, readings, setup};
use crate::dispatch::{receiver, routing, slack};
use crate::support::app::{GROUP_INTERVAL, SPEND_LIMIT_RULE, Setup, TestApp, route};
use crate::support::http::{HttpSink, Reply};
use crate::support::process::{Addresses, Service};
use crate::support::raw;
use crate::support::telnyx::{self, Signer};
use crate::support::telnyx_api::{API_KEY, TelnyxApi, error};
use crate::support::wait::{SOON, eventually, eventually_async};

#[tokio::test]
async fn three_failures_in_a_row_are_told_and_their_end_even_across_a_restart() {
    let api = TelnyxApi::start().await;
    let mut app = setup(&api).start().await;
    events(&app, "account.balance", 1).await;
    let failures = [
        error(401, "10009", "Authentication failed"),
        Reply::garbage(),
        Reply::json(&json!({"data": {"balance": "many"}})),
        error(503, "10016", "Unavailable"),
        Reply::too_many("1"),
    ];
    let reasons = ["auth", "connect", "unreadable", "server", "rate_limited"];
    for (n, reply) in failures.into_iter().enumerate() {
        api.always("/balance", reply);
        if n == 2 {
            // The row goes on.
            app.restart(None).await;
        }
        let told = n.saturating_sub(1);
        if told == 0 {
            // No event tells of it: the place does.
            let failed = async || {
                let place = app.app().store.place("default", "balance").await.unwrap().unwrap();
                let place: Value = serde_json::from_slice(&place).unwrap();
                app.clock.advance(Duration::from_secs(1));
                (place["failures"] == n + 1).then_some(())
            };
            eventually_async(SOON, failed).await;
            continue;
        }
        let payload = events_in_time(&app, "account.unreachable", told).await.pop().unwrap();
        assert_eq!(payload["failures"], n + 1);
        assert_eq!(payload["reason"], reasons[n], "{payload:#}");
    }
    let payloads = payloads(&app, "account.unreachable").await;
    assert_eq!(
        [&payloads[1]["status"], &payloads[1]["code"], &payloads[1]["title"]],
        [&json!(503), &json!("10016"), &json!("Unavailable")]
    );
    assert_eq!(payloads[0]["status"], Value::Null);
    api.balance("90.00");
    let back = events_in_time(&app, "account.reachable", 1).await.remove(0);
    assert!(back["failures"].as_u64().unwrap() >= 5, "{back:#}");
    assert_eq!(back["since"], payloads[0]["since"]);
    assert!(back["seconds"].as_u64().unwrap() >= 4 * 54, "{back:#}");
    events_in_time(&app, "account.balance", 3).await;
    assert_eq!(super::payloads(&app, "account.reachable").await.len(), 1);
    app.stop().await;
}

/// Waits until the place says that so many readings in a row have failed.
async fn failures(app: &TestApp, count: u64) {
    let failed = async || {
        let place = app.app().store.place("default", "balance").await.unwrap()?;
        let place: Value = serde_json::from_slice(&place).unwrap();
        (place["failures"] == count).then_some(())
    };
    eventually_async(SOON, failed).await;
}

#[tokio::test]
async fn a_long_wait_that_telnyx_asks_for_hides_no_failure() {
    let reset = (jiff::Timestamp::now().as_second() + 3_600) * 1_000;
    for refusal in [
        Reply::too_many("3600"),
        Reply::status(503).header("retry-after", "1800"),
        Reply::status(429).header("x-ratelimit-reset", &reset.to_string()),
    ] {
        let api = TelnyxApi::start().await;
        api.always("/balance", refusal);
        let app = setup(&api).start().await;
        failures(&app, 1).await;
        // The next two come as they would without it.
        for count in 2..=3 {
            app.clock.advance(NEXT);
            failures(&app, count).await;
        }
        assert_eq!(payloads(&app, "account.unreachable").await.len(), 1);
        // Now that it was told, the wait is ten minutes, and no longer.
        let asked = api.requests("/balance").len();
        app.advance(Duration::from_secs(595)).await;
        assert_eq!(api.requests("/balance").len(), asked);
        api.balance("100.00");
        app.advance(Duration::from_secs(6)).await;
        events(&app, "account.reachable", 1).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_read_rings_until_it_can() {
    let (api, sink) = (TelnyxApi::start().await, HttpSink::start().await);
    let routing = routing(&[receiver("ops", &[&slack(&sink, "/slack", "")])]);
    let shipped = include_str!("../../../../config/rules/balance.yaml");
    let app = Setup::new(routing).rules(shipped).account(api.account()).start().await;
    events(&app, "account.balance", 1).await;
    api.always("/balance", error(403, "10010", "Permission denied"));
    events_in_time(&app, "account.unreachable", 1).await;
    app.settle().await;
    sink.expect_none("/slack");
    app.advance(Duration::from_mins(5)).await;
    let text = sink.wait_for("/slack", 1).await.remove(0).json();
    let said = text["text"].as_str().unwrap();
    assert!(said.contains("[FIRING]") && said.contains("the balance cannot be read"), "{said}");
    assert!(text.to_string().contains("(auth, status 403)"), "{text:#}");
    api.balance("100.00");
    events_in_time(&app, "account.reachable", 1).await;
    app.settle().await;
    app.advance(GROUP_INTERVAL).await;
    let last = sink.wait_for("/slack", 2).await.pop().unwrap().json();
    assert!(last["text"].as_str().unwrap().contains("[RESOLVED]"), "{last:#}");
    app.stop().await;
}

#[tokio::test]
async fn a_reading_that_the_store_cannot_take_is_kept_when_it_can() {
    let api = TelnyxApi::start().await;
    let app = setup(&api).start().await;
    events(&app, "account.balance", 1).await;
    let other = Connection::open(app.dir.path().join("tollbell.db")).unwrap();
    other.busy_timeout(SOON).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    api.balance("80.00");
    let first = app.clock.now();
    app.clock.advance(NEXT);
    api.wait_for("/balance", 2).await;
    // Whoever writes is refused, so the reading is, too.
    let refused = async || {
        let spoken =
            app.deliver(telnyx::event("e-1", "fax.queued", app.clock.now(), &json!({}))).await;
        (spoken == 503).then_some(())
    };
    eventually_async(SOON, refused).await;
    other.execute_batch("ROLLBACK").unwrap();
    let kept = events_in_time(&app, "account.balance", 2).await;
    assert_eq!(kept[1]["balance"], "80.00");
    // It is the one that was read then, not another.
    assert_eq!(
        readings(&app).await[1].at.as_microsecond(),
        clock::add(first, NEXT).as_microsecond()
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_key_is_in_no_log_metric_or_event() {
    let (dir, api) = (tempfile::tempdir().unwrap(), TelnyxApi::start().await);
    // Telnyx quotes what it was sent.
    let quoting = error(401, "10009", &format!("{API_KEY} is not a key, Bearer {API_KEY}"));
    api.always("/balance", quoting.clone());
    api.always("/payment/auto_recharge_prefs", quoting);
    fs::write(dir.path().join("rules.yaml"), SPEND_LIMIT_RULE).unwrap();
    let (key, account) = (Signer::new().public_key_base64(), api.account());
    let service = Service::new(dir.path(), move |Addresses { public, private }| {
        format!(
            "server: {{listen: '{public}', private_listen: '{private}'}}\n\
             accounts:\n  - name: default\n    public_keys: ['{key}']\n{account}    balance: {{poll_interval: 1s}}\n\
             store: {{url: 'sqlite:tollbell.db'}}\nrule_files: [rules.yaml]\n{route}\
             receivers: [{{name: nobody}}]\n",
            route = route("nobody"),
        )
    });
    let mut running = service.env("TOLLBELL_LOG", "trace").start().await;
    let told = "the balance cannot be read";
    eventually(SOON, || running.log().matches(told).count() >= 4).await;
    let metrics = raw::get(running.addresses().private, "/metrics").await.unwrap().text();
    assert!(
        metrics.contains("tollbell_telnyx_api_requests_total{code=\"401\",endpoint=\"balance\"}"),
        "{metrics}"
    );
    assert!(running.terminate(SOON).await.success());
    let log = running.log();
    assert_eq!(log.matches("Telnyx refuses the API key").count(), 1, "{log}");
    let kept: Vec<u8> = fs::read_dir(dir.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|file| file.file_name().unwrap().to_string_lossy().starts_with("tollbell.db"))
        .flat_map(|file| fs::read(file).unwrap())
        .collect();
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(has(&kept, "account.unreachable") && has(&kept, "*** is not a key"));
    for (place, bytes) in
        [("the log", log.as_bytes()), ("/metrics", metrics.as_bytes()), ("the store", &kept)]
    {
        assert!(!has(bytes, API_KEY), "{place} holds the key");
    }
}
