//! What the second migration added: its upgrade, its bounds, and crashes around its commits.

use super::*;
use crate::alerts::AlertState;
use crate::store::tests::{
    claim_due, context, entry, full_batch, known, leg, line, request, row, silence, states,
};
use crate::store::{AlertFilter, Claim, EventState, Known, Space};
use crate::store::{CALLS_MAX, SILENCES_MAX};

/// A database as the first release left it.
const OLD: &str = r#"
    INSERT INTO inbox (seq, id, account, kind, type, occurred_at, received_at, attempt, source, cost, currency,
        content_hashed, payload)
        VALUES (1, 'a', 'default', 'call.cost', 'call_cost', NULL, 1800000000000000, 1, 'webhook', '0.10', 'USD', 0,
            CAST('{"cost": 0.10}' AS BLOB)),
        (2, 'b', 'default', 'call.cost', 'call_cost', NULL, 1800000000000000, 1, 'webhook', NULL, NULL, 0,
            CAST('{}' AS BLOB));
    INSERT INTO dedupe VALUES ('a', 'default', 1, 1900000000000000), ('b', 'default', 2, 1900000000000000);
    INSERT INTO judgements VALUES (1, 0, 'g/Old', 'fired', 'f1', 'value 3', 'abc');
    UPDATE meta SET value = 1 WHERE key = 'cursor';
    INSERT INTO alerts VALUES ('f1', 'Old', 'firing', 1800003600000000, CAST('{"fingerprint": "f1", "rule": "g/Old",
        "labels": {"alertname": "Old"}, "annotations": {}, "state": "firing", "starts_at": "2027-01-15T08:00:00Z",
        "ends_at": "2027-01-15T09:00:00Z", "updated_at": "2027-01-15T08:00:00Z", "notify_expired": false,
        "event": {}}' AS BLOB)),
        ('f2', 'Old', 'resolved', 1800003600000000, CAST('{"fingerprint": "f2", "rule": "g/Old",
        "labels": {"alertname": "Old"}, "annotations": {}, "state": "resolved", "starts_at": "2027-01-15T08:00:00Z",
        "ends_at": "2027-01-15T09:00:00Z", "updated_at": "2027-01-15T08:00:00Z", "notify_expired": false,
        "event": {}}' AS BLOB));
    INSERT INTO deliveries (id, integration, receiver, target, group_key, state, created_at, not_before, message)
        VALUES ('d1', 'slack', 'oncall', 'hook', 'g', 'pending', 1800000000000000, 1800000000000000,
        CAST('{"receiver": "oncall", "status": "firing", "reason": "first notification", "group_key": "g",
        "group_labels": {}, "common_labels": {}, "common_annotations": {}, "alerts": [{"fingerprint": "f1",
        "status": "firing", "expired": false, "labels": {}, "annotations": {}, "starts_at": "2027-01-15T08:00:00Z",
        "ends_at": "2027-01-15T09:00:00Z", "event": {}}], "truncated_alerts": 0, "external_url": "",
        "created_at": "2027-01-15T08:00:00Z"}' AS BLOB));
    INSERT INTO lanes VALUES ('slack', 'hook', 'g', 1800000000000000);
    INSERT INTO caused VALUES (1, 'd1');
"#;

#[tokio::test]
async fn a_database_of_the_first_release_is_brought_up_to_date_with_all_it_holds() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let path = prepare(&settings.path).expect("makes the directory");
    let mut conn = connection::writer(&path, Purpose::Create).expect("opens");
    migrations::migrate_to(&mut conn, 1).expect("migrates");
    conn.execute_batch(OLD).expect("fills");
    drop(conn);
    let beside = Store::attach(&settings.path).await;
    assert!(matches!(beside, Err(OpenError::Older { found: 1, known: 6 })));

    let store = open(&settings).await;
    let resumed = store.resume().await.expect("reads");
    assert_eq!((resumed.cursor, resumed.rows.len(), resumed.silences.version), (1, 0, 0));
    assert_eq!(resumed.alerts.len(), 1);
    let alerts = store.alerts(AlertFilter { limit: 9, ..AlertFilter::default() }).await;
    let found = alerts.expect("reads").iter().map(|alert| alert.state).collect::<Vec<_>>();
    assert_eq!(found, [AlertState::Firing, AlertState::Resolved]);
    let stats = store.stats().await.expect("reads");
    let counts: Vec<_> = stats.alerts.iter().map(|a| (a.state.as_str(), a.count)).collect();
    assert_eq!(counts, [("firing", 1), ("resolved", 1)]);
    assert_eq!((stats.events_total, stats.inbox_lag_events), (2, 1));
    let record = store.event("a", None).await.expect("reads").expect("is there");
    assert_eq!((record.judgements.len(), record.deliveries.len()), (1, 1));
    assert_eq!(record.stored.event.charge, None);

    // And it works on.
    let claimed = claim_due(&store, 0, 9).await;
    assert_eq!((claimed.len(), &*claimed[0].delivery.id), (1, "d1"));
    let changes = Changes {
        cursor: 2,
        judgements: vec![],
        charges: vec![],
        alerts: claimed_alert_ended(resumed.alerts),
        ..full_batch()
    };
    store.commit(changes).await.expect("commits");
    assert_eq!(store.stats().await.expect("reads").alerts[0].count, 2);
    store.close().await.expect("closes");
    let store = open(&settings).await;
    assert_eq!(store.resume().await.expect("reads").rows.len(), 1);
}

fn claimed_alert_ended(alerts: Vec<crate::alerts::Alert>) -> Vec<crate::alerts::Alert> {
    let end = |alert| crate::alerts::Alert { state: AlertState::Resolved, ..alert };
    alerts.into_iter().map(end).collect()
}

#[tokio::test]
async fn calls_are_bounded_and_the_oldest_go_first() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    let fill = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {CALLS_MAX} - 1) \
         INSERT INTO calls SELECT 'default', 'old' || i, {} + i, CAST('{{}}' AS BLOB) FROM n",
        micros(at(0))
    );
    Connection::open(&settings.path).expect("opens").execute_batch(&fill).expect("fills");
    let learn = async |legs: &[&str]| {
        let calls = legs.iter().map(|name| (leg(name), context(), at(60))).collect();
        store.commit(Changes { calls, ..Changes::default() }).await.expect("commits").calls_evicted
    };
    assert_eq!(learn(&["a"]).await, 0, "the last one there is room for");
    assert_eq!(learn(&["a", "old1"]).await, 0, "what is known takes no more room");
    assert_eq!(learn(&["b", "c"]).await, 2);
    let asked = ["a", "b", "c", "old1", "old2", "old3", "old4"].map(leg).to_vec();
    let known = store.known(vec![], asked).await.expect("reads");
    let legs: Vec<_> = known.calls.iter().map(|(key, _)| key.leg.as_str()).collect();
    assert_eq!(legs, ["a", "b", "c", "old1", "old4"], "what was touched again is young");
    // What is swept makes room.
    while store.sweep(at(8 * 24 * 60), 10).await.expect("sweeps").calls == 0 {}
    assert_eq!(learn(&["d", "e"]).await, 0);
}

