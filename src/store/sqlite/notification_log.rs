//! The notification log, and the ended deliveries that the engine is to take note of.

use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::failure::Failure;
use super::{Sqlite, deliveries, micros, pause, rows, state, time};
use crate::alerts::{Alert, Fingerprint, LogEntry, TargetId};
use crate::store::operations;
use crate::store::{ENDED_ROWS, EndedDelivery, GroupRecord, KnownGroup, StoreError};

/// The first ended deliveries that the engine has not taken note of.
pub(super) const UNNOTED: &str = "SELECT n, group_key, integration, target, state, finished_at, id \
     FROM deliveries WHERE finished_at IS NOT NULL AND noted = 0 ORDER BY n LIMIT ?1";

#[async_trait]
impl operations::NotificationLog for Sqlite {
    async fn known_groups(
        &self,
        integration: &str,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<KnownGroup>, Option<String>), StoreError> {
        let (integration, after) = (integration.to_owned(), after.to_owned());
        self.read(move |conn| {
            // One snapshot, so that groups, alerts and entries agree.
            let tx = conn.unchecked_transaction()?;
            known_groups(&tx, &integration, &after, limit)
        })
        .await
    }

    async fn groups_of(&self, fingerprint: &Fingerprint) -> Result<Vec<GroupRecord>, StoreError> {
        let fingerprint = fingerprint.clone();
        self.read(move |conn| {
            let tx = conn.unchecked_transaction()?;
            let mut keys: BTreeSet<String> = tx
                .prepare_cached(
                    "SELECT substr(key, 1, length(key) - 17) FROM state \
                     WHERE space = 'member' AND substr(key, -16) = ?1",
                )?
                .query_map([fingerprint.as_str()], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let all = all(&tx)?;
            let knows = |entry: &LogEntry| {
                entry.may_know(&fingerprint).is_some() || entry.resolved.contains_key(&fingerprint)
            };
            keys.extend(all.iter().filter(|(.., entry)| knows(entry)).map(|(key, ..)| key.clone()));
            let mut records = Vec::new();
            for key in keys {
                let Some(group) = state::group(&tx, &key)? else { continue };
                let log = all.iter().filter(|(of, ..)| *of == key);
                let log = log.map(|(_, target, entry)| (target.clone(), entry.clone())).collect();
                records.push(GroupRecord { group, log });
            }
            Ok(records)
        })
        .await
    }

    async fn set_pause(
        &self,
        integration: &str,
        pause: Option<(Timestamp, String)>,
    ) -> Result<(), StoreError> {
        let id = integration.to_owned();
        self.write(move |tx, _| {
            match pause {
                Some((until, reason)) => tx
                    .prepare_cached(
                        "INSERT INTO integrations (id, paused_until, reason) VALUES (?1, ?2, ?3) \
                         ON CONFLICT (id) DO UPDATE SET paused_until = excluded.paused_until, \
                         reason = excluded.reason",
                    )?
                    .execute((id, micros(until), reason))?,
                None => {
                    tx.prepare_cached("DELETE FROM integrations WHERE id = ?1")?.execute([id])?
                }
            };
            Ok(())
        })
        .await
    }

    async fn lift_pause(&self, integration: &str, now: Timestamp) -> Result<(), StoreError> {
        let id = integration.to_owned();
        self.write(move |tx, effects| {
            pause::lift(tx, &id, now)?;
            effects.queued = true;
            Ok(())
        })
        .await
    }
}

fn known_groups(
    conn: &Connection,
    integration: &str,
    after: &str,
    limit: usize,
) -> Result<(Vec<KnownGroup>, Option<String>), Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT group_key, entry, EXISTS (SELECT 1 FROM deliveries \
         WHERE deliveries.integration = notification_log.integration \
         AND deliveries.target = notification_log.target \
         AND deliveries.group_key = notification_log.group_key AND finished_at IS NULL) \
         FROM notification_log WHERE integration = ?1 AND group_key > ?2 ORDER BY group_key LIMIT ?3",
    )?;
    let mut found = statement.query((integration, after, rows(limit)))?;
    let (mut known, mut last, mut count) = (Vec::new(), None, 0);
    while let Some(row) = found.next()? {
        let key: String = row.get(0)?;
        let entry = read(&key, row.get_ref(1)?.as_blob().map_err(Failure::column)?);
        let is_open: bool = row.get(2)?;
        count += 1;
        if let Some(entry) = entry.filter(|entry| !entry.firing.is_empty() && !is_open)
            && let Some(group) = state::group(conn, &key)?
        {
            let mut alerts = BTreeMap::new();
            for fingerprint in entry.firing.keys() {
                if let Some(alert) = state::alert(conn, fingerprint)?.filter(Alert::is_firing) {
                    alerts.insert(fingerprint.clone(), alert);
                }
            }
            known.push(KnownGroup { group, alerts, entry });
        }
        last = Some(key);
    }
    Ok((known, last.filter(|_| count >= limit)))
}

