//! What is judged by.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::alerts::{InhibitRule, Route, Suppression, TimeInterval};
use crate::notify::Receiver;
use crate::rules::RuleSet;

/// What is judged by: the part of the configuration that decides.
#[derive(Debug)]
pub struct Policy {
    /// The rules.
    pub rules: RuleSet,
    /// The routing tree.
    pub route: Route,
    /// The receivers, by name.
    pub receivers: BTreeMap<String, Receiver>,
    /// Which alerts keep which quiet.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Time intervals, by name.
    pub time_intervals: BTreeMap<String, TimeInterval>,
    /// Where links in messages point; empty for none.
    pub external_url: String,
    /// Hash of the configuration, kept with each judgement.
    pub config_hash: String,
}

impl Policy {
    /// Whether one of the named intervals holds; the first that does.
    fn holding<'n>(&self, names: &'n [String], at: Timestamp) -> Option<&'n String> {
        names
            .iter()
            .find(|name| self.time_intervals.get(*name).is_some_and(|interval| interval.holds(at)))
    }

    /// Whether time counts now by `active_time_intervals`; without any it always does.
    pub(super) fn is_active(&self, names: &[String], at: Timestamp) -> bool {
        names.is_empty() || self.holding(names, at).is_some()
    }

    /// Why a route tells nothing at this time of the day.
    pub(super) fn muted(&self, route: &Route, at: Timestamp) -> Option<Suppression> {
        if !self.is_active(&route.active_time_intervals, at) {
            return Some(Suppression::Inactive(route.active_time_intervals.join(", ")));
        }
        self.holding(&route.mute_time_intervals, at).cloned().map(Suppression::Muted)
    }
}
