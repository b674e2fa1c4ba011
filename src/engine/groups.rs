//! Groups at work: which alerts are notified together, and which deliveries are opened when.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::policy::Policy;
use super::state::State;
use super::step::Batch;
use super::timers::Due;
use crate::alerts::{
    self, Alert, Composed, DELIVERY_CAUSES_MAX, Envelope, FAILED_INTERVAL_MAX, Fingerprint, Group,
    INTERVAL_MIN, LogEntry, Look, MEMBERS_MAX, Owed, PeerKind, Reason, Route, Scope, Suppression,
    Target, TargetId, Timing, newest,
};
use crate::clock;
use crate::rules::Labels;
use crate::store::{DeliveryState, EndedDelivery, NewDelivery, delivery_id};

/// How long a target is left alone for which there was nothing to say although it seemed owed.
const NOTHING_LEFT: std::time::Duration = std::time::Duration::from_secs(5);

/// Identity of the group that an alert with these labels has in a route.
pub(super) fn group_key(route: &Route, labels: &Labels) -> (String, Labels) {
    let group_labels = route.group_by.labels_of(labels);
    (format!("{}/{}", route.id, Fingerprint::of(&group_labels)), group_labels)
}

/// What one look at a group decided.
#[derive(Default)]
struct Decided {
    /// Alerts that are quiet now, or no more.
    suppressed: Vec<(Fingerprint, Option<Suppression>)>,
    /// Alerts that nobody is to hear of any more.
    dropped: Vec<Fingerprint>,
    /// Deliveries to open: who, and the events that caused them.
    open: Vec<(Target, Vec<i64>)>,
    /// Whether somebody is owed what is not due yet.
    some_wait: bool,
    /// When to look again.
    next: Option<Timestamp>,
}

