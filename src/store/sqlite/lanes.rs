//! Who may be sent now.
//!
//! A lane is (integration, target, group key): its deliveries go in order, one in flight. The table `lanes` holds
//! for each lane with open deliveries when it can next be claimed from, so that a look costs the same whatever waits.
//! The law: `due_at` is the end of the lease while one is sending, else the time of the oldest pending one.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::failure::Failure;
use super::job::Effects;
use super::withdrawn::{self, Claimed, Hush, WITHDRAWN};
use super::{Sqlite, deliveries, micros, rows, time};
use crate::clock;
use crate::store::{Claim, Delivery, StoreError};

impl Sqlite {
    pub(in crate::store) async fn claim(
        &self,
        claim: Claim<'_>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let integration = claim.integration.to_owned();
        let now = micros(claim.now);
        let lease_until = micros(clock::add(claim.now, claim.lease));
        let limit = claim.limit;
        let look = integration.clone();
        // Most looks find nothing, and need no transaction of the writer.
        if self.read(move |conn| due_lanes(conn, &look, now, 1)).await?.is_empty() {
            return Ok(Vec::new());
        }
        let retention = self.retention;
        self.write(move |tx, effects| {
            let hush = Hush::read(tx, now, retention)?;
            let mut claimed = Vec::new();
            for lane in due_lanes(tx, &integration, now, limit)? {
                claimed.extend(lane.claim(tx, now, lease_until, &hush, effects)?);
            }
            Ok(claimed)
        })
        .await
    }

    pub(in crate::store) async fn next_due(
        &self,
        integration: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let integration = integration.to_owned();
        self.read(move |conn| {
            let due_at: Option<i64> = conn
                .prepare_cached("SELECT min(due_at) FROM lanes WHERE integration = ?1")?
                .query_row([integration], |row| row.get(0))?;
            due_at.map(time).transpose().map_err(Failure::unstorable)
        })
        .await
    }
}

/// Notes that a delivery joined its lane as the newest. One that has others before it changes nothing.
pub(super) fn joined(
    tx: &Connection,
    integration: &str,
    target: &str,
    group_key: &str,
    not_before: i64,
) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT INTO lanes (integration, target, group_key, due_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO NOTHING",
    )?
    .execute((integration, target, group_key, not_before))?;
    Ok(())
}

fn due_lanes(
    conn: &Connection,
    integration: &str,
    now: i64,
    limit: usize,
) -> Result<Vec<Lane>, Failure> {
    Ok(conn
        .prepare_cached(
            "SELECT integration, target, group_key FROM lanes \
             WHERE integration = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT ?3",
        )?
        .query_map((integration, now, rows(limit)), |row| Lane::read(row, 0))?
        .collect::<Result<_, _>>()?)
}

/// What is sent in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    integration: String,
    target: String,
    group_key: String,
}

impl Lane {
    pub(super) fn new(integration: &str, target: &str, group_key: &str) -> Self {
        let [integration, target, group_key] = [integration, target, group_key].map(str::to_owned);
        Self { integration, target, group_key }
    }

