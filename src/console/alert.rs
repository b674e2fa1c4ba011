//! One alert: how bad, who knows, what to do; then its story.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::HttpResponse;
use serde::Serialize;

use super::alert_chart;
use super::alert_story::{self, Step};
use super::balances::ChartView;
use super::page::State;
use super::situation::{Situation, end, group_name, group_words, severity};
use super::thresholds;
use super::visit::{Trouble, Visit, show};
use super::words::{
    Stamp, encoded, encoded_path, headline, label, span_text, target_name, value_text,
};
use crate::alerts::{self, Alert, Fingerprint, Group, LogEntry};
use crate::engine::{self, Policy};
use crate::store::{AlertFilter, Delivery, GroupRecord, JournalEntry};

/// Lines of the journal that are read at most.
const JOURNAL_MAX: usize = 300;
/// Deliveries of each group that are read at most.
const DELIVERIES_MAX: usize = 60;
/// Alerts that are looked through for the beginning of a fingerprint.
const LOOK_MAX: usize = 10_000;
/// Characters from which a beginning stands for the whole.
const BEGINNING: usize = 8;
#[derive(Debug, Serialize)]
struct View {
    name: String,
    fingerprint: String,
    headline: String,
    description: String,
    band: Vec<Figure>,
    firing: bool,
    silence_path: String,
    rule_path: String,
    rule: String,
    event_path: String,
    /// Where its value is drawn; empty where it has none.
    value_path: String,
    action: Vec<String>,
    runbook: String,
    labels: Vec<(String, String)>,
    groups: Vec<InGroup>,
    story: Vec<Step>,
    story_cut: bool,
}

/// How the value of an alert went.
#[derive(Debug, Serialize)]
struct ValueView {
    name: String,
    fingerprint: String,
    headline: String,
    chart: Option<ChartView>,
    chart_words: String,
}

/// One of the figures below the head.
#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    state: Option<State>,
    value: String,
    more: String,
}

/// The alert within one of its groups.
#[derive(Debug, Serialize)]
struct InGroup {
    name: String,
    words: String,
    targets: Vec<TargetRow>,
}

/// A target, and what it knows.
#[derive(Debug, Serialize)]
struct TargetRow {
    to: String,
    state: State,
    at: Option<Stamp>,
}

/// `GET /alerts/{fingerprint}`
pub(super) async fn get(visit: Visit) -> Result<HttpResponse, Trouble> {
    let alert = find(&visit, &visit.part("fingerprint")).await?;
    let store = visit.store();
    let situation = Situation::of(&visit).await?;
    let records = store.groups_of(&alert.fingerprint).await?;
    let journal = store.journal(alert.fingerprint.to_string(), JOURNAL_MAX).await?;
    let deliveries = deliveries(&visit, &situation.policy, &alert, &records).await?;
    let cut = journal.len() >= JOURNAL_MAX;
    let view = view(&situation, &alert, &records, (&journal, &deliveries), cut);
    let page = visit.page("/alerts", view.headline.clone()).await?.live();
    show("alert.html", page, view)
}

/// `GET /alerts/{fingerprint}/value`: a page of its own, and not a live one, since many events are read for it.
pub(super) async fn value(visit: Visit) -> Result<HttpResponse, Trouble> {
    let alert = find(&visit, &visit.part("fingerprint")).await?;
    let policy = visit.policy();
    let records = visit.store().groups_of(&alert.fingerprint).await?;
    let deliveries = deliveries(&visit, &policy, &alert, &records).await?;
    let chart = alert_chart::chart(&visit, &policy, &alert, &deliveries).await?;
    let (chart, chart_words) =
        chart.map_or((None, String::new()), |(chart, words)| (Some(chart), words));
    let view = ValueView {
        name: label(&alert.labels, "alertname").to_owned(),
        fingerprint: alert.fingerprint.to_string(),
        headline: headline(&alert),
        chart,
        chart_words,
    };
    let page = visit.page("/alerts", format!("How the value of {} went", view.name)).await?;
    show("alert_value.html", page, view)
}

