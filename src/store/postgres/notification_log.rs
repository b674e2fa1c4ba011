//! The notification log, and the ended deliveries that the engine is to take note of.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, text};
use super::values::{column, moment, signed};
use super::{Postgres, alerts, deliveries, pause, state};
use crate::alerts::{Alert, Fingerprint, LogEntry, TargetId};
use crate::store::operations;
use crate::store::values::{micros, rows};
use crate::store::{ENDED_ROWS, EndedDelivery, GroupRecord, KnownGroup, StoreError};

#[async_trait]
impl operations::NotificationLog for Postgres {
    async fn known_groups(
        &self,
        integration: &str,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<KnownGroup>, Option<String>), StoreError> {
        // One snapshot, so that groups, alerts and entries agree.
        let tx = self.link.begin_reading().await?;
        let known = known_groups(&tx, integration, after, limit).await?;
        tx.commit().await?;
        Ok(known)
    }

    async fn groups_of(&self, fingerprint: &Fingerprint) -> Result<Vec<GroupRecord>, StoreError> {
        let tx = self.link.begin_reading().await?;
        let sql = "SELECT left(key, length(key) - 17) FROM ~state \
             WHERE space = 'member' AND right(key, 16) = $1";
        let found = tx.query(sql, params![text(fingerprint.as_str())]).await?;
        let mut keys: BTreeSet<String> = found
            .iter()
            .map(|row| column(row, 0))
            .collect::<Result<_, _>>()
            .map_err(Failure::unstorable)?;
        let all = all(&tx).await?;
        let knows = |entry: &LogEntry| {
            entry.may_know(fingerprint).is_some() || entry.resolved.contains_key(fingerprint)
        };
        keys.extend(all.iter().filter(|(.., entry)| knows(entry)).map(|(key, ..)| key.clone()));
        let groups = state::groups(&tx, &keys).await?;
        tx.commit().await?;
        let record = |(key, group)| {
            let log = all.iter().filter(|(of, ..)| *of == key);
            let log = log.map(|(_, target, entry)| (target.clone(), entry.clone())).collect();
            GroupRecord { group, log }
        };
        Ok(groups.into_iter().map(record).collect())
    }

    async fn set_pause(
        &self,
        integration: &str,
        pause: Option<(Timestamp, String)>,
    ) -> Result<(), StoreError> {
        let id = text(integration);
        match pause {
            Some((until, reason)) => {
                self.link
                    .query(
                        "INSERT INTO ~integrations (id, paused_until, reason) VALUES ($1, $2, $3) \
                         ON CONFLICT (id) DO UPDATE SET paused_until = excluded.paused_until, \
                         reason = excluded.reason",
                        params![id, micros(until), text(&reason)],
                    )
                    .await?
            }
            None => self.link.query("DELETE FROM ~integrations WHERE id = $1", params![id]).await?,
        };
        Ok(())
    }

    async fn lift_pause(&self, integration: &str, now: Timestamp) -> Result<(), StoreError> {
        let tx = self.link.begin().await?;
        pause::lift(&tx, integration, now).await?;
        tx.commit().await?;
        self.tell_queued(true);
        Ok(())
    }
}

async fn known_groups(
    tx: &Lent<'_>,
    integration: &str,
    after: &str,
    limit: usize,
) -> Result<(Vec<KnownGroup>, Option<String>), Failure> {
    let sql = "SELECT log.group_key, log.entry, EXISTS (SELECT 1 FROM ~deliveries AS open \
           WHERE open.integration = log.integration AND open.target = log.target \
           AND open.group_key = log.group_key AND open.finished_at IS NULL) \
         FROM ~notification_log AS log WHERE log.integration = $1 AND log.group_key > $2 \
         ORDER BY log.group_key LIMIT $3";
    let found = tx.query(sql, params![text(integration), text(after), rows(limit)]).await?;
    let mut entries: BTreeMap<String, LogEntry> = BTreeMap::new();
    let mut last = None;
    for row in &found {
        let key: String = column(row, 0).map_err(Failure::unstorable)?;
        let is_open: bool = column(row, 2).map_err(Failure::unstorable)?;
        let entry = read(&key, column(row, 1).map_err(Failure::unstorable)?);
        if let Some(entry) = entry.filter(|entry| !entry.firing.is_empty() && !is_open) {
            entries.insert(key.clone(), entry);
        }
        last = Some(key);
    }
    let groups = state::groups(tx, &entries.keys().cloned().collect()).await?;
    let wanted: BTreeSet<Fingerprint> =
        entries.values().flat_map(|entry| entry.firing.keys().cloned()).collect();
    let alerts = alerts::known(tx, &wanted).await?;
    let mut known = Vec::new();
    for (key, group) in groups {
        let Some(entry) = entries.remove(&key) else { continue };
        let firing = entry.firing.keys().filter_map(|one| {
            let alert = alerts.get(one).filter(|alert| Alert::is_firing(alert))?;
            Some((one.clone(), alert.clone()))
        });
        known.push(KnownGroup { group, alerts: firing.collect(), entry });
    }
    Ok((known, last.filter(|_| found.len() >= limit)))
}

