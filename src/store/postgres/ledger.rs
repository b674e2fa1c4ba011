//! The charge ledger and the call context: found by their keys, within bounds.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, some_text, text};
use super::values::{column, moment, some_moment};
use crate::rules::{CallContext, CallKey, Entry, LedgerKey};
use crate::store::operations;
use crate::store::values::{json, micros, rows};
use crate::store::{CALLS_MAX, ChargeFilter, Known, StoreError};

/// The columns that [`entry`] reads, in its order.
const COLUMNS: &str = "amount, currency, product, kind, at, updated_at, from_number, to_number, \
     direction, connection_id, country, started_at, ended_at, reported_at, account, key";

#[async_trait]
impl operations::Ledger for Postgres {
    async fn known(
        &self,
        ledger: Vec<LedgerKey>,
        calls: Vec<CallKey>,
    ) -> Result<Known, StoreError> {
        // One snapshot, so that a call and its charge agree.
        let tx = self.link.begin_reading().await?;
        let known = find(&tx, ledger, calls).await?;
        tx.commit().await?;
        Ok(known)
    }

    async fn charges(&self, filter: ChargeFilter) -> Result<Vec<Entry>, StoreError> {
        let (at, account, key) = match filter.after {
            Some((at, LedgerKey { account, key })) => (micros(at), account, key),
            None => (i64::MIN, String::new(), String::new()),
        };
        let (from, to) = (micros(filter.from).max(at), micros(filter.to));
        let found = self
            .link
            .query(
                &format!(
                    "SELECT {COLUMNS} FROM ~ledger \
                     WHERE at >= $1 AND at < $2 AND ($3::text IS NULL OR account = $3) \
                     AND (at, account, key) > ($4, $5, $6) ORDER BY at, account, key LIMIT $7"
                ),
                params![
                    from,
                    to,
                    some_text(filter.account.as_ref()),
                    at,
                    text(&account),
                    text(&key),
                    rows(filter.limit)
                ],
            )
            .await?;
        let entries = found.iter().map(|row| entry(row).map_err(Failure::unstorable));
        Ok(entries.collect::<Result<_, _>>()?)
    }
}

/// What is known of these keys, and of the charges of these calls. What cannot be read back is told in the log and counts
/// as unknown: the rest must be judged.
pub(super) async fn find(
    tx: &Lent<'_>,
    ledger: Vec<LedgerKey>,
    calls: Vec<CallKey>,
) -> Result<Known, Failure> {
    let calls: BTreeSet<CallKey> = calls.into_iter().collect();
    let ledger: BTreeSet<LedgerKey> =
        ledger.into_iter().chain(calls.iter().map(charge_of)).collect();
    let mut known = Known::default();
    if !ledger.is_empty() {
        let accounts: Vec<_> = ledger.iter().map(|key| text(&key.account)).collect();
        let keys: Vec<_> = ledger.iter().map(|key| text(&key.key)).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM ~ledger JOIN unnest($1, $2) AS asked (account, key) \
             USING (account, key) ORDER BY account, key"
        );
        for row in tx.query(&sql, params![accounts, keys]).await? {
            match entry(&row) {
                Ok(entry) => known.entries.push(entry),
                Err(detail) => tracing::error!(detail, "a charge cannot be read back"),
            }
        }
    }
    if !calls.is_empty() {
        let accounts: Vec<_> = calls.iter().map(|key| text(&key.account)).collect();
        let legs: Vec<_> = calls.iter().map(|key| text(&key.leg)).collect();
        let sql = "SELECT account, leg, context FROM ~calls \
             JOIN unnest($1, $2) AS asked (account, leg) USING (account, leg) ORDER BY account, leg";
        for row in tx.query(sql, params![accounts, legs]).await? {
            let key = CallKey {
                account: column(&row, 0).map_err(Failure::unstorable)?,
                leg: column(&row, 1).map_err(Failure::unstorable)?,
            };
            let context: &[u8] = column(&row, 2).map_err(Failure::unstorable)?;
            match serde_json::from_slice(context) {
                Ok(call) => known.calls.push((key, call)),
                Err(error) => {
                    tracing::error!(account = key.account, %error, "a call cannot be read back");
                }
            }
        }
    }
    Ok(known)
}

/// The key of what a call costs.
fn charge_of(call: &CallKey) -> LedgerKey {
    LedgerKey { account: call.account.clone(), key: format!("call:{}", call.leg) }
}

