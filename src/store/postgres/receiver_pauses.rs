//! Pauses of receivers, as rows.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, text};
use super::values::{column, moment};
use super::{Postgres, audit};
use crate::store::operations;
use crate::store::values::micros;
use crate::store::{AuditEntry, ReceiverPause, StoreError};

#[async_trait]
impl operations::ReceiverPauses for Postgres {
    async fn pause_receiver(
        &self,
        pause: ReceiverPause,
        entry: AuditEntry,
    ) -> Result<(), StoreError> {
        let tx = self.link.begin().await?;
        tx.execute(
            "INSERT INTO ~receiver_pauses (receiver, since, until, who, comment) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (receiver) DO UPDATE SET \
             until = excluded.until, who = excluded.who, comment = excluded.comment",
            params![
                text(&pause.receiver),
                micros(pause.since),
                micros(pause.until),
                text(&pause.who),
                text(&pause.comment),
            ],
        )
        .await?;
        audit::insert(&tx, &entry).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn resume_receiver(
        &self,
        receiver: &str,
        now: Timestamp,
        entry: AuditEntry,
    ) -> Result<bool, StoreError> {
        let tx = self.link.begin().await?;
        let ended = end(&tx, receiver, now).await?;
        if ended {
            audit::insert(&tx, &entry).await?;
        }
        tx.commit().await?;
        self.tell_queued(ended);
        Ok(ended)
    }

    async fn end_receiver_pauses(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let tx = self.link.begin().await?;
        let sql = "SELECT receiver FROM ~receiver_pauses WHERE until <= $1 FOR UPDATE";
        let mut over = Vec::new();
        for row in tx.query(sql, params![micros(now)]).await? {
            let receiver: String = column(&row, 0).map_err(Failure::unstorable)?;
            end(&tx, &receiver, now).await?;
            over.push(receiver);
        }
        tx.commit().await?;
        self.tell_queued(!over.is_empty());
        Ok(over)
    }

    async fn receiver_pauses(&self) -> Result<Vec<ReceiverPause>, StoreError> {
        let sql = "SELECT receiver, since, until, who, comment FROM ~receiver_pauses \
             ORDER BY receiver";
        let found = self.link.query(sql, params![]).await?;
        let pauses: Result<Vec<_>, String> = found.iter().map(pause).collect();
        Ok(pauses.map_err(Failure::unstorable)?)
    }
}

fn pause(row: &Row) -> Result<ReceiverPause, String> {
    Ok(ReceiverPause {
        receiver: column(row, 0)?,
        since: moment(row, 1)?,
        until: moment(row, 2)?,
        who: column(row, 3)?,
        comment: column(row, 4)?,
    })
}

/// Ends a pause, and lets what waited for that be due, as if queued now; false when there is none.
async fn end(tx: &Lent<'_>, receiver: &str, now: Timestamp) -> Result<bool, Failure> {
    let sql = "DELETE FROM ~receiver_pauses WHERE receiver = $1";
    let ended = tx.execute(sql, params![text(receiver)]).await? > 0;
    if ended {
        tx.execute(
            "UPDATE ~deliveries SET created_at = $2, due_at = $2 \
             WHERE receiver = $1 AND finished_at IS NULL AND state = 'pending'",
            params![text(receiver), micros(now)],
        )
        .await?;
    }
    Ok(ended)
}
