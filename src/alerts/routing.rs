//! Who is notified of an alert, and what keeps it from being notified: the part of a configuration that decides it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    Alert, Fingerprint, Group, InhibitRule, LogEntry, Route, Suppression, TimeInterval, edges,
};

/// The routing part of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Routing {
    /// The routing tree.
    pub route: Route,
    /// Which alerts keep which quiet.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Time intervals, by name.
    pub time_intervals: BTreeMap<String, TimeInterval>,
    /// Where links in messages point, without trailing slash; empty for none.
    pub external_url: String,
}

impl Routing {
    /// Whether one of the named intervals holds; the first that does.
    fn holding<'n>(&self, names: &'n [String], at: Timestamp) -> Option<&'n String> {
        names
            .iter()
            .find(|name| self.time_intervals.get(*name).is_some_and(|interval| interval.holds(at)))
    }

    /// Whether time counts now by `active_time_intervals`; without any it always does.
    pub fn is_active(&self, names: &[String], at: Timestamp) -> bool {
        names.is_empty() || self.holding(names, at).is_some()
    }

    /// Why a route notifies nobody at this time of the day.
    pub fn muted(&self, route: &Route, at: Timestamp) -> Option<Suppression> {
        if !self.is_active(&route.active_time_intervals, at) {
            return Some(Suppression::Inactive(route.active_time_intervals.join(", ")));
        }
        self.holding(&route.mute_time_intervals, at).cloned().map(Suppression::Muted)
    }

    /// When a route that is quiet by the time of day is so no more, or the other way round.
    pub fn next_change(&self, route: &Route, after: Timestamp) -> Option<Timestamp> {
        let names = route.active_time_intervals.iter().chain(&route.mute_time_intervals);
        let intervals: Vec<&TimeInterval> =
            names.filter_map(|name| self.time_intervals.get(name)).collect();
        edges::next_change(&intervals, |at| self.muted(route, at).is_some(), after)
    }

    /// Alerts that a receiver may know by a group which has them no more, and that fire and of which the receiver is notified by
    /// another group: to a peer that keeps each alert by itself they have not ended.
    pub fn elsewhere<'a>(
        &self,
        group: &Group,
        entry: Option<&LogEntry>,
        receiver: &str,
        alert: &dyn Fn(&Fingerprint) -> Option<&'a Alert>,
    ) -> BTreeSet<Fingerprint> {
        let known = entry.into_iter().flat_map(LogEntry::maybe_known).map(|(one, _)| one);
        let lost = known.filter(|one| !group.members.contains_key(*one));
        let fires = |one: &&Fingerprint| {
            let alert = alert(one).filter(|alert| alert.is_firing());
            alert.is_some_and(|alert| {
                self.route.take(&alert.labels).iter().any(|route| route.receiver == receiver)
            })
        };
        lost.filter(fires).cloned().collect()
    }
}
