//! How each account's balance went, and how long it lasts.

use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;

use super::html::Markup;
use super::thresholds;
use super::words::{Stamp, span_text};
use crate::chart::{Drawn, Forecast, Limit, Line, Mark, Point, amount_text, hours_text};
use crate::clock;
use crate::engine::Policy;
use crate::store::Reading;
use crate::telnyx::forecast::Paces;

/// How far back a balance is shown, and how far ahead.
pub(super) const BACK: Duration = Duration::from_hours(7 * 24);
const AHEAD: Duration = Duration::from_hours(24);
/// One value in so much time is drawn.
pub(super) const STEP: Duration = Duration::from_mins(15);
/// A balance that was read longer ago is told to be old.
const STALE: Duration = Duration::from_mins(10);
/// Between readings that are further apart nothing is drawn.
const GAP: Duration = Duration::from_hours(2);
/// A rise by this part of the most that was there is a payment worth a mark.
const PAYMENT_PART: Decimal = Decimal::from_parts(5, 0, 0, false, 2);

/// A chart with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ChartView {
    svg: Markup,
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl From<Drawn> for ChartView {
    fn from(Drawn { svg, headings, rows }: Drawn) -> Self {
        Self { svg: Markup(svg), headings, rows }
    }
}

/// One account of the overview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct AccountView {
    pub(super) name: String,
    balance: String,
    currency: String,
    lasts: String,
    empty_at: Option<Stamp>,
    facts: Vec<(String, String)>,
    read: Option<Stamp>,
    warning: String,
    chart: Option<ChartView>,
    no_chart: &'static str,
    /// In one sentence, for the head of the page.
    #[serde(skip)]
    pub(super) sentence: Option<String>,
}

/// The view of an account by its readings, oldest first.
pub(super) fn account(
    name: &str,
    readings: &[Reading],
    last: Option<&Reading>,
    policy: &Policy,
    now: Timestamp,
) -> AccountView {
    let Some(last) = last else { return unknown(name) };
    let currency = last.currency.clone().unwrap_or_default();
    let amount = |amount: Decimal| amount_text(amount, &currency);
    let left_now = last.left();
    let paces = Paces::of(readings, last);
    let (lasts, empty_at) = how_long(last, &paces, now);
    let mut facts = Vec::new();
    if let Some(burn) = last.burn_per_hour {
        facts.push(("Pace".to_owned(), format!("{} an hour", amount(burn))));
    }
    if let Some(day) = paces.day {
        facts.push(("Last 24 hours".to_owned(), format!("{} an hour", amount(day))));
    }
    if let Some(balance) = last.balance.filter(|balance| Some(*balance) != left_now) {
        facts.push(("Balance".to_owned(), amount(balance)));
    }
    if let Some(limit) = last.credit_limit {
        facts.push(("Credit limit".to_owned(), amount(limit)));
    }
    if let Some(pending) = last.pending.filter(|pending| !pending.is_zero()) {
        facts.push(("Not booked yet".to_owned(), amount(pending)));
    }
    let stale =
        now.duration_since(last.at) > jiff::SignedDuration::try_from(STALE).unwrap_or_default();
    let warning = if stale {
        format!("Read {} ago: what is there now is not known.", span_text(last.at, now))
    } else {
        String::new()
    };
    let sentence = last.hours_left.map(|hours| format!("{name} lasts {}", hours_text(hours)));
    AccountView {
        name: name.to_owned(),
        balance: left_now.map_or_else(|| "not known".to_owned(), |left| amount_text(left, "")),
        chart: Some(chart(name, readings, last, &paces, policy, now).draw().into()),
        currency,
        lasts,
        empty_at,
        facts,
        read: Some(Stamp::ago(last.at, now)),
        warning,
        no_chart: "",
        sentence,
    }
}

fn unknown(name: &str) -> AccountView {
    AccountView {
        name: name.to_owned(),
        balance: "not known".to_owned(),
        currency: String::new(),
        lasts: String::new(),
        empty_at: None,
        facts: Vec::new(),
        read: None,
        warning: String::new(),
        chart: None,
        no_chart: "The balance was never read. It is read from Telnyx for an account with an api_key.",
        sentence: None,
    }
}

fn how_long(last: &Reading, paces: &Paces, now: Timestamp) -> (String, Option<Stamp>) {
    let Some(hours) = last.hours_left else {
        return ("Not known yet: there are too few readings".to_owned(), None);
    };
    let told = hours_text(hours);
    let between = paces.hours(last).and_then(|[least, most]| {
        let (least, most) = (hours_text(least), hours_text(most));
        (least != most).then(|| format!(", {}", between_text(&least, &most)))
    });
    let lasts = format!("{told} left at this pace{}", between.unwrap_or_default());
    let far = hours >= Decimal::from(8_760);
    let seconds = (hours * Decimal::from(3_600)).round();
    let empty = u64::try_from(seconds).ok().map(|it| clock::add(last.at, Duration::from_secs(it)));
    (lasts, empty.filter(|_| !far).map(|at| Stamp::at(at, now)))
}

/// `between 17 and 34 days`, `between 20 h and 6 days`.
fn between_text(least: &str, most: &str) -> String {
    match (least.split_once(' '), most.split_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other => {
            format!("between {number} and {most}")
        }
        _ => format!("between {least} and {most}"),
    }
}

