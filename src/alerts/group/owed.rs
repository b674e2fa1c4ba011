//! What a target is owed, by what it makes of a notification.

use super::ends_silently;
use super::look::{Listed, Look, Owed, Scope, Target};
use crate::alerts::{Alert, Fingerprint, LogEntry, Reason};

impl<'a> Look<'a> {
    pub(super) fn owed_to_people<'l>(
        &'l self,
        target: &Target,
        entry: Option<&LogEntry>,
    ) -> Option<Owed<'l>>
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
        let ended = self.audible(|one| {
            let owed = if known(one) { wants_end(one.alert, target) } else { all };
            !one.fires() && !heard(one) && owed
        });
        let firing = self.audible(|one| one.fires() && (all || known(one)));
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

    pub(super) fn owed_to_incident<'l>(
        &'l self,
        target: &Target,
        entry: Option<&LogEntry>,
    ) -> Option<Owed<'l>>
    where
        'a: 'l,
    {
        let may_know =
            |one: &Listed<'_>| entry.and_then(|entry| entry.may_know(&one.alert.fingerprint));
        let unsure = entry.is_some_and(|entry| entry.maybe_closed);
        let was_notified = |one: &Listed<'_>| {
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
            all && one.quiet.is_none() && !was_notified(one) && (one.fires() || unheard(one))
        };
        let news: Vec<_> = self.listed.iter().filter(|one| is_news(one)).collect();
        let over = target.send_resolved && is_open && !still;
        // Repeating what may have arrived is no second story; only what is over would swallow the page.
        let others = |(fingerprint, life): (&Fingerprint, u64)| {
            !self.get(fingerprint).is_some_and(|one| is_news(one) && one.is_same(Some(life)))
        };
        let reopens = over && entry.is_some_and(|entry| entry.maybe_known().any(others));
        let firing = || self.audible(Listed::fires);
        if let Some(since) = news.iter().map(|one| one.member.owed_since()).min() {
            let notified = entry.is_some_and(|entry| entry.notified_at.is_some());
            let reason = if notified { Reason::NewAlerts } else { Reason::First };
            let ended = self.audible(unheard);
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
            self.audible(|one| all && unheard(one))
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

    pub(super) fn owed_to_alerts<'l>(
        &'l self,
        target: &Target,
        entry: Option<&LogEntry>,
    ) -> Option<Owed<'l>>
    where
        'a: 'l,
    {
        let may_know =
            |one: &Listed<'_>| entry.and_then(|entry| entry.may_know(&one.alert.fingerprint));
        let unsure = entry.is_some_and(|entry| entry.maybe_closed);
        let left = has_left(target, entry);
        let all = target.scope == Scope::All;
        let was_notified = |one: &Listed<'_>| {
            let life = entry.and_then(|entry| entry.firing.get(&one.alert.fingerprint));
            !unsure && has(life, one)
        };
        let heard = |one: &Listed<'_>| {
            let life = entry.and_then(|entry| entry.resolved.get(&one.alert.fingerprint));
            has(life, one) || self.is_given_up(one, target)
        };
        let firing = self.audible(|one| all && one.fires() && !was_notified(one));
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
        let fires = !self.audible(Listed::fires).is_empty();
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

/// Whether people know an alert: they were notified of a firing since the chain began. To whoever is not notified of ends, each firing
/// is new.
pub(super) fn knows(listed: &Listed<'_>, life: Option<u64>, target: &Target) -> bool {
    if target.send_resolved {
        listed.is_same(life)
    } else {
        life.is_some_and(|life| life >= listed.member.life)
    }
}

/// Whether the log holds this very life of an alert.
pub(super) fn has(life: Option<&u64>, listed: &Listed<'_>) -> bool {
    life.is_some_and(|life| *life >= listed.member.life)
}

/// Whether a target that knows an alert is to hear of this end.
pub(super) fn wants_end(alert: &Alert, target: &Target) -> bool {
    target.send_resolved && !ends_silently(alert)
}
