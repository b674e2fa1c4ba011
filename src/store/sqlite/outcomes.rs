//! What becomes of deliveries: settled, given back, passed to the fallback, dead for want of a receiver.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::deliveries::{self, COLUMNS};
use super::failure::Failure;
use super::{Sqlite, inbox, journal, json, micros, notification_log, rows};
use crate::alerts::TargetId;
use crate::store::operations;
use crate::store::{
    ATTEMPTS_KEPT, Attempt, Delivery, DeliveryState, NewDelivery, Next, RECEIVER_REMOVED, Resent,
    Settled, Settlement, StoreError,
};

#[async_trait]
impl operations::Outcomes for Sqlite {
    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        let entry = settlement.entry.as_ref().map(json).transpose()?;
        let raised = settlement
            .events
            .iter()
            .cloned()
            .map(|event| inbox::NewRow::new(event, self.retention))
            .collect::<Result<Vec<_>, _>>()?;
        self.write(move |tx, effects| {
            let Settlement { id, attempt, next, .. } = &settlement;
            let Some(found) = Found::by_id(tx, id)? else {
                return Ok(Settled::Stale);
            };
            note(tx, found.n, attempt)?;
            if let (Next::Delivered, Some(entry)) = (next, &entry) {
                let key = (found.n, settlement.logged_by(found.attempts, found.revision));
                notification_log::put(tx, &found.group_key, &found.target, key, entry)?;
                // The engine takes note of what the log says now, also when the delivery had ended.
                tx.prepare_cached("UPDATE deliveries SET noted = 0 WHERE n = ?1")?
                    .execute([found.n])?;
            }
            if !next.is_heeded(found.state, found.attempts, attempt) {
                return Ok(Settled::Stale);
            }
            for line in &settlement.journal {
                journal::insert_once(tx, line)?;
            }
            found.end_attempt(tx, attempt, settlement.next_of(found.fallback_of.as_ref()))?;
            if settlement.maybe_taken {
                tx.prepare_cached("UPDATE deliveries SET maybe_repeated = 1 WHERE n = ?1")?
                    .execute([found.n])?;
            }
            let fallbacks = &settlement.fallbacks;
            let triggered = !fallbacks.is_empty() && found.trigger(tx, fallbacks)?;
            for event in raised {
                inbox::insert(tx, event, effects)?;
            }
            // The loop that sent it looks again by itself.
            effects.queued |= triggered;
            Ok(Settled::Applied)
        })
        .await
    }

    async fn release(&self, ids: Vec<String>) -> Result<(), StoreError> {
        self.write(move |tx, effects| {
            for id in &ids {
                let released = tx
                    .prepare_cached(
                        "UPDATE deliveries SET state = 'pending', attempts = max(attempts - 1, 0), \
                         due_at = created_at WHERE id = ?1 AND state = 'sending'",
                    )?
                    .execute([id])?;
                effects.queued |= released > 0;
            }
            Ok(())
        })
        .await
    }

    async fn release_all(&self) -> Result<Vec<Resent>, StoreError> {
        self.write(|tx, effects| {
            let resent = tx
                .prepare_cached(
                    "SELECT integration, receiver, count(*) FROM deliveries \
                     WHERE finished_at IS NULL AND state = 'sending' GROUP BY integration, receiver",
                )?
                .query_map((), |row| {
                    Ok(Resent {
                        integration: row.get(0)?,
                        receiver: row.get(1)?,
                        count: row.get::<_, u32>(2)? as usize,
                    })
                })?
                .collect::<Result<Vec<_>, _>>()?;
            // Pauses ended with the process that kept them.
            tx.prepare_cached("DELETE FROM integrations")?.execute(())?;
            tx.prepare_cached(
                "UPDATE deliveries SET state = 'pending', due_at = created_at, maybe_repeated = 1 \
                 WHERE finished_at IS NULL AND state = 'sending'",
            )?
            .execute(())?;
            effects.queued |= !resent.is_empty();
            Ok(resent)
        })
        .await
    }

    async fn fallback_due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.read(move |conn| {
            deliveries::collect(conn, &fallback_due_sql(), &[&micros(now), &rows(limit)])
        })
        .await
    }

    async fn trigger_fallback(
        &self,
        id: String,
        fallbacks: Vec<NewDelivery>,
    ) -> Result<bool, StoreError> {
        self.write(move |tx, effects| {
            let Some(found) = Found::by_id(tx, &id)? else { return Ok(false) };
            let open = matches!(found.state, DeliveryState::Pending | DeliveryState::Sending);
            let triggered = open && found.trigger(tx, &fallbacks)?;
            effects.queued |= triggered;
            Ok(triggered)
        })
        .await
    }

    async fn dead_letter_orphans(
        &self,
        known: Vec<String>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.write(move |tx, _| {
            let open: Vec<String> = tx
                .prepare_cached(
                    "SELECT DISTINCT integration FROM deliveries WHERE finished_at IS NULL",
                )?
                .query_map((), |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut dead = 0;
            for orphan in open.iter().filter(|integration| !known.contains(integration)) {
                dead += tx
                    .prepare_cached(
                        "UPDATE deliveries SET state = 'dead', finished_at = ?2, reason = ?3 \
                         WHERE integration = ?1 AND finished_at IS NULL",
                    )?
                    .execute((orphan, micros(now), RECEIVER_REMOVED))?;
            }
            Ok(dead)
        })
        .await
    }
}

