//! The story of each alert.

use async_trait::async_trait;
use rusqlite::Connection;

use super::failure::Failure;
use super::{Sqlite, micros, rows, time};
use crate::store::operations;
use crate::store::{JournalEntry, StoreError};

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
