//! Deliveries, dead letters and one delivery: what was sent, and how each attempt ended.

use actix_web::HttpResponse;
use serde::Serialize;

use super::alert_story::took_text;
use super::form::Form;
use super::page::{Page, State};
use super::visit::{Trouble, Visit, own_path, redirect, show};
use super::words::{Stamp, count_text, encoded, label, number_text, short, span_text, target_name};
use crate::notify::{self, Notification};
use crate::store::{Attempt, Delivery, DeliveryFilter, DeliveryState, Retry};

/// Deliveries of one page.
const PAGE: usize = 100;

/// Where deliveries stand: the word in the address, and for people.
const STATES: [(&str, &str); 5] = [
    ("", "all"),
    ("dead", "dead letters"),
    ("pending", "waiting"),
    ("delivered", "delivered"),
    ("superseded", "superseded"),
];

#[derive(Debug, Serialize)]
struct ListView {
    answer: String,
    beside: String,
    state: String,
    receiver: String,
    tabs: Vec<Tab>,
    receivers: Vec<String>,
    rows: Vec<Row>,
    more: bool,
    dead: bool,
    none: &'static str,
}

#[derive(Debug, Serialize)]
struct Tab {
    name: String,
    path: String,
    here: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    short: String,
    path: String,
    to: String,
    receiver: String,
    state: State,
    about: String,
    why: String,
    problem: String,
    at: Stamp,
    attempts: u32,
    took: String,
}

