//! The part of migration 4 that SQL cannot do: the notification log, from the messages that were delivered.
//!
//! What a group noted before was what it had *queued*. From the last delivered message of each target comes what that
//! target knows; what waits is owed and composed anew. The shapes here are those of that time and do not change.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::alerts::Message;
use crate::store::sqlite::failure::Failure;
use crate::store::sqlite::time;

/// A group as it was kept.
#[derive(Debug, Deserialize)]
struct OldGroup {
    key: String,
    route: String,
    labels: BTreeMap<String, String>,
    born_at: Timestamp,
    #[serde(default)]
    flushes: u64,
    #[serde(default)]
    members: BTreeMap<String, OldMember>,
    #[serde(default)]
    told: BTreeMap<String, Told>,
}

#[derive(Debug, Deserialize)]
struct OldMember {
    #[serde(default)]
    ended: Option<Value>,
    #[serde(default)]
    causes: Vec<i64>,
    #[serde(default)]
    suppressed: Option<Value>,
}

/// What an integration was told last, by the queue.
#[derive(Debug, Deserialize)]
struct Told {
    at: Timestamp,
    #[serde(default)]
    firing: BTreeSet<String>,
}

/// A message as far as it matters.
#[derive(Debug, Clone, Deserialize)]
struct OldMessage {
    status: String,
    group_labels: BTreeMap<String, String>,
    alerts: Vec<Mention>,
    #[serde(default)]
    truncated_alerts: usize,
    created_at: Timestamp,
    #[serde(default)]
    fallback_for: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Mention {
    fingerprint: String,
    status: String,
    starts_at: Timestamp,
}

impl Mention {
    fn fires(&self) -> bool {
        self.status == "firing"
    }
}

/// An alert as far as it matters.
#[derive(Debug, Clone, Deserialize)]
struct OldAlert {
    state: String,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
    updated_at: Timestamp,
}

/// A member as it will be.
#[derive(Debug)]
struct Member {
    over: bool,
    starts_at: Timestamp,
    changed_at: Timestamp,
    life: u64,
    first_life: u64,
    causes: Vec<i64>,
    suppressed: Option<Value>,
}

/// The deliveries of a group to one target.
#[derive(Debug, Default)]
struct Lane {
    receiver: String,
    /// Delivered ones, the newest first: when, and what was said.
    delivered: Vec<(Timestamp, OldMessage)>,
    /// Those behind the newest that was delivered.
    later: Vec<Undelivered>,
}

#[derive(Debug)]
struct Undelivered {
    /// Whether it is open, or was until just now.
    waits: bool,
    /// Whether it may have arrived all the same.
    unanswered: bool,
    message: OldMessage,
}

type Lanes = BTreeMap<(String, String), Lane>;

/// Fills the notification log and brings groups and open deliveries into the new shape.
pub(super) fn fill(tx: &Connection) -> Result<(), Failure> {
    let mut groups = groups(tx)?;
    for key in left_open(tx)? {
        if !groups.contains_key(&key) {
            let route = key.rsplit_once('/').map_or("", |(route, _)| route).to_owned();
            let group = OldGroup {
                key: key.clone(),
                route,
                labels: BTreeMap::new(),
                born_at: Timestamp::UNIX_EPOCH,
                flushes: 0,
                members: BTreeMap::new(),
                told: BTreeMap::new(),
            };
            groups.insert(key, group);
        }
    }
    let targets = targets(tx)?;
    for group in groups.into_values() {
        let lanes = lanes(tx, &group.key)?;
        Filling { tx, group, lanes, members: BTreeMap::new() }.fill(&targets)?;
    }
    tx.execute("UPDATE deliveries SET noted = 1 WHERE noted = 2", ())?;
    digest_open(tx)
}

fn groups(tx: &Connection) -> Result<BTreeMap<String, OldGroup>, Failure> {
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

/// Keys of groups with open deliveries, and of those that left an incident open at PagerDuty: such groups may be over. An
/// incident that was never resolved would swallow the next page.
fn left_open(tx: &Connection) -> Result<Vec<String>, Failure> {
    let mut statement = tx.prepare(
        "SELECT group_key FROM deliveries WHERE finished_at IS NULL UNION \
         SELECT group_key FROM (SELECT group_key, state, max(deliveries.n), json_extract(CAST(message AS TEXT), '$.status') \
             AS status FROM deliveries JOIN contents ON contents.n = content WHERE state = 'delivered' \
             AND substr(integration, length(receiver) + 1, 11) = '/pagerduty/' GROUP BY integration, group_key) \
         WHERE status = 'firing'",
    )?;
    let keys = statement.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(keys)
}

/// The targets of each integration that any delivery names.
fn targets(tx: &Connection) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut statement = tx.prepare("SELECT DISTINCT integration, target FROM deliveries")?;
    let mut rows = statement.query(())?;
    let mut targets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        targets.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    Ok(targets)
}

fn lanes(tx: &Connection, key: &str) -> Result<Lanes, Failure> {
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

/// One group on its way.
struct Filling<'t> {
    tx: &'t Connection,
    group: OldGroup,
    lanes: Lanes,
    members: BTreeMap<String, Member>,
}

impl Filling<'_> {
    fn fill(mut self, targets: &BTreeMap<String, Vec<String>>) -> Result<(), Failure> {
        self.take_members()?;
        self.take_what_waits()?;
        self.count_lives();
        let mut entries = 0;
        for ((integration, target), lane) in &self.lanes {
            if let Some(entry) = self.entry(integration, lane) {
                entries += 1;
                self.put_entry(integration, target, &entry)?;
            }
        }
        for (integration, told) in &self.group.told {
            // Nothing that was sent is kept: then what was queued long ago was delivered, too.
            if self.lanes.keys().any(|(known, _)| known == integration) {
                continue;
            }
            let life =
                |one: &String| self.members.get(one).map(|member| (one.clone(), member.life));
            let firing: BTreeMap<String, u64> = told.firing.iter().filter_map(life).collect();
            let entry = json!({"notified_at": told.at, "firing": firing});
            for target in targets.get(integration).into_iter().flatten() {
                entries += 1;
                self.put_entry(integration, target, &entry)?;
            }
        }
        self.put_group(entries > 0)
    }

