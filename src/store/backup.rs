//! What is said of a copy of the database's file that is made while it is served from.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

use super::{OpenError, StoreError};

/// How far a backup is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    /// What was written.
    pub bytes: u64,
    /// How many it will be.
    pub of: u64,
}

/// A backup that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Its size.
    pub bytes: u64,
    /// Events in it.
    pub events: u64,
    /// When the newest of them was received.
    pub newest: Option<Timestamp>,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database cannot be read.
    #[error("the database cannot be read: {0}")]
    Store(#[from] StoreError),
    /// A file of this name is there.
    #[error("{0} exists already, and is not overwritten")]
    Exists(PathBuf),
    /// Another backup is writing the same file.
    #[error("another backup is writing {0}")]
    Busy(PathBuf),
    /// The file cannot be written.
    #[error("cannot write {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}
