//! Groups at work: which alerts are notified together, and which deliveries are opened when.

mod asked;
mod decided;
mod ended;
mod routes;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

pub use asked::compose;
pub(in crate::engine) use asked::next_notification;
#[cfg(test)]
pub(in crate::engine) use asked::owed_next;
use decided::Decided;

use super::step::Batch;
use super::timers::Due;
use crate::alerts::{
    self, Alert, Fingerprint, Group, INTERVAL_MIN, LogEntry, Look, MEMBERS_MAX, PeerKind, Route,
    Scope, Suppression, Target, TargetId, Timing,
};
use crate::clock;
use crate::store::{NewDelivery, delivery_id};

impl Batch<'_> {
    /// Notes an alert in the groups that it belongs to, each route's that takes it. `unnotified`: nobody is to hear of its end
    /// but who knows that it fires.
    pub(in crate::engine) fn note_in_groups(
        &mut self,
        alert: &Alert,
        cause: Option<i64>,
        unnotified: bool,
        at: Timestamp,
    ) {
        let policy = self.policy;
        // What ends while it is silenced or inhibited is dropped, as in Alertmanager.
        let dropped = unnotified
            || !alert.is_firing()
                && self.state.suppression(&policy.routing.inhibit_rules, alert, at).is_some();
        for route in policy.routing.route.take(&alert.labels) {
            self.note_in_group(route, alert, cause, dropped, at);
        }
    }

    fn note_in_group(
        &mut self,
        route: &Route,
        alert: &Alert,
        cause: Option<i64>,
        dropped: bool,
        at: Timestamp,
    ) {
        let (key, labels) = route.group_key(&alert.labels);
        let mut group = self
            .state
            .take_group(&key)
            .unwrap_or_else(|| Group::new(key.clone(), route.id.clone(), labels, at));
        let lost = group.note(alert, cause, dropped, at);
        self.judged.report.crowded_out += lost.len();
        if !lost.is_empty() {
            let account = alert.labels.get("account").map_or("", String::as_str);
            let payload =
                json!({"receiver": route.receiver, "rule": alert.rule, "count": MEMBERS_MAX});
            self.raise_once("tollbell.group_full", &key, account, payload, at);
        }
        self.state.touch_member(&key, &alert.fingerprint);
        for fingerprint in &lost {
            self.state.touch_member(&key, fingerprint);
        }
        if let (Some(cause), Some(open)) = (cause.filter(|_| !dropped), self.state.open.get(&key)) {
            let causes = open.values().map(|id| (id.clone(), vec![cause]));
            self.judged.changes.causes.extend(causes);
        }
        // What it did before, unheard, counts as well.
        let since = group.members.get(&alert.fingerprint).map_or(at, alerts::Member::owed_since);
        let mut when = self.earliest(&group, route, since, at);
        let rules = &self.policy.routing.inhibit_rules;
        // What waits to be sent must not take along what is inhibited: who composes it asks the member. And when something
        // was dropped, who knows it is owed its end since it was notified.
        let is_open = self.state.open.contains_key(&key);
        let is_inhibited = || self.state.inhibitor.inhibited_by(rules, &alert.labels).is_some();
        if !group.members.contains_key(&alert.fingerprint) || (is_open && is_inhibited()) {
            when = Some(at);
        }
        self.state.put_group(group);
        if let Some(when) = when {
            self.state.timers.set_earlier(Due::Group(key), when);
        }
    }

    /// The earliest time at which what has just changed may be due; `None` while every target has a delivery open, whose
    /// end brings the next look.
    fn earliest(
        &self,
        group: &Group,
        route: &Route,
        since: Timestamp,
        at: Timestamp,
    ) -> Option<Timestamp> {
        let receiver = self.policy.receivers.get(&route.receiver)?;
        let (open, log) = (self.state.open.get(&group.key), self.state.log.get(&group.key));
        let interval = route.timing.group_interval.max(INTERVAL_MIN);
        let waited = clock::passed(since, route.timing.group_wait, at).max(at);
        let integrations = receiver.integrations.iter();
        let targets = integrations.flat_map(|one| {
            one.channel
                .targets()
                .into_iter()
                .map(move |target| (one, TargetId::new(&*one.id, target)))
        });
        let turns = targets.filter(|(_, id)| open.is_none_or(|open| !open.contains_key(id))).map(
            |(one, id)| {
                let notified_at =
                    log.and_then(|log| log.get(&id)).and_then(|entry| entry.notified_at);
                let interval = one.resend.map_or(interval, |own| own.min(interval));
                let turn = notified_at
                    .map_or(waited, |notified| clock::passed(notified, interval, at).max(waited));
                group.gate(&id).map_or(turn, |gate| gate.opens(at).max(turn))
            },
        );
        let turn = turns.min();
        // Without targets, and for those that have left the route, a look says what is to be done.
        let is_of =
            |id: &TargetId| receiver.integrations.iter().any(|one| one.id == id.integration);
        let left = log.is_some_and(|log| log.keys().any(|id| !is_of(id)));
        if receiver.integrations.is_empty() || left { Some(waited) } else { turn }
    }

    /// Looks at a group whose time has come.
    pub(in crate::engine) fn look_at(&mut self, key: &str, at: Timestamp) {
        let Some(group) = self.state.take_group(key) else { return };
        let decided = self.decide(&group, at);
        self.carry_out(group, decided, at);
    }

    fn decide(&mut self, group: &Group, at: Timestamp) -> Decided {
        let policy = self.policy;
        let routing = &policy.routing;
        let route = routing.route.find(&group.route);
        let muted = route.and_then(|route| routing.muted(route, at));
        let mut decided = Decided::default();
        if let (Some(route), Some(_)) = (route, &muted) {
            decided.next = self.next_change(route, at);
        }
        let state = &*self.state;
        let rules = &routing.inhibit_rules;
        let quiet = |alert: &Alert, _: &alerts::Member| {
            let inhibited =
                state.inhibitor.inhibited_by(rules, &alert.labels).map(Suppression::Inhibited);
            alerts::quiet(alert, inhibited, muted.as_ref(), || state.silenced(alert, at))
        };
        let firing = |fingerprint: &Fingerprint| state.alerts.get(fingerprint);
        let look = Look::new(group, &firing, &quiet, at);
        let none = BTreeMap::new();
        let log = state.log.get(&group.key).unwrap_or(&none);
        let targets = state.targets(policy, group, route);
        let timing = route.map_or(Timing::NO_ROUTE, |route| route.timing);
        for target in &targets {
            decided.for_target(&look, target, log.get(&target.id), &timing, state, at);
        }
        decided.for_members(&look, &targets, log, state);
        decided
    }

    /// When a route that is quiet by the time of day is so no more.
    fn next_change(&mut self, route: &Route, at: Timestamp) -> Option<Timestamp> {
        if let Some((asked, edge)) = self.state.edges.get(&route.id)
            && *asked <= at
            && edge.is_none_or(|edge| edge > at)
        {
            return *edge;
        }
        let edge = self.policy.routing.next_change(route, at);
        self.state.edges.insert(route.id.clone(), (at, edge));
        edge
    }

    fn carry_out(&mut self, mut group: Group, decided: Decided, at: Timestamp) {
        let key = group.key.clone();
        let mut changed = false;
        for (fingerprint, why) in decided.suppressed {
            if let Some(why) = &why {
                self.journal(&fingerprint, &key, "suppressed", &describe(why), at);
                self.judged.report.quieted.push((fingerprint.clone(), why.clone()));
            }
            if let Some(member) = group.members.get_mut(&fingerprint) {
                member.suppressed = why;
                self.state.touch_member(&key, &fingerprint);
            }
        }
        for fingerprint in &decided.dropped {
            group.members.remove(fingerprint);
            self.state.touch_member(&key, fingerprint);
        }
        // What waits for an answer may be owed once more, for the same causes.
        let is_open = self.state.open.contains_key(&key);
        if !decided.some_wait && (!decided.open.is_empty() || !is_open) {
            for (fingerprint, member) in &mut group.members {
                // What is quiet is owed later, for what caused it.
                let is_audible = member.suppressed.is_none();
                if is_audible && (member.waits_since.take().is_some() || !member.causes.is_empty())
                {
                    member.causes.clear();
                    self.state.touch_member(&key, fingerprint);
                }
            }
        }
        for (target, causes) in decided.open {
            changed = true;
            self.open(&mut group, &target, causes);
        }
        for member in group.members.values() {
            self.state.index_quiet(&key, member.suppressed.as_ref());
        }
        self.state.index_elsewhere(&key, &decided.elsewhere);
        if self.is_over(&group) {
            self.state.forget_group(&group);
            self.judged.changes.forgotten.push(key);
            return;
        }
        if changed {
            self.state.put_group(group);
        } else {
            self.state.put_group_back(group);
        }
        self.due_after(Due::Group(key), decided.next, at);
    }

    /// Whether nothing is left of a group: no alerts, nothing open, and no peer that keeps state knows of anything.
    fn is_over(&self, group: &Group) -> bool {
        let known = |(id, entry): (&TargetId, &LogEntry)| {
            let Some((_, integration)) = self.policy.integration(&id.integration) else {
                return false;
            };
            let kind = integration.channel.peer_kind();
            // Also of what another group is to notify it of: when that ends unheard there, this one says so.
            let mut known = entry.maybe_known().map(|(one, _)| one);
            kind.keeps_state()
                && integration.send_resolved
                && known.any(|one| {
                    kind != PeerKind::Alerts
                        || !self.state.is_taken_over(self.policy, &group.key, id, one)
                })
        };
        group.members.is_empty()
            && self.state.open.get(&group.key).is_none_or(BTreeMap::is_empty)
            && !self.state.log.get(&group.key).is_some_and(|log| log.iter().any(known))
    }

    /// Opens a delivery.
    fn open(&mut self, group: &mut Group, target: &Target, causes: Vec<i64>) {
        let Some((receiver, _)) = self.policy.integration(&target.id.integration) else { return };
        group.opened += 1;
        // Not the places in the inbox alone: another database may hold other events there. Not without them: a group
        // that is over at once is born again by the next event, which may have come in the same instant.
        let opened = format!("{} {} {causes:?}", group.born_at, group.opened);
        let id = delivery_id(&[&opened, &group.key, &target.id.integration, &target.id.target]);
        let open = self.state.open.entry(group.key.clone()).or_default();
        open.insert(target.id.clone(), id.clone());
        let fallback = receiver.fallback.as_ref().filter(|_| target.scope == Scope::All);
        self.judged.changes.deliveries.push(NewDelivery {
            id,
            target: target.id.clone(),
            receiver: receiver.name.clone(),
            group_key: group.key.clone(),
            opened_at: self.now,
            fallback_at: fallback.map(|_| clock::add(self.now, receiver.fallback_after)),
            fallback_of: None,
            caused_by: causes,
        });
    }

    /// A source of inhibition began: targets among what waits to be sent are quiet now.
    pub(in crate::engine) fn source_began(&mut self, at: Timestamp) {
        for key in self.state.open.keys().cloned().collect::<Vec<_>>() {
            self.look_at(&key, at);
        }
    }

    /// A source of inhibition ended: what it kept quiet may be due.
    pub(in crate::engine) fn source_ended(&mut self, source: &Fingerprint, at: Timestamp) {
        for key in self.state.inhibited.remove(source).unwrap_or_default() {
            self.state.look_soon(&key, at);
        }
    }
}

/// What kept an alert quiet, for people.
fn describe(suppression: &Suppression) -> String {
    match suppression {
        Suppression::Inhibited(source) => format!("inhibited by alert {source}"),
        Suppression::Inactive(names) => format!("outside of active time interval {names}"),
        Suppression::Muted(name) => format!("muted by time interval {name}"),
        Suppression::Silenced(id) => format!("silenced by {id}"),
    }
}
