//! Deliveries as rows: queued, listed, tried again by hand.

use std::borrow::Cow;
use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::failure::Failure;
use super::link::{Lent, Link};
use super::sql::{params, some_text, text};
use super::values::{column, moment, signed, some_moment, unsigned};
use super::{Postgres, pause};
use crate::store::operations;
use crate::store::values::{micros, rows};
use crate::store::{
    Attempt, CANCELLED, Delivery, DeliveryFilter, DeliveryState, ID_PREFIX_MIN, NewDelivery,
    RETRY_ROWS, Retried, Retry, StoreError,
};

/// The columns that [`delivery`] reads, in its order; they need [`JOINS`].
pub(super) const COLUMNS: &str = "deliveries.id, deliveries.integration, deliveries.receiver, \
     deliveries.target, deliveries.group_key, deliveries.state, deliveries.attempts, \
     deliveries.created_at, deliveries.due_at, deliveries.finished_at, deliveries.reason, \
     deliveries.detail, deliveries.fallback_of, deliveries.maybe_repeated, contents.message, \
     coalesce(held.until, paused.paused_until), \
     coalesce('by ' || held.who || ': ' || held.comment, paused.reason)";

/// What [`COLUMNS`] are read from, behind the deliveries.
pub(super) const JOINS: &str = "LEFT JOIN ~contents AS contents ON contents.delivery = deliveries.n \
     LEFT JOIN ~integrations AS paused ON paused.id = deliveries.integration \
     LEFT JOIN ~receiver_pauses AS held ON held.receiver = deliveries.receiver";

/// The first column behind [`COLUMNS`].
pub(super) const BEHIND: usize = 17;

#[async_trait]
impl operations::Deliveries for Postgres {
    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        let state = match filter.state {
            Some(DeliveryState::Dead) => "AND deliveries.state = 'dead'",
            Some(DeliveryState::Pending) => {
                "AND deliveries.finished_at IS NULL AND deliveries.state = 'pending'"
            }
            Some(DeliveryState::Sending) => {
                "AND deliveries.finished_at IS NULL AND deliveries.state = 'sending'"
            }
            Some(DeliveryState::Delivered) => "AND deliveries.state = 'delivered'",
            Some(DeliveryState::Superseded) => "AND deliveries.state = 'superseded'",
            None => "",
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM ~deliveries AS deliveries {JOINS} \
             WHERE ($1::text IS NULL OR deliveries.receiver = $1) {state} AND deliveries.n < $3 \
             ORDER BY deliveries.n DESC LIMIT $2"
        );
        let receiver = some_text(filter.receiver.as_ref());
        let tx = self.link.begin_reading().await?;
        let before = match &filter.before {
            // Behind one that is gone there is nothing: it was older than all that is left.
            Some(id) => by_id(&tx, id).await?.unwrap_or(0),
            None => i64::MAX,
        };
        let found = tx.query(&sql, params![receiver, rows(filter.limit), before]).await?;
        tx.commit().await?;
        let mut found = readable(&found)?;
        let names = alertnames(&self.link, &found).await?;
        for delivery in &mut found {
            delivery.alertname = alertname(delivery, &names);
        }
        Ok(found)
    }

    async fn delivery(&self, id: &str) -> Result<Option<(Delivery, Vec<Attempt>)>, StoreError> {
        let tx = self.link.begin_reading().await?;
        let Some(n) = by_id(&tx, id).await? else {
            tx.commit().await?;
            return Ok(None);
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM ~deliveries AS deliveries {JOINS} WHERE deliveries.n = $1"
        );
        let found = tx.first(&sql, params![n]).await?;
        let attempts = attempts(&tx, n).await?;
        tx.commit().await?;
        let found = found.map(|row| delivery(&row)).transpose().map_err(Failure::unstorable)?;
        let Some(mut found) = found else { return Ok(None) };
        let names = alertnames(&self.link, std::slice::from_ref(&found)).await?;
        found.alertname = alertname(&found, &names);
        Ok(Some((found, attempts)))
    }

    async fn cancel(
        &self,
        id: String,
        attempts: u32,
        why: String,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let tx = self.link.begin().await?;
        let sql = "UPDATE ~deliveries SET state = 'dead', finished_at = $3, reason = $4, \
             detail = $5, noted = false WHERE id = $1 AND state = 'pending' AND attempts = $2";
        let (attempts, now) = (signed(attempts), micros(now));
        let changed =
            tx.execute(sql, params![text(&id), attempts, now, CANCELLED, text(&why)]).await?;
        tx.commit().await?;
        Ok(changed > 0)
    }

    async fn retry(&self, selection: Retry, now: Timestamp) -> Result<Retried, StoreError> {
        let tx = self.link.begin_reading().await?;
        let mut retried = left_alone(&tx, &selection).await?;
        tx.commit().await?;
        loop {
            let tx = self.link.begin().await?;
            let revived = revive(&tx, &selection, now).await?;
            let waiting = hurry(&tx, &selection, now).await?;
            tx.commit().await?;
            self.tell_queued(waiting > 0);
            if revived < RETRY_ROWS {
                // Those that were revived before wait, too.
                retried.count = waiting;
                return Ok(retried);
            }
        }
    }
}

