//! The audit log as rows.

use async_trait::async_trait;

use super::Postgres;
use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, some_text, text};
use super::values::{column, moment};
use crate::store::operations;
use crate::store::values::{micros, rows};
use crate::store::{AuditEntry, AuditFilter, AuditRecord, StoreError};

#[async_trait]
impl operations::AuditLog for Postgres {
    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        let tx = self.link.begin().await?;
        insert(&tx, &entry).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        let sql = "SELECT n, at, who, address, action, subject, detail FROM ~audit \
             WHERE n < $1 AND ($2 IS NULL OR action = $2) ORDER BY n DESC LIMIT $3";
        let before = filter.before.unwrap_or(i64::MAX);
        let action = some_text(filter.action.as_ref());
        let found = self.link.query(sql, params![before, action, rows(filter.limit)]).await?;
        let records = found.iter().map(|row| {
            let address: Option<String> = column(row, 3)?;
            Ok(AuditRecord {
                n: column(row, 0)?,
                entry: AuditEntry {
                    at: moment(row, 1)?,
                    who: column(row, 2)?,
                    from: address.and_then(|address| address.parse().ok()),
                    action: column(row, 4)?,
                    subject: column(row, 5)?,
                    detail: column(row, 6)?,
                },
            })
        });
        Ok(records.collect::<Result<_, String>>().map_err(Failure::unstorable)?)
    }
}

pub(super) async fn insert(tx: &Lent<'_>, entry: &AuditEntry) -> Result<(), Failure> {
    let entry = entry.clone().cut();
    let address = entry.from.map(|from| from.to_string());
    tx.execute(
        "INSERT INTO ~audit (at, who, address, action, subject, detail) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        params![
            micros(entry.at),
            text(&entry.who),
            address,
            text(&entry.action),
            text(&entry.subject),
            text(&entry.detail),
        ],
    )
    .await?;
    Ok(())
}
