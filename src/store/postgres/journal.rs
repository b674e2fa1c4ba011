//! The story of each alert.

use async_trait::async_trait;

use super::Postgres;
use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, text};
use super::values::{column, moment};
use crate::store::operations;
use crate::store::values::{micros, rows};
use crate::store::{JournalEntry, SAME_LINES_MAX, StoreError};

#[async_trait]
impl operations::Journal for Postgres {
    async fn journal(
        &self,
        fingerprint: String,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let sql = "SELECT at, group_key, what, detail FROM ~journal WHERE fingerprint = $1 \
             ORDER BY n DESC LIMIT $2";
        let found = self.link.query(sql, params![text(&fingerprint), rows(limit)]).await?;
        let entries = found.iter().map(|row| {
            Ok(JournalEntry {
                at: moment(row, 0)?,
                fingerprint: fingerprint.clone(),
                group_key: column(row, 1)?,
                what: column(row, 2)?,
                detail: column(row, 3)?,
            })
        });
        Ok(entries.collect::<Result<_, String>>().map_err(Failure::unstorable)?)
    }
}

/// Inserts a line unless one of the alert's last lines is the same and of the same second: what several targets of an
/// integration take within it is said once.
pub(super) async fn insert_once(tx: &Lent<'_>, line: &JournalEntry) -> Result<(), Failure> {
    tx.execute(
        "INSERT INTO ~journal (at, fingerprint, group_key, what, detail) SELECT $1, $2, $3, $4, $5 \
         WHERE NOT EXISTS (SELECT 1 FROM (SELECT at, group_key, what, detail FROM ~journal \
           WHERE fingerprint = $2 ORDER BY n DESC LIMIT $6) AS last \
           WHERE last.group_key = $3 AND last.what = $4 AND last.detail = $5 \
           AND abs(last.at - $1) < 1000000)",
        params![
            micros(line.at),
            text(&line.fingerprint),
            text(&line.group_key),
            text(&line.what),
            text(&line.detail),
            rows(SAME_LINES_MAX),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn insert(tx: &Lent<'_>, lines: &[JournalEntry]) -> Result<(), Failure> {
    let each = |read: fn(&JournalEntry) -> &String| -> Vec<_> {
        lines.iter().map(|line| text(read(line))).collect()
    };
    let at: Vec<i64> = lines.iter().map(|line| micros(line.at)).collect();
    tx.execute(
        "INSERT INTO ~journal (at, fingerprint, group_key, what, detail) \
         SELECT at, fingerprint, group_key, what, detail FROM unnest($1, $2, $3, $4, $5) \
         WITH ORDINALITY AS new (at, fingerprint, group_key, what, detail, place) ORDER BY place",
        params![
            at,
            each(|line| &line.fingerprint),
            each(|line| &line.group_key),
            each(|line| &line.what),
            each(|line| &line.detail),
        ],
    )
    .await?;
    Ok(())
}
