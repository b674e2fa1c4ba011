//! What only the PostgreSQL backend can show: replicas, fencing, places, a server that is unsafe or not ours.

mod beside;

use std::sync::Arc;

use futures_util::future::join_all;

use super::sql::params;
use super::*;
use crate::store::tests::{
    at, claim, cluster, event, inbox, open_postgres, postgres_settings, queue, queued, request,
};
use crate::store::{Changes, PostgresSettings, Recorded, Role, Store};

async fn open(settings: &PostgresSettings) -> Store {
    Store::open_postgres(settings, Box::new(|_| ())).await.expect("opens")
}

fn postgres(store: &Store) -> &Postgres {
    store.postgres().expect("is PostgreSQL")
}

/// Waits until the integration is this replica's.
async fn taken(store: &Store, integration: &str) {
    let (mut changed, role) = (store.duties(), Role::Send(integration.to_owned()));
    while !store.holds(&role) {
        changed.changed().await.expect("is kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_start_on_an_empty_database_at_once_and_one_judges() {
    let settings = postgres_settings();
    let stores = join_all((0..4).map(|_| open(&settings))).await;
    let judges = stores.iter().filter(|store| store.holds(&Role::Judge)).count();
    assert_eq!(judges, 1);
    let senders =
        stores.iter().filter(|store| store.holds(&Role::Send("slack".to_owned()))).count();
    assert_eq!(senders, 1);
    for store in stores {
        store.close().await.expect("closes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_taken_over_commits_and_claims_nothing() {
    let settings = postgres_settings();
    let before = open(&settings).await;
    before.record(event("a")).await.expect("records");
    queue(&before, [queued("d", "g", 0)]).await;
    let due = before.due("slack", at(0), 1).await.expect("reads");
    // It stands still, and its time runs out.
    postgres(&before).stop.send_replace(true);
    let expire = "UPDATE ~leases SET expires_at = '-infinity'";
    postgres(&before).link.query(expire, params![]).await.expect("expires");
    let after = open(&settings).await;
    assert!(after.holds(&Role::Judge));
    taken(&after, "slack").await;

    let changes = Changes { cursor: 1, ..Changes::default() };
    assert!(matches!(before.commit(changes.clone()).await, Err(StoreError::Stale(0))));
    assert!(matches!(before.claim(request(0, &due)).await, Err(StoreError::Stale(_))));
    assert!(!before.holds(&Role::Judge), "a refusal is believed at once");
    after.commit(changes).await.expect("commits");
    assert_eq!(claim(&after, 0).await, ["d"]);
    // It still takes in what comes.
    assert_eq!(before.record(event("b")).await.expect("records"), Recorded::New);
    assert_eq!(inbox(&after).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_before_another_judged_is_not_committed_after() {
    let settings = postgres_settings();
    let one = open(&settings).await;
    let read_under = one.epoch(&Role::Judge);
    assert!(read_under.is_some());
    // Another judges, and this one again; what it has in hand it read before.
    let mut changed = one.duties();
    let pass = "UPDATE ~leases SET expires_at = '-infinity', epoch = epoch + 1, holder = 'other'";
    postgres(&one).link.query(pass, params![]).await.expect("passes");
    while one.epoch(&Role::Judge).is_none_or(|epoch| Some(epoch) == read_under) {
        changed.borrow_and_update();
        if one.epoch(&Role::Judge).is_none_or(|epoch| Some(epoch) == read_under) {
            changed.changed().await.expect("is kept");
        }
    }
    let changes = Changes { epoch: read_under, ..Changes::default() };
    assert!(matches!(one.commit(changes.clone()).await, Err(StoreError::Stale(0))));
    let anew = Changes { epoch: one.epoch(&Role::Judge), ..changes };
    one.commit(anew).await.expect("commits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_waits_for_a_commit_that_is_under_way() {
    let settings = postgres_settings();
    let before = open(&settings).await;
    let holding = postgres(&before).link.begin().await.expect("begins");
    let duties = Arc::clone(&postgres(&before).duties);
    assert!(duties.hold(&holding, &Role::Judge, None).await.expect("holds"));
    postgres(&before).stop.send_replace(true);
    let expire = "UPDATE ~leases SET expires_at = '-infinity'";
    postgres(&before).link.query(expire, params![]).await.expect("renewing goes on meanwhile");
    let after = open(&settings).await;
    assert!(!after.holds(&Role::Judge));
    holding.commit().await.expect("commits");
    let mut changed = after.duties();
    while !after.holds(&Role::Judge) {
        changed.changed().await.expect("is kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_the_integrations_and_give_them_back() {
    let settings = postgres_settings();
    let (one, two) = (open(&settings).await, open(&settings).await);
    let lanes = ["slack", "mail"].map(|id| Role::Send(id.to_owned()));
    let mut changed = two.duties();
    while !lanes.iter().any(|lane| two.holds(lane)) {
        changed.changed().await.expect("is kept");
    }
    assert!(lanes.iter().all(|lane| !(one.holds(lane) && two.holds(lane))));
    assert_eq!(two.replicas().len(), 2);
    one.close().await.expect("closes");
    while !lanes.iter().all(|lane| two.holds(lane)) || !two.holds(&Role::Judge) {
        changed.changed().await.expect("is kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_when_its_sender_ended_is_sent_again_by_another() {
    let settings = postgres_settings();
    let before = open(&settings).await;
    queue(&before, [queued("d", "g", 0)]).await;
    assert_eq!(claim(&before, 0).await, ["d"]);
    postgres(&before).stop.send_replace(true);
    let expire = "UPDATE ~leases SET expires_at = '-infinity'";
    postgres(&before).link.query(expire, params![]).await.expect("expires");
    let after = open(&settings).await;
    taken(&after, "slack").await;
    let due = after.due("slack", at(0), 1).await.expect("reads");
    assert!(due.deliveries.iter().all(|due| due.cut_off), "under the same key");
    assert_eq!(claim(&after, 0).await, ["d"]);
}

/// Places are drawn in one order and committed in another; a reader that goes on from the last must miss none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_on_from_its_place_misses_nothing() {
    let settings = postgres_settings();
    let (writers, reader) =
        (Arc::new(join_all((0..3).map(|_| open(&settings))).await), open(&settings).await);
    let total = 600;
    let writing = Handle::current().spawn({
        let writers = Arc::clone(&writers);
        async move {
            let all = (0..total).map(|n| {
                let store = writers[n % writers.len()].clone();
                async move { store.record(event(&n.to_string())).await.expect("records") }
            });
            join_all(all).await
        }
    });
    let (mut cursor, mut read) = (0, 0);
    while read < total {
        for stored in reader.inbox_after(cursor, 50).await.expect("reads") {
            let seq = stored.expect("readable").seq;
            assert!(seq > cursor);
            (cursor, read) = (seq, read + 1);
        }
    }
    assert!(writing.await.expect("writes").iter().all(|one| *one == Recorded::New));
    assert_eq!(reader.inbox_after(0, 1000).await.expect("reads").len(), total);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_events_from_two_sides_go_in_once() {
    let settings = postgres_settings();
    let (one, two) = (open(&settings).await, open(&settings).await);
    let forth = join_all((0..200).map(|n| one.record(event(&n.to_string()))));
    let back = join_all((0..200).rev().map(|n| two.record(event(&n.to_string()))));
    let (forth, back) = tokio::join!(forth, back);
    let recorded = forth.into_iter().chain(back).map(|one| one.expect("records"));
    assert_eq!(recorded.filter(|one| *one == Recorded::New).count(), 200);
    assert_eq!(one.inbox_after(0, 1000).await.expect("reads").len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_records_share_statements_and_one_that_cannot_be_kept_harms_no_other() {
    let store = open_postgres().await;
    let odd = crate::event::Event { id: "a\0b".to_owned(), ..event("x") };
    let (all, odd) = tokio::join!(
        join_all((0..100).map(|n| store.record(event(&n.to_string())))),
        store.record(odd)
    );
    assert!(all.iter().all(|one| matches!(one, Ok(Recorded::New))));
    assert_eq!(odd.expect("records"), Recorded::New);
    assert!(store.event("a\0b", None).await.expect("reads").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_with_a_transaction_open_is_not_lent_on() {
    let mut settings = postgres_settings();
    settings.address.connections = 1;
    let store = open(&settings).await;
    let link = Arc::clone(&postgres(&store).link);
    {
        let tx = link.begin().await.expect("begins");
        tx.execute("INSERT INTO ~meta (key, value) VALUES ('lost', 1)", params![])
            .await
            .expect("inserts");
    }
    let found = link.query("SELECT 1 FROM ~meta WHERE key = 'lost'", params![]).await;
    assert!(found.expect("reads").is_empty(), "was rolled back");
    link.query("INSERT INTO ~meta (key, value) VALUES ('kept', 1)", params![])
        .await
        .expect("inserts");
    let again = open(&PostgresSettings { offer: Offer::default(), ..settings }).await;
    let found =
        postgres(&again).link.query("SELECT 1 FROM ~meta WHERE key = 'kept'", params![]).await;
    assert_eq!(found.expect("reads").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_would_lose_what_it_commits_is_refused() {
    let cluster = cluster::Cluster::start(&["fsync=off"]);
    let mut settings = postgres_settings();
    settings.address = Address::parse(&cluster.url()).expect("parses");
    let refused = Store::open_postgres(&settings, Box::new(|_| ())).await.err();
    let why = refused.expect("is refused").to_string();
    assert!(why.contains("fsync is off"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_wait_for_the_disk_whatever_is_set_for_the_role() {
    let store = open_postgres().await;
    let link = &postgres(&store).link;
    let tx = link.begin().await.expect("begins");
    tx.batch("SET LOCAL synchronous_commit = off").await.expect("sets");
    let sql = format!("SELECT {}, current_setting('synchronous_commit')", link::DURABLE_HERE);
    let row = tx.first(&sql, params![]).await.expect("reads").expect("a row");
    assert_eq!(row.get::<_, String>(0), "on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_is_not_ours_is_refused() {
    let cases = [
        ("DROP TABLE ~migrations", "is not a tollbell database"),
        ("INSERT INTO ~migrations VALUES (99, 'later', '')", "at version 4"),
        ("UPDATE ~migrations SET sha256 = ''", "migration 0001_begin"),
    ];
    for (sql, expected) in cases {
        let settings = postgres_settings();
        let store = open(&settings).await;
        postgres(&store).link.query(sql, params![]).await.expect("spoils");
        let refused = Store::open_postgres(&settings, Box::new(|_| ())).await.err();
        let why = refused.expect("is refused").to_string();
        assert!(why.contains(expected), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_beside_the_replicas_takes_no_duty() {
    let settings = postgres_settings();
    let place = crate::store::Place::Postgres(Box::new(settings.address.clone()));
    let missing = Store::attach(&place).await.expect_err("there is none");
    assert!(missing.to_string().contains("there is no database"), "{missing}");
    let store = open(&settings).await;
    queue(&store, [queued("d", "g", 0)]).await;
    let beside = Store::attach(&place).await.expect("attaches");
    assert!(!beside.holds(&Role::Judge));
    assert!(beside.delivery("d").await.expect("reads").is_some());
    beside.close().await.expect("closes");
    assert!(store.holds(&Role::Judge));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_is_told_and_got_over() {
    let cluster = cluster::Cluster::start(&[]);
    let mut settings = postgres_settings();
    settings.address = Address::parse(&cluster.url()).expect("parses");
    let store = open(&settings).await;
    store.record(event("a")).await.expect("records");
    cluster.control("stop -m immediate");
    assert!(matches!(store.record(event("b")).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.probe().await, Err(StoreError::Unavailable(_))));
    cluster.control("start");
    while store.probe().await.is_err() {}
    assert_eq!(store.record(event("b")).await.expect("records"), Recorded::New);
    assert_eq!(store.record(event("a")).await.expect("records"), Recorded::Duplicate);
}
