//! Alerts, as JSON beside the columns that are searched.

use async_trait::async_trait;
use rusqlite::{Connection, ToSql};

use super::failure::Failure;
use super::{Sqlite, json, micros, rows};
use crate::alerts::Alert;
use crate::store::operations;
use crate::store::{AlertFilter, StoreError};

/// The alerts that fire, as many as asked.
const FIRING: &str =
    "SELECT fingerprint, alert FROM alerts WHERE state = 'firing' ORDER BY fingerprint LIMIT ?1";

#[async_trait]
impl operations::Alerts for Sqlite {
    async fn alerts(&self, filter: AlertFilter) -> Result<Vec<Alert>, StoreError> {
        self.read(move |conn| list(conn, &filter)).await
    }
}

/// An alert on its way into the store.
pub(super) struct NewAlert {
    alert: Alert,
    json: Vec<u8>,
}

impl NewAlert {
    pub(super) fn new(alert: Alert) -> Result<Self, StoreError> {
        Ok(Self { json: json(&alert)?, alert })
    }
}

/// Inserts an alert, or replaces the one of the same fingerprint.
pub(super) fn upsert(tx: &Connection, new: &NewAlert) -> Result<(), Failure> {
    let alert = &new.alert;
    let name = alert.labels.get("alertname").map_or("", String::as_str);
    tx.prepare_cached(
        "INSERT INTO alerts (fingerprint, alertname, state, ends_at, alert) \
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (fingerprint) DO UPDATE SET \
         alertname = excluded.alertname, state = excluded.state, ends_at = excluded.ends_at, \
         alert = excluded.alert",
    )?
    .execute((
        alert.fingerprint.as_str(),
        name,
        alert.state.as_str(),
        micros(alert.ends_at.unwrap_or(alert.updated_at)),
        &new.json,
    ))?;
    Ok(())
}

/// The alerts that fire.
pub(super) fn firing(conn: &Connection) -> Result<Vec<Alert>, Failure> {
    collect(conn, FIRING, &[&i64::MAX])
}

/// The alerts of a name that fire, as many as asked.
pub(super) fn firing_of(
    conn: &Connection,
    alertname: &str,
    limit: usize,
) -> Result<Vec<Alert>, Failure> {
    let sql = "SELECT fingerprint, alert FROM alerts WHERE state = 'firing' AND alertname = ?1 \
         ORDER BY fingerprint LIMIT ?2";
    collect(conn, sql, &[&alertname, &rows(limit)])
}

/// The alerts that ended and that a group still holds.
pub(super) fn ended_members(conn: &Connection) -> Result<Vec<Alert>, Failure> {
    let sql = "SELECT fingerprint, alert FROM alerts WHERE state <> 'firing' AND fingerprint IN \
         (SELECT substr(key, -16) FROM state WHERE space = 'member')";
    collect(conn, sql, &[])
}

fn list(conn: &Connection, filter: &AlertFilter) -> Result<Vec<Alert>, Failure> {
    let limit = rows(filter.limit);
    if let Some(fingerprint) = &filter.fingerprint {
        let sql = "SELECT fingerprint, alert FROM alerts WHERE fingerprint = ?1 \
             AND (state = 'firing' OR NOT ?2) LIMIT ?3";
        return collect(conn, sql, &[fingerprint, &filter.firing_only, &limit]);
    }
    // One snapshot: an alert that ends between the two looks is neither lost nor listed twice.
    let tx = conn.unchecked_transaction()?;
    let mut alerts = collect(&tx, FIRING, &[&limit])?;
    if !filter.firing_only {
        let sql = "SELECT fingerprint, alert FROM alerts WHERE state <> 'firing' \
             ORDER BY ends_at DESC, fingerprint LIMIT ?1";
        let room = rows(filter.limit.saturating_sub(alerts.len()));
        alerts.extend(collect(&tx, sql, &[&room])?);
    }
    Ok(alerts)
}

/// Reads many. One that cannot be read back is logged and left out: the rest must be notified.
fn collect(conn: &Connection, sql: &str, params: &[&dyn ToSql]) -> Result<Vec<Alert>, Failure> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        match serde_json::from_slice(&row.get::<_, Vec<u8>>(1)?) {
            Ok(alert) => alerts.push(alert),
            Err(error) => {
                let fingerprint: String = row.get(0)?;
                tracing::error!(fingerprint, %error, "an alert cannot be read back");
            }
        }
    }
    Ok(alerts)
}
