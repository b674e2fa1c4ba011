//! What becomes of deliveries: settled, given back, passed to the fallback, buried.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::deliveries::{self, COLUMNS, NewRow};
use super::failure::Failure;
use super::lanes::Lane;
use super::withdrawn::{self, WITHDRAWN};
use super::{Sqlite, inbox, micros, rows};
use crate::store::{
    Attempt, Delivery, DeliveryState, NewDelivery, Next, Recorded, Resent, Settled, Settlement,
    StoreError,
};

/// Attempts kept for each delivery; the oldest go first.
const ATTEMPTS_KEPT: i64 = 50;

/// Why a delivery to an integration that is no longer configured is dead.
const REMOVED: &str = "receiver removed";

impl Sqlite {
    pub(in crate::store) async fn settle(
        &self,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        let Settlement { id, attempt, next, maybe_taken, fallbacks, events } = settlement;
        let copies = prepare(fallbacks)?;
        let raised = events
            .into_iter()
            .map(|event| inbox::NewRow::new(event, self.retention))
            .collect::<Result<Vec<_>, _>>()?;
        self.write(move |tx, effects| {
            let Some(found) = Found::by_id(tx, &id)? else {
                return Ok(Settled::Stale);
            };
            note(tx, found.n, &attempt)?;
            if !found.heeds(&attempt, next) {
                return Ok(Settled::Stale);
            }
            let withdrawn = found.withdrawn && matches!(next, Next::RetryAt(_));
            found.end_attempt(tx, &attempt, next)?;
            if withdrawn {
                withdrawn::end_late(tx, found.n, micros(attempt.finished_at))?;
            }
            if maybe_taken {
                tx.prepare_cached("UPDATE deliveries SET maybe_repeated = 1 WHERE n = ?1")?
                    .execute([found.n])?;
            }
            let rung = !withdrawn && !copies.is_empty() && found.ring(tx, &copies)?;
            for event in &raised {
                effects.recorded |= inbox::insert(tx, event)? == Recorded::New;
            }
            found.lane.refresh(tx)?;
            // The lane that sent it looks again by itself.
            effects.queued |= rung;
            Ok(if rung { Settled::Rang } else { Settled::Applied })
        })
        .await
    }

    pub(in crate::store) async fn release(&self, ids: Vec<String>) -> Result<(), StoreError> {
        self.write(move |tx, effects| {
            for id in &ids {
                if let Some(found) = Found::by_id(tx, id)?
                    && found.state == DeliveryState::Sending
                {
                    tx.prepare_cached(
                        "UPDATE deliveries SET state = 'pending', attempts = max(attempts - 1, 0), \
                         lease_until = NULL WHERE n = ?1",
                    )?
                    .execute([found.n])?;
                    found.lane.refresh(tx)?;
                    effects.queued = true;
                }
            }
            Ok(())
        })
        .await
    }

    pub(in crate::store) async fn release_all(&self) -> Result<Vec<Resent>, StoreError> {
        self.write(|tx, effects| {
            let resent = tx
                .prepare_cached(
                    "SELECT integration, receiver, count(*) FROM deliveries \
                     WHERE state = 'sending' GROUP BY integration, receiver",
                )?
                .query_map((), |row| {
                    Ok(Resent {
                        integration: row.get(0)?,
                        receiver: row.get(1)?,
                        count: row.get::<_, u32>(2)? as usize,
                    })
                })?
                .collect::<Result<Vec<_>, _>>()?;
            let lanes = tx
                .prepare_cached(
                    "SELECT DISTINCT integration, target, group_key FROM deliveries \
                     WHERE state = 'sending'",
                )?
                .query_map((), |row| Lane::read(row, 0))?
                .collect::<Result<Vec<_>, _>>()?;
            tx.prepare_cached(
                "UPDATE deliveries SET state = 'pending', lease_until = NULL, maybe_repeated = 1 \
                 WHERE state = 'sending'",
            )?
            .execute(())?;
            for lane in lanes {
                lane.refresh(tx)?;
            }
            effects.queued |= !resent.is_empty();
            Ok(resent)
        })
        .await
    }

