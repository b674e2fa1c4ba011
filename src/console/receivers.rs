//! The receivers: whether they are reached, what waits for them, and the form that sends a test.

use std::time::Duration;

use actix_web::HttpResponse;
use jiff::Timestamp;
use serde::Serialize;

use super::form::Form;
use super::page::{Page, State};
use super::visit::{Trouble, Visit, redirect, show};
use super::words::{Stamp, duration_text, encoded, number_text, target_name};
use crate::api::pauses::{self, Refused};
use crate::api::{Health, Reached, ReceiverHealth, Verdict};
use crate::clock;
use crate::notify::{self, Integration, Receiver, TestAnswer};
use crate::store::DeliveryState;

/// What is said of a receiver that nothing was sent to, as far as is looked back.
const NOTHING_YET: &str = "nothing sent yet";

#[derive(Debug, Serialize)]
struct View {
    answer: String,
    beside: String,
    receivers: Vec<ReceiverView>,
    tested: Option<Tested>,
}

#[derive(Debug, Serialize)]
struct ReceiverView {
    name: String,
    id: String,
    state: State,
    fallback: String,
    /// Of the pause that somebody has made: until when, by whom and why; empty when there is none.
    paused: String,
    counts: Vec<(&'static str, String, String)>,
    integrations: Vec<IntegrationView>,
}

#[derive(Debug, Serialize)]
struct IntegrationView {
    id: String,
    kind: &'static str,
    targets: Vec<String>,
    state: State,
    detail: String,
    last: Option<Stamp>,
    settings: String,
}

/// How a test went.
#[derive(Debug, Serialize)]
struct Tested {
    receiver: String,
    rows: Vec<TestedRow>,
    well: bool,
}

#[derive(Debug, Serialize)]
struct TestedRow {
    to: String,
    state: State,
    detail: String,
}

/// `GET /receivers`
pub(super) async fn get(visit: Visit) -> Result<HttpResponse, Trouble> {
    shown(&visit, None).await
}

async fn shown(visit: &Visit, tested: Option<Tested>) -> Result<HttpResponse, Trouble> {
    let api = &visit.deps.api;
    let policy = visit.policy();
    let reached = Reached::of(&api.store, visit.now()).await?;
    let mut receivers = Vec::new();
    let mut unused = 0;
    for receiver in policy.receivers.values() {
        let health = reached.receiver(&api.store, receiver).await?;
        unused += usize::from(health.verdict() == Verdict::Unused);
        receivers.push(view(visit, receiver, &reached, health));
    }
    let ill: Vec<&str> = receivers
        .iter()
        .filter(|receiver| matches!(receiver.state.tone, "critical" | "warning"))
        .map(|receiver| receiver.name.as_str())
        .collect();
    let answer = match (receivers.len(), ill.as_slice()) {
        (0, _) => "There is no receiver".to_owned(),
        (all, []) if unused == all => "Nothing was sent to anybody yet".to_owned(),
        (all, []) if unused > 0 => {
            format!(
                "{} of {all} receivers are reached, the others were sent nothing yet",
                all - unused
            )
        }
        (1, []) => "The one receiver is reached".to_owned(),
        (all, []) => format!("All {all} receivers are reached"),
        (_, [one]) => format!("{one} is not well"),
        (all, many) => format!("{} of {all} receivers are not well", many.len()),
    };
    let view = View {
        answer,
        beside: "A test notification goes past the queue, to every target of a receiver."
            .to_owned(),
        receivers,
        tested,
    };
    let page = Page::new(visit, reached.stats(), "/receivers", view.answer.clone());
    // The result of a test is shown once.
    let page = if view.tested.is_none() { page.live() } else { page };
    show("receivers.html", page, view)
}

fn view(
    visit: &Visit,
    receiver: &Receiver,
    reached: &Reached,
    health: ReceiverHealth,
) -> ReceiverView {
    let state = state(&health);
    let paused = health.paused.as_ref().map_or_else(String::new, |pause| {
        let ends = Stamp::from_now(pause.until, visit.now());
        format!("by {}, ends {}: {}", pause.who, ends.text(), pause.comment)
    });
    let integrations: Vec<IntegrationView> = receiver
        .integrations
        .iter()
        .zip(health.integrations)
        .map(|(integration, health)| integration_view(visit, integration, health))
        .collect();
    let path =
        |state: &str| format!("/deliveries?state={state}&receiver={}", encoded(&receiver.name));
    let count = |name, state: DeliveryState| {
        (name, number_text(reached.count(&receiver.name, state)), path(state.as_str()))
    };
    ReceiverView {
        id: super::balances::id_of(&receiver.name),
        name: receiver.name.clone(),
        state,
        paused,
        fallback: receiver.fallback.as_ref().map_or_else(String::new, |fallback| {
            format!("{fallback}, after {}", duration_text(receiver.fallback_after))
        }),
        counts: vec![
            count("delivered", DeliveryState::Delivered),
            count("waiting", DeliveryState::Pending),
            count("dead", DeliveryState::Dead),
        ],
        integrations,
    }
}

/// How a receiver is reached, in one word.
pub(super) fn state(health: &ReceiverHealth) -> State {
    match (health.verdict(), health.waiting, health.dead) {
        (Verdict::Paused(_), waiting, _) => {
            State::new("warning", "warning", format!("paused, {} wait", number_text(waiting)))
        }
        (Verdict::Ill(_), _, 0) => State::new("warning", "warning", "not reached"),
        (Verdict::Ill(_), _, dead) => {
            State::new("critical", "dead", format!("not reached, {} dead", number_text(dead)))
        }
        (Verdict::Dead(dead), ..) => {
            State::new("critical", "dead", format!("{} dead", number_text(dead)))
        }
        (Verdict::Reached | Verdict::Unused, 1.., _) => {
            State::new("", "wait", format!("{} wait", number_text(health.waiting)))
        }
        (Verdict::Reached, ..) => State::good("reached"),
        (Verdict::Unused, ..) => State::quiet("dot", NOTHING_YET),
    }
}

/// Why an integration is not reached; empty where it is.
pub(super) fn problem(health: &Health, now: Timestamp) -> String {
    match health {
        Health::Paused(pause) => {
            format!("{}; tried again {}", pause.reason, Stamp::from_now(pause.until, now).text())
        }
        Health::Failing(reason, detail) => format!("{reason}: {detail}"),
        Health::Reached | Health::Unused => String::new(),
    }
}

fn integration_view(
    visit: &Visit,
    integration: &Integration,
    (health, last): (Health, Option<Timestamp>),
) -> IntegrationView {
    let now = visit.now();
    let state = match health {
        Health::Paused(_) => State::new("warning", "warning", "paused"),
        Health::Failing(..) => State::new("warning", "warning", "failing"),
        Health::Reached => State::good("reached"),
        Health::Unused => State::quiet("dot", NOTHING_YET),
    };
    let detail = problem(&health, now);
    let targets = integration.channel.targets();
    IntegrationView {
        id: integration.id.clone(),
        kind: notify::channel_name(&integration.channel),
        targets: targets.into_iter().filter(|target| !target.is_empty()).collect(),
        state,
        detail,
        last: last.map(|at| Stamp::at(at, now)),
        settings: format!(
            "{} at once, {} a second at most, given up after {}{}",
            integration.concurrency,
            integration.rate_limit.per_second,
            duration_text(integration.retry.max_age),
            if integration.send_resolved { "" } else { "; ends are not sent" }
        ),
    }
}

/// `POST /receivers/{name}/test`
pub(super) async fn test(visit: Visit, _form: Form) -> Result<HttpResponse, Trouble> {
    let name = visit.part("name");
    let policy = visit.policy();
    let Some(receiver) = policy.receivers.get(&name) else {
        return Err(Trouble::Missing(format!("There is no receiver {name}.")));
    };
    let answers = visit.deps.api.test(visit.principal()?, receiver, None).await?;
    let rows: Vec<TestedRow> = answers.into_iter().map(tested_row).collect();
    let well = rows.iter().all(|row| row.state.tone == "good");
    shown(&visit, Some(Tested { receiver: name, rows, well })).await
}

/// `POST /receivers/{name}/pause`
pub(super) async fn pause(visit: Visit, form: Form) -> Result<HttpResponse, Trouble> {
    let name = visit.part("name");
    if !visit.policy().receivers.contains_key(&name) {
        return Err(Trouble::Missing(format!("There is no receiver {name}.")));
    }
    let hours: Option<u64> = form.get("hours").parse().ok();
    let Some(hours) = hours else {
        return Err(Trouble::Wrong("It was not said for how many hours.".to_owned()));
    };
    let lasts = Duration::from_secs(hours.saturating_mul(3600));
    let until = clock::add(visit.now(), lasts);
    let (audit, who) = (&visit.deps.api.audit, visit.principal()?);
    match pauses::pause(audit, who, &name, until, form.get("comment")).await {
        Ok(_) => Ok(redirect("/receivers")),
        Err(Refused::Unfit(why)) => Err(Trouble::Wrong(format!("{name} is not paused: {why}."))),
        Err(Refused::Store(error)) => Err(Trouble::Store(error)),
    }
}

/// `POST /receivers/{name}/resume`
pub(super) async fn resume(visit: Visit, _form: Form) -> Result<HttpResponse, Trouble> {
    pauses::resume(&visit.deps.api.audit, visit.principal()?, &visit.part("name")).await?;
    Ok(redirect("/receivers"))
}

fn tested_row(answer: TestAnswer) -> TestedRow {
    let mut to = target_name(&answer.integration, &answer.target);
    if answer.status == "resolved" {
        to.push_str(", its end");
    }
    match answer.reason {
        None => TestedRow { to, state: State::good("delivered"), detail: String::new() },
        Some(reason) => TestedRow {
            to,
            state: State::new("critical", "dead", "not taken"),
            detail: format!("{reason}: {}", answer.detail),
        },
    }
}
