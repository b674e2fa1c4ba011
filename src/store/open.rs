//! Opening a store: its settings, who observes it, and why it cannot be opened.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::postgres::Address;
use crate::event::PayloadPolicy;

/// What the configuration says of the store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database file; its directory is made when it is missing.
    pub path: PathBuf,
    /// How long judged events and finished deliveries are kept; less than 7 days counts as 7 days.
    pub retention: Duration,
    /// How much of a payload is kept once its event is judged.
    pub payload: PayloadPolicy,
}

/// Where a store is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// In a file of SQLite's.
    Sqlite(PathBuf),
    /// In a PostgreSQL database.
    Postgres(Box<Address>),
}

impl Place {
    /// The file, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self::Sqlite(path.to_owned())
    }
}

impl From<&PathBuf> for Place {
    fn from(path: &PathBuf) -> Self {
        Self::Sqlite(path.clone())
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Self {
        place.clone()
    }
}

/// One commit, as the [`Observer`] sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitStats {
    /// Operations that shared it.
    pub jobs: usize,
    /// From the start of the transaction until it was on disk.
    pub took: Duration,
}

/// Called for each commit; must return at once.
pub type Observer = Box<dyn Fn(CommitStats) + Send + Sync>;

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
    /// A copy into it was begun and not ended.
    #[error(
        "the copy into {0} is unfinished: run `tollbell store copy` once more, or delete the database"
    )]
    Unfinished(String),
    /// The server cannot be reached, refuses, or would lose what it commits.
    #[error("cannot open the database {database}: {reason}")]
    Unreachable {
        /// The database.
        database: String,
        /// What was refused.
        reason: String,
    },
    /// The file system or SQLite refused.
    #[error("cannot open the database {path}: {reason}")]
    Failed {
        /// The database.
        path: PathBuf,
        /// What was refused.
        reason: String,
    },
}
