//! The end of a pause that somebody asks for.

use jiff::Timestamp;

use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, text};
use super::values::column;
use crate::store::values::micros;

/// Notes the pause of an integration no more, and lets what waits for it be due.
pub(super) async fn lift(tx: &Lent<'_>, integration: &str, now: Timestamp) -> Result<(), Failure> {
    tx.execute("DELETE FROM ~integrations WHERE id = $1", params![text(integration)]).await?;
    tx.execute(
        "UPDATE ~deliveries SET due_at = $2 \
         WHERE integration = $1 AND state = 'pending' AND due_at > $2",
        params![text(integration), micros(now)],
    )
    .await?;
    Ok(())
}

/// As [`lift`], for the integration of a delivery that waits; how many that are.
pub(super) async fn lift_for(tx: &Lent<'_>, n: i64, now: Timestamp) -> Result<usize, Failure> {
    let sql = "SELECT integration FROM ~deliveries WHERE n = $1 AND state = 'pending'";
    let Some(row) = tx.query(sql, params![n]).await?.into_iter().next() else { return Ok(0) };
    let integration: &str = column(&row, 0).map_err(Failure::unstorable)?;
    lift(tx, integration, now).await?;
    Ok(1)
}

/// As [`lift`], for the integrations of all deliveries that wait, or of those to one receiver; how many wait.
pub(super) async fn lift_all(
    tx: &Lent<'_>,
    receiver: Option<&str>,
    now: Timestamp,
) -> Result<usize, Failure> {
    let receiver = receiver.map(text);
    tx.execute(
        "DELETE FROM ~integrations WHERE id IN (SELECT integration FROM ~deliveries \
         WHERE finished_at IS NULL AND state = 'pending' AND ($1::text IS NULL OR receiver = $1))",
        params![receiver],
    )
    .await?;
    let waiting = tx
        .execute(
            "UPDATE ~deliveries SET due_at = least(due_at, $2) \
             WHERE finished_at IS NULL AND state = 'pending' \
             AND ($1::text IS NULL OR receiver = $1)",
            params![receiver, micros(now)],
        )
        .await?;
    Ok(usize::try_from(waiting).unwrap_or(usize::MAX))
}
