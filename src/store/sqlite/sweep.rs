//! Retention: what is older goes, in bounded batches. Never what still waits, is open, or fires.

use jiff::Timestamp;
use rusqlite::Connection;

use super::failure::Failure;
use super::{Sqlite, judged, micros, rows};
use crate::clock;
use crate::store::{StoreError, Swept};

impl Sqlite {
    pub(in crate::store) async fn sweep(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Swept, StoreError> {
        let until = micros(clock::sub(now, self.retention));
        self.write(move |tx, _| {
            let events = events(tx, until, limit)?;
            let deliveries = deliveries(tx, until, limit)?;
            let alerts = alerts(tx, until, limit)?;
            let more = [events, deliveries, alerts].iter().any(|deleted| *deleted >= limit);
            Ok(Swept { events, deliveries, alerts, more })
        })
        .await
    }
}

/// Deletes judged events with all that hangs on them. Looks at the oldest places only: those are the oldest events.
fn events(tx: &Connection, until: i64, limit: usize) -> Result<usize, Failure> {
    let old: Vec<(i64, String, String)> = tx
        .prepare_cached(
            "SELECT seq, id, account FROM \
             (SELECT seq, id, account, received_at FROM inbox WHERE seq <= ?1 ORDER BY seq LIMIT ?2) \
             WHERE received_at <= ?3",
        )?
        .query_map((judged::cursor(tx)?, rows(limit), until), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    for (seq, id, account) in &old {
        tx.prepare_cached("DELETE FROM dedupe WHERE id = ?1 AND account = ?2 AND seq = ?3")?
            .execute((id, account, seq))?;
        tx.prepare_cached("DELETE FROM inbox WHERE seq = ?1")?.execute([seq])?;
    }
    Ok(old.len())
}

fn deliveries(tx: &Connection, until: i64, limit: usize) -> Result<usize, Failure> {
    Ok(tx
        .prepare_cached(
            "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries \
             WHERE finished_at IS NOT NULL AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2)",
        )?
        .execute((until, rows(limit)))?)
}

fn alerts(tx: &Connection, until: i64, limit: usize) -> Result<usize, Failure> {
    Ok(tx
        .prepare_cached(
            "DELETE FROM alerts WHERE fingerprint IN (SELECT fingerprint FROM alerts \
             WHERE state <> 'firing' AND ends_at <= ?1 ORDER BY ends_at LIMIT ?2)",
        )?
        .execute((until, rows(limit)))?)
}
