//! One event, explained: what each rule said by which numbers, who would hear of it, and what was done.

use actix_web::HttpResponse;
use serde::Serialize;

use super::event_rules::{RuleRow, rule_row};
use super::events::event_state;
use super::page::State;
use super::visit::{Trouble, Visit, show};
use super::words::{
    Stamp, count_text, encoded, encoded_path, label, short, span_text, target_name,
};
use crate::alerts::{Answer, Step};
use crate::api::explain::{self, Asked};
use crate::chart::amount_text;
use crate::engine::{self, Explanation, Outcome};
use crate::event::Event;
use crate::store::{DeliveryState, EventRecord, EventState};

/// Longest payload that is shown, in bytes.
const PAYLOAD_MAX: usize = 64 * 1024;
/// Deepest place of a routing tree that is set apart.
const DEPTH_MAX: usize = 4;

#[derive(Debug, Serialize)]
struct View {
    kind: String,
    id: String,
    account: String,
    answer: String,
    beside: String,
    facts: Vec<(&'static str, String)>,
    received: Stamp,
    state: State,
    notes: Vec<String>,
    fault: String,
    then: Vec<ThenRow>,
    deliveries: Vec<SentRow>,
    rules: Vec<RuleRow>,
    others: Vec<String>,
    alerts: Vec<AlertPart>,
    payload: String,
}

/// What a rule said when the event was judged.
#[derive(Debug, Serialize)]
struct ThenRow {
    rule: String,
    rule_path: String,
    state: State,
    detail: String,
    alert_path: String,
}

#[derive(Debug, Serialize)]
struct SentRow {
    path: String,
    id: String,
    receiver: String,
    state: State,
}

/// An alert that the event concerns.
#[derive(Debug, Serialize)]
struct AlertPart {
    name: String,
    path: String,
    since: Option<Stamp>,
    quiet: Vec<String>,
    routes: Vec<RouteRow>,
    groups: Vec<GroupPart>,
}

#[derive(Debug, Serialize)]
struct RouteRow {
    depth: usize,
    state: State,
    route: String,
    receiver: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct GroupPart {
    receiver: String,
    words: String,
    sent: Vec<Message>,
}

/// A message as a receiver would get it.
#[derive(Debug, Serialize)]
struct Message {
    to: String,
    why: &'static str,
    text: String,
}

/// `GET /events/{account}/{id}`
pub(super) async fn get(visit: Visit) -> Result<HttpResponse, Trouble> {
    let (account, id) = (visit.part("account"), visit.part("id"));
    let Some(record) = visit.store().event(&id, Some(&account)).await? else {
        return Err(Trouble::Missing(format!(
            "No event with the id {id} of the account {account} is kept. Events are kept for store.retention."
        )));
    };
    let asked = Asked::of(&visit.deps.api.in_force.load(), visit.now());
    let (explanation, notes) = explain::today(visit.store(), asked, &record).await?;
    let view = view(&visit, &record, explanation.as_ref(), notes);
    let page = visit.page("/events", format!("{}: {}", view.kind, view.answer)).await?;
    show("event.html", page, view)
}

fn view(
    visit: &Visit,
    record: &EventRecord,
    explanation: Option<&Explanation>,
    mut notes: Vec<String>,
) -> View {
    let event = &record.stored.event;
    let now = visit.now();
    let today = visit.policy().config_hash.clone();
    if record.judgements.iter().any(|judged| judged.config != today) {
        notes.push(
            "It was judged by another configuration than the one that is in force today."
                .to_owned(),
        );
    }
    if record.state == EventState::Waiting {
        notes.push(explain::WAITS.to_owned());
    }
    let payload = serde_json::to_string_pretty(&event.payload).unwrap_or_default();
    View {
        answer: answer(record, explanation),
        beside: beside(event, explanation),
        kind: event.kind.clone(),
        id: event.id.clone(),
        account: event.account.clone(),
        facts: facts(event, explanation, now),
        received: Stamp::at(event.received_at, now),
        state: event_state(record.state),
        notes,
        fault: record.fault.clone().unwrap_or_default(),
        then: then(record),
        deliveries: record
            .deliveries
            .iter()
            .map(|caused| SentRow {
                path: format!("/deliveries/{}", encoded(&caused.id)),
                id: short(&caused.id),
                receiver: caused.receiver.clone(),
                state: State::of_delivery(caused.state),
            })
            .collect(),
        rules: explanation.map(|it| it.rules.iter().map(rule_row).collect()).unwrap_or_default(),
        others: explanation.map(|it| it.others.clone()).unwrap_or_default(),
        alerts: explanation.map(|it| alerts(it, now)).unwrap_or_default(),
        payload: crate::template::truncate(&payload, PAYLOAD_MAX),
    }
}

fn answer(record: &EventRecord, explanation: Option<&Explanation>) -> String {
    if record.state == EventState::Faulted {
        return "It could not be judged".to_owned();
    }
    let of = |outcome: &str| record.judgements.iter().filter(|it| it.outcome == outcome).count();
    let delivered = record.deliveries.iter();
    let delivered = delivered.filter(|it| it.state == DeliveryState::Delivered).count();
    let (fired, ended) = (of("fired"), of("resolved") + of("no_data"));
    let answer = match (fired, ended, of("extended")) {
        (0, 0, 0) if record.state == EventState::Waiting => "It waits to be judged".to_owned(),
        (0, 0, 0) => match explanation.map(|it| it.rules.len()) {
            Some(0) => "No rule looks at it".to_owned(),
            _ => "No alert began or ended by it".to_owned(),
        },
        (0, 0, _) => "It kept an alert firing".to_owned(),
        (0, ended, _) => format!("It ended {}", count_text(ended, "alert", "alerts")),
        (fired, ..) => format!("It fired {}", count_text(fired, "alert", "alerts")),
    };
    match record.deliveries.len() {
        0 => answer,
        all => format!("{answer}; {delivered} of {all} deliveries reached somebody"),
    }
}

fn beside(event: &Event, explanation: Option<&Explanation>) -> String {
    let Some(said) = explanation else { return String::new() };
    let telling = said
        .rules
        .iter()
        .filter(|rule| !matches!(rule.outcome, Outcome::NoMatch | Outcome::Failed));
    format!(
        "{} of {} rules that name {} match it today; {} do not name it.",
        telling.count(),
        said.rules.len(),
        event.kind,
        said.others.len()
    )
}

fn facts(
    event: &Event,
    explanation: Option<&Explanation>,
    now: jiff::Timestamp,
) -> Vec<(&'static str, String)> {
    let currency = event.currency.as_deref().unwrap_or_default();
    let mut facts = vec![("Id", event.id.clone()), ("Account", event.account.clone())];
    if let Some(at) = event.occurred_at {
        let late = event.received_at.duration_since(at).as_secs();
        let beside = if late > 60 {
            format!(", {} before it was taken in", span_text(at, event.received_at))
        } else {
            String::new()
        };
        facts.push(("Happened", format!("{}{beside}", Stamp::at(at, now).text())));
    }
    facts.push(("From", event.source.as_str().to_owned()));
    if let Some(attempt) = event.attempt {
        facts.push(("Attempt of Telnyx", attempt.to_string()));
    }
    if let Some(cost) = event.cost {
        facts.push(("Cost", amount_text(cost, currency)));
    }
    if let Some(charge) = explanation.and_then(|it| it.charge) {
        facts.push(("Changes the ledger by", amount_text(charge, currency)));
    }
    if let Some(call) = explanation.and_then(|it| it.call.as_ref()) {
        let parts = [
            ("from", &call.from),
            ("to", &call.to),
            ("country", &call.country),
            ("connection", &call.connection_id),
        ];
        let known: Vec<String> = parts
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value.as_deref()?)))
            .collect();
        if !known.is_empty() {
            facts.push(("Its call", known.join(", ")));
        }
    }
    facts
}

