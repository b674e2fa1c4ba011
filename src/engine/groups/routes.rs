//! Applies routes that may be new to the groups.

use crate::alerts::{Alert, FAILED_INTERVAL_MAX, Fingerprint, Group, Route};
use crate::clock;
use crate::engine::policy::Policy;
use crate::engine::step::Batch;
use crate::rules::Labels;

use super::asked::next_notification;

impl Batch<'_> {
    /// Applies routes that may be new to the groups: each alert that fires or is still to be notified as ended is in the groups of
    /// the routes that take it now, and in no other. Who was notified stays with the group. `is_other`: they may be others
    /// than those by which the groups' deadlines were set.
    pub(in crate::engine) fn apply_routes(&mut self, is_other: bool) {
        let policy = self.policy;
        self.state.index_inhibition(&policy.routing.inhibit_rules);
        self.state.edges.clear();
        self.state.elsewhere.clear();
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
            for target in self.state.targets(policy, &group, route) {
                self.state.index_elsewhere(&key, &target.elsewhere);
            }
            let is_as_before = !is_other && strays.is_empty() && !self.is_of_later(&group);
            if strays.is_empty() {
                self.state.put_group_back(group);
            } else {
                self.state.put_group(group);
            }
            if is_as_before {
                continue;
            }
            // Receivers, intervals and silences may be others. What was due before is looked at as of then: events of that
            // time may still wait to be judged.
            let due = next_notification(self.state, policy, &key, self.now);
            let due = due.map_or(self.now, |(due, _)| due.min(self.now));
            self.state.look_soon(&key, due);
        }
        let state = &self.state;
        let firing = state.alerts.values().filter(|one| !state.is_unnotified(&one.fingerprint));
        let firing: Vec<Alert> = firing.cloned().collect();
        for alert in firing.into_iter().chain(astray) {
            for route in policy.routing.route.take(&alert.labels) {
                let (key, _) = route.group_key(&alert.labels);
                let group = self.state.groups.get(&key);
                if group.is_none_or(|group| !group.members.contains_key(&alert.fingerprint)) {
                    self.note_in_group(route, &alert, None, false, self.now);
                }
            }
        }
    }
}

impl Batch<'_> {
    /// Whether something of a group is of a time that is still to come: its deadlines were set by a clock that showed another.
    fn is_of_later(&self, group: &Group) -> bool {
        let now = self.now;
        let mut notified = self.state.log.get(&group.key).into_iter().flatten();
        group.members.values().any(|member| member.changed_at > now)
            || notified.any(|(_, entry)| entry.notified_at.is_some_and(|at| at > now))
            || group.gates.iter().any(|gate| gate.until > clock::add(now, FAILED_INTERVAL_MAX))
    }
}

/// Whether the route still takes an alert with these labels, into the group with this key.
fn belongs(policy: &Policy, route: &Route, labels: &Labels, key: &str) -> bool {
    policy.routing.route.take(labels).iter().any(|taken| taken.id == route.id)
        && route.group_key(labels).0 == key
}
