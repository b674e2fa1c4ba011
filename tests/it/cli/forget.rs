//! `tollbell forget`: on both stores, while a service serves from them.

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

use super::{Ran, run, with_config};
use crate::support::app::route;
use crate::support::cluster;
use crate::support::http::HttpSink;
use crate::support::load::{self, PATH, Site};
use crate::support::process::Running;
use crate::support::wait::{SOON, eventually, eventually_async};
use crate::support::{raw, telnyx};

const NUMBER: &str = "+15550100100";
const DIGITS: &str = "15550100100";

/// One alert that is over soon and one that fires on, both with the number in a label and in what is sent.
const RULES: &str = r#"
groups:
  - name: calls
    rules:
      - alert: Called
        on: [call.initiated]
        by: {caller: payload.from}
        active_for: 1s
        notify_expired: true
        annotations: {summary: "called by {{ labels.caller }}"}
      - alert: Fires
        on: [call.answered]
        by: {caller: payload.from}
        active_for: 1d
        annotations: {summary: "answered {{ labels.caller }}"}
      - alert: New
        on: [call.initiated]
        when: 'is_new(payload.from, duration("1h"))'
"#;

fn site(hook: &HttpSink) -> Site {
    let site = Site::new(format!(
        "{}receivers:\n  - name: hook\n    webhook_configs:\n      - {{url: \"{}\"}}\n",
        route("hook"),
        hook.url("/hook"),
    ));
    std::fs::write(site.dir().join("rules.yaml"), RULES).unwrap();
    site
}

async fn post(site: &Site, running: &Running, body: &[u8]) {
    let headers = site.signer.headers(Timestamp::now(), body);
    let answer = raw::request(running.addresses().public, "POST", PATH, &headers, body).await;
    assert_eq!(answer.unwrap().status, 200);
}

/// Calls of the number and of another, what they cost, and a message.
async fn called(site: &Site, hook: &HttpSink) -> Running {
    let running = site.service().start().await;
    let now = Timestamp::now();
    for (n, from) in [NUMBER, "+15550100101"].into_iter().enumerate() {
        let leg = format!("leg-{n}");
        let call = json!({"call_leg_id": leg, "call_control_id": leg, "call_session_id": "s", "connection_id": "c",
            "direction": "incoming", "from": from, "to": "+15559990000", "state": "parked"});
        for kind in ["call.initiated", "call.answered"] {
            let body = telnyx::event(&format!("{kind}-{n}"), kind, now, &call);
            post(site, &running, &body).await;
        }
        post(site, &running, &telnyx::call_cost(&format!("cost-{n}"), now, &leg, Some("0.25")))
            .await;
    }
    // Both ends, and the first notifications: four alerts, two of them over.
    let ended = || {
        hook.requests("/hook").iter().filter(|it| it.text().contains("\"resolved\"")).count() >= 1
    };
    eventually(SOON, ended).await;
    load::drained(&running, SOON).await;
    running
}

fn forget(site: &Site, more: &[&str]) -> Ran {
    run(site.dir(), &with_config(&[&["forget", "--number", NUMBER], more].concat()))
}

