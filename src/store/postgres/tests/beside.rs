//! What is looked at beside the service: counts that are wrong, a source that is used while it is copied, plans.

use super::super::deliveries::ALERTNAMES;
use super::super::sql::text;
use super::*;
use crate::store::tests::some_of_all_that_is_counted;
use crate::store::{CopyError, Place, Soundness as _, copy_store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_that_is_wrong_is_found() {
    for (sql, flaw) in [
        ("UPDATE ~alert_counts SET count = count + 1", "counts of alerts that are wrong"),
        ("DELETE FROM ~alert_counts", "counts of alerts that are wrong"),
        ("UPDATE ~alert_counts SET count = 0", "counts of alerts that are wrong"),
        ("INSERT INTO ~alert_counts VALUES ('x', 'firing', 1)", "counts of alerts that are wrong"),
        ("DELETE FROM ~delivery_counts", "counts of deliveries that are wrong"),
        ("UPDATE ~delivery_counts SET count = 0", "counts of deliveries that are wrong"),
        (
            "INSERT INTO ~delivery_counts VALUES ('oncall', 'delivered', 1)",
            "counts of deliveries that are wrong",
        ),
        (
            "INSERT INTO ~delivery_counts VALUES ('x', 'dead', 1)",
            "counts of deliveries that are wrong",
        ),
    ] {
        let store = open_postgres().await;
        taken(&store, "slack").await;
        some_of_all_that_is_counted(&store).await;
        assert_eq!(postgres(&store).flaws().await.expect("looks"), Vec::<String>::new());
        postgres(&store).link.query(sql, params![]).await.expect("spoils");
        let wrong = if sql == "UPDATE ~alert_counts SET count = count + 1" { 2 } else { 1 };
        let found = postgres(&store).flaws().await.expect("looks");
        assert_eq!(found, [format!("{wrong} {flaw}")], "{sql}");
        store.close().await.expect("closes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_used_while_it_is_copied_is_refused() {
    let settings = postgres_settings();
    let store = open(&settings).await;
    store.record(event("a")).await.expect("records");
    store.close().await.expect("closes");
    let link = Link::new(&settings.address, 1).expect("an address");
    let directory = tempfile::tempdir().expect("temp dir");
    let from = Place::Postgres(Box::new(settings.address.clone()));
    let to = Place::Sqlite(directory.path().join("copy.db"));
    // Somebody has come and gone, and all that was copied is there still.
    let refused = copy_store(&from, &to, |now| {
        if now.table.is_none() {
            let used = link.query("SELECT nextval('~journal_n_seq')", params![]);
            tokio::task::block_in_place(|| Handle::current().block_on(used)).expect("draws");
        }
    });
    let refused = refused.await.expect_err("is refused");
    assert!(matches!(refused, CopyError::Changed { .. }), "{refused}");
    assert!(Store::attach(&to).await.is_err(), "it is unfinished");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_a_groups_alerts_are_found_by_its_key() {
    let store = open_postgres().await;
    let tx = postgres(&store).link.begin().await.expect("begins");
    tx.batch("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        .await
        .expect("sets");
    let asked = vec![text("g"), text("h")];
    let lines = tx.query(&format!("EXPLAIN {ALERTNAMES}"), params![asked]).await.expect("a plan");
    let plan: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
    let by_key = |line: &&String| line.contains("Index Cond") && line.contains("key >");
    assert!(plan.iter().any(|line| by_key(&line)), "{plan:#?}");
}