fn chart(
    name: &str,
    readings: &[Reading],
    last: &Reading,
    paces: &Paces,
    policy: &Policy,
    now: Timestamp,
) -> Line {
    let unit = last.currency.clone().unwrap_or_default();
    let points: Vec<Point> = readings
        .iter()
        .filter_map(|reading| Some(Point { at: reading.at, value: reading.left()? }))
        .collect();
    let marks = payments(&points, &unit);
    let limits = limits(policy, &unit);
    let forecast = last.burn_per_hour.zip(paces.slowest.zip(paces.fastest)).map(
        |(per_hour, (slowest, fastest))| {
            let (lasts, empty_at) = how_long(last, paces, now);
            let mut words: Vec<String> = vec![
                last.hours_left
                    .map_or_else(String::new, |hours| format!("{} left", hours_text(hours))),
            ];
            if let Some((_, between)) = lasts.split_once(", ") {
                words.push(between.to_owned());
            }
            if let Some(empty) = empty_at {
                words.push(format!("empty {}", empty.text()));
            }
            Forecast { per_hour, between: [slowest, fastest], words }
        },
    );
    let story = story(&points, last, &limits, &marks, forecast.as_ref(), &unit);
    Line {
        id: format!("balance-{}", id_of(name)),
        title: format!("{name}: what is left, the last 7 days and the forecast, in {unit}"),
        story,
        unit,
        from: clock::sub(now, BACK),
        to: clock::add(now, AHEAD),
        now: Some(now),
        points,
        rises_at_once: true,
        gap: Some(GAP),
        forecast,
        limits,
        marks,
        fired: Vec::new(),
        notified: Vec::new(),
    }
}

/// Letters and digits of a name, as an identity on a page.
pub(super) fn id_of(name: &str) -> String {
    let hash: u32 = name
        .bytes()
        .fold(5_381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)));
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
    format!("{plain}-{hash:x}")
}

/// Rises that somebody paid.
fn payments(points: &[Point], unit: &str) -> Vec<Mark> {
    let most = points.iter().map(|point| point.value).max().unwrap_or_default();
    let pairs = points.windows(2).filter_map(|pair| {
        let [one, next] = pair else { return None };
        let rise = next.value - one.value;
        (rise > most * PAYMENT_PART)
            .then(|| Mark { at: next.at, words: format!("+{}", amount_text(rise, unit)) })
    });
    pairs.collect()
}

/// Where rules over what is left fire.
fn limits(policy: &Policy, unit: &str) -> Vec<Limit> {
    let about =
        |value: &str| matches!(value.trim(), "payload.available_credit" | "payload.balance");
    let rules = policy.rules.naming("account.balance").into_iter().map(|(of, ..)| of);
    let rules = rules.filter(|of| of.written().value.is_some_and(about));
    let of_account = rules.filter(|of| of.written().when.is_none());
    let mut limits: Vec<Limit> = of_account
        .flat_map(|of| {
            let name = of.name().rsplit('/').next().unwrap_or_default().to_owned();
            let own = thresholds::limits(of, unit).into_iter().filter(|limit| limit.fires);
            own.map(move |limit| Limit { words: format!("{name} {}", limit.words), ..limit })
        })
        .collect();
    limits.truncate(3);
    limits
}

fn story(
    points: &[Point],
    last: &Reading,
    limits: &[Limit],
    marks: &[Mark],
    forecast: Option<&Forecast>,
    unit: &str,
) -> String {
    let mut story: Vec<String> = Vec::new();
    if let (Some(first), Some(now)) = (points.first(), last.left()) {
        let (then, now) = (amount_text(first.value, unit), amount_text(now, unit));
        story.push(format!("From {then} to {now}."));
    }
    story.extend(marks.iter().map(|mark| format!("Topped up: {}.", mark.words)));
    if let Some(forecast) = forecast {
        story.push(format!("Forecast: {}.", forecast.words.join(", ")));
    }
    story.extend(limits.iter().map(|limit| format!("{}.", limit.words)));
    story.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: &str, left: &str) -> Reading {
        Reading {
            account: "prod".to_owned(),
            at: format!("2026-11-30T{at}Z").parse().expect(at),
            currency: Some("USD".to_owned()),
            balance: left.parse().ok(),
            available_credit: left.parse().ok(),
            credit_limit: Some(Decimal::ZERO),
            pending: None,
            burn_per_hour: "10".parse().ok(),
            hours_left: "5".parse().ok(),
        }
    }

    #[test]
    fn what_is_not_known_is_said_and_is_no_zero() {
        let now = "2026-11-30T12:00:00Z".parse().expect("time");
        let view = account("prod", &[], None, &empty(), now);
        assert_eq!((view.balance.as_str(), view.chart.is_none()), ("not known", true));
        let mut last = reading("11:59:00", "50");
        (last.balance, last.available_credit, last.hours_left) = (None, None, None);
        let view = account("prod", &[], Some(&last), &empty(), now);
        assert_eq!(view.balance, "not known");
        assert!(view.lasts.contains("Not known yet"), "{}", view.lasts);
    }

    #[test]
    fn an_old_reading_is_said_to_be_old() {
        let now = "2026-11-30T12:00:00Z".parse().expect("time");
        let view = account("prod", &[], Some(&reading("11:30:00", "50")), &empty(), now);
        assert_eq!(view.warning, "Read 30 min ago: what is there now is not known.");
        assert_eq!(view.sentence.as_deref(), Some("prod lasts 5 h"));
    }

    fn empty() -> Policy {
        Policy {
            rules: crate::rules::RuleSet::default(),
            routing: std::sync::Arc::default(),
            receivers: std::collections::BTreeMap::new(),
            config_hash: String::new(),
        }
    }
}