/// The last deliveries of its groups that are about an alert.
async fn deliveries(
    visit: &Visit,
    policy: &Policy,
    alert: &Alert,
    records: &[GroupRecord],
) -> Result<Vec<Delivery>, Trouble> {
    let mut deliveries = Vec::new();
    for record in records {
        for receiver in receivers(policy, record) {
            let key = &record.group.key;
            let of = visit.store().deliveries_of(&receiver, key, DELIVERIES_MAX).await?;
            deliveries.extend(of.into_iter().filter(|one| is_about(one, &alert.fingerprint)));
        }
    }
    Ok(deliveries)
}

/// The alert of a fingerprint, or of the beginning of one.
pub(super) async fn find(visit: &Visit, fingerprint: &str) -> Result<Alert, Trouble> {
    let exact =
        AlertFilter { firing_only: false, fingerprint: Some(fingerprint.to_owned()), limit: 1 };
    if let Some(alert) = visit.store().alerts(exact).await?.pop() {
        return Ok(alert);
    }
    if fingerprint.len() >= BEGINNING {
        let all = AlertFilter { firing_only: false, fingerprint: None, limit: LOOK_MAX };
        let mut found = visit.store().alerts(all).await?;
        found.retain(|alert| alert.fingerprint.as_str().starts_with(fingerprint));
        match (found.pop(), found.len()) {
            (Some(alert), 0) => return Ok(alert),
            (Some(_), _) => {
                return Err(Trouble::Missing(format!("Several alerts begin with {fingerprint}.")));
            }
            (None, _) => {}
        }
    }
    Err(Trouble::Missing(format!(
        "No alert with the fingerprint {fingerprint} is kept. Alerts that ended are kept for store.retention."
    )))
}

/// The receivers that may have been sent something about a group.
fn receivers(policy: &Policy, record: &GroupRecord) -> BTreeSet<String> {
    let by_route =
        policy.routing.route.find(&record.group.route).map(|route| route.receiver.clone());
    let ids = record.log.iter().map(|(id, _)| id.integration.as_str());
    let by_log = ids.filter_map(|id| {
        let mut of = policy.receivers.values();
        of.find(|receiver| receiver.integrations.iter().any(|one| one.id == id))
    });
    by_route.into_iter().chain(by_log.map(|receiver| receiver.name.clone())).collect()
}

fn is_about(delivery: &Delivery, fingerprint: &Fingerprint) -> bool {
    delivery
        .message
        .as_ref()
        .is_none_or(|message| message.alerts.iter().any(|alert| alert.fingerprint == *fingerprint))
}

fn view(
    situation: &Situation,
    alert: &Alert,
    records: &[GroupRecord],
    (journal, deliveries): (&[JournalEntry], &[Delivery]),
    story_cut: bool,
) -> View {
    let snapshot = alert.event.full();
    let event = |name: &str| snapshot.get(name).and_then(|it| it.as_str()).map(encoded);
    let event_path = event("account").zip(event("id"));
    let has_value = engine::reach(&situation.policy, &alert.rule).is_some();
    View {
        name: label(&alert.labels, "alertname").to_owned(),
        fingerprint: alert.fingerprint.to_string(),
        headline: headline(alert),
        description: label(&alert.annotations, "description").to_owned(),
        band: band(situation, alert),
        firing: alert.is_firing(),
        silence_path: alerts::silence_path(&alert.labels),
        rule_path: format!("/rules/{}", encoded_path(&alert.rule)),
        rule: alert.rule.clone(),
        event_path: event_path
            .map(|(account, id)| format!("/events/{account}/{id}"))
            .unwrap_or_default(),
        value_path: if has_value {
            format!("/alerts/{}/value", alert.fingerprint)
        } else {
            String::new()
        },
        action: label(&alert.annotations, "action").lines().map(str::to_owned).collect(),
        runbook: web_address(label(&alert.annotations, "runbook")),
        labels: alert.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        groups: records.iter().map(|record| in_group(situation, alert, record)).collect(),
        story: alert_story::story(situation, alert, journal, deliveries),
        story_cut,
    }
}

/// An address that a link may lead to; empty for anything else.
fn web_address(text: &str) -> String {
    let text = text.trim();
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    if is_web && !text.contains(char::is_whitespace) { text.to_owned() } else { String::new() }
}

