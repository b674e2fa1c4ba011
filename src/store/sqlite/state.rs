//! The engine's rows: bytes that the store does not look into.

use async_trait::async_trait;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use super::failure::Failure;
use super::{Sqlite, rows};
use crate::alerts::{Alert, Fingerprint, Group, Member};
use crate::store::operations;
use crate::store::{Row, Space, StoreError};

#[async_trait]
impl operations::Rows for Sqlite {
    async fn rows(&self, space: Space, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.read(move |conn| of_space(conn, space, limit)).await
    }

    async fn series(
        &self,
        rule: &str,
        fingerprints: &[Fingerprint],
        all_from: usize,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let rule = rule.to_owned();
        let fingerprints: Vec<String> = fingerprints.iter().map(ToString::to_string).collect();
        self.read(move |conn| series_of(conn, &rule, &fingerprints, all_from, limit)).await
    }
}

/// Keys of the series of one rule begin with its name and a line feed.
fn series_of(
    conn: &Connection,
    rule: &str,
    fingerprints: &[String],
    all_from: usize,
    limit: usize,
) -> Result<Vec<Row>, Failure> {
    let (first, end) = (format!("{rule}\n"), format!("{rule}\u{b}"));
    let count: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM state WHERE space = 'series' AND key > ?1 AND key < ?2 LIMIT ?3)",
        )?
        .query_row((&first, &end, rows(all_from)), |row| row.get(0))?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok(Row { space: Space::Series, key: row.get(0)?, value: Some(row.get(1)?) })
    };
    if count >= rows(all_from) {
        return Ok(conn
            .prepare_cached(
                "SELECT key, value FROM state WHERE space = 'series' AND key > ?1 AND key < ?2 ORDER BY key LIMIT ?3",
            )?
            .query_map((&first, &end, rows(limit)), row)?
            .collect::<Result<_, _>>()?);
    }
    let mut found = Vec::new();
    for fingerprint in fingerprints {
        let one = conn
            .prepare_cached("SELECT key, value FROM state WHERE space = 'series' AND key = ?1")?
            .query_row([format!("{first}{fingerprint}")], row)
            .optional()?;
        found.extend(one);
    }
    Ok(found)
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

/// A group with its members; those that ended with the alert as it ended. A row that cannot be read back counts as none.
pub(super) fn group(conn: &Connection, key: &str) -> Result<Option<Group>, Failure> {
    let bytes: Option<Vec<u8>> = conn
        .prepare_cached("SELECT value FROM state WHERE space = 'group' AND key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    let Some(mut group) = bytes.and_then(|bytes| serde_json::from_slice::<Group>(&bytes).ok())
    else {
        return Ok(None);
    };
    // The keys of the members follow the group's own, and a line feed.
    let (first, end) = (format!("{key}\n"), format!("{key}\u{b}"));
    let mut statement = conn.prepare_cached(
        "SELECT key, value FROM state WHERE space = 'member' AND key > ?1 AND key < ?2 ORDER BY key",
    )?;
    let mut found = statement.query((&first, end))?;
    while let Some(row) = found.next()? {
        let key: String = row.get(0)?;
        let fingerprint = Fingerprint::from(key.get(first.len()..).unwrap_or_default().to_owned());
        let value: Vec<u8> = row.get(1)?;
        let Ok(mut member) = serde_json::from_slice::<Member>(&value) else { continue };
        if member.over {
            member.ended = alert(conn, &fingerprint)?.map(Arc::new);
        }
        group.members.insert(fingerprint, member);
    }
    Ok(Some(group))
}

/// An alert as it is kept.
pub(super) fn alert(
    conn: &Connection,
    fingerprint: &Fingerprint,
) -> Result<Option<Alert>, Failure> {
    let bytes: Option<Vec<u8>> = conn
        .prepare_cached("SELECT alert FROM alerts WHERE fingerprint = ?1")?
        .query_row([fingerprint.as_str()], |row| row.get(0))
        .optional()?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// All rows of all spaces but some.
pub(super) fn all_but(conn: &Connection, without: &[Space]) -> Result<Vec<Row>, Failure> {
    of_spaces(conn, Space::ALL.into_iter().filter(|space| !without.contains(space)))
}

/// All rows of some spaces.
pub(super) fn of_spaces(
    conn: &Connection,
    spaces: impl IntoIterator<Item = Space>,
) -> Result<Vec<Row>, Failure> {
    let mut all = Vec::new();
    for space in spaces {
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