#[derive(Debug, Serialize)]
struct OneView {
    row: Row,
    facts: Vec<(&'static str, String)>,
    alerts: Vec<(String, String)>,
    attempts: Vec<AttemptRow>,
    text: String,
    text_words: &'static str,
    /// What the button that lets it be tried says; empty where there is none.
    retry: &'static str,
    fallback_of: String,
}

#[derive(Debug, Serialize)]
struct AttemptRow {
    number: u32,
    at: Stamp,
    state: State,
    detail: String,
}

/// `GET /deliveries`
pub(super) async fn list(visit: Visit) -> Result<HttpResponse, Trouble> {
    let (mut state, mut receiver) = (String::new(), String::new());
    for (name, value) in visit.query() {
        match name.as_str() {
            "state" => state = value,
            "receiver" => receiver = value,
            _ => {}
        }
    }
    let wanted = DeliveryState::ALL.into_iter().find(|known| known.as_str() == state);
    let filter = DeliveryFilter {
        state: wanted,
        receiver: (!receiver.is_empty()).then(|| receiver.clone()),
        before: None,
        limit: PAGE + 1,
    };
    let mut found = visit.store().deliveries(filter).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let stats = visit.store().stats().await?;
    let count = |state| stats.deliveries_in(state);
    let dead = count(DeliveryState::Dead);
    let open = count(DeliveryState::Pending) + count(DeliveryState::Sending);
    let counted = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let answer = match (dead, open) {
        (0, 0) => "Everything was delivered".to_owned(),
        (0, open) => {
            format!("{} on the way", count_text(counted(open), "delivery is", "deliveries are"))
        }
        (dead, _) => format!(
            "{} could not be delivered",
            count_text(counted(dead), "notification", "notifications")
        ),
    };
    let names = visit.policy().receivers.keys().cloned().collect();
    let view = ListView {
        answer,
        beside: format!(
            "{} delivered, {} superseded, {} open, {} dead.",
            number_text(count(DeliveryState::Delivered)),
            number_text(count(DeliveryState::Superseded)),
            number_text(open),
            number_text(dead)
        ),
        tabs: tabs(&state, &receiver),
        rows: found.iter().map(|one| row(one, visit.now())).collect(),
        dead: wanted == Some(DeliveryState::Dead) && !found.is_empty() && visit.may_write(),
        none: match wanted {
            Some(DeliveryState::Dead) => "No dead letter: everything that was to be said was said.",
            Some(DeliveryState::Pending) => "Nothing waits.",
            _ => "Nothing was sent yet.",
        },
        state,
        receiver,
        receivers: names,
        more,
    };
    let page = Page::new(&visit, &stats, "/deliveries", view.answer.clone()).live();
    show("deliveries.html", page, view)
}

fn tabs(here: &str, receiver: &str) -> Vec<Tab> {
    let tab = |(state, name): &(&str, &str)| {
        let mut query = Vec::new();
        if !state.is_empty() {
            query.push(format!("state={state}"));
        }
        if !receiver.is_empty() {
            query.push(format!("receiver={}", encoded(receiver)));
        }
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        Tab { name: (*name).to_owned(), path: format!("/deliveries{query}"), here: *state == here }
    };
    STATES.iter().map(tab).collect()
}

fn row(delivery: &Delivery, now: jiff::Timestamp) -> Row {
    let message = delivery.message.as_ref();
    let about = message.map(|message| {
        let name = label(&message.common_labels, "alertname");
        let summary = message.alerts.first().map(|alert| label(&alert.annotations, "summary"));
        let text = summary.filter(|text| !text.is_empty()).unwrap_or(name);
        let others = message.alerts.len().saturating_sub(1) + message.truncated_alerts;
        match others {
            0 => text.to_owned(),
            others => format!("{text}, and {others} more"),
        }
    });
    let why =
        message.map(|message| format!("{}, {}", message.status.as_str(), message.reason.as_str()));
    Row {
        short: short(&delivery.id),
        path: format!("/deliveries/{}", encoded(&delivery.id)),
        id: delivery.id.clone(),
        to: target_name(&delivery.integration, &delivery.target),
        receiver: delivery.receiver.clone(),
        state: State::of_delivery(delivery.state),
        about: about.unwrap_or_else(|| "not composed yet".to_owned()),
        why: why.unwrap_or_default(),
        problem: problem(delivery, now),
        at: Stamp::at(delivery.created_at, now),
        attempts: delivery.attempts,
        took: delivery
            .finished_at
            .map(|end| took_text(end.duration_since(delivery.created_at)))
            .unwrap_or_default(),
    }
}

/// Why the last attempt failed, and when the next one is.
fn problem(delivery: &Delivery, now: jiff::Timestamp) -> String {
    let failed = [delivery.reason.as_str(), delivery.detail.as_str()];
    let failed: Vec<&str> = failed.into_iter().filter(|text| !text.is_empty()).collect();
    let mut parts = vec![failed.join(": ")];
    if delivery.state == DeliveryState::Pending
        && let Some(next) = delivery.next_try(now)
    {
        let what = if delivery.paused_until.is_some_and(|until| until > now) {
            "paused, next attempt"
        } else {
            "next attempt"
        };
        let when =
            if next > now { format!("in {}", span_text(now, next)) } else { "now".to_owned() };
        parts.push(format!("{what} {when}"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

/// `GET /deliveries/{id}`
pub(super) async fn one(visit: Visit) -> Result<HttpResponse, Trouble> {
    let id = visit.part("id");
    let Some((delivery, attempts)) = visit.store().delivery(&id).await? else {
        return Err(Trouble::Missing(format!("No delivery with the id {id} is kept.")));
    };
    let now = visit.now();
    let shown = row(&delivery, now);
    let title = format!("{} to {}", shown.about, delivery.receiver);
    let text = sent_text(&visit, &delivery);
    let message = delivery.message.as_ref();
    let alerts = message.into_iter().flat_map(|message| &message.alerts).map(|alert| {
        let summary = label(&alert.annotations, "summary");
        let text = if summary.is_empty() { label(&alert.labels, "alertname") } else { summary };
        (format!("/alerts/{}", alert.fingerprint), text.to_owned())
    });
    let view = OneView {
        facts: facts(&delivery, now),
        alerts: alerts.collect(),
        attempts: attempts.iter().map(|attempt| attempt_row(attempt, now)).collect(),
        text_words: match (&text, delivery.state) {
            (None, _) if message.is_none() => "It was not composed yet.",
            (None, _) => "Its integration is no longer configured, so its form is not known.",
            (Some(_), DeliveryState::Delivered) => {
                "As it was composed last, in the form that this integration sends today."
            }
            (Some(_), _) => "As it was composed last; the next attempt composes it anew.",
        },
        text: text.unwrap_or_default(),
        retry: match delivery.state {
            DeliveryState::Dead if visit.may_write() => "Try again",
            DeliveryState::Pending if visit.may_write() => "Try now",
            _ => "",
        },
        fallback_of: delivery.fallback_of.clone().unwrap_or_default(),
        row: shown,
    };
    let page = visit.page("/deliveries", title).await?.live();
    show("delivery.html", page, view)
}

/// What was composed last, in the form that its integration sends.
fn sent_text(visit: &Visit, delivery: &Delivery) -> Option<String> {
    let message = delivery.message.clone()?;
    let policy = visit.policy();
    let mut integrations = policy.receivers.values().flat_map(|receiver| &receiver.integrations);
    let integration = integrations.find(|one| one.id == delivery.integration)?;
    let notification = Notification {
        key: delivery.id.clone(),
        target: delivery.target.clone(),
        attempt: delivery.attempts.max(1),
        now: delivery.finished_at.unwrap_or_else(|| visit.now()),
        message,
        charts: Vec::new(),
    };
    let templates = visit.templates();
    notify::preview(&integration.channel, &notification, &templates).ok()
}

fn facts(delivery: &Delivery, now: jiff::Timestamp) -> Vec<(&'static str, String)> {
    let at = |at| Stamp::at(at, now).text().to_owned();
    let mut facts = vec![
        ("Receiver", delivery.receiver.clone()),
        ("Integration", delivery.integration.clone()),
        ("Id", delivery.id.clone()),
        ("Opened", at(delivery.created_at)),
    ];
    if !delivery.target.is_empty() {
        facts.insert(2, ("Target", delivery.target.clone()));
    }
    if let Some(end) = delivery.finished_at {
        facts.push((
            "Ended",
            format!("{}, after {}", at(end), took_text(end.duration_since(delivery.created_at))),
        ));
    }
    if delivery.maybe_repeated {
        facts.push(("May be a repeat", "an attempt was cut off before".to_owned()));
    }
    facts
}

fn attempt_row(attempt: &Attempt, now: jiff::Timestamp) -> AttemptRow {
    let state = match attempt.outcome.as_str() {
        "delivered" => State::good("delivered"),
        "retry" => State::new("warning", "wait", "failed, tried again"),
        _ => State::new("critical", "dead", "refused"),
    };
    let failed = [attempt.reason.as_str(), attempt.detail.as_str()];
    let failed: Vec<&str> = failed.into_iter().filter(|text| !text.is_empty()).collect();
    AttemptRow {
        number: attempt.number,
        at: Stamp::at(attempt.finished_at, now),
        state,
        detail: failed.join(": "),
    }
}

/// `POST /deliveries/retry`
pub(super) async fn retry(visit: Visit, form: Form) -> Result<HttpResponse, Trouble> {
    let back = match form.get("back") {
        "" => "/deliveries?state=dead",
        back => own_path(back),
    };
    let (id, receiver) = (form.get("id"), form.get("receiver"));
    let selection = match (id, receiver, form.get("all")) {
        ("", "", "1") => Retry::All,
        ("", "", _) => return Err(Trouble::Wrong("It was not said which one.".to_owned())),
        ("", receiver, _) => Retry::Receiver(receiver.to_owned()),
        (id, ..) => Retry::One(id.to_owned()),
    };
    let retried = visit.deps.api.audit.retry(visit.principal()?, selection).await?;
    let done = if retried.count > 0 { "retried" } else { "nothing" };
    let joint = if back.contains('?') { '&' } else { '?' };
    Ok(redirect(&format!("{back}{joint}done={done}")))
}
