//! What only the SQLite backend can show: the shared commit, failing files, crashes, foreign databases.

mod counts;
mod plans;
mod random;
mod rules;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc as std_mpsc;

use futures_util::future::join_all;
use proptest::prelude::*;
use tempfile::TempDir;

use super::writer::{CHECKPOINT_PAGES, LOG_PAGES_MAX};
use super::*;
use crate::event::Event;
use crate::store::tests::{at, claim, claim_due, event, open, queue, queued, settings, settlement};
use crate::store::{Changes, CommitStats, DeliveryFilter, DeliveryState, Next, Recorded, Store};

/// Holds the writer within a transaction until the returned sender is used or dropped.
async fn hold(store: &Store) -> (std_mpsc::Sender<()>, impl Future<Output = ()>) {
    let (release, released) = std_mpsc::channel();
    let (entered, held) = oneshot::channel();
    let held_by = store.clone();
    let mut held_job = Box::pin(async move {
        let held = sqlite(&held_by).write(move |_, _| {
            entered.send(()).expect("the test waits");
            // Both ways mean: go on.
            released.recv().unwrap_or_default();
            Ok(())
        });
        held.await.expect("commits");
    });
    assert!(futures_util::poll!(&mut held_job).is_pending());
    held.await.expect("the writer runs");
    (release, held_job)
}

fn sqlite(store: &Store) -> &Sqlite {
    store.sqlite().expect("is SQLite")
}

#[tokio::test]
async fn the_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = TempDir::new().expect("a folder");
    let settings = settings(&directory);
    let store = open(&settings).await;
    store.record(event("e-1")).await.expect("recorded");
    let folder = settings.path.parent().expect("a folder");
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        looked_at += 1;
    }
    assert!(looked_at >= 3, "database, its log, the lock");
}

fn watched() -> (Observer, Arc<Mutex<Vec<usize>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&seen);
    let observer =
        Box::new(move |stats: CommitStats| writer.lock().expect("no panic").push(stats.jobs));
    (observer, seen)
}

#[tokio::test]
async fn concurrent_records_share_a_commit_and_a_poisoned_one_harms_no_other() {
    let directory = tempfile::tempdir().expect("temp dir");
    let (observer, jobs) = watched();
    let store = Store::open(&settings(&directory), observer).await.expect("opens");
    let (release, held) = hold(&store).await;

    let records = join_all((0..100).map(|n| store.record(event(&n.to_string()))));
    let poisoned = sqlite(&store).write(|tx, _| {
        tx.execute("DELETE FROM inbox", ())?;
        tx.execute("INSERT INTO meta (key, value) VALUES ('cursor', 1)", ())?;
        Ok(())
    });
    let stale = store.commit(Changes { cursor: -1, ..Changes::default() });
    let (mut records, mut poisoned) = (Box::pin(records), Box::pin(poisoned));
    let mut stale = Box::pin(stale);
    assert!(futures_util::poll!(&mut records).is_pending());
    assert!(futures_util::poll!(&mut poisoned).is_pending());
    assert!(futures_util::poll!(&mut stale).is_pending());
    drop(release);
    held.await;

    assert!(matches!(poisoned.await, Err(StoreError::Unstorable(_))));
    assert!(matches!(stale.await, Err(StoreError::Stale(0))));
    assert!(records.await.iter().all(|recorded| matches!(recorded, Ok(Recorded::New))));
    assert_eq!(store.inbox_after(0, 1000).await.expect("reads").len(), 100);
    store.close().await.expect("closes");
    assert_eq!(*jobs.lock().expect("no panic"), [1, 102]);
}

