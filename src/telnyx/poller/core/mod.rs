//! What a poll means: the events it raises, what is kept, and when the next one is due.
//!
//! Receives where the poller stands, and the answer or the failure. Promises a feed for the store and the place after it;
//! the same answer at the same time gives the same ids, so a poll that is kept twice is kept once. Never asks Telnyx,
//! and never looks at a clock.

use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::balance::{Amounts, AutoRecharge};
use super::super::forecast::{Forecast, Window};
use super::super::{ApiError, ApiSettings};
use crate::clock;
use crate::event::{Event, Source};
use crate::store::{self, Feed, Reading};

/// Name of the poller's place in the store.
pub(super) const CHECKPOINT: &str = "balance";
/// Failures in a row from which on the account counts as unreachable.
pub(super) const UNREACHABLE_FROM: u32 = 3;
/// Longest wait that Telnyx may ask for before the account counts as unreachable, unless the interval is longer: one answer
/// must not blind us before anybody was told.
const ASKED_MAX: Duration = Duration::from_mins(1);
/// Longest wait after failures, whatever Telnyx asks for, unless the interval is longer.
const BACKOFF_MAX: Duration = Duration::from_mins(10);
/// How far a wait may be from what it is on average, as a part of it.
const JITTER: f64 = 0.1;
/// A rise of the balance by less, in its currency, is a correction or a credit and no payment.
const TOP_UP_MIN: Decimal = Decimal::ONE;
/// How long an answer on automatic recharge is good for.
const RECHARGE_EVERY: Duration = Duration::from_hours(24);
/// When it is asked again after it could not be read.
const RECHARGE_AGAIN: Duration = Duration::from_hours(1);

/// Where the poller goes on from; kept as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Checkpoint {
    /// Failures in a row.
    pub(super) failures: u32,
    /// When the first of them was.
    pub(super) since: Option<Timestamp>,
    /// The last balance.
    pub(super) last: Option<Seen>,
    /// Readings until this time are not to be forecast from: the clock stepped back then.
    pub(super) readings_from: Option<Timestamp>,
    /// What was last heard of automatic recharge.
    pub(super) recharge: Option<Recharge>,
}

/// A balance that was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) balance: Decimal,
    pub(super) currency: Option<String>,
}

/// What was heard of automatic recharge, and when it was asked for; `None` when it could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Recharge {
    pub(super) at: Timestamp,
    pub(super) answer: Option<AutoRecharge>,
}

/// A balance was read: what goes into the store; its place is the next one's. `now` is to the microsecond.
pub(super) fn read(
    settings: &ApiSettings,
    place: &Checkpoint,
    window: &mut Window,
    balance: Amounts,
    now: Timestamp,
) -> (Reading, Vec<Event>, Checkpoint) {
    let mut reading = Reading {
        account: settings.account.clone(),
        at: now,
        currency: balance.currency.or_else(|| settings.currency.clone()),
        balance: balance.balance,
        available_credit: balance.available_credit,
        credit_limit: balance.credit_limit,
        pending: balance.pending,
        burn_per_hour: None,
        hours_left: None,
    };
    let mut next = Checkpoint { failures: 0, since: None, ..place.clone() };
    if window.take(&reading) {
        // What is kept from before the step lies among what is read from now on.
        next.readings_from = place.last.as_ref().map(|last| last.at).max(next.readings_from);
    }
    let forecast = window.forecast(reading.left(), now);
    reading.burn_per_hour = forecast.burn_per_hour;
    reading.hours_left = forecast.hours_left;
    if let Some(balance) = reading.balance {
        next.last = Some(Seen { at: now, balance, currency: reading.currency.clone() });
    }
    let mut events = Vec::new();
    events.extend(reachable(settings, place, &reading));
    events.push(told(place, &reading, forecast));
    events.extend(topped_up(place, &reading));
    (reading, events, next)
}

/// The balance could not be read.
pub(super) fn failed(
    settings: &ApiSettings,
    place: &Checkpoint,
    error: &ApiError,
    now: Timestamp,
) -> (Option<Event>, Checkpoint) {
    let failures = place.failures.saturating_add(1);
    let since = place.since.unwrap_or(now);
    let next = Checkpoint { failures, since: Some(since), ..place.clone() };
    let event = (failures >= UNREACHABLE_FROM).then(|| {
        let item = error.item();
        let payload = json!({
            "failures": failures,
            "since": since.to_string(),
            "reason": error.reason(),
            "status": error.status(),
            "code": item.map(|item| &item.code),
            "title": item.map(|item| &item.title),
        });
        let id = format!("account.unreachable:{}:{failures}", since.as_microsecond());
        let event = Event::tollbell("account.unreachable", &settings.account, id, now, payload);
        Event { source: Source::Poller, ..event }
    });
    (event, next)
}

