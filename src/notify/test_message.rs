//! The notification by which somebody tries whether a receiver is reached.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{Channel, Integration, MessageTemplates, Notification, Notifier, NotifyError, Outcome};
use crate::alerts::{Fingerprint, Message, MessageAlert, PeerKind, Reason, Status};
use crate::clock;
use crate::rules::Labels;

/// Name of the alert of a test notification.
const NAME: &str = "TestNotification";
/// When the alert of a test ends by itself, where the peer keeps alerts.
const ENDS_AFTER: Duration = Duration::from_mins(5);

/// The message: one alert of no consequence, marked as a test. Of an incident it also makes the end.
pub fn test_message(
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

/// Sends a test to each target of an integration, by clients of its own, and past its queue: an operator waits for it.
///
/// Where the peer keeps incidents or alerts, the end follows at once. Gives each target with how the first send that
/// failed ended, or the last.
pub async fn send_test(
    integration: &Integration,
    templates: &MessageTemplates,
    external_url: &str,
    asked_by: &str,
    now: Timestamp,
) -> Result<Vec<(String, Outcome)>, NotifyError> {
    let notifier = Notifier::new(integration, templates)?;
    let statuses: &[Status] = match integration.channel.peer_kind() {
        PeerKind::People => &[Status::Firing],
        _ => &[Status::Firing, Status::Resolved],
    };
    let mut outcomes = Vec::new();
    for target in integration.channel.targets() {
        let key = uuid::Uuid::new_v4().to_string();
        let mut last = Outcome::Delivered;
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
            last = notifier.send(&notification).await.outcome;
            if last != Outcome::Delivered {
                break;
            }
        }
        outcomes.push((target, last));
    }
    Ok(outcomes)
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
