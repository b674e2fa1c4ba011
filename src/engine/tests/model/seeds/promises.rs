//! What is promised, asked after each step, and at the end.

use super::nodes::resumed;
use super::*;
use crate::engine::groups::owed_next;
use crate::engine::timers::Due;

/// What a notification says of its alerts, and whether it ends an incident.
pub(super) fn content(arrived: &Arrived, kind: PeerKind) -> String {
    let message = &arrived.message;
    let alerts = message.alerts.iter().map(|alert| {
        (&alert.fingerprint, alert.status, alert.starts_at, alert.ends_at, &alert.annotations)
    });
    let alerts: Vec<_> = alerts.collect();
    let closes = kind == PeerKind::Incident && closes_incident(message);
    let Message { status, reopens, truncated_alerts, .. } = message;
    format!("{status:?} {closes} {reopens} {truncated_alerts} {alerts:?}")
}

/// What the peer makes of notifications.
pub(super) fn peer_kind(policy: &Policy, arrived: &Arrived) -> PeerKind {
    let (_, integration) = policy.integration(&arrived.target.integration).expect("one");
    integration.channel.peer_kind()
}

/// A commit judges what was not judged before, and nothing else.
pub(super) fn assert_judged_once(changes: &Changes, before: i64) {
    let judged = changes.judgements.iter().map(|judgement| judgement.seq);
    for seq in judged.chain(changes.charges.iter().map(|(seq, _)| *seq)) {
        assert!(seq > before && seq <= changes.cursor, "{seq} in {before}..{}", changes.cursor);
    }
}

