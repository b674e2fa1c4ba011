//! `tollbell store copy`

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection;
use tokio_postgres::{Client, NoTls};

use super::super::{Ran, run};
use super::{live, notified, number, routing, rows};
use crate::support::cluster;
use crate::support::http::HttpSink;
use crate::support::load::PATH;
use crate::support::load::Site;
use crate::support::raw;
use crate::support::wait::{SOON, eventually, eventually_async};

/// Lines that are added to the journal, so that a copy takes a while.
const LINES: usize = 40_000;

fn copy(from: &str, to: &str, schema: &str) -> Ran {
    run(Path::new("."), &["store", "copy", "--from", from, "--to", to, "--schema", schema])
}

fn sqlite(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Makes the database large, with what nobody acts on: old lines, an event whose text PostgreSQL cannot hold, and a place
/// that was given and is empty.
fn grow(database: &Path) {
    let conn = Connection::open(database).unwrap();
    conn.execute_batch(&format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {LINES}) \
         INSERT INTO journal (at, fingerprint, group_key, what, detail) \
         SELECT n, printf('%016x', n % 100), 'g', 'began', 'line ' || n FROM n; \
         INSERT INTO calls (account, leg, learned_at, context) VALUES ('default', 'a' || char(0) || 'b', 1, CAST('{{}}' AS BLOB)); \
         INSERT INTO audit (at, who, action, subject, detail) VALUES (1, 'me', 'x.y', 's', 'd'); \
         UPDATE sqlite_sequence SET seq = seq + 7 WHERE name = 'audit'; \
         PRAGMA wal_checkpoint(TRUNCATE)"
    ))
    .unwrap();
}

