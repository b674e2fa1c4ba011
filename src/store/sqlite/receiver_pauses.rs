//! Pauses of receivers, as rows.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;

use super::failure::Failure;
use super::{Sqlite, audit, micros, time};
use crate::store::operations;
use crate::store::{AuditEntry, ReceiverPause, StoreError};

#[async_trait]
impl operations::ReceiverPauses for Sqlite {
    async fn pause_receiver(
        &self,
        pause: ReceiverPause,
        entry: AuditEntry,
    ) -> Result<(), StoreError> {
        self.write(move |tx, _| {
            tx.prepare_cached(
                "INSERT INTO receiver_pauses (receiver, since, until, who, comment) \
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (receiver) DO UPDATE SET \
                 until = excluded.until, who = excluded.who, comment = excluded.comment",
            )?
            .execute((
                &pause.receiver,
                micros(pause.since),
                micros(pause.until),
                &pause.who,
                &pause.comment,
            ))?;
            audit::insert(tx, &entry)
        })
        .await
    }

    async fn resume_receiver(
        &self,
        receiver: &str,
        now: Timestamp,
        entry: AuditEntry,
    ) -> Result<bool, StoreError> {
        let receiver = receiver.to_owned();
        self.write(move |tx, effects| {
            let ended = end(tx, &receiver, now)?;
            if ended {
                audit::insert(tx, &entry)?;
            }
            effects.queued |= ended;
            Ok(ended)
        })
        .await
    }

    async fn end_receiver_pauses(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        self.write(move |tx, effects| {
            let over: Vec<String> = tx
                .prepare_cached("SELECT receiver FROM receiver_pauses WHERE until <= ?1")?
                .query_map([micros(now)], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for receiver in &over {
                end(tx, receiver, now)?;
            }
            effects.queued |= !over.is_empty();
            Ok(over)
        })
        .await
    }

    async fn receiver_pauses(&self) -> Result<Vec<ReceiverPause>, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT receiver, since, until, who, comment FROM receiver_pauses ORDER BY receiver",
            )?;
            let mut found = statement.query(())?;
            let mut pauses = Vec::new();
            while let Some(row) = found.next()? {
                pauses.push(ReceiverPause {
                    receiver: row.get(0)?,
                    since: time(row.get(1)?).map_err(Failure::unstorable)?,
                    until: time(row.get(2)?).map_err(Failure::unstorable)?,
                    who: row.get(3)?,
                    comment: row.get(4)?,
                });
            }
            Ok(pauses)
        })
        .await
    }
}

/// Ends a pause, and lets what waited for that be due, as if queued now; false when there is none.
fn end(tx: &Connection, receiver: &str, now: Timestamp) -> Result<bool, Failure> {
    let ended = tx
        .prepare_cached("DELETE FROM receiver_pauses WHERE receiver = ?1")?
        .execute([receiver])?;
    if ended > 0 {
        tx.prepare_cached(
            "UPDATE deliveries SET created_at = ?2, due_at = ?2 \
             WHERE receiver = ?1 AND finished_at IS NULL AND state = 'pending'",
        )?
        .execute((receiver, micros(now)))?;
    }
    Ok(ended > 0)
}
