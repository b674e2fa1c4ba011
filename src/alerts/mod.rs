//! What is wrong right now, and who is to hear of it.
//!
//! Pure: an alert's life is `(state, input, now) -> (state, changes)`. Knows no clock, no store, no network.
//! The words are Alertmanager's.

mod active_silences;
mod group;
mod inhibit;
mod interval;
mod lifecycle;
mod matcher;
mod message;
mod notification_log;
mod edges;
mod route;
mod routing;
mod silence;

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
pub(crate) use matcher::is_label_name;
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use message::{Message, MessageAlert, Reason, Status, severity_rank};
pub use notification_log::{Lives, LogEntry, TargetId};
pub use route::{Answer, GroupBy, Route, Step, Timing};
pub use routing::Routing;
pub use silence::{
    SILENCE_DAYS_MAX, SILENCE_MATCHER_BYTES_MAX, SILENCE_MATCHERS_MAX, SILENCE_TEXT_BYTES_MAX,
    Silence, SilenceDraft, SilenceError, SilenceState, SilenceUpdate,
};

use crate::event::Snapshot;
use crate::rules::Labels;

/// Identity of an alert: a hash of its labels. Annotations never identify.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a label set: 16 hexadecimal digits of a SHA-256 over length-prefixed names and values.
    pub fn of(labels: &Labels) -> Self {
        let mut hash = Sha256::new();
        for text in labels.iter().flat_map(|(name, value)| [name, value]) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        Self(hex(&hash.finalize(), 8))
    }

    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Fingerprint {
    fn from(digits: String) -> Self {
        Self(digits)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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
    /// Whether an end by `active_for` is told.
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

/// Why an alert is not told although it is to be; in the order in which it is asked.
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

    /// Whether it is the time of day that keeps it quiet: what ends meanwhile is told later.
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

/// The first `bytes` bytes of a hash in hexadecimal.
fn hex(hash: &[u8], bytes: usize) -> String {
    hash.iter().take(bytes).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
