//! Brings a database up to date: embedded, append-only, checked by name and checksum at each start.

mod notification_log;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};
use sha2::{Digest as _, Sha256};

use super::failure::Failure;

/// `PRAGMA application_id` of a tollbell database: "toll" in ASCII.
const APPLICATION_ID: i64 = 0x746f_6c6c;

/// What a migration does besides its SQL, in the same transaction.
type Fill = fn(&Connection) -> Result<(), Failure>;

/// Every migration in order; a released one never changes.
const MIGRATIONS: [(&str, &str, Option<Fill>); 6] = [
    ("0001_begin", include_str!("0001_begin.sql"), None),
    ("0002_rules", include_str!("0002_rules.sql"), None),
    ("0003_telnyx", include_str!("0003_telnyx.sql"), None),
    (
        "0004_notification_log",
        include_str!("0004_notification_log.sql"),
        Some(notification_log::fill),
    ),
    ("0005_audit", include_str!("0005_audit.sql"), None),
    ("0006_receiver_pauses", include_str!("0006_receiver_pauses.sql"), None),
];

/// Why a database cannot be used by this binary.
#[derive(Debug)]
pub(super) enum Mismatch {
    Newer {
        found: u32,
        known: u32,
    },
    Older {
        found: u32,
        known: u32,
    },
    Changed(String),
    Foreign,
    /// A copy into it was begun and not ended.
    Unfinished,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Mismatch {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Applies what is missing, each migration in a transaction of its own. Refuses a database that a copy goes into.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), Mismatch> {
    bring_up(conn)?;
    require_finished(conn)
}

/// As [`migrate`], also of a database that a copy goes into.
pub(super) fn bring_up(conn: &mut Connection) -> Result<(), Mismatch> {
    migrate_to(conn, known())
}

/// Applies what is missing up to a version.
pub(super) fn migrate_to(conn: &mut Connection, wanted: u32) -> Result<(), Mismatch> {
    let found = verify(conn)?;
    for (version, (name, sql, fill)) in (1..=wanted).zip(MIGRATIONS).skip(found as usize) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if version == 1 {
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.execute_batch(
                "CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL) STRICT",
            )?;
        }
        tx.execute_batch(sql)?;
        if let Some(fill) = fill {
            fill(&tx)?;
        }
        tx.execute(
            "INSERT INTO migrations (version, name, sha256) VALUES (?1, ?2, ?3)",
            (version, name, checksum(sql)),
        )?;
        tx.commit()?;
    }
    Ok(())
}

/// Refuses a database that is not exactly at this binary's version, or that a copy goes into.
pub(super) fn require_current(conn: &Connection) -> Result<(), Mismatch> {
    require_version(conn)?;
    require_finished(conn)
}

fn require_finished(conn: &Connection) -> Result<(), Mismatch> {
    if is_unfinished(conn)? { Err(Mismatch::Unfinished) } else { Ok(()) }
}

/// Whether a copy into it was begun and not ended.
pub(super) fn is_unfinished(conn: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'copying'";
    conn.query_row(sql, (), |row| row.get(0))
}

/// Refuses a database that is not exactly at this binary's version.
pub(super) fn require_version(conn: &Connection) -> Result<(), Mismatch> {
    let (found, known) = (verify(conn)?, known());
    if found < known { Err(Mismatch::Older { found, known }) } else { Ok(()) }
}

/// The database's version, once everything applied to it is what we hold; 0 for an empty one.
fn verify(conn: &Connection) -> Result<u32, Mismatch> {
    let tables: u32 = conn.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if tables == 0 {
        return Ok(0);
    }
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(Mismatch::Foreign);
    }
    let found: u32 =
        conn.query_row("SELECT coalesce(max(version), 0) FROM migrations", (), |row| row.get(0))?;
    if found > known() {
        return Err(Mismatch::Newer { found, known: known() });
    }
    for (version, (name, sql, _)) in (1..=found).zip(MIGRATIONS) {
        let applied: Option<(String, Vec<u8>)> = conn
            .query_row("SELECT name, sha256 FROM migrations WHERE version = ?1", [version], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        if applied != Some((name.to_owned(), checksum(sql))) {
            return Err(Mismatch::Changed(name.to_owned()));
        }
    }
    Ok(found)
}

fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

fn checksum(sql: &str) -> Vec<u8> {
    Sha256::digest(sql.as_bytes()).to_vec()
}
