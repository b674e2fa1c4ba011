//! What a target is owed now, and when: the group compared with the notification log.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::{FAILED_INTERVAL_MAX, Group, INTERVAL_MIN, Member, ends_silently};
use crate::alerts::{Alert, Fingerprint, LogEntry, Reason, Suppression, TargetId, Timing};
use crate::clock;

/// What a peer makes of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    /// People read it: mail, Slack, webhooks. Nothing is left open when an end is not told.
    People,
    /// It keeps one incident for the group, open until it is resolved, and pages only when one is opened (PagerDuty).
    Incident,
    /// It keeps each alert until that is told to have ended (Alertmanager).
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
    /// Whether ends are told.
    pub send_resolved: bool,
    /// Least time between two notifications, where it is less than `group_interval`.
    pub interval: Option<Duration>,
    /// How long an alert that ended is owed to a target that fails.
    pub max_age: Duration,
    /// Alerts of one message at most; how many were left out is said.
    pub alerts_max: usize,
    /// Alerts that it knows by this group and that another group tells it of now ([`Routing::elsewhere`]): they have not
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
    fn fires(&self) -> bool {
        !self.member.over
    }

    /// Whether the life of an alert in the log belongs to the chain of firings that lasts.
    fn is_same(&self, life: Option<u64>) -> bool {
        life.is_some_and(|life| life >= self.member.first_life)
    }
}