/// The rows of the report: table, erased, kept.
fn rows(said: &str) -> Vec<(String, u64, u64)> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let table = words.next()?.to_owned();
        Some((table, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    said.lines().filter_map(row).collect()
}

fn erased(said: &str, table: &str) -> u64 {
    rows(said).iter().find(|(name, ..)| name == table).map_or(0, |(_, erased, _)| *erased)
}

/// What is left is what is in use; money is as it was; the audit log does not have the number.
async fn check(site: &Site, hook: &HttpSink) {
    let mut running = called(site, hook).await;
    let spent = || {
        run(site.dir(), &with_config(&["spend", "--format", "json", "--by", "kind"])).json()["totals"].clone()
    };
    let before = spent();
    // As soon as no group holds the one that is over.
    let is_over =
        async || (erased(&forget(site, &["--dry-run"]).ok(), "alerts") == 1).then_some(());
    eventually_async(SOON, is_over).await;
    let dry = forget(site, &["--dry-run"]).ok();
    assert!(dry.contains("WOULD ERASE"), "{dry}");
    let once_more = forget(site, &["--dry-run"]).ok();
    let private = running.addresses().private;
    let audit = async || raw::get(private, "/api/v1/audit").await.unwrap().text();
    assert!(!audit().await.contains("number.forget"), "nothing was forgotten yet");
    let said = forget(site, &[]).ok();
    // The service goes on meanwhile: a group may be over by now.
    let lasting = |said: &str| -> Vec<_> {
        rows(said).into_iter().filter(|(table, ..)| table != "state").collect()
    };
    assert_eq!(lasting(&dry), lasting(&once_more), "it changed nothing");
    assert_eq!(lasting(&dry), lasting(&said));
    for table in ["inbox", "calls", "ledger", "alerts", "judgements", "contents", "journal"] {
        assert!(erased(&said, table) > 0, "{table}: {said}");
    }
    assert_eq!(erased(&said, "inbox"), 2, "the payloads of the calls: {said}");
    assert_eq!(erased(&said, "calls"), 1, "{said}");
    assert_eq!(erased(&said, "state"), 1, "what the rule has seen: {said}");
    let again = forget(site, &[]).ok();
    let left: Vec<(String, u64, u64)> = rows(&again);
    let kept: Vec<&str> = left.iter().map(|(table, ..)| table.as_str()).collect();
    assert_eq!(kept, ["alerts", "state"], "{again}");
    assert!(left.iter().all(|(_, erased, kept)| *erased == 0 && *kept > 0), "{again}");
    assert_eq!(spent(), before);

    // The service goes on: a repeat is one, and the other number is still known.
    let now = Timestamp::now();
    post(site, &running, &telnyx::call_cost("cost-0", now, "leg-0", Some("0.25"))).await;
    post(site, &running, &telnyx::call_cost("cost-0b", now, "leg-0", Some("0.25"))).await;
    load::drained(&running, SOON).await;
    assert_eq!(spent(), before);
    let audit = audit().await;
    assert!(audit.contains("number.forget") && audit.contains("pbkdf2-sha256:"), "{audit}");
    assert!(!audit.contains(DIGITS), "{audit}");
    let sound =
        async || run(site.dir(), &with_config(&["store", "check"])).code.eq(&0).then_some(());
    eventually_async(SOON, sound).await;
    assert!(running.terminate(SOON).await.success(), "{}", running.log());
    load::assert_sound(&running.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_taken_out_of_a_file() {
    let hook = HttpSink::start().await;
    let site = site(&hook);
    check(&site, &hook).await;
    let conn = Connection::open(site.database()).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut tables = conn.prepare(tables).unwrap();
    let tables: Vec<String> =
        tables.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for table in tables {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut found = statement.query(()).unwrap();
        while let Some(row) = found.next().unwrap() {
            let text = |column| match row.get_ref(column).unwrap() {
                rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
                    String::from_utf8_lossy(bytes).into_owned()
                }
                other => format!("{other:?}"),
            };
            let row: Vec<String> = (0..columns).map(text).collect();
            let row = row.join("|");
            let in_use = ["state", "notification_log"].contains(&table.as_str())
                || (table == "alerts" && row.contains("|firing|"));
            assert!(in_use || !row.contains(DIGITS), "{table}: {row}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_taken_out_of_postgresql() {
    let hook = HttpSink::start().await;
    let (url, schema) = (cluster::shared().url(), cluster::schema());
    let site = site(&hook).postgres(&url, &schema);
    check(&site, &hook).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let number: Vec<u8> = DIGITS.bytes().collect();
    for (table, column) in
        [("inbox", "payload"), ("contents", "message"), ("calls", "context"), ("alerts", "alert")]
    {
        let unless = if table == "alerts" { "AND state <> 'firing'" } else { "" };
        let sql =
            format!("SELECT 1 FROM {schema}.{table} WHERE position($1 IN {column}) > 0 {unless}");
        assert!(client.query(&sql, &[&number]).await.unwrap().is_empty(), "{table}");
    }
    for table in ["judgements", "deliveries", "attempts", "journal", "ledger", "audit", "faulted"] {
        let sql =
            format!("SELECT 1 FROM {schema}.{table} AS kept WHERE kept::text LIKE '%{DIGITS}%'");
        assert!(client.query(&sql, &[]).await.unwrap().is_empty(), "{table}");
    }
    let sql = format!(
        "SELECT value = (SELECT count(*) FROM {schema}.calls) FROM {schema}.meta WHERE key = 'calls'"
    );
    let counted: bool = client.query_one(&sql, &[]).await.unwrap().get(0);
    assert!(counted);
}
