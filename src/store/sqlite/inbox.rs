//! Events: kept once, read in order.

use async_trait::async_trait;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row};
use rust_decimal::Decimal;
use serde_json::Value;

use super::failure::Failure;
use super::job::Effects;
use super::{Sqlite, json, ledger, micros, notification_log, rows, silences, time, truncated};
use crate::clock;
use crate::event::{Event, Source};
use crate::rules;
use crate::store::operations;
use crate::store::recent::{Fresh, PAYLOAD_BYTES_MAX};
use crate::store::{Batch, Recorded, StoreError, StoredEvent, Unreadable};

/// So long a hash of the content counts as the same event.
const CONTENT_WINDOW: Duration = Duration::from_hours(1);

/// Bytes of payload read at a time, plus one event: a payload takes many times its size once it is parsed.
const READ_BYTES_MAX: usize = 512 * 1024;

/// The columns that [`stored`] reads, in its order.
pub(super) const COLUMNS: &str = "seq, id, account, kind, type, occurred_at, received_at, attempt, \
     source, cost, charge, currency, content_hashed, payload";

/// Whenever an event was received, in microseconds.
const ANY_TIME: (i64, i64) = (i64::MIN, i64::MAX);

#[async_trait]
impl operations::Inbox for Sqlite {
    async fn record(&self, event: Event) -> Result<Recorded, StoreError> {
        let row = NewRow::new(event, self.retention)?;
        // A failed insert is undone by SQLite itself, and nothing of its own fault can follow the first one.
        self.write_at_once(row.payload.len(), move |tx, effects| insert(tx, row, effects)).await
    }

    async fn inbox_after(
        &self,
        cursor: i64,
        limit: usize,
    ) -> Result<Vec<Result<StoredEvent, Unreadable>>, StoreError> {
        self.read(move |conn| after(conn, cursor, ANY_TIME, limit)).await
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
        self.read(move |conn| after(conn, cursor, received, limit)).await
    }

    async fn batch_after(
        &self,
        cursor: i64,
        limit: usize,
        silences: u64,
    ) -> Result<Batch, StoreError> {
        let recent = self.recent.take(cursor, limit, READ_BYTES_MAX);
        self.read(move |conn| {
            // One snapshot: what is known is what was known when these events were the next.
            let tx = conn.unchecked_transaction()?;
            let events = if recent.is_empty() {
                after(&tx, cursor, ANY_TIME, limit)?
            } else {
                recent.into_iter().map(Ok).collect()
            };
            let told = || events.iter().flatten().map(|stored| &stored.event);
            let booked = told().filter_map(rules::ledger_key);
            // What is learned of a call late completes its charge.
            let completed = told().filter(|event| rules::tells_of_call(event));
            let completed =
                completed.filter_map(rules::call_key).map(|call| ledger::charge_of(&call));
            let charges = booked.chain(completed);
            let known = ledger::find(&tx, charges, told().flat_map(rules::call_keys))?;
            let changed = silences::version(&tx)? != silences;
            let silences = if changed { Some(silences::all(&tx)?) } else { None };
            Ok(Batch { events, known, silences, ended: notification_log::unnoted(&tx)? })
        })
        .await
    }
}

/// An event on its way into the inbox, its payload already text: the writer's thread has no time for that.
pub(super) struct NewRow {
    event: Event,
    payload: Vec<u8>,
    until: i64,
}

impl NewRow {
    pub(super) fn new(mut event: Event, retention: Duration) -> Result<Self, StoreError> {
        let payload = json(&event.payload)?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            event.payload = Value::Null;
        }
        // As it will be read back.
        event.received_at = truncated(event.received_at);
        event.occurred_at = event.occurred_at.map(truncated);
        let window = if event.content_hashed { CONTENT_WINDOW } else { retention };
        let until = micros(clock::add(event.received_at, window));
        Ok(Self { event, payload, until })
    }
}