/// A group looked at, at one moment.
#[derive(Debug)]
pub struct Look<'a> {
    pub(super) group: &'a Group,
    pub(super) now: Timestamp,
    /// By start, then fingerprint.
    listed: Vec<Listed<'a>>,
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
    /// Looks at a group. `alert` gives the alerts that fire; `quiet` says why one is not to be told. A member whose alert is
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
        Self { group, now, listed }
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

    fn get(&self, fingerprint: &Fingerprint) -> Option<&Listed<'a>> {
        self.listed.iter().find(|listed| listed.alert.fingerprint == *fingerprint)
    }

    /// Whether the group says nothing more of an alert to whoever has left the route or not: it has no such member, or the
    /// alert is others' matter now.
    fn is_gone(&self, fingerprint: &Fingerprint, left: bool) -> bool {
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
        // A clock that was set back must not keep anybody from hearing.
        let notified_at = entry.and_then(|entry| entry.notified_at).map(|at| at.min(self.now));
        let interval = interval(target, timing);
        let gate = self
            .group
            .gate(&target.id)
            .map(|gate| gate.until.min(clock::add(self.now, interval.min(FAILED_INTERVAL_MAX))));
        if let Some(owed) = self.owed(target, entry) {
            let waited = clock::add(owed.since.min(self.now), timing.group_wait);
            let turn = notified_at.map(|at| clock::add(at, interval));
            let at = [turn, gate].into_iter().flatten().fold(waited, Timestamp::max);
            return Some(Due { at, owed });
        }
        let at = clock::add(notified_at?, timing.repeat_interval.max(interval));
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
        let firing = self.to_be_told(Listed::fires);
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

    /// Whether an alert that ended is not worth telling a target that has failed since.
    fn is_given_up(&self, listed: &Listed<'_>, target: &Target) -> bool {
        let failed = self.group.gate(&target.id).is_some_and(|gate| gate.died);
        failed && self.now >= clock::add(listed.member.changed_at, target.max_age)
    }

    fn to_be_told<'l>(&'l self, which: impl Fn(&Listed<'a>) -> bool) -> Vec<&'l Listed<'l>>
    where
        'a: 'l,
    {
        let mut told: Vec<&'l Listed<'l>> = Vec::new();
        for listed in self.listed.iter().filter(|listed| listed.quiet.is_none() && which(listed)) {
            told.push(listed);
        }
        told
    }

    fn owed_to_people<'l>(&'l self, target: &Target, entry: Option<&LogEntry>) -> Option<Owed<'l>>
    where
        'a: 'l,
    {
        let known = |listed: &Listed<'_>| {
            let life = entry.and_then(|entry| entry.firing.get(&listed.alert.fingerprint));
            knows(listed, life.copied(), target)
        };
        let heard = |listed: &Listed<'_>| {
            let life = entry.and_then(|entry| entry.resolved.get(&listed.alert.fingerprint));
            has(life, listed) || self.is_given_up(listed, target)
        };
        let all = target.scope == Scope::All;
        let ended = self.to_be_told(|one| {
            let owed = if known(one) { wants_end(one.alert, target) } else { all };
            !one.fires() && !heard(one) && owed
        });
        let firing = self.to_be_told(|one| one.fires() && (all || known(one)));
        let is_new = |one: &&&Listed<'_>| all && !known(one);
        let since =
            ended.iter().chain(firing.iter().filter(is_new)).map(|one| one.member.owed_since());
        let since = since.min()?;
        let has_new = firing.iter().chain(&ended).any(|one| is_new(&one));
        let notified = entry.is_some_and(|entry| entry.notified_at.is_some());
        let reason = match (has_new, notified, firing.is_empty()) {
            (true, false, _) => Reason::First,
            (true, true, _) => Reason::NewAlerts,
            (false, _, false) => Reason::SomeResolved,
            (false, _, true) => Reason::AllResolved,
        };
        Some(Owed { reason, firing, ended, gone: Vec::new(), reopens: false, since })
    }

    fn owed_to_incident<'l>(&'l self, target: &Target, entry: Option<&LogEntry>) -> Option<Owed<'l>>
    where
        'a: 'l,
    {
        let may_know =
            |one: &Listed<'_>| entry.and_then(|entry| entry.may_know(&one.alert.fingerprint));
        let unsure = entry.is_some_and(|entry| entry.maybe_closed);
        let told = |one: &Listed<'_>| {
            let life = entry.and_then(|entry| entry.firing.get(&one.alert.fingerprint));
            // An end that may have arrived says nothing of one that fires: it is new. To repeat the end opens nothing.
            (!unsure || !one.fires()) && one.is_same(life.copied())
        };
        let is_open = entry.is_some_and(|entry| entry.maybe_known().next().is_some());
        let left = has_left(target, entry);
        let still = self.listed.iter().any(|one| one.fires() && one.is_same(may_know(one)));
        let still = still && !left;
        let all = target.scope == Scope::All;
        let unheard = |one: &Listed<'_>| {
            let heard = entry.and_then(|entry| entry.resolved.get(&one.alert.fingerprint));
            !one.fires() && !has(heard, one) && !self.is_given_up(one, target)
        };
        let is_news = |one: &Listed<'_>| {
            all && one.quiet.is_none() && !told(one) && (one.fires() || unheard(one))
        };
        let news: Vec<_> = self.listed.iter().filter(|one| is_news(one)).collect();
        let over = target.send_resolved && is_open && !still;
        // Repeating what may have arrived is no second story; only what is over would swallow the page.
        let others = |(fingerprint, life): (&Fingerprint, u64)| {
            !self.get(fingerprint).is_some_and(|one| is_news(one) && one.is_same(Some(life)))
        };
        let reopens = over && entry.is_some_and(|entry| entry.maybe_known().any(others));
        let firing = || self.to_be_told(Listed::fires);
        if let Some(since) = news.iter().map(|one| one.member.owed_since()).min() {
            let notified = entry.is_some_and(|entry| entry.notified_at.is_some());
            let reason = if notified { Reason::NewAlerts } else { Reason::First };
            let ended = self.to_be_told(unheard);
            return Some(Owed {
                reason,
                firing: firing(),
                ended,
                gone: Vec::new(),
                reopens,
                since,
            });
        }
        let entry = entry.filter(|_| target.send_resolved)?;
        let ended: Vec<_> = if over {
            let ended = |one: &&Listed<'_>| !one.fires() && one.is_same(may_know(one));
            self.listed.iter().filter(ended).collect()
        } else {
            self.to_be_told(|one| all && unheard(one))
        };
        let since = ended.iter().map(|one| one.member.owed_since()).min();
        if over {
            let gone = entry.maybe_known().filter(|(one, _)| self.is_gone(one, left));
            let gone = gone.map(|(one, _)| one.clone()).collect();
            // An end without a member happened at some time before now.
            let since = since.or(entry.notified_at).unwrap_or(self.group.born_at);
            return Some(Owed {
                reason: Reason::AllResolved,
                firing: Vec::new(),
                ended,
                gone,
                reopens: false,
                since,
            });
        }
        let firing = firing();
        let owed = Owed {
            reason: Reason::SomeResolved,
            firing,
            ended,
            gone: Vec::new(),
            reopens: false,
            since: since?,
        };
        (!owed.firing.is_empty()).then_some(owed)
    }

    fn owed_to_alerts<'l>(&'l self, target: &Target, entry: Option<&LogEntry>) -> Option<Owed<'l>>
    where
        'a: 'l,
    {
        let may_know =
            |one: &Listed<'_>| entry.and_then(|entry| entry.may_know(&one.alert.fingerprint));
        let unsure = entry.is_some_and(|entry| entry.maybe_closed);
        let left = has_left(target, entry);
        let all = target.scope == Scope::All;
        let told = |one: &Listed<'_>| {
            let life = entry.and_then(|entry| entry.firing.get(&one.alert.fingerprint));
            !unsure && has(life, one)
        };
        let heard = |one: &Listed<'_>| {
            let life = entry.and_then(|entry| entry.resolved.get(&one.alert.fingerprint));
            has(life, one) || self.is_given_up(one, target)
        };
        let firing = self.to_be_told(|one| all && one.fires() && !told(one));
        let is_known = |one: &Listed<'_>| {
            let life = entry.and_then(|entry| entry.firing.get(&one.alert.fingerprint));
            one.is_same(life.copied()) || (one.quiet.is_some() && one.is_same(may_know(one)))
        };
        let ends = |one: &&Listed<'_>| {
            let owed =
                if is_known(one) { target.send_resolved } else { all && one.quiet.is_none() };
            !one.fires() && !heard(one) && owed
        };
        let ended: Vec<_> = self.listed.iter().filter(ends).collect();
        let gone: Vec<Fingerprint> = entry
            .filter(|_| target.send_resolved)
            .into_iter()
            .flat_map(LogEntry::maybe_known)
            .filter(|(one, _)| self.is_gone(one, left) && !target.elsewhere.contains(*one))
            .map(|(one, _)| one.clone())
            .collect();
        let changed = firing.iter().chain(&ended).map(|one| one.member.owed_since()).min();
        let since = match changed {
            Some(since) => since,
            None if gone.is_empty() => return None,
            None => entry.and_then(|entry| entry.notified_at).unwrap_or(self.group.born_at),
        };
        let is_new = |one: &&&Listed<'_>| !is_known(one);
        let has_new = !firing.is_empty() || ended.iter().any(|one| is_new(&one));
        let fires = !self.to_be_told(Listed::fires).is_empty();
        let reason = match (has_new, entry.is_some_and(|entry| entry.notified_at.is_some()), fires)
        {
            (true, false, _) => Reason::First,
            (true, true, _) => Reason::NewAlerts,
            (false, _, true) => Reason::SomeResolved,
            (false, _, false) => Reason::AllResolved,
        };
        Some(Owed { reason, firing, ended, gone, reopens: false, since })
    }
}

/// Whether a target has left the route: what it knows is over for it, whatever fires. A fallback has not; it hears the ends.
pub(super) fn has_left(target: &Target, entry: Option<&LogEntry>) -> bool {
    target.scope == Scope::Ends && !entry.is_some_and(|entry| entry.fallback)
}

/// Whether people know an alert: they were told of a firing since the chain began. To whom ends are not told, each firing
/// is new.
fn knows(listed: &Listed<'_>, life: Option<u64>, target: &Target) -> bool {
    if target.send_resolved {
        listed.is_same(life)
    } else {
        life.is_some_and(|life| life >= listed.member.life)
    }
}

/// Whether the log holds this very life of an alert.
fn has(life: Option<&u64>, listed: &Listed<'_>) -> bool {
    life.is_some_and(|life| *life >= listed.member.life)
}

/// Whether a target that knows an alert is to hear of this end.
fn wants_end(alert: &Alert, target: &Target) -> bool {
    target.send_resolved && !ends_silently(alert)
}

/// Least time between two notifications of a target.
fn interval(target: &Target, timing: &Timing) -> Duration {
    let interval = timing.group_interval.max(INTERVAL_MIN);
    target.interval.map_or(interval, |own| own.min(interval))
}
