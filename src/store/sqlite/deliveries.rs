//! Deliveries as rows: queued, listed, tried again by hand.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql};

use super::failure::Failure;
use super::{Sqlite, micros, pause, rows, time};
use crate::store::operations;
use crate::store::{
    Attempt, CANCELLED, Delivery, DeliveryFilter, DeliveryState, ID_PREFIX_MIN, NewDelivery,
    RETRY_ROWS, Retried, Retry, StoreError,
};

/// The columns that [`delivery`] reads, in its order.
pub(super) const COLUMNS: &str = "id, integration, receiver, target, group_key, state, attempts, \
     created_at, due_at, finished_at, reason, detail, fallback_of, maybe_repeated, \
     (SELECT message FROM contents WHERE contents.n = deliveries.content), \
     coalesce((SELECT until FROM receiver_pauses AS held WHERE held.receiver = deliveries.receiver), \
       (SELECT paused_until FROM integrations WHERE integrations.id = deliveries.integration)), \
     coalesce((SELECT 'by ' || who || ': ' || comment FROM receiver_pauses AS held \
         WHERE held.receiver = deliveries.receiver), \
       (SELECT integrations.reason FROM integrations WHERE integrations.id = deliveries.integration))";

/// The first column behind [`COLUMNS`].
pub(super) const BEHIND: usize = 17;

#[async_trait]
impl operations::Deliveries for Sqlite {
    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        self.read(move |conn| list(conn, &filter)).await
    }

    async fn delivery(&self, id: &str) -> Result<Option<(Delivery, Vec<Attempt>)>, StoreError> {
        let id = id.to_owned();
        self.read(move |conn| find(conn, &id)).await
    }

    async fn cancel(
        &self,
        id: String,
        attempts: u32,
        why: String,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |tx, _| {
            let changed = tx
                .prepare_cached(
                    "UPDATE deliveries SET state = 'dead', finished_at = ?3, reason = ?4, \
                     detail = ?5, noted = 0 WHERE id = ?1 AND state = 'pending' AND attempts = ?2",
                )?
                .execute((&id, attempts, micros(now), CANCELLED, &why))?;
            Ok(changed > 0)
        })
        .await
    }

    async fn retry(&self, selection: Retry, now: Timestamp) -> Result<Retried, StoreError> {
        let asked = selection.clone();
        let mut retried = self.read(move |conn| left_alone(conn, &asked)).await?;
        loop {
            let selection = selection.clone();
            let (revived, waiting) = self
                .write(move |tx, effects| {
                    let revived = revive(tx, &selection, now)?;
                    let waiting = hurry(tx, &selection, now)?;
                    effects.queued |= waiting > 0;
                    Ok((revived, waiting))
                })
                .await?;
            if revived < RETRY_ROWS {
                // Those that were revived before wait, too.
                retried.count = waiting;
                return Ok(retried);
            }
        }
    }
}

/// Opens a delivery and notes which events caused it. False when its id is known, or when one is open for the same group
/// and target: that one will say what is owed.
pub(super) fn open(tx: &Connection, new: &NewDelivery) -> Result<bool, Failure> {
    let added = tx
        .prepare_cached(
            "INSERT INTO deliveries (id, integration, receiver, target, group_key, state, \
             created_at, due_at, fallback_at, fallback_of) \
             VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute((
            &new.id,
            &new.target.integration,
            &new.receiver,
            &new.target.target,
            &new.group_key,
            micros(new.opened_at),
            new.fallback_at.map(micros),
            &new.fallback_of,
        ))?;
    caused(tx, &new.id, &new.caused_by)?;
    Ok(added > 0)
}

/// Lets the delivery that is open for the same group and target stand in for another one from now on: it says all then,
/// not only what has ended. False when there is none, or it stands in already.
pub(super) fn stand_in(tx: &Connection, new: &NewDelivery) -> Result<bool, Failure> {
    let changed = tx
        .prepare_cached(
            "UPDATE deliveries SET fallback_of = ?4, fallback_at = ?5, fallback_triggered = 0, created_at = ?6, \
             due_at = CASE WHEN state = 'pending' THEN min(due_at, ?6) ELSE due_at END \
             WHERE integration = ?1 AND target = ?2 AND group_key = ?3 AND finished_at IS NULL \
             AND fallback_of IS NULL",
        )?
        .execute((
            &new.target.integration,
            &new.target.target,
            &new.group_key,
            &new.fallback_of,
            new.fallback_at.map(micros),
            micros(new.opened_at),
        ))?;
    Ok(changed > 0)
}

