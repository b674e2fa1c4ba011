//! The peers of the model: what each knows from what arrived.

use super::*;

/// What the peers know.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// PagerDuty: open incidents by their key.
    pub(super) incidents: BTreeSet<String>,
    /// Alertmanager: alerts that were notified, when, and whether as firing.
    pub(super) active: BTreeMap<Fingerprint, (Timestamp, bool)>,
    /// People: the last word on each alert, by whom and where it was read.
    pub(super) read: BTreeMap<(TargetId, Fingerprint), (Timestamp, Status)>,
    /// What went out under a key.
    bodies: BTreeMap<String, String>,
}

impl Peers {
    pub(super) fn take(&mut self, arrived: &Arrived, kind: PeerKind) {
        let message = &arrived.message;
        let body = serde_json::to_string(message).expect("JSON");
        let before = self.bodies.entry(arrived.key.clone()).or_insert_with(|| body.clone());
        assert_eq!(*before, body, "another content under the key {}", arrived.key);
        match kind {
            PeerKind::People => {
                for alert in &message.alerts {
                    let key = (arrived.target.clone(), alert.fingerprint.clone());
                    self.read.insert(key, (arrived.at, alert.status));
                }
            }
            PeerKind::Incident => {
                let closes = closes_incident(message);
                if message.reopens || closes {
                    self.incidents.remove(&message.group_key);
                }
                if !closes {
                    self.incidents.insert(message.group_key.clone());
                }
            }
            PeerKind::Alerts => {
                for alert in &message.alerts {
                    let fires = alert.status == Status::Firing || alert.unheard;
                    self.active.insert(alert.fingerprint.clone(), (arrived.at, fires));
                }
            }
        }
    }
}

/// Whether PagerDuty closes an incident by a message; by any other it opens one, also by an end that it had not heard of.
pub(super) fn closes_incident(message: &Message) -> bool {
    message.reason == Reason::AllResolved && message.status == Status::Resolved
}
