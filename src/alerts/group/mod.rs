//! A group: the alerts of one route that are told together, who was told what, and when the next telling is due.
//!
//! Pure: `(group, alerts, now) -> notices`. Alertmanager's semantics with the departures of the design: repeats are
//! exact, an alert that ended before its first notice is told, what ended while muted is told when the mute ends.
//!
//! Time: the first flush comes `group_wait` after the group's first alert. Later changes are told on a grid of
//! `group_interval` steps that begins at the last flush that told something; an empty step leaves no trace. Repeats
//! come when they are due, off the grid, and begin it anew. Whatever the occasion, each integration is told at most
//! once in `group_interval`: one whose turn is not yet come is told as soon as it is.

mod flush;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Alert, AlertState, Fingerprint, Reason, Suppression, Timing};
use crate::clock;
use crate::rules::Labels;

/// Most alerts of one group.
const MEMBERS_MAX: usize = 10_000;

/// How many ended alerts make room at once when a group is full, so that a flood pays for the search rarely.
const MEMBERS_EVICTED: usize = 1_000;

/// Most events kept per alert as causes; the newest stay.
const MEMBER_CAUSES_MAX: usize = 16;

/// Most causes of one notice; the newest stay.
const NOTICE_CAUSES_MAX: usize = 100;

/// Least `group_interval`: with none, a group whose alerts are kept quiet would be looked at without end.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// A group as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Identity: route and group labels. The group key of its messages.
    pub key: String,
    /// Identity of the route.
    pub route: String,
    /// Labels that make the group.
    pub labels: Labels,
    /// When its first alert came.
    pub born_at: Timestamp,
    /// The last flush, from which `group_interval` is counted; `None` before the first.
    pub flushed_at: Option<Timestamp>,
    /// The flush at which what changed is told; `None` while nothing waits to be told.
    pub next_flush: Option<Timestamp>,
    /// Flushes so far; makes each notice's identity.
    pub flushes: u64,
    /// Its alerts.
    pub members: BTreeMap<Fingerprint, Member>,
    /// What each integration was told last, by its id.
    pub told: BTreeMap<String, Told>,
}

/// An alert of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The alert as it ended, until that is told; `None` while it fires.
    pub ended: Option<Box<Alert>>,
    /// Whether any integration was told that it fires, in this life of the alert.
    pub told: bool,
    /// Events (places in the inbox) that changed it since it was last told; the newest few.
    pub causes: Vec<i64>,
    /// Why it was not told at the last flush.
    pub suppressed: Option<Suppression>,
}

/// What one integration was told last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// Alerts that it knows as firing.
    pub firing: BTreeSet<Fingerprint>,
    /// Alerts of the group whose end it need not hear of: it was told, or does not want to be.
    pub resolved: BTreeSet<Fingerprint>,
    /// [`Teller::every`] when it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
}

/// An integration of the route's receiver, as far as a group must know it.
#[derive(Debug, Clone, Copy)]
pub struct Teller<'a> {
    /// Identity.
    pub id: &'a str,
    /// Whether ends are told.
    pub send_resolved: bool,
    /// A pace of its own, in the place of the route's `group_interval` and `repeat_interval`: a peer that forgets what
    /// is not said again, as Alertmanager does.
    pub every: Option<Duration>,
}

/// Something to tell by one integration.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The integration's id.
    pub integration: String,
    /// Why now.
    pub reason: Reason,
    /// What to tell: firing ones first, then those that ended; never empty.
    pub alerts: Vec<Alert>,
    /// Events that caused it.
    pub causes: Vec<i64>,
}

/// What a flush did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flushed {
    /// What is to be told.
    pub notices: Vec<Notice>,
    /// Alerts that are kept quiet now and were not, or for another reason, at the last flush.
    pub suppressed: Vec<(Fingerprint, Suppression)>,
    /// What integrations know as firing no more, without a notice that says so.
    pub withdrawn: Vec<Withdrawn>,
}

/// An alert that an integration knew as firing, and of whose end it gets no notice. A message that waits is to say so no
/// more.
#[derive(Debug, Clone, PartialEq)]
pub struct Withdrawn {
    /// The integration's id.
    pub integration: String,
    /// The alert.
    pub fingerprint: Fingerprint,
    /// As it ended; `None` when nothing of it is to be told.
    pub ended: Option<Alert>,
}