impl Batch<'_> {
    /// Notes an alert in the groups that it belongs to, each route's that takes it.
    /// `untold`: nobody is to hear of its end but who knows that it fires.
    pub(super) fn note_in_groups(
        &mut self,
        alert: &Alert,
        cause: Option<i64>,
        untold: bool,
        at: Timestamp,
    ) {
        let policy = self.policy;
        // What ends while it is silenced or inhibited is dropped, as in Alertmanager.
        let dropped = untold
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
        let (key, labels) = group_key(route, &alert.labels);
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
        let mut when = self.earliest(&group, route, at);
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
    fn earliest(&self, group: &Group, route: &Route, at: Timestamp) -> Option<Timestamp> {
        let receiver = self.policy.receivers.get(&route.receiver)?;
        let (open, log) = (self.state.open.get(&group.key), self.state.log.get(&group.key));
        let interval = route.timing.group_interval.max(INTERVAL_MIN);
        let waited = clock::add(at, route.timing.group_wait);
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
                    .map_or(waited, |told| clock::add(told.min(at), interval).max(waited));
                group.gate(&id).map_or(turn, |gate| gate.until.max(turn))
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
    pub(super) fn look_at(&mut self, key: &str, at: Timestamp) {
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
                if member.waits_since.take().is_some() || !member.causes.is_empty() {
                    member.causes.clear();
                    self.state.touch_member(&key, fingerprint);
                }
            }
        }
        for (target, causes) in decided.open {
            changed = true;
            self.open(&mut group, &target, causes);
        }
        for (fingerprint, member) in &group.members {
            match &member.suppressed {
                Some(Suppression::Inhibited(source)) => {
                    self.state.inhibited.entry(source.clone()).or_default().insert(key.clone());
                }
                Some(Suppression::Silenced(_)) => drop(self.state.silenced.insert(key.clone())),
                Some(Suppression::Inactive(_) | Suppression::Muted(_)) | None => {}
            }
            debug_assert!(!fingerprint.as_str().is_empty());
        }
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
            let elsewhere = self.state.elsewhere(self.policy, group, kind, id, Some(entry));
            let mut left = entry.maybe_known().filter(|(one, _)| !elsewhere.contains(*one));
            kind.keeps_state() && integration.send_resolved && left.next().is_some()
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

    /// Takes note of deliveries that ended: what was delivered is in the notification log now; what was not is owed again.
    pub(super) fn note_ended_deliveries(&mut self) {
        for ended in std::mem::take(&mut self.state.ended_deliveries) {
            self.judged.changes.noted.push(ended.n);
            let at = ended.finished_at.min(self.now);
            let before = self
                .state
                .log
                .get(&ended.group_key)
                .and_then(|log| log.get(&ended.target))
                .cloned();
            if let Some(open) = self.state.open.get_mut(&ended.group_key) {
                open.remove(&ended.target);
                if open.is_empty() {
                    self.state.open.remove(&ended.group_key);
                }
            }
            if !self.state.groups.contains_key(&ended.group_key) {
                // Its end is owed to a peer that keeps state, and to nobody else.
                let key = ended.group_key.clone();
                let group = Group::new(key, String::new(), Labels::new(), at);
                self.state.put_group(group);
            }
            if ended.state == DeliveryState::Delivered {
                self.journal_delivered(&ended, before.as_ref(), at);
                self.is_well(&ended.target.integration, at);
            } else {
                self.close_gate(&ended, at);
            }
            if let Some(entry) = ended.entry {
                let log = self.state.log.entry(ended.group_key.clone()).or_default();
                log.insert(ended.target, entry);
            }
            self.state.look_soon(&ended.group_key, at);
        }
    }

    /// A target whose delivery died is owed again after `group_interval`, a quarter of an hour at most.
    fn close_gate(&mut self, ended: &EndedDelivery, at: Timestamp) {
        let Some(mut group) = self.state.take_group(&ended.group_key) else { return };
        let route = self.policy.routing.route.find(&group.route);
        let interval =
            route.map_or(Timing::NO_ROUTE, |route| route.timing).group_interval.max(INTERVAL_MIN);
        let died = ended.state == DeliveryState::Dead;
        let wait = if died { interval.min(FAILED_INTERVAL_MAX) } else { NOTHING_LEFT };
        group.close_gate(&ended.target, clock::add(at, wait), died);
        let integration = ended.target.integration.clone();
        self.state.gated.entry(integration).or_default().insert(group.key.clone());
        self.state.put_group(group);
    }

    /// An integration that delivers again is well: whoever is owed there waits no longer.
    fn is_well(&mut self, integration: &str, at: Timestamp) {
        for key in self.state.gated.remove(integration).unwrap_or_default() {
            let Some(mut group) = self.state.take_group(&key) else { continue };
            if group.open_gates(|gate| gate.target.integration == integration) {
                self.state.put_group(group);
                self.state.look_soon(&key, at);
            } else {
                self.state.put_group_back(group);
            }
        }
    }

    /// Writes into the story of each alert that it was notified; once for all targets of an integration.
    fn journal_delivered(
        &mut self,
        ended: &EndedDelivery,
        before: Option<&LogEntry>,
        at: Timestamp,
    ) {
        let Some(entry) = &ended.entry else { return };
        let repeats = ended.why == Reason::Repeat.as_str();
        let news = |now: &BTreeMap<Fingerprint, u64>,
                    before: Option<&BTreeMap<Fingerprint, u64>>| {
            let is_new = |(one, life): &(&Fingerprint, &u64)| {
                before.is_none_or(|before| before.get(*one) != Some(*life))
            };
            now.iter().filter(is_new).map(|(one, _)| one.clone()).collect::<BTreeSet<_>>()
        };
        let mut told =
            news(&entry.firing, before.filter(|_| !repeats).map(|before| &before.firing));
        told.extend(news(&entry.resolved, before.map(|before| &before.resolved)));
        let log = self.state.log.get(&ended.group_key);
        let others = log
            .into_iter()
            .flatten()
            .filter(|(id, _)| id.integration == ended.target.integration && **id != ended.target);
        let has_heard = others.filter_map(|(_, other)| other.notified_at).any(|other| {
            entry.notified_at.is_some_and(|now| clock::until(other, now) < INTERVAL_MIN)
        });
        if has_heard {
            return;
        }
        let kind = self.policy.integration(&ended.target.integration);
        let kind =
            kind.map_or("a former integration", |(_, integration)| integration.channel.kind());
        let detail = format!("{} by {kind}: {}", ended.receiver, ended.why);
        for fingerprint in told {
            self.journal(&fingerprint, &ended.group_key, "notified", &detail, at);
        }
    }

    /// A source of inhibition began: targets among what waits to be sent are quiet now.
    pub(super) fn source_began(&mut self, at: Timestamp) {
        for key in self.state.open.keys().cloned().collect::<Vec<_>>() {
            self.look_at(&key, at);
        }
    }

    /// A source of inhibition ended: what it kept quiet may be due.
    pub(super) fn source_ended(&mut self, source: &Fingerprint, at: Timestamp) {
        for key in self.state.inhibited.remove(source).unwrap_or_default() {
            self.state.look_soon(&key, at);
        }
    }

    /// Applies routes that may be new to the groups: each alert that fires or is still to be told as ended is in the groups of
    /// the routes that take it now, and in no other. Who was told stays with the group.
    pub(super) fn apply_routes(&mut self) {
        let policy = self.policy;
        self.state.index_inhibition(&policy.routing.inhibit_rules);
        self.state.edges.clear();
        let mut astray: Vec<Alert> = Vec::new();
        for key in self.state.groups.keys().cloned().collect::<Vec<_>>() {
            let Some(mut group) = self.state.take_group(&key) else { continue };
            let route = policy.routing.route.find(&group.route);
            let alerts = &self.state.alerts;
            let strays: Vec<(Fingerprint, Option<Alert>)> = group
                .members
                .iter()
                .map(|(one, member)| {
                    (one, member.ended.as_deref().or_else(|| alerts.get(one)), member.over)
                })
                .filter(|(_, alert, _)| {
                    !route
                        .zip(*alert)
                        .is_some_and(|(route, alert)| belongs(policy, route, &alert.labels, &key))
                })
                .map(|(one, alert, over)| (one.clone(), alert.filter(|_| over).cloned()))
                .collect();
            for (fingerprint, ended) in &strays {
                group.members.remove(fingerprint);
                self.state.touch_member(&key, fingerprint);
                astray.extend(ended.clone());
            }
            for gate in &group.gates {
                let gated = self.state.gated.entry(gate.target.integration.clone()).or_default();
                gated.insert(key.clone());
            }
            if strays.is_empty() {
                self.state.put_group_back(group);
            } else {
                self.state.put_group(group);
            }
            // Receivers, intervals and silences may be others, and what kept quiet may have ended while nobody looked.
            self.state.look_soon(&key, self.now);
        }
        let firing: Vec<Alert> = self.state.alerts.values().cloned().collect();
        for alert in firing.into_iter().chain(astray) {
            for route in policy.routing.route.take(&alert.labels) {
                let (key, _) = group_key(route, &alert.labels);
                let group = self.state.groups.get(&key);
                if group.is_none_or(|group| !group.members.contains_key(&alert.fingerprint)) {
                    self.note_in_group(route, &alert, None, false, self.now);
                }
            }
        }
    }
}

