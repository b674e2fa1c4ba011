//! Retention: what is older goes, in bounded batches. Never what still waits, is open, or fires.

use jiff::Timestamp;
use rusqlite::Connection;

use super::failure::Failure;
use super::ledger::{CALL_KEPT, ENTRY_KEPT_MIN};
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
        let ledger_until = micros(clock::sub(now, self.retention.max(ENTRY_KEPT_MIN)));
        let calls_until = micros(clock::sub(now, CALL_KEPT));
        self.write(move |tx, _| {
            let swept = Swept {
                events: events(tx, until, limit)?,
                deliveries: deliveries(tx, until, limit)?,
                alerts: alerts(tx, until, limit)?,
                ledger: ledger(tx, ledger_until, limit)?,
                calls: calls(tx, calls_until, limit)?,
                silences: silences(tx, until, limit)?,
                journal: journal(tx, until, limit)?,
                readings: readings(tx, until, limit)?,
                more: false,
            };
            Ok(Swept { more: swept.counts().iter().any(|deleted| *deleted >= limit), ..swept })
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

fn ledger(tx: &Connection, until: i64, limit: usize) -> Result<usize, Failure> {
    Ok(tx
        .prepare_cached(
            "DELETE FROM ledger WHERE rowid IN (SELECT rowid FROM ledger \
             WHERE updated_at <= ?1 ORDER BY updated_at LIMIT ?2)",
        )?
        .execute((until, rows(limit)))?)
}

fn calls(tx: &Connection, until: i64, limit: usize) -> Result<usize, Failure> {
    Ok(tx
        .prepare_cached(
            "DELETE FROM calls WHERE rowid IN (SELECT rowid FROM calls \
             WHERE learned_at <= ?1 ORDER BY learned_at LIMIT ?2)",
        )?
        .execute((until, rows(limit)))?)
}

fn silences(tx: &Connection, until: i64, limit: usize) -> Result<usize, Failure> {
    Ok(tx
        .prepare_cached(
            "DELETE FROM silences WHERE rowid IN (SELECT rowid FROM silences \
             WHERE ends_at <= ?1 ORDER BY ends_at LIMIT ?2)",
        )?
        .execute((until, rows(limit)))?)
}

/// Looks at the first lines only, as for events: those are the oldest.
fn journal(tx: &Connection, until: i64, limit: usize) -> Result<usize, Failure> {
    Ok(tx
        .prepare_cached(
            "DELETE FROM journal WHERE n IN (SELECT n FROM journal ORDER BY n LIMIT ?2) \
             AND at <= ?1",
        )?
        .execute((until, rows(limit)))?)
}

fn readings(tx: &Connection, until: i64, limit: usize) -> Result<usize, Failure> {
    Ok(tx
        .prepare_cached(
            "DELETE FROM readings WHERE (account, at) IN (SELECT account, at FROM readings \
             WHERE at <= ?1 ORDER BY at LIMIT ?2)",
        )?
        .execute((until, rows(limit)))?)
}
