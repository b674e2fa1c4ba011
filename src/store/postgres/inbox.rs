//! Events in the order of acceptance.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;

use super::arrivals::{self, NewRow};
use super::failure::Failure;
use super::link::Lent;
use super::sql::params;
use super::values::{amount, column, moment, some_moment, unsigned};
use super::{Postgres, ledger, notification_log, silences};
use crate::event::{Event, Source};
use crate::rules;
use crate::store::operations;
use crate::store::values::{micros, rows};
use crate::store::{Batch, Recorded, StoreError, StoredEvent, Unreadable};

/// Bytes of payload read at a time, plus one event: a payload takes many times its size once it is parsed.
const READ_BYTES_MAX: i64 = 512 * 1024;

/// The columns that [`stored`] reads, in its order.
pub(super) const COLUMNS: &str = "inbox.seq, inbox.id, inbox.account, inbox.kind, inbox.type, \
     inbox.occurred_at, inbox.received_at, inbox.attempt, inbox.source, inbox.cost, \
     coalesce((SELECT charges.charge FROM ~charges AS charges WHERE charges.seq = inbox.seq), inbox.charge), \
     inbox.currency, inbox.content_hashed, inbox.payload";

/// Whenever an event was received, in microseconds.
const ANY_TIME: (i64, i64) = (i64::MIN, i64::MAX);

#[async_trait]
impl operations::Inbox for Postgres {
    async fn record(&self, event: Event) -> Result<Recorded, StoreError> {
        self.recorder.record(NewRow::new(event, self.retention)?).await
    }

    async fn inbox_after(
        &self,
        cursor: i64,
        limit: usize,
    ) -> Result<Vec<Result<StoredEvent, Unreadable>>, StoreError> {
        let until = self.settled_after(cursor).await?;
        let tx = self.link.begin_reading().await?;
        let events = after(&tx, (cursor, until), ANY_TIME, limit).await?;
        tx.commit().await?;
        Ok(events)
    }

    async fn events_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        cursor: i64,
        limit: usize,
    ) -> Result<Vec<Result<StoredEvent, Unreadable>>, StoreError> {
        // The range is half open, as ranges of time are.
        let received = (micros(from), micros(to).saturating_sub(1));
        let tx = self.link.begin_reading().await?;
        let events = after(&tx, (cursor, i64::MAX), received, limit).await?;
        tx.commit().await?;
        Ok(events)
    }

    async fn batch_after(
        &self,
        cursor: i64,
        limit: usize,
        silences: u64,
    ) -> Result<Batch, StoreError> {
        let until = self.settled_after(cursor).await?;
        // One snapshot: what is known is what was known when these events were the next.
        let tx = self.link.begin_reading().await?;
        let events = after(&tx, (cursor, until), ANY_TIME, limit).await?;
        let told = || events.iter().flatten().map(|stored| &stored.event);
        let charges: Vec<_> = told().filter_map(rules::ledger_key).collect();
        let calls: Vec<_> = told().flat_map(rules::call_keys).collect();
        let known = ledger::find(&tx, charges, calls).await?;
        let changed = silences::version(&tx).await? != silences;
        let silences = if changed { Some(silences::all(&tx).await?) } else { None };
        let ended = notification_log::unnoted(&tx).await?;
        tx.commit().await?;
        Ok(Batch { events, known, silences, ended })
    }
}

impl Postgres {
    /// Up to which place events may be read that follow `cursor`: below it nothing appears any more. Asks anew, which makes
    /// writers wait for a moment, only when everything up to the last answer is read.
    async fn settled_after(&self, cursor: i64) -> Result<i64, Failure> {
        let sql = "SELECT min(seq) FROM ~inbox WHERE seq > $1";
        let found = self.link.query(sql, params![cursor]).await?;
        let next = found.first().map_or(Ok(None), |row| column::<Option<i64>>(row, 0));
        let Some(next) = next.map_err(Failure::unstorable)? else { return Ok(cursor) };
        let known = self.horizon.load(Ordering::Acquire);
        if next <= known {
            return Ok(known);
        }
        let horizon = arrivals::horizon(&self.link).await?;
        self.horizon.fetch_max(horizon, Ordering::AcqRel);
        Ok(horizon)
    }
}

/// Events behind a place, up to another. The sum of their sizes is looked at before they are fetched.
async fn after(
    tx: &Lent<'_>,
    (cursor, until): (i64, i64),
    (from, to): (i64, i64),
    limit: usize,
) -> Result<Vec<Result<StoredEvent, Unreadable>>, Failure> {
    let found = tx
        .query(
            &format!(
                "SELECT {COLUMNS} FROM (SELECT *, coalesce(sum(octet_length(payload)) OVER \
                   (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before \
                   FROM (SELECT * FROM ~inbox WHERE seq > $1 AND seq <= $2 \
                     AND received_at BETWEEN $4 AND $5 ORDER BY seq LIMIT $3) AS next) AS inbox \
                 WHERE before < $6 ORDER BY seq"
            ),
            params![cursor, until, rows(limit), from, to, READ_BYTES_MAX],
        )
        .await?;
    let events = found.iter().map(|row| {
        let seq = row.get(0);
        let account = || row.try_get(2).unwrap_or_default();
        stored(row).map_err(|detail| Unreadable { seq, account: account(), detail })
    });
    Ok(events.collect())
}

/// Whether the payload was dropped when the event was judged.
pub(super) fn payload_is_dropped(row: &Row) -> Result<bool, String> {
    Ok(column::<Option<&[u8]>>(row, 13)?.is_none())
}

/// Reads a row of [`COLUMNS`]; the error is one line for people. A dropped payload reads as null.
pub(super) fn stored(row: &Row) -> Result<StoredEvent, String> {
    let payload = match column::<Option<&[u8]>>(row, 13)? {
        Some(bytes) => {
            serde_json::from_slice(bytes).map_err(|error| format!("payload: {error}"))?
        }
        None => Value::Null,
    };
    let attempt: Option<i32> = column(row, 7)?;
    let event = Event {
        id: column(row, 1)?,
        account: column(row, 2)?,
        kind: column(row, 3)?,
        type_as_sent: column(row, 4)?,
        occurred_at: some_moment(row, 5)?,
        received_at: moment(row, 6)?,
        attempt: attempt.map(|_| unsigned(row, 7)).transpose()?,
        source: source(column(row, 8)?)?,
        payload,
        cost: amount(row, 9)?,
        charge: amount(row, 10)?,
        currency: column(row, 11)?,
        content_hashed: column(row, 12)?,
    };
    Ok(StoredEvent { seq: column(row, 0)?, event })
}

pub(super) fn source(word: &str) -> Result<Source, String> {
    [Source::Webhook, Source::Poller, Source::Backfill, Source::Tollbell]
        .into_iter()
        .find(|source| source.as_str() == word)
        .ok_or_else(|| format!("unknown source {word}"))
}