    /// Reads the three columns from `first` on.
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            integration: row.get(first)?,
            target: row.get(first + 1)?,
            group_key: row.get(first + 2)?,
        })
    }

    fn key(&self) -> (&str, &str, &str) {
        (&self.integration, &self.target, &self.group_key)
    }

    /// Brings the lane's `due_at` to what its deliveries say.
    pub(super) fn refresh(&self, tx: &Connection) -> Result<(), Failure> {
        let lease: Option<i64> = tx
            .prepare_cached(
                "SELECT max(lease_until) FROM deliveries WHERE integration = ?1 AND target = ?2 \
                 AND group_key = ?3 AND finished_at IS NULL AND state = 'sending'",
            )?
            .query_row(self.key(), |row| row.get(0))?;
        let pending: Option<i64> = tx
            .prepare_cached(
                "SELECT not_before FROM deliveries WHERE integration = ?1 AND target = ?2 \
                 AND group_key = ?3 AND finished_at IS NULL AND state = 'pending' \
                 ORDER BY n LIMIT 1",
            )?
            .query_row(self.key(), |row| row.get(0))
            .optional()?;
        if let Some(due_at) = lease.or(pending) {
            return self.set_due(tx, due_at);
        }
        tx.prepare_cached(
            "DELETE FROM lanes WHERE integration = ?1 AND target = ?2 AND group_key = ?3",
        )?
        .execute(self.key())?;
        Ok(())
    }

    fn set_due(&self, tx: &Connection, due_at: i64) -> Result<(), Failure> {
        tx.prepare_cached(
            "INSERT INTO lanes (integration, target, group_key, due_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET due_at = excluded.due_at",
        )?
        .execute((&self.integration, &self.target, &self.group_key, due_at))?;
        Ok(())
    }

    /// Claims the newest of a lane that is due; the others are superseded. Without what is silenced now.
    fn claim(
        &self,
        tx: &Connection,
        now: i64,
        lease_until: i64,
        hush: &Hush,
        effects: &mut Effects,
    ) -> Result<Option<Delivery>, Failure> {
        let (newest, fallback_at): (Option<i64>, Option<i64>) = tx
            .prepare_cached(
                "SELECT max(n), min(CASE WHEN fallback_rung = 0 THEN fallback_at END) \
                 FROM deliveries WHERE integration = ?1 AND target = ?2 AND group_key = ?3 \
                 AND finished_at IS NULL",
            )?
            .query_row(self.key(), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some(newest) = newest else {
            self.refresh(tx)?;
            return Ok(None);
        };
        let (integration, target, group_key) = self.key();
        let (repeats, withdrawn): (bool, bool) = tx
            .prepare_cached(
                "SELECT maybe_repeated = 1 OR state = 'sending', reason = ?2 \
                 FROM deliveries WHERE n = ?1",
            )?
            .query_row((newest, WITHDRAWN), |row| Ok((row.get(0)?, row.get(1)?)))?;
        tx.prepare_cached(
            "UPDATE deliveries SET state = 'superseded', finished_at = ?5, lease_until = NULL, \
             reason = 'replaced', detail = 'superseded by a newer message of its group' \
             WHERE integration = ?1 AND target = ?2 AND group_key = ?3 AND finished_at IS NULL \
             AND n < ?4",
        )?
        .execute((integration, target, group_key, newest, now))?;
        let about = Claimed { n: newest, integration, group_key };
        if withdrawn {
            withdrawn::end_late(tx, newest, now)?;
        }
        if withdrawn || hush.quiet(tx, &about, &mut effects.recorded)? {
            self.refresh(tx)?;
            return Ok(None);
        }
        tx.prepare_cached(
            "UPDATE deliveries SET state = 'sending', attempts = attempts + 1, lease_until = ?2, \
             maybe_repeated = CASE WHEN maybe_repeated OR state = 'sending' THEN 2 ELSE 0 END, \
             fallback_at = coalesce(min(fallback_at, ?3), fallback_at) WHERE n = ?1",
        )?
        .execute((newest, lease_until, fallback_at))?;
        let claimed = tx
            .prepare_cached(&format!(
                "SELECT {} FROM deliveries WHERE n = ?1",
                deliveries::COLUMNS
            ))?
            .query_row([newest], |row| Ok(deliveries::delivery(row)))?;
        match claimed {
            Ok(delivery) => {
                self.set_due(tx, lease_until)?;
                Ok(Some(Delivery { maybe_repeated: repeats, ..delivery }))
            }
            Err(detail) => {
                // Nobody will ever be able to send it; the lane must go on.
                tx.prepare_cached(
                    "UPDATE deliveries SET state = 'dead', finished_at = ?2, lease_until = NULL, \
                     reason = 'other', detail = ?3 WHERE n = ?1",
                )?
                .execute((newest, now, detail))?;
                self.refresh(tx)?;
                Ok(None)
            }
        }
    }
}
