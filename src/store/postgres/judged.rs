//! What the engine commits: one batch, one transaction, guarded by the cursor and by the lease of whoever judges.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::arrivals::{self, NewRow};
use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, text};
use super::values::{column, signed};
use super::{Postgres, alerts, deliveries, journal, ledger, notification_log, silences, state};
use crate::event::PayloadPolicy;
use crate::store::operations;
use crate::store::{Changes, Committed, Recorded, Resumed, Role, Space, StoreError};

#[async_trait]
impl operations::Judging for Postgres {
    async fn newest_seq(&self) -> Result<i64, StoreError> {
        let sql = "SELECT greatest(coalesce((SELECT max(seq) FROM ~inbox), 0), \
             (SELECT value FROM ~meta WHERE key = 'cursor'))";
        Ok(number(&self.link.query(sql, params![]).await?)?)
    }

    async fn resume_but(&self, without: &'static [Space]) -> Result<Resumed, StoreError> {
        // One snapshot: a silence may be made meanwhile, by another replica too.
        let tx = self.link.begin_reading().await?;
        let resumed = Resumed {
            cursor: cursor(&tx).await?,
            alerts: alerts::firing(&tx).await?,
            ended: alerts::ended_members(&tx).await?,
            rows: state::all_but(&tx, without).await?,
            silences: silences::all(&tx).await?,
            log: notification_log::all(&tx).await?,
            open: notification_log::open(&tx).await?,
        };
        tx.commit().await?;
        Ok(resumed)
    }

    async fn commit(&self, changes: Changes) -> Result<Committed, StoreError> {
        let events: Vec<NewRow> = changes
            .events
            .iter()
            .map(|event| NewRow::new(event.clone(), self.retention))
            .collect::<Result<_, _>>()?;
        let tx = self.link.begin().await?;
        if !self.duties.hold(&tx, &Role::Judge, changes.epoch).await? {
            let stood = cursor(&tx).await?;
            return Ok(tx.refuse(StoreError::Stale(stood)).await?);
        }
        if !events.is_empty() {
            arrivals::lock_shared(&tx).await?;
        }
        if let Some(refused) = self.advance(&tx, &changes).await? {
            return Ok(tx.refuse(refused).await?);
        }
        explain(&tx, &changes).await?;
        let mut committed =
            Committed { calls_evicted: book(&tx, &changes).await?, ..Committed::default() };
        if !changes.alerts.is_empty() {
            alerts::upsert(&tx, &changes.alerts).await?;
        }
        if !changes.rows.is_empty() {
            state::put(&tx, &changes.rows).await?;
        }
        if !changes.journal.is_empty() {
            journal::insert(&tx, &changes.journal).await?;
        }
        if !changes.noted.is_empty() {
            let sql = "UPDATE ~deliveries SET noted = true WHERE n = ANY ($1)";
            tx.execute(sql, params![changes.noted]).await?;
        }
        if !changes.forgotten.is_empty() {
            let keys: Vec<_> = changes.forgotten.iter().map(|key| text(key)).collect();
            let sql = "DELETE FROM ~notification_log WHERE group_key = ANY ($1)";
            tx.execute(sql, params![keys]).await?;
        }
        committed.opened = deliveries::open(&tx, &changes.deliveries).await?;
        deliveries::caused(&tx, changes.causes.iter().map(|(id, by)| (id.as_str(), by.as_slice())))
            .await?;
        let recorded = arrivals::insert(&tx, &events).await?;
        committed.recorded = recorded.iter().filter(|one| **one == Recorded::New).count();
        tx.commit().await?;
        self.tell_queued(committed.opened > 0);
        self.tell_recorded(committed.recorded > 0);
        Ok(committed)
    }
}

