//! Takes note of deliveries that ended.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::alerts::{
    FAILED_INTERVAL_MAX, Fingerprint, Group, INTERVAL_MIN, LogEntry, Reason, Timing,
};
use crate::clock;
use crate::engine::step::Batch;
use crate::rules::Labels;
use crate::store::{DeliveryState, EndedDelivery};

/// How long a target is left alone for which there was nothing to say although it seemed owed.
const NOTHING_LEFT: std::time::Duration = std::time::Duration::from_secs(5);

impl Batch<'_> {
    /// Takes note of deliveries that ended: what was delivered is in the notification log now; what was not is owed again.
    pub(in crate::engine) fn note_ended_deliveries(&mut self) {
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
}
