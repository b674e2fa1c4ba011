//! `tollbell replay`: what candidate rules make of the events that were kept.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tollbell::event::{Event, Incoming, PayloadPolicy, Source, parse};
use tollbell::store::{Settings, Store};

use super::{run, with_config};
use crate::support::telnyx::{Signer, call_cost, spend_limit};

const RULES: &str = "groups:\n  - name: spend\n    rules:\n      - alert: Spend\n        on: [call.cost]\n        \
    over: 1h\n        value: sum(event.charge)\n        fire: value > 2.0\n        labels: {severity: critical}\n      \
    - alert: Limit\n        on: [messaging-profile.spend-limit-reached]\n        by: {profile: payload.profile_id}\n      \
    - alert: Never\n        on: [fax.failed]\n";

fn at(time: &str) -> Timestamp {
    format!("2026-01-05T{time}Z").parse().unwrap()
}

fn event(body: &[u8], received_at: Timestamp) -> Event {
    parse(&Incoming {
        account: "default",
        default_currency: Some("USD"),
        content_type: None,
        body,
        received_at,
        policy: PayloadPolicy::Redacted,
    })
}

/// Calls of 1 USD at 08:30, 09:10, 09:20 and 09:25, a limit at 10:00, one without payload at 10:05, one that tollbell
/// raised.
async fn filled(dir: &Path) {
    let key = Signer::new().public_key_base64();
    let config = format!(
        "accounts: [{{name: default, public_keys: ['{key}']}}]\nstore: {{url: 'sqlite:data/t.db'}}\n\
         rule_files: [rules.yaml]\n\
         route:\n  receiver: ops\n  group_by: [alertname]\n  group_wait: 30s\n  group_interval: 5m\n\
         receivers:\n  - name: ops\n    slack_configs: [{{api_url_file: slack}}]\n    \
         webhook_configs: [{{url: 'https://example.com/x'}}]\n"
    );
    fs::write(dir.join("tollbell.yaml"), config).unwrap();
    fs::write(dir.join("rules.yaml"), RULES).unwrap();
    let settings = Settings {
        path: dir.join("data/t.db"),
        retention: Duration::from_hours(30 * 24),
        payload: PayloadPolicy::Redacted,
    };
    let store = Store::open(&settings, Box::new(|_| ())).await.unwrap();
    for (n, time) in ["08:30:00", "09:10:00", "09:20:00", "09:25:00"].into_iter().enumerate() {
        let body = call_cost(&format!("c{n}"), at(time), &format!("leg{n}"), Some("1.00"));
        store.record(event(&body, at(time))).await.unwrap();
    }
    let limit = spend_limit("l", at("10:00:00"), "p-1", "1.00", "2.00");
    store.record(event(&limit, at("10:00:00"))).await.unwrap();
    let limit = spend_limit("gone", at("10:05:00"), "p-2", "1.00", "2.00");
    let gone = Event { payload: Value::Null, ..event(&limit, at("10:05:00")) };
    store.record(gone).await.unwrap();
    let payload = json!({"rule": "spend/Limit", "count": 1});
    let raised = Event::tollbell(
        "tollbell.series_limit",
        "default",
        "r".to_owned(),
        at("10:06:00"),
        payload,
    );
    assert_eq!(raised.source, Source::Tollbell);
    store.record(raised).await.unwrap();
    store.close().await.unwrap();
}

const RANGE: [&str; 4] = ["--from", "2026-01-05T09:00:00Z", "--to", "2026-01-05T11:00:00Z"];