#[tokio::test]
async fn a_full_queue_says_so_at_once_and_a_caller_that_leaves_loses_nothing() {
    let directory = tempfile::tempdir().expect("temp dir");
    let store = open(&settings(&directory)).await;
    let (release, held) = hold(&store).await;
    for n in 0..QUEUE_JOBS_MAX {
        let mut leaving = Box::pin(store.record(event(&n.to_string())));
        assert!(futures_util::poll!(&mut leaving).is_pending());
    }
    assert!(matches!(store.record(event("more")).await, Err(StoreError::QueueFull)));
    assert!(matches!(store.probe().await, Err(StoreError::QueueFull)));
    drop(release);
    held.await;
    store.close().await.expect("closes");
    let store = open(&settings(&directory)).await;
    let kept = store.inbox_after(0, 10_000).await.expect("reads");
    assert_eq!(kept.len(), QUEUE_JOBS_MAX);
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_too() {
    let directory = tempfile::tempdir().expect("temp dir");
    let store = open(&settings(&directory)).await;
    let (release, held) = hold(&store).await;
    let large = |id: &str| Event { payload: "x".repeat(QUEUE_BYTES_MAX / 2).into(), ..event(id) };
    let mut first = Box::pin(store.record(large("a")));
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(matches!(store.record(large("b")).await, Err(StoreError::QueueFull)));
    drop(release);
    held.await;
    assert_eq!(first.await.expect("records"), Recorded::New);
    assert_eq!(store.record(large("b")).await.expect("records"), Recorded::New);
    // Large events come a few at a time, and all of them come.
    assert_eq!(store.inbox_after(0, 10).await.expect("reads").len(), 1);
    assert_eq!(store.inbox_after(1, 10).await.expect("reads").len(), 1);
}

#[tokio::test]
async fn a_bug_in_one_operation_ends_neither_the_writer_nor_a_reader() {
    let directory = tempfile::tempdir().expect("temp dir");
    let store = open(&settings(&directory)).await;
    let bug = sqlite(&store).write(|_, _| -> Result<(), Failure> { panic!("a bug") });
    assert!(matches!(bug.await, Err(StoreError::Unavailable(_))));
    let bug = sqlite(&store).read(|_| -> Result<(), Failure> { panic!("a bug") });
    assert!(matches!(bug.await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.record(event("a")).await.expect("records"), Recorded::New);
    assert_eq!(store.inbox_after(0, 1).await.expect("reads").len(), 1);
}

#[tokio::test]
async fn a_full_disk_and_a_read_only_file_are_told_and_got_over() {
    let directory = tempfile::tempdir().expect("temp dir");
    let store = open(&settings(&directory)).await;
    let large = |id: &str| Event { payload: "x".repeat(64 * 1024).into(), ..event(id) };
    store.pragma("max_page_count = 1").await.expect("sets");
    for _ in 0..3 {
        assert!(matches!(store.record(large("a")).await, Err(StoreError::Unavailable(_))));
    }
    store.pragma("max_page_count = 1000000").await.expect("sets");
    assert_eq!(store.record(large("a")).await.expect("records"), Recorded::New);

    store.pragma("query_only = 1").await.expect("sets");
    assert!(matches!(store.probe().await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.record(event("b")).await.expect("records"), Recorded::New);
    assert_eq!(store.inbox_after(0, 10).await.expect("reads").len(), 2);
}

#[tokio::test]
async fn a_locked_database_is_told_and_got_over() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    store.pragma("busy_timeout = 0").await.expect("sets");
    let other = Connection::open(&settings.path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    assert!(matches!(store.record(event("a")).await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.inbox_after(0, 10).await.expect("reads"), []);
    other.execute_batch("ROLLBACK").expect("unlocks");
    assert_eq!(store.record(event("a")).await.expect("records"), Recorded::New);
}

#[tokio::test]
async fn a_database_that_is_taken_away_is_told_and_found_again() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    store.record(event("a")).await.expect("records");
    let aside = directory.path().join("aside");
    let files = ["", "-wal", "-shm"].map(|suffix| sibling(&settings.path, suffix));
    std::fs::create_dir(&aside).expect("makes");
    for file in &files {
        std::fs::rename(file, aside.join(file.file_name().expect("a name"))).expect("moves");
    }
    for _ in 0..2 {
        assert!(matches!(store.record(event("b")).await, Err(StoreError::Unavailable(_))));
        assert!(!settings.path.exists(), "an empty one would hide the loss");
    }
    for file in &files {
        let moved = aside.join(file.file_name().expect("a name"));
        if moved.exists() {
            std::fs::rename(moved, file).expect("moves");
        }
    }
    store.record(event("b")).await.expect("records");
    assert_eq!(store.record(event("a")).await.expect("records"), Recorded::Duplicate);
}

#[tokio::test]
async fn a_log_that_is_deleted_takes_nothing_with_it() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    store.record(event("a")).await.expect("records");
    assert_eq!(store.inbox_after(0, 10).await.expect("reads").len(), 1);
    std::fs::remove_file(sibling(&settings.path, "-wal")).expect("deletes");
    store.record(event("b")).await.expect("records");
    // What a crash would leave now.
    let (_directory, after) = after_crash(&settings).await;
    assert_eq!(after.inbox_after(0, 10).await.expect("reads").len(), 2);
    store.record(event("c")).await.expect("records");
    assert_eq!(store.inbox_after(0, 10).await.expect("reads").len(), 3);
    let (_directory, after) = after_crash(&settings).await;
    assert_eq!(after.inbox_after(0, 10).await.expect("reads").len(), 3);
}

#[tokio::test]
async fn the_log_begins_anew_while_writes_go_on() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    let look = Connection::open(&settings.path).expect("opens");
    let large = |n: u32| Event { payload: "x".repeat(256 * 1024).into(), ..event(&n.to_string()) };
    let (mut written, mut longest) = (0, 0);
    loop {
        store.record(large(written)).await.expect("records");
        written += 1;
        let log: i64 =
            look.query_row("PRAGMA wal_checkpoint(NOOP)", (), |row| row.get(1)).expect("looks");
        if log < longest {
            break;
        }
        longest = log;
        assert!(log <= LOG_PAGES_MAX + 100, "the log has a bound");
    }
    assert!(longest >= CHECKPOINT_PAGES);
    let (_directory, after) = after_crash(&settings).await;
    assert_eq!(after.stats().await.expect("reads").events_total, u64::from(written));
    assert_eq!(after.record(large(0)).await.expect("records"), Recorded::Duplicate);
}

/// The store as a new process would find it, had this one been killed now.
async fn after_crash(settings: &Settings) -> (TempDir, Store) {
    let directory = copy(&settings.path);
    let path = directory.path().join("tollbell.db");
    let store = open(&Settings { path, ..settings.clone() }).await;
    (directory, store)
}

fn copy(path: &Path) -> TempDir {
    let directory = tempfile::tempdir().expect("temp dir");
    for suffix in ["", "-wal"] {
        let (from, to) = (sibling(path, suffix), directory.path().join("tollbell.db"));
        if from.exists() {
            std::fs::copy(from, sibling(&to, suffix)).expect("copies");
        }
    }
    directory
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    for id in ["a", "b"] {
        store.record(event(id)).await.expect("records");
    }
    store.commit(Changes { cursor: 1, ..Changes::default() }).await.expect("commits");
    queue(&store, [queued("d", "d", 0)]).await;
    assert_eq!(claim(&store, 0).await.len(), 1);

    let (_directory, after) = after_crash(&settings).await;
    assert_eq!(after.resume().await.expect("reads").cursor, 1);
    assert_eq!(after.inbox_after(1, 10).await.expect("reads").len(), 1);
    assert_eq!(after.record(event("b")).await.expect("records"), Recorded::Duplicate);
    assert_eq!(after.release_all().await.expect("releases").len(), 1);
    assert!(claim_due(&after, 0, 1).await[0].cut_off);
}

#[tokio::test]
async fn payloads_are_dropped_when_the_policy_says_so() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = Settings { payload: PayloadPolicy::None, ..settings(&directory) };
    let store = open(&settings).await;
    for id in ["a", "b"] {
        store.record(event(id)).await.expect("records");
    }
    store.commit(Changes { cursor: 1, ..Changes::default() }).await.expect("commits");
    for (id, dropped) in [("a", true), ("b", false)] {
        let record = store.event(id, None).await.expect("reads").expect("is there");
        assert_eq!(
            (record.payload_dropped, record.stored.event.payload.is_null()),
            (dropped, dropped)
        );
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_back_blocks_no_other() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    for id in ["a", "b", "c", "d"] {
        store.record(event(id)).await.expect("records");
    }
    queue(&store, [queued("bad", "x", 0), queued("good", "y", 0), queued("odd", "z", 0)]).await;
    assert_eq!(claim(&store, 0).await.len(), 3);
    for id in ["bad", "good", "odd"] {
        store.settle(settlement(id, 1, Next::RetryAt(at(0)))).await.expect("settles");
    }
    let spoil = "UPDATE inbox SET payload = x'7b' WHERE id = 'a';
        UPDATE inbox SET cost = 'much' WHERE id = 'b';
        UPDATE inbox SET received_at = 9223372036854775807 WHERE id = 'c';
        INSERT INTO contents (n, digest, composed_at, message) VALUES (99, x'', 0, x'');
        UPDATE deliveries SET content = 99 WHERE id = 'bad';
        UPDATE deliveries SET created_at = 9223372036854775807 WHERE id = 'odd';";
    Connection::open(&settings.path).expect("opens").execute_batch(spoil).expect("spoils");
    let events = store.inbox_after(0, 10).await.expect("reads");
    let unreadable: Vec<_> =
        events.iter().filter_map(|event| event.as_ref().err()).map(|bad| bad.seq).collect();
    assert_eq!((events.len(), unreadable), (4, vec![1, 2, 3]));
    assert_eq!(claim(&store, 0).await, ["good"]);
    assert_eq!(store.stats().await.expect("reads").deliveries_in(DeliveryState::Dead), 2);
}

#[tokio::test]
async fn a_command_beside_the_server_lists_and_retries() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let missing = Store::attach(&settings.path).await;
    assert!(matches!(missing, Err(OpenError::Missing(_))));
    assert!(!settings.path.exists());

    let store = open(&settings).await;
    queue(&store, [queued("a", "a", 0)]).await;
    assert_eq!(claim(&store, 0).await.len(), 1);
    store.settle(settlement("a", 1, Next::Dead)).await.expect("settles");
    let beside = Store::attach(&settings.path).await.expect("attaches");
    let listed = beside.deliveries(DeliveryFilter { limit: 9, ..DeliveryFilter::default() }).await;
    assert_eq!(listed.expect("reads").len(), 1);
    assert_eq!(beside.retry(super::super::Retry::All, at(1)).await.expect("retries").count, 1);
    beside.close().await.expect("closes");
    assert_eq!(claim(&store, 1).await.len(), 1);
    store.close().await.expect("closes");

    // Without a server, too.
    let beside = Store::attach(&settings.path).await.expect("attaches");
    assert!(beside.delivery("a").await.expect("reads").is_some());
    beside.close().await.expect("closes");
}