fn then(record: &EventRecord) -> Vec<ThenRow> {
    let row = |judged: &crate::store::Judgement| {
        let state = match judged.outcome.as_str() {
            "fired" => State::new("warning", "bell", "fired"),
            "extended" => State::new("", "bell", "went on firing"),
            "resolved" => State::good("ended its alert"),
            "no_data" => State::new("warning", "warning", "ended its alert: no data"),
            _ => State::new("critical", "warning", "failed"),
        };
        let alert = judged.fingerprint.as_deref();
        ThenRow {
            rule: judged.rule.clone(),
            rule_path: format!("/rules/{}", encoded_path(&judged.rule)),
            state,
            detail: judged.detail.clone(),
            alert_path: alert.map(|it| format!("/alerts/{it}")).unwrap_or_default(),
        }
    };
    record.judgements.iter().map(row).collect()
}

fn alerts(explanation: &Explanation, now: jiff::Timestamp) -> Vec<AlertPart> {
    let part = |report: &engine::AlertReport| AlertPart {
        name: label(&report.alert.labels, "alertname").to_owned(),
        path: format!("/alerts/{}", report.alert.fingerprint),
        since: report.fires_since.map(|at| Stamp::at(at, now)),
        quiet: report
            .quiet
            .iter()
            .map(|quiet| format!("{}: {}", quiet.why.as_str(), quiet.detail))
            .collect(),
        routes: report.routes.iter().map(route_row).collect(),
        groups: report
            .groups
            .iter()
            .map(|group| GroupPart {
                receiver: group.receiver.clone(),
                words: group_words(group, now),
                sent: group
                    .notices
                    .iter()
                    .map(|notice| Message {
                        to: target_name(&notice.integration, &notice.targets.join(", ")),
                        why: notice.reason.as_str(),
                        text: notice.text.clone(),
                    })
                    .collect(),
            })
            .collect(),
    };
    explanation.alerts.iter().map(part).collect()
}

fn group_words(group: &engine::GroupReport, now: jiff::Timestamp) -> String {
    let mut words = vec![count_text(group.alerts, "alert in the group", "alerts in the group")];
    if let Some(muted) = &group.muted {
        words.push(format!("{} by {}", muted.why.as_str(), muted.detail));
    }
    if let (Some(next), Some(by)) = (group.next, &group.next_by) {
        words.push(format!("notified {} by {by}", Stamp::from_now(next, now).text()));
    }
    words.join(", ")
}

fn route_row(step: &Step) -> RouteRow {
    let (state, why) = match &step.answer {
        Answer::Taken => (State::good("takes it"), String::new()),
        Answer::Deeper => (State::new("", "down", "a route below takes it"), String::new()),
        Answer::Unmatched(matchers) => {
            (State::quiet("no", "does not match"), format!("is not {}", matchers.join(", ")))
        }
        Answer::NotAsked(by) => (State::quiet("dot", "not asked"), format!("{by} took it")),
    };
    RouteRow {
        depth: step.depth.min(DEPTH_MAX),
        state,
        route: step.route.clone(),
        receiver: step.receiver.clone(),
        why,
    }
}
