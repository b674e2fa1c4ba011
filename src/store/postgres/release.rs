//! Gives back what somebody was sending who is gone.

use tokio_postgres::Row;

use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, text};
use super::values::column;
use crate::store::Resent;

/// Lets deliveries of these integrations that are being sent wait again: whoever sent them is gone, and the peer may have
/// them.
pub(super) async fn release_of(
    tx: &Lent<'_>,
    integrations: &[String],
) -> Result<Vec<Resent>, Failure> {
    let integrations: Vec<_> = integrations.iter().map(|one| text(one)).collect();
    // Pauses ended with the process that kept them.
    tx.execute("DELETE FROM ~integrations WHERE id = ANY ($1)", params![integrations]).await?;
    let sql = "WITH released AS (UPDATE ~deliveries SET state = 'pending', due_at = created_at, \
           maybe_repeated = 1 WHERE finished_at IS NULL AND state = 'sending' \
           AND integration = ANY ($1) RETURNING integration, receiver) \
         SELECT integration, receiver, count(*) FROM released GROUP BY integration, receiver \
         ORDER BY integration, receiver";
    let one = |row: &Row| -> Result<_, String> {
        Ok(Resent {
            integration: column(row, 0)?,
            receiver: column(row, 1)?,
            count: usize::try_from(column::<i64>(row, 2)?).unwrap_or(0),
        })
    };
    let found = tx.query(sql, params![integrations]).await?;
    found.iter().map(|row| one(row).map_err(Failure::unstorable)).collect()
}
