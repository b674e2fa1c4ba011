//! How the value of an alert went, with the thresholds of its rule.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::balances::{ChartView, id_of};
use super::thresholds;
use super::visit::{Trouble, Visit};
use super::words::{Stamp, label, span_text};
use crate::alerts::Alert;
use crate::api::aside;
use crate::chart::{Line, Point, Span};
use crate::clock;
use crate::engine::{self, Policy};
use crate::event;
use crate::rules::{self, CallContext, CallKey};
use crate::store::{Delivery, DeliveryState, StoredEvent};

/// Events that a chart is made of at most.
const EVENTS_MAX: usize = 5_000;
/// How much time a chart shows at least and at most, and how much of it before the alert.
const SHOWN_MIN: Duration = Duration::from_hours(1);
const SHOWN_MAX: Duration = Duration::from_hours(24);
/// Times between events at which a chart looks at the value.
const TICKS: u32 = 120;

/// What a chart is made of.
struct Asked {
    policy: Arc<Policy>,
    alert: Alert,
    events: Vec<StoredEvent>,
    calls: BTreeMap<CallKey, CallContext>,
    /// When the alert's deliveries were taken.
    notified: Vec<Timestamp>,
    /// What is shown, and when the alert ended within it.
    from: Timestamp,
    to: Timestamp,
    end: Timestamp,
    now: Timestamp,
}

/// How the value went, made anew from the stored events.
pub(super) async fn chart(
    visit: &Visit,
    policy: &Arc<Policy>,
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
    let keys =
        events.iter().flat_map(|stored: &StoredEvent| rules::call_keys(&stored.event)).collect();
    let calls = visit.store().known(Vec::new(), keys).await?.calls.into_iter().collect();
    let notified = deliveries.iter().filter(|one| one.state == DeliveryState::Delivered);
    let notified = notified.filter_map(|one| one.finished_at).collect();
    let (policy, alert) = (Arc::clone(policy), alert.clone());
    let asked = Asked { policy, alert, events, calls, notified, from, to, end, now };
    Ok(aside(move || asked.drawn()).await?)
}

impl Asked {
    fn drawn(self) -> Option<(ChartView, String)> {
        let Self { policy, alert, events, calls, notified, from, to, end, now } = self;
        let of = policy.rules.rule(&alert.rule)?;
        let asked = (alert.rule.as_str(), &alert.labels);
        let samples = engine::history(&policy, asked, &events, &calls, [from, to], TICKS);
        let points: Vec<Point> = samples
            .iter()
            .filter_map(|sample| Some(Point { at: sample.at, value: sample.value? }))
            .collect();
        if points.len() < 2 {
            return None;
        }
        let unit = thresholds::unit(of, &alert.labels);
        let shown_unit = if thresholds::is_hours(of) { "h".to_owned() } else { unit.clone() };
        let limits = thresholds::limits(of, &unit);
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
            notified,
        };
        let mut words =
            format!("{}, UTC; made from the stored events by today's rule", span_text(from, to));
        if events.len() >= EVENTS_MAX {
            words.push_str("; the first of them are left out, since there are too many");
        }
        Some((line.draw().into(), words))
    }
}
