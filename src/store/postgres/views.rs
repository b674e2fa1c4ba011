//! Sums and samples: only what is shown leaves the database.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio_postgres::Row;

use super::failure::Failure;
use super::sql::{params, text};
use super::values::{column, count, moment};
use super::{Postgres, alerts, deliveries, feed, inbox, notification_log, silences, state};
use crate::alerts::Alert;
use crate::spend::{By, Sum};
use crate::store::operations;
use crate::store::values::{micros, rows};
use crate::store::views;
use crate::store::{
    Delivery, Judgement, Pause, Reading, SpendFilter, Spent, Standing, StoreError, StoredEvent,
};

/// Deliveries that are looked at, from the newest back.
const LOOK_BACK: i64 = 20_000;
/// Events that are looked at, from the newest back.
const EVENTS_LOOK_BACK: i64 = 200_000;

#[async_trait]
impl operations::Views for Postgres {
    async fn standing(&self) -> Result<Standing, StoreError> {
        // One snapshot, so that alerts, groups and silences agree.
        let tx = self.link.begin_reading().await?;
        let standing = Standing {
            alerts: alerts::firing(&tx).await?,
            groups: views::groups(state::of_spaces(&tx, views::GROUP_SPACES).await?),
            silences: silences::all(&tx).await?,
            log: notification_log::all(&tx).await?,
            open: notification_log::open(&tx).await?,
        };
        tx.commit().await?;
        Ok(standing)
    }

