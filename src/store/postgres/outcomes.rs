//! What becomes of deliveries: settled, given back, passed to the fallback, dead for want of a receiver.

use async_trait::async_trait;
use jiff::Timestamp;

use super::arrivals::{self, NewRow};
use super::deliveries::{self, COLUMNS, JOINS};
use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, text};
use super::values::{column, signed, unsigned};
use super::{Postgres, journal, notification_log, release};
use crate::alerts::TargetId;
use crate::store::operations;
use crate::store::values::{json, micros, rows};
use crate::store::{
    ATTEMPTS_KEPT, Attempt, Delivery, DeliveryState, NewDelivery, Next, RECEIVER_REMOVED, Recorded,
    Resent, Settled, Settlement, StoreError,
};

#[async_trait]
impl operations::Outcomes for Postgres {
    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        let Settlement { id, attempt, next, fallbacks, .. } = &settlement;
        let entry = settlement.entry.as_ref().map(json).transpose()?;
        let raised = settlement
            .events
            .iter()
            .cloned()
            .map(|event| NewRow::new(event, self.retention))
            .collect::<Result<Vec<_>, _>>()?;
        let tx = self.link.begin().await?;
        if !raised.is_empty() {
            arrivals::lock_shared(&tx).await?;
        }
        let Some(found) = Found::by_id(&tx, id).await? else {
            tx.commit().await?;
            return Ok(Settled::Stale);
        };
        note(&tx, found.n, attempt).await?;
        if let (Next::Delivered, Some(entry)) = (next, &entry) {
            let key = (found.n, settlement.logged_by(found.attempts, found.revision));
            notification_log::put(&tx, &found.group_key, &found.target, key, entry).await?;
            // The engine takes note of what the log says now, also when the delivery had ended.
            let sql = "UPDATE ~deliveries SET noted = false WHERE n = $1";
            tx.execute(sql, params![found.n]).await?;
        }
        if !next.is_heeded(found.state, found.attempts, attempt) {
            tx.commit().await?;
            return Ok(Settled::Stale);
        }
        for line in &settlement.journal {
            journal::insert_once(&tx, line).await?;
        }
        let becomes = settlement.next_of(found.fallback_of.as_ref());
        found.end_attempt(&tx, attempt, becomes, settlement.maybe_taken).await?;
        let triggered = !fallbacks.is_empty() && found.trigger(&tx, fallbacks).await?;
        let recorded = arrivals::insert(&tx, &raised).await?;
        tx.commit().await?;
        self.tell_recorded(recorded.contains(&Recorded::New));
        // The loop that sent it looks again by itself.
        self.tell_queued(triggered);
        Ok(Settled::Applied)
    }

    async fn release(&self, ids: Vec<String>) -> Result<(), StoreError> {
        let ids: Vec<_> = ids.iter().map(|id| text(id)).collect();
        let sql = "UPDATE ~deliveries SET state = 'pending', attempts = greatest(attempts - 1, 0), \
             due_at = created_at WHERE id = ANY ($1) AND state = 'sending' RETURNING 1";
        let tx = self.link.begin().await?;
        let released = tx.execute(sql, params![ids]).await?;
        tx.commit().await?;
        self.tell_queued(released > 0);
        Ok(())
    }

    /// Only what this process may be sending: others send too, and whose lease has run out is taken over with what it sent.
    async fn release_all(&self) -> Result<Vec<Resent>, StoreError> {
        let held = self.duties.integrations();
        let tx = self.link.begin().await?;
        let resent = release::release_of(&tx, &held).await?;
        tx.commit().await?;
        self.tell_queued(!resent.is_empty());
        Ok(resent)
    }

    async fn fallback_due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM ~deliveries AS deliveries {JOINS} \
             WHERE deliveries.finished_at IS NULL AND NOT deliveries.fallback_triggered \
             AND deliveries.fallback_at IS NOT NULL AND deliveries.fallback_at <= $1 \
             ORDER BY deliveries.fallback_at LIMIT $2"
        );
        let found = self.link.query(&sql, params![micros(now), rows(limit)]).await?;
        Ok(deliveries::readable(&found)?)
    }

    async fn trigger_fallback(
        &self,
        id: String,
        fallbacks: Vec<NewDelivery>,
    ) -> Result<bool, StoreError> {
        let tx = self.link.begin().await?;
        let triggered = match Found::by_id(&tx, &id).await? {
            Some(found)
                if matches!(found.state, DeliveryState::Pending | DeliveryState::Sending) =>
            {
                found.trigger(&tx, &fallbacks).await?
            }
            _ => false,
        };
        tx.commit().await?;
        self.tell_queued(triggered);
        Ok(triggered)
    }

    async fn dead_letter_orphans(
        &self,
        known: Vec<String>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let known: Vec<_> = known.iter().map(|one| text(one)).collect();
        let sql = "UPDATE ~deliveries SET state = 'dead', finished_at = $2, reason = $3 \
             WHERE finished_at IS NULL AND NOT integration = ANY ($1)";
        let tx = self.link.begin().await?;
        let dead = tx.execute(sql, params![known, micros(now), RECEIVER_REMOVED]).await?;
        tx.commit().await?;
        Ok(usize::try_from(dead).unwrap_or(usize::MAX))
    }
}