/// Open deliveries whose fallback is to be triggered, longest due first.
pub(super) fn fallback_due_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM deliveries WHERE finished_at IS NULL AND fallback_triggered = 0 \
         AND fallback_at IS NOT NULL AND fallback_at <= ?1 ORDER BY fallback_at LIMIT ?2"
    )
}

/// Whether a target was notified as a fallback since some time.
pub(super) const HAS_HEARD: &str = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE integration = ?1 AND target = ?2 \
     AND group_key = ?3 AND fallback_of IS NOT NULL AND created_at >= ?4)";

/// A delivery as far as its outcome needs it.
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
    fn by_id(tx: &Connection, id: &str) -> Result<Option<Self>, Failure> {
        let found = tx
            .prepare_cached(
                "SELECT n, attempts, created_at, group_key, integration, target, state, fallback_of, \
                 revision FROM deliveries WHERE id = ?1",
            )?
            .query_row([id], |row| {
                let found = Self {
                    n: row.get(0)?,
                    state: DeliveryState::Pending,
                    attempts: row.get(1)?,
                    revision: row.get(8)?,
                    created_at: row.get(2)?,
                    group_key: row.get(3)?,
                    target: TargetId { integration: row.get(4)?, target: row.get(5)? },
                    fallback_of: row.get(7)?,
                };
                Ok((found, row.get::<_, String>(6)?))
            })
            .optional()?;
        let Some((found, state)) = found else { return Ok(None) };
        let state = deliveries::state(&state).map_err(Failure::unstorable)?;
        Ok(Some(Self { state, ..found }))
    }

    fn end_attempt(&self, tx: &Connection, attempt: &Attempt, next: Next) -> Result<(), Failure> {
        let finished_at = micros(attempt.finished_at);
        let (state, due_at, finished_at) = match next {
            Next::Delivered => (DeliveryState::Delivered, None, Some(finished_at)),
            Next::RetryAt(at) => (DeliveryState::Pending, Some(micros(at)), None),
            Next::Dead => (DeliveryState::Dead, None, Some(finished_at)),
        };
        tx.prepare_cached(
            "UPDATE deliveries SET state = ?2, due_at = coalesce(?3, due_at), finished_at = ?4, \
             reason = ?5, detail = ?6, noted = 0 WHERE n = ?1",
        )?
        .execute((
            self.n,
            state.as_str(),
            due_at,
            finished_at,
            &attempt.reason,
            &attempt.detail,
        ))?;
        Ok(())
    }

    /// Opens the deliveries to the fallback unless that was done before; false when none was opened. A target of the
    /// fallback that was notified since this delivery was opened has heard: however many of the receiver's targets fail, the
    /// fallback hears once. One that has a delivery of its own open, for the end of what it knows, hears with that one.
    fn trigger(&self, tx: &Connection, fallbacks: &[NewDelivery]) -> Result<bool, Failure> {
        let first = tx
            .prepare_cached(
                "UPDATE deliveries SET fallback_triggered = 1 WHERE n = ?1 AND fallback_triggered = 0",
            )?
            .execute([self.n])?;
        let mut opened = false;
        for fallback in fallbacks.iter().filter(|_| first > 0) {
            let has_heard: bool = tx.prepare_cached(HAS_HEARD)?.query_row(
                (
                    &fallback.target.integration,
                    &fallback.target.target,
                    &fallback.group_key,
                    self.created_at,
                ),
                |row| row.get(0),
            )?;
            if !has_heard {
                opened |= deliveries::open(tx, fallback)? || deliveries::stand_in(tx, fallback)?;
            }
        }
        Ok(opened)
    }
}

/// Keeps an attempt among the last [`ATTEMPTS_KEPT`]; of several words about one attempt the last.
fn note(tx: &Connection, delivery: i64, attempt: &Attempt) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO attempts (delivery, n, number, finished_at, outcome, reason, detail) \
         VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        delivery,
        attempt.number,
        micros(attempt.finished_at),
        &attempt.outcome,
        &attempt.reason,
        &attempt.detail,
    ))?;
    if attempt.number > ATTEMPTS_KEPT {
        tx.prepare_cached("DELETE FROM attempts WHERE delivery = ?1 AND n <= ?2")?
            .execute((delivery, attempt.number - ATTEMPTS_KEPT))?;
    }
    Ok(())
}