/// Inserts an event unless it is here already.
pub(super) fn insert(
    tx: &Connection,
    row: NewRow,
    effects: &mut Effects,
) -> Result<Recorded, Failure> {
    let event = &row.event;
    let received_at = micros(event.received_at);
    let until: Option<i64> = tx
        .prepare_cached("SELECT until FROM dedupe WHERE id = ?1 AND account = ?2")?
        .query_row((&event.id, &event.account), |row| row.get(0))
        .optional()?;
    // An id counts as long as its event is kept, whatever the clock says; a hash of the content for a while only.
    if until.is_some_and(|until| !event.content_hashed || until > received_at) {
        return Ok(Recorded::Duplicate);
    }
    let seq = tx
        .prepare_cached(
            "INSERT INTO inbox (id, account, kind, type, occurred_at, received_at, attempt, source, \
             cost, charge, currency, content_hashed, payload) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .insert((
            &event.id,
            &event.account,
            &event.kind,
            &event.type_as_sent,
            event.occurred_at.map(micros),
            received_at,
            event.attempt,
            event.source.as_str(),
            event.cost.map(|cost| cost.to_string()),
            event.charge.map(|charge| charge.to_string()),
            &event.currency,
            event.content_hashed,
            &row.payload,
        ))?;
    tx.prepare_cached(
        "INSERT INTO dedupe (id, account, seq, until) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (id, account) DO UPDATE SET seq = excluded.seq, until = excluded.until",
    )?
    .execute((&event.id, &event.account, seq, row.until))?;
    let bytes = row.payload.len();
    effects.recorded.push(Fresh { stored: StoredEvent { seq, event: row.event }, bytes });
    Ok(Recorded::New)
}

fn after(
    conn: &Connection,
    cursor: i64,
    (from, to): (i64, i64),
    limit: usize,
) -> Result<Vec<Result<StoredEvent, Unreadable>>, Failure> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM inbox WHERE seq > ?1 AND received_at BETWEEN ?3 AND ?4 \
         ORDER BY seq LIMIT ?2"
    ))?;
    let mut found = statement.query((cursor, rows(limit), from, to))?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        bytes += payload_bytes(row)?.map_or(0, <[u8]>::len);
        let seq = row.get(0)?;
        let account = || row.get(2).unwrap_or_default();
        events.push(stored(row).map_err(|detail| Unreadable { seq, account: account(), detail }));
        if bytes >= READ_BYTES_MAX {
            break;
        }
    }
    Ok(events)
}

/// The payload's text; `None` when it was dropped.
fn payload_bytes<'row>(row: &'row Row<'_>) -> rusqlite::Result<Option<&'row [u8]>> {
    Ok(row.get_ref(13)?.as_blob_or_null()?)
}

/// Whether the payload was dropped when the event was judged.
pub(super) fn payload_is_dropped(row: &Row<'_>) -> rusqlite::Result<bool> {
    Ok(payload_bytes(row)?.is_none())
}

/// Reads a row of [`COLUMNS`]; the error is one line for people. A dropped payload reads as null.
pub(super) fn stored(row: &Row<'_>) -> Result<StoredEvent, String> {
    let column = |error: rusqlite::Error| error.to_string();
    let payload = match payload_bytes(row).map_err(column)? {
        Some(bytes) => {
            serde_json::from_slice(bytes).map_err(|error| format!("payload: {error}"))?
        }
        None => Value::Null,
    };
    let event = Event {
        id: row.get(1).map_err(column)?,
        account: row.get(2).map_err(column)?,
        kind: row.get(3).map_err(column)?,
        type_as_sent: row.get(4).map_err(column)?,
        occurred_at: row.get::<_, Option<i64>>(5).map_err(column)?.map(time).transpose()?,
        received_at: time(row.get(6).map_err(column)?)?,
        attempt: row.get(7).map_err(column)?,
        source: source(row.get_ref(8).map_err(column)?)?,
        payload,
        cost: amount(row, 9)?,
        charge: amount(row, 10)?,
        currency: row.get(11).map_err(column)?,
        content_hashed: row.get(12).map_err(column)?,
    };
    Ok(StoredEvent { seq: row.get(0).map_err(column)?, event })
}

fn amount(row: &Row<'_>, column: usize) -> Result<Option<Decimal>, String> {
    let text: Option<String> = row.get(column).map_err(|error| error.to_string())?;
    text.map(|text| text.parse().map_err(|error| format!("amount {text}: {error}"))).transpose()
}

pub(super) fn source(word: ValueRef<'_>) -> Result<Source, String> {
    let word = word.as_str().map_err(|error| format!("source: {error}"))?;
    [Source::Webhook, Source::Poller, Source::Backfill, Source::Tollbell]
        .into_iter()
        .find(|source| source.as_str() == word)
        .ok_or_else(|| format!("unknown source {word}"))
}