#[tokio::test]
async fn a_database_that_is_not_ours_is_refused() {
    let cases = [
        ("CREATE TABLE theirs (x)", "is not a tollbell database"),
        ("INSERT INTO migrations VALUES (99, 'later', x'')", "at version 99"),
        ("UPDATE migrations SET sha256 = x''", "migration 0001_begin"),
    ];
    for (sql, expected) in cases {
        let directory = tempfile::tempdir().expect("temp dir");
        let settings = settings(&directory);
        if sql.starts_with("CREATE") {
            std::fs::create_dir(directory.path().join("data")).expect("makes");
        } else {
            open(&settings).await.close().await.expect("closes");
        }
        Connection::open(&settings.path).expect("opens").execute_batch(sql).expect("spoils");
        for refused in [
            Store::open(&settings, Box::new(|_| ())).await.err(),
            Store::attach(&settings.path).await.err(),
        ] {
            let message = refused.expect("refused").to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
    let directory = tempfile::tempdir().expect("temp dir");
    let path = directory.path().join("empty.db");
    std::fs::write(&path, "").expect("writes");
    assert!(matches!(Store::attach(&path).await, Err(OpenError::Older { found: 0, .. })));
    std::fs::write(&path, "not a database, but long enough to look at".repeat(99)).expect("writes");
    assert!(matches!(Store::attach(&path).await, Err(OpenError::Failed { .. })));
}
