//! Opening a store: what it is told, whom it tells, and why it cannot be opened.

use std::path::PathBuf;
use std::time::Duration;

use crate::event::PayloadPolicy;

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