/// A delivery as far as its outcome needs it. Its row is locked until the transaction ends.
struct Found {
    n: i64,
    state: DeliveryState,
    attempts: u32,
    revision: u32,
    created_at: i64,
    group_key: String,
    target: TargetId,
    fallback_of: Option<String>,
}

impl Found {
    async fn by_id(tx: &Lent<'_>, id: &str) -> Result<Option<Self>, Failure> {
        let sql = "SELECT n, state, attempts, created_at, group_key, integration, target, fallback_of, \
             revision FROM ~deliveries WHERE id = $1 FOR NO KEY UPDATE";
        let Some(row) = tx.first(sql, params![text(id)]).await? else { return Ok(None) };
        let read = || -> Result<Self, String> {
            Ok(Self {
                n: column(&row, 0)?,
                state: deliveries::state(column(&row, 1)?)?,
                attempts: unsigned(&row, 2)?,
                revision: unsigned(&row, 8)?,
                created_at: column(&row, 3)?,
                group_key: column(&row, 4)?,
                target: TargetId { integration: column(&row, 5)?, target: column(&row, 6)? },
                fallback_of: column(&row, 7)?,
            })
        };
        read().map(Some).map_err(Failure::unstorable)
    }

    async fn end_attempt(
        &self,
        tx: &Lent<'_>,
        attempt: &Attempt,
        next: Next,
        maybe_taken: bool,
    ) -> Result<(), Failure> {
        let finished_at = micros(attempt.finished_at);
        let (state, due_at, finished_at) = match next {
            Next::Delivered => (DeliveryState::Delivered, None, Some(finished_at)),
            Next::RetryAt(at) => (DeliveryState::Pending, Some(micros(at)), None),
            Next::Dead => (DeliveryState::Dead, None, Some(finished_at)),
        };
        tx.execute(
            "UPDATE ~deliveries SET state = $2, due_at = coalesce($3, due_at), finished_at = $4, \
             reason = $5, detail = $6, noted = false, \
             maybe_repeated = CASE WHEN $7 THEN 1 ELSE maybe_repeated END WHERE n = $1",
            params![
                self.n,
                state.as_str(),
                due_at,
                finished_at,
                text(&attempt.reason),
                text(&attempt.detail),
                maybe_taken
            ],
        )
        .await?;
        Ok(())
    }

    /// Opens the deliveries to the fallback unless that was done before; false when none was opened. A target of the
    /// fallback that was notified since this delivery was opened has heard: however many of the receiver's targets fail, the
    /// fallback hears once. One that has a delivery of its own open, for the end of what it knows, hears with that one.
    async fn trigger(&self, tx: &Lent<'_>, fallbacks: &[NewDelivery]) -> Result<bool, Failure> {
        let sql = "UPDATE ~deliveries SET fallback_triggered = true WHERE n = $1 AND NOT fallback_triggered";
        if tx.execute(sql, params![self.n]).await? == 0 {
            return Ok(false);
        }
        let mut opened = false;
        for fallback in fallbacks {
            let heard = tx
                .first(
                    "SELECT 1 FROM ~deliveries WHERE integration = $1 AND target = $2 \
                     AND group_key = $3 AND fallback_of IS NOT NULL AND created_at >= $4 LIMIT 1",
                    params![
                        text(&fallback.target.integration),
                        text(&fallback.target.target),
                        text(&fallback.group_key),
                        self.created_at
                    ],
                )
                .await?;
            if heard.is_none() {
                opened |= deliveries::open(tx, std::slice::from_ref(fallback)).await? > 0
                    || deliveries::stand_in(tx, fallback).await?;
            }
        }
        Ok(opened)
    }
}

/// Keeps an attempt among the last [`ATTEMPTS_KEPT`]; of several words about one attempt the last.
async fn note(tx: &Lent<'_>, delivery: i64, attempt: &Attempt) -> Result<(), Failure> {
    tx.execute(
        "INSERT INTO ~attempts (delivery, number, finished_at, outcome, reason, detail) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (delivery, number) DO UPDATE SET \
         finished_at = excluded.finished_at, outcome = excluded.outcome, \
         reason = excluded.reason, detail = excluded.detail",
        params![
            delivery,
            signed(attempt.number),
            micros(attempt.finished_at),
            text(&attempt.outcome),
            text(&attempt.reason),
            text(&attempt.detail)
        ],
    )
    .await?;
    if attempt.number > ATTEMPTS_KEPT {
        let until = signed(attempt.number - ATTEMPTS_KEPT);
        let sql = "DELETE FROM ~attempts WHERE delivery = $1 AND number <= $2";
        tx.execute(sql, params![delivery, until]).await?;
    }
    Ok(())
}