#[tokio::test]
async fn silences_are_bounded_but_those_that_are_kept_can_be_changed() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    store.put_silence(silence("mine", 0, 60)).await.expect("keeps");
    let fill = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {SILENCES_MAX} - 1) \
         INSERT INTO silences SELECT 'old' || i, 0, 0, CAST('{{}}' AS BLOB) FROM n"
    );
    Connection::open(&settings.path).expect("opens").execute_batch(&fill).expect("fills");
    let version = store.silences_version().await.expect("reads");
    let refused = store.put_silence(silence("more", 0, 60)).await;
    assert!(matches!(refused, Err(StoreError::Unstorable(_))));
    assert_eq!(store.silences_version().await.expect("reads"), version);
    store.put_silence(silence("mine", 0, 30)).await.expect("changes");
    // Those that cannot be read back are left out, and hold nobody up.
    let kept = store.silences().await.expect("reads").silences;
    assert_eq!(kept, [silence("mine", 0, 30)]);
    assert_eq!(store.resume().await.expect("reads").silences.silences, kept);
}

#[tokio::test]
async fn a_silence_made_beside_the_server_is_seen_by_it() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    store.record(event("a")).await.expect("records");
    let asked = store.silences_version().await.expect("reads");
    let beside = Store::attach(&settings.path).await.expect("attaches");
    beside.put_silence(silence("s", 0, 60)).await.expect("keeps");
    let seen = store.silences_version().await.expect("reads");
    assert_ne!(seen, asked);
    queue(&store, [queued("d", "d", 0)]).await;
    let due = store.due("slack", at(0), 1).await.expect("reads");
    assert_eq!(due.silences, seen);
    let stale = Claim { silences: asked, ..request(0, &due) };
    assert!(matches!(store.claim(stale).await, Err(StoreError::Stale(_))));
    assert_eq!(store.claim(request(0, &due)).await.expect("claims").len(), 1);
    assert_eq!(store.silences().await.expect("reads").silences, [silence("s", 0, 60)]);
    beside.close().await.expect("closes");
}

