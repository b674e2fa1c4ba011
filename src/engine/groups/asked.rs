//! Questions about a group that change nothing: what a target would be notified of, and when.

use jiff::Timestamp;

use crate::alerts::{
    self, Alert, Composed, Envelope, Fingerprint, Group, LogEntry, Look, Reason, Route,
    Suppression, Target, TargetId, Timing,
};
use crate::engine::policy::Policy;
use crate::engine::state::State;
use crate::store::NewDelivery;

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

/// When a target that has no delivery open is owed something next if nothing happens.
#[cfg(test)]
pub(in crate::engine) fn owed_next(
    state: &State,
    policy: &Policy,
    key: &str,
    at: Timestamp,
) -> Option<Timestamp> {
    let asked = Asked::new(state, policy, key, at)?;
    let (mut targets, timing) = (asked.targets(), asked.timing());
    targets.retain(|one| state.open.get(key).is_none_or(|open| !open.contains_key(&one.id)));
    asked.look(|look| {
        let due = targets.iter().filter_map(|one| look.due(one, asked.entry(&one.id), &timing));
        due.map(|due| due.at).min()
    })
}

/// When somebody is notified of a group next if nothing happens, and which setting says so.
pub(in crate::engine) fn next_notification(
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
            let delivered = waits.then(|| look.delivered_now(target, entry, &timing)).flatten();
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
