//! Which deliveries may be sent now, and what becomes of them when they are claimed.
//!
//! A look reads what is due with all that its message is composed of; the claim writes what was composed. Nothing is
//! parsed or rendered while the write lock is held.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::deliveries::{self, BEHIND, COLUMNS};
use super::failure::Failure;
use super::{Sqlite, json, micros, notification_log, rows, silences, state, time};
use crate::alerts::{Alert, Fingerprint, Group, TargetId};
use crate::clock;
use crate::store::operations;
use crate::store::{
    Claim, Claimed, Content, DeliveryState, DueDeliveries, DueDelivery, StoreError,
};

#[async_trait]
impl operations::Claims for Sqlite {
    async fn due(
        &self,
        integration: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<DueDeliveries, StoreError> {
        let integration = integration.to_owned();
        self.read(move |conn| {
            // One snapshot: what is composed is the state of one moment.
            let tx = conn.unchecked_transaction()?;
            let due = due(&tx, &integration, micros(now), limit)?;
            Ok(DueDeliveries { silences: silences::version(&tx)?, ..due })
        })
        .await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<i64>, StoreError> {
        let now = micros(claim.now);
        let lease_until = micros(clock::add(claim.now, claim.lease));
        let prepared = claim.deliveries.into_iter().map(|(n, claimed)| match claimed {
            Claimed::Sent { content, unanswered } => {
                let unanswered = unanswered.map(|entry| json(&entry)).transpose()?;
                Ok((n, Prepared::Sent { content, unanswered }))
            }
            Claimed::Superseded(detail) => Ok((n, Prepared::Superseded(detail))),
            Claimed::Dead(detail) => Ok((n, Prepared::Dead(detail))),
        });
        let prepared = prepared.collect::<Result<Vec<_>, StoreError>>()?;
        self.write(move |tx, _| {
            if silences::version(tx)? != claim.silences {
                return Err(StoreError::Stale(0).into());
            }
            let mut claimed = Vec::new();
            for (n, what) in &prepared {
                if what.apply(tx, *n, now, lease_until)? {
                    claimed.push(*n);
                }
            }
            Ok(claimed)
        })
        .await
    }

    async fn next_due(&self, integration: &str) -> Result<Option<Timestamp>, StoreError> {
        let integration = integration.to_owned();
        self.read(move |conn| {
            let due_at: Option<i64> =
                conn.prepare_cached(&next_due_sql())?.query_row([integration], |row| row.get(0))?;
            due_at.map(time).transpose().map_err(Failure::unstorable)
        })
        .await
    }
}

/// That the receiver of the integration `?1` is not paused: an integration has one. Asked once, not for each row.
const NOT_PAUSED: &str = "NOT EXISTS (SELECT 1 FROM receiver_pauses WHERE receiver_pauses.receiver = \
     (SELECT open.receiver FROM deliveries AS open INDEXED BY deliveries_due \
      WHERE open.integration = ?1 AND open.finished_at IS NULL LIMIT 1))";

/// The earliest time at which something is due; none while the receiver is paused.
pub(super) fn next_due_sql() -> String {
    format!(
        "SELECT min(due_at) FROM deliveries INDEXED BY deliveries_due \
         WHERE integration = ?1 AND finished_at IS NULL AND {NOT_PAUSED}"
    )
}

/// What is due, longest due first; nothing while the receiver is paused.
pub(super) fn due_sql() -> String {
    format!(
        "SELECT {COLUMNS}, n, revision, by_hand, \
         (SELECT digest FROM contents WHERE contents.n = deliveries.content) \
         FROM deliveries INDEXED BY deliveries_due \
         WHERE integration = ?1 AND finished_at IS NULL AND due_at <= ?2 AND {NOT_PAUSED} \
         ORDER BY due_at LIMIT ?3"
    )
}

fn due(
    conn: &Connection,
    integration: &str,
    now: i64,
    limit: usize,
) -> Result<DueDeliveries, Failure> {
    let mut statement = conn.prepare_cached(&due_sql())?;
    let mut found = statement.query((integration, now, rows(limit)))?;
    let mut due = DueDeliveries::default();
    let mut shared = Shared::default();
    while let Some(row) = found.next()? {
        match one(conn, row, &mut shared) {
            Ok(one) => due.deliveries.push(one),
            Err(failure) if failure.is_own_fault() => {
                due.unreadable.push((row.get(BEHIND)?, StoreError::from(failure).to_string()));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(due)
}

/// What the targets of one look share.
#[derive(Default)]
struct Shared {
    groups: BTreeMap<String, Option<Arc<Group>>>,
    alerts: BTreeMap<Fingerprint, Option<Arc<Alert>>>,
}

impl Shared {
    fn group(&mut self, conn: &Connection, key: &str) -> Result<Option<Arc<Group>>, Failure> {
        if let Some(group) = self.groups.get(key) {
            return Ok(group.clone());
        }
        let group = state::group(conn, key)?.map(Arc::new);
        self.groups.insert(key.to_owned(), group.clone());
        Ok(group)
    }

    fn alert(
        &mut self,
        conn: &Connection,
        fingerprint: &Fingerprint,
    ) -> Result<Option<Arc<Alert>>, Failure> {
        if let Some(alert) = self.alerts.get(fingerprint) {
            return Ok(alert.clone());
        }
        let alert = state::alert(conn, fingerprint)?.map(Arc::new);
        self.alerts.insert(fingerprint.clone(), alert.clone());
        Ok(alert)
    }
}

/// All that the message of a row is composed of.
fn one(conn: &Connection, row: &Row<'_>, shared: &mut Shared) -> Result<DueDelivery, Failure> {
    let delivery = deliveries::delivery(row).map_err(Failure::unstorable)?;
    let n: i64 = row.get(BEHIND)?;
    let target = TargetId::new(delivery.integration.clone(), delivery.target.clone());
    let entry = notification_log::entry(conn, &delivery.group_key, &target)?;
    let by_hand: bool = row.get(BEHIND + 2)?;
    let group = shared.group(conn, &delivery.group_key)?;
    let members = group.iter().flat_map(|group| group.members.iter());
    let firing = members.filter(|(_, member)| !member.over).map(|(one, _)| one);
    let known = entry.iter().flat_map(|entry| entry.maybe_known().map(|(one, _)| one));
    // Whoever asked for it to be tried again may get what it said last, brought up to date.
    let last = delivery.message.iter().filter(|_| by_hand || group.is_none());
    let last = last.flat_map(|message| message.alerts.iter().map(|alert| &alert.fingerprint));
    let mut alerts = BTreeMap::new();
    for fingerprint in firing.chain(known).chain(last) {
        if let Some(alert) = shared.alert(conn, fingerprint)? {
            alerts.insert(fingerprint.clone(), alert);
        }
    }
    let original = match &delivery.fallback_of {
        Some(original) => conn
            .prepare_cached("SELECT receiver, state = 'delivered' FROM deliveries WHERE id = ?1")?
            .query_row([original], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?,
        None => None,
    };
    let cut_off = delivery.state == DeliveryState::Sending || row.get::<_, i64>(13)? == 1;
    Ok(DueDelivery {
        n,
        cut_off,
        digest: row.get(BEHIND + 3)?,
        revision: row.get(BEHIND + 1)?,
        by_hand,
        original,
        group,
        alerts,
        entry,
        delivery,
    })
}

/// [`Claimed`], with everything already text.
enum Prepared {
    Sent { content: Content, unanswered: Option<Vec<u8>> },
    Superseded(String),
    Dead(String),
}

impl Prepared {
    /// Whether the delivery was still due.
    fn apply(&self, tx: &Connection, n: i64, now: i64, lease_until: i64) -> Result<bool, Failure> {
        match self {
            Self::Superseded(detail) => end(tx, n, now, ("superseded", "settled", detail)),
            Self::Dead(detail) => end(tx, n, now, ("dead", "other", detail)),
            Self::Sent { content, unanswered } => {
                let content_n: i64 = tx
                    .prepare_cached(
                        "INSERT INTO contents (digest, composed_at, message) VALUES (?1, ?2, ?3) \
                         ON CONFLICT (digest) DO UPDATE SET composed_at = excluded.composed_at RETURNING n",
                    )?
                    .query_row((&content.digest, now, &content.message), |row| row.get(0))?;
                let claimed = tx
                    .prepare_cached(
                        "UPDATE deliveries SET attempts = attempts + 1, due_at = ?3, \
                         maybe_repeated = CASE WHEN maybe_repeated OR state = 'sending' THEN 2 ELSE 0 END, \
                         state = 'sending', content = ?4, revision = ?5, why = ?6 \
                         WHERE n = ?1 AND finished_at IS NULL AND due_at <= ?2 AND NOT EXISTS \
                         (SELECT 1 FROM receiver_pauses AS held WHERE held.receiver = deliveries.receiver) \
                         RETURNING group_key, integration, target, attempts",
                    )?
                    .query_row((n, now, lease_until, content_n, content.revision, content.why), |row| {
                        let target = TargetId { integration: row.get(1)?, target: row.get(2)? };
                        Ok((row.get::<_, String>(0)?, target, row.get::<_, u32>(3)?))
                    })
                    .optional()?;
                let Some((group_key, target, attempt)) = claimed else { return Ok(false) };
                if let Some(entry) = unanswered {
                    notification_log::put(tx, &group_key, &target, (n, attempt), entry)?;
                }
                Ok(true)
            }
        }
    }
}

fn end(
    tx: &Connection,
    n: i64,
    now: i64,
    (state, reason, detail): (&str, &str, &str),
) -> Result<bool, Failure> {
    let ended = tx
        .prepare_cached(
            "UPDATE deliveries SET state = ?3, finished_at = ?2, reason = ?4, detail = ?5 \
             WHERE n = ?1 AND finished_at IS NULL AND due_at <= ?2",
        )?
        .execute((n, now, state, reason, detail))?;
    Ok(ended > 0)
}
