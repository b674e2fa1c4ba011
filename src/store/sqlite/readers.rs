//! A small pool of read-only connections.
//!
//! Reads run on tokio's blocking threads, a bounded number at a time, and never wait for the writer.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection;
use super::failure::Failure;
use crate::store::StoreError;

/// Reads at a time.
const READERS_MAX: usize = 3;

/// Connections that read.
pub(super) struct Readers {
    path: PathBuf,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
    /// Held for reading while a read runs; for writing while the files beneath are changed for others.
    gate: RwLock<()>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            permits: Semaphore::new(READERS_MAX),
            idle: Mutex::default(),
            gate: RwLock::default(),
        }
    }

    /// Runs `work` on a connection of its own.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _permit = self.permits.acquire().await.map_err(|_closed| StoreError::Closed)?;
        let this = Arc::clone(self);
        match tokio::task::spawn_blocking(move || this.read_now(work)).await {
            Ok(read) => Ok(read?),
            Err(panic) => Err(StoreError::Unavailable(format!("a read failed: {panic}"))),
        }
    }

    fn read_now<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _open = self.enter();
        if self.permits.is_closed() {
            return Err(StoreError::Closed.into());
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => connection::reader(&self.path)?,
        };
        let read = work(&conn);
        if read.as_ref().err().is_none_or(Failure::is_own_fault) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
        read
    }

    /// Keeps the files as they are until the guard is dropped; for whoever has a connection beside the writer's.
    pub(super) fn enter(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for running reads, closes all connections, and holds new reads until the guard is dropped.
    pub(super) fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        let paused = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        paused
    }

    /// Ends reading for good.
    pub(super) fn close(&self) {
        self.permits.close();
        drop(self.pause());
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("path", &self.path).finish_non_exhaustive()
    }
}