impl State {
    /// Who hears of a group, with what they know by it and hear by other groups.
    fn targets(&self, policy: &Policy, group: &Group, route: Option<&Route>) -> Vec<Target> {
        let log = self.log.get(&group.key);
        let known = log.into_iter().flat_map(BTreeMap::keys);
        let mut targets = policy.targets(route.map(|route| route.receiver.as_str()), known);
        for target in &mut targets {
            let entry = log.and_then(|log| log.get(&target.id));
            target.elsewhere = self.elsewhere(policy, group, target.kind, &target.id, entry);
        }
        targets
    }

    fn elsewhere(
        &self,
        policy: &Policy,
        group: &Group,
        kind: PeerKind,
        id: &TargetId,
        entry: Option<&LogEntry>,
    ) -> BTreeSet<Fingerprint> {
        match policy.integration(&id.integration).filter(|_| kind == PeerKind::Alerts) {
            Some((receiver, _)) => {
                policy.routing.elsewhere(group, entry, &receiver.name, &|one| self.alerts.get(one))
            }
            None => BTreeSet::new(),
        }
    }
}

impl Decided {
    /// What one target is owed, and when.
    #[expect(
        clippy::too_many_arguments,
        reason = "all that a decision depends on; there is one caller"
    )]
    fn for_target(
        &mut self,
        look: &Look<'_>,
        target: &Target,
        entry: Option<&LogEntry>,
        timing: &Timing,
        state: &State,
        at: Timestamp,
    ) {
        let Some(due) = look.due(target, entry, timing) else { return };
        let key = look.group_key();
        if state.open.get(key).is_some_and(|open| open.contains_key(&target.id)) {
            // It is composed when it is claimed; its end brings the next look.
        } else if due.at <= at {
            self.open.push((target.clone(), causes(&due.owed)));
        } else {
            self.some_wait |= due.owed.reason != Reason::Repeat;
            self.next = Some(self.next.map_or(due.at, |next| next.min(due.at)));
        }
    }

    /// What is quiet, and what nobody is to hear of any more.
    fn for_members(
        &mut self,
        look: &Look<'_>,
        targets: &[Target],
        log: &BTreeMap<TargetId, LogEntry>,
        state: &State,
    ) {
        let lost = look.lost().cloned();
        self.dropped.extend(lost);
        for listed in look.listed() {
            let fingerprint = &listed.alert.fingerprint;
            if listed.member.suppressed != listed.quiet {
                self.suppressed.push((fingerprint.clone(), listed.quiet.clone()));
            }
            if let Some(Suppression::Silenced(id)) = &listed.quiet
                && let Some(ends_at) = state.silence_ends(id)
            {
                self.next = Some(self.next.map_or(ends_at, |next| next.min(ends_at)));
            }
            let quiet_for_good = listed.quiet.as_ref().is_some_and(|why| !why.is_by_time());
            let settled = || {
                targets.iter().all(|target| look.is_settled(listed, target, log.get(&target.id)))
            };
            if listed.member.over && (quiet_for_good || settled()) {
                self.dropped.push(fingerprint.clone());
            }
        }
    }
}