    pub(in crate::store) async fn fallback_due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.read(move |conn| {
            let sql = format!(
                "SELECT {COLUMNS} FROM deliveries WHERE finished_at IS NULL AND fallback_rung = 0 \
                 AND fallback_at IS NOT NULL AND fallback_at <= ?1 ORDER BY fallback_at LIMIT ?2"
            );
            deliveries::collect(conn, &sql, &[&micros(now), &rows(limit)])
        })
        .await
    }

    pub(in crate::store) async fn trigger_fallback(
        &self,
        id: String,
        copies: Vec<NewDelivery>,
    ) -> Result<bool, StoreError> {
        let copies = prepare(copies)?;
        self.write(move |tx, effects| {
            let Some(found) = Found::by_id(tx, &id)? else { return Ok(false) };
            let open = matches!(found.state, DeliveryState::Pending | DeliveryState::Sending);
            let rung = open && found.ring(tx, &copies)?;
            effects.queued |= rung;
            Ok(rung)
        })
        .await
    }

    pub(in crate::store) async fn dead_letter_orphans(
        &self,
        known: Vec<String>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.write(move |tx, _| {
            let open: Vec<String> = tx
                .prepare_cached("SELECT DISTINCT integration FROM lanes")?
                .query_map((), |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut buried = 0;
            for stranger in open.iter().filter(|integration| !known.contains(integration)) {
                buried += tx
                    .prepare_cached(
                        "UPDATE deliveries SET state = 'dead', finished_at = ?2, \
                         lease_until = NULL, reason = ?3 \
                         WHERE integration = ?1 AND finished_at IS NULL",
                    )?
                    .execute((stranger, micros(now), REMOVED))?;
                tx.prepare_cached("DELETE FROM lanes WHERE integration = ?1")?
                    .execute([stranger])?;
            }
            Ok(buried)
        })
        .await
    }
}

fn prepare(copies: Vec<NewDelivery>) -> Result<Vec<NewRow>, StoreError> {
    copies.into_iter().map(NewRow::new).collect()
}

/// A delivery as far as its outcome needs it.
struct Found {
    n: i64,
    state: DeliveryState,
    attempts: u32,
    /// Nothing of it is to be told any more.
    withdrawn: bool,
    lane: Lane,
}

impl Found {
    fn by_id(tx: &Connection, id: &str) -> Result<Option<Self>, Failure> {
        let found: Option<(i64, String, u32, bool, Lane)> = tx
            .prepare_cached(
                "SELECT n, state, attempts, reason = ?2, integration, target, group_key \
                 FROM deliveries WHERE id = ?1",
            )?
            .query_row((id, WITHDRAWN), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, Lane::read(row, 4)?))
            })
            .optional()?;
        let Some((n, state, attempts, withdrawn, lane)) = found else { return Ok(None) };
        let state = deliveries::state(&state).map_err(Failure::unstorable)?;
        Ok(Some(Self { n, state, attempts, withdrawn, lane }))
    }

    /// Whether an outcome still counts. A peer that took it took it; any other word counts only from the attempt
    /// that is under way.
    fn heeds(&self, attempt: &Attempt, next: Next) -> bool {
        match next {
            Next::Delivered => self.state != DeliveryState::Delivered,
            Next::RetryAt(_) | Next::Dead => {
                self.state == DeliveryState::Sending && self.attempts == attempt.number
            }
        }
    }

    fn end_attempt(&self, tx: &Connection, attempt: &Attempt, next: Next) -> Result<(), Failure> {
        let finished_at = micros(attempt.finished_at);
        let (state, not_before, finished_at) = match next {
            Next::Delivered => (DeliveryState::Delivered, None, Some(finished_at)),
            Next::RetryAt(at) => (DeliveryState::Pending, Some(micros(at)), None),
            Next::Dead => (DeliveryState::Dead, None, Some(finished_at)),
        };
        tx.prepare_cached(
            "UPDATE deliveries SET state = ?2, not_before = coalesce(?3, not_before), \
             finished_at = ?4, lease_until = NULL, reason = ?5, detail = ?6 WHERE n = ?1",
        )?
        .execute((
            self.n,
            state.as_str(),
            not_before,
            finished_at,
            &attempt.reason,
            &attempt.detail,
        ))?;
        Ok(())
    }

    /// Queues the fallback's copies unless it was rung before; false when nothing was queued.
    fn ring(&self, tx: &Connection, copies: &[NewRow]) -> Result<bool, Failure> {
        let first = tx
            .prepare_cached(
                "UPDATE deliveries SET fallback_rung = 1 WHERE n = ?1 AND fallback_rung = 0",
            )?
            .execute([self.n])?;
        let mut queued = false;
        if first > 0 {
            for copy in copies {
                queued |= deliveries::insert(tx, copy)?;
            }
        }
        Ok(queued)
    }
}

/// Keeps an attempt among the last [`ATTEMPTS_KEPT`].
fn note(tx: &Connection, delivery: i64, attempt: &Attempt) -> Result<(), Failure> {
    let n: i64 = tx
        .prepare_cached("SELECT coalesce(max(n), 0) + 1 FROM attempts WHERE delivery = ?1")?
        .query_row([delivery], |row| row.get(0))?;
    tx.prepare_cached(
        "INSERT INTO attempts (delivery, n, number, finished_at, outcome, reason, detail) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        delivery,
        n,
        attempt.number,
        micros(attempt.finished_at),
        &attempt.outcome,
        &attempt.reason,
        &attempt.detail,
    ))?;
    tx.prepare_cached("DELETE FROM attempts WHERE delivery = ?1 AND n <= ?2")?
        .execute((delivery, n - ATTEMPTS_KEPT))?;
    Ok(())
}