#[tokio::test]
async fn a_crash_before_the_commit_leaves_nothing_of_a_batch_and_one_after_it_everything() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    store.record(event("a")).await.expect("records");
    let (release, held) = hold(&store).await;
    let mut commit = Box::pin(store.commit(full_batch()));
    let mut silenced = Box::pin(store.put_silence(silence("s", 0, 60)));
    assert!(futures_util::poll!(&mut commit).is_pending());
    assert!(futures_util::poll!(&mut silenced).is_pending());
    // Queued behind both, so that their transaction is open while it holds the writer.
    let mut second = Box::pin(hold(&store));
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(release);
    let (release, held_open) = second.await;
    let (_before, crashed) = after_crash(&settings).await;
    drop(release);
    commit.await.expect("commits");
    silenced.await.expect("keeps");
    held.await;
    held_open.await;
    let (_after, kept) = after_crash(&settings).await;

    for (store, is_there) in [(crashed, false), (kept, true)] {
        let count = usize::from(is_there);
        let resumed = store.resume().await.expect("reads");
        assert_eq!(resumed.cursor, i64::from(is_there));
        assert_eq!(resumed.alerts.len(), count);
        assert_eq!(resumed.silences.silences.len(), count);
        let rows = [row(Space::Series, "s", Some(b"bytes"))];
        assert_eq!(resumed.rows, rows[..count]);
        let expected = Known {
            entries: vec![entry("leg", "0.1000", 0)],
            calls: vec![(leg("leg"), context())],
        };
        let expected = if is_there { expected } else { Known::default() };
        assert_eq!(known(&store).await, expected);
        let journal = store.journal("f1".to_owned(), 9).await.expect("reads");
        assert_eq!(journal, [line("f1", "fired", 0)][..count]);
        assert_eq!(states(&store).await, ["", "d1 pending"][count]);
        let record = store.event("a", None).await.expect("reads").expect("is there");
        assert_eq!(record.state, [EventState::Waiting, EventState::Judged][count]);
        assert_eq!((record.judgements.len(), record.deliveries.len()), (count, count));
        assert_eq!(record.stored.event.charge.is_some(), is_there);
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_leaves_nothing_of_a_batch() {
    let directory = tempfile::tempdir().expect("temp dir");
    let store = open(&settings(&directory)).await;
    store.record(event("a")).await.expect("records");
    store.pragma("max_page_count = 1").await.expect("sets");
    let mut batch = full_batch();
    batch.journal.push(line("f1", &"x".repeat(256 * 1024), 0));
    assert!(matches!(store.commit(batch.clone()).await, Err(StoreError::Unavailable(_))));
    let resumed = store.resume().await.expect("reads");
    assert_eq!((resumed.cursor, resumed.rows.len(), resumed.alerts.len()), (0, 0, 0));
    assert_eq!(known(&store).await, Known::default());
    store.pragma("max_page_count = 1000000").await.expect("sets");
    store.commit(batch).await.expect("commits");
    assert_eq!(known(&store).await.entries.len(), 1);
}

#[tokio::test]
async fn a_charge_or_a_call_that_cannot_be_read_back_counts_as_unknown() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    let changes = Changes {
        ledger: vec![entry("a", "1", 0), entry("b", "1", 0)],
        calls: vec![(leg("a"), context(), at(0)), (leg("b"), context(), at(0))],
        ..Changes::default()
    };
    store.commit(changes).await.expect("commits");
    let spoil = "UPDATE ledger SET amount = 'much' WHERE key = 'call:a';
        UPDATE calls SET context = x'7b' WHERE leg = 'b';";
    Connection::open(&settings.path).expect("opens").execute_batch(spoil).expect("spoils");
    let known = store.known(vec![], vec![leg("a"), leg("b")]).await.expect("reads");
    assert_eq!(known.entries, [entry("b", "1", 0)]);
    assert_eq!(known.calls, [(leg("a"), context())]);
}

