//! The channel-neutral message that every notifier renders.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Fingerprint;
use crate::rules::Labels;

/// What is told to one receiver: the state of a group of alerts when it was composed, right before the attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The receiver it goes to.
    pub receiver: String,
    /// Firing while any of its alerts fires.
    pub status: Status,
    /// Why it is told now.
    pub reason: Reason,
    /// Whether an incident that is open for what is over is to be resolved first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reopens: bool,
    /// Identity of the group: the same for every message about it, across restarts.
    pub group_key: String,
    /// The labels that make the group.
    pub group_labels: Labels,
    /// Labels that all alerts share.
    pub common_labels: Labels,
    /// Annotations that all alerts share.
    pub common_annotations: Labels,
    /// The alerts, firing ones first; empty only where a peer is told the end of alerts that are kept no more.
    pub alerts: Vec<MessageAlert>,
    /// How many alerts were left out by a bound.
    pub truncated_alerts: usize,
    /// Where links point (`server.external_url`), without trailing slash; empty when not configured.
    pub external_url: String,
    /// When the delivery was opened.
    pub created_at: Timestamp,
    /// The receiver that could not be reached in time, when this is its fallback's copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_for: Option<String>,
}

/// One alert within a [`Message`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageAlert {
    /// Identity.
    pub fingerprint: Fingerprint,
    /// Firing or resolved; an expired alert that is told counts as resolved, as in Alertmanager.
    pub status: Status,
    /// It ended because its time was over; nothing said that the problem is.
    #[serde(default)]
    pub expired: bool,
    /// It ended because no reading came: nobody knows whether the problem is still there.
    #[serde(default)]
    pub no_data: bool,
    /// It began unnoticed: its event's webhook was missed, and the event was fetched minutes later or more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missed: bool,
    /// It was over before its target could be told that it fires.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unheard: bool,
    /// The value that was judged last; event rules have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Decimal>,
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// When the problem began.
    pub starts_at: Timestamp,
    /// When it ended, or will end by itself; `None` while it fires until word comes.
    pub ends_at: Option<Timestamp>,
    /// Allow-listed snapshot of the last event that touched it (see [`crate::event::Event::snapshot`]).
    pub event: Value,
}

/// Whether the problem is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is.
    Firing,
    /// It was.
    Resolved,
}

impl Status {
    /// Alertmanager's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// Why a message is told now; the words are Alertmanager's, verbatim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Nothing was told of this group before.
    #[serde(rename = "first notification")]
    First,
    /// An alert joined the group, or fires again.
    #[serde(rename = "new alerts added")]
    NewAlerts,
    /// Some alerts ended, others still fire.
    #[serde(rename = "some alerts resolved")]
    SomeResolved,
    /// All ended.
    #[serde(rename = "all alerts resolved")]
    AllResolved,
    /// Nothing changed for `repeat_interval`.
    #[serde(rename = "repeat interval elapsed")]
    Repeat,
}

impl Reason {
    /// The words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first notification",
            Self::NewAlerts => "new alerts added",
            Self::SomeResolved => "some alerts resolved",
            Self::AllResolved => "all alerts resolved",
            Self::Repeat => "repeat interval elapsed",
        }
    }
}

/// How severe the label `severity` says that an alert is: from 3, which wakes people, to 0, which can wait; 1 is
/// also what has no known severity.
pub fn severity_rank(labels: &Labels) -> u8 {
    match labels.get("severity").map_or("", String::as_str).to_ascii_lowercase().as_str() {
        "critical" | "page" | "emergency" | "fatal" | "disaster" => 3,
        "error" | "high" | "major" => 2,
        "info" | "information" | "notice" | "none" | "debug" | "low" => 0,
        _ => 1,
    }
}
