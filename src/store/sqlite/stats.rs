//! Figures about the store, each read from an index or a counter, and the write probe.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};

use super::failure::Failure;
use super::{Sqlite, deliveries, judged, time};
use crate::store::operations;
use crate::store::{AlertCount, DeliveryCount, Stats, StoreError};

#[async_trait]
impl operations::Figures for Sqlite {
    async fn stats(&self) -> Result<Stats, StoreError> {
        self.read(stats).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.write_at_once(0, |tx, _| {
            tx.prepare_cached("UPDATE meta SET value = value + 1 WHERE key = 'probe'")?
                .execute(())?;
            Ok(())
        })
        .await
    }
}

impl Sqlite {
    /// Sets something on the writing connection.
    pub(in crate::store) async fn pragma(&self, text: &'static str) -> Result<(), StoreError> {
        self.write_at_once(0, move |tx, _| Ok(tx.execute_batch(&format!("PRAGMA {text}"))?)).await
    }
}

fn stats(conn: &Connection) -> Result<Stats, Failure> {
    // One snapshot, so that the figures agree.
    let tx = conn.unchecked_transaction()?;
    let cursor = judged::cursor(&tx)?;
    // Places are given without gaps, and only judged events are deleted.
    let last: i64 = tx
        .prepare_cached("SELECT max(coalesce((SELECT max(seq) FROM inbox), 0), ?1)")?
        .query_row([cursor], |row| row.get(0))?;
    let oldest: Option<i64> = tx
        .prepare_cached("SELECT received_at FROM inbox WHERE seq > ?1 ORDER BY seq LIMIT 1")?
        .query_row([cursor], |row| row.get(0))
        .optional()?;
    Ok(Stats {
        events_total: count(last),
        inbox_lag_events: count(last - cursor),
        oldest_waiting: oldest.map(time).transpose().map_err(Failure::unstorable)?,
        deliveries: delivery_counts(&tx)?,
        alerts: alert_counts(&tx)?,
    })
}

fn delivery_counts(conn: &Connection) -> Result<Vec<DeliveryCount>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT receiver, state, count FROM delivery_counts UNION ALL \
         SELECT receiver, state, count(*) FROM deliveries INDEXED BY deliveries_open WHERE finished_at IS NULL \
         GROUP BY receiver, state ORDER BY receiver, state",
    )?;
    let mut rows = statement.query(())?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        let state = deliveries::state(&row.get::<_, String>(1)?).map_err(Failure::unstorable)?;
        counts.push(DeliveryCount { receiver: row.get(0)?, state, count: count(row.get(2)?) });
    }
    Ok(counts)
}

fn alert_counts(conn: &Connection) -> Result<Vec<AlertCount>, Failure> {
    Ok(conn
        .prepare_cached(
            "SELECT alertname, state, count FROM alert_counts WHERE count > 0 \
             ORDER BY alertname, state",
        )?
        .query_map((), |row| {
            Ok(AlertCount { alertname: row.get(0)?, state: row.get(1)?, count: count(row.get(2)?) })
        })?
        .collect::<Result<_, _>>()?)
}

/// A count as SQLite gives it; never negative.
fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}