/// Opens deliveries and notes which events caused them; tells how many. Not those whose id is known, or that have one open
/// for the same group and target: that one will say what is owed.
pub(super) async fn open(tx: &Lent<'_>, new: &[NewDelivery]) -> Result<usize, Failure> {
    if new.is_empty() {
        return Ok(0);
    }
    let each = |read: fn(&NewDelivery) -> &String| -> Vec<_> {
        new.iter().map(|one| text(read(one))).collect()
    };
    let opened_at: Vec<i64> = new.iter().map(|one| micros(one.opened_at)).collect();
    let fallback_at: Vec<Option<i64>> = new.iter().map(|one| one.fallback_at.map(micros)).collect();
    let fallback_of: Vec<_> = new.iter().map(|one| some_text(one.fallback_of.as_ref())).collect();
    let added = tx
        .execute(
            "INSERT INTO ~deliveries (id, integration, receiver, target, group_key, created_at, \
             due_at, fallback_at, fallback_of) \
             SELECT id, integration, receiver, target, group_key, at, at, fallback_at, fallback_of \
             FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) WITH ORDINALITY \
             AS new (id, integration, receiver, target, group_key, at, fallback_at, fallback_of, place) \
             ORDER BY place ON CONFLICT DO NOTHING",
            params![
                each(|one| &one.id),
                each(|one| &one.target.integration),
                each(|one| &one.receiver),
                each(|one| &one.target.target),
                each(|one| &one.group_key),
                opened_at,
                fallback_at,
                fallback_of,
            ],
        )
        .await?;
    caused(tx, new.iter().map(|one| (one.id.as_str(), one.caused_by.as_slice()))).await?;
    Ok(usize::try_from(added).unwrap_or(usize::MAX))
}

/// Lets the delivery that is open for the same group and target stand in for another one from now on: it says all then,
/// not only what has ended. False when there is none, or it stands in already.
pub(super) async fn stand_in(tx: &Lent<'_>, new: &NewDelivery) -> Result<bool, Failure> {
    let changed = tx
        .execute(
            "UPDATE ~deliveries SET fallback_of = $4, fallback_at = $5, fallback_triggered = false, created_at = $6, \
             due_at = CASE WHEN state = 'pending' THEN least(due_at, $6) ELSE due_at END \
             WHERE integration = $1 AND target = $2 AND group_key = $3 AND finished_at IS NULL \
             AND fallback_of IS NULL",
            params![
                text(&new.target.integration),
                text(&new.target.target),
                text(&new.group_key),
                some_text(new.fallback_of.as_ref()),
                new.fallback_at.map(micros),
                micros(new.opened_at),
            ],
        )
        .await?;
    Ok(changed > 0)
}

/// Notes which events caused deliveries. An event that the retention took has nothing left to hang a link on.
pub(super) async fn caused<'c>(
    tx: &Lent<'_>,
    causes: impl Iterator<Item = (&'c str, &'c [i64])>,
) -> Result<(), Failure> {
    let (mut ids, mut seqs) = (Vec::new(), Vec::new());
    for (id, by) in causes {
        for seq in by {
            ids.push(text(id));
            seqs.push(*seq);
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO ~caused (seq, delivery) SELECT new.seq, new.delivery \
         FROM unnest($1, $2) AS new (seq, delivery) JOIN ~inbox AS inbox USING (seq) \
         ON CONFLICT DO NOTHING",
        params![seqs, ids],
    )
    .await?;
    Ok(())
}

/// Reads a row of [`COLUMNS`]; the error is one line for people.
pub(super) fn delivery(row: &Row) -> Result<Delivery, String> {
    let message: Option<&[u8]> = column(row, 14)?;
    let repeated: i32 = column(row, 13)?;
    Ok(Delivery {
        id: column(row, 0)?,
        integration: column(row, 1)?,
        receiver: column(row, 2)?,
        target: column(row, 3)?,
        group_key: column(row, 4)?,
        state: state(column(row, 5)?)?,
        attempts: unsigned(row, 6)?,
        created_at: moment(row, 7)?,
        not_before: moment(row, 8)?,
        finished_at: some_moment(row, 9)?,
        reason: column(row, 10)?,
        detail: column(row, 11)?,
        fallback_of: column(row, 12)?,
        maybe_repeated: repeated != 0,
        alertname: None,
        message: message
            .map(serde_json::from_slice)
            .transpose()
            .map_err(|error| format!("message: {error}"))?,
        paused_until: some_moment(row, 15)?,
        paused_reason: column(row, 16)?,
    })
}

/// Reads the word of a state.
pub(super) fn state(word: &str) -> Result<DeliveryState, String> {
    DeliveryState::ALL
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| format!("unknown state {word}"))
}

