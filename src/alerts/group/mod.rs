//! A group: the alerts of one route that are notified together.
//!
//! Pure. A [`Group`] takes note of what happens to its alerts ([`Group::note`]). A [`Look`] compares it with the
//! notification log and says what a target is owed ([`Look::owed`]), when ([`Look::due`]) and as which message
//! ([`Look::compose`]). The engine looks to open deliveries, the claim looks again to compose them: both ask the same
//! function, so what was owed and is no longer is not sent.
//!
//! The semantics are Alertmanager's with the departures of the design: `group_interval` is the least time between two
//! notifications and no grid, repeats are exact, an alert that ended before its first notification is still notified, what
//! ended while muted is notified when the mute ends.

mod compose;
mod look;
mod owed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use compose::{Composed, Envelope, message_alert};
pub use look::{Due, Listed, Look, Owed, PeerKind, Scope, Target};

use super::{Alert, AlertState, Fingerprint, Suppression, TargetId};
use crate::clock;
use crate::rules::Labels;

/// Most alerts of one group.
pub const MEMBERS_MAX: usize = 10_000;

/// How many ended alerts make room at once when a group is full, so that a flood pays for the search rarely.
const MEMBERS_EVICTED: usize = 1_000;

/// Most events kept per alert as causes; the newest stay.
const MEMBER_CAUSES_MAX: usize = 16;

/// Most causes of one delivery; the newest stay.
pub const DELIVERY_CAUSES_MAX: usize = 100;

/// Least `group_interval`: with none, a target that refuses would be tried without end.
pub const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// After a delivery died the group is owed again after `group_interval`, and no later than this.
pub const FAILED_INTERVAL_MAX: Duration = Duration::from_mins(15);

/// A group as it is kept; its members are rows of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Identity: route and group labels. The group key of its messages.
    pub key: String,
    /// Identity of the route.
    pub route: String,
    /// Labels that make the group.
    pub labels: Labels,
    /// When its first alert came.
    pub born_at: Timestamp,
    /// Deliveries opened so far; makes each one's identity.
    #[serde(default)]
    pub opened: u64,
    /// Firings so far; makes each one's life.
    #[serde(default)]
    pub lives: u64,
    /// Targets whose last delivery died, and when they are owed again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// When it is looked at next; `None` while every target has a delivery open, whose end brings the next look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Timestamp>,
    /// Its alerts.
    #[serde(skip)]
    pub members: BTreeMap<Fingerprint, Member>,
}

/// A target whose last delivery died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The target.
    #[serde(flatten)]
    pub target: TargetId,
    /// Owed again from then on.
    pub until: Timestamp,
    /// Whether a delivery died; false where there was nothing to send after all.
    pub died: bool,
}

impl Gate {
    /// From when on the target is owed again. What lies further ahead than [`FAILED_INTERVAL_MAX`] was written by another
    /// clock, or by ours before it was set back, and is over.
    pub fn opens(&self, now: Timestamp) -> Timestamp {
        if self.until > clock::add(now, FAILED_INTERVAL_MAX) { now } else { self.until }
    }
}

/// An alert of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Which firing this is; grows with each one in the group.
    pub life: u64,
    /// The first firing of an unbroken chain: whoever was notified of one since then knows the alert.
    pub first_life: u64,
    /// When it last began to fire or ended.
    pub changed_at: Timestamp,
    /// When it first did since deliveries were last opened: what it does in between does not put off what is owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Timestamp>,
    /// Whether it ended; then the alert as it ended is [`Member::ended`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
    /// The alert as it ended, until that is notified. Not part of the row: it is the alert's own row.
    #[serde(skip)]
    pub ended: Option<Arc<Alert>>,
    /// Events (places in the inbox) that changed it since deliveries were last opened; the newest few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<i64>,
    /// What kept it quiet at the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppression>,
}

impl Member {
    /// Since when something is owed of it, if anything is.
    pub fn owed_since(&self) -> Timestamp {
        self.waits_since.unwrap_or(self.changed_at)
    }
}

impl Group {
    /// A new group without alerts.
    pub fn new(key: String, route: String, labels: Labels, now: Timestamp) -> Self {
        Self {
            key,
            route,
            labels,
            born_at: now,
            opened: 0,
            lives: 0,
            gates: Vec::new(),
            look_at: None,
            members: BTreeMap::new(),
        }
    }