/// The plan of a statement, as SQLite explains it.
fn plan(conn: &Connection, sql: &str) -> String {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect(sql);
    let parameters = vec![rusqlite::types::Null; statement.parameter_count()];
    let steps = statement
        .query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(3))
        .expect(sql);
    steps.collect::<Result<Vec<_>, _>>().expect(sql).join("; ")
}

#[tokio::test]
async fn what_grows_is_found_by_an_index() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    let look = Connection::open(&settings.path).expect("opens");
    for (sql, index) in [
        (
            "SELECT rowid FROM ledger WHERE updated_at <= ?1 ORDER BY updated_at LIMIT ?2",
            "ledger_updated",
        ),
        ("SELECT rowid FROM calls ORDER BY learned_at, rowid LIMIT ?1", "calls_learned"),
        (
            "SELECT rowid FROM calls WHERE learned_at <= ?1 ORDER BY learned_at LIMIT ?2",
            "calls_learned",
        ),
        (
            "SELECT at FROM journal WHERE fingerprint = ?1 ORDER BY n DESC LIMIT ?2",
            "journal_of_alert",
        ),
        (
            "SELECT key FROM state WHERE space = ?1 ORDER BY key LIMIT ?2",
            "sqlite_autoindex_state_1",
        ),
        (
            "SELECT 1 FROM alerts WHERE state = 'firing' ORDER BY fingerprint LIMIT ?1",
            "alerts_firing",
        ),
        (
            "SELECT 1 FROM alerts WHERE state <> 'firing' ORDER BY ends_at DESC, fingerprint LIMIT ?1",
            "alerts_ended",
        ),
        ("SELECT at FROM ledger WHERE at >= ?1 AND at < ?2 ORDER BY at", "ledger_charged"),
        (
            "SELECT n FROM deliveries WHERE integration = ?1 AND finished_at IS NULL AND due_at <= ?2 \
             ORDER BY due_at LIMIT ?3",
            "deliveries_due",
        ),
        (
            "SELECT n FROM deliveries WHERE finished_at IS NOT NULL AND noted = 0 ORDER BY n LIMIT ?1",
            "deliveries_unnoted",
        ),
        (
            "SELECT receiver, state, count(*) FROM deliveries INDEXED BY deliveries_open \
             WHERE finished_at IS NULL GROUP BY 1, 2",
            "deliveries_open",
        ),
        (
            "SELECT EXISTS (SELECT 1 FROM deliveries WHERE integration = ?1 AND target = ?2 \
             AND group_key = ?3 AND fallback_of IS NOT NULL AND created_at >= ?4)",
            "deliveries_to_fallbacks",
        ),
    ] {
        let plan = plan(&look, sql);
        assert!(
            plan.contains(index) && !plan.contains("TEMP B-TREE FOR ORDER BY"),
            "{sql}: {plan}"
        );
    }
    store.close().await.expect("closes");
}