impl Postgres {
    /// Moves the cursor, unless any of this is judged already: then it would take effect twice. Gives why it is refused.
    async fn advance(
        &self,
        tx: &Lent<'_>,
        changes: &Changes,
    ) -> Result<Option<StoreError>, Failure> {
        let sql = "SELECT value FROM ~meta WHERE key = 'cursor' FOR UPDATE";
        let stood = number(&tx.query(sql, params![]).await?)?;
        let judged = changes.judgements.iter().map(|judgement| judgement.seq);
        let charged = changes.charges.iter().map(|(seq, _)| *seq);
        let mut touched = judged.chain(changes.faulted.iter().map(|(seq, _)| *seq)).chain(charged);
        if changes.cursor < stood || touched.any(|seq| seq <= stood) {
            return Ok(Some(StoreError::Stale(stood)));
        }
        if changes.cursor == stood {
            return Ok(None);
        }
        let sql = "SELECT coalesce((SELECT max(seq) FROM ~inbox), 0), \
             (SELECT count(*) FROM ~inbox WHERE seq > $1 AND seq <= $2)";
        let row = tx.first(sql, params![stood, changes.cursor]).await?;
        let read = |index| row.as_ref().map_or(Ok(0), |row| column::<i64>(row, index));
        let (last, passed) =
            (read(0).map_err(Failure::unstorable)?, read(1).map_err(Failure::unstorable)?);
        if changes.cursor > last {
            let reason = format!("no event has place {}", changes.cursor);
            return Ok(Some(StoreError::Unstorable(reason)));
        }
        tx.execute(
            "UPDATE ~meta SET value = CASE key WHEN 'cursor' THEN $1 ELSE value + $2 END \
             WHERE key IN ('cursor', 'judged')",
            params![changes.cursor, passed],
        )
        .await?;
        if self.payload == PayloadPolicy::None {
            let sql = "UPDATE ~inbox SET payload = NULL WHERE seq > $1 AND seq <= $2";
            tx.execute(sql, params![stood, changes.cursor]).await?;
        }
        Ok(None)
    }
}

/// The last event that is judged.
pub(super) async fn cursor(tx: &Lent<'_>) -> Result<i64, Failure> {
    number(&tx.query("SELECT value FROM ~meta WHERE key = 'cursor'", params![]).await?)
}

/// The one number of an answer.
fn number(found: &[tokio_postgres::Row]) -> Result<i64, Failure> {
    found.first().map_or(Ok(0), |row| column(row, 0)).map_err(Failure::unstorable)
}

/// Notes what was charged and what is known of calls; tells how many calls were too many.
async fn book(tx: &Lent<'_>, changes: &Changes) -> Result<usize, Failure> {
    if !changes.charges.is_empty() {
        let last: BTreeMap<i64, String> =
            changes.charges.iter().map(|(seq, charge)| (*seq, charge.to_string())).collect();
        let (seqs, charges): (Vec<i64>, Vec<String>) = last.into_iter().unzip();
        tx.execute(
            "INSERT INTO ~charges (seq, charge) SELECT * FROM unnest($1, $2) \
             ON CONFLICT (seq) DO UPDATE SET charge = excluded.charge",
            params![seqs, charges],
        )
        .await?;
    }
    if !changes.ledger.is_empty() {
        ledger::put_entries(tx, &changes.ledger).await?;
    }
    if changes.calls.is_empty() { Ok(0) } else { ledger::put_calls(tx, &changes.calls).await }
}

/// Notes what the rules said, and what could not be judged.
async fn explain(tx: &Lent<'_>, changes: &Changes) -> Result<(), Failure> {
    let judged = &changes.judgements;
    if !judged.is_empty() {
        let seqs: Vec<i64> = judged.iter().map(|one| one.seq).collect();
        let places: Vec<i32> = (0..).take(judged.len()).map(signed).collect();
        let fingerprints: Vec<_> =
            judged.iter().map(|one| super::sql::some_text(one.fingerprint.as_ref())).collect();
        let each = |read: fn(&crate::store::Judgement) -> &String| -> Vec<_> {
            judged.iter().map(|one| text(read(one))).collect()
        };
        tx.execute(
            "INSERT INTO ~judgements (seq, n, rule, outcome, fingerprint, detail, config) \
             SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)",
            params![
                seqs,
                places,
                each(|one| &one.rule),
                each(|one| &one.outcome),
                fingerprints,
                each(|one| &one.detail),
                each(|one| &one.config),
            ],
        )
        .await?;
    }
    if !changes.faulted.is_empty() {
        let last: BTreeMap<i64, _> =
            changes.faulted.iter().map(|(seq, detail)| (*seq, text(detail))).collect();
        let (seqs, details): (Vec<i64>, Vec<_>) = last.into_iter().unzip();
        tx.execute(
            "INSERT INTO ~faulted (seq, detail) SELECT * FROM unnest($1, $2) \
             ON CONFLICT (seq) DO UPDATE SET detail = excluded.detail",
            params![seqs, details],
        )
        .await?;
    }
    Ok(())
}
