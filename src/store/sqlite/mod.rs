//! The store in one SQLite file.
//!
//! One thread writes, in batches that share an fsync (`writer`); a few connections read (`readers`). One process
//! serves from a database at a time, by a lock beside the file; commands attach beside it through the write-ahead log.
//! The operations stand by subject: `inbox`, `judged`, `alerts`, `state`, `ledger`, `silences`, `journal`, `claims`,
//! `notification_log`, `outcomes`, `deliveries`, `events`, `audit`, `stats`, `sweep`, `soundness`; beside them `backup` and
//! `copy`.

mod alerts;
mod audit;
mod backup;
mod claims;
mod connection;
mod copy;
mod deliveries;
mod events;
mod failure;
mod feed;
mod forget;
mod inbox;
mod job;
mod journal;
mod judged;
mod ledger;
mod migrations;
mod notification_log;
mod pause;
mod outcomes;
mod readers;
mod receiver_pauses;
mod silences;
mod soundness;
mod state;
mod stats;
mod sweep;
mod views;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::backup::back_up;
use self::connection::{Identity, Purpose, sibling};
pub(super) use self::copy::SqliteEnd;
use self::failure::Failure;
use self::job::{Call, Effects};
use self::migrations::Mismatch;
use self::readers::Readers;
use self::writer::{Order, Writer};
use super::recent::Recent;
use super::room::Room;
use super::values::{json, micros, rows, time, truncated};
use super::{
    Backend, Observer, Offer, OpenError, RETENTION_MIN, Replica, Role, Settings, Signals,
    StoreError, operations,
};
use crate::event::PayloadPolicy;

/// Operations that may wait for the writer.
const QUEUE_JOBS_MAX: usize = 4096;

/// Bytes of payload that may wait for the writer.
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A database and its writer.
#[derive(Debug)]
pub(super) struct Sqlite {
    orders: mpsc::Sender<Order>,
    queued_bytes: Arc<AtomicUsize>,
    readers: Arc<Readers>,
    signals: Arc<Signals>,
    recent: Arc<Recent>,
    retention: Duration,
    payload: PayloadPolicy,
    /// Never changes.
    duties: watch::Sender<u64>,
}

impl Sqlite {
    pub(super) async fn open(settings: &Settings, observer: Observer) -> Result<Self, OpenError> {
        let settings = settings.clone();
        blocking(settings.path.clone(), move || {
            let path = prepare(&settings.path)?;
            let lock = lock(&path)?;
            let mut conn = connection::writer(&path, Purpose::Create)
                .map_err(|failure| refused(&path, failure.into()))?;
            migrations::migrate(&mut conn).map_err(|mismatch| refused(&path, mismatch))?;
            sync_directories(&path);
            let writer = (path, Purpose::Serve, conn, Some(lock));
            Self::start(writer, observer, settings.retention, settings.payload)
        })
        .await
    }

    pub(super) async fn attach(path: &Path) -> Result<Self, OpenError> {
        let path = path.to_owned();
        blocking(path.clone(), move || {
            let path = path.canonicalize().map_err(|_missing| OpenError::Missing(path))?;
            let conn = connection::writer(&path, Purpose::Attach)
                .map_err(|failure| refused(&path, failure.into()))?;
            migrations::require_current(&conn).map_err(|mismatch| refused(&path, mismatch))?;
            let writer = (path, Purpose::Attach, conn, None);
            Self::start(writer, Box::new(|_| ()), RETENTION_MIN, PayloadPolicy::default())
        })
        .await
    }

