//! Sums and samples, made while the rows are read: only what is shown leaves the store.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::failure::Failure;
use super::{
    Sqlite, alerts, deliveries, feed, inbox, micros, notification_log, rows, silences, state, time,
};
use crate::alerts::Alert;
use crate::spend::{By, Sum};
use crate::store::operations;
use crate::store::views;
use crate::store::{
    Delivery, Judgement, Pause, Reading, SpendFilter, Spent, Standing, StoreError, StoredEvent,
};

/// Deliveries and judgements that are looked at, from the newest back.
const LOOK_BACK: i64 = 20_000;
/// Events that are looked at, from the newest back.
const EVENTS_LOOK_BACK: i64 = 200_000;

/// Account, currency and group of a sum.
type Group = (String, String, Option<String>);

#[async_trait]
impl operations::Views for Sqlite {
    async fn standing(&self) -> Result<Standing, StoreError> {
        self.read(|conn| {
            // One snapshot, so that alerts, groups and silences agree.
            let tx = conn.unchecked_transaction()?;
            Ok(Standing {
                alerts: alerts::firing(&tx)?,
                groups: views::groups(state::of_spaces(&tx, views::GROUP_SPACES)?),
                silences: silences::all(&tx)?,
                log: notification_log::all(&tx)?,
                open: notification_log::open(&tx)?,
            })
        })
        .await
    }

