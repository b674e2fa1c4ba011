//! Connections: how they are set up, and whether the files beneath them are still the ones at their paths.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::failure::Failure;

/// How long the serving process waits for a lock that another process holds. Below intake's deadline.
const BUSY_SERVING: Duration = Duration::from_secs(1);

/// How long a command beside it waits.
const BUSY_ATTACHED: Duration = Duration::from_secs(5);

/// Page cache of the writer, in KiB.
const WRITER_CACHE_KIB: i64 = 8 * 1024;

/// Page cache of each reader, in KiB.
const READER_CACHE_KIB: i64 = 1024;

/// The write-ahead log is cut to this size once it starts over, in bytes.
const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// Prepared statements kept for each connection.
const STATEMENTS_MAX: usize = 128;

/// What a writing connection is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Serving, at start: the file may be made.
    Create,
    /// Serving, again after a failure: a file that is gone is not replaced by an empty one.
    Serve,
    /// A command beside the serving process.
    Attach,
}

/// Opens a connection that writes.
pub(super) fn writer(path: &Path, purpose: Purpose) -> Result<Connection, Failure> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, purpose == Purpose::Create);
    if purpose == Purpose::Create {
        keep_private(path)?;
    }
    let conn = Connection::open_with_flags(path, flags)?;
    let wait = if purpose == Purpose::Attach { BUSY_ATTACHED } else { BUSY_SERVING };
    conn.busy_timeout(wait)?;
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Failure::unavailable(format!("journal mode is {mode}, not wal")));
    }
    // Checkpoints are ours to time: after the answers, not before (see `writer`).
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    conn.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    // Dropped payloads are overwritten, not merely unlinked.
    conn.pragma_update(None, "secure_delete", "FAST")?;
    common(&conn)?;
    Ok(conn)
}

/// Makes the file for its owner alone, if it is not there: it holds phone numbers and maybe texts. SQLite gives the
/// files beside it the same mode.
fn keep_private(path: &Path) -> Result<(), Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_empty) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Failure::unavailable(error.to_string())),
    }
}

/// Opens a connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_SERVING)?;
    conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    common(&conn)?;
    Ok(conn)
}

fn common(conn: &Connection) -> Result<(), Failure> {
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "mmap_size", 0)?;
    // A statement's plan does not depend on what is bound to it: else SQLite, built with STAT4, would prepare a cached one
    // anew for each value.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

/// Which files a connection has open, so that it is noticed when they are taken away beneath it: SQLite would go on
/// writing into files that nobody will find again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) database: Option<(u64, u64)>,
    beside: [Option<(u64, u64)>; 2],
}

impl Identity {
    /// The files at these paths now.
    pub(super) fn of(path: &Path) -> Self {
        Self {
            database: file(path),
            beside: [file(&sibling(path, "-wal")), file(&sibling(path, "-shm"))],
        }
    }
}

/// Which file the database is, and its size in bytes; `None` when there is none.
pub(super) fn size(path: &Path) -> Option<((u64, u64), u64)> {
    std::fs::metadata(path).ok().map(|found| ((found.dev(), found.ino()), found.len()))
}

/// The path with a suffix to its file name.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn file(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
