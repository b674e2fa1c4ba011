//! What one look at a group decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::alerts::{
    DELIVERY_CAUSES_MAX, Fingerprint, Group, LogEntry, Look, Owed, PeerKind, Reason, Route,
    Suppression, Target, TargetId, Timing, newest,
};
use crate::engine::policy::Policy;
use crate::engine::state::State;

/// What one look at a group decided.
#[derive(Default)]
pub(super) struct Decided {
    /// Alerts that are quiet now, or no more.
    pub(super) suppressed: Vec<(Fingerprint, Option<Suppression>)>,
    /// Alerts that nobody is to hear of any more.
    pub(super) dropped: Vec<Fingerprint>,
    /// Deliveries to open: who, and the events that caused them.
    pub(super) open: Vec<(Target, Vec<i64>)>,
    /// Alerts that targets know by this group and hear of by another.
    pub(super) elsewhere: BTreeSet<Fingerprint>,
    /// Whether somebody is owed what is not due yet.
    pub(super) some_wait: bool,
    /// When to look again.
    pub(super) next: Option<Timestamp>,
}

impl State {
    /// Who hears of a group, with what they know by it and hear by other groups.
    pub(super) fn targets(
        &self,
        policy: &Policy,
        group: &Group,
        route: Option<&Route>,
    ) -> Vec<Target> {
        let log = self.log.get(&group.key);
        let known = log.into_iter().flat_map(BTreeMap::keys);
        let mut targets = policy.targets(route.map(|route| route.receiver.as_str()), known);
        for target in &mut targets {
            let entry = log.and_then(|log| log.get(&target.id));
            target.elsewhere = self.elsewhere(policy, group, target.kind, &target.id, entry);
        }
        targets
    }

    pub(super) fn elsewhere(
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

    /// Whether a target that may know an alert by this group was notified by another one since that it fires: then its end is
    /// owed there.
    pub(super) fn is_taken_over(
        &self,
        policy: &Policy,
        group: &str,
        id: &TargetId,
        fingerprint: &Fingerprint,
    ) -> bool {
        let entry = |key: &str| self.log.get(key).and_then(|log| log.get(id));
        let Some((alert, known)) = self.alerts.get(fingerprint).zip(entry(group)) else {
            return false;
        };
        policy.routing.route.take(&alert.labels).into_iter().any(|route| {
            let (key, _) = route.group_key(&alert.labels);
            key != group
                && entry(&key).is_some_and(|other| {
                    other.notified_at >= known.notified_at && other.firing.contains_key(fingerprint)
                })
        })
    }
}

impl Decided {
    /// What one target is owed, and when.
    #[expect(
        clippy::too_many_arguments,
        reason = "all that a decision depends on; there is one caller"
    )]
    pub(super) fn for_target(
        &mut self,
        look: &Look<'_>,
        target: &Target,
        entry: Option<&LogEntry>,
        timing: &Timing,
        state: &State,
        at: Timestamp,
    ) {
        self.elsewhere.extend(target.elsewhere.iter().cloned());
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
    pub(super) fn for_members(
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
