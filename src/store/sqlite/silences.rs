//! Silences, as JSON beside the columns that are searched, and their version.

use async_trait::async_trait;
use rusqlite::Connection;

use super::failure::Failure;
use super::{Sqlite, json, micros, rows};
use crate::alerts::Silence;
use crate::store::operations;
use crate::store::{SILENCES_MAX, Silences, StoreError};

#[async_trait]
impl operations::SilenceList for Sqlite {
    async fn silences_version(&self) -> Result<u64, StoreError> {
        self.read(version).await
    }

    async fn silences(&self) -> Result<Silences, StoreError> {
        // One snapshot, so that the version is that of the list.
        self.read(|conn| all(&*conn.unchecked_transaction()?)).await
    }

    async fn put_silence(&self, silence: Silence) -> Result<(), StoreError> {
        let text = json(&silence)?;
        self.write(move |tx, _| put(tx, &silence, &text)).await
    }
}

/// Changes with each silence that is made or changed; not when an expired one is deleted.
pub(super) fn version(conn: &Connection) -> Result<u64, Failure> {
    let version: i64 = conn
        .prepare_cached("SELECT value FROM meta WHERE key = 'silences'")?
        .query_row((), |row| row.get(0))?;
    Ok(version.cast_unsigned())
}

/// All of them. One that cannot be read back is told in the log and left out.
pub(super) fn all(conn: &Connection) -> Result<Silences, Failure> {
    let mut statement =
        conn.prepare_cached("SELECT id, silence FROM silences ORDER BY starts_at, id")?;
    let mut found = statement.query(())?;
    let mut silences = Vec::new();
    while let Some(row) = found.next()? {
        match serde_json::from_slice(&row.get::<_, Vec<u8>>(1)?) {
            Ok(silence) => silences.push(silence),
            Err(error) => {
                let id: String = row.get(0)?;
                tracing::error!(id, %error, "a silence cannot be read back and does not hold");
            }
        }
    }
    Ok(Silences { version: version(conn)?, silences })
}

fn put(tx: &Connection, silence: &Silence, text: &[u8]) -> Result<(), Failure> {
    let (others, known): (i64, bool) = tx
        .prepare_cached("SELECT count(*), count(*) FILTER (WHERE id = ?1) > 0 FROM silences")?
        .query_row([&silence.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if !known && others >= rows(SILENCES_MAX) {
        return Err(Failure::unstorable(format!("there are {SILENCES_MAX} silences already")));
    }
    tx.prepare_cached(
        "INSERT INTO silences (id, starts_at, ends_at, silence) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (id) DO UPDATE SET starts_at = excluded.starts_at, \
         ends_at = excluded.ends_at, silence = excluded.silence",
    )?
    .execute((&silence.id, micros(silence.starts_at), micros(silence.ends_at), text))?;
    tx.prepare_cached("UPDATE meta SET value = value + 1 WHERE key = 'silences'")?.execute(())?;
    Ok(())
}