/// Notes which events caused a delivery.
pub(super) fn caused(tx: &Connection, id: &str, by: &[i64]) -> Result<(), Failure> {
    for seq in by {
        // An event that the retention took has nothing left to hang a link on.
        tx.prepare_cached(
            "INSERT OR IGNORE INTO caused (seq, delivery) SELECT seq, ?2 FROM inbox WHERE seq = ?1",
        )?
        .execute((seq, id))?;
    }
    Ok(())
}

/// Reads a row of [`COLUMNS`]; the error is one line for people.
pub(super) fn delivery(row: &Row<'_>) -> Result<Delivery, String> {
    let column = |error: rusqlite::Error| error.to_string();
    let message: Option<Vec<u8>> = row.get(14).map_err(column)?;
    let message = message.map(|message| serde_json::from_slice(&message));
    Ok(Delivery {
        id: row.get(0).map_err(column)?,
        integration: row.get(1).map_err(column)?,
        receiver: row.get(2).map_err(column)?,
        target: row.get(3).map_err(column)?,
        group_key: row.get(4).map_err(column)?,
        state: state(&row.get::<_, String>(5).map_err(column)?)?,
        attempts: row.get(6).map_err(column)?,
        created_at: time(row.get(7).map_err(column)?)?,
        not_before: time(row.get(8).map_err(column)?)?,
        finished_at: row.get::<_, Option<i64>>(9).map_err(column)?.map(time).transpose()?,
        reason: row.get(10).map_err(column)?,
        detail: row.get(11).map_err(column)?,
        fallback_of: row.get(12).map_err(column)?,
        maybe_repeated: row.get(13).map_err(column)?,
        paused_until: row.get::<_, Option<i64>>(15).map_err(column)?.map(time).transpose()?,
        paused_reason: row.get(16).map_err(column)?,
        alertname: None,
        message: message.transpose().map_err(|error| format!("message: {error}"))?,
    })
}

/// Reads the word of a state.
pub(super) fn state(word: &str) -> Result<DeliveryState, String> {
    DeliveryState::ALL
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| format!("unknown state {word}"))
}

/// Reads many; one that cannot be read back is logged and left out.
pub(super) fn collect(
    conn: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
) -> Result<Vec<Delivery>, Failure> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut deliveries = Vec::new();
    while let Some(row) = rows.next()? {
        match delivery(row) {
            Ok(delivery) => deliveries.push(delivery),
            Err(detail) => {
                let id: String = row.get(0)?;
                tracing::error!(id, detail, "a delivery cannot be read back");
            }
        }
    }
    Ok(deliveries)
}

/// What a filter asks for, newest first.
pub(super) fn list_sql(filter: &DeliveryFilter) -> String {
    // The few that are open or dead are found by their own indices, not by walking all.
    let (index, state) = match (filter.state, &filter.receiver) {
        (Some(DeliveryState::Dead), _) => ("INDEXED BY deliveries_dead", "AND state = 'dead'"),
        (Some(DeliveryState::Pending), _) => {
            ("INDEXED BY deliveries_due", "AND finished_at IS NULL AND state = 'pending'")
        }
        (Some(DeliveryState::Sending), _) => {
            ("INDEXED BY deliveries_due", "AND finished_at IS NULL AND state = 'sending'")
        }
        (Some(DeliveryState::Delivered), _) => ("", "AND state = 'delivered'"),
        (Some(DeliveryState::Superseded), _) => ("", "AND state = 'superseded'"),
        (None, Some(_)) => ("INDEXED BY deliveries_receiver", ""),
        (None, None) => ("", ""),
    };
    let receiver = if filter.receiver.is_some() { "receiver = ?1" } else { "?1 IS NULL" };
    format!(
        "SELECT {COLUMNS} FROM deliveries {index} WHERE {receiver} {state} AND n < ?3 \
         ORDER BY n DESC LIMIT ?2"
    )
}

