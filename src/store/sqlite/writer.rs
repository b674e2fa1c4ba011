//! The one thread that writes.
//!
//! It takes the first job, whatever waits behind it, runs all in one transaction, commits (one fsync), and only
//! then answers. Promises: a job that fails by its own fault harms no other; a store that fails answers all with an
//! error, changes nothing, and is tried afresh with the next batch. It never waits to fill a batch.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::connection::{self, Identity, Purpose};
use super::failure::Failure;
use super::job::{Done, Effects, Job};
use super::readers::Readers;
use crate::store::{CommitStats, Observer, Signals, StoreError};

/// Jobs in one transaction at most.
const BATCH_JOBS_MAX: usize = 256;

/// Bytes in one transaction at most, plus one job.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Pages in the write-ahead log (4 KiB each) that make a checkpoint due.
pub(super) const CHECKPOINT_PAGES: i64 = 4096;

/// Pages that the writer moves itself, to complete a checkpoint: some milliseconds.
const COMPLETE_PAGES: i64 = 512;

/// Pages in the log from which on the writer moves them all itself: the log is bounded, even if writes must wait.
pub(super) const LOG_PAGES_MAX: i64 = 16 * CHECKPOINT_PAGES;

/// What goes through the queue.
pub(super) enum Order {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// The writer's state; lives on its thread.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) purpose: Purpose,
    /// `None` after a failure, until the next batch opens it again.
    pub(super) conn: Option<(Connection, Identity)>,
    pub(super) readers: Arc<Readers>,
    pub(super) signals: Arc<Signals>,
    pub(super) observer: Observer,
    /// Which file the database is, and the most bytes it was seen to have: it shrinks by itself only when it is vacuumed.
    pub(super) largest: Option<((u64, u64), u64)>,
    /// Held until the connection is closed.
    pub(super) lock: Option<[File; 2]>,
    /// Whether the last batch failed: a failure is logged once, and so is its end.
    pub(super) failing: bool,
    /// The last checkpoint beside the writer.
    pub(super) checkpoint: Option<JoinHandle<()>>,
}

