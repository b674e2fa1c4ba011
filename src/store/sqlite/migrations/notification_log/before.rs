//! A database as it was before, as far as it is read: groups, what they noted as told, and the messages of deliveries.
//!
//! The shapes are those of that time and do not change.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::Value;

use crate::store::sqlite::failure::Failure;
use crate::store::sqlite::time;

/// A group as it was kept.
#[derive(Debug, Deserialize)]
pub(super) struct OldGroup {
    pub(super) key: String,
    pub(super) route: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) born_at: Timestamp,
    #[serde(default)]
    pub(super) flushes: u64,
    #[serde(default)]
    pub(super) members: BTreeMap<String, OldMember>,
    #[serde(default)]
    pub(super) told: BTreeMap<String, Told>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OldMember {
    #[serde(default)]
    pub(super) ended: Option<Value>,
    #[serde(default)]
    pub(super) causes: Vec<i64>,
    #[serde(default)]
    pub(super) suppressed: Option<Value>,
}

/// What an integration was told last, by the queue.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    pub(super) at: Timestamp,
    #[serde(default)]
    pub(super) firing: BTreeSet<String>,
}

/// A message as far as it matters.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct OldMessage {
    pub(super) status: String,
    pub(super) group_labels: BTreeMap<String, String>,
    pub(super) alerts: Vec<Mention>,
    #[serde(default)]
    pub(super) truncated_alerts: usize,
    pub(super) created_at: Timestamp,
    #[serde(default)]
    pub(super) fallback_for: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Mention {
    pub(super) fingerprint: String,
    pub(super) status: String,
    pub(super) starts_at: Timestamp,
}

impl Mention {
    pub(super) fn fires(&self) -> bool {
        self.status == "firing"
    }
}

/// An alert as far as it matters.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct OldAlert {
    pub(super) state: String,
    pub(super) starts_at: Timestamp,
    pub(super) ends_at: Option<Timestamp>,
    pub(super) updated_at: Timestamp,
}

/// The deliveries of a group to one target.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) receiver: String,
    /// Delivered ones, the newest first: when, and what was said.
    pub(super) delivered: Vec<(Timestamp, OldMessage)>,
    /// Those behind the newest that was delivered.
    pub(super) later: Vec<Undelivered>,
}

#[derive(Debug)]
pub(super) struct Undelivered {
    /// Whether it is open, or was until just now.
    pub(super) waits: bool,
    /// Whether it may have arrived all the same.
    pub(super) unanswered: bool,
    pub(super) message: OldMessage,
}

pub(super) type Lanes = BTreeMap<(String, String), Lane>;

pub(super) fn groups(tx: &Connection) -> Result<BTreeMap<String, OldGroup>, Failure> {
    let mut statement = tx.prepare("SELECT key, value FROM state WHERE space = 'group'")?;
    let mut rows = statement.query(())?;
    let mut groups = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (key, value): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        match serde_json::from_slice(&value) {
            Ok(group) => drop(groups.insert(key, group)),
            Err(error) => tracing::error!(key, %error, "a group cannot be read back"),
        }
    }
    Ok(groups)
}

/// How long before the last delivery an incident may have been left open at PagerDuty to be resolved now, in microseconds:
/// seven days. Older ones people have closed, or PagerDuty has.
const LEFT_OPEN_MICROS: i64 = 7 * 24 * 60 * 60 * 1_000_000;
/// Incidents that are resolved so at most, the latest.
const LEFT_OPEN_MAX: i64 = 500;

/// Keys of groups with open deliveries, and of those that left an incident open at PagerDuty: such groups may be over. An
/// incident that was never resolved would swallow the next page. Each costs one request, so there is a bound to them.
pub(super) fn left_open(tx: &Connection) -> Result<Vec<String>, Failure> {
    let mut statement = tx.prepare(
        "SELECT group_key FROM deliveries WHERE finished_at IS NULL UNION \
         SELECT group_key FROM (SELECT group_key FROM (SELECT group_key, finished_at, max(deliveries.n) AS last, \
             json_extract(CAST(message AS TEXT), '$.status') AS status FROM deliveries \
             JOIN contents ON contents.n = content WHERE state = 'delivered' \
             AND substr(integration, length(receiver) + 1, 11) = '/pagerduty/' GROUP BY integration, group_key) \
         WHERE status = 'firing' AND finished_at >= (SELECT max(finished_at) FROM deliveries) - ?1 \
         ORDER BY last DESC LIMIT ?2)",
    )?;
    let keys = statement
        .query_map((LEFT_OPEN_MICROS, LEFT_OPEN_MAX), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(keys)
}

/// The targets of each integration that any delivery names.
pub(super) fn targets(tx: &Connection) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut statement = tx.prepare("SELECT DISTINCT integration, target FROM deliveries")?;
    let mut rows = statement.query(())?;
    let mut targets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        targets.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    Ok(targets)
}

pub(super) fn lanes(tx: &Connection, key: &str) -> Result<Lanes, Failure> {
    let mut statement = tx.prepare_cached(
        "SELECT integration, target, receiver, state, finished_at, maybe_repeated, noted, message \
         FROM deliveries JOIN contents ON contents.n = content WHERE group_key = ?1 ORDER BY deliveries.n DESC",
    )?;
    let mut rows = statement.query([key])?;
    let mut lanes = Lanes::new();
    while let Some(row) = rows.next()? {
        let message: Vec<u8> = row.get(7)?;
        let Ok(message) = serde_json::from_slice::<OldMessage>(&message) else { continue };
        let lane = lanes.entry((row.get(0)?, row.get(1)?)).or_default();
        lane.receiver = row.get(2)?;
        let state: String = row.get(3)?;
        let finished_at: Option<i64> = row.get(4)?;
        match (state.as_str(), finished_at) {
            ("delivered", Some(at)) => {
                lane.delivered.push((time(at).map_err(Failure::unstorable)?, message));
            }
            _ if lane.delivered.is_empty() => lane.later.push(Undelivered {
                // What was open is not noted; what the SQL before has superseded is marked by 2.
                waits: row.get::<_, i64>(6)? != 1,
                unanswered: row.get::<_, i64>(5)? != 0,
                message,
            }),
            _ => {}
        }
    }
    Ok(lanes)
}

impl Lane {
    /// What its target was told last, and what it may have been told since.
    pub(super) fn may_have_arrived(&self) -> impl Iterator<Item = &Mention> {
        let last = self.delivered.first().map(|(_, message)| message);
        let unanswered = self.later.iter().filter(|later| later.unanswered);
        let messages = last.into_iter().chain(unanswered.map(|later| &later.message));
        messages.flat_map(|message| &message.alerts)
    }

    pub(super) fn has_heard_end(&self, fingerprint: &str, starts_at: Timestamp) -> bool {
        let since = self.delivered.iter().take_while(|(at, _)| *at >= starts_at);
        since.flat_map(|(_, message)| &message.alerts).any(|mention| {
            mention.fingerprint == fingerprint && !mention.fires() && mention.starts_at >= starts_at
        })
    }

    pub(super) fn last(&self) -> Option<&OldMessage> {
        let later = self.later.first().map(|later| &later.message);
        later.or_else(|| self.delivered.first().map(|(_, message)| message))
    }
}
