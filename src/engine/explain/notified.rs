//! Who would hear of an alert: routes, groups, what keeps it quiet, and the message.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::asked::Asked;
use crate::alerts::{
    Alert, Composed, Envelope, Fingerprint, Group, Look, Message, Reason, Route, Scope, Step,
    Suppression, Timing,
};
use crate::clock;
use crate::engine::groups::{compose, next_notification};
use crate::engine::state::State;
use crate::engine::step::Batch;
use crate::notify::{self, Integration, Notification, Receiver};
use crate::rules::Labels;
use crate::store::NewDelivery;
use crate::template::truncate;

/// How far ahead the next notice is looked for.
const AHEAD_MAX: Duration = Duration::from_hours(24);
/// Longest rendered message, in characters; more is cut.
const TEXT_CHARS_MAX: usize = 16_384;
/// Key of a delivery that is not made.
const NO_KEY: &str = "explain";

/// An alert that an event concerns, and who would hear of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertReport {
    /// The alert: as it stands after the event; of an event that was judged before, as today's rules would have begun it.
    #[serde(flatten)]
    pub alert: Alert,
    /// Since when it fired before the event, or, of an event that was judged before, fires now.
    pub fires_since: Option<Timestamp>,
    /// What keeps it quiet in all groups: silences and inhibiting alerts that hold.
    pub quiet: Vec<Quiet>,
    /// What each node of the routing tree says to it.
    pub routes: Vec<Step>,
    /// Its groups, one for each route that takes it.
    pub groups: Vec<GroupReport>,
}

/// Something that keeps an alert quiet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quiet {
    /// What.
    #[serde(flatten)]
    pub why: Suppression,
    /// For people: the silence's comment, the inhibiting alert's labels.
    pub detail: String,
    /// When it ends; `None` where nobody knows.
    pub until: Option<Timestamp>,
}

/// A group that holds the alert, or would.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// Its key.
    pub key: String,
    /// Identity of its route.
    pub route: String,
    /// Who hears of it.
    pub receiver: String,
    /// The ways to the receiver, by id.
    pub integrations: Vec<String>,
    /// Labels that make the group.
    pub labels: Labels,
    /// Alerts in it; 0 when there is no such group.
    pub alerts: usize,
    /// What keeps the route quiet at this time of the day.
    pub muted: Option<Quiet>,
    /// When it is notified next.
    pub next: Option<Timestamp>,
    /// Which setting says so: `group_wait`, `group_interval` or `repeat_interval`.
    pub next_by: Option<Cow<'static, str>>,
    /// What each integration knows of the alert before this event.
    pub told: Vec<NotifiedReport>,
    /// What is notified now, or else at `next`; for an event that was judged before, what a first notification would say.
    pub notices: Vec<NotificationReport>,
}

/// What an integration knows of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotifiedReport {
    /// The integration's id.
    pub integration: String,
    /// The target within it; empty where there is just one place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// When it was notified last.
    pub at: Timestamp,
    /// Whether it knows the alert as firing.
    pub firing: bool,
}

/// A message by one integration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotificationReport {
    /// The integration's id.
    pub integration: String,
    /// `email`, `slack` and so on.
    pub channel: Cow<'static, str>,
    /// Its targets; one empty text where there is just one place.
    pub targets: Vec<String>,
    /// Why.
    pub reason: Reason,
    /// When it is queued.
    pub at: Timestamp,
    /// As the receiver would get it; cut at 16,384 characters.
    pub text: String,
}

/// Says all that is to be said of an alert.
pub(super) fn alert_report(asked: &Asked<'_>, alert: Alert) -> AlertReport {
    let route = &asked.policy.routing.route;
    let groups =
        route.take(&alert.labels).into_iter().map(|route| group_report(asked, route, &alert));
    let groups = groups.collect();
    let before = if asked.question.judged { &asked.after } else { &asked.before };
    AlertReport {
        fires_since: before.alerts.get(&alert.fingerprint).map(|alert| alert.starts_at),
        quiet: quiet(asked, &alert),
        routes: route.explain(&alert.labels),
        groups,
        alert,
    }
}

/// The silences and the alerts that keep an alert quiet now.
fn quiet(asked: &Asked<'_>, alert: &Alert) -> Vec<Quiet> {
    let alerts = &asked.after.alerts;
    let rules = &asked.policy.routing.inhibit_rules;
    let source = asked.after.inhibitor.inhibited_by(rules, &alert.labels).map(|source| {
        let detail = alerts.get(&source).map(|source| {
            let labels = source.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
            labels.collect::<Vec<_>>().join(" ")
        });
        let detail = detail.unwrap_or_default();
        Quiet { why: Suppression::Inhibited(source), detail, until: None }
    });
    let silences = asked.after.silences.all().iter();
    let silences = silences.filter(|silence| silence.silences(&alert.labels, asked.at));
    let silences = silences.map(|silence| Quiet {
        why: Suppression::Silenced(silence.id.clone()),
        detail: format!("{}: {}", silence.created_by, silence.comment),
        until: Some(silence.ends_at),
    });
    source.into_iter().chain(silences).collect()
}

