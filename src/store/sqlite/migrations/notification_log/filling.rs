//! One group on its way into the new shape: its members, and what each target knows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use serde_json::Value;

use super::before::{Lane, Lanes, Mention, OldAlert, OldGroup};
use crate::store::sqlite::failure::Failure;
use crate::store::sqlite::json;

/// A member as it will be.
#[derive(Debug, Serialize)]
struct Member {
    life: u64,
    first_life: u64,
    changed_at: Timestamp,
    over: bool,
    causes: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<Value>,
    #[serde(skip)]
    starts_at: Timestamp,
}

/// An entry of the notification log as it will be.
#[derive(Debug, Default, Serialize)]
struct Entry<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    notified_at: Option<Timestamp>,
    firing: BTreeMap<&'e str, u64>,
    resolved: BTreeMap<&'e str, u64>,
    maybe: BTreeMap<&'e str, u64>,
    maybe_closed: bool,
    fallback: bool,
}

/// One group on its way.
pub(super) struct Filling<'t> {
    tx: &'t Connection,
    group: OldGroup,
    lanes: Lanes,
    members: BTreeMap<String, Member>,
}

impl<'t> Filling<'t> {
    pub(super) fn new(tx: &'t Connection, group: OldGroup, lanes: Lanes) -> Self {
        Self { tx, group, lanes, members: BTreeMap::new() }
    }

    pub(super) fn fill(mut self, targets: &BTreeMap<String, Vec<String>>) -> Result<(), Failure> {
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
            let life = |one| self.members.get_key_value(one);
            let firing = told.firing.iter().filter_map(life);
            let firing = firing.map(|(one, member)| (one.as_str(), member.life)).collect();
            let entry = Entry { notified_at: Some(told.at), firing, ..Entry::default() };
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
    fn entry<'e>(&'e self, integration: &str, lane: &'e Lane) -> Option<Entry<'e>> {
        let over = self.members.iter().filter(|(_, member)| member.over);
        let heard = over.filter(|(one, member)| lane.has_heard_end(one, member.starts_at));
        let mut entry = Entry {
            resolved: heard.map(|(one, member)| (one.as_str(), member.life)).collect(),
            fallback: lane.last().is_some_and(|last| last.fallback_for.is_some()),
            ..Entry::default()
        };
        if let Some((at, message)) = lane.delivered.first() {
            entry.notified_at = Some(*at);
            let fires = message.alerts.iter().filter(|mention| mention.fires());
            let said = fires.map(|mention| (&*mention.fingerprint, self.life(mention)));
            entry.firing = said.collect();
            let told = self.group.told.get(integration).filter(|_| message.truncated_alerts > 0);
            for fingerprint in told.iter().flat_map(|told| &told.firing) {
                let member = self.members.get(fingerprint);
                let member = member.filter(|member| member.starts_at <= message.created_at);
                let unsaid = || message.alerts.iter().all(|one| one.fingerprint != *fingerprint);
                if let Some(member) = member.filter(|_| unsaid()) {
                    entry.firing.insert(fingerprint, member.life);
                }
            }
        }
        // Only peers that keep state must hear the end of what may not have arrived.
        let kind = integration.strip_prefix(lane.receiver.as_str()).unwrap_or_default();
        let keeps_state = ["/pagerduty/", "/alertmanager/"].iter().any(|one| kind.starts_with(one));
        let unanswered = lane.later.iter().filter(|later| keeps_state && later.unanswered);
        let mut is_known = entry.notified_at.is_some();
        for later in unanswered {
            is_known = true;
            entry.maybe_closed |= later.message.status != "firing";
            for mention in later.message.alerts.iter().filter(|mention| mention.fires()) {
                let life = self.life(mention);
                if entry.firing.get(&*mention.fingerprint) < Some(&life) {
                    let known = entry.maybe.entry(&mention.fingerprint).or_insert(life);
                    *known = life.max(*known);
                }
            }
        }
        is_known.then_some(entry)
    }

    fn put_entry(&self, integration: &str, target: &str, entry: &Entry<'_>) -> Result<(), Failure> {
        self.tx
            .prepare_cached(
                "INSERT INTO notification_log (group_key, integration, target, delivery, attempt, entry) \
                 VALUES (?1, ?2, ?3, 0, 0, ?4)",
            )?
            .execute((&self.group.key, integration, target, json(entry)?))?;
        Ok(())
    }

    /// Writes the group and its members, or nothing of a group of which nobody knows.
    fn put_group(&self, is_known: bool) -> Result<(), Failure> {
        let group = &self.group;
        if self.members.is_empty() && !is_known {
            self.tx
                .prepare_cached("DELETE FROM state WHERE space = 'group' AND key = ?1")?
                .execute([&group.key])?;
            return Ok(());
        }
        let last = self.lanes.values().find_map(Lane::last);
        let labels = last.map(|last| &last.group_labels).filter(|_| group.labels.is_empty());
        let lives = self.members.values().map(|member| member.life).max().unwrap_or(1);
        let value = serde_json::json!({
            "key": group.key, "route": group.route, "labels": labels.unwrap_or(&group.labels),
            "born_at": group.born_at, "opened": group.flushes, "lives": lives,
        });
        self.put_row("group", &group.key, &value)?;
        for (fingerprint, member) in &self.members {
            self.put_row("member", &format!("{}\n{fingerprint}", group.key), member)?;
        }
        Ok(())
    }

    fn put_row(&self, space: &str, key: &str, value: &impl Serialize) -> Result<(), Failure> {
        self.tx
            .prepare_cached("INSERT OR REPLACE INTO state (space, key, value) VALUES (?1, ?2, ?3)")?
            .execute((space, key, json(value)?))?;
        Ok(())
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