    fn alert(&self, fingerprint: &str) -> Result<Option<OldAlert>, Failure> {
        let bytes: Option<Vec<u8>> = self
            .tx
            .prepare_cached("SELECT alert FROM alerts WHERE fingerprint = ?1")?
            .query_row([fingerprint], |row| row.get(0))
            .optional()?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The members; those that ended have their alert in its own row from now on.
    fn take_members(&mut self) -> Result<(), Failure> {
        for (fingerprint, old) in std::mem::take(&mut self.group.members) {
            let kept = self.alert(&fingerprint)?;
            let ended =
                old.ended.filter(|_| kept.as_ref().is_none_or(|kept| kept.state != "firing"));
            let alert = match &ended {
                Some(ended) => {
                    self.put_ended(&fingerprint, ended)?;
                    serde_json::from_value::<OldAlert>(ended.clone()).ok()
                }
                None => kept.filter(|kept| kept.state == "firing"),
            };
            let Some(alert) = alert else { continue };
            let member = Member {
                causes: old.causes,
                suppressed: old.suppressed.filter(|why| !why.is_null()),
                ..member(&alert, ended.is_some())
            };
            self.members.insert(fingerprint, member);
        }
        Ok(())
    }

    fn put_ended(&self, fingerprint: &str, ended: &Value) -> Result<(), Failure> {
        let text =
            |pointer: &str| ended.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let at = |pointer: &str| text(pointer).parse::<Timestamp>().ok();
        let ends_at = at("/ends_at").or_else(|| at("/updated_at")).unwrap_or_default();
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO alerts (fingerprint, alertname, state, ends_at, alert) \
                 SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS \
                 (SELECT 1 FROM alerts WHERE fingerprint = ?1 AND state = ?3 AND alert = ?5)",
            )?
            .execute((
                fingerprint,
                text("/labels/alertname"),
                text("/state"),
                ends_at.as_microsecond(),
                ended.to_string().into_bytes(),
            ))?;
        Ok(())
    }

    /// What a message says that waits was dropped from the group when it was queued, if it was an end. Whoever waits for it
    /// is owed it.
    fn take_what_waits(&mut self) -> Result<(), Failure> {
        let waiting = self.lanes.values().flat_map(|lane| &lane.later).filter(|later| later.waits);
        let mentions: BTreeSet<String> = waiting
            .clone()
            .flat_map(|later| later.message.alerts.iter().map(|alert| alert.fingerprint.clone()))
            .filter(|fingerprint| !self.members.contains_key(fingerprint))
            .collect();
        for fingerprint in mentions {
            let Some(alert) = self.alert(&fingerprint)? else { continue };
            if !matches!(alert.state.as_str(), "firing" | "rule_removed") {
                self.members.insert(fingerprint, member(&alert, true));
            }
        }
        Ok(())
    }