    fn start(
        (path, purpose, conn, lock): (PathBuf, Purpose, Connection, Option<[File; 2]>),
        observer: Observer,
        retention: Duration,
        payload: PayloadPolicy,
    ) -> Result<Self, OpenError> {
        let readers = Arc::new(Readers::new(path.clone()));
        let signals = Arc::new(Signals::default());
        let recent = Arc::new(Recent::default());
        let (orders, queue) = mpsc::channel(QUEUE_JOBS_MAX);
        let writer = Writer {
            conn: Some((conn, Identity::of(&path))),
            path: path.clone(),
            purpose,
            readers: Arc::clone(&readers),
            signals: Arc::clone(&signals),
            recent: Arc::clone(&recent),
            observer,
            lock,
            largest: None,
            failing: false,
            checkpoint: None,
        };
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|error| OpenError::Failed { path, reason: error.to_string() })?;
        Ok(Self {
            orders,
            queued_bytes: Arc::default(),
            readers,
            signals,
            recent,
            retention: retention.max(RETENTION_MIN),
            payload,
            duties: watch::Sender::default(),
        })
    }

    /// Queues work that must not wait for room; nothing it wrote may stay when it fails by its own fault.
    async fn write_at_once<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Connection, &mut Effects) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let room =
            Room::take(&self.queued_bytes, bytes, QUEUE_BYTES_MAX).ok_or(StoreError::QueueFull)?;
        let (job, answer) = Call::new(work, false, room);
        self.orders.try_send(Order::Job(Box::new(job))).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answered(answer).await
    }

    /// Queues work, waiting for room: engine and dispatch must not lose to a flood of webhooks.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &mut Effects) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = Call::new(work, true, Room::none());
        self.orders.send(Order::Job(Box::new(job))).await.map_err(|_closed| StoreError::Closed)?;
        answered(answer).await
    }

    /// Runs work on a reading connection.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(work).await
    }
}

/// One process serves from a file, and does everything.
impl operations::Duties for Sqlite {
    fn offer(&self, _offer: Offer) {}

    fn epoch(&self, _role: &Role) -> Option<i64> {
        Some(0)
    }

    fn duties(&self) -> watch::Receiver<u64> {
        self.duties.subscribe()
    }

    fn replicas(&self) -> Vec<Replica> {
        Vec::new()
    }
}

#[async_trait]
impl Backend for Sqlite {
    fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Also checkpoints, and gives the lock back.
    async fn close(&self) -> Result<(), StoreError> {
        let (done, closed) = oneshot::channel();
        self.orders.send(Order::Close(done)).await.map_err(|_closed| StoreError::Closed)?;
        closed.await.map_err(|_gone| StoreError::Closed)
    }
}

async fn answered<T>(answer: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.await.unwrap_or_else(|_dropped| {
        Err(StoreError::Unavailable("the writer gave the operation up".to_owned()))
    })
}

async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(OpenError::Failed { path, reason: error.to_string() }))
}

/// Makes the directory, and resolves links so that the log and the lock are found beside the real file.
fn prepare(path: &Path) -> Result<PathBuf, OpenError> {
    let resolved = || -> std::io::Result<PathBuf> {
        if let Ok(existing) = path.canonicalize() {
            return Ok(existing);
        }
        let name = path.file_name().ok_or_else(|| std::io::Error::other("not a file's path"))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)?;
        Ok(parent.canonicalize()?.join(name))
    };
    resolved()
        .map_err(|error| OpenError::Failed { path: path.to_owned(), reason: error.to_string() })
}

/// Keeps a second process out: by a file beside the database, and by the database itself, for the former can be removed
/// and made anew. SQLite's own locks are of another kind and do not meet these; they would go with the handle of the
/// database, so it is closed after SQLite has closed.
fn lock(path: &Path) -> Result<[File; 2], OpenError> {
    let failed = |error: std::io::Error| OpenError::Failed {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let locked = |path_of_lock: &Path| {
        // Whoever makes the file makes it for its owner alone: it holds phone numbers and maybe texts.
        let mut options = File::options();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(path_of_lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    };
    Ok([locked(&sibling(path, ".lock"))?, locked(path)?])
}

/// A new file is on disk only once its directory's entry is. Where the file system cannot do that, nothing can.
fn sync_directories(path: &Path) {
    for directory in path.ancestors().skip(1).take(2) {
        if let Err(error) = File::open(directory).and_then(|opened| opened.sync_all()) {
            tracing::debug!(%error, directory = %directory.display(), "cannot sync a directory");
        }
    }
}

fn refused(path: &Path, mismatch: Mismatch) -> OpenError {
    match mismatch {
        Mismatch::Newer { found, known } => OpenError::Newer { found, known },
        Mismatch::Older { found, known } => OpenError::Older { found, known },
        Mismatch::Changed(name) => OpenError::Changed(name),
        Mismatch::Foreign => OpenError::Foreign(path.to_owned()),
        Mismatch::Unfinished => OpenError::Unfinished(path.display().to_string()),
        Mismatch::Failed(failure) => OpenError::Failed {
            path: path.to_owned(),
            reason: StoreError::from(failure).to_string(),
        },
    }
}
