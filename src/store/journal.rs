//! The lines of the journal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One line of the story of an alert: that it fired or ended, was notified or kept quiet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalEntry {
    /// When.
    pub at: Timestamp,
    /// The alert.
    pub fingerprint: String,
    /// The group, where it is about notifying.
    pub group_key: String,
    /// `fired`, `resolved`, `expired`, `no_data`, `rule_removed`, `pending`, `notified`, `suppressed`.
    pub what: String,
    /// One line: the value, the receiver and the reason, or what kept it quiet.
    pub detail: String,
}
