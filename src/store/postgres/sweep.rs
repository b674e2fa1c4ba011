//! Retention: what is older goes, in bounded batches. Never what still waits, is open, or fires.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::failure::Failure;
use super::link::Lent;
use super::sql::params;
use super::values::{column, time};
use super::{Postgres, judged, ledger};
use crate::clock;
use crate::store::operations;
use crate::store::values::{micros, rows};
use crate::store::{CALL_KEPT, ENTRY_KEPT_MIN, StoreError, Swept};

/// Rows that one statement deletes at most: locks are short, and so are the versions that vacuum has to clear.
const STEP_ROWS: usize = 500;

#[async_trait]
impl operations::Retention for Postgres {
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept, StoreError> {
        let until = micros(clock::sub(now, self.retention));
        let ledger_until = micros(clock::sub(now, self.retention.max(ENTRY_KEPT_MIN)));
        let calls_until = micros(clock::sub(now, CALL_KEPT));
        let limit = limit.min(STEP_ROWS);
        let tx = self.link.begin().await?;
        let swept = Swept {
            events: events(&tx, until, limit).await?,
            deliveries: delete(&tx, DELIVERIES, until, limit).await?,
            alerts: delete(&tx, ALERTS, until, limit).await?,
            ledger: delete(&tx, LEDGER, ledger_until, limit).await?,
            calls: calls(&tx, calls_until, limit).await?,
            silences: delete(&tx, SILENCES, until, limit).await?,
            journal: delete(&tx, JOURNAL, until, limit).await?,
            readings: delete(&tx, READINGS, until, limit).await?,
            audit: delete(&tx, AUDIT, until, limit).await?,
            more: false,
        };
        // Summed up, so that there is little to add when somebody asks.
        let summed = "WITH old AS (DELETE FROM ~delivery_counts RETURNING receiver, state, count) \
             INSERT INTO ~delivery_counts (receiver, state, count) \
             SELECT receiver, state, sum(count) FROM old GROUP BY receiver, state";
        tx.execute(summed, params![]).await?;
        let noted = "INSERT INTO ~meta (key, value) VALUES ('swept', $1) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        tx.execute(noted, params![micros(now)]).await?;
        tx.commit().await?;
        let counts = [
            swept.events,
            swept.deliveries,
            swept.alerts,
            swept.ledger,
            swept.calls,
            swept.silences,
            swept.journal,
            swept.readings,
            swept.audit,
        ];
        Ok(Swept { more: counts.into_iter().any(|count| count >= limit), ..swept })
    }

    async fn swept_as_of(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT coalesce((SELECT value FROM ~meta WHERE key = 'swept'), greatest(\
               (SELECT received_at FROM ~inbox ORDER BY seq DESC LIMIT 1), \
               (SELECT max(finished_at) FROM ~deliveries WHERE finished_at IS NOT NULL), \
               (SELECT at FROM ~journal ORDER BY n DESC LIMIT 1), (SELECT max(at) FROM ~readings)))";
        let found = self.link.query(sql, params![]).await?;
        let swept = found.first().map_or(Ok(None), |row| column::<Option<i64>>(row, 0));
        let swept = swept.map_err(Failure::unstorable)?;
        Ok(swept.map(time).transpose().map_err(Failure::unstorable)?)
    }

    async fn pull_in_deliveries(
        &self,
        after: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let tx = self.link.begin().await?;
        let pulled = tx
            .execute(
                "UPDATE ~deliveries SET due_at = due_at - (created_at - $2), \
                 fallback_at = fallback_at - (created_at - $2), created_at = $2 \
                 WHERE finished_at IS NULL AND created_at > $1",
                params![micros(after), micros(now)],
            )
            .await?;
        tx.commit().await?;
        self.tell_queued(pulled > 0);
        Ok(pulled)
    }

    async fn shift_deliveries(
        &self,
        step: SignedDuration,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        let tx = self.link.begin().await?;
        tx.execute(
            // Forwards, a try that is due after now may be the new clock's; unmoved it is at most early.
            "UPDATE ~deliveries SET created_at = created_at + $1, fallback_at = fallback_at + $1, \
             due_at = CASE WHEN $1 > 0 AND due_at > $3 THEN due_at ELSE due_at + $1 END \
             WHERE finished_at IS NULL AND created_at NOT BETWEEN $2 AND $3",
            params![step, micros(from), micros(now)],
        )
        .await?;
        tx.commit().await?;
        self.tell_queued(true);
        Ok(())
    }
}