impl Group {
    /// A new group without alerts.
    pub fn new(key: String, route: String, labels: Labels, now: Timestamp) -> Self {
        Self {
            key,
            route,
            labels,
            born_at: now,
            flushed_at: None,
            next_flush: None,
            flushes: 0,
            members: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Takes note that an alert of this group fires, fires again, or ended. `cause` is the event, where there is one.
    /// An end that nobody needs to hear of (silent expiry of an alert that was told, or a removed rule) drops it.
    ///
    /// A full group drops the ended alerts that were touched longest ago; if all fire, the new one stays out. Returns
    /// how many alerts were lost so.
    pub fn note(
        &mut self,
        alert: &Alert,
        cause: Option<i64>,
        timing: &Timing,
        now: Timestamp,
    ) -> usize {
        let fingerprint = &alert.fingerprint;
        if self.ends_silently(alert) {
            self.forget(fingerprint);
            return 0;
        }
        let lost = self.make_room(fingerprint);
        if self.members.len() >= MEMBERS_MAX && !self.members.contains_key(fingerprint) {
            return lost;
        }
        let known = self.members.contains_key(fingerprint);
        let member = self.members.entry(fingerprint.clone()).or_default();
        member.causes.extend(cause);
        newest(&mut member.causes, MEMBER_CAUSES_MAX);
        if known && member.ended.is_none() && alert.is_firing() {
            // Merely goes on; what is to be told of it is planned already.
            return lost;
        }
        if alert.is_firing() {
            member.ended = None;
        } else if member.ended.replace(Box::new(alert.clone())).is_some() {
            // It fired and ended once more: this life was told to nobody.
            member.told = false;
        }
        for told in self.told.values_mut() {
            told.resolved.remove(fingerprint);
        }
        self.recheck(timing, now);
        lost
    }

    /// Plans a flush at the next regular time, unless one is planned before it. For the engine when something outside
    /// of the group changed, such as the receiver's integrations.
    pub fn recheck(&mut self, timing: &Timing, now: Timestamp) {
        let at = match self.flushed_at {
            None => clock::add(self.born_at, timing.group_wait),
            // A clock that was set back must not postpone what is to be told.
            Some(flushed_at) => tick(flushed_at.min(now), interval(timing), now),
        };
        self.next_flush = Some(self.next_flush.map_or(at, |planned| planned.min(at)));
    }

    /// When the next flush is due: for what changed, or for the next repeat.
    pub fn deadline(&self, timing: &Timing) -> Option<Timestamp> {
        // A repeat needs an alert that may be repeated: one that is quiet is looked at on the grid, one that was never
        // told has its own flush.
        let repeats = self
            .members
            .values()
            .any(|member| member.told && member.ended.is_none() && member.suppressed.is_none());
        let repeat = self.told.values().map(|told| repeat_at(told, timing)).filter(|_| repeats);
        repeat.chain(self.next_flush).min()
    }

    /// Whether it has no alerts left: then it is forgotten, with what was told.
    pub fn is_over(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether nobody is to hear of this end: the rule is gone, or the time of an alert that was told is over.
    fn ends_silently(&self, alert: &Alert) -> bool {
        match alert.state {
            AlertState::RuleRemoved => true,
            // Only of the life that was told: one that fires and expires again before that end is told is another.
            AlertState::Expired if !alert.notify_expired => self
                .members
                .get(&alert.fingerprint)
                .is_some_and(|member| member.told && member.ended.is_none()),
            AlertState::Expired
            | AlertState::Firing
            | AlertState::Resolved
            | AlertState::NoData => false,
        }
    }

    /// The integrations that know an alert as firing.
    pub fn knowers(&self, fingerprint: &Fingerprint) -> Vec<String> {
        let knows = |(_, told): &(&String, &Told)| told.firing.contains(fingerprint);
        self.told.iter().filter(knows).map(|(id, _)| id.clone()).collect()
    }

    /// Takes note that an integration was not told of these alerts after all: they are new to it.
    pub fn untell(
        &mut self,
        integration: &str,
        fingerprints: &[Fingerprint],
        timing: &Timing,
        now: Timestamp,
    ) {
        let Some(told) = self.told.get_mut(integration) else { return };
        let mut changed = false;
        for fingerprint in fingerprints {
            changed |= told.firing.remove(fingerprint);
        }
        for fingerprint in fingerprints {
            let known = self.told.values().any(|told| told.firing.contains(fingerprint));
            if let Some(member) = self.members.get_mut(fingerprint).filter(|_| !known) {
                member.told = false;
            }
        }
        if changed {
            self.recheck(timing, now);
        }
    }

    /// Drops an alert, and that anybody knows of it: if it fires again, it is new.
    fn forget(&mut self, fingerprint: &Fingerprint) {
        self.members.remove(fingerprint);
        for told in self.told.values_mut() {
            told.firing.remove(fingerprint);
            told.resolved.remove(fingerprint);
        }
    }

    /// Makes room for an alert in a full group; returns how many were lost, the alert itself if there is no room.
    fn make_room(&mut self, newcomer: &Fingerprint) -> usize {
        if self.members.len() < MEMBERS_MAX || self.members.contains_key(newcomer) {
            return 0;
        }
        let mut ended: Vec<(Timestamp, Fingerprint)> = self
            .members
            .iter()
            .filter_map(|(fingerprint, member)| {
                member.ended.as_ref().map(|alert| (alert.updated_at, fingerprint.clone()))
            })
            .collect();
        ended.sort_unstable();
        ended.truncate(MEMBERS_EVICTED);
        for (_, fingerprint) in &ended {
            self.forget(fingerprint);
        }
        ended.len().max(1)
    }
}

/// The step between flushes.
fn interval(timing: &Timing) -> Duration {
    timing.group_interval.max(INTERVAL_MIN)
}

/// When an integration is to be told again although nothing changed.
fn repeat_at(told: &Told, timing: &Timing) -> Timestamp {
    let repeat = timing.repeat_interval.max(interval(timing));
    clock::add(told.at, told.every.unwrap_or(repeat))
}

/// When an integration may be told again at the earliest.
fn turn_at(told: &Told, timing: &Timing) -> Timestamp {
    let step = interval(timing);
    clock::add(told.at, told.every.map_or(step, |every| every.min(step)))
}

/// The first step after `anchor` that is not before `at`.
fn tick(anchor: Timestamp, step: Duration, at: Timestamp) -> Timestamp {
    let since = clock::until(anchor, at);
    if since.is_zero() {
        return clock::add(anchor, step);
    }
    match since.as_nanos().checked_rem(step.as_nanos()) {
        None | Some(0) => at,
        Some(over) => clock::add(at, step.saturating_sub(Duration::from_nanos_u128(over))),
    }
}

/// Sorts causes and keeps the newest.
fn newest(causes: &mut Vec<i64>, max: usize) {
    causes.sort_unstable();
    causes.dedup();
    causes.drain(..causes.len().saturating_sub(max));
}
