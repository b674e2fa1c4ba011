//! The engine's rows: bytes that the store does not look into.

use rusqlite::Connection;

use super::failure::Failure;
use super::{Sqlite, rows};
use crate::store::{Row, Space, StoreError};

impl Sqlite {
    pub(in crate::store) async fn rows(
        &self,
        space: Space,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(move |conn| of_space(conn, space, limit)).await
    }
}

/// Inserts or replaces a row, or deletes it when it has no value.
pub(super) fn put(tx: &Connection, row: &Row) -> Result<(), Failure> {
    let (space, key) = (row.space.as_str(), &row.key);
    match &row.value {
        Some(value) => tx
            .prepare_cached(
                "INSERT INTO state (space, key, value) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (space, key) DO UPDATE SET value = excluded.value",
            )?
            .execute((space, key, value))?,
        None => tx
            .prepare_cached("DELETE FROM state WHERE space = ?1 AND key = ?2")?
            .execute((space, key))?,
    };
    Ok(())
}

/// All rows of all spaces.
pub(super) fn all(conn: &Connection) -> Result<Vec<Row>, Failure> {
    let mut all = Vec::new();
    for space in Space::ALL {
        all.extend(of_space(conn, space, usize::MAX)?);
    }
    Ok(all)
}

fn of_space(conn: &Connection, space: Space, limit: usize) -> Result<Vec<Row>, Failure> {
    Ok(conn
        .prepare_cached("SELECT key, value FROM state WHERE space = ?1 ORDER BY key LIMIT ?2")?
        .query_map((space.as_str(), rows(limit)), |row| {
            Ok(Row { space, key: row.get(0)?, value: Some(row.get(1)?) })
        })?
        .collect::<Result<_, _>>()?)
}