    async fn balances(
        &self,
        account: &str,
        since: Timestamp,
        before: Option<Timestamp>,
        step: Duration,
    ) -> Result<Vec<Reading>, StoreError> {
        let before = before.map_or(i64::MAX, micros);
        let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX).max(1);
        let sql = format!(
            "SELECT {} FROM ~readings WHERE account = $1 AND at IN \
             (SELECT max(at) FROM ~readings WHERE account = $1 AND at >= $2 AND at < $3 \
             GROUP BY at / $4) ORDER BY at",
            feed::COLUMNS
        );
        let found =
            self.link.query(&sql, params![text(account), micros(since), before, step]).await?;
        Ok(feed::read(&found)?)
    }

    async fn spent(
        &self,
        from: Timestamp,
        to: Timestamp,
        by: By,
    ) -> Result<Vec<Spent>, StoreError> {
        let group = match by {
            By::Account | By::Day => "NULL::text",
            By::Product => "product",
            By::Kind => "kind",
            By::Connection => "connection_id",
            By::Country => "country",
            By::Number => {
                "CASE direction WHEN 'outbound' THEN to_number WHEN 'inbound' THEN from_number END"
            }
        };
        // `numeric` adds decimals exactly.
        let sql = format!(
            "SELECT account, currency, {group} AS its, count(*), sum(amount::numeric)::text \
             FROM ~ledger WHERE at >= $1 AND at < $2 GROUP BY account, currency, its"
        );
        let found = self.link.query(&sql, params![micros(from), micros(to)]).await?;
        let spent: Result<Vec<_>, String> = found.iter().map(spent).collect();
        Ok(spent.map_err(Failure::unstorable)?)
    }

    async fn spent_by_hour(
        &self,
        filter: &SpendFilter,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Timestamp, Decimal)>, StoreError> {
        let sql = "SELECT at / $6 * $6 AS hour, sum(amount::numeric)::text FROM ~ledger \
             WHERE at >= $1 AND at < $2 AND account = $3 AND currency = $4 \
             AND ($5 IS NULL OR product = $5) GROUP BY hour ORDER BY hour";
        let SpendFilter { account, currency, product } = filter;
        let product = product.as_deref().map(text);
        let (from, to, account, currency) =
            (micros(from), micros(to), text(account), text(currency));
        let params = params![from, to, account, currency, product, views::HOUR];
        let found = self.link.query(sql, params).await?;
        let hour = |row: &Row| -> Result<(Timestamp, Decimal), String> {
            let amount: &str = column(row, 1)?;
            let parsed = amount.parse().map_err(|error| format!("amount {amount}: {error}"))?;
            Ok((moment(row, 0)?, parsed))
        };
        Ok(found.iter().map(hour).collect::<Result<_, _>>().map_err(Failure::unstorable)?)
    }

    async fn deliveries_of(
        &self,
        receiver: &str,
        group_key: &str,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let sql = format!(
            "SELECT {} FROM ~deliveries AS deliveries {} \
             WHERE deliveries.receiver = $1 AND deliveries.group_key = $2 \
             AND deliveries.n > (SELECT coalesce(max(n), 0) FROM ~deliveries) - $3 \
             ORDER BY deliveries.n DESC LIMIT $4",
            deliveries::COLUMNS,
            deliveries::JOINS
        );
        let (receiver, group_key, limit) = (text(receiver), text(group_key), rows(limit));
        let params = params![receiver, group_key, LOOK_BACK, limit];
        let found = self.link.query(&sql, params).await?;
        let read: Result<Vec<_>, String> = found.iter().map(deliveries::delivery).collect();
        Ok(read.map_err(Failure::unstorable)?)
    }

    async fn events_of(
        &self,
        account: &str,
        kinds: Vec<String>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let sql = format!(
            "SELECT {} FROM ~inbox AS inbox \
             WHERE inbox.seq > (SELECT coalesce(max(seq), 0) FROM ~inbox) - $1 \
             AND inbox.account = $2 AND inbox.kind = ANY ($3) AND inbox.received_at >= $4 \
             ORDER BY inbox.seq DESC LIMIT $5",
            inbox::COLUMNS
        );
        let kinds: Vec<_> = kinds.iter().map(|kind| text(kind)).collect();
        let (account, since, limit) = (text(account), micros(since), rows(limit));
        let params = params![EVENTS_LOOK_BACK, account, kinds, since, limit];
        let found = self.link.query(&sql, params).await?;
        // What cannot be read back the engine has reported already.
        let mut events: Vec<_> = found.iter().filter_map(|row| inbox::stored(row).ok()).collect();
        events.reverse();
        Ok(events)
    }

    async fn firing_of(&self, alertname: &str, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let sql = "SELECT fingerprint, alert FROM ~alerts WHERE state = 'firing' AND alertname = $1 \
             ORDER BY fingerprint LIMIT $2";
        let found = self.link.query(sql, params![text(alertname), rows(limit)]).await?;
        Ok(alerts::readable(&found)?)
    }

    async fn last_judgements(
        &self,
        rule: Option<&str>,
    ) -> Result<Vec<(Judgement, Timestamp)>, StoreError> {
        let sql = "WITH recent AS (SELECT seq, rule FROM ~judgements ORDER BY seq DESC, n DESC LIMIT $1), \
             last AS (SELECT rule, max(seq) AS seq FROM recent WHERE $2 IS NULL OR rule = $2 \
             GROUP BY rule) \
             SELECT DISTINCT ON (judged.rule) judged.seq, judged.rule, outcome, fingerprint, judged.detail, \
             config, received_at FROM last JOIN ~judgements AS judged USING (seq, rule) \
             JOIN ~inbox AS inbox ON inbox.seq = judged.seq ORDER BY judged.rule, judged.n DESC";
        let found = self.link.query(sql, params![LOOK_BACK, rule.map(text)]).await?;
        let read = |row: &Row| -> Result<(Judgement, Timestamp), String> {
            let judgement = Judgement {
                seq: column(row, 0)?,
                rule: column(row, 1)?,
                outcome: column(row, 2)?,
                fingerprint: column(row, 3)?,
                detail: column(row, 4)?,
                config: column(row, 5)?,
            };
            Ok((judgement, moment(row, 6)?))
        };
        Ok(found.iter().map(read).collect::<Result<_, _>>().map_err(Failure::unstorable)?)
    }

    async fn pauses(&self, now: Timestamp) -> Result<Vec<Pause>, StoreError> {
        let sql = "SELECT id, paused_until, reason FROM ~integrations \
             WHERE paused_until > $1 ORDER BY id";
        let found = self.link.query(sql, params![micros(now)]).await?;
        let pauses: Result<Vec<_>, String> = found.iter().map(pause).collect();
        Ok(pauses.map_err(Failure::unstorable)?)
    }
}

fn spent(row: &Row) -> Result<Spent, String> {
    let amount: &str = column(row, 4)?;
    Ok(Spent {
        account: column(row, 0)?,
        currency: column(row, 1)?,
        group: column(row, 2)?,
        sum: Sum {
            charges: count(column(row, 3)?),
            amount: amount.parse().map_err(|error| format!("amount {amount}: {error}"))?,
        },
    })
}

fn pause(row: &Row) -> Result<Pause, String> {
    Ok(Pause { integration: column(row, 0)?, until: moment(row, 1)?, reason: column(row, 2)? })
}
