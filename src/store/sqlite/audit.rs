//! The audit log as rows.

use async_trait::async_trait;
use rusqlite::Connection;

use super::failure::Failure;
use super::{Sqlite, micros, rows, time};
use crate::store::operations;
use crate::store::{AuditEntry, AuditFilter, AuditRecord, StoreError};

#[async_trait]
impl operations::AuditLog for Sqlite {
    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(move |tx, _| insert(tx, &entry)).await
    }

    async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        self.read(move |conn| list(conn, &filter)).await
    }
}

pub(super) fn insert(tx: &Connection, entry: &AuditEntry) -> Result<(), Failure> {
    let entry = entry.clone().cut();
    tx.prepare_cached(
        "INSERT INTO audit (at, who, address, action, subject, detail) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        micros(entry.at),
        &entry.who,
        entry.from.map(|from| from.to_string()),
        &entry.action,
        &entry.subject,
        &entry.detail,
    ))?;
    Ok(())
}

fn list(conn: &Connection, filter: &AuditFilter) -> Result<Vec<AuditRecord>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT n, at, who, address, action, subject, detail FROM audit \
         WHERE n < ?1 AND (?2 IS NULL OR action = ?2) ORDER BY n DESC LIMIT ?3",
    )?;
    let before = filter.before.unwrap_or(i64::MAX);
    let mut found = statement.query((before, &filter.action, rows(filter.limit)))?;
    let mut records = Vec::new();
    while let Some(row) = found.next()? {
        let address: Option<String> = row.get(3)?;
        records.push(AuditRecord {
            n: row.get(0)?,
            entry: AuditEntry {
                at: time(row.get(1)?).map_err(Failure::unstorable)?,
                who: row.get(2)?,
                from: address.and_then(|address| address.parse().ok()),
                action: row.get(4)?,
                subject: row.get(5)?,
                detail: row.get(6)?,
            },
        });
    }
    Ok(records)
}
