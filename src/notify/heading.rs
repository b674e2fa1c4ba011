//! The words at the top and the foot of a message: headline, subject, what must be noted, and why it was notified.

use std::collections::BTreeSet;

use super::facts::{self, Fact};
use super::notification::Notification;
use super::status::{End, NAME_CHARACTERS, ROWS_MAX, is_single, status_of, text_of};
use crate::alerts::{Message, MessageAlert, Status};
use crate::template::{ago_text, duration_text, truncate};
use crate::text::one_line;

/// Longest headline within a subject, in characters: what a phone shows.
const SUBJECT_HEADLINE_CHARACTERS: usize = 90;
/// Names of alerts in the headline of a mixed group at most.
const NAMES_MAX: usize = 3;
/// A message this much older than its sending says so, in seconds.
const LATE_SECONDS: i64 = 120;
/// Longest headline, in characters.
const HEADLINE_CHARACTERS: usize = 200;

/// The summary, else the alert's name, else a word: never empty.
pub(super) fn alert_headline(alert: &MessageAlert) -> String {
    [text_of(&alert.annotations, "summary"), text_of(&alert.labels, "alertname"), "Alert"]
        .iter()
        .map(|text| one_line(text, HEADLINE_CHARACTERS))
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}

/// The headline of the only alert, or how many there are and what they share.
pub(super) fn headline(message: &Message) -> String {
    if let ([alert], 0) = (message.alerts.as_slice(), message.truncated_alerts) {
        return alert_headline(alert);
    }
    let total = message.alerts.len() + message.truncated_alerts;
    let over = over(message);
    let count = match (message.status, over) {
        (Status::Firing, 1..) => format!("{total} alerts, {over} of them over"),
        _ => format!("{total} alerts"),
    };
    one_line(&format!("{count}: {}", what(message)), HEADLINE_CHARACTERS)
}

fn over(message: &Message) -> usize {
    message.alerts.iter().filter(|alert| alert.status == Status::Resolved).count()
}

/// What several alerts share: a summary, a name, else the names of the first few.
fn what(message: &Message) -> String {
    let shared = [
        text_of(&message.common_annotations, "summary"),
        text_of(&message.common_labels, "alertname"),
    ];
    let what = shared.into_iter().find(|text| !text.trim().is_empty());
    what.map_or_else(|| names(message), str::to_owned)
}

/// The labels that several alerts share and that no other part of the message names.
pub(super) fn shared(message: &Message) -> Vec<Fact> {
    let told = ["account", "alertname", "severity"];
    let others = message.common_labels.iter().filter(|(name, _)| !told.contains(&name.as_str()));
    others
        .filter_map(|(name, value)| Fact::new(&facts::in_words(name), value))
        .take(ROWS_MAX)
        .collect()
}

/// The distinct names of a mixed group's alerts, the first few.
fn names(message: &Message) -> String {
    let names = message.alerts.iter().map(|alert| text_of(&alert.labels, "alertname"));
    let distinct: BTreeSet<&str> = names.filter(|name| !name.trim().is_empty()).collect();
    let shown = distinct.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    match distinct.len().checked_sub(NAMES_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

/// `[FIRING] summary`, or `[FIRING:3] what they share · 1 over`, and for whom.
pub(super) fn subject(notification: &Notification, account: &str) -> String {
    let message = &notification.message;
    let status = status_of(message);
    let mut subject = if is_single(message) {
        format!("[{status}] {}", truncate(&headline(message), SUBJECT_HEADLINE_CHARACTERS))
    } else {
        let over = over(message);
        let count = match message.status {
            Status::Firing => message.alerts.len() - over,
            Status::Resolved => message.alerts.len(),
        };
        // Of those that a bound cut off nobody knows here whether they fire.
        let more = if message.truncated_alerts > 0 { "+" } else { "" };
        let what = one_line(&what(message), SUBJECT_HEADLINE_CHARACTERS);
        let over = match (message.status, over) {
            (Status::Firing, 1..) => format!(" · {over} over"),
            _ => String::new(),
        };
        format!("[{status}:{count}{more}] {what}{over}")
    };
    if let [alert] = message.alerts.as_slice()
        && alert.missed
    {
        subject.push_str(" · occurred ");
        subject.push_str(&ago_text(alert.starts_at, notification.now));
    }
    if !account.is_empty() {
        subject.push_str(" · account ");
        subject.push_str(account);
    }
    if let Some(receiver) = &message.fallback_for {
        subject.push_str(" · for ");
        subject.push_str(&one_line(receiver, NAME_CHARACTERS));
    }
    subject
}

pub(super) fn notes(notification: &Notification) -> Vec<String> {
    let message = &notification.message;
    let mut notes = Vec::new();
    if let Some(receiver) = &message.fallback_for {
        let receiver = one_line(receiver, NAME_CHARACTERS);
        notes.push(format!("This copy is for receiver {receiver}, which could not be reached."));
    }
    notes.extend(missed(notification));
    notes.extend(no_all_clear(message));
    let late = notification.now.duration_since(message.created_at).as_secs();
    if late >= LATE_SECONDS {
        let late = duration_text(late);
        notes.push(format!("Sent {late} late (attempt {}).", notification.attempt));
    }
    notes
}

/// What must be said of alerts whose webhook was missed: how old they are.
fn missed(notification: &Notification) -> Option<String> {
    let missed = notification.message.alerts.iter().filter(|alert| alert.missed);
    let (count, first) = (missed.clone().count(), missed.map(|alert| alert.starts_at).min()?);
    let ago = ago_text(first, notification.now);
    Some(if is_single(&notification.message) {
        format!("Occurred {ago}. Its webhook was missed, and fetched from Telnyx's log.")
    } else {
        format!("{count} of them occurred up to {ago}: missed webhooks, fetched from Telnyx's log.")
    })
}

/// What must be said of alerts that ended without a word that the problem did.
fn no_all_clear(message: &Message) -> Vec<String> {
    let over = message.alerts.iter().filter(|alert| alert.status == Status::Resolved);
    let (mut expired, mut no_data) = (0_usize, 0_usize);
    for end in over.map(End::of) {
        expired += usize::from(end == End::Expired);
        no_data += usize::from(end == End::NoData);
    }
    if is_single(message) {
        let note = match (no_data, expired) {
            (1, _) => "No reading came any more: nobody knows whether the problem is still there.",
            (_, 1) => "Its time is over; nothing said that the problem is.",
            _ => return Vec::new(),
        };
        return vec![note.to_owned()];
    }
    let told = [(no_data, "no reading came any more"), (expired, "the time was over")];
    told.into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| {
            format!(
                "{count} of them ended only because {why}; nothing said that the problem is over."
            )
        })
        .collect()
}

pub(super) fn why(message: &Message) -> String {
    let receiver = one_line(&message.receiver, NAME_CHARACTERS);
    format!("Notified because: {}, receiver {receiver}", message.reason.as_str())
}
