//! The charge ledger and the call context: found by their keys, within bounds.

use async_trait::async_trait;
use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::failure::Failure;
use super::{Sqlite, json, micros, rows, time};
use crate::rules::{CallContext, CallKey, Entry, LedgerKey};
use crate::store::operations;
use crate::store::{CALLS_MAX, ChargeFilter, Known, StoreError};

/// The columns that [`entry`] reads, in its order, after the key.
const COLUMNS: &str = "amount, currency, product, kind, at, updated_at, from_number, to_number, \
     direction, connection_id, country, started_at, ended_at, reported_at";

#[async_trait]
impl operations::Ledger for Sqlite {
    async fn known(
        &self,
        ledger: Vec<LedgerKey>,
        calls: Vec<CallKey>,
    ) -> Result<Known, StoreError> {
        // One snapshot, so that a call and its charge agree.
        self.read(move |conn| find(&*conn.unchecked_transaction()?, ledger, calls)).await
    }

    async fn charges(&self, filter: ChargeFilter) -> Result<Vec<Entry>, StoreError> {
        self.read(move |conn| {
            let (at, account, key) = match filter.after {
                Some((at, LedgerKey { account, key })) => (micros(at), account, key),
                None => (i64::MIN, String::new(), String::new()),
            };
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {COLUMNS}, account, key FROM ledger \
                 WHERE at >= ?1 AND at < ?2 AND (?3 IS NULL OR account = ?3) \
                 AND (at, account, key) > (?4, ?5, ?6) ORDER BY at, account, key LIMIT ?7"
            ))?;
            let (from, to) = (micros(filter.from).max(at), micros(filter.to));
            let mut found = statement.query((
                from,
                to,
                &filter.account,
                at,
                account,
                key,
                rows(filter.limit),
            ))?;
            let mut entries = Vec::new();
            while let Some(row) = found.next()? {
                let key = LedgerKey { account: row.get(14)?, key: row.get(15)? };
                entries.push(entry(row, &key).map_err(Failure::unstorable)?);
            }
            Ok(entries)
        })
        .await
    }
}

/// What is known of these keys, and of the charges of these calls.
pub(super) fn find(
    conn: &Connection,
    ledger: impl IntoIterator<Item = LedgerKey>,
    calls: impl IntoIterator<Item = CallKey>,
) -> Result<Known, Failure> {
    let calls: BTreeSet<CallKey> = calls.into_iter().collect();
    let ledger: BTreeSet<LedgerKey> =
        ledger.into_iter().chain(calls.iter().map(charge_of)).collect();
    let mut known = Known::default();
    for key in ledger {
        known.entries.extend(find_entry(conn, &key)?);
    }
    for key in calls {
        known.calls.extend(find_call(conn, &key)?.map(|call| (key, call)));
    }
    Ok(known)
}

/// The key of what a call costs.
fn charge_of(call: &CallKey) -> LedgerKey {
    LedgerKey { account: call.account.clone(), key: format!("call:{}", call.leg) }
}

/// A charge on its way into the ledger.
pub(super) struct NewEntry {
    entry: Entry,
    amount: String,
}

impl From<Entry> for NewEntry {
    fn from(entry: Entry) -> Self {
        Self { amount: entry.amount.to_string(), entry }
    }
}

/// Inserts a charge, or replaces the one of the same key.
pub(super) fn put_entry(tx: &Connection, new: &NewEntry) -> Result<(), Failure> {
    let entry = &new.entry;
    let CallContext { from, to, direction, connection_id, country, started_at, ended_at } =
        &entry.call;
    tx.prepare_cached(
        "INSERT INTO ledger (account, key, amount, currency, product, kind, at, updated_at, \
         from_number, to_number, direction, connection_id, country, started_at, ended_at, \
         reported_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
         ON CONFLICT (account, key) DO UPDATE SET amount = excluded.amount, \
         currency = excluded.currency, product = excluded.product, kind = excluded.kind, \
         at = excluded.at, updated_at = excluded.updated_at, from_number = excluded.from_number, \
         to_number = excluded.to_number, direction = excluded.direction, \
         connection_id = excluded.connection_id, country = excluded.country, \
         started_at = excluded.started_at, ended_at = excluded.ended_at, \
         reported_at = excluded.reported_at",
    )?
    .execute((
        &entry.key.account,
        &entry.key.key,
        &new.amount,
        &entry.currency,
        &entry.product,
        &entry.kind,
        micros(entry.at),
        micros(entry.updated_at),
        from,
        to,
        direction,
        connection_id,
        country,
        started_at.map(micros),
        ended_at.map(micros),
        micros(entry.reported_at),
    ))?;
    Ok(())
}

