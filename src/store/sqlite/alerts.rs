//! Alerts, as JSON beside the columns that are searched.

use rusqlite::Connection;

use super::failure::Failure;
use super::{json, micros};
use crate::alerts::Alert;
use crate::store::StoreError;

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

/// The alerts that fire. One that cannot be read back is told in the log and left out: the rest must ring.
pub(super) fn firing(conn: &Connection) -> Result<Vec<Alert>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT fingerprint, alert FROM alerts WHERE state = 'firing' ORDER BY fingerprint",
    )?;
    let mut rows = statement.query(())?;
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