/// A group as questions about it see it.
struct Asked<'s> {
    state: &'s State,
    policy: &'s Policy,
    group: &'s Group,
    route: Option<&'s Route>,
    at: Timestamp,
}

impl<'s> Asked<'s> {
    fn new(state: &'s State, policy: &'s Policy, key: &str, at: Timestamp) -> Option<Self> {
        let group = state.groups.get(key)?;
        Some(Self { state, policy, group, route: policy.routing.route.find(&group.route), at })
    }

    fn look<T>(&self, ask: impl FnOnce(&Look<'_>) -> T) -> T {
        let Self { state, policy, group, route, at } = *self;
        let muted = route.and_then(|route| policy.routing.muted(route, at));
        let quiet = |alert: &Alert, _: &alerts::Member| {
            let inhibited =
                state.inhibitor.inhibited_by(&policy.routing.inhibit_rules, &alert.labels);
            let inhibited = inhibited.map(Suppression::Inhibited);
            alerts::quiet(alert, inhibited, muted.as_ref(), || state.silenced(alert, at))
        };
        let firing = |fingerprint: &Fingerprint| state.alerts.get(fingerprint);
        ask(&Look::new(group, &firing, &quiet, at))
    }

    fn targets(&self) -> Vec<Target> {
        self.state.targets(self.policy, self.group, self.route)
    }

    fn entry(&self, target: &TargetId) -> Option<&'s LogEntry> {
        self.state.log.get(&self.group.key).and_then(|log| log.get(target))
    }

    fn timing(&self) -> Timing {
        self.route.map_or(Timing::NO_ROUTE, |route| route.timing)
    }
}

/// The message that a target of a group is owed at a time, as the claim would compose it from the same state.
pub fn compose(
    state: &State,
    policy: &Policy,
    delivery: &NewDelivery,
    at: Timestamp,
) -> Option<Composed> {
    let asked = Asked::new(state, policy, &delivery.group_key, at)?;
    let targets = asked.targets();
    let target = targets.iter().find(|target| target.id == delivery.target)?;
    let envelope = Envelope {
        receiver: &delivery.receiver,
        external_url: &policy.routing.external_url,
        opened_at: delivery.opened_at,
        fallback_for: None,
    };
    let lost = |one: &Fingerprint| state.alerts.get(one).cloned();
    asked.look(|look| {
        look.compose(target, asked.entry(&target.id), &asked.timing(), &envelope, &lost)
    })
}

/// When somebody is notified of a group next if nothing happens, and which setting says so.
pub(super) fn next_notification(
    state: &State,
    policy: &Policy,
    key: &str,
    at: Timestamp,
) -> Option<(Timestamp, &'static str)> {
    let asked = Asked::new(state, policy, key, at)?;
    let (targets, timing) = (asked.targets(), asked.timing());
    let open = state.open.get(key);
    asked.look(|look| {
        let due = targets.iter().filter_map(|target| {
            let mut entry = asked.entry(&target.id);
            // What waits to be sent is taken to be delivered now.
            let waits = open.is_some_and(|open| open.contains_key(&target.id));
            let envelope = Envelope::default();
            let composed =
                waits.then(|| look.compose(target, entry, &timing, &envelope, &|_| None));
            let delivered = composed.flatten().map(|composed| composed.delivered);
            entry = delivered.as_ref().or(entry);
            let due = look.due(target, entry, &timing)?;
            let by = match (due.owed.reason, entry.and_then(|entry| entry.notified_at)) {
                (Reason::Repeat, _) => "repeat_interval",
                (_, None) => "group_wait",
                (_, Some(_)) => "group_interval",
            };
            Some((due.at, by))
        });
        due.min()
    })
}

/// The events that caused what is owed.
fn causes(owed: &Owed<'_>) -> Vec<i64> {
    let mut causes: Vec<i64> = owed
        .firing
        .iter()
        .chain(&owed.ended)
        .flat_map(|listed| listed.member.causes.iter().copied())
        .collect();
    newest(&mut causes, DELIVERY_CAUSES_MAX);
    causes
}

/// Whether the route still takes an alert with these labels, into the group with this key.
fn belongs(policy: &Policy, route: &Route, labels: &Labels, key: &str) -> bool {
    policy.routing.route.take(labels).iter().any(|taken| taken.id == route.id)
        && group_key(route, labels).0 == key
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
