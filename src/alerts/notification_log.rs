//! The notification log: what each target of an integration was last notified of about a group, successfully.
//!
//! As in Alertmanager it says what was *delivered*, not what was meant to be. An alert is named by its fingerprint and its
//! *life*: a number that grows with each firing, so that a second firing is told apart from the first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Fingerprint;

/// Alerts with the life in which they were notified.
pub type Lives = BTreeMap<Fingerprint, u64>;

/// One target of one integration: the recipient of a mail, or the one address of everything else (empty text).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TargetId {
    /// The integration's id.
    pub integration: String,
    /// The target within the integration.
    pub target: String,
}

impl TargetId {
    /// Pairs an integration with one of its targets.
    pub fn new(integration: impl Into<String>, target: impl Into<String>) -> Self {
        Self { integration: integration.into(), target: target.into() }
    }
}

/// The entry of one group and target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The last success; `None` while there are unanswered attempts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notified_at: Option<Timestamp>,
    /// Alerts that it knows as firing.
    #[serde(default, skip_serializing_if = "Lives::is_empty")]
    pub firing: Lives,
    /// Alerts of the group of whose end it was notified and that are still kept there.
    #[serde(default, skip_serializing_if = "Lives::is_empty")]
    pub resolved: Lives,
    /// Alerts that attempts without an answer said are firing: whether they arrived is unknown. Only for peers that keep
    /// state, which must hear the end in either case.
    #[serde(default, skip_serializing_if = "Lives::is_empty")]
    pub maybe: Lives,
    /// An attempt without an answer said that it is over: whether the peer still has anything open is unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maybe_closed: bool,
    /// It was notified in the place of another receiver: of the alerts that it knows it hears the ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fallback: bool,
}

impl LogEntry {
    /// The life in which an alert may be known as firing, by a success or by an attempt without an answer.
    pub fn may_know(&self, fingerprint: &Fingerprint) -> Option<u64> {
        self.firing.get(fingerprint).max(self.maybe.get(fingerprint)).copied()
    }

    /// All alerts that may be known as firing.
    pub fn maybe_known(&self) -> impl Iterator<Item = (&Fingerprint, u64)> {
        let unanswered = self.maybe.iter().filter(|(one, _)| !self.firing.contains_key(*one));
        let known = self.firing.iter().chain(unanswered);
        known.filter_map(|(one, _)| Some((one, self.may_know(one)?)))
    }
}