fn group_report(asked: &Asked<'_>, route: &Route, alert: &Alert) -> GroupReport {
    let (key, labels) = route.group_key(&alert.labels);
    let group = asked.after.groups.get(&key);
    let next = next_notification(&asked.after, asked.policy, &key, asked.at);
    let (next, next_by) = next.unzip();
    let next = next.map(|next| next.max(asked.at));
    let known = asked.before.log.get(&key).into_iter().flatten();
    let told = known.filter_map(|(id, entry)| {
        let firing = entry.firing.contains_key(&alert.fingerprint);
        let integration = id.integration.clone();
        Some(NotifiedReport {
            integration,
            target: id.target.clone(),
            at: entry.notified_at?,
            firing,
        })
    });
    let told = told.collect();
    let alerts = group.map_or(0, |group| group.members.len());
    let muted = asked.policy.routing.muted(route, asked.at);
    let receiver = asked.policy.receivers.get(&route.receiver);
    let integrations = receiver.map(|receiver| receiver.integrations.as_slice());
    let integrations = integrations.unwrap_or_default().iter().map(|one| one.id.clone());
    GroupReport {
        route: route.id.clone(),
        receiver: route.receiver.clone(),
        integrations: integrations.collect(),
        labels: labels.clone(),
        alerts,
        muted: muted.map(|why| Quiet { why, detail: String::new(), until: None }),
        next,
        next_by: next_by.map(Cow::from),
        told,
        notices: receiver
            .map(|receiver| notices(asked, receiver, (route, &key, labels), alert, next))
            .unwrap_or_default(),
        key,
    }
}

/// What is said of the alert: now, or at the group's next time.
fn notices(
    asked: &Asked<'_>,
    receiver: &Receiver,
    (route, key, labels): (&Route, &str, Labels),
    alert: &Alert,
    next: Option<Timestamp>,
) -> Vec<NotificationReport> {
    if asked.question.judged {
        let mut group = Group::new(key.to_owned(), route.id.clone(), labels, asked.at);
        group.note(alert, None, false, asked.at);
        let first = |one: &Integration| {
            Some(rendered(asked, one, &first(asked, &group, one, alert)?.message, asked.at))
        };
        return receiver.integrations.iter().filter_map(first).collect();
    }
    let tells = |composed: &Composed| {
        composed.message.alerts.iter().any(|one| one.fingerprint == alert.fingerprint)
    };
    let composed = |state: &State, opened: &[NewDelivery], at: Timestamp| {
        let of = |one: &Integration| {
            let opened = opened
                .iter()
                .find(|opened| opened.group_key == key && opened.target.integration == one.id)?;
            let composed = compose(state, asked.policy, opened, at).filter(tells)?;
            Some(rendered(asked, one, &composed.message, at))
        };
        receiver.integrations.iter().filter_map(of).collect::<Vec<_>>()
    };
    let now = composed(&asked.after, &asked.done.changes.deliveries, asked.at);
    let Some(next) = next.filter(|next| now.is_empty() && *next <= clock::add(asked.at, AHEAD_MAX))
    else {
        return now;
    };
    let mut ahead = asked.after.clone();
    let mut batch = Batch::new(&mut ahead, asked.policy, next);
    batch.run_timers(next);
    let opened = batch.judged.changes.deliveries;
    composed(&ahead, &opened, next)
}

/// What a first notification would say of an alert alone.
fn first(
    asked: &Asked<'_>,
    group: &Group,
    integration: &Integration,
    alert: &Alert,
) -> Option<Composed> {
    let target = integration.as_targets(Scope::All).into_iter().next()?;
    let firing = |one: &Fingerprint| Some(alert).filter(|alert| alert.fingerprint == *one);
    let look = Look::new(group, &firing, &|_, _| None, asked.at);
    let envelope = Envelope {
        receiver: &integration.receiver,
        external_url: &asked.policy.routing.external_url,
        opened_at: asked.at,
        fallback_for: None,
    };
    look.compose(&target, None, &Timing::default(), &envelope, &|_| None)
}

/// A message as its receiver would get it.
fn rendered(
    asked: &Asked<'_>,
    integration: &Integration,
    message: &Message,
    at: Timestamp,
) -> NotificationReport {
    let targets = integration.channel.targets();
    let notification = Notification {
        key: NO_KEY.to_owned(),
        target: targets.first().cloned().unwrap_or_default(),
        attempt: 1,
        now: at,
        message: message.clone(),
        charts: Vec::new(),
    };
    let text = notify::preview(&integration.channel, &notification, asked.question.templates)
        .unwrap_or_else(|error| format!("cannot be rendered: {error}"));
    NotificationReport {
        integration: integration.id.clone(),
        channel: integration.channel.kind().into(),
        targets,
        reason: message.reason,
        at,
        text: truncate(&text, TEXT_CHARS_MAX),
    }
}
