//! Takes note of deliveries that ended.

use jiff::Timestamp;

use crate::alerts::{FAILED_INTERVAL_MAX, Group, INTERVAL_MIN, Timing};
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
            if let Some(open) = self.state.open.get_mut(&ended.group_key) {
                // That it was delivered may be known long after it was given up, when another is open.
                if open.get(&ended.target) == Some(&ended.id) {
                    open.remove(&ended.target);
                }
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
                self.is_well(&ended.target.integration, at);
            } else {
                self.close_gate(&ended, at);
            }
            if let Some(entry) = ended.entry {
                // Groups by which it was known before are looked at: they may have nothing left to say.
                for one in entry.firing.keys() {
                    for before in self.state.elsewhere.get(one).cloned().unwrap_or_default() {
                        self.state.look_soon(&before, at);
                    }
                }
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
}
