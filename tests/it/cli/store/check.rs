//! `tollbell store check`

use std::io::{Seek as _, SeekFrom, Write as _};

use rusqlite::Connection;

use super::{live, routing, run_in};
use crate::support::cluster;
use crate::support::http::HttpSink;
use crate::support::load::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_store_is_whole_and_agrees_and_a_tampered_one_does_not() {
    let hook = HttpSink::start().await;
    let site = Site::new(routing(&hook));
    live(&site, 2).await;
    let said = run_in(&site, &["store", "check"]).ok();
    let line = |said: &str, row: &str| {
        said.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == row)
    };
    assert!(said.contains("tollbell.db: whole\n"), "{said}");
    assert!(line(&said, "default voice USD 0.3000001 0.3000001 agrees"), "{said}");
    assert!(!said.contains("does not have"), "{said}");

    // A rule and an integration that the configuration has no more are named.
    let rules = site.dir().join("rules.yaml");
    let text = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, text.replace("alert: Each", "alert: Other")).unwrap();
    let config = site.dir().join("tollbell.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        text.replace("name: hook", "name: new").replace("receiver: hook", "receiver: new"),
    )
    .unwrap();
    let said = run_in(&site, &["store", "check"]).ok();
    assert!(said.contains("of rules that the configuration does not have: load/Each"), "{said}");
    assert!(
        said.contains("of integrations that the configuration does not have: hook/webhook"),
        "{said}"
    );

    let conn = Connection::open(site.database()).unwrap();
    conn.execute_batch(
        "UPDATE ledger SET amount = '0.1000000000000000000000001' WHERE key = 'call:leg-0'",
    )
    .unwrap();
    let ran = run_in(&site, &["store", "check"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        line(&ran.out, "default voice USD 0.3000001000000000000000001 0.3000001 DIFFERS"),
        "{ran:?}"
    );
    conn.execute_batch(
        "UPDATE ledger SET amount = '0.1' WHERE key = 'call:leg-0'; \
         DELETE FROM dedupe WHERE id = 'e1'; INSERT INTO dedupe VALUES ('x', 'default', 9999, 1)",
    )
    .unwrap();
    let err = run_in(&site, &["store", "check"]).fails(1);
    assert!(err.contains("1 ids that are known of events that are gone"), "{err}");
    assert!(err.contains("1 events that are not known by their ids"), "{err}");
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(conn);

    // A page of an index or a table that was overwritten.
    let mut file = std::fs::OpenOptions::new().write(true).open(site.database()).unwrap();
    file.seek(SeekFrom::Start(4096 * 20)).unwrap();
    file.write_all(&[0xff; 4096]).unwrap();
    let ran = run_in(&site, &["store", "check"]);
    assert!(ran.code == 1 && !ran.out.contains("whole"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_in_postgresql_is_checked_too() {
    let hook = HttpSink::start().await;
    let schema = cluster::schema();
    let site = Site::new(routing(&hook)).postgres(&cluster::shared().url(), &schema);
    live(&site, 2).await;
    let said = run_in(&site, &["store", "check"]).ok();
    assert!(said.contains("0.3000001") && said.contains("agrees"), "{said}");
    let (client, connection) =
        tokio_postgres::connect(&cluster::shared().url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let tamper = format!(
        "UPDATE {schema}.ledger SET amount = '7' WHERE key = 'call:leg-0'; \
         DELETE FROM {schema}.dedupe WHERE id = 'e1'"
    );
    client.batch_execute(&tamper).await.unwrap();
    let ran = run_in(&site, &["store", "check"]);
    assert!(ran.code == 1 && ran.out.contains("DIFFERS"), "{ran:?}");
    assert!(ran.err.contains("1 events that are not known by their ids"), "{ran:?}");
}
