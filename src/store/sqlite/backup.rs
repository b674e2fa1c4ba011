//! A copy of the file while others write to it, by SQLite's online backup.
//!
//! The source stays in one read transaction, so what is copied is one state of it, and SQLite has no reason to begin anew
//! when somebody commits; its log only grows meanwhile. After each step the copy is synced and rests: no commit of the
//! serving process waits behind a large flush.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use tokio::time::Instant;

use super::connection::{self, sibling};
use super::failure::Failure;
use super::{migrations, refused, sync_directories, time};
use crate::store::{BackedUp, BackupError, BackupProgress, OpenError, StoreError};

/// Pages that are copied at a time: 1 MiB.
const STEP_PAGES: i32 = 256;
/// Rests between two steps for as long as so many of them take.
const REST_STEPS: u32 = 2;
/// The shortest and the longest rest.
const REST: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Writes the database as it is now to a new file, fsynced, readable for its owner alone. It is there whole or not at all.
/// Slow enough that whoever serves from the database is not held up.
pub async fn back_up(
    database: &Path,
    to: &Path,
    progress: impl FnMut(BackupProgress) + Send + 'static,
) -> Result<BackedUp, BackupError> {
    let (database, to) = (database.to_owned(), to.to_owned());
    let file = to.clone();
    let work = move || write(&database, &to, progress);
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| {
        Err(BackupError::Io { path: file, error: io::Error::other(panic.to_string()) })
    })
}

fn write(
    database: &Path,
    to: &Path,
    mut progress: impl FnMut(BackupProgress),
) -> Result<BackedUp, BackupError> {
    if to.try_exists().unwrap_or(true) {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let database =
        database.canonicalize().map_err(|_missing| OpenError::Missing(database.to_owned()))?;
    let source =
        connection::reader(&database).map_err(|failure| refused(&database, failure.into()))?;
    migrations::require_current(&source).map_err(|mismatch| refused(&database, mismatch))?;
    let draft = sibling(to, ".partial");
    let written = |error| BackupError::Io { path: draft.clone(), error };
    // Emptied once it is ours.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&draft).map_err(written)?;
    match file.try_lock() {
        Ok(()) => file.set_len(0).map_err(written)?,
        Err(TryLockError::WouldBlock) => return Err(BackupError::Busy(draft)),
        Err(TryLockError::Error(error)) => return Err(written(error)),
    }
    let done = copy(&source, &draft, &file, &mut progress).and_then(|done| {
        publish(&draft, to)?;
        Ok(done)
    });
    // What is left of a backup that failed is of no use to anybody.
    if done.is_err() {
        drop(fs::remove_file(&draft));
    }
    done
}

fn copy(
    source: &Connection,
    draft: &Path,
    file: &File,
    progress: &mut impl FnMut(BackupProgress),
) -> Result<BackedUp, BackupError> {
    source.execute_batch("BEGIN").map_err(read)?;
    // From the first look on it is one state.
    let events: i64 =
        source.query_row("SELECT count(*) FROM inbox", (), |row| row.get(0)).map_err(read)?;
    let newest: Option<i64> = source
        .query_row("SELECT received_at FROM inbox ORDER BY seq DESC LIMIT 1", (), |row| row.get(0))
        .optional()
        .map_err(read)?;
    let page_bytes: u32 =
        source.query_row("PRAGMA page_size", (), |row| row.get(0)).map_err(read)?;
    let page_bytes = u64::from(page_bytes);
    let written = |error| BackupError::Io { path: draft.to_owned(), error };
    let refused = |error: rusqlite::Error| written(io::Error::other(error));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(draft, flags).map_err(refused)?;
    // The whole file is thrown away when this fails, and synced by ourselves.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(refused)?;
    let backup = Backup::new(source, &mut copy).map_err(refused)?;
    loop {
        let begun = Instant::now();
        let step = backup.step(STEP_PAGES).map_err(refused)?;
        file.sync_data().map_err(written)?;
        let pages = backup.progress();
        let (of, left) = (count(pages.pagecount), count(pages.remaining));
        progress(BackupProgress { bytes: (of - left) * page_bytes, of: of * page_bytes });
        if step == StepResult::Done {
            break;
        }
        std::thread::park_timeout((begun.elapsed() * REST_STEPS).clamp(REST.0, REST.1));
    }
    drop(backup);
    copy.close().map_err(|(_, error)| refused(error))?;
    file.sync_all().map_err(written)?;
    let newest = newest.map(time).transpose().map_err(StoreError::Unstorable)?;
    let events = u64::try_from(events).unwrap_or(0);
    Ok(BackedUp { bytes: file.metadata().map_err(written)?.len(), events, newest })
}

fn read(error: rusqlite::Error) -> BackupError {
    StoreError::from(Failure::from(error)).into()
}

fn count(pages: i32) -> u64 {
    u64::try_from(pages).unwrap_or(0)
}

/// Gives the file its name, unless that was taken meanwhile.
fn publish(draft: &Path, to: &Path) -> Result<(), BackupError> {
    match fs::hard_link(draft, to) {
        Ok(()) => drop(fs::remove_file(draft)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(BackupError::Exists(to.to_owned()));
        }
        Err(_no_links) => rename(draft, to)?,
    }
    sync_directories(to);
    Ok(())
}

/// The same on a file system without links: an empty file of ours takes the name, and is replaced.
fn rename(draft: &Path, to: &Path) -> Result<(), BackupError> {
    let written = |error| BackupError::Io { path: to.to_owned(), error };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(to) {
        Ok(_ours) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(BackupError::Exists(to.to_owned()));
        }
        Err(error) => return Err(written(error)),
    }
    fs::rename(draft, to).map_err(|error| {
        drop(fs::remove_file(to));
        written(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_made_meanwhile_is_not_overwritten() {
        for publish in [publish, rename] {
            let directory = tempfile::tempdir().expect("temp dir");
            let [draft, to] = ["draft", "to"].map(|name| directory.path().join(name));
            fs::write(&draft, "backup").expect("writes");
            fs::write(&to, "theirs").expect("writes");
            let refused = publish(&draft, &to).expect_err("is refused");
            assert!(matches!(refused, BackupError::Exists(_)), "{refused}");
            assert_eq!(fs::read(&to).expect("reads"), b"theirs");
            assert_eq!(fs::read(&draft).expect("reads"), b"backup");
            fs::remove_file(&to).expect("removes");
            publish(&draft, &to).expect("is free");
            assert_eq!(fs::read(&to).expect("reads"), b"backup");
            assert!(!draft.exists());
            fs::remove_file(&to).expect("removes");
            publish(&draft, &to).expect_err("there is no draft");
            assert!(!to.exists());
        }
    }
}