/// Deletes judged events with all that hangs on them. Looks at the oldest places only: those are the oldest events.
async fn events(tx: &Lent<'_>, until: i64, limit: usize) -> Result<usize, Failure> {
    let cursor = judged::cursor(tx).await?;
    let row = tx
        .first(
            "WITH old AS MATERIALIZED (SELECT seq, id, account FROM \
               (SELECT seq, id, account, received_at FROM ~inbox WHERE seq <= $1 ORDER BY seq LIMIT $2) AS first \
               WHERE received_at <= $3), \
             a AS (DELETE FROM ~dedupe AS known USING old WHERE known.id = old.id \
               AND known.account = old.account AND known.seq = old.seq), \
             b AS (DELETE FROM ~judgements AS row USING old WHERE row.seq = old.seq), \
             c AS (DELETE FROM ~faulted AS row USING old WHERE row.seq = old.seq), \
             d AS (DELETE FROM ~caused AS row USING old WHERE row.seq = old.seq), \
             e AS (DELETE FROM ~charges AS row USING old WHERE row.seq = old.seq), \
             f AS (DELETE FROM ~inbox AS row USING old WHERE row.seq = old.seq) \
             SELECT count(*) FROM old",
            params![cursor, rows(limit), until],
        )
        .await?;
    let gone = row.map_or(Ok(0), |row| column::<i64>(&row, 0)).map_err(Failure::unstorable)?;
    Ok(usize::try_from(gone).unwrap_or(0))
}

const DELIVERIES: &str = "DELETE FROM ~deliveries WHERE n = ANY (ARRAY(SELECT n FROM ~deliveries \
     WHERE finished_at IS NOT NULL AND finished_at <= $1 AND noted ORDER BY finished_at LIMIT $2))";

/// Not what a group holds.
const ALERTS: &str = "DELETE FROM ~alerts WHERE fingerprint = ANY (ARRAY(SELECT fingerprint \
     FROM ~alerts WHERE state <> 'firing' AND ends_at <= $1 AND fingerprint NOT IN \
     (SELECT right(key, 16) FROM ~state WHERE space = 'member') ORDER BY ends_at LIMIT $2))";

const LEDGER: &str = "WITH old AS MATERIALIZED (SELECT account, key FROM ~ledger \
       WHERE updated_at <= $1 ORDER BY updated_at LIMIT $2) \
     DELETE FROM ~ledger AS row USING old WHERE row.account = old.account AND row.key = old.key";

const SILENCES: &str = "DELETE FROM ~silences WHERE id = ANY (ARRAY(SELECT id FROM ~silences \
     WHERE ends_at <= $1 ORDER BY ends_at LIMIT $2))";

/// Looks at the first lines only, as for events: those are the oldest.
const JOURNAL: &str = "DELETE FROM ~journal WHERE n = ANY (ARRAY(SELECT n FROM ~journal \
     ORDER BY n LIMIT $2)) AND at <= $1";

const AUDIT: &str = "DELETE FROM ~audit WHERE n = ANY (ARRAY(SELECT n FROM ~audit \
     ORDER BY n LIMIT $2)) AND at <= $1";

const READINGS: &str = "WITH old AS MATERIALIZED (SELECT account, at FROM ~readings \
       WHERE at <= $1 ORDER BY at LIMIT $2) \
     DELETE FROM ~readings AS row USING old WHERE row.account = old.account AND row.at = old.at";

async fn delete(tx: &Lent<'_>, sql: &str, until: i64, limit: usize) -> Result<usize, Failure> {
    let gone = tx.execute(sql, params![until, rows(limit)]).await?;
    Ok(usize::try_from(gone).unwrap_or(usize::MAX))
}

async fn calls(tx: &Lent<'_>, until: i64, limit: usize) -> Result<usize, Failure> {
    Ok(usize::try_from(ledger::delete_calls(tx, until, rows(limit)).await?).unwrap_or(0))
}
