//! A group: the alerts of one route that are told together, who was told what, and when the next telling is due.
//!
//! Pure: `(group, alerts, now) -> notices`. Alertmanager's semantics with the departures of the design: repeats are
//! exact, an alert that ended before its first notice is told, what ended while muted is told when the mute ends.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Alert, Fingerprint, Reason, Suppression, Timing};
use crate::rules::Labels;

/// A group as it is kept.
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
    /// The last flush, from which `group_interval` is counted; `None` before the first.
    pub flushed_at: Option<Timestamp>,
    /// The flush at which what changed is told; `None` while nothing waits to be told.
    pub next_flush: Option<Timestamp>,
    /// Flushes so far; makes each notice's identity.
    pub flushes: u64,
    /// Its alerts.
    pub members: BTreeMap<Fingerprint, Member>,
    /// What each integration was told last, by its id.
    pub told: BTreeMap<String, Told>,
}

/// An alert of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The alert as it ended, until that is told; `None` while it fires.
    pub ended: Option<Box<Alert>>,
    /// Whether any integration was told that it fires.
    pub told: bool,
    /// Events (places in the inbox) that changed it since it was last told; the newest few.
    pub causes: Vec<i64>,
    /// Why it was not told at the last flush.
    pub suppressed: Option<Suppression>,
}

/// What one integration was told last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// Alerts that it knows as firing.
    pub firing: BTreeSet<Fingerprint>,
    /// Alerts whose end it was told last.
    pub resolved: BTreeSet<Fingerprint>,
}

/// An integration of the route's receiver, as far as a group must know it.
#[derive(Debug, Clone, Copy)]
pub struct Teller<'a> {
    /// Identity.
    pub id: &'a str,
    /// Whether ends are told.
    pub send_resolved: bool,
}

/// Something to tell by one integration.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The integration's id.
    pub integration: String,
    /// Why now.
    pub reason: Reason,
    /// What to tell: firing ones first, then those that ended; never empty.
    pub alerts: Vec<Alert>,
    /// Events that caused it.
    pub causes: Vec<i64>,
}

/// What a flush did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flushed {
    /// What is to be told.
    pub notices: Vec<Notice>,
    /// Alerts that are kept quiet now and were not, or for another reason, at the last flush.
    pub suppressed: Vec<(Fingerprint, Suppression)>,
}

impl Group {
    /// A new group without alerts.
    pub fn new(key: String, route: String, labels: Labels, now: Timestamp) -> Self {
        Self {
            key,
            route,
            labels,
            born_at: now,
            flushed_at: None,
            next_flush: None,
            flushes: 0,
            members: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Takes note that an alert of this group fires, fires again, or ended. `cause` is the event, where there is one.
    /// An end that nobody needs to hear of (silent expiry of an alert that was told, or a removed rule) drops it.
    pub fn note(&mut self, alert: &Alert, cause: Option<i64>, timing: &Timing, now: Timestamp) {
        let _ = (alert, cause, timing, now);
        unimplemented!()
    }

    /// When the next flush is due: for what changed, or for the next repeat.
    pub fn deadline(&self, timing: &Timing) -> Option<Timestamp> {
        let _ = timing;
        unimplemented!()
    }

    /// Decides what to tell now and notes it as told.
    ///
    /// `firing` gives the alerts that fire; `suppressed` says why one is not to be told (inhibited, silenced), `muted`
    /// why the whole route is not.
    pub fn flush<'a>(
        &mut self,
        timing: &Timing,
        tellers: &[Teller<'_>],
        firing: &dyn Fn(&Fingerprint) -> Option<&'a Alert>,
        suppressed: &dyn Fn(&Alert) -> Option<Suppression>,
        muted: Option<&Suppression>,
        now: Timestamp,
    ) -> Flushed {
        let _ = (timing, tellers, firing, suppressed, muted, now);
        unimplemented!()
    }

    /// Whether it has no alerts left: then it is forgotten, with what was told.
    pub fn is_over(&self) -> bool {
        self.members.is_empty()
    }
}
