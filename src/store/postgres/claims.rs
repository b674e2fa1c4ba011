//! Which deliveries may be sent now, and what becomes of them when they are claimed.
//!
//! A look reads what is due with all that its message is composed of; the claim writes what was composed. Only who holds
//! the lease of an integration claims from it, so its pace and its concurrency hold across replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::deliveries::{self, BEHIND, COLUMNS};
use super::failure::Failure;
use super::link::Lent;
use super::sql::{params, text};
use super::values::{column, signed, unsigned};
use super::{Postgres, alerts, notification_log, silences, state};
use crate::alerts::{Alert, Fingerprint, Group, LogEntry, TargetId};
use crate::clock;
use crate::store::operations;
use crate::store::values::{json, micros, rows, time};
use crate::store::{
    Claim, Claimed, Content, Delivery, DeliveryState, DueDeliveries, DueDelivery, Role, StoreError,
};

#[async_trait]
impl operations::Claims for Postgres {
    async fn due(
        &self,
        integration: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<DueDeliveries, StoreError> {
        // One snapshot: what is composed is the state of one moment.
        let tx = self.link.begin_reading().await?;
        let due = due(&tx, integration, micros(now), limit).await?;
        tx.commit().await?;
        Ok(due)
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<i64>, StoreError> {
        let now = micros(claim.now);
        let lease_until = micros(clock::add(claim.now, claim.lease));
        let tx = self.link.begin().await?;
        if !self.duties.hold(&tx, &Role::Send(claim.integration.clone()), None).await? {
            // Another sends what is due there.
            return Ok(tx.refuse(StoreError::Stale(0)).await?);
        }
        if silences::version_held(&tx).await? != claim.silences {
            return Ok(tx.refuse(StoreError::Stale(0)).await?);
        }
        let mut claimed = Vec::new();
        for (n, what) in &claim.deliveries {
            let applied = match what {
                Claimed::Superseded(detail) => {
                    end(&tx, *n, now, ("superseded", "settled", detail)).await?
                }
                Claimed::Dead(detail) => end(&tx, *n, now, ("dead", "other", detail)).await?,
                Claimed::Sent { content, unanswered } => {
                    let unanswered = unanswered.as_ref().map(json).transpose()?;
                    let times = (now, lease_until);
                    send(&tx, *n, times, content, unanswered.as_deref()).await?
                }
            };
            if applied {
                claimed.push(*n);
            }
        }
        tx.commit().await?;
        Ok(claimed)
    }

    async fn next_due(&self, integration: &str) -> Result<Option<Timestamp>, StoreError> {
        let sql = format!(
            "SELECT min(due_at) FROM ~deliveries \
             WHERE integration = $1 AND finished_at IS NULL AND {NOT_PAUSED}"
        );
        let found = self.link.query(&sql, params![text(integration)]).await?;
        let due_at = found.first().map_or(Ok(None), |row| column::<Option<i64>>(row, 0));
        let due_at = due_at.map_err(Failure::unstorable)?;
        Ok(due_at.map(time).transpose().map_err(Failure::unstorable)?)
    }
}

/// That the receiver of the integration `$1` is not paused: an integration has one. Asked once, not for each row.
const NOT_PAUSED: &str = "NOT EXISTS (SELECT 1 FROM ~receiver_pauses AS pauses WHERE pauses.receiver = \
     (SELECT open.receiver FROM ~deliveries AS open \
      WHERE open.integration = $1 AND open.finished_at IS NULL LIMIT 1))";

/// A row that is due, as far as it can be read by itself.
struct Found {
    n: i64,
    delivery: Delivery,
    revision: u32,
    by_hand: bool,
    cut_off: bool,
    digest: Option<Vec<u8>>,
    entry: Option<LogEntry>,
    original: Option<(String, bool)>,
}

async fn due(
    tx: &Lent<'_>,
    integration: &str,
    now: i64,
    limit: usize,
) -> Result<DueDeliveries, Failure> {
    let sql = format!(
        "SELECT {COLUMNS}, deliveries.n, deliveries.revision, deliveries.by_hand, contents.digest, \
         log.entry, original.receiver, original.state = 'delivered' \
         FROM ~deliveries AS deliveries {joins} \
         LEFT JOIN ~notification_log AS log ON log.group_key = deliveries.group_key \
           AND log.integration = deliveries.integration AND log.target = deliveries.target \
         LEFT JOIN ~deliveries AS original ON original.id = deliveries.fallback_of \
         WHERE deliveries.integration = $1 AND deliveries.finished_at IS NULL \
         AND deliveries.due_at <= $2 AND {NOT_PAUSED} ORDER BY deliveries.due_at, deliveries.n LIMIT $3",
        joins = deliveries::JOINS
    );
    let mut due = DueDeliveries::default();
    let mut readable = Vec::new();
    for row in tx.query(&sql, params![text(integration), now, rows(limit)]).await? {
        match found(&row) {
            Ok(found) => readable.push(found),
            Err(why) => {
                let n = column(&row, BEHIND).map_err(Failure::unstorable)?;
                let why = StoreError::Unstorable(why).to_string();
                due.unreadable.push((n, why));
            }
        }
    }
    let keys: BTreeSet<String> =
        readable.iter().map(|found| found.delivery.group_key.clone()).collect();
    let groups = state::groups(tx, &keys).await?;
    let groups: BTreeMap<String, Arc<Group>> =
        groups.into_iter().map(|(key, group)| (key, Arc::new(group))).collect();
    let wanted: Vec<BTreeSet<Fingerprint>> = readable
        .iter()
        .map(|found| needed(found, groups.get(&found.delivery.group_key).map(Arc::as_ref)))
        .collect();
    let known = alerts::known(tx, &wanted.iter().flatten().cloned().collect()).await?;
    let known: BTreeMap<Fingerprint, Arc<Alert>> =
        known.into_iter().map(|(one, alert)| (one, Arc::new(alert))).collect();
    for (found, wanted) in readable.into_iter().zip(wanted) {
        let alerts: BTreeMap<Fingerprint, Arc<Alert>> = wanted
            .into_iter()
            .filter_map(|one| known.get(&one).cloned().map(|alert| (one, alert)))
            .collect();
        let group = groups.get(&found.delivery.group_key).cloned();
        let Found { n, delivery, revision, by_hand, cut_off, digest, entry, original } = found;
        due.deliveries.push(DueDelivery {
            n,
            delivery,
            cut_off,
            digest,
            revision,
            by_hand,
            original,
            group,
            alerts,
            entry,
        });
    }
    due.silences = silences::version(tx).await?;
    Ok(due)
}

fn found(row: &Row) -> Result<Found, String> {
    let delivery = deliveries::delivery(row)?;
    let repeated: i32 = column(row, 13)?;
    let receiver: Option<String> = column(row, BEHIND + 5)?;
    let reached: Option<bool> = column(row, BEHIND + 6)?;
    let entry: Option<&[u8]> = column(row, BEHIND + 4)?;
    Ok(Found {
        n: column(row, BEHIND)?,
        revision: unsigned(row, BEHIND + 1)?,
        by_hand: column(row, BEHIND + 2)?,
        digest: column(row, BEHIND + 3)?,
        cut_off: delivery.state == DeliveryState::Sending || repeated == 1,
        entry: entry.and_then(|bytes| notification_log::read(&delivery.group_key, bytes)),
        original: receiver.map(|receiver| (receiver, reached.unwrap_or(false))),
        delivery,
    })
}

/// The alerts that a delivery is composed of: those of its group, and those that its entry or its last message knows.
fn needed(found: &Found, group: Option<&Group>) -> BTreeSet<Fingerprint> {
    let members = group.into_iter().flat_map(|group| group.members.iter());
    let firing = members.filter(|(_, member)| !member.over).map(|(one, _)| one);
    let known = found.entry.iter().flat_map(|entry| entry.maybe_known().map(|(one, _)| one));
    // Whoever asked for it to be tried again may get what it said last, brought up to date.
    let last = found.delivery.message.iter().filter(|_| found.by_hand || group.is_none());
    let last = last.flat_map(|message| message.alerts.iter().map(|alert| &alert.fingerprint));
    firing.chain(known).chain(last).cloned().collect()
}

/// Whether the delivery was still due.
async fn send(
    tx: &Lent<'_>,
    n: i64,
    (now, lease_until): (i64, i64),
    content: &Content,
    unanswered: Option<&[u8]>,
) -> Result<bool, Failure> {
    let claimed = tx
        .first(
            "UPDATE ~deliveries AS deliveries SET attempts = attempts + 1, due_at = $3, \
             maybe_repeated = CASE WHEN maybe_repeated <> 0 OR state = 'sending' THEN 2 ELSE 0 END, \
             state = 'sending', revision = $4, why = $5 \
             WHERE n = $1 AND finished_at IS NULL AND due_at <= $2 AND NOT EXISTS (SELECT 1 \
               FROM ~receiver_pauses AS held WHERE held.receiver = deliveries.receiver) \
             RETURNING group_key, integration, target, attempts",
            params![n, now, lease_until, signed(content.revision), content.why],
        )
        .await?;
    let Some(claimed) = claimed else { return Ok(false) };
    tx.execute(
        "INSERT INTO ~contents AS kept (delivery, digest, message) VALUES ($1, $2, $3) \
         ON CONFLICT (delivery) DO UPDATE SET digest = excluded.digest, message = excluded.message \
         WHERE kept.digest <> excluded.digest",
        params![n, content.digest.as_slice(), content.message.as_slice()],
    )
    .await?;
    if let Some(entry) = unanswered {
        let read = |index| column::<String>(&claimed, index).map_err(Failure::unstorable);
        let target = TargetId { integration: read(1)?, target: read(2)? };
        let attempt = unsigned(&claimed, 3).map_err(Failure::unstorable)?;
        notification_log::put(tx, &read(0)?, &target, (n, attempt), entry).await?;
    }
    Ok(true)
}

async fn end(
    tx: &Lent<'_>,
    n: i64,
    now: i64,
    (state, reason, detail): (&str, &str, &str),
) -> Result<bool, Failure> {
    let ended = tx
        .execute(
            "UPDATE ~deliveries SET state = $3, finished_at = $2, reason = $4, detail = $5 \
             WHERE n = $1 AND finished_at IS NULL AND due_at <= $2",
            params![n, now, state, reason, text(detail)],
        )
        .await?;
    Ok(ended > 0)
}
