//! Retention: what is older goes, in bounded batches. Never what still waits, is open, or fires.

use std::cell::Cell;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use tokio::time::Instant;

use super::failure::Failure;
use super::{Sqlite, judged, micros, rows, time};
use crate::clock;
use crate::store::operations;
use crate::store::{CALL_KEPT, ENTRY_KEPT_MIN, StoreError, Swept};

#[async_trait]
impl operations::Retention for Sqlite {
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept, StoreError> {
        let until = micros(clock::sub(now, self.retention));
        let ledger_until = micros(clock::sub(now, self.retention.max(ENTRY_KEPT_MIN)));
        let calls_until = micros(clock::sub(now, CALL_KEPT));
        let ended_alerts = self.read(move |conn| ended_alerts(conn, until, limit)).await?;
        self.write(move |tx, _| {
            let begun = Instant::now();
            let mut more = false;
            let alerts_done = Cell::new(0);
            // Whoever waits for an answer waits for this, too: what the time is not enough for comes next.
            let mut slice = |delete: &dyn Fn(usize) -> Result<usize, Failure>| {
                let mut deleted = 0;
                while deleted < limit && begun.elapsed() < TIME_MAX {
                    let step = STEP_ROWS.min(limit - deleted);
                    let count = delete(step)?;
                    deleted += count;
                    if count < step {
                        return Ok(deleted);
                    }
                }
                more = true;
                Ok::<usize, Failure>(deleted)
            };
            let swept = Swept {
                events: slice(&|rows| events(tx, until, rows))?,
                deliveries: slice(&|rows| deliveries(tx, until, rows))?,
                alerts: slice(&|rows| alerts(tx, until, ended_alerts.iter(), &alerts_done, rows))?,
                ledger: slice(&|rows| ledger(tx, ledger_until, rows))?,
                calls: slice(&|rows| calls(tx, calls_until, rows))?,
                silences: slice(&|rows| silences(tx, until, rows))?,
                journal: slice(&|rows| journal(tx, until, rows))?,
                readings: slice(&|rows| readings(tx, until, rows))?,
                audit: slice(&|rows| audit(tx, until, rows))?,
                more: false,
            };
            tx.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('swept', ?1)")?
                .execute([micros(now)])?;
            Ok(Swept { more, ..swept })
        })
        .await
    }

    async fn swept_as_of(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|conn| {
            let swept: Option<i64> = conn
                .prepare_cached(
                    "SELECT coalesce((SELECT value FROM meta WHERE key = 'swept'), (SELECT max(at) FROM (\
                     SELECT (SELECT received_at FROM inbox ORDER BY seq DESC LIMIT 1) AS at UNION ALL \
                     SELECT (SELECT max(finished_at) FROM deliveries WHERE finished_at IS NOT NULL) UNION ALL \
                     SELECT (SELECT at FROM journal ORDER BY n DESC LIMIT 1) UNION ALL \
                     SELECT (SELECT max(at) FROM readings))))",
                )?
                .query_row((), |row| row.get(0))?;
            swept.map(time).transpose().map_err(Failure::unstorable)
        })
        .await
    }

    async fn pull_in_deliveries(
        &self,
        after: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (after, now) = (micros(after), micros(now));
        let any = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE finished_at IS NULL AND created_at > ?1)";
        let is_any: bool = self
            .read(move |conn| Ok(conn.prepare_cached(any)?.query_row([after], |row| row.get(0))?))
            .await?;
        if !is_any {
            return Ok(0);
        }
        self.write(move |tx, effects| {
            let pulled = tx
                .prepare_cached(
                    "UPDATE deliveries SET due_at = due_at - (created_at - ?2), \
                     fallback_at = fallback_at - (created_at - ?2), created_at = ?2 \
                     WHERE finished_at IS NULL AND created_at > ?1",
                )?
                .execute((after, now))?;
            effects.queued = true;
            Ok(u64::try_from(pulled).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn shift_deliveries(
        &self,
        step: SignedDuration,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        let (from, now) = (micros(from), micros(now));
        self.write(move |tx, effects| {
            tx.prepare_cached(
                // Forwards, a try that is due after now may be the new clock's; unmoved it is at most early.
                "UPDATE deliveries SET created_at = created_at + ?1, fallback_at = fallback_at + ?1, \
                 due_at = CASE WHEN ?1 > 0 AND due_at > ?3 THEN due_at ELSE due_at + ?1 END \
                 WHERE finished_at IS NULL AND created_at NOT BETWEEN ?2 AND ?3",
            )?
            .execute((step, from, now))?;
            effects.queued = true;
            Ok(())
        })
        .await
    }
}

/// How long one sweep may take, plus one step.
const TIME_MAX: Duration = Duration::from_millis(3);
/// Rows deleted between two looks at the time.
const STEP_ROWS: usize = 50;

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
             WHERE finished_at IS NOT NULL AND finished_at <= ?1 AND noted = 1 \
             ORDER BY finished_at LIMIT ?2)",
        )?
        .execute((until, rows(limit)))?)
}

/// Alerts that ended by then and that no group holds, the oldest first. Read before the write lock is taken: an alert that a
/// group holds later has fired again by then, and is left alone.
fn ended_alerts(conn: &Connection, until: i64, limit: usize) -> Result<Vec<String>, Failure> {
    let sql = "SELECT fingerprint FROM alerts WHERE state <> 'firing' AND ends_at <= ?1 \
         AND fingerprint NOT IN (SELECT substr(key, -16) FROM state WHERE space = 'member') \
         ORDER BY ends_at LIMIT ?2";
    let found = conn
        .prepare_cached(sql)?
        .query_map((until, rows(limit)), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

/// Deletes the next of [`ended_alerts`]; `done` counts them.
fn alerts<'e>(
    tx: &Connection,
    until: i64,
    ended: impl Iterator<Item = &'e String>,
    done: &Cell<usize>,
    limit: usize,
) -> Result<usize, Failure> {
    let mut count = 0;
    for fingerprint in ended.skip(done.get()).take(limit) {
        tx.prepare_cached(
            "DELETE FROM alerts WHERE fingerprint = ?1 AND state <> 'firing' AND ends_at <= ?2",
        )?
        .execute((fingerprint, until))?;
        count += 1;
    }
    done.set(done.get() + count);
    Ok(count)
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

/// Looks at the first entries only, as for events: those are the oldest.
fn audit(tx: &Connection, until: i64, limit: usize) -> Result<usize, Failure> {
    Ok(tx
        .prepare_cached(
            "DELETE FROM audit WHERE n IN (SELECT n FROM audit ORDER BY n LIMIT ?2) AND at <= ?1",
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
