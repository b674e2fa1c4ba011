//! How the value of an alert went, with the thresholds of its rule.

use std::time::Duration;

use super::balances::{ChartView, id_of};
use super::thresholds;
use super::visit::{Trouble, Visit};
use super::words::{Stamp, label, span_text};
use crate::alerts::Alert;
use crate::chart::{Line, Point, Span};
use crate::clock;
use crate::engine::{self, Policy};
use crate::event;
use crate::rules;
use crate::store::{Delivery, DeliveryState, StoredEvent};

/// Events that a chart is made of at most.
const EVENTS_MAX: usize = 5_000;
/// How much time a chart shows at least and at most, and how much of it before the alert.
const SHOWN_MIN: Duration = Duration::from_hours(1);
const SHOWN_MAX: Duration = Duration::from_hours(24);
/// Times between events at which a chart looks at the value.
const TICKS: u32 = 120;

/// How the value went, made anew from the stored events.
pub(super) async fn chart(
    visit: &Visit,
    policy: &Policy,
    alert: &Alert,
    deliveries: &[Delivery],
) -> Result<Option<(ChartView, String)>, Trouble> {
    let Some(reach) = engine::reach(policy, &alert.rule) else { return Ok(None) };
    let Some(of) = policy.rules.rule(&alert.rule) else { return Ok(None) };
    let now = visit.now();
    let end = if alert.is_firing() { now } else { alert.ends_at.unwrap_or(now).min(now) };
    let lasted = clock::until(alert.starts_at, end);
    let shown = (lasted * 3 / 2).max(SHOWN_MIN).min(SHOWN_MAX);
    let to = if alert.is_firing() { now } else { clock::add(end, shown / 8).min(now) };
    let from = clock::sub(to, shown);
    let account = label(&alert.labels, "account");
    let names =
        |kind: &&&str| policy.rules.naming(kind).iter().any(|(it, ..)| it.name() == of.name());
    let kinds: Vec<String> =
        event::known_kinds().iter().filter(names).map(|kind| (*kind).to_owned()).collect();
    let since = clock::sub(from, reach);
    let events = visit.store().events_of(account, kinds, since, EVENTS_MAX).await?;
    let cut = events.len() >= EVENTS_MAX;
    let keys =
        events.iter().flat_map(|stored: &StoredEvent| rules::call_keys(&stored.event)).collect();
    let calls = visit.store().known(Vec::new(), keys).await?.calls.into_iter().collect();
    let samples =
        engine::history(policy, (&alert.rule, &alert.labels), &events, &calls, [from, to], TICKS);
    let points: Vec<Point> = samples
        .iter()
        .filter_map(|sample| Some(Point { at: sample.at, value: sample.value? }))
        .collect();
    if points.len() < 2 {
        return Ok(None);
    }
    let unit = thresholds::unit(of, &alert.labels);
    let shown_unit = if thresholds::is_hours(of) { "h".to_owned() } else { unit.clone() };
    let limits = thresholds::limits(of, &unit);
    let notified = deliveries.iter().filter(|one| one.state == DeliveryState::Delivered);
    let words: Vec<String> = limits.iter().map(|limit| limit.words.clone()).collect();
    let name = label(&alert.labels, "alertname");
    let line = Line {
        id: format!("value-{}", id_of(name)),
        title: format!("The value of {name} over {}", span_text(from, to)),
        story: format!(
            "It {}. The alert fired from {} on.",
            words.join("; it "),
            Stamp::at(alert.starts_at, now).text()
        ),
        unit: shown_unit,
        from,
        to,
        now: Some(now).filter(|now| *now <= to),
        points,
        rises_at_once: false,
        gap: None,
        forecast: None,
        limits,
        marks: Vec::new(),
        fired: vec![Span { from: alert.starts_at.max(from), to: end }],
        notified: notified.filter_map(|one| one.finished_at).collect(),
    };
    let mut words =
        format!("{}, UTC; made from the stored events by today's rule", span_text(from, to));
    if cut {
        words.push_str("; the first of them are left out, since there are too many");
    }
    Ok(Some((line.draw().into(), words)))
}