fn list(conn: &Connection, filter: &DeliveryFilter) -> Result<Vec<Delivery>, Failure> {
    let before = match &filter.before {
        // Behind one that is gone there is nothing: it was older than all that is left.
        Some(id) => by_id(conn, id)?.unwrap_or(0),
        None => i64::MAX,
    };
    let values: [&dyn ToSql; 3] = [&filter.receiver, &rows(filter.limit), &before];
    let mut found = collect(conn, &list_sql(filter), &values)?;
    for delivery in &mut found {
        delivery.alertname = alertname(conn, delivery)?;
    }
    Ok(found)
}

/// The name that all alerts of a delivery share. Before its first attempt those are the group's.
fn alertname(conn: &Connection, delivery: &Delivery) -> Result<Option<String>, Failure> {
    if let Some(message) = &delivery.message {
        return Ok(message.common_labels.get("alertname").cloned());
    }
    let sql = "SELECT min(alertname) FROM alerts WHERE fingerprint IN \
         (SELECT substr(key, -16) FROM state WHERE space = 'member' AND key > ?1 AND key < ?2) \
         HAVING min(alertname) = max(alertname)";
    let (first, end) =
        (format!("{}\n", delivery.group_key), format!("{}\u{b}", delivery.group_key));
    Ok(conn.prepare_cached(sql)?.query_row((first, end), |row| row.get(0)).optional()?)
}

fn find(conn: &Connection, id: &str) -> Result<Option<(Delivery, Vec<Attempt>)>, Failure> {
    let Some(n) = by_id(conn, id)? else { return Ok(None) };
    let mut found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM deliveries WHERE n = ?1"))?
        .query_row([n], |row| Ok(delivery(row)))?
        .map_err(Failure::unstorable)?;
    found.alertname = alertname(conn, &found)?;
    Ok(Some((found, attempts(conn, n)?)))
}

/// A delivery's row, by its id or the beginning of it.
fn by_id(conn: &Connection, id: &str) -> Result<Option<i64>, Failure> {
    let exact = conn
        .prepare_cached("SELECT n FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    exact.map_or_else(|| by_prefix(conn, id), |n| Ok(Some(n)))
}

fn by_prefix(conn: &Connection, prefix: &str) -> Result<Option<i64>, Failure> {
    if prefix.len() < ID_PREFIX_MIN {
        return Ok(None);
    }
    let end = format!("{prefix}{}", char::MAX);
    let mut statement =
        conn.prepare_cached("SELECT n FROM deliveries WHERE id > ?1 AND id < ?2 LIMIT 2")?;
    let found: Vec<i64> =
        statement.query_map([prefix, &end], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(if let [n] = found.as_slice() { Some(*n) } else { None })
}

fn attempts(conn: &Connection, delivery: i64) -> Result<Vec<Attempt>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT number, finished_at, outcome, reason, detail FROM attempts \
         WHERE delivery = ?1 ORDER BY n",
    )?;
    let mut rows = statement.query([delivery])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(Attempt {
            number: row.get(0)?,
            finished_at: time(row.get(1)?).map_err(Failure::unstorable)?,
            outcome: row.get(2)?,
            reason: row.get(3)?,
            detail: row.get(4)?,
        });
    }
    Ok(attempts)
}

/// The condition for the dead deliveries that are meant, and the value of its parameter.
fn which(conn: &Connection, selection: &Retry) -> Result<(&'static str, Value), Failure> {
    Ok(match selection {
        Retry::One(id) => ("dead.n = ?1", by_id(conn, id)?.map_or(Value::Null, Value::Integer)),
        Retry::Receiver(receiver) => ("dead.receiver = ?1", Value::Text(receiver.clone())),
        Retry::All => ("?1 IS NULL", Value::Null),
    })
}

