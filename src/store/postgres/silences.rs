//! Silences, as JSON beside the columns that are searched, and their version.

use async_trait::async_trait;

use super::Postgres;
use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, text};
use super::values::column;
use crate::alerts::Silence;
use crate::store::operations;
use crate::store::values::{json, micros, rows};
use crate::store::{SILENCES_MAX, Silences, StoreError};

/// Shared by those who claim, taken alone by whoever makes a silence: once that is answered, nothing is claimed any more
/// that was composed without it.
const LOCK: [u8; 4] = *b"sile";

#[async_trait]
impl operations::SilenceList for Postgres {
    async fn silences_version(&self) -> Result<u64, StoreError> {
        Ok(version_of(&self.link.query(VERSION, params![]).await?)?)
    }

    async fn silences(&self) -> Result<Silences, StoreError> {
        // One snapshot, so that the version is that of the list.
        let tx = self.link.begin_reading().await?;
        let silences = all(&tx).await?;
        tx.commit().await?;
        Ok(silences)
    }

    async fn put_silence(&self, silence: Silence) -> Result<(), StoreError> {
        let value = json(&silence)?;
        let tx = self.link.begin().await?;
        tx.lock(LOCK).await?;
        let sql = "SELECT 1 WHERE (SELECT count(*) FROM ~silences) >= $2 \
             AND NOT EXISTS (SELECT 1 FROM ~silences WHERE id = $1)";
        if tx.first(sql, params![text(&silence.id), rows(SILENCES_MAX)]).await?.is_some() {
            let full = format!("there are {SILENCES_MAX} silences already");
            return Ok(tx.refuse(StoreError::Unstorable(full)).await?);
        }
        tx.execute(
            "INSERT INTO ~silences (id, starts_at, ends_at, silence) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (id) DO UPDATE SET starts_at = excluded.starts_at, \
             ends_at = excluded.ends_at, silence = excluded.silence",
            params![text(&silence.id), micros(silence.starts_at), micros(silence.ends_at), value],
        )
        .await?;
        tx.execute("UPDATE ~meta SET value = value + 1 WHERE key = 'silences'", params![]).await?;
        tx.commit().await?;
        Ok(())
    }
}

const VERSION: &str = "SELECT value FROM ~meta WHERE key = 'silences'";

/// Changes with each silence that is made or changed; not when an expired one is deleted.
pub(super) async fn version(tx: &Lent<'_>) -> Result<u64, Failure> {
    version_of(&tx.query(VERSION, params![]).await?)
}

/// The version; it stays so until the transaction ends.
pub(super) async fn version_held(tx: &Lent<'_>) -> Result<u64, Failure> {
    tx.lock_shared(LOCK).await?;
    version(tx).await
}

fn version_of(found: &[tokio_postgres::Row]) -> Result<u64, Failure> {
    let version = found.first().map_or(Ok(0), |row| column::<i64>(row, 0));
    Ok(version.map_err(Failure::unstorable)?.cast_unsigned())
}

/// All of them. One that cannot be read back is told in the log and left out.
pub(super) async fn all(tx: &Lent<'_>) -> Result<Silences, Failure> {
    let sql = "SELECT id, silence FROM ~silences ORDER BY starts_at, id";
    let mut silences = Vec::new();
    for row in tx.query(sql, params![]).await? {
        let value: &[u8] = column(&row, 1).map_err(Failure::unstorable)?;
        match serde_json::from_slice(value) {
            Ok(silence) => silences.push(silence),
            Err(error) => {
                let id: String = column(&row, 0).map_err(Failure::unstorable)?;
                tracing::error!(id, %error, "a silence cannot be read back and does not hold");
            }
        }
    }
    Ok(Silences { version: version(tx).await?, silences })
}