    async fn balances(
        &self,
        account: &str,
        since: Timestamp,
        before: Option<Timestamp>,
        step: Duration,
    ) -> Result<Vec<Reading>, StoreError> {
        let (account, since) = (account.to_owned(), micros(since));
        let before = before.map_or(i64::MAX, micros);
        let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX).max(1);
        self.read(move |conn| {
            let sql = format!(
                "SELECT {} FROM readings WHERE account = ?1 AND at IN \
                 (SELECT max(at) FROM readings WHERE account = ?1 AND at >= ?2 AND at < ?3 \
                 GROUP BY at / ?4) ORDER BY at",
                feed::COLUMNS
            );
            feed::select(conn, &sql, (account, since, before, step))
        })
        .await
    }

    async fn spent(
        &self,
        from: Timestamp,
        to: Timestamp,
        by: By,
    ) -> Result<Vec<Spent>, StoreError> {
        let (from, to) = (micros(from), micros(to));
        self.read(move |conn| {
            let group = match by {
                By::Account | By::Day => "NULL",
                By::Product => "product",
                By::Kind => "kind",
                By::Connection => "connection_id",
                By::Country => "country",
                By::Number => {
                    "CASE direction WHEN 'outbound' THEN to_number WHEN 'inbound' THEN from_number END"
                }
            };
            let mut statement = conn.prepare_cached(&format!(
                "SELECT account, currency, {group}, amount FROM ledger WHERE at >= ?1 AND at < ?2"
            ))?;
            let mut found = statement.query((from, to))?;
            let mut sums: HashMap<Group, Sum> = HashMap::new();
            // Most rows in a row are of one group: it is compared before it is looked up.
            let mut last: Option<(Group, Sum)> = None;
            while let Some(row) = found.next()? {
                let text = |index| -> Result<Option<&str>, Failure> {
                    let value = row.get_ref(index)?;
                    value.as_str_or_null().map_err(|error| Failure::unstorable(error.to_string()))
                };
                let account = text(0)?.unwrap_or_default();
                let currency = text(1)?.unwrap_or_default();
                let group = text(2)?;
                let amount: Decimal = text(3)?
                    .unwrap_or_default()
                    .parse()
                    .map_err(|error| Failure::unstorable(format!("amount: {error}")))?;
                let same = last.as_ref().is_some_and(|((of, in_, on), _)| {
                    of == account && in_ == currency && on.as_deref() == group
                });
                if !same {
                    if let Some((key, sum)) = last.take() {
                        sums.insert(key, sum);
                    }
                    let key = (account.to_owned(), currency.to_owned(), group.map(str::to_owned));
                    let sum = sums.get(&key).copied().unwrap_or_default();
                    last = Some((key, sum));
                }
                if let Some((_, sum)) = &mut last {
                    sum.add(Sum { charges: 1, amount });
                }
            }
            sums.extend(last);
            let spent = sums.into_iter().map(|((account, currency, group), sum)| Spent {
                account,
                currency,
                group,
                sum,
            });
            Ok(spent.collect())
        })
        .await
    }

    async fn spent_by_hour(
        &self,
        filter: &SpendFilter,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Timestamp, Decimal)>, StoreError> {
        let (filter, from, to) = (filter.clone(), micros(from), micros(to));
        self.read(move |conn| {
            // By the time: an account may be all that is in the ledger.
            let mut statement = conn.prepare_cached(
                "SELECT at, amount FROM ledger INDEXED BY ledger_charged WHERE at >= ?1 AND at < ?2 AND account = ?3 \
                 AND currency = ?4 AND (?5 IS NULL OR product = ?5)",
            )?;
            let SpendFilter { account, currency, product } = &filter;
            let mut found = statement.query((from, to, account, currency, product))?;
            let mut hours: BTreeMap<i64, Decimal> = BTreeMap::new();
            while let Some(row) = found.next()? {
                let amount = row.get_ref(1)?.as_str();
                let amount = amount.map_err(|error| Failure::unstorable(error.to_string()))?;
                let amount: Decimal = amount
                    .parse()
                    .map_err(|error| Failure::unstorable(format!("amount: {error}")))?;
                *hours.entry(row.get::<_, i64>(0)?.div_euclid(views::HOUR)).or_default() += amount;
            }
            let hours = hours.into_iter().map(|(hour, sum)| Ok((time(hour * views::HOUR)?, sum)));
            hours.collect::<Result<_, String>>().map_err(Failure::unstorable)
        })
        .await
    }

    async fn deliveries_of(
        &self,
        receiver: &str,
        group_key: &str,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let (receiver, group_key) = (receiver.to_owned(), group_key.to_owned());
        self.read(move |conn| {
            let sql = format!(
                "SELECT {} FROM deliveries INDEXED BY deliveries_receiver \
                 WHERE receiver = ?1 AND group_key = ?2 \
                 AND n > (SELECT coalesce(max(n), 0) FROM deliveries) - ?3 \
                 ORDER BY n DESC LIMIT ?4",
                deliveries::COLUMNS
            );
            deliveries::collect(conn, &sql, &[&receiver, &group_key, &LOOK_BACK, &rows(limit)])
        })
        .await
    }

    async fn events_of(
        &self,
        account: &str,
        kinds: Vec<String>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let (account, since) = (account.to_owned(), micros(since));
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {} FROM inbox \
                 WHERE seq > (SELECT coalesce(max(seq), 0) FROM inbox) - ?1 ORDER BY seq DESC",
                inbox::COLUMNS
            ))?;
            let mut found = statement.query([EVENTS_LOOK_BACK])?;
            let mut events = Vec::new();
            while let Some(row) = found.next()? {
                // From the newest back: what was taken in before is not of interest, a clock's step aside.
                if row.get::<_, i64>(6)? < since || events.len() >= limit {
                    break;
                }
                let is = |index: usize| -> Result<&str, Failure> {
                    let text = row.get_ref(index)?;
                    text.as_str().map_err(|error| Failure::unstorable(error.to_string()))
                };
                let of_account = is(2)? == account;
                if of_account && kinds.iter().any(|kind| is(3).is_ok_and(|it| it == kind)) {
                    // What cannot be read back the engine has told already.
                    events.extend(inbox::stored(row).ok());
                }
            }
            events.reverse();
            Ok(events)
        })
        .await
    }

    async fn firing_of(&self, alertname: &str, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let alertname = alertname.to_owned();
        self.read(move |conn| alerts::firing_of(conn, &alertname, limit)).await
    }

    async fn last_judgements(
        &self,
        rule: Option<&str>,
    ) -> Result<Vec<(Judgement, Timestamp)>, StoreError> {
        let rule = rule.map(str::to_owned);
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "WITH recent AS (SELECT seq, rule FROM judgements ORDER BY seq DESC, n DESC LIMIT ?1), \
                 last AS (SELECT rule, max(seq) AS seq FROM recent WHERE ?2 IS NULL OR rule = ?2 \
                 GROUP BY rule) \
                 SELECT seq, judged.rule, outcome, fingerprint, detail, config, received_at \
                 FROM last JOIN judgements AS judged USING (seq, rule) JOIN inbox USING (seq) \
                 ORDER BY judged.rule, n",
            )?;
            let mut found = statement.query((LOOK_BACK, &rule))?;
            let mut judged: Vec<(Judgement, Timestamp)> = Vec::new();
            while let Some(row) = found.next()? {
                let judgement = Judgement {
                    seq: row.get(0)?,
                    rule: row.get(1)?,
                    outcome: row.get(2)?,
                    fingerprint: row.get(3)?,
                    detail: row.get(4)?,
                    config: row.get(5)?,
                };
                let at = time(row.get(6)?).map_err(Failure::unstorable)?;
                // Of several of one event the last.
                judged.pop_if(|(before, _)| before.rule == judgement.rule);
                judged.push((judgement, at));
            }
            Ok(judged)
        })
        .await
    }

    async fn pauses(&self, now: Timestamp) -> Result<Vec<Pause>, StoreError> {
        let now = micros(now);
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, paused_until, reason FROM integrations WHERE paused_until > ?1 ORDER BY id",
            )?;
            let mut found = statement.query([now])?;
            let mut pauses = Vec::new();
            while let Some(row) = found.next()? {
                pauses.push(Pause {
                    integration: row.get(0)?,
                    until: time(row.get(1)?).map_err(Failure::unstorable)?,
                    reason: row.get(2)?,
                });
            }
            Ok(pauses)
        })
        .await
    }
}