fn band(situation: &Situation, alert: &Alert) -> Vec<Figure> {
    let now = situation.now;
    let mut state = if alert.is_firing() { severity(&alert.labels) } else { end(alert.state) };
    let quiet = if alert.is_firing() { situation.quiet(alert) } else { None };
    if alert.is_firing() {
        state.word = format!("{}, firing", state.word);
    }
    let more = match alert.ends_at.filter(|_| !alert.is_firing()) {
        Some(ended) => {
            let lasted = span_text(alert.starts_at, ended);
            format!("{}, after {lasted}", Stamp::at(ended, now).text())
        }
        None => format!("for {}", span_text(alert.starts_at, now)),
    };
    let mut band = vec![Figure { name: "State", state: Some(state), value: String::new(), more }];
    let of = situation.policy.rules.rule(&alert.rule);
    if let Some(value) = alert.value {
        let unit = of.map(|of| thresholds::unit(of, &alert.labels)).unwrap_or_default();
        let limits = of.map(|of| thresholds::limits(of, &unit)).unwrap_or_default();
        let words: Vec<String> = limits.into_iter().map(|limit| limit.words).collect();
        let hours = if of.is_some_and(thresholds::is_hours) { " h" } else { "" };
        let value = format!("{}{hours}", value_text(value, &unit));
        band.push(Figure { name: "Value", state: None, value, more: words.join(", ") });
    }
    if let Some(account) = alert.labels.get("account").filter(|name| !name.is_empty()) {
        let more = String::new();
        band.push(Figure { name: "Account", state: None, value: account.clone(), more });
    }
    if let Some((state, why)) = quiet {
        band.push(Figure { name: "Notified", state: Some(state), value: String::new(), more: why });
    } else if alert.is_firing() {
        let (know, all, coming) = situation.known(alert);
        let more = if coming > 0 { format!("{coming} on the way") } else { String::new() };
        let value = format!("{know} of {all} reached");
        band.push(Figure { name: "Notified", state: None, value, more });
    }
    let next = situation
        .groups_of(&alert.fingerprint)
        .filter_map(|group| situation.repeats_at(group))
        .min();
    if let Some(next) = next.filter(|next| alert.is_firing() && *next > now) {
        let value = Stamp::at(next, now).text().to_owned();
        let more = format!("in {}, if nothing changes", span_text(now, next));
        band.push(Figure { name: "Next notification", state: None, value, more });
    }
    band
}

fn in_group(situation: &Situation, alert: &Alert, record: &GroupRecord) -> InGroup {
    let GroupRecord { group, log } = record;
    let mut told: BTreeMap<(String, String), Option<&LogEntry>> = BTreeMap::new();
    for id in situation.targets(group) {
        told.insert((id.integration, id.target), None);
    }
    for (id, entry) in log {
        told.insert((id.integration.clone(), id.target.clone()), Some(entry));
    }
    let targets = told.into_iter().map(|((integration, target), entry)| {
        let open = situation.open.get(&group.key).into_iter().flatten();
        let coming =
            open.filter(|id| id.integration == integration && id.target == target).count() > 0;
        let state = match entry {
            _ if coming => State::new("", "wait", "on the way"),
            Some(entry) if entry.firing.contains_key(&alert.fingerprint) => {
                State::new("", "bell", "knows it fires")
            }
            Some(entry) if entry.resolved.contains_key(&alert.fingerprint) => {
                State::good("knows it ended")
            }
            _ if gate_died(group, &integration, &target) => {
                State::new("critical", "dead", "not reached")
            }
            _ => State::quiet("dot", "was not notified of it"),
        };
        let at = entry.and_then(|entry| entry.notified_at).map(|at| Stamp::at(at, situation.now));
        TargetRow { to: target_name(&integration, &target), state, at }
    });
    InGroup {
        name: group_name(group),
        words: group_words(situation, group),
        targets: targets.collect(),
    }
}

fn gate_died(group: &Group, integration: &str, target: &str) -> bool {
    let gate = group
        .gates
        .iter()
        .find(|gate| gate.target.integration == integration && gate.target.target == target);
    gate.is_some_and(|gate| gate.died)
}