/// How long to wait until the next poll: the interval, after more than three failures in a row a growing multiple of it.
/// `asked` is what Telnyx asked for: waited for as well, up to [`ASKED_MAX`], and once the account is told to be
/// unreachable up to [`BACKOFF_MAX`]. `random` is from 0 until 1.
pub(super) fn wait(
    interval: Duration,
    failures: u32,
    asked: Option<Duration>,
    random: f64,
) -> Duration {
    let doublings = failures.saturating_sub(UNREACHABLE_FROM);
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    let wait = interval.saturating_mul(factor).min(BACKOFF_MAX.max(interval));
    let wait = wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0));
    let asked_max = if failures < UNREACHABLE_FROM { ASKED_MAX } else { BACKOFF_MAX };
    wait.max(asked.unwrap_or_default().min(asked_max))
}

/// What Telnyx asked for with its refusal.
pub(super) fn asked(error: &ApiError) -> Option<Duration> {
    match error {
        ApiError::Refused { after, .. } => *after,
        _ => None,
    }
}

/// When automatic recharge is to be asked for.
pub(super) fn recharge_due(heard: Option<&Recharge>, now: Timestamp) -> Timestamp {
    match heard {
        // A time to come was taken by a clock that has stepped back since.
        Some(heard) if heard.at <= now => {
            let wait = if heard.answer.is_some() { RECHARGE_EVERY } else { RECHARGE_AGAIN };
            clock::add(heard.at, wait)
        }
        _ => now,
    }
}

/// What goes into the store as one.
pub(super) fn feed(
    settings: &ApiSettings,
    events: Vec<Event>,
    reading: Option<Reading>,
    place: &Checkpoint,
) -> Feed {
    let value = serde_json::to_vec(place).expect("times, text and decimals are JSON");
    let checkpoint =
        store::Checkpoint { account: settings.account.clone(), source: CHECKPOINT, value };
    Feed { events, reading, checkpoint: Some(checkpoint) }
}

fn event(kind: &str, reading: &Reading, id: String, payload: Value) -> Event {
    let event = Event::tollbell(kind, &reading.account, id, reading.at, payload);
    Event { source: Source::Poller, currency: reading.currency.clone(), ..event }
}

fn told(place: &Checkpoint, reading: &Reading, forecast: Forecast) -> Event {
    let payload = json!({
        "balance": text(reading.balance),
        "available_credit": text(reading.available_credit),
        "credit_limit": text(reading.credit_limit),
        "pending": text(reading.pending),
        "currency": reading.currency,
        "burn_per_hour": text(forecast.burn_per_hour),
        "hours_left": text(forecast.hours_left),
        "readings": forecast.readings,
        "auto_recharge": place.recharge.as_ref().and_then(|heard| heard.answer.as_ref()),
    });
    let id = format!("account.balance:{}", reading.at.as_microsecond());
    event("account.balance", reading, id, payload)
}

fn reachable(settings: &ApiSettings, place: &Checkpoint, reading: &Reading) -> Option<Event> {
    let since = place.since.filter(|_| place.failures >= UNREACHABLE_FROM)?;
    let payload = json!({
        "failures": place.failures,
        "since": since.to_string(),
        "seconds": clock::until(since, reading.at).as_secs(),
    });
    let id = format!("account.reachable:{}", since.as_microsecond());
    let event = Event::tollbell("account.reachable", &settings.account, id, reading.at, payload);
    Some(Event { source: Source::Poller, ..event })
}

fn topped_up(place: &Checkpoint, reading: &Reading) -> Option<Event> {
    let before = place.last.as_ref().filter(|last| last.currency == reading.currency)?;
    let after = reading.balance?;
    let amount = after.checked_sub(before.balance).filter(|rise| *rise >= TOP_UP_MIN)?;
    let payload = json!({
        "amount": amount.to_string(),
        "balance_before": before.balance.to_string(),
        "balance": after.to_string(),
        "available_credit": text(reading.available_credit),
        "currency": reading.currency,
    });
    let id = format!("account.topped_up:{}", before.at.as_microsecond());
    Some(event("account.topped_up", reading, id, payload))
}

fn text(amount: Option<Decimal>) -> Option<String> {
    amount.map(|amount| amount.to_string())
}

#[cfg(test)]
mod tests;
