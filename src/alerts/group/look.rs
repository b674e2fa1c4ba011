//! What a target is owed now, and when: the group compared with the notification log.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::owed::{has, knows, wants_end};
use super::{Group, INTERVAL_MIN, Member};
use crate::alerts::{Alert, Fingerprint, LogEntry, Reason, Suppression, TargetId, Timing};
use crate::clock;

/// What a peer makes of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    /// People read it: mail, Slack, webhooks. Nothing is left open when they are not notified of an end.
    People,
    /// It keeps one incident for the group, open until it is resolved, and pages only when one is opened (PagerDuty).
    Incident,
    /// It keeps each alert until it is notified of its end (Alertmanager).
    Alerts,
}

impl PeerKind {
    /// Whether it must hear the end of what it knows as firing, whatever keeps people from hearing it.
    pub fn keeps_state(self) -> bool {
        self != Self::People
    }
}

/// How much of a group a target hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// Only the end of what it knows: it has left the route, or stood in as a fallback.
    Ends,
}

/// A target as far as the comparison must know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Identity.
    pub id: TargetId,
    /// What it makes of a notification.
    pub kind: PeerKind,
    /// How much it hears.
    pub scope: Scope,
    /// Whether ends are notified.
    pub send_resolved: bool,
    /// Least time between two notifications, where it is less than `group_interval`.
    pub interval: Option<Duration>,
    /// How long an alert that ended is owed to a target that fails.
    pub max_age: Duration,
    /// Alerts of one message at most; how many were left out is said.
    pub alerts_max: usize,
    /// Alerts that it knows by this group and of which another group notifies it now ([`Routing::elsewhere`]): they have not
    /// ended.
    ///
    /// [`Routing::elsewhere`]: crate::alerts::Routing::elsewhere
    pub elsewhere: BTreeSet<Fingerprint>,
}

/// An alert of the group, with what keeps it quiet.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    /// The member.
    pub member: &'a Member,
    /// The alert as it fires, or as it ended.
    pub alert: &'a Alert,
    /// Why people are not to hear of it now.
    pub quiet: Option<Suppression>,
}

impl Listed<'_> {
    pub(super) fn fires(&self) -> bool {
        !self.member.over
    }

    /// Whether the life of an alert in the log belongs to the chain of firings that lasts.
    pub(super) fn is_same(&self, life: Option<u64>) -> bool {
        life.is_some_and(|life| life >= self.member.first_life)
    }
}

/// A group looked at, at one moment.
#[derive(Debug)]
pub struct Look<'a> {
    pub(super) group: &'a Group,
    pub(super) now: Timestamp,
    /// By start, then fingerprint.
    pub(super) listed: Vec<Listed<'a>>,
    /// Where each stands, once somebody asks.
    places: OnceCell<HashMap<&'a Fingerprint, usize>>,
}

/// What a target is owed.
#[derive(Debug)]
pub struct Owed<'l> {
    /// Why.
    pub reason: Reason,
    /// What fires.
    pub firing: Vec<&'l Listed<'l>>,
    /// What ended.
    pub ended: Vec<&'l Listed<'l>>,
    /// What the target knows as firing and the group has no more.
    pub gone: Vec<Fingerprint>,
    /// Whether an incident is open for what is over: it is to be resolved first, or it would swallow the page.
    pub reopens: bool,
    /// When the first change that is owed happened.
    pub since: Timestamp,
}

/// What a target is owed, and from when on.
#[derive(Debug)]
pub struct Due<'l> {
    /// From when on.
    pub at: Timestamp,
    /// What it would be.
    pub owed: Owed<'l>,
}

impl<'a> Look<'a> {
    /// Looks at a group. `alert` gives the alerts that fire; `quiet` says why people are not to be notified of one. A member whose alert is
    /// lost is passed over: nothing can be said of it.
    pub fn new(
        group: &'a Group,
        alert: &dyn Fn(&Fingerprint) -> Option<&'a Alert>,
        quiet: &dyn Fn(&Alert, &Member) -> Option<Suppression>,
        now: Timestamp,
    ) -> Self {
        let listed = group.members.iter().filter_map(|(fingerprint, member)| {
            let alert = match &member.ended {
                Some(ended) => Some(&**ended),
                None if member.over => None,
                None => alert(fingerprint).filter(|alert| alert.is_firing()),
            }?;
            Some(Listed { member, alert, quiet: quiet(alert, member) })
        });
        let mut listed: Vec<Listed<'a>> = listed.collect();
        listed.sort_by(|a, b| {
            (a.alert.starts_at, &a.alert.fingerprint)
                .cmp(&(b.alert.starts_at, &b.alert.fingerprint))
        });
        Self { group, now, listed, places: OnceCell::new() }
    }

    /// The group's key.
    pub fn group_key(&self) -> &str {
        &self.group.key
    }

    /// Members whose alert is lost: nothing can be said of them.
    pub fn lost(&self) -> impl Iterator<Item = &Fingerprint> {
        let complete = self.listed.len() == self.group.members.len();
        let members = self.group.members.keys().filter(move |_| !complete);
        members.filter(|one| self.get(one).is_none())
    }

