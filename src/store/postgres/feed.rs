//! What comes from beside the webhooks: events, readings of balances, and where each source goes on from.

use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio_postgres::Row;

use super::Postgres;
use super::arrivals::{self, NewRow};
use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, some_text, text};
use super::values::{amount, column, moment};
use crate::store::operations;
use crate::store::values::{micros, rows};
use crate::store::{Checkpoint, Feed, Reading, Recorded, StoreError};

/// The columns that [`reading`] reads, in its order.
const COLUMNS: &str = "account, at, currency, balance, available_credit, credit_limit, pending, \
     burn_per_hour, hours_left";

#[async_trait]
impl operations::Feeds for Postgres {
    async fn feed(&self, feed: Feed) -> Result<Vec<Recorded>, StoreError> {
        let Feed { events, reading, checkpoint } = feed;
        let events: Vec<NewRow> = events
            .into_iter()
            .map(|event| NewRow::new(event, self.retention))
            .collect::<Result<_, _>>()?;
        let tx = self.link.begin().await?;
        let recorded = arrivals::insert(&tx, &events).await?;
        if let Some(reading) = &reading {
            put_reading(&tx, reading).await?;
        }
        if let Some(checkpoint) = &checkpoint {
            put_checkpoint(&tx, checkpoint).await?;
        }
        tx.commit().await?;
        self.tell_recorded(recorded.contains(&Recorded::New));
        Ok(recorded)
    }

    async fn place(
        &self,
        account: &str,
        source: &'static str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT value FROM ~places WHERE account = $1 AND source = $2";
        let found = self.link.query(sql, params![text(account), source]).await?;
        let value = found.first().map(|row| column(row, 0)).transpose();
        Ok(value.map_err(Failure::unstorable)?)
    }

    async fn readings(
        &self,
        account: &str,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Reading>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM ~readings WHERE account = $1 AND at >= $2 ORDER BY at DESC LIMIT $3"
        );
        let found =
            self.link.query(&sql, params![text(account), micros(since), rows(limit)]).await?;
        let mut latest = read(&found)?;
        latest.reverse();
        Ok(latest)
    }

    async fn last_readings(&self) -> Result<Vec<Reading>, StoreError> {
        let sql = format!(
            "SELECT DISTINCT ON (account) {COLUMNS} FROM ~readings ORDER BY account, at DESC"
        );
        Ok(read(&self.link.query(&sql, params![]).await?)?)
    }
}

fn read(found: &[Row]) -> Result<Vec<Reading>, Failure> {
    found.iter().map(|row| reading(row).map_err(Failure::unstorable)).collect()
}

async fn put_reading(tx: &Lent<'_>, reading: &Reading) -> Result<(), Failure> {
    let decimal = |amount: &Option<Decimal>| amount.map(|amount| amount.to_string());
    tx.execute(
        "INSERT INTO ~readings (account, at, currency, balance, available_credit, credit_limit, \
         pending, burn_per_hour, hours_left) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (account, at) DO NOTHING",
        params![
            text(&reading.account),
            micros(reading.at),
            some_text(reading.currency.as_ref()),
            decimal(&reading.balance),
            decimal(&reading.available_credit),
            decimal(&reading.credit_limit),
            decimal(&reading.pending),
            decimal(&reading.burn_per_hour),
            decimal(&reading.hours_left),
        ],
    )
    .await?;
    Ok(())
}

async fn put_checkpoint(tx: &Lent<'_>, checkpoint: &Checkpoint) -> Result<(), Failure> {
    tx.execute(
        "INSERT INTO ~places (account, source, value) VALUES ($1, $2, $3) \
         ON CONFLICT (account, source) DO UPDATE SET value = excluded.value",
        params![text(&checkpoint.account), checkpoint.source, checkpoint.value.as_slice()],
    )
    .await?;
    Ok(())
}

/// Reads a row of [`COLUMNS`]; the error is one line for people.
fn reading(row: &Row) -> Result<Reading, String> {
    Ok(Reading {
        account: column(row, 0)?,
        at: moment(row, 1)?,
        currency: column(row, 2)?,
        balance: amount(row, 3)?,
        available_credit: amount(row, 4)?,
        credit_limit: amount(row, 5)?,
        pending: amount(row, 6)?,
        burn_per_hour: amount(row, 7)?,
        hours_left: amount(row, 8)?,
    })
}
