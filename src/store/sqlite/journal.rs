//! The story of each alert.

use async_trait::async_trait;
use rusqlite::Connection;

use super::failure::Failure;
use super::{Sqlite, micros, rows, time};
use crate::store::operations;
use crate::store::{JournalEntry, SAME_LINES_MAX, StoreError};

/// Whether one of an alert's last lines is this one, of the same second.
pub(super) const SAID: &str = "SELECT EXISTS (SELECT 1 FROM (SELECT at, group_key, what, detail FROM journal \
     WHERE fingerprint = ?1 ORDER BY n DESC LIMIT ?6) \
     WHERE group_key = ?2 AND what = ?3 AND detail = ?4 AND abs(at - ?5) < 1000000)";

#[async_trait]
impl operations::Journal for Sqlite {
    async fn journal(
        &self,
        fingerprint: String,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        self.read(move |conn| of_alert(conn, &fingerprint, limit)).await
    }
}

pub(super) fn insert(tx: &Connection, entry: &JournalEntry) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT INTO journal (at, fingerprint, group_key, what, detail) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        micros(entry.at),
        &entry.fingerprint,
        &entry.group_key,
        &entry.what,
        &entry.detail,
    ))?;
    Ok(())
}

/// Inserts a line unless one of the alert's last lines is the same and of the same second: what several targets of an
/// integration take within it is said once.
pub(super) fn insert_once(tx: &Connection, entry: &JournalEntry) -> Result<(), Failure> {
    let said: bool = tx.prepare_cached(SAID)?.query_row(
        (
            &entry.fingerprint,
            &entry.group_key,
            &entry.what,
            &entry.detail,
            micros(entry.at),
            rows(SAME_LINES_MAX),
        ),
        |row| row.get(0),
    )?;
    if said { Ok(()) } else { insert(tx, entry) }
}

fn of_alert(
    conn: &Connection,
    fingerprint: &str,
    limit: usize,
) -> Result<Vec<JournalEntry>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT at, group_key, what, detail FROM journal WHERE fingerprint = ?1 \
         ORDER BY n DESC LIMIT ?2",
    )?;
    let mut found = statement.query((fingerprint, rows(limit)))?;
    let mut entries = Vec::new();
    while let Some(row) = found.next()? {
        entries.push(JournalEntry {
            at: time(row.get(0)?).map_err(Failure::unstorable)?,
            fingerprint: fingerprint.to_owned(),
            group_key: row.get(1)?,
            what: row.get(2)?,
            detail: row.get(3)?,
        });
    }
    Ok(entries)
}