    /// The alerts, by start.
    pub fn listed(&self) -> &[Listed<'a>] {
        &self.listed
    }

    pub(super) fn get(&self, fingerprint: &Fingerprint) -> Option<&Listed<'a>> {
        let places = self.places.get_or_init(|| {
            let places = self.listed.iter().zip(0..);
            places.map(|(listed, place)| (&listed.alert.fingerprint, place)).collect()
        });
        self.listed.get(*places.get(fingerprint)?)
    }

    /// Whether the group says nothing more of an alert to whoever has left the route or not: it has no such member, or the
    /// alert is others' matter now.
    pub(super) fn is_gone(&self, fingerprint: &Fingerprint, left: bool) -> bool {
        self.get(fingerprint).is_none_or(|one| left && one.fires())
    }

    /// What a target is owed by its entry of the notification log, whenever that is due. Without a repeat.
    pub fn owed<'l>(&'l self, target: &Target, entry: Option<&LogEntry>) -> Option<Owed<'l>>
    where
        'a: 'l,
    {
        match target.kind {
            PeerKind::People => self.owed_to_people(target, entry),
            PeerKind::Incident => self.owed_to_incident(target, entry),
            PeerKind::Alerts => self.owed_to_alerts(target, entry),
        }
    }

    /// What a target is owed next, and from when on: what changed `group_wait` after it did and `group_interval` after the
    /// last notification, or the repeat.
    pub fn due<'l>(
        &'l self,
        target: &Target,
        entry: Option<&LogEntry>,
        timing: &Timing,
    ) -> Option<Due<'l>>
    where
        'a: 'l,
    {
        // Times that another clock wrote, or ours before it was set back, keep nobody from hearing.
        let notified_at = entry.and_then(|entry| entry.notified_at);
        let interval = interval(target, timing);
        let gate = self.group.gate(&target.id).map(|gate| gate.opens(self.now));
        if let Some(owed) = self.owed(target, entry) {
            let waited = clock::passed(owed.since, timing.group_wait, self.now);
            let turn = notified_at.map(|at| clock::passed(at, interval, self.now));
            let at = [turn, gate].into_iter().flatten().fold(waited, Timestamp::max);
            return Some(Due { at, owed });
        }
        // What was said already is repeated late rather than at each look.
        let at = clock::add(notified_at?.min(self.now), timing.repeat_interval.max(interval));
        let owed = self.repeat(target, at)?;
        Some(Due { at: gate.map_or(at, |gate| gate.max(at)), owed })
    }

    /// What is owed when nothing has changed for `repeat_interval`. A peer that keeps alerts is refreshed another way.
    fn repeat<'l>(&'l self, target: &Target, since: Timestamp) -> Option<Owed<'l>>
    where
        'a: 'l,
    {
        if target.scope == Scope::Ends || target.kind == PeerKind::Alerts {
            return None;
        }
        let owed = self.firing(since);
        (!owed.firing.is_empty()).then_some(owed)
    }

    /// What fires and is not quiet, once more.
    pub(super) fn firing<'l>(&'l self, since: Timestamp) -> Owed<'l>
    where
        'a: 'l,
    {
        let firing = self.audible(Listed::fires);
        Owed {
            reason: Reason::Repeat,
            firing,
            ended: Vec::new(),
            gone: Vec::new(),
            reopens: false,
            since,
        }
    }

    /// Whether a target needs to hear nothing more of an alert that ended.
    pub fn is_settled(
        &self,
        listed: &Listed<'_>,
        target: &Target,
        entry: Option<&LogEntry>,
    ) -> bool {
        let fingerprint = &listed.alert.fingerprint;
        let heard = entry.is_some_and(|entry| has(entry.resolved.get(fingerprint), listed));
        let known = entry.and_then(|entry| entry.may_know(fingerprint));
        heard
            || target.scope == Scope::Ends
            || self.is_given_up(listed, target)
            || match target.kind {
                PeerKind::People => {
                    knows(listed, known, target) && !wants_end(listed.alert, target)
                }
                PeerKind::Incident | PeerKind::Alerts => {
                    !target.send_resolved && listed.is_same(known)
                }
            }
    }

    /// Whether an alert that ended is not worth a notification to a target that has failed since.
    pub(super) fn is_given_up(&self, listed: &Listed<'_>, target: &Target) -> bool {
        let failed = self.group.gate(&target.id).is_some_and(|gate| gate.died);
        failed && self.now >= clock::add(listed.member.changed_at, target.max_age)
    }

    pub(super) fn audible<'l>(&'l self, which: impl Fn(&Listed<'a>) -> bool) -> Vec<&'l Listed<'l>>
    where
        'a: 'l,
    {
        let audible = self.listed.iter().filter(|listed| listed.quiet.is_none() && which(listed));
        audible.map(|listed| -> &'l Listed<'l> { listed }).collect()
    }
}

/// Least time between two notifications of a target.
fn interval(target: &Target, timing: &Timing) -> Duration {
    let interval = timing.group_interval.max(INTERVAL_MIN);
    target.interval.map_or(interval, |own| own.min(interval))
}