    /// Takes note that an alert of this group fires, fires again, or ended. `cause` is the event, where there is one. With
    /// `dropped` an end is not kept: an alert that ends while it is silenced or inhibited, or because its rule is gone, is
    /// nothing that people are to hear of. If it fires again it is new to everyone.
    ///
    /// A full group drops the ended alerts that were touched longest ago; if all fire, the new one stays out. Returns
    /// which alerts were lost so.
    pub fn note(
        &mut self,
        alert: &Alert,
        cause: Option<i64>,
        dropped: bool,
        now: Timestamp,
    ) -> Vec<Fingerprint> {
        let fingerprint = &alert.fingerprint;
        if !alert.is_firing() && (dropped || alert.state == AlertState::RuleRemoved) {
            self.members.remove(fingerprint);
            return Vec::new();
        }
        let lost = self.make_room(fingerprint);
        if self.members.len() >= MEMBERS_MAX && !self.members.contains_key(fingerprint) {
            return lost;
        }
        let next_life = self.lives + 1;
        let ended = (!alert.is_firing()).then(|| Arc::new(alert.clone()));
        let Some(member) = self.members.get_mut(fingerprint) else {
            self.lives = next_life;
            let member = Member {
                life: next_life,
                first_life: next_life,
                changed_at: now,
                waits_since: Some(now),
                over: ended.is_some(),
                ended,
                causes: cause.into_iter().collect(),
                suppressed: None,
            };
            self.members.insert(fingerprint.clone(), member);
            return lost;
        };
        member.causes.extend(cause);
        newest(&mut member.causes, MEMBER_CAUSES_MAX);
        match (member.over, &ended) {
            // Merely goes on; what is owed of it is owed already.
            (false, None) => return lost,
            (false, Some(_)) => {}
            (true, Some(_)) => {
                // It fired and ended once more: nobody was notified of this life.
                (member.life, member.first_life) = (next_life, next_life);
                self.lives = next_life;
            }
            (true, None) => {
                member.life = next_life;
                if member.ended.as_deref().is_some_and(ends_silently) {
                    member.first_life = next_life;
                }
                self.lives = next_life;
            }
        }
        member.over = ended.is_some();
        member.ended = ended;
        member.changed_at = now;
        member.waits_since.get_or_insert(now);
        lost
    }

    /// The gate of a target.
    pub fn gate(&self, target: &TargetId) -> Option<&Gate> {
        self.gates.iter().find(|gate| gate.target == *target)
    }

    /// Owes a target again from then on, since its delivery died or had nothing to say.
    pub fn close_gate(&mut self, target: &TargetId, until: Timestamp, died: bool) {
        let died = died || self.gate(target).is_some_and(|gate| gate.died);
        self.open_gates(|gate| gate.target == *target);
        self.gates.push(Gate { target: target.clone(), until, died });
    }

    /// Removes gates; whether there were any.
    pub fn open_gates(&mut self, which: impl Fn(&Gate) -> bool) -> bool {
        let before = self.gates.len();
        self.gates.retain(|gate| !which(gate));
        self.gates.len() < before
    }

    /// Makes room for an alert in a full group; returns which were lost, the alert itself if there is no room.
    fn make_room(&mut self, newcomer: &Fingerprint) -> Vec<Fingerprint> {
        if self.members.len() < MEMBERS_MAX || self.members.contains_key(newcomer) {
            return Vec::new();
        }
        let mut ended: Vec<(Timestamp, Fingerprint)> = self
            .members
            .iter()
            .filter(|(_, member)| member.over)
            .map(|(fingerprint, member)| (member.changed_at, fingerprint.clone()))
            .collect();
        ended.sort_unstable();
        ended.truncate(MEMBERS_EVICTED);
        let mut lost: Vec<Fingerprint> =
            ended.into_iter().map(|(_, fingerprint)| fingerprint).collect();
        for fingerprint in &lost {
            self.members.remove(fingerprint);
        }
        if lost.is_empty() {
            lost.push(newcomer.clone());
        }
        lost
    }
}

/// Whether nobody who knows an alert hears of this end: its time is over, and the rule does not notify that.
fn ends_silently(alert: &Alert) -> bool {
    alert.state == AlertState::Expired && !alert.notify_expired
}

/// Sorts causes and keeps the newest.
pub fn newest(causes: &mut Vec<i64>, max: usize) {
    causes.sort_unstable();
    causes.dedup();
    causes.drain(..causes.len().saturating_sub(max));
}