    /// A target that knows an alert by an earlier firing than the one of now knows the first life; the one of now is the
    /// second. The chain is unbroken where that firing was not told anew.
    fn count_lives(&mut self) {
        let mut earlier: BTreeMap<&String, u64> = BTreeMap::new();
        for ((integration, _), lane) in &self.lanes {
            for mention in lane.may_have_arrived().filter(|mention| mention.fires()) {
                let Some((fingerprint, member)) = self.members.get_key_value(&mention.fingerprint)
                else {
                    continue;
                };
                if mention.starts_at >= member.starts_at {
                    continue;
                }
                let told = self.group.told.get(integration);
                let is_told = told.is_some_and(|told| told.firing.contains(fingerprint));
                let anew = lane.later.iter().flat_map(|later| &later.message.alerts).any(|later| {
                    later.fingerprint == *fingerprint && later.starts_at > mention.starts_at
                });
                let first_life = if is_told && !anew { 1 } else { 2 };
                let before = earlier.entry(fingerprint).or_insert(first_life);
                *before = first_life.min(*before);
            }
        }
        let earlier: Vec<(String, u64)> =
            earlier.into_iter().map(|(one, first_life)| (one.clone(), first_life)).collect();
        for (fingerprint, first_life) in earlier {
            if let Some(member) = self.members.get_mut(&fingerprint) {
                (member.life, member.first_life) = (2, first_life);
            }
        }
    }

    /// The life in which a message mentions an alert.
    fn life(&self, mention: &Mention) -> u64 {
        let member = self.members.get(&mention.fingerprint);
        member
            .filter(|member| mention.starts_at >= member.starts_at)
            .map_or(1, |member| member.life)
    }

    /// What a target knows; `None` when it was never told anything.
    fn entry(&self, integration: &str, lane: &Lane) -> Option<Value> {
        let mut firing: BTreeMap<&str, u64> = BTreeMap::new();
        let mut notified_at = None;
        if let Some((at, message)) = lane.delivered.first() {
            notified_at = Some(*at);
            for mention in message.alerts.iter().filter(|mention| mention.fires()) {
                firing.insert(&mention.fingerprint, self.life(mention));
            }
            let told = self.group.told.get(integration).filter(|_| message.truncated_alerts > 0);
            for fingerprint in told.iter().flat_map(|told| &told.firing) {
                let member = self.members.get(fingerprint);
                let member = member.filter(|member| member.starts_at <= message.created_at);
                let unsaid = || message.alerts.iter().all(|one| one.fingerprint != *fingerprint);
                if let Some(member) = member.filter(|_| unsaid()) {
                    firing.insert(fingerprint, member.life);
                }
            }
        }
        let over = self.members.iter().filter(|(_, member)| member.over);
        let heard = over.filter(|(one, member)| lane.has_heard_end(one, member));
        let resolved: BTreeMap<&str, u64> =
            heard.map(|(one, member)| (one.as_str(), member.life)).collect();
        let mut entry = json!({"firing": firing, "resolved": resolved});
        if let Some(at) = notified_at {
            entry["notified_at"] = json!(at);
        }
        let kind = integration.strip_prefix(lane.receiver.as_str()).unwrap_or_default();
        let keeps_state = ["/pagerduty/", "/alertmanager/"].iter().any(|one| kind.starts_with(one));
        let unanswered = lane.later.iter().filter(|later| keeps_state && later.unanswered);
        let mut maybe: BTreeMap<&str, u64> = BTreeMap::new();
        for later in unanswered.clone() {
            for mention in later.message.alerts.iter().filter(|mention| mention.fires()) {
                let life = self.life(mention);
                if firing.get(mention.fingerprint.as_str()) < Some(&life) {
                    let known = maybe.entry(&mention.fingerprint).or_insert(life);
                    *known = life.max(*known);
                }
            }
        }
        let maybe_closed = unanswered.clone().any(|later| later.message.status != "firing");
        if !maybe.is_empty() || maybe_closed {
            entry["maybe"] = json!(maybe);
            entry["maybe_closed"] = json!(maybe_closed);
        }
        if lane.last().is_some_and(|last| last.fallback_for.is_some()) {
            entry["fallback"] = json!(true);
        }
        (notified_at.is_some() || unanswered.count() > 0).then_some(entry)
    }

    fn put_entry(&self, integration: &str, target: &str, entry: &Value) -> Result<(), Failure> {
        self.tx
            .prepare_cached(
                "INSERT INTO notification_log (group_key, integration, target, delivery, attempt, entry) \
                 VALUES (?1, ?2, ?3, 0, 0, ?4)",
            )?
            .execute((&self.group.key, integration, target, entry.to_string().into_bytes()))?;
        Ok(())
    }

