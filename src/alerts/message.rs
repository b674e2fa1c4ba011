//! The channel-neutral message that every notifier renders.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Fingerprint;
use crate::rules::Labels;

/// What is told to one receiver: the state of a group of alerts, frozen when it was queued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The receiver it was queued for.
    pub receiver: String,
    /// Firing while any of its alerts fires.
    pub status: Status,
    /// Why it is told now.
    pub reason: Reason,
    /// Identity of the group: the same for every message about it, across restarts.
    pub group_key: String,
    /// The labels that make the group.
    pub group_labels: Labels,
    /// Labels that all alerts share.
    pub common_labels: Labels,
    /// Annotations that all alerts share.
    pub common_annotations: Labels,
    /// The alerts, firing ones first; never empty.
    pub alerts: Vec<MessageAlert>,
    /// How many alerts were left out by a bound.
    pub truncated_alerts: usize,
    /// Where links point (`server.external_url`), without trailing slash; empty when not configured.
    pub external_url: String,
    /// When it was queued.
    pub created_at: Timestamp,
    /// The receiver that could not be reached in time, when this is its fallback's copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_for: Option<String>,
}

impl Message {
    /// Brings a message that waits up to date: of the alerts that it says fire, those that are `gone` are left out, and
    /// those that `ended` are told as that. Whether it changed anything; no alert may be left of it.
    pub fn correct(&mut self, gone: &BTreeSet<Fingerprint>, ended: &[MessageAlert]) -> bool {
        let before = self.alerts.len();
        let fires = |alert: &MessageAlert| alert.status == Status::Firing;
        self.alerts.retain(|alert| !(fires(alert) && gone.contains(&alert.fingerprint)));
        let mut changed = self.alerts.len() < before;
        for alert in self.alerts.iter_mut().filter(|alert| fires(alert)) {
            if let Some(now) = ended.iter().find(|now| now.fingerprint == alert.fingerprint) {
                *alert = now.clone();
                changed = true;
            }
        }
        // Of what a bound left out nothing is known here.
        let over = self.truncated_alerts == 0 && !self.alerts.iter().any(fires);
        if changed && over {
            self.status = Status::Resolved;
        }
        self.reason = match self.reason {
            Reason::SomeResolved | Reason::Repeat if changed && over => Reason::AllResolved,
            Reason::Repeat if changed && !self.alerts.iter().all(fires) => Reason::SomeResolved,
            reason => reason,
        };
        self.alerts.sort_by_key(|alert| !fires(alert));
        changed
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(name: &str, status: Status) -> MessageAlert {
        MessageAlert {
            fingerprint: Fingerprint::from(name.to_owned()),
            status,
            expired: status == Status::Resolved,
            no_data: false,
            missed: false,
            value: None,
            labels: Labels::new(),
            annotations: Labels::new(),
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: None,
            event: Value::Null,
        }
    }

    fn message(reason: Reason, names: &[&str]) -> Message {
        Message {
            receiver: "ops".to_owned(),
            status: Status::Firing,
            reason,
            group_key: "g".to_owned(),
            group_labels: Labels::new(),
            common_labels: Labels::new(),
            common_annotations: Labels::new(),
            alerts: names.iter().map(|name| alert(name, Status::Firing)).collect(),
            truncated_alerts: 0,
            external_url: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            fallback_for: None,
        }
    }

    /// What a message of these alerts says once `gone` are gone and `ended` ended; `None` when nothing changed.
    fn corrected(
        reason: Reason,
        names: &[&str],
        gone: &[&str],
        ended: &[&str],
    ) -> Option<(Status, Reason, String)> {
        let mut message = message(reason, names);
        let gone = gone.iter().map(|name| Fingerprint::from((*name).to_owned())).collect();
        let ended: Vec<_> = ended.iter().map(|name| alert(name, Status::Resolved)).collect();
        let before = message.clone();
        if !message.correct(&gone, &ended) {
            assert_eq!(message, before);
            return None;
        }
        let name = |alert: &MessageAlert| match alert.status {
            Status::Firing => alert.fingerprint.to_string(),
            Status::Resolved => format!("-{}", alert.fingerprint),
        };
        let names: Vec<String> = message.alerts.iter().map(name).collect();
        Some((message.status, message.reason, names.join(" ")))
    }

    #[test]
    fn a_message_that_waits_is_brought_up_to_date() {
        use Reason::{AllResolved, First, NewAlerts, Repeat, SomeResolved};
        use Status::{Firing, Resolved};
        let names = &["a", "b"];
        let said = |status, reason, names: &str| Some((status, reason, names.to_owned()));
        assert_eq!(corrected(First, names, &["c"], &["d"]), None);
        assert_eq!(corrected(First, names, &["a"], &[]), said(Firing, First, "b"));
        assert_eq!(corrected(First, names, &[], &["a"]), said(Firing, First, "b -a"));
        assert_eq!(corrected(First, names, &["a", "b"], &[]), said(Resolved, First, ""));
        assert_eq!(corrected(NewAlerts, names, &["a"], &["b"]), said(Resolved, NewAlerts, "-b"));
        assert_eq!(corrected(Repeat, names, &["a"], &[]), said(Firing, Repeat, "b"));
        assert_eq!(corrected(Repeat, names, &[], &["a"]), said(Firing, SomeResolved, "b -a"));
        assert_eq!(corrected(Repeat, names, &[], names), said(Resolved, AllResolved, "-a -b"));
        assert_eq!(
            corrected(SomeResolved, names, &["a"], &["b"]),
            said(Resolved, AllResolved, "-b")
        );
    }

    #[test]
    fn an_end_that_is_told_stays() {
        let mut told = message(Reason::First, &["a"]);
        told.alerts.push(alert("b", Status::Resolved));
        let gone = [Fingerprint::from("b".to_owned())].into();
        assert!(!told.correct(&gone, &[]));
        // What was left out may fire.
        told.truncated_alerts = 1;
        assert!(told.correct(&[Fingerprint::from("a".to_owned())].into(), &[]));
        assert_eq!(told.status, Status::Firing);
    }
}