/// Reads many; one that cannot be read back is told in the log and left out.
pub(super) fn readable(found: &[Row]) -> Result<Vec<Delivery>, Failure> {
    let mut deliveries = Vec::new();
    for row in found {
        match delivery(row) {
            Ok(delivery) => deliveries.push(delivery),
            Err(detail) => {
                let id: String = column(row, 0).map_err(Failure::unstorable)?;
                tracing::error!(id, detail, "a delivery cannot be read back");
            }
        }
    }
    Ok(deliveries)
}

/// A delivery's row, by its id or the beginning of it, when no other begins so.
async fn by_id(tx: &Lent<'_>, id: &str) -> Result<Option<i64>, Failure> {
    let exact = tx.first("SELECT n FROM ~deliveries WHERE id = $1", params![text(id)]).await?;
    if let Some(row) = exact {
        return Ok(Some(column(&row, 0).map_err(Failure::unstorable)?));
    }
    if id.len() < ID_PREFIX_MIN {
        return Ok(None);
    }
    let end = format!("{id}{}", char::MAX);
    let sql = "SELECT n FROM ~deliveries WHERE id > $1 AND id < $2 LIMIT 2";
    let found = tx.query(sql, params![text(id), text(&end)]).await?;
    let [row] = found.as_slice() else { return Ok(None) };
    Ok(Some(column(row, 0).map_err(Failure::unstorable)?))
}

async fn attempts(tx: &Lent<'_>, delivery: i64) -> Result<Vec<Attempt>, Failure> {
    let sql = "SELECT number, finished_at, outcome, reason, detail FROM ~attempts \
         WHERE delivery = $1 ORDER BY number";
    let one = |row: &Row| -> Result<_, String> {
        Ok(Attempt {
            number: unsigned(row, 0)?,
            finished_at: moment(row, 1)?,
            outcome: column(row, 2)?,
            reason: column(row, 3)?,
            detail: column(row, 4)?,
        })
    };
    let found = tx.query(sql, params![delivery]).await?;
    found.iter().map(|row| one(row).map_err(Failure::unstorable)).collect()
}

/// The name that all alerts of a group share, by group; where they have several, none.
pub(super) const ALERTNAMES: &str = "SELECT asked.key, min(alerts.alertname) FROM unnest($1) AS asked (key) \
     CROSS JOIN LATERAL (SELECT right(key, 16) AS fingerprint FROM ~state WHERE space = 'member' \
       AND key > asked.key COLLATE \"C\" || E'\\n' AND key < asked.key COLLATE \"C\" || E'\\x0b') AS member \
     JOIN ~alerts AS alerts USING (fingerprint) GROUP BY asked.key \
     HAVING min(alerts.alertname) = max(alerts.alertname)";

/// The names of the alerts of groups whose deliveries were never composed, where all of a group share one; by group.
async fn alertnames(
    link: &Link,
    deliveries: &[Delivery],
) -> Result<BTreeMap<String, String>, Failure> {
    let uncomposed = deliveries.iter().filter(|delivery| delivery.message.is_none());
    let keys: Vec<_> = uncomposed.map(|delivery| text(&delivery.group_key)).collect();
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let one = |row: &Row| -> Result<_, String> { Ok((column(row, 0)?, column(row, 1)?)) };
    let found = link.query(ALERTNAMES, params![keys]).await?;
    found.iter().map(|row| one(row).map_err(Failure::unstorable)).collect()
}

