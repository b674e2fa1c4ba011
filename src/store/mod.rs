//! What is kept: events, alerts, deliveries.
//!
//! Promises: what an operation acknowledged is on disk (fsynced) and survives `kill -9` at any instant; each
//! operation is atomic. Only this module speaks SQL. Concurrent writes share one fsync; a single one does not wait.

mod model;
mod sqlite;

#[cfg(test)]
mod contract;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::event::{Event, PayloadPolicy};

pub use model::*;

/// What the store is told by the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database file; its directory is made when it is missing.
    pub path: PathBuf,
    /// How long judged events and finished deliveries are kept; less than 7 days counts as 7 days.
    pub retention: Duration,
    /// How much of a payload is kept once its event is judged.
    pub payload: PayloadPolicy,
}

/// One commit, as told to the [`Observer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitStats {
    /// Operations that shared it.
    pub jobs: usize,
    /// From the start of the transaction until it was on disk.
    pub took: Duration,
}

/// Told of each commit, on the writer's thread; must return at once.
pub type Observer = Box<dyn Fn(CommitStats) + Send>;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process serves from it.
    #[error("{0} is in use by another tollbell")]
    Locked(PathBuf),
    /// There is none at this path.
    #[error("there is no database at {0}")]
    Missing(PathBuf),
    /// A later tollbell has written it.
    #[error("the database is at version {found}, this tollbell knows up to {known}")]
    Newer {
        /// The database's version.
        found: u32,
        /// The newest version this binary knows.
        known: u32,
    },
    /// An earlier tollbell has written it, and only `serve` brings it up to date.
    #[error(
        "the database is at version {found}, this tollbell needs {known}: start it once to migrate"
    )]
    Older {
        /// The database's version.
        found: u32,
        /// The version this binary needs.
        known: u32,
    },
    /// A migration that was applied is not the one that this binary holds.
    #[error("migration {0} of the database differs from this tollbell's")]
    Changed(String),
    /// It holds tables that are not ours.
    #[error("{0} is not a tollbell database")]
    Foreign(PathBuf),
    /// The file system or SQLite refused.
    #[error("cannot open the database {path}: {reason}")]
    Failed {
        /// The database.
        path: PathBuf,
        /// What was refused.
        reason: String,
    },
}

/// The store. Cheap to clone; all clones are one store.
#[derive(Debug, Clone)]
pub struct Store(Backend);

/// Where it is kept.
#[derive(Debug, Clone)]
enum Backend {
    Sqlite(Arc<sqlite::Sqlite>),
}

impl Store {
    /// Opens the database for the one process that serves from it, and brings it up to date.
    pub async fn open(settings: &Settings, observer: Observer) -> Result<Self, OpenError> {
        sqlite::Sqlite::open(settings, observer).await.map(Self::sqlite)
    }

    /// Opens an existing database beside the process that serves from it, to list and to retry.
    pub async fn attach(path: &Path) -> Result<Self, OpenError> {
        sqlite::Sqlite::attach(path).await.map(Self::sqlite)
    }

    fn sqlite(sqlite: sqlite::Sqlite) -> Self {
        Self(Backend::Sqlite(Arc::new(sqlite)))
    }

    fn backend(&self) -> &sqlite::Sqlite {
        let Backend::Sqlite(sqlite) = &self.0;
        sqlite
    }

    /// Keeps an event unless it is here already. Answers after the commit; once polled, it is carried out even
    /// when the caller goes away. Never waits for room in the queue: [`StoreError::QueueFull`] comes at once.
    ///
    /// An id counts as the same event for the retention; a hash of the content for one hour. Both are measured by
    /// `received_at`. Times are kept to the microsecond.
    pub async fn record(&self, event: Event) -> Result<Recorded, StoreError> {
        self.backend().record(event).await
    }

    /// The events behind `cursor`, in order: `limit` at most, fewer when they are large. Empty means there is none.
    ///
    /// An event that cannot be read back is given as [`Unreadable`], for the engine to mark as faulted and pass.
    pub async fn inbox_after(
        &self,
        cursor: i64,
        limit: usize,
    ) -> Result<Vec<Result<StoredEvent, Unreadable>>, StoreError> {
        self.backend().inbox_after(cursor, limit).await
    }

    /// Changes after each commit that added events. Subscribe before looking.
    pub fn recorded(&self) -> watch::Receiver<u64> {
        self.backend().signals().recorded.subscribe()
    }

    /// Changes after each commit that made a delivery claimable or due at another time. Subscribe before looking.
    ///
    /// What another process changes (`deliveries retry`) is not seen: look from time to time, too.
    pub fn queued(&self) -> watch::Receiver<u64> {
        self.backend().signals().queued.subscribe()
    }

    /// Finishes what is queued, checkpoints, closes the file and gives the lock back. Later calls are
    /// [`StoreError::Closed`].
    pub async fn close(&self) -> Result<(), StoreError> {
        self.backend().close().await
    }
}