#[tokio::test(flavor = "multi_thread")]
async fn replay_shows_who_would_have_been_told_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    filled(dir).await;
    let database = fs::read(dir.join("data/t.db")).unwrap();
    let replay = |args: &[&str]| run(dir, &[&with_config(&["replay"])[..], args].concat());

    // 09:10, 09:20 and 09:25 make 3 USD within the hour; no secret is there, and none is needed.
    insta::assert_snapshot!(replay(&RANGE).ok(), @r#"
    TIME                  RECEIVER  BY             REASON               STATUS    ALERTS
    2026-01-05T09:25:30Z  ops       slack,webhook  first notification   firing    Spend account="default" currency="USD" severity="critical"
    2026-01-05T10:00:30Z  ops       slack,webhook  first notification   firing    Limit account="default" profile="p-1"
    2026-01-05T10:05:30Z  ops       slack,webhook  new alerts added     firing    Limit account="default" profile="p-1"; Limit account="default" profile=""
    2026-01-05T10:10:30Z  ops       slack,webhook  all alerts resolved  resolved  Spend account="default" currency="USD" severity="critical"

    JUDGED  FAILED  FIRED  ENDED  RULE
    2       0       2      1      spend/Limit
    0       0       0      0      spend/Never
    3       0       1      1      spend/Spend

    5 events from 2026-01-05T09:00:00Z to 2026-01-05T11:00:00Z, 4 notifications
    1 event without payload (store.payload: none): rules that look into it could not match
    "#);
    // With the hour before, 08:30, 09:10 and 09:20 do.
    let warm = replay(&[&RANGE[..], &["--warm-up", "1h", "--format", "json"]].concat()).json();
    assert_eq!(warm["notices"][0]["at"], "2026-01-05T09:20:30Z");
    assert_eq!((&warm["events"], &warm["warm_up_events"]), (&json!(5), &json!(1)));
    assert_eq!((&warm["without_payload"], &warm["unreadable"]), (&json!(1), &json!(0)));
    assert_eq!(warm["notices"][0]["channels"], json!(["slack", "webhook"]));
    assert_eq!(warm["notices"][0]["alerts"][0]["alertname"], "Spend");
    assert_eq!(warm["rules"]["spend/Limit"]["fired"], 2);
    assert_eq!(
        warm["rules"]["spend/Spend"],
        json!({"judged": 3, "failed": 0, "fired": 1, "ended": 1})
    );

    // Candidate rules in the place of the configuration's.
    fs::create_dir(dir.join("new")).unwrap();
    fs::write(dir.join("new/rules.yaml"), RULES.replace("value > 2.0", "value > 100.0")).unwrap();
    let other = replay(&[&RANGE[..], &["--rules", "new/rules.yaml", "--format", "json"]].concat());
    let other = other.json();
    let names: Vec<&Value> = other["notices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["alerts"][0]["alertname"])
        .collect();
    assert!(!names.is_empty() && names.iter().all(|name| **name == "Limit"), "{other}");

    // A day in which nothing came; another database; a time range of which nothing is left.
    let none = replay(&["--from", "2026-01-07T00:00:00Z", "--to", "2026-01-08T00:00:00Z"]).ok();
    assert!(none.starts_with("nobody would have been notified\n"), "{none}");
    let err = replay(&["--since", "1h", "--store", "sqlite:other.db"]).fails(1);
    assert!(err.contains("there is no database at other.db"), "{err}");
    let err = replay(&["--from", "2026-01-07T00:00:00Z", "--to", "2026-01-07T00:00:00Z"]).fails(1);
    assert!(err.contains("the time range is empty"), "{err}");

    assert!(fs::read(dir.join("data/t.db")).unwrap() == database, "the database has changed");
    let wal = fs::metadata(dir.join("data/t.db-wal")).map_or(0, |wal| wal.len());
    assert_eq!(wal, 0, "something was written");
    // The other commands do want the secret.
    fs::write(dir.join("slack"), "https://example.com/slack").unwrap();
    for list in [&["deliveries", "list", "--format", "json"][..], &["alerts", "--format", "json"]] {
        assert_eq!(run(dir, &with_config(list)).json(), json!([]));
    }
    let waiting = with_config(&["events", "list", "--state", "waiting", "--format", "json"]);
    assert_eq!(run(dir, &waiting).json().as_array().unwrap().len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_of_replay_is_told() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let replay = |args: &[&str]| run(dir.path(), &[&with_config(&["replay"])[..], args].concat());
    for (args, said) in [
        (&[][..], "--since <DURATION>"),
        (&["--since", "1h", "--from", "2026-01-05T09:00:00Z"], "cannot be used with"),
        (&["--since", "yesterday"], "expected a duration such as"),
        (&["--from", "yesterday"], "expected a time such as"),
        (&["--since", "1h", "--rules", "none.yaml"], "none.yaml is no file"),
    ] {
        let err = replay(args).fails(2);
        assert!(err.contains(said), "{args:?}: {err}");
    }
    fs::write(dir.path().join("bad.yaml"), RULES.replace("value > 2.0", "value >")).unwrap();
    let err = replay(&["--since", "1h", "--rules", "bad.yaml"]).fails(2);
    assert!(err.starts_with("bad.yaml:8:"), "{err}");
}