/// Inserts charges, or replaces those of the same keys; of several with one key, the last counts.
pub(super) async fn put_entries(tx: &Lent<'_>, entries: &[Entry]) -> Result<(), Failure> {
    let last: BTreeMap<&LedgerKey, &Entry> =
        entries.iter().map(|entry| (&entry.key, entry)).collect();
    let each = |read: fn(&Entry) -> &String| -> Vec<_> {
        last.values().map(|entry| text(read(entry))).collect()
    };
    let maybe = |read: fn(&CallContext) -> Option<&String>| -> Vec<_> {
        last.values().map(|entry| some_text(read(&entry.call))).collect()
    };
    let times = |read: fn(&Entry) -> Timestamp| -> Vec<i64> {
        last.values().map(|entry| micros(read(entry))).collect()
    };
    let some_times = |read: fn(&CallContext) -> Option<Timestamp>| -> Vec<Option<i64>> {
        last.values().map(|entry| read(&entry.call).map(micros)).collect()
    };
    let amounts: Vec<String> = last.values().map(|entry| entry.amount.to_string()).collect();
    tx.execute(
        "INSERT INTO ~ledger (account, key, amount, currency, product, kind, at, updated_at, \
         from_number, to_number, direction, connection_id, country, started_at, ended_at, reported_at) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (account, key) DO UPDATE SET amount = excluded.amount, \
         currency = excluded.currency, product = excluded.product, kind = excluded.kind, \
         at = excluded.at, updated_at = excluded.updated_at, from_number = excluded.from_number, \
         to_number = excluded.to_number, direction = excluded.direction, \
         connection_id = excluded.connection_id, country = excluded.country, \
         started_at = excluded.started_at, ended_at = excluded.ended_at, \
         reported_at = excluded.reported_at",
        params![
            each(|entry| &entry.key.account),
            each(|entry| &entry.key.key),
            amounts,
            each(|entry| &entry.currency),
            each(|entry| &entry.product),
            each(|entry| &entry.kind),
            times(|entry| entry.at),
            times(|entry| entry.updated_at),
            maybe(|call| call.from.as_ref()),
            maybe(|call| call.to.as_ref()),
            maybe(|call| call.direction.as_ref()),
            maybe(|call| call.connection_id.as_ref()),
            maybe(|call| call.country.as_ref()),
            some_times(|call| call.started_at),
            some_times(|call| call.ended_at),
            times(|entry| entry.reported_at),
        ],
    )
    .await?;
    Ok(())
}

/// Reads a row of [`COLUMNS`]; the error is one line for people.
fn entry(row: &Row) -> Result<Entry, String> {
    let amount: &str = column(row, 0)?;
    Ok(Entry {
        key: LedgerKey { account: column(row, 14)?, key: column(row, 15)? },
        amount: amount.parse().map_err(|error| format!("amount {amount}: {error}"))?,
        currency: column(row, 1)?,
        product: column(row, 2)?,
        kind: column(row, 3)?,
        at: moment(row, 4)?,
        updated_at: moment(row, 5)?,
        reported_at: moment(row, 13)?,
        call: CallContext {
            from: column(row, 6)?,
            to: column(row, 7)?,
            direction: column(row, 8)?,
            connection_id: column(row, 9)?,
            country: column(row, 10)?,
            started_at: some_moment(row, 11)?,
            ended_at: some_moment(row, 12)?,
        },
    })
}

/// Inserts calls, or replaces those of the same keys, and deletes the ones that are too many, oldest first; tells how many.
pub(super) async fn put_calls(
    tx: &Lent<'_>,
    calls: &[(CallKey, CallContext, Timestamp)],
) -> Result<usize, Failure> {
    let last: BTreeMap<&CallKey, (&CallContext, Timestamp)> =
        calls.iter().map(|(key, context, at)| (key, (context, *at))).collect();
    let accounts: Vec<_> = last.keys().map(|key| text(&key.account)).collect();
    let legs: Vec<_> = last.keys().map(|key| text(&key.leg)).collect();
    let learned: Vec<i64> = last.values().map(|(_, at)| micros(*at)).collect();
    let contexts: Vec<Vec<u8>> =
        last.values().map(|(context, _)| json(context)).collect::<Result<_, _>>()?;
    let row = tx
        .first(
            "WITH put AS (INSERT INTO ~calls (account, leg, learned_at, context) \
               SELECT * FROM unnest($1, $2, $3, $4) \
               ON CONFLICT (account, leg) DO UPDATE SET learned_at = excluded.learned_at, \
               context = excluded.context RETURNING (xmax = 0) AS added) \
             UPDATE ~meta SET value = value + (SELECT count(*) FROM put WHERE added) \
             WHERE key = 'calls' RETURNING value",
            params![accounts, legs, learned, contexts],
        )
        .await?;
    let kept = row.map_or(Ok(0), |row| column::<i64>(&row, 0)).map_err(Failure::unstorable)?;
    let excess = kept - rows(CALLS_MAX);
    if excess <= 0 {
        return Ok(0);
    }
    let gone = delete_calls(tx, i64::MAX, excess).await?;
    Ok(usize::try_from(gone).unwrap_or(0))
}

/// Deletes calls that were learned of until some time, oldest first; tells how many.
pub(super) async fn delete_calls(tx: &Lent<'_>, until: i64, limit: i64) -> Result<i64, Failure> {
    let row = tx
        .first(
            "WITH old AS MATERIALIZED (SELECT account, leg FROM ~calls WHERE learned_at <= $1 \
               ORDER BY learned_at LIMIT $2), \
             gone AS (DELETE FROM ~calls USING old WHERE calls.account = old.account \
               AND calls.leg = old.leg RETURNING 1), \
             counted AS (UPDATE ~meta SET value = value - (SELECT count(*) FROM gone) \
               WHERE key = 'calls') \
             SELECT count(*) FROM gone",
            params![until, limit],
        )
        .await?;
    row.map_or(Ok(0), |row| column(&row, 0)).map_err(Failure::unstorable)
}
