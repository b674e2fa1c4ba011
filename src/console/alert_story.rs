//! The story of an alert: what happened, in the order of time, and who was sent what.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::page::State;
use super::situation::{Situation, severity};
use super::thresholds;
use super::words::{Stamp, encoded, span_text, target_name, value_text};
use crate::alerts::Alert;
use crate::chart::Limit;
use crate::store::{Delivery, DeliveryState, JournalEntry};

/// Something that happened.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    #[serde(skip)]
    at: Timestamp,
    stamp: Stamp,
    icon: &'static str,
    tone: &'static str,
    title: String,
    text: String,
    sent: Vec<Sent>,
}

/// One delivery of a notification.
#[derive(Debug, Serialize)]
struct Sent {
    to: String,
    path: String,
    state: State,
    detail: String,
    took: String,
}

/// What happened to an alert, oldest first: what its journal says, and each notification with its deliveries.
pub(super) fn story(
    situation: &Situation,
    alert: &Alert,
    journal: &[JournalEntry],
    deliveries: &[Delivery],
) -> Vec<Step> {
    let now = situation.now;
    let of = situation.policy.rules.rule(&alert.rule);
    let unit = of.map(|of| thresholds::unit(of, &alert.labels)).unwrap_or_default();
    let limits = of.map(|of| thresholds::limits(of, &unit)).unwrap_or_default();
    let mut steps: Vec<Step> = Vec::new();
    let known: BTreeSet<&str> = deliveries.iter().map(|one| one.group_key.as_str()).collect();
    for entry in journal {
        // What was sent says more than that something was.
        if entry.what == "notified" && known.contains(entry.group_key.as_str()) {
            continue;
        }
        steps.push(step(entry, &unit, &limits, severity(&alert.labels).tone, now));
    }
    // What was opened at one time for one reason is one notification.
    let mut notifications: BTreeMap<(Timestamp, &str, &str), Vec<&Delivery>> = BTreeMap::new();
    for delivery in deliveries {
        let why = delivery.message.as_ref().map_or("", |message| message.reason.as_str());
        let key = (delivery.created_at, delivery.group_key.as_str(), why);
        notifications.entry(key).or_default().push(delivery);
    }
    for ((at, _, why), sent) in notifications {
        let delivered = sent.iter().filter(|one| one.state == DeliveryState::Delivered).count();
        let title = if why.is_empty() { "to be notified" } else { why };
        steps.push(Step {
            at,
            stamp: Stamp::at(at, now),
            icon: "bell",
            tone: "",
            title: format!("Notified: {title}, {delivered} of {} delivered", sent.len()),
            text: String::new(),
            sent: sent.iter().map(|one| sent_row(one, now)).collect(),
        });
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn step(
    entry: &JournalEntry,
    unit: &str,
    limits: &[Limit],
    tone: &'static str,
    now: Timestamp,
) -> Step {
    let value = entry
        .detail
        .rsplit_once("} value ")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
        .map(|value| value_text(value, unit));
    let fires = limits.iter().find(|limit| limit.fires);
    let beside =
        |limit: Option<&Limit>| limit.map(|it| format!(" ({})", it.words)).unwrap_or_default();
    let with = |title: &str, limit: Option<&Limit>| match &value {
        Some(value) => format!("{title}: {value}{}", beside(limit)),
        None => title.to_owned(),
    };
    let (icon, tone, title, text) = match entry.what.as_str() {
        "fired" => ("critical", tone, with("Fires", fires), String::new()),
        "resolved" => {
            let clear = limits.iter().find(|limit| !limit.fires);
            ("good", "good", with("Resolved", clear), String::new())
        }
        "expired" => ("wait", "", "Expired: its time was over".to_owned(), String::new()),
        "no_data" => {
            ("warning", "warning", "Ended: no reading came any more".to_owned(), String::new())
        }
        "rule_removed" => ("no", "", "Ended: its rule is gone".to_owned(), String::new()),
        "suppressed" => ("mute", "", "Kept quiet".to_owned(), entry.detail.clone()),
        "notified" => ("bell", "", "Notified".to_owned(), entry.detail.clone()),
        "pending" => ("wait", "", with("Pending", fires), String::new()),
        other => ("dot", "", other.replace('_', " "), entry.detail.clone()),
    };
    Step {
        at: entry.at,
        stamp: Stamp::at(entry.at, now),
        icon,
        tone,
        title,
        text,
        sent: Vec::new(),
    }
}

fn sent_row(delivery: &Delivery, now: Timestamp) -> Sent {
    let failure = [delivery.reason.as_str(), delivery.detail.as_str()];
    let failure: Vec<&str> = failure.into_iter().filter(|text| !text.is_empty()).collect();
    let mut detail = failure.join(": ");
    if delivery.attempts > 1 {
        let attempt = format!("attempt {}", delivery.attempts);
        detail = if detail.is_empty() { attempt } else { format!("{attempt}; {detail}") };
    }
    let until = delivery.finished_at.unwrap_or(now);
    Sent {
        to: target_name(&delivery.integration, &delivery.target),
        path: format!("/deliveries/{}", encoded(&delivery.id)),
        state: State::of_delivery(delivery.state),
        detail,
        took: match delivery.finished_at {
            Some(_) => took_text(until.duration_since(delivery.created_at)),
            None => format!("{} so far", span_text(delivery.created_at, until)),
        },
    }
}

/// How long something took: `1.3 s`, `2 min`.
pub(super) fn took_text(took: SignedDuration) -> String {
    let millis = took.as_millis().max(0);
    match millis {
        ..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis / 100 % 10),
        _ => super::words::duration_text(took.unsigned_abs()),
    }
}
