//! The end of a pause that somebody asks for.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::failure::Failure;
use super::micros;

/// Notes the pause of an integration no more, and lets what waits for it be due.
pub(super) fn lift(tx: &Connection, integration: &str, now: Timestamp) -> Result<(), Failure> {
    tx.prepare_cached("DELETE FROM integrations WHERE id = ?1")?.execute([integration])?;
    tx.prepare_cached(
        "UPDATE deliveries SET due_at = ?2 \
         WHERE integration = ?1 AND state = 'pending' AND due_at > ?2",
    )?
    .execute((integration, micros(now)))?;
    Ok(())
}

/// As [`lift`], for the integration of a delivery that waits; how many that are.
pub(super) fn lift_for(tx: &Connection, n: i64, now: Timestamp) -> Result<usize, Failure> {
    let integration: Option<String> = tx
        .prepare_cached("SELECT integration FROM deliveries WHERE n = ?1 AND state = 'pending'")?
        .query_row([n], |row| row.get(0))
        .optional()?;
    let Some(integration) = integration else { return Ok(0) };
    lift(tx, &integration, now)?;
    Ok(1)
}

/// As [`lift`], for the integrations of all deliveries that wait, or of those to one receiver; how many wait.
pub(super) fn lift_all(
    tx: &Connection,
    receiver: Option<&str>,
    now: Timestamp,
) -> Result<usize, Failure> {
    tx.prepare_cached(
        "DELETE FROM integrations WHERE id IN (SELECT integration FROM deliveries \
         WHERE finished_at IS NULL AND state = 'pending' AND (?1 IS NULL OR receiver = ?1))",
    )?
    .execute([receiver])?;
    let waiting = tx
        .prepare_cached(
            "UPDATE deliveries SET due_at = min(due_at, ?2) \
             WHERE finished_at IS NULL AND state = 'pending' AND (?1 IS NULL OR receiver = ?1)",
        )?
        .execute((receiver, micros(now)))?;
    Ok(waiting)
}