impl Writer {
    /// Runs until it is told to close or every handle is gone.
    pub(super) fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut closing = None;
        while let Some(order) = orders.blocking_recv() {
            let mut batch = Vec::new();
            let mut bytes = 0;
            let mut next = Some(order);
            while let Some(order) = next.take() {
                match order {
                    Order::Job(job) => {
                        bytes += job.bytes();
                        batch.push(job);
                    }
                    Order::Close(done) => {
                        orders.close();
                        closing = Some(done);
                    }
                }
                if batch.len() < BATCH_JOBS_MAX && bytes < BATCH_BYTES_MAX {
                    next = orders.try_recv().ok();
                }
            }
            if !batch.is_empty() {
                self.batch(batch);
            }
        }
        self.close();
        if let Some(done) = closing {
            // Whoever asked may be gone.
            done.send(()).unwrap_or_default();
        }
    }

    /// Commits a batch and answers everyone in it.
    fn batch(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let begun = Instant::now();
        // A bug in an operation must not end the only writer. Its callers see their answer dropped.
        let committed = catch_unwind(AssertUnwindSafe(|| self.commit(&mut batch)))
            .unwrap_or_else(|_panic| Err(Failure::unavailable("an operation panicked")));
        let stats = CommitStats { jobs: batch.len(), took: begun.elapsed() };
        match committed {
            Ok(effects) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the store commits again");
                }
                for job in batch {
                    job.answer(None);
                }
                if effects.recorded {
                    self.signals.recorded.send_modify(|count| *count += 1);
                }
                if effects.queued {
                    self.signals.queued.send_modify(|count| *count += 1);
                }
                (self.observer)(stats);
                self.checkpoint_when_due();
            }
            Err(failure) => {
                self.recover(&failure);
                let error = StoreError::from(failure);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the store cannot commit");
                }
                for job in batch {
                    job.answer(Some(error.for_another()));
                }
            }
        }
    }

    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<Effects, Failure> {
        self.open_if_closed()?;
        let (conn, _) = self.conn.as_ref().expect("just opened");
        let mut effects = Effects::default();
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
        for job in batch {
            if job.needs_savepoint() {
                conn.prepare_cached("SAVEPOINT job")?.execute(())?;
                if job.run(conn, &mut effects)? == Done::ToUndo {
                    conn.prepare_cached("ROLLBACK TO job")?.execute(())?;
                }
                conn.prepare_cached("RELEASE job")?.execute(())?;
            } else {
                job.run(conn, &mut effects)?;
            }
        }
        conn.prepare_cached("COMMIT")?.execute(())?;
        self.check_size()?;
        self.check_files()?;
        Ok(effects)
    }

    fn open_if_closed(&mut self) -> Result<(), Failure> {
        if self.conn.is_none() {
            self.check_size()?;
            let conn = connection::writer(&self.path, self.purpose)?;
            super::migrations::require_current(&conn)
                .map_err(|mismatch| Failure::unavailable(format!("{mismatch:?}")))?;
            self.conn = Some((conn, Identity::of(&self.path)));
        }
        Ok(())
    }

    /// Fails unless what was just committed is in the files that the next start will read. When only the log was
    /// taken away, its content is still ours to read: it is moved into the database, and a new log is begun.
    fn check_files(&mut self) -> Result<(), Failure> {
        let now = Identity::of(&self.path);
        let Some((conn, opened)) = self.conn.as_ref().filter(|(_, opened)| *opened != now) else {
            return Ok(());
        };
        if opened.database != now.database {
            return Err(Failure::unavailable("the database file is gone from its path"));
        }
        tracing::error!("the write-ahead log was removed; rescuing what it held");
        let _paused = self.readers.pause();
        let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
        if busy {
            return Err(Failure::unavailable("the write-ahead log is gone from its path"));
        }
        self.conn = None;
        Ok(())
    }

    /// Fails when the database file was cut: what is behind the cut is lost, and SQLite would go on until it happens to read
    /// there. It stays so until another file is put in its place, or it has its size again.
    fn check_size(&mut self) -> Result<(), Failure> {
        let Some((file, bytes)) = connection::size(&self.path) else { return Ok(()) };
        let Some((_, largest)) =
            self.largest.filter(|(known, most)| *known == file && *most > bytes)
        else {
            self.largest = Some((file, bytes));
            return Ok(());
        };
        if let Some((conn, _)) = &self.conn {
            let believed: i64 = conn.query_row(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                (),
                |row| row.get(0),
            )?;
            if u64::try_from(believed).unwrap_or(0) <= bytes {
                self.largest = Some((file, bytes));
                return Ok(());
            }
            // Nothing is written behind the cut: the file would look whole again.
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        }
        let reason = format!("the database file was cut from {largest} to {bytes} bytes");
        Err(StoreError::Corrupt(reason).into())
    }

    /// Leaves no transaction behind, and no connection that cannot be trusted.
    fn recover(&mut self, failure: &Failure) {
        let rolled_back = self
            .conn
            .as_ref()
            .is_none_or(|(conn, _)| conn.is_autocommit() || conn.execute_batch("ROLLBACK").is_ok());
        if !(rolled_back && failure.spares_connection()) {
            let _paused = self.readers.pause();
            self.conn = None;
        }
    }

    /// Has the log moved into the database, after the answers have gone out. The bulk is moved beside the writer; the
    /// rest, written meanwhile, by the writer itself: only a log that is moved completely can begin anew.
    fn checkpoint_when_due(&mut self) {
        let Some((conn, _)) = &self.conn else { return };
        if self.checkpoint.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        let due = || -> Result<bool, rusqlite::Error> {
            let (log, moved): (i64, i64) = conn
                .prepare_cached("PRAGMA wal_checkpoint(NOOP)")?
                .query_row((), |row| Ok((row.get(1)?, row.get(2)?)))?;
            if log < CHECKPOINT_PAGES || log == moved {
                return Ok(false);
            }
            if log - moved <= COMPLETE_PAGES || log >= LOG_PAGES_MAX {
                conn.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row((), |_| Ok(()))?;
                return Ok(false);
            }
            Ok(true)
        };
        match due() {
            Ok(false) => {}
            Ok(true) => self.checkpoint = self.checkpoint_beside(),
            Err(error) => tracing::warn!(%error, "the store could not checkpoint"),
        }
    }

    fn checkpoint_beside(&self) -> Option<JoinHandle<()>> {
        let (path, readers) = (self.path.clone(), Arc::clone(&self.readers));
        let checkpoint = move || {
            let _open = readers.enter();
            let moved = connection::writer(&path, Purpose::Serve).and_then(|conn| {
                Ok(conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))?)
            });
            if let Err(failure) = moved {
                let error = StoreError::from(failure);
                tracing::warn!(%error, "the store could not checkpoint");
            }
        };
        std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(checkpoint).ok()
    }

    fn close(&mut self) {
        self.readers.close();
        if let Some((conn, _)) = self.conn.take() {
            let checkpoint = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
            let closed = conn.close().map_err(|(_, error)| error);
            if let Err(error) = checkpoint.and(closed) {
                tracing::warn!(%error, "the store was not closed cleanly; the next start recovers it");
            }
        }
        self.lock = None;
    }
}