impl Sim<'_> {
    /// What holds at any time.
    pub(super) fn assert_promises(&self) {
        let stored: BTreeSet<&str> = self.inbox.iter().map(|stored| &*stored.event.id).collect();
        assert_eq!(stored.len(), self.inbox.len(), "an event is stored twice");
        for id in &self.acknowledged {
            assert!(stored.contains(&**id), "{id} was acknowledged, and is not stored");
        }
        let disk = &self.model.world.disk;
        let booked: Decimal = disk.charges.iter().map(|(_, charge)| *charge).sum();
        let mut amounts: BTreeMap<String, (Option<Timestamp>, Decimal)> = BTreeMap::new();
        for stored in self.inbox.iter().filter(|stored| stored.seq <= disk.cursor) {
            let Event { payload, cost: Some(cost), occurred_at, .. } = &stored.event else {
                continue;
            };
            let last = amounts.entry(payload["call_leg_id"].to_string()).or_default();
            // What comes late corrects nothing.
            if last.0 <= *occurred_at {
                *last = (*occurred_at, *cost);
            }
        }
        let amounts: Decimal = amounts.values().map(|(_, amount)| *amount).sum();
        assert_eq!(booked, amounts, "each call's last amount is booked, once");
    }

    /// No state outside of the store that a restart would miss.
    pub(super) fn assert_restart_is_no_change(&self, state: &State) {
        let anew = resumed(&self.model.world.disk);
        assert_eq!(anew.cursor, state.cursor);
        assert_eq!(anew.alerts, state.alerts);
        assert_eq!(anew.groups, state.groups);
        for group in state.groups.values() {
            let due = Due::Group(group.key.clone());
            assert_eq!(anew.timers.of(&due), state.timers.of(&due), "{}", group.key);
        }
        let now = self.now();
        let is_looked_at = |group: &String| {
            state.timers.of(&Due::Group(group.clone())).is_some_and(|at| at <= now)
        };
        let mut silenced = anew.silenced.difference(&state.silenced);
        assert_eq!(silenced.find(|group| !is_looked_at(group)), None);
        for (source, groups) in &anew.inhibited {
            let of = state.inhibited.get(source);
            let is_missed = |group: &&String| of.is_none_or(|of| !of.contains(*group));
            let missed = groups.iter().find(|group| is_missed(group) && !is_looked_at(group));
            assert_eq!(missed, None, "{source}");
        }
        if !self.model.world.disk.unnoted().is_empty() {
            return;
        }
        assert_eq!(anew.open, state.open);
        // What is open writes the log without asking; the engine takes note at its end.
        let at_rest = |of: &State| -> BTreeMap<(String, TargetId), LogEntry> {
            let all = of.log.iter().flat_map(|(key, log)| log.iter().map(move |one| (key, one)));
            let rest = all.filter(|(key, (id, _))| {
                of.open.get(*key).is_none_or(|open| !open.contains_key(id))
            });
            rest.map(|(key, (id, entry))| ((key.clone(), id.clone()), entry.clone())).collect()
        };
        assert_eq!(at_rest(&anew), at_rest(state));
    }

    /// What is owed has a deadline: nobody must wait for something else to happen.
    pub(super) fn assert_what_is_owed_has_a_deadline(&self, state: &State) {
        let now = self.now();
        for key in state.groups.keys() {
            let Some(owed) = owed_next(state, self.model.policy(), key, now) else { continue };
            let look_at = state.timers.of(&Due::Group(key.clone()));
            assert!(
                look_at.is_some_and(|at| at <= owed.max(now)),
                "{key} is owed at {owed}, looked at at {look_at:?}, now {now}"
            );
        }
    }

    /// What is silenced or inhibited is not notified.
    pub(super) fn assert_is_to_be_heard(&self, arrived: &Arrived) {
        let policy = self.model.policy();
        let disk = &self.model.world.disk;
        let rules = &policy.routing.inhibit_rules;
        let alerts = disk.alerts.values();
        let alerts = alerts.map(|json| serde_json::from_slice::<Alert>(json).expect("an alert"));
        let firing: Vec<Alert> = alerts.filter(Alert::is_firing).collect();
        let inhibitor = Inhibitor::new(rules, firing.iter());
        let kind = peer_kind(policy, arrived);
        assert_audible(arrived, kind, &disk.silences, |alert| {
            inhibitor.inhibited_by(rules, &alert.labels)
        });
    }

    /// The same is sent again under the same key, or because it is a repeat.
    pub(super) fn assert_same_content_has_one_key(&mut self, n: i64, arrived: &Arrived) {
        let message = Message { created_at: at(0), ..arrived.message.clone() };
        let body = serde_json::to_string(&message).expect("JSON");
        if let Some((key, before)) = self.sent.get(&n)
            && *before == body
        {
            assert_eq!(*key, arrived.key, "another key for {body}");
        }
        self.sent.insert(n, (arrived.key.clone(), body));
        let said = content(arrived, peer_kind(self.model.policy(), arrived));
        let known = self.told.get(&(arrived.message.group_key.clone(), arrived.target.clone()));
        if let Some((key, before)) = known
            && arrived.message.reason != Reason::Repeat
        {
            assert!(
                *before != said || *key == arrived.key,
                "notified twice of {said}, {:?}",
                arrived.message.reason
            );
        }
    }

    /// Quiet returns: everything comes to rest, and everybody knows what is so.
    pub(super) fn settle(&mut self) {
        self.show("quiet returns");
        for event in std::mem::take(&mut self.unanswered) {
            if self.inbox.iter().all(|stored| stored.event.id != event.id) {
                let seq = i64::try_from(self.inbox.len()).expect("few") + 1;
                let event = Event { received_at: self.now(), ..event };
                self.inbox.push(StoredEvent { seq, event });
            }
        }
        while !self.flights.is_empty() {
            self.go_on();
        }
        self.model.policy = 0;
        self.model.world.state = resumed(&self.model.world.disk);
        let cursor = self.model.world.disk.cursor;
        let rest: Vec<&StoredEvent> =
            self.inbox.iter().filter(|stored| stored.seq > cursor).collect();
        let (policy, now) = (self.model.policy(), self.now());
        self.model.world.step(policy, &rest, now);
        self.model.settle();
        self.model.check();
        self.assert_promises();
        let last = self.inbox.last().map_or(0, |stored| stored.seq);
        assert_eq!(self.model.world.disk.cursor, last, "not all is judged");
        let rest = rest.iter().filter(|stored| stored.event.kind == "fax.delivered");
        self.lasting.extend(rest.map(|stored| stored.event.id.clone()));
        let firing: BTreeSet<&str> = self
            .model
            .world
            .state
            .alerts()
            .filter_map(|alert| alert.labels.get("id"))
            .map(|id| &**id)
            .collect();
        let lasting: BTreeSet<&str> = self.lasting.iter().map(|id| &**id).collect();
        assert_eq!(firing, lasting, "an event had no effect, or a second one");
    }
}
