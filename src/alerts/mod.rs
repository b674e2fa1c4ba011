//! What is wrong right now, and who is to hear of it.
//!
//! Pure: an alert's life is `(state, input, now) -> (state, changes)`. Knows no clock, no store, no network.
//! The words are Alertmanager's.

mod active_silences;
mod group;
mod inhibit;
mod interval;
mod lifecycle;
mod links;
mod matcher;
mod message;
mod notification_log;
mod edges;
mod route;
mod routing;
mod silence;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use active_silences::ActiveSilences;
pub use edges::next_change;
pub use group::{
    Composed, DELIVERY_CAUSES_MAX, Due, Envelope, FAILED_INTERVAL_MAX, Gate, Group, INTERVAL_MIN,
    Listed, Look, MEMBERS_MAX, Member, Owed, PeerKind, Scope, Target, message_alert, newest,
};
pub use inhibit::{InhibitRule, Inhibitor};
pub use interval::{
    DayRange, IntervalError, IntervalSpec, MonthRange, TimeInterval, TimeRange, WeekdayRange,
    YearRange,
};
pub use lifecycle::{Transition, end, expire, fire, raise, resolve};
pub use links::{alert_path, alerts_path, silence_path};
pub(crate) use matcher::is_label_name;
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use message::{Message, MessageAlert, Reason, Status, severity_rank};
pub use notification_log::{Lives, LogEntry, TargetId};
pub use route::{Answer, GroupBy, Route, Step, Timing};
pub use routing::Routing;
pub use silence::{
    SILENCE_DAYS_MAX, SILENCE_MATCHER_BYTES_MAX, SILENCE_MATCHERS_MAX, SILENCE_TEXT_BYTES_MAX,
    Silence, SilenceDraft, SilenceError, SilenceState, SilenceText, SilenceUpdate,
};

use crate::event::Snapshot;
pub use crate::rules::Fingerprint;
use crate::rules::Labels;

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The problem is there.
    Firing,
    /// Something said that the problem is over.
    Resolved,
    /// `active_for` passed without word; silent unless the rule has `notify_expired`.
    Expired,
    /// No reading came for `stale_after`: nobody knows whether the problem is still there.
    #[serde(rename = "no_data")]
    NoData,
    /// Its rule is gone from the configuration, or makes other labels now; silent.
    #[serde(rename = "rule_removed")]
    RuleRemoved,
}

impl AlertState {
    /// The word used in the store, metrics and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Expired => "expired",
            Self::NoData => "no_data",
            Self::RuleRemoved => "rule_removed",
        }
    }
}

/// One alert: a label set with a life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Identity.
    pub fingerprint: Fingerprint,
    /// Name of the rule that made it: `group/alert`.
    pub rule: String,
    /// Labels, `alertname` and `account` among them.
    pub labels: Labels,
    /// Annotations as rendered at the last judgement that touched the alert.
    pub annotations: Labels,
    /// Where it stands.
    pub state: AlertState,
    /// When the problem began.
    pub starts_at: Timestamp,
    /// When it ended, or will end by itself if nothing happens; `None` while it fires until word comes.
    pub ends_at: Option<Timestamp>,
    /// When an event last touched it.
    pub updated_at: Timestamp,
    /// When the latest of the events that touched it happened, by the sender's word; event rules only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_at: Option<Timestamp>,
    /// Whether it began unnoticed: its event's webhook was missed, and the event was fetched minutes later or more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missed: bool,
    /// The value that was judged last; event rules have none.
    #[serde(default)]
    pub value: Option<Decimal>,
    /// That value and what is usual, in words, where its rule looks at that and something is known: "4.2 × the usual 31.10
    /// USD for a Monday between 09:00 and 10:00".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<String>,
    /// Whether an end by `active_for` is notified.
    pub notify_expired: bool,
    /// Allow-listed snapshot of the last event that touched it, for templates.
    pub event: Snapshot,
}

impl Alert {
    /// Whether the problem is there.
    pub fn is_firing(&self) -> bool {
        self.state == AlertState::Firing
    }
}

/// Why an alert is not notified although it is to be; in the order in which it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason", content = "by")]
pub enum Suppression {
    /// An alert that fires inhibits it: the source's fingerprint.
    Inhibited(Fingerprint),
    /// None of the route's `active_time_intervals` holds now: their names.
    Inactive(String),
    /// One of the route's `mute_time_intervals` holds now: its name.
    Muted(String),
    /// A silence matches it: the silence's id.
    Silenced(String),
}

impl Suppression {
    /// The metric label value.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Inhibited(_) => "inhibited",
            Self::Inactive(_) => "inactive",
            Self::Muted(_) => "muted",
            Self::Silenced(_) => "silenced",
        }
    }

    /// Whether it is the time of day that keeps it quiet: what ends meanwhile is notified later.
    pub fn is_by_time(&self) -> bool {
        matches!(self, Self::Inactive(_) | Self::Muted(_))
    }
}

/// Why an alert is quiet, in the order of the journey: inhibited, by time, silenced.
///
/// For one that ended a silence goes first: it decides that nobody hears of it, where the time of day would keep it for later.
pub fn quiet(
    alert: &Alert,
    inhibited: Option<Suppression>,
    muted: Option<&Suppression>,
    silenced: impl FnOnce() -> Option<Suppression>,
) -> Option<Suppression> {
    if inhibited.is_some() {
        return inhibited;
    }
    if alert.is_firing() {
        muted.cloned().or_else(silenced)
    } else {
        silenced().or_else(|| muted.cloned())
    }
}