/// Writes an entry, unless a later attempt has written it.
pub(super) async fn put(
    tx: &Lent<'_>,
    group_key: &str,
    target: &TargetId,
    (delivery, attempt): (i64, u32),
    entry: &[u8],
) -> Result<(), Failure> {
    tx.execute(
        "INSERT INTO ~notification_log AS kept (group_key, integration, target, delivery, attempt, entry) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (group_key, integration, target) DO UPDATE SET delivery = excluded.delivery, \
         attempt = excluded.attempt, entry = excluded.entry \
         WHERE (excluded.delivery, excluded.attempt) >= (kept.delivery, kept.attempt)",
        params![
            text(group_key),
            text(&target.integration),
            text(&target.target),
            delivery,
            signed(attempt),
            entry
        ],
    )
    .await?;
    Ok(())
}

/// All entries.
pub(super) async fn all(tx: &Lent<'_>) -> Result<Vec<(String, TargetId, LogEntry)>, Failure> {
    let sql = "SELECT group_key, integration, target, entry FROM ~notification_log \
         ORDER BY group_key, integration, target";
    let mut entries = Vec::new();
    for row in tx.query(sql, params![]).await? {
        let (key, target) = named(&row).map_err(Failure::unstorable)?;
        let entry = column(&row, 3).map_err(Failure::unstorable)?;
        if let Some(entry) = read(&key, entry) {
            entries.push((key, target, entry));
        }
    }
    Ok(entries)
}

/// The group and the target, which are the first columns.
fn named(row: &tokio_postgres::Row) -> Result<(String, TargetId), String> {
    Ok((column(row, 0)?, TargetId { integration: column(row, 1)?, target: column(row, 2)? }))
}

/// Ended deliveries that the engine has not taken note of, in the order in which they were opened.
pub(super) async fn unnoted(tx: &Lent<'_>) -> Result<Vec<EndedDelivery>, Failure> {
    let sql = "SELECT group_key, integration, target, n, state, finished_at, \
           (SELECT log.entry FROM ~notification_log AS log WHERE log.group_key = ended.group_key \
             AND log.integration = ended.integration AND log.target = ended.target), id \
         FROM ~deliveries AS ended WHERE finished_at IS NOT NULL AND NOT noted ORDER BY n LIMIT $1";
    let one = |row: &tokio_postgres::Row| -> Result<_, String> {
        let (group_key, target) = named(row)?;
        let entry: Option<&[u8]> = column(row, 6)?;
        Ok(EndedDelivery {
            n: column(row, 3)?,
            id: column(row, 7)?,
            state: deliveries::state(column(row, 4)?)?,
            finished_at: moment(row, 5)?,
            entry: entry.and_then(|bytes| read(&group_key, bytes)),
            group_key,
            target,
        })
    };
    let found = tx.query(sql, params![rows(ENDED_ROWS)]).await?;
    found.iter().map(|row| one(row).map_err(Failure::unstorable)).collect()
}

/// [`Resumed::open`](crate::store::Resumed::open).
pub(super) async fn open(tx: &Lent<'_>) -> Result<Vec<(String, TargetId, String)>, Failure> {
    let sql = "SELECT group_key, integration, target, id, n, 0 AS ended FROM ~deliveries \
         WHERE finished_at IS NULL \
         UNION ALL SELECT group_key, integration, target, id, n, 1 FROM ~deliveries \
         WHERE finished_at IS NOT NULL AND NOT noted ORDER BY ended, n DESC";
    let one = |row: &tokio_postgres::Row| -> Result<_, String> {
        let (group_key, target) = named(row)?;
        Ok((group_key, target, column(row, 3)?))
    };
    let found = tx.query(sql, params![]).await?;
    found.iter().map(|row| one(row).map_err(Failure::unstorable)).collect()
}

/// One that cannot be read back is told in the log and counts as none: to be notified again is better than never.
pub(super) fn read(group_key: &str, bytes: &[u8]) -> Option<LogEntry> {
    match serde_json::from_slice(bytes) {
        Ok(entry) => Some(entry),
        Err(error) => {
            tracing::error!(group_key, %error, "an entry of the notification log cannot be read back");
            None
        }
    }
}