/// A charge. One that cannot be read back is logged and counts as unknown: the rest must be judged.
fn find_entry(conn: &Connection, key: &LedgerKey) -> Result<Option<Entry>, Failure> {
    let found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM ledger WHERE account = ?1 AND key = ?2"))?
        .query_row((&key.account, &key.key), |row| Ok(entry(row, key)))
        .optional()?;
    Ok(found.and_then(|entry| {
        entry
            .inspect_err(|detail| {
                tracing::error!(account = key.account, detail, "a charge cannot be read back");
            })
            .ok()
    }))
}

/// Reads a row of [`COLUMNS`]; the error is one line for people.
fn entry(row: &Row<'_>, key: &LedgerKey) -> Result<Entry, String> {
    let column = |error: rusqlite::Error| error.to_string();
    let moment = |index| -> Result<Option<Timestamp>, String> {
        row.get::<_, Option<i64>>(index).map_err(column)?.map(time).transpose()
    };
    let amount: String = row.get(0).map_err(column)?;
    Ok(Entry {
        key: key.clone(),
        amount: amount.parse().map_err(|error| format!("amount {amount}: {error}"))?,
        currency: row.get(1).map_err(column)?,
        product: row.get(2).map_err(column)?,
        kind: row.get(3).map_err(column)?,
        at: time(row.get(4).map_err(column)?)?,
        updated_at: time(row.get(5).map_err(column)?)?,
        reported_at: time(row.get(13).map_err(column)?)?,
        call: CallContext {
            from: row.get(6).map_err(column)?,
            to: row.get(7).map_err(column)?,
            direction: row.get(8).map_err(column)?,
            connection_id: row.get(9).map_err(column)?,
            country: row.get(10).map_err(column)?,
            started_at: moment(11)?,
            ended_at: moment(12)?,
        },
    })
}

/// What is known of a call, on its way into the store.
pub(super) struct NewCall {
    key: CallKey,
    learned_at: i64,
    context: Vec<u8>,
}

impl NewCall {
    pub(super) fn new(
        (key, context, learned_at): (CallKey, CallContext, Timestamp),
    ) -> Result<Self, StoreError> {
        Ok(Self { key, learned_at: micros(learned_at), context: json(&context)? })
    }
}

/// Inserts a call, or replaces the one of the same key.
pub(super) fn put_call(tx: &Connection, new: &NewCall) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT INTO calls (account, leg, learned_at, context) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (account, leg) DO UPDATE SET learned_at = excluded.learned_at, \
         context = excluded.context",
    )?
    .execute((&new.key.account, &new.key.leg, new.learned_at, &new.context))?;
    Ok(())
}

/// Deletes the calls that are too many, oldest first; says how many.
pub(super) fn evict_calls(tx: &Connection) -> Result<usize, Failure> {
    let kept: i64 = tx
        .prepare_cached("SELECT value FROM meta WHERE key = 'calls'")?
        .query_row((), |row| row.get(0))?;
    let excess = kept - rows(CALLS_MAX);
    if excess <= 0 {
        return Ok(0);
    }
    Ok(tx
        .prepare_cached(
            "DELETE FROM calls WHERE rowid IN \
             (SELECT rowid FROM calls ORDER BY learned_at, rowid LIMIT ?1)",
        )?
        .execute([excess])?)
}

/// A call. One that cannot be read back is logged and counts as unknown.
fn find_call(conn: &Connection, key: &CallKey) -> Result<Option<CallContext>, Failure> {
    let context: Option<Vec<u8>> = conn
        .prepare_cached("SELECT context FROM calls WHERE account = ?1 AND leg = ?2")?
        .query_row((&key.account, &key.leg), |row| row.get(0))
        .optional()?;
    Ok(context.and_then(|context| {
        serde_json::from_slice(&context)
            .inspect_err(|error| {
                tracing::error!(account = key.account, %error, "a call cannot be read back");
            })
            .ok()
    }))
}
