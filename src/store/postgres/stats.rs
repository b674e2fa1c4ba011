//! Figures about the store, each read from an index or a counter, and the write probe.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::failure::Failure;
use super::sql::params;
use super::values::{column, count, time};
use super::{Postgres, deliveries, judged};
use crate::store::operations;
use crate::store::{AlertCount, DeliveryCount, Stats, StoreError};

/// Waiting events that are counted one by one; beyond it the distance of places stands for their number.
const COUNTED_MAX: i64 = 100_000;

#[async_trait]
impl operations::Figures for Postgres {
    async fn stats(&self) -> Result<Stats, StoreError> {
        // One snapshot, so that the figures agree.
        let tx = self.link.begin_reading().await?;
        let cursor = judged::cursor(&tx).await?;
        let sql = "SELECT value FROM ~meta WHERE key = 'judged'";
        let judged = tx.first(sql, params![]).await?;
        let sql = "SELECT coalesce(max(seq), $1) - $1, min(seq) FROM ~inbox WHERE seq > $1";
        let distance = tx.first(sql, params![cursor]).await?;
        let distance = distance.map_or(Ok(0), |row| column::<i64>(&row, 0));
        let mut waiting = distance.map_err(Failure::unstorable)?;
        if waiting > 0 && waiting <= COUNTED_MAX {
            let sql = "SELECT count(*) FROM ~inbox WHERE seq > $1";
            let counted = tx.first(sql, params![cursor]).await?;
            waiting = counted.map_or(Ok(0), |row| column(&row, 0)).map_err(Failure::unstorable)?;
        }
        let sql = "SELECT received_at FROM ~inbox WHERE seq > $1 ORDER BY seq LIMIT 1";
        let oldest = tx.first(sql, params![cursor]).await?;
        let oldest = oldest.map(|row| column::<i64>(&row, 0).and_then(time)).transpose();
        let sql = "SELECT receiver, state, sum(count)::bigint FROM (\
               SELECT receiver, state, count FROM ~delivery_counts UNION ALL \
               SELECT receiver, state, count(*) FROM ~deliveries WHERE finished_at IS NULL \
               GROUP BY receiver, state) AS counted GROUP BY receiver, state ORDER BY receiver, state";
        let ended = tx.query(sql, params![]).await?;
        let sql = "SELECT alertname, state, count FROM ~alert_counts WHERE count > 0 \
             ORDER BY alertname, state";
        let alerts = tx.query(sql, params![]).await?;
        tx.commit().await?;
        let judged = judged.map_or(Ok(0), |row| column::<i64>(&row, 0));
        Ok(Stats {
            events_total: count(judged.map_err(Failure::unstorable)? + waiting),
            inbox_lag_events: count(waiting),
            oldest_waiting: oldest.map_err(Failure::unstorable)?,
            deliveries: all(&ended, |row| {
                Ok(DeliveryCount {
                    receiver: column(row, 0)?,
                    state: deliveries::state(column(row, 1)?)?,
                    count: count(column(row, 2)?),
                })
            })?,
            alerts: all(&alerts, |row| {
                Ok(AlertCount {
                    alertname: column(row, 0)?,
                    state: column(row, 1)?,
                    count: count(column(row, 2)?),
                })
            })?,
        })
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let tx = self.control.begin().await?;
        tx.execute("UPDATE ~meta SET value = value + 1 WHERE key = 'probe'", params![]).await?;
        tx.commit().await?;
        Ok(())
    }
}

fn all<T>(found: &[Row], one: fn(&Row) -> Result<T, String>) -> Result<Vec<T>, Failure> {
    found.iter().map(|row| one(row).map_err(Failure::unstorable)).collect()
}
