//! The notification by which somebody tries whether a receiver is reached.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Channel, Integration, MessageTemplates, Notification, Notifier, NotifyError, Outcome, Sent,
};
use crate::alerts::{Fingerprint, Message, MessageAlert, PeerKind, Reason, Status};
use crate::clock;
use crate::rules::Labels;

/// Name of the alert of a test notification.
const NAME: &str = "TestNotification";
/// When the alert of a test ends by itself, where the peer keeps alerts.
const ENDS_AFTER: Duration = Duration::from_mins(5);

/// The message: one alert of no consequence, marked as a test. Of an incident it also makes the end.
fn test_message(
    receiver: &str,
    external_url: &str,
    asked_by: &str,
    status: Status,
    now: Timestamp,
) -> Message {
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let labels: Labels =
        [("alertname", NAME), ("severity", "info"), ("receiver", receiver)].map(pair).into();
    let summary = format!("This is a test of the receiver {receiver}: nothing is wrong");
    let description = format!("{asked_by} asked for it. Nobody has to do anything.");
    let annotations: Labels =
        [("summary", summary.as_str()), ("description", description.as_str())].map(pair).into();
    let alert = MessageAlert {
        fingerprint: Fingerprint::of(&labels),
        status,
        expired: false,
        no_data: false,
        missed: false,
        unheard: false,
        value: None,
        usual: None,
        labels: labels.clone(),
        annotations: annotations.clone(),
        starts_at: now,
        ends_at: Some(match status {
            Status::Firing => clock::add(now, ENDS_AFTER),
            Status::Resolved => now,
        }),
        event: Value::Null,
    };
    Message {
        receiver: receiver.to_owned(),
        status,
        reason: match status {
            Status::Firing => Reason::First,
            Status::Resolved => Reason::AllResolved,
        },
        reopens: false,
        group_key: format!("test:{receiver}"),
        group_labels: labels.clone(),
        common_labels: labels,
        common_annotations: annotations,
        alerts: vec![alert],
        truncated_alerts: 0,
        external_url: external_url.to_owned(),
        created_at: now,
        fallback_for: None,
    }
}

/// What one target answered to a test notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestAnswer {
    /// The integration.
    pub integration: String,
    /// The target within it: a mail address, else empty.
    pub target: String,
    /// `firing`, or `resolved` of the end that follows; empty where nothing could be sent.
    pub status: Cow<'static, str>,
    /// Whether the peer took it.
    pub delivered: bool,
    /// Why not, in the word of the metric's label `reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
    /// One line about it.
    pub detail: String,
}

impl TestAnswer {
    /// That an integration cannot be used.
    pub fn unusable(integration: &Integration, error: &NotifyError) -> Self {
        Self {
            integration: integration.id.clone(),
            target: String::new(),
            status: Cow::Borrowed(""),
            delivered: false,
            reason: Some(super::Reason::Other.as_str().into()),
            detail: error.to_string(),
        }
    }

    fn of(integration: &Integration, target: &str, status: Status, sent: Sent) -> Self {
        let (reason, mut detail) = match sent.outcome {
            Outcome::Delivered => (None, "delivered".to_owned()),
            Outcome::Retry { reason, detail, .. } => {
                (Some(reason), format!("{detail} (worth another try)"))
            }
            Outcome::Rejected { reason, detail } => (Some(reason), detail),
        };
        if sent.template_failed {
            detail.push_str(" as plain text: the template cannot render this");
        }
        Self {
            integration: integration.id.clone(),
            target: target.to_owned(),
            status: status.as_str().into(),
            delivered: reason.is_none(),
            reason: reason.map(|reason| reason.as_str().into()),
            detail,
        }
    }
}

/// Sends a test to each target of an integration, by clients of its own, and past its queue: an operator waits for it.
///
/// With `ends` the end follows what was taken, by default where the peer keeps incidents or alerts. Gives what each target
/// answered to each.
pub async fn send_test(
    integration: &Integration,
    templates: &MessageTemplates,
    external_url: &str,
    asked_by: &str,
    ends: Option<bool>,
    now: Timestamp,
) -> Result<Vec<TestAnswer>, NotifyError> {
    let notifier = Notifier::new(integration, templates)?;
    let ends = ends.unwrap_or(integration.channel.peer_kind() != PeerKind::People);
    let statuses: &[Status] =
        if ends { &[Status::Firing, Status::Resolved] } else { &[Status::Firing] };
    let mut answers = Vec::new();
    for target in integration.channel.targets() {
        let key = uuid::Uuid::new_v4().to_string();
        for (attempt, status) in (1..).zip(statuses) {
            let message = test_message(&integration.receiver, external_url, asked_by, *status, now);
            let notification = Notification {
                key: format!("{key}-{attempt}"),
                target: target.clone(),
                attempt: 1,
                now,
                message,
                charts: Vec::new(),
            };
            let sent = notifier.send(&notification).await;
            let answer = TestAnswer::of(integration, &target, *status, sent);
            let was_taken = answer.delivered;
            answers.push(answer);
            if !was_taken {
                break;
            }
        }
    }
    Ok(answers)
}

/// The kind of a channel, for people.
pub fn channel_name(channel: &Channel) -> &'static str {
    match channel {
        Channel::Email(_) => "e-mail",
        Channel::Slack(_) => "Slack",
        Channel::Webhook(_) => "webhook",
        Channel::PagerDuty(_) => "PagerDuty",
        Channel::Alertmanager(_) => "Alertmanager",
    }
}
