//! Alerts, as JSON beside the columns that are searched.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tokio_postgres::Row;

use super::Postgres;
use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, text};
use super::values::column;
use crate::alerts::{Alert, Fingerprint};
use crate::store::operations;
use crate::store::values::{json, micros, rows};
use crate::store::{AlertFilter, StoreError};

/// The alerts that fire, as many as asked.
const FIRING: &str =
    "SELECT fingerprint, alert FROM ~alerts WHERE state = 'firing' ORDER BY fingerprint LIMIT $1";

#[async_trait]
impl operations::Alerts for Postgres {
    async fn alerts(&self, filter: AlertFilter) -> Result<Vec<Alert>, StoreError> {
        let limit = rows(filter.limit);
        if let Some(fingerprint) = &filter.fingerprint {
            let sql = "SELECT fingerprint, alert FROM ~alerts WHERE fingerprint = $1 \
                 AND (state = 'firing' OR NOT $2) LIMIT $3";
            let found =
                self.link.query(sql, params![text(fingerprint), filter.firing_only, limit]).await?;
            return Ok(readable(&found)?);
        }
        // One snapshot: an alert that ends between the two looks is neither lost nor listed twice.
        let tx = self.link.begin_reading().await?;
        let mut alerts = readable(&tx.query(FIRING, params![limit]).await?)?;
        if !filter.firing_only {
            let sql = "SELECT fingerprint, alert FROM ~alerts WHERE state <> 'firing' \
                 ORDER BY ends_at DESC, fingerprint LIMIT $1";
            let room = rows(filter.limit.saturating_sub(alerts.len()));
            alerts.extend(readable(&tx.query(sql, params![room]).await?)?);
        }
        tx.commit().await?;
        Ok(alerts)
    }
}

/// Inserts alerts, or replaces those of the same fingerprint; of several with one, the last counts.
pub(super) async fn upsert(tx: &Lent<'_>, alerts: &[Alert]) -> Result<(), Failure> {
    let last: BTreeMap<&str, &Alert> =
        alerts.iter().map(|alert| (alert.fingerprint.as_str(), alert)).collect();
    let fingerprints: Vec<_> = last.keys().map(|key| text(key)).collect();
    let alerts = || last.values();
    let name = |alert: &&Alert| {
        text(alert.labels.get("alertname").map_or("", String::as_str)).into_owned()
    };
    let names: Vec<String> = alerts().map(name).collect();
    let states: Vec<&str> = alerts().map(|alert| alert.state.as_str()).collect();
    let ends: Vec<i64> =
        alerts().map(|alert| micros(alert.ends_at.unwrap_or(alert.updated_at))).collect();
    let values: Vec<Vec<u8>> = alerts().map(json).collect::<Result<_, _>>()?;
    tx.execute(
        "INSERT INTO ~alerts (fingerprint, alertname, state, ends_at, alert) \
         SELECT * FROM unnest($1, $2, $3, $4, $5) ON CONFLICT (fingerprint) DO UPDATE SET \
         alertname = excluded.alertname, state = excluded.state, ends_at = excluded.ends_at, \
         alert = excluded.alert",
        params![fingerprints, names, states, ends, values],
    )
    .await?;
    Ok(())
}

/// The alerts that fire.
pub(super) async fn firing(tx: &Lent<'_>) -> Result<Vec<Alert>, Failure> {
    readable(&tx.query(FIRING, params![i64::MAX]).await?)
}

/// The alerts that ended and that a group still holds.
pub(super) async fn ended_members(tx: &Lent<'_>) -> Result<Vec<Alert>, Failure> {
    let sql = "SELECT fingerprint, alert FROM ~alerts WHERE state <> 'firing' AND fingerprint IN \
         (SELECT right(key, 16) FROM ~state WHERE space = 'member')";
    readable(&tx.query(sql, params![]).await?)
}

/// Those of these fingerprints that are kept.
pub(super) async fn known(
    tx: &Lent<'_>,
    fingerprints: &BTreeSet<Fingerprint>,
) -> Result<BTreeMap<Fingerprint, Alert>, Failure> {
    if fingerprints.is_empty() {
        return Ok(BTreeMap::new());
    }
    let asked: Vec<_> = fingerprints.iter().map(|one| text(one.as_str())).collect();
    let sql = "SELECT fingerprint, alert FROM ~alerts WHERE fingerprint = ANY ($1)";
    let found = readable(&tx.query(sql, params![asked]).await?)?;
    Ok(found.into_iter().map(|alert| (alert.fingerprint.clone(), alert)).collect())
}

/// Reads many. One that cannot be read back is told in the log and left out: the rest must be notified.
pub(super) fn readable(found: &[Row]) -> Result<Vec<Alert>, Failure> {
    let mut alerts = Vec::new();
    for row in found {
        let value: &[u8] = column(row, 1).map_err(Failure::unstorable)?;
        match serde_json::from_slice(value) {
            Ok(alert) => alerts.push(alert),
            Err(error) => {
                let fingerprint: String = column(row, 0).map_err(Failure::unstorable)?;
                tracing::error!(fingerprint, %error, "an alert cannot be read back");
            }
        }
    }
    Ok(alerts)
}