async fn connect() -> Client {
    let (client, connection) =
        tokio_postgres::connect(&cluster::shared().url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Begins a copy and kills it while it copies the journal.
async fn cut_off(from: &str, to: &str, schema: &str) {
    let mut copy = Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .args(["store", "copy", "--from", from, "--to", to, "--schema", schema])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let client = connect().await;
    let sql = format!("SELECT value FROM \"{schema}\".copying WHERE name = 'journal'");
    let begun = async || client.query_opt(&sql, &[]).await.ok().flatten();
    eventually_async(SOON, begun).await;
    copy.kill().unwrap();
    assert!(!copy.wait().unwrap().success(), "it was done before it was killed");
}

/// What two files hold, table by table; numbers that only one of them gave do not count.
fn assert_same(one: &Path, other: &Path) {
    for sql in [
        "SELECT key, value FROM meta WHERE key <> 'probe'",
        "SELECT * FROM inbox ORDER BY seq",
        "SELECT * FROM dedupe ORDER BY id, account",
        "SELECT * FROM judgements",
        "SELECT * FROM faulted",
        "SELECT * FROM alerts",
        "SELECT n, id, integration, receiver, target, group_key, state, attempts, created_at, due_at, finished_at, \
         why, reason, detail, fallback_at, fallback_triggered, fallback_of, maybe_repeated, revision, by_hand, noted, \
         (SELECT digest || message FROM contents WHERE contents.n = content) FROM deliveries ORDER BY n",
        "SELECT * FROM attempts",
        "SELECT * FROM caused",
        "SELECT * FROM delivery_counts",
        "SELECT * FROM alert_counts WHERE count > 0",
        "SELECT * FROM notification_log",
        "SELECT * FROM integrations",
        "SELECT * FROM state ORDER BY space, key",
        "SELECT * FROM ledger ORDER BY account, key",
        // A zero character is kept as its picture.
        "SELECT account, replace(hex(leg), '610062', '61E2908062'), learned_at, context FROM calls ORDER BY 1, 2",
        "SELECT * FROM silences",
        "SELECT * FROM journal ORDER BY n",
        "SELECT * FROM readings",
        "SELECT * FROM places",
        "SELECT * FROM audit",
        "SELECT name, seq FROM sqlite_sequence ORDER BY name",
    ] {
        let [one, other] = [one, other].map(|database| rows(database, sql));
        assert_eq!(one.len(), other.len(), "{sql}");
        for (one, other) in one.iter().zip(&other) {
            assert_eq!(one, other, "{sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_over_and_a_copy_that_was_killed_goes_on() {
    let hook = HttpSink::start().await;
    let site = Site::new(routing(&hook));
    live(&site, 30).await;
    grow(site.database());
    let (url, schema) = (cluster::shared().url(), cluster::schema());
    let from = sqlite(site.database());

    cut_off(&from, &url, &schema).await;
    // Nobody serves from a half.
    let half = Site::new(routing(&hook)).postgres(&url, &schema);
    let other = half.dir().join("other.db");
    std::fs::write(half.dir().join("tollbell.yaml"), half.service().yaml(nowhere())).unwrap();
    let refused = super::run_in(&half, &["serve"]).fails(1);
    assert!(refused.contains("is unfinished: run `tollbell store copy` once more"), "{refused}");
    let refused = copy(&url, &sqlite(&other), &schema).fails(1);
    assert!(refused.contains("is unfinished"), "{refused}");
    let elsewhere = Site::new(routing(&hook));
    live(&elsewhere, 1).await;
    let refused = copy(&sqlite(elsewhere.database()), &url, &schema).fails(1);
    assert!(refused.contains("holds an unfinished copy of"), "{refused}");

    // Whoever serves sweeps: what was copied of the source is old then.
    let swept = |by: i64| {
        let sql = format!("UPDATE meta SET value = value + {by} WHERE key = 'swept'");
        assert_eq!(Connection::open(site.database()).unwrap().execute(&sql, ()).unwrap(), 1);
    };
    swept(1);
    let refused = copy(&from, &url, &schema).fails(1);
    assert!(refused.contains("was used since the copy into"), "{refused}");
    swept(-1);

    let said = copy(&from, &url, &schema).ok();
    assert!(said.contains("going on where a copy was cut off"), "{said}");
    let journal = number(site.database(), "SELECT count(*) FROM journal");
    for row in [format!("journal {journal}"), "default USD 0.3000001 0.3000001".to_owned()] {
        let is_row = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") == row;
        assert!(said.lines().any(is_row), "{row}: {said}");
    }
    let refused = copy(&from, &url, &schema).fails(1);
    assert!(refused.contains("is not empty: its table inbox has rows"), "{refused}");

    // And back: nothing was lost on either way.
    let back = site.dir().join("back.db");
    copy(&url, &sqlite(&back), &schema).ok();
    assert_same(site.database(), &back);
}

/// Addresses for a configuration that is only read.
fn nowhere() -> crate::support::process::Addresses {
    let [public, private] = ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().unwrap());
    crate::support::process::Addresses { public, private }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_goes_on_in_the_other_store_and_is_not_copied_while_it_serves() {
    let hook = HttpSink::start().await;
    let site = Site::new(routing(&hook));
    live(&site, 3).await;
    let (url, schema) = (cluster::shared().url(), cluster::schema());
    let from = sqlite(site.database());
    let mut running = site.service().start().await;
    let refused = copy(&from, &url, &schema).fails(1);
    assert!(refused.contains("is in use by another tollbell"), "{refused}");
    assert!(running.terminate(SOON).await.success());
    copy(&from, &url, &schema).ok();

    let moved = site.moved_to(&url, &schema);
    let mut running = moved.service().start().await;
    let to = running.addresses().public;
    let before = hook.requests("/hook").len();
    let (headers, body) = moved.event("e1", "p");
    assert_eq!(raw::request(to, "POST", PATH, &headers, &body).await.unwrap().status, 200);
    assert_eq!(moved.post(to, "news", "p").await.status, 200);
    eventually(SOON, || notified(&hook, "news") == 1).await;
    assert_eq!((notified(&hook, "e1"), hook.requests("/hook").len()), (1, before + 1));

    let back: PathBuf = site.dir().join("back.db");
    let refused = copy(&url, &sqlite(&back), &schema).fails(1);
    assert!(refused.contains("is in use: the replica "), "{refused}");
    assert!(running.terminate(SOON).await.success(), "{}", running.log());
    copy(&url, &sqlite(&back), &schema).ok();
    assert_eq!(number(&back, "SELECT count(*) FROM inbox WHERE id = 'news'"), 1);
    // The next place is behind all that were given.
    let places =
        "SELECT seq >= (SELECT max(seq) FROM inbox) FROM sqlite_sequence WHERE name = 'inbox'";
    assert_eq!(number(&back, places), 1);
}

#[test]
fn what_is_no_copy_is_refused_with_the_right_tool() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| sqlite(&dir.path().join(name));
    let url = cluster::shared().url();
    for (from, to, code, said) in [
        (place("a"), place("b"), 2, "use `tollbell store backup`"),
        (url.clone(), url.clone(), 2, "use pg_dump"),
        ("a.db".to_owned(), url.clone(), 2, "expected sqlite:FILE or postgres://"),
        (place("a"), url.clone(), 1, "there is no database at"),
    ] {
        let err = copy(&from, &to, &cluster::schema()).fails(code);
        assert!(err.contains(said), "{from} {to}: {err}");
    }
    assert!(!dir.path().join("a").exists());
}
