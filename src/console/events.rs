//! The events, newest first, and the search among them.

use actix_web::HttpResponse;
use serde::Serialize;

use super::page::{Page, State};
use super::visit::{Trouble, Visit, redirect, show};
use super::words::{Stamp, encoded, number_text};
use crate::chart::amount_text;
use crate::event;
use crate::store::{EventFilter, EventState, EventSummary};

/// Events of one page.
const PAGE: usize = 100;
/// Kinds that fill the list and say little: they are left out unless they are asked for.
const LEFT_OUT: &str = "account.balance";

/// Where an event stands: the word in the address, and for people.
const STATES: [(&str, &str); 4] = [
    ("", "any"),
    ("waiting", "waits to be judged"),
    ("judged", "judged"),
    ("faulted", "could not be judged"),
];

#[derive(Debug, Serialize)]
struct View {
    answer: String,
    beside: String,
    kind: String,
    account: String,
    state: String,
    id: String,
    states: [(&'static str, &'static str); 4],
    accounts: Vec<String>,
    kinds: &'static [&'static str],
    events: Vec<EventRow>,
    filtered: bool,
    with_balances: bool,
    older: String,
    missing: bool,
}

#[derive(Debug, Serialize)]
struct EventRow {
    path: String,
    id: String,
    kind: String,
    account: String,
    received: Stamp,
    occurred: Option<Stamp>,
    source: &'static str,
    cost: String,
    state: State,
}

/// `GET /events`
pub(super) async fn get(visit: Visit) -> Result<HttpResponse, Trouble> {
    let (mut kind, mut account, mut state, mut id) = <(String, String, String, String)>::default();
    let (mut balances, mut before) = (false, None);
    for (name, value) in visit.query() {
        match name.as_str() {
            "kind" => kind = value.trim().to_owned(),
            "account" => account = value,
            "state" => state = value,
            "id" => id = value.trim().to_owned(),
            "balances" => balances = value == "1",
            "before" => before = value.parse::<i64>().ok(),
            _ => {}
        }
    }
    let of = (!account.is_empty()).then_some(account.as_str());
    if !id.is_empty()
        && let Some(found) = visit.store().event(&id, of).await?
    {
        let event = &found.stored.event;
        return Ok(redirect(&event_path(&event.account, &event.id)));
    }
    let with_balances = balances || !kind.is_empty();
    let filter = EventFilter {
        kind: (!kind.is_empty()).then(|| kind.clone()),
        without_kind: (!with_balances).then(|| LEFT_OUT.to_owned()),
        account: of.map(str::to_owned),
        state: state_of(&state),
        before,
        limit: PAGE + 1,
    };
    let missing = !id.is_empty();
    let mut found = if missing { Vec::new() } else { visit.store().events(filter).await? };
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let older = found.last().filter(|_| more).map(|last| {
        let pairs = [("kind", &kind), ("account", &account), ("state", &state)];
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> =
            pairs.map(|(name, value)| format!("&{name}={}", encoded(value))).collect();
        let pairs = pairs.concat();
        let balances = if balances { "&balances=1" } else { "" };
        format!("/events?before={}{pairs}{balances}", last.seq)
    });
    let filtered = !kind.is_empty() || !account.is_empty() || !state.is_empty() || missing;
    let stats = visit.store().stats().await?;
    let accounts = visit.accounts();
    let view = View {
        answer: answer(&found, missing, &id),
        beside: format!(
            "{} events were taken in so far{}.",
            number_text(stats.events_total),
            if with_balances { "" } else { "; readings of the balance are left out here" }
        ),
        events: found.iter().map(|event| row(event, &visit)).collect(),
        kind,
        account,
        state,
        id,
        states: STATES,
        accounts,
        kinds: event::known_kinds(),
        filtered,
        with_balances,
        older: older.unwrap_or_default(),
        missing,
    };
    let page = Page::new(&visit, &stats, "/events", view.answer.clone());
    let page = if before.is_none() { page.live() } else { page };
    show("events.html", page, view)
}

fn answer(found: &[EventSummary], missing: bool, id: &str) -> String {
    match found.first() {
        None if missing => format!("No event with the id {id} is kept"),
        None => "No event fits".to_owned(),
        Some(first) => format!("The newest is {}", first.kind),
    }
}

fn state_of(word: &str) -> Option<EventState> {
    match word {
        "waiting" => Some(EventState::Waiting),
        "judged" => Some(EventState::Judged),
        "faulted" => Some(EventState::Faulted),
        _ => None,
    }
}

/// The page of an event.
pub(super) fn event_path(account: &str, id: &str) -> String {
    format!("/events/{}/{}", encoded(account), encoded(id))
}

/// Where an event stands, for people.
pub(super) fn event_state(state: EventState) -> State {
    match state {
        EventState::Waiting => State::new("", "wait", "waits"),
        EventState::Judged => State::good("judged"),
        EventState::Faulted => State::new("critical", "dead", "could not be judged"),
    }
}

fn row(event: &EventSummary, visit: &Visit) -> EventRow {
    let now = visit.now();
    let currency = event.currency.as_deref().unwrap_or_default();
    let cost = event.cost.as_deref().and_then(|cost| cost.parse().ok());
    EventRow {
        path: event_path(&event.account, &event.id),
        id: event.id.clone(),
        kind: event.kind.clone(),
        account: event.account.clone(),
        received: Stamp::at(event.received_at, now),
        occurred: event.occurred_at.map(|at| Stamp::at(at, now)),
        source: event.source.as_str(),
        cost: cost.map(|cost| amount_text(cost, currency)).unwrap_or_default(),
        state: event_state(event.state),
    }
}
