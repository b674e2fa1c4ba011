//! What waits tells the state of now: alerts that ended or are silenced are taken out of messages before they go out.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::json;

use super::failure::Failure;
use super::lanes::Lane;
use super::{inbox, json as text, micros, silences, time};
use crate::alerts::{Fingerprint, Message, MessageAlert, Silence, Status};
use crate::event::Event;
use crate::store::{Recorded, Withdrawal, delivery_id};

/// Why a delivery of which nothing is left is superseded.
pub(super) const WITHDRAWN: &str = "withdrawn";
const ENDED: &str = "what it would have told is over";
const SILENCED: &str = "what it would have told is silenced";

/// Corrects what waits in a lane; what is left without alerts ends as superseded.
pub(super) fn apply(tx: &Connection, withdrawal: &Withdrawal) -> Result<(), Failure> {
    let Withdrawal { integration, target, group_key, at, after: _, gone, ended, unwanted } =
        withdrawal;
    let (mut gone, mut ended) = (gone.clone(), ended.clone());
    for alert in unwanted {
        if is_heard(tx, withdrawal, alert)? {
            gone.insert(alert.fingerprint.clone());
        } else {
            ended.push(alert.clone());
        }
    }
    let open: Vec<(i64, Vec<u8>, bool)> = tx
        .prepare_cached(
            "SELECT n, message, state = 'sending' FROM deliveries WHERE integration = ?1 \
             AND target = ?2 AND group_key = ?3 AND finished_at IS NULL",
        )?
        .query_map((integration, target, group_key), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut superseded = false;
    for (n, message, sending) in open {
        // One that cannot be read back is buried when it is claimed.
        let Ok(mut message) = serde_json::from_slice::<Message>(&message) else { continue };
        if !message.correct(&gone, &ended) {
            continue;
        }
        if sending && message.alerts.is_empty() {
            // The peer may take it yet; if it does not, there is no further attempt.
            tx.prepare_cached("UPDATE deliveries SET reason = ?2 WHERE n = ?1")?
                .execute((n, WITHDRAWN))?;
        } else {
            superseded |= !keep(tx, n, &message, micros(*at), ENDED)?;
        }
    }
    if superseded {
        Lane::new(integration, target, group_key).refresh(tx)?;
    }
    Ok(())
}

/// Whether a message of the lane was delivered since the alert began: each one tells of all that fires in its group.
fn is_heard(
    tx: &Connection,
    withdrawal: &Withdrawal,
    alert: &MessageAlert,
) -> Result<bool, Failure> {
    let Withdrawal { integration, target, group_key, .. } = withdrawal;
    Ok(tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM deliveries WHERE integration = ?1 AND target = ?2 \
             AND group_key = ?3 AND state = 'delivered' AND created_at >= ?4)",
        )?
        .query_row((integration, target, group_key, micros(alert.starts_at)), |row| row.get(0))?)
}

/// A delivery that is about to be claimed.
pub(super) struct Claimed<'a> {
    pub(super) n: i64,
    pub(super) integration: &'a str,
    pub(super) group_key: &'a str,
}

/// What holds while claims are made.
pub(super) struct Hush {
    silences: Vec<Silence>,
    now: i64,
    retention: std::time::Duration,
}

impl Hush {
    /// The silences that are active now.
    pub(super) fn read(
        tx: &Connection,
        now: i64,
        retention: std::time::Duration,
    ) -> Result<Self, Failure> {
        Ok(Self { silences: silences::active(tx, now)?, now, retention })
    }

    /// Takes what is silenced out of a message, and raises the event by which its group learns that this was not told;
    /// true when nothing is left: then the delivery has ended.
    pub(super) fn quiet(
        &self,
        tx: &Connection,
        claimed: &Claimed<'_>,
        raised: &mut bool,
    ) -> Result<bool, Failure> {
        if self.silences.is_empty() {
            return Ok(false);
        }
        let (id, bytes): (String, Vec<u8>) = tx
            .prepare_cached("SELECT id, message FROM deliveries WHERE n = ?1")?
            .query_row([claimed.n], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Ok(mut message) = serde_json::from_slice::<Message>(&bytes) else { return Ok(false) };
        let now = time(self.now).map_err(Failure::unstorable)?;
        let silenced = |labels| self.silences.iter().any(|silence| silence.silences(labels, now));
        let firing = message.alerts.iter().filter(|alert| alert.status == Status::Firing);
        let silenced = firing.filter(|alert| silenced(&alert.labels));
        let account = silenced.clone().find_map(|alert| alert.labels.get("account").cloned());
        let gone: BTreeSet<Fingerprint> = silenced.map(|alert| alert.fingerprint.clone()).collect();
        if !message.correct(&gone, &[]) {
            return Ok(false);
        }
        let names: Vec<String> = gone.iter().map(ToString::to_string).collect();
        let mut parts = vec![id.as_str()];
        parts.extend(names.iter().map(String::as_str));
        let event = Event::tollbell(
            "tollbell.notice_withheld",
            &account.unwrap_or_default(),
            format!("tollbell.notice_withheld:{}", delivery_id(&parts)),
            now,
            json!({
                "delivery": id,
                "integration": claimed.integration,
                "group": claimed.group_key,
                "fingerprints": names,
            }),
        );
        let event = inbox::NewRow::new(event, self.retention)
            .map_err(|error| Failure::unstorable(error.to_string()))?;
        *raised |= inbox::insert(tx, &event)? == Recorded::New;
        Ok(!keep(tx, claimed.n, &message, self.now, SILENCED)?)
    }
}

/// Keeps a corrected message, or ends its delivery when nothing is left of it; then the message stays as it was, for
/// people who ask. Whether it goes on.
fn keep(tx: &Connection, n: i64, message: &Message, now: i64, why: &str) -> Result<bool, Failure> {
    if message.alerts.is_empty() {
        end(tx, n, now, why)?;
        return Ok(false);
    }
    let message = text(message).map_err(|error| Failure::unstorable(error.to_string()))?;
    tx.prepare_cached("UPDATE deliveries SET message = ?2 WHERE n = ?1")?.execute((n, message))?;
    Ok(true)
}

/// Ends a delivery that was withdrawn while it was under way.
pub(super) fn end_late(tx: &Connection, n: i64, now: i64) -> Result<(), Failure> {
    end(tx, n, now, ENDED)
}

fn end(tx: &Connection, n: i64, now: i64, why: &str) -> Result<(), Failure> {
    tx.prepare_cached(
        "UPDATE deliveries SET state = 'superseded', finished_at = ?2, lease_until = NULL, \
         reason = ?3, detail = ?4 WHERE n = ?1",
    )?
    .execute((n, now, WITHDRAWN, why))?;
    Ok(())
}