/// The entry of a group and target.
pub(super) fn entry(
    conn: &Connection,
    group_key: &str,
    target: &TargetId,
) -> Result<Option<LogEntry>, Failure> {
    let bytes: Option<Vec<u8>> = conn
        .prepare_cached(
            "SELECT entry FROM notification_log \
             WHERE group_key = ?1 AND integration = ?2 AND target = ?3",
        )?
        .query_row((group_key, &target.integration, &target.target), |row| row.get(0))
        .optional()?;
    Ok(bytes.and_then(|bytes| read(group_key, &bytes)))
}

/// Writes an entry, unless a later attempt has written it.
pub(super) fn put(
    tx: &Connection,
    group_key: &str,
    target: &TargetId,
    (delivery, attempt): (i64, u32),
    entry: &[u8],
) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT INTO notification_log (group_key, integration, target, delivery, attempt, entry) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (group_key, integration, target) DO UPDATE SET delivery = excluded.delivery, \
         attempt = excluded.attempt, entry = excluded.entry \
         WHERE (excluded.delivery, excluded.attempt) >= (delivery, attempt)",
    )?
    .execute((group_key, &target.integration, &target.target, delivery, attempt, entry))?;
    Ok(())
}

/// All entries.
pub(super) fn all(conn: &Connection) -> Result<Vec<(String, TargetId, LogEntry)>, Failure> {
    let mut statement =
        conn.prepare_cached("SELECT group_key, integration, target, entry FROM notification_log")?;
    let mut found = statement.query(())?;
    let mut entries = Vec::new();
    while let Some(row) = found.next()? {
        let key: String = row.get(0)?;
        let target = TargetId { integration: row.get(1)?, target: row.get(2)? };
        if let Some(entry) = read(&key, row.get_ref(3)?.as_blob().map_err(Failure::column)?) {
            entries.push((key, target, entry));
        }
    }
    Ok(entries)
}

/// Drops the entries of a group that is over.
pub(super) fn forget(tx: &Connection, group_key: &str) -> Result<(), Failure> {
    tx.prepare_cached("DELETE FROM notification_log WHERE group_key = ?1")?.execute([group_key])?;
    Ok(())
}

/// Ended deliveries that the engine has not taken note of, in the order in which they were opened.
pub(super) fn unnoted(conn: &Connection) -> Result<Vec<EndedDelivery>, Failure> {
    let mut statement = conn.prepare_cached(UNNOTED)?;
    let mut found = statement.query([rows(ENDED_ROWS)])?;
    let mut ended = Vec::new();
    while let Some(row) = found.next()? {
        let group_key: String = row.get(1)?;
        let target = TargetId { integration: row.get(2)?, target: row.get(3)? };
        ended.push(EndedDelivery {
            n: row.get(0)?,
            id: row.get(6)?,
            state: deliveries::state(&row.get::<_, String>(4)?).map_err(Failure::unstorable)?,
            finished_at: time(row.get(5)?).map_err(Failure::unstorable)?,
            entry: entry(conn, &group_key, &target)?,
            group_key,
            target,
        });
    }
    Ok(ended)
}

/// [`Resumed::open`](crate::store::Resumed::open).
pub(super) fn open(conn: &Connection) -> Result<Vec<(String, TargetId, String)>, Failure> {
    let sql = "SELECT group_key, integration, target, id, n, 0 AS ended FROM deliveries \
         WHERE finished_at IS NULL \
         UNION ALL SELECT group_key, integration, target, id, n, 1 FROM deliveries \
         WHERE finished_at IS NOT NULL AND noted = 0 ORDER BY ended, n DESC";
    let open = conn
        .prepare_cached(sql)?
        .query_map((), |row| {
            let target = TargetId { integration: row.get(1)?, target: row.get(2)? };
            Ok((row.get(0)?, target, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    Ok(open)
}

/// One that cannot be read back is logged and counts as none: to be notified again is better than never.
fn read(group_key: &str, bytes: &[u8]) -> Option<LogEntry> {
    match serde_json::from_slice(bytes) {
        Ok(entry) => Some(entry),
        Err(error) => {
            tracing::error!(group_key, %error, "an entry of the notification log cannot be read back");
            None
        }
    }
}
