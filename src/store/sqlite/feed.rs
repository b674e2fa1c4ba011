//! What comes from beside the webhooks: events, readings of balances, and where each source goes on from.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::types::Value as Column;
use rusqlite::{Connection, OptionalExtension as _, Row};
use rust_decimal::Decimal;

use super::failure::Failure;
use super::inbox::{self, NewRow};
use super::{Sqlite, micros, rows, time};
use crate::store::operations;
use crate::store::{Checkpoint, Feed, Reading, Recorded, StoreError};

/// The columns that [`reading`] reads, in its order.
const COLUMNS: &str = "account, at, currency, balance, available_credit, credit_limit, pending, \
     burn_per_hour, hours_left";

#[async_trait]
impl operations::Feeds for Sqlite {
    async fn feed(&self, feed: Feed) -> Result<Vec<Recorded>, StoreError> {
        let Feed { events, reading, checkpoint } = feed;
        let retention = self.retention;
        let events: Vec<NewRow> = events
            .into_iter()
            .map(|event| NewRow::new(event, retention))
            .collect::<Result<_, _>>()?;
        self.write(move |tx, effects| {
            let recorded: Vec<Recorded> =
                events.iter().map(|event| inbox::insert(tx, event)).collect::<Result<_, _>>()?;
            if let Some(reading) = &reading {
                put_reading(tx, reading)?;
            }
            if let Some(checkpoint) = &checkpoint {
                put_checkpoint(tx, checkpoint)?;
            }
            effects.recorded |= recorded.contains(&Recorded::New);
            Ok(recorded)
        })
        .await
    }

    async fn place(
        &self,
        account: &str,
        source: &'static str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let account = account.to_owned();
        self.read(move |conn| {
            Ok(conn
                .prepare_cached("SELECT value FROM places WHERE account = ?1 AND source = ?2")?
                .query_row((account, source), |row| row.get(0))
                .optional()?)
        })
        .await
    }

    async fn readings(
        &self,
        account: &str,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Reading>, StoreError> {
        let account = account.to_owned();
        self.read(move |conn| {
            let sql = format!(
                "SELECT {COLUMNS} FROM readings WHERE account = ?1 AND at >= ?2 \
                 ORDER BY at DESC LIMIT ?3"
            );
            let mut latest =
                select(conn, &sql, (Column::from(account), micros(since), rows(limit)))?;
            latest.reverse();
            Ok(latest)
        })
        .await
    }

    async fn last_readings(&self) -> Result<Vec<Reading>, StoreError> {
        self.read(|conn| {
            let sql = format!(
                "SELECT {COLUMNS} FROM readings JOIN \
                 (SELECT account AS whose, max(at) AS latest FROM readings GROUP BY account) \
                 ON account = whose AND at = latest ORDER BY account"
            );
            select(conn, &sql, ())
        })
        .await
    }
}

fn select(
    conn: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<Reading>, Failure> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut found = statement.query(parameters)?;
    let mut readings = Vec::new();
    while let Some(row) = found.next()? {
        readings.push(reading(row).map_err(Failure::unstorable)?);
    }
    Ok(readings)
}

fn put_reading(tx: &Connection, reading: &Reading) -> Result<(), Failure> {
    let text = |amount: &Option<Decimal>| amount.map(|amount| amount.to_string());
    tx.prepare_cached(
        "INSERT INTO readings (account, at, currency, balance, available_credit, credit_limit, \
         pending, burn_per_hour, hours_left) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT (account, at) DO NOTHING",
    )?
    .execute((
        &reading.account,
        micros(reading.at),
        &reading.currency,
        text(&reading.balance),
        text(&reading.available_credit),
        text(&reading.credit_limit),
        text(&reading.pending),
        text(&reading.burn_per_hour),
        text(&reading.hours_left),
    ))?;
    Ok(())
}

fn put_checkpoint(tx: &Connection, checkpoint: &Checkpoint) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT INTO places (account, source, value) VALUES (?1, ?2, ?3) \
         ON CONFLICT (account, source) DO UPDATE SET value = excluded.value",
    )?
    .execute((&checkpoint.account, checkpoint.source, &checkpoint.value))?;
    Ok(())
}

/// Reads a row of [`COLUMNS`]; the error is one line for people.
fn reading(row: &Row<'_>) -> Result<Reading, String> {
    let column = |error: rusqlite::Error| error.to_string();
    let amount = |index| -> Result<Option<Decimal>, String> {
        let text: Option<String> = row.get(index).map_err(column)?;
        text.map(|text| text.parse().map_err(|error| format!("amount {text}: {error}"))).transpose()
    };
    Ok(Reading {
        account: row.get(0).map_err(column)?,
        at: time(row.get(1).map_err(column)?)?,
        currency: row.get(2).map_err(column)?,
        balance: amount(3)?,
        available_credit: amount(4)?,
        credit_limit: amount(5)?,
        pending: amount(6)?,
        burn_per_hour: amount(7)?,
        hours_left: amount(8)?,
    })
}