/// The targets that [`revive`] leaves alone, and why.
fn left_alone(conn: &Connection, selection: &Retry) -> Result<Retried, Failure> {
    let (which, value) = which(conn, selection)?;
    let mut statement = conn.prepare_cached(&format!(
        "WITH asked AS MATERIALIZED (SELECT integration, target, group_key, max(n) AS n \
             FROM deliveries AS dead INDEXED BY deliveries_dead WHERE dead.state = 'dead' AND {which} \
             GROUP BY integration, target, group_key), \
         later AS MATERIALIZED (SELECT integration, target, group_key, max(n) AS n FROM deliveries NOT INDEXED \
             WHERE state IN ('delivered', 'dead') AND n > (SELECT min(n) FROM asked) \
             GROUP BY integration, target, group_key, state) \
         SELECT asked, id, state FROM (SELECT asked.n AS asked, open.n AS n FROM asked \
             JOIN deliveries AS open USING (integration, target, group_key) WHERE open.finished_at IS NULL \
             UNION ALL SELECT asked.n, later.n FROM asked \
             JOIN later USING (integration, target, group_key) WHERE later.n > asked.n) \
         JOIN deliveries USING (n) ORDER BY asked, finished_at IS NOT NULL, state = 'dead'"
    ))?;
    let mut found = statement.query([value])?;
    let (mut left, mut last) = (Retried::default(), None);
    while let Some(row) = found.next()? {
        let (asked, id, word): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // The first reason of each.
        if last.replace(asked) == Some(asked) {
            continue;
        }
        match state(&word).map_err(Failure::unstorable)? {
            DeliveryState::Delivered => left.notified += 1,
            DeliveryState::Dead => left.newer += 1,
            _ => left.open += 1,
        }
        if matches!(selection, Retry::One(_)) {
            left.instead = Some(id);
        }
    }
    Ok(left)
}

/// Lets deliveries that are asked for be tried at once, where they wait; how many that are.
fn hurry(tx: &Connection, selection: &Retry, now: Timestamp) -> Result<usize, Failure> {
    match selection {
        Retry::One(id) => by_id(tx, id)?.map_or(Ok(0), |n| pause::lift_for(tx, n, now)),
        Retry::Receiver(receiver) => pause::lift_all(tx, Some(receiver), now),
        Retry::All => pause::lift_all(tx, None, now),
    }
}

/// Lets dead deliveries wait again, [`RETRY_ROWS`] at most: of each target of a group the newest, and none when the target
/// was notified of the group later, or has a delivery open for it.
fn revive(tx: &Connection, selection: &Retry, now: Timestamp) -> Result<usize, Failure> {
    let (which, value) = which(tx, selection)?;
    // What was delivered later is looked up in one pass, for nothing else needs an index of it.
    let dead: Vec<i64> = tx
        .prepare_cached(&format!(
            "WITH later AS MATERIALIZED (SELECT integration, target, group_key, max(n) AS n \
                 FROM deliveries NOT INDEXED WHERE state = 'delivered' \
                 AND n > (SELECT min(dead.n) FROM deliveries AS dead WHERE dead.state = 'dead' AND {which}) \
                 GROUP BY integration, target, group_key) \
             SELECT max(dead.n) FROM deliveries AS dead INDEXED BY deliveries_dead \
             LEFT JOIN later USING (integration, target, group_key) \
             WHERE dead.state = 'dead' AND {which} AND coalesce(later.n, 0) < dead.n \
             AND NOT EXISTS (SELECT 1 FROM deliveries AS newer INDEXED BY deliveries_dead \
                 WHERE newer.state = 'dead' AND newer.receiver = dead.receiver AND newer.n > dead.n \
                 AND newer.integration = dead.integration AND newer.target = dead.target \
                 AND newer.group_key = dead.group_key) \
             AND NOT EXISTS (SELECT 1 FROM deliveries AS open WHERE open.finished_at IS NULL \
                 AND open.integration = dead.integration AND open.target = dead.target \
                 AND open.group_key = dead.group_key) \
             GROUP BY integration, target, group_key LIMIT ?2"
        ))?
        .query_map((value, rows(RETRY_ROWS)), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for n in &dead {
        tx.prepare_cached(
            "UPDATE deliveries SET state = 'pending', created_at = ?2, due_at = ?2, \
             finished_at = NULL, by_hand = 1, noted = 0 WHERE n = ?1",
        )?
        .execute((n, micros(now)))?;
    }
    Ok(dead.len())
}
