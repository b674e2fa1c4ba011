//! Where a message and its alerts stand, in words.

use jiff::Timestamp;

use crate::alerts::{Message, MessageAlert, Status};
use crate::rules::Labels;

/// Longest name (account, receiver, severity) within a sentence, in characters.
pub(super) const NAME_CHARACTERS: usize = 60;

/// Rows for labels, and rows for event fields, of one alert at most.
pub(super) const ROWS_MAX: usize = 6;

/// The word for what is there.
pub(super) const FIRING: &str = "FIRING";

/// How an alert, or all of them, ended; the worst of several counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// By word.
    Resolved,
    /// Its time was over.
    Expired,
    /// No reading came.
    NoData,
}

impl End {
    /// How an alert that does not fire ended.
    pub(super) fn of(alert: &MessageAlert) -> Self {
        match (alert.no_data, alert.expired) {
            (true, _) => Self::NoData,
            (false, true) => Self::Expired,
            (false, false) => Self::Resolved,
        }
    }

    /// The worst end among the alerts of a message that do not fire.
    pub(super) fn worst(message: &Message) -> Self {
        let over = message.alerts.iter().filter(|alert| alert.status == Status::Resolved);
        over.map(Self::of).max().unwrap_or(Self::Resolved)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Resolved => "RESOLVED",
            Self::Expired => "EXPIRED",
            Self::NoData => "NO DATA",
        }
    }
}

/// When an alert that does not fire ended; never before it began. One without a known end ended before it was notified.
pub(super) fn ended_at(alert: &MessageAlert, message: &Message) -> Timestamp {
    alert.ends_at.unwrap_or(message.created_at).max(alert.starts_at)
}

pub(super) fn is_single(message: &Message) -> bool {
    message.alerts.len() == 1 && message.truncated_alerts == 0
}

pub(super) fn status_of(message: &Message) -> &'static str {
    match message.status {
        Status::Firing => FIRING,
        Status::Resolved => End::worst(message).word(),
    }
}

pub(super) fn text_of<'a>(texts: &'a Labels, name: &str) -> &'a str {
    texts.get(name).map_or("", String::as_str)
}