/// The name that all alerts of a delivery share.
fn alertname(delivery: &Delivery, names: &BTreeMap<String, String>) -> Option<String> {
    match &delivery.message {
        Some(message) => message.common_labels.get("alertname").cloned(),
        None => names.get(&delivery.group_key).cloned(),
    }
}

/// The dead deliveries that are meant: the place of one, or a receiver; `None` when there is none.
async fn meant<'s>(
    tx: &Lent<'_>,
    selection: &'s Retry,
) -> Result<Option<(Option<i64>, Option<Cow<'s, str>>)>, Failure> {
    Ok(match selection {
        Retry::One(id) => by_id(tx, id).await?.map(|n| (Some(n), None)),
        Retry::Receiver(receiver) => Some((None, Some(text(receiver)))),
        Retry::All => Some((None, None)),
    })
}

/// The targets that [`revive`] leaves alone, and why.
async fn left_alone(tx: &Lent<'_>, selection: &Retry) -> Result<Retried, Failure> {
    let mut left = Retried::default();
    let Some((one, receiver)) = meant(tx, selection).await? else { return Ok(left) };
    let sql = "WITH asked AS MATERIALIZED (SELECT integration, target, group_key, max(n) AS n \
           FROM ~deliveries AS dead WHERE dead.state = 'dead' AND ($1::bigint IS NULL OR dead.n = $1) \
           AND ($2::text IS NULL OR dead.receiver = $2) GROUP BY integration, target, group_key) \
         SELECT DISTINCT ON (asked.n) other.id, other.state FROM asked \
         JOIN ~deliveries AS other ON other.integration = asked.integration \
           AND other.target = asked.target AND other.group_key = asked.group_key \
         WHERE other.finished_at IS NULL OR (other.n > asked.n AND other.state IN ('delivered', 'dead')) \
         ORDER BY asked.n, other.finished_at IS NOT NULL, other.state = 'dead', other.n DESC";
    for row in tx.query(sql, params![one, receiver]).await? {
        let read = || -> Result<(String, DeliveryState), String> {
            Ok((column(&row, 0)?, state(column(&row, 1)?)?))
        };
        let (id, state) = read().map_err(Failure::unstorable)?;
        match state {
            DeliveryState::Delivered => left.notified += 1,
            DeliveryState::Dead => left.newer += 1,
            _ => left.open += 1,
        }
        left.instead = Some(id).filter(|_| one.is_some());
    }
    Ok(left)
}

/// Lets deliveries that are asked for be tried at once, where they wait; how many that are.
async fn hurry(tx: &Lent<'_>, selection: &Retry, now: Timestamp) -> Result<usize, Failure> {
    match meant(tx, selection).await? {
        Some((Some(n), _)) => pause::lift_for(tx, n, now).await,
        Some((None, receiver)) => pause::lift_all(tx, receiver.as_deref(), now).await,
        None => Ok(0),
    }
}

/// Lets dead deliveries wait again, [`RETRY_ROWS`] at most: of each target of a group the newest, and none when the target
/// was notified of the group later, or has a delivery open for it.
async fn revive(tx: &Lent<'_>, selection: &Retry, now: Timestamp) -> Result<usize, Failure> {
    let Some((one, receiver)) = meant(tx, selection).await? else { return Ok(0) };
    let revived = tx
        .execute(
            "WITH chosen AS MATERIALIZED (SELECT max(dead.n) AS n FROM ~deliveries AS dead \
               WHERE dead.state = 'dead' AND ($1::bigint IS NULL OR dead.n = $1) \
               AND ($2::text IS NULL OR dead.receiver = $2) \
               AND NOT EXISTS (SELECT 1 FROM ~deliveries AS later WHERE later.state IN ('delivered', 'dead') \
                 AND later.integration = dead.integration AND later.target = dead.target \
                 AND later.group_key = dead.group_key AND later.n > dead.n) \
               AND NOT EXISTS (SELECT 1 FROM ~deliveries AS open WHERE open.finished_at IS NULL \
                 AND open.integration = dead.integration AND open.target = dead.target \
                 AND open.group_key = dead.group_key) \
               GROUP BY dead.integration, dead.target, dead.group_key LIMIT $4) \
             UPDATE ~deliveries AS revived SET state = 'pending', created_at = $3, due_at = $3, \
             finished_at = NULL, by_hand = true, noted = false \
             FROM chosen WHERE revived.n = chosen.n AND revived.state = 'dead'",
            params![one, receiver, micros(now), rows(RETRY_ROWS)],
        )
        .await?;
    Ok(usize::try_from(revived).unwrap_or(usize::MAX))
}