    /// Writes the group and its members, or nothing of a group of which nobody knows.
    fn put_group(&self, is_known: bool) -> Result<(), Failure> {
        let group = &self.group;
        let put = |space: &str, key: &str, value: &Value| -> Result<(), Failure> {
            self.tx
                .prepare_cached(
                    "INSERT OR REPLACE INTO state (space, key, value) VALUES (?1, ?2, ?3)",
                )?
                .execute((space, key, value.to_string().into_bytes()))?;
            Ok(())
        };
        if self.members.is_empty() && !is_known {
            self.tx
                .prepare_cached("DELETE FROM state WHERE space = 'group' AND key = ?1")?
                .execute([&group.key])?;
            return Ok(());
        }
        let last = self.lanes.values().find_map(Lane::last);
        let labels = last.map(|last| &last.group_labels).filter(|_| group.labels.is_empty());
        let lives = self.members.values().map(|member| member.life).max().unwrap_or(1);
        let value = json!({
            "key": group.key, "route": group.route, "labels": labels.unwrap_or(&group.labels),
            "born_at": group.born_at, "opened": group.flushes, "lives": lives,
        });
        put("group", &group.key, &value)?;
        for (fingerprint, member) in &self.members {
            let mut value = json!({
                "life": member.life, "first_life": member.first_life, "changed_at": member.changed_at,
                "over": member.over, "causes": member.causes,
            });
            if let Some(why) = &member.suppressed {
                value["suppressed"] = why.clone();
            }
            put("member", &format!("{}\n{fingerprint}", group.key), &value)?;
        }
        Ok(())
    }
}

impl Lane {
    /// What its target was told last, and what it may have been told since.
    fn may_have_arrived(&self) -> impl Iterator<Item = &Mention> {
        let last = self.delivered.first().map(|(_, message)| message);
        let unanswered = self.later.iter().filter(|later| later.unanswered);
        let messages = last.into_iter().chain(unanswered.map(|later| &later.message));
        messages.flat_map(|message| &message.alerts)
    }

    fn has_heard_end(&self, fingerprint: &str, member: &Member) -> bool {
        let since = self.delivered.iter().take_while(|(at, _)| *at >= member.starts_at);
        since.flat_map(|(_, message)| &message.alerts).any(|mention| {
            mention.fingerprint == fingerprint
                && !mention.fires()
                && mention.starts_at >= member.starts_at
        })
    }

    fn last(&self) -> Option<&OldMessage> {
        let later = self.later.first().map(|later| &later.message);
        later.or_else(|| self.delivered.first().map(|(_, message)| message))
    }
}

fn member(alert: &OldAlert, over: bool) -> Member {
    let ended_at = alert.ends_at.unwrap_or(alert.updated_at);
    Member {
        over,
        starts_at: alert.starts_at,
        changed_at: if over { ended_at } else { alert.starts_at },
        life: 1,
        first_life: 1,
        causes: Vec::new(),
        suppressed: None,
    }
}

/// What was never sent is composed from nothing. What an open delivery said in its last attempt gets the digest by which a repeat is known: the same content goes out
/// under the same key.
fn digest_open(tx: &Connection) -> Result<(), Failure> {
    tx.execute(
        "UPDATE deliveries SET content = NULL WHERE finished_at IS NULL AND attempts = 0",
        (),
    )?;
    let mut statement = tx.prepare(
        "SELECT deliveries.n, contents.n, message FROM deliveries JOIN contents ON contents.n = content \
         WHERE finished_at IS NULL",
    )?;
    let open: Vec<(i64, i64, Vec<u8>)> = statement
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (delivery, content, message) in open {
        let Ok(read) = serde_json::from_slice::<Message>(&message) else { continue };
        let Ok(bytes) = serde_json::to_vec(&read) else { continue };
        let digest = Sha256::digest(bytes).to_vec();
        let same: Option<i64> = tx
            .prepare_cached("SELECT n FROM contents WHERE digest = ?1")?
            .query_row([&digest], |row| row.get(0))
            .optional()?;
        match same {
            Some(same) => tx
                .prepare_cached("UPDATE deliveries SET content = ?2 WHERE n = ?1")?
                .execute((delivery, same))?,
            None => tx
                .prepare_cached("UPDATE contents SET digest = ?2 WHERE n = ?1")?
                .execute((content, digest))?,
        };
    }
    Ok(())
}
