//! Whether all is well, as the API answers it and `tollbell status` prints it.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deps::{AccountInForce, Deps, InForce};
use super::health::{Health, Reached, ReceiverHealth, Verdict};
use crate::clock;
use crate::event::Source;
use crate::notify::Receiver;
use crate::store::{
    DeliveryState, EventFilter, Place, Reading, ReceiverPause, Stats, Store, StoreError,
};

/// Events of an account among which its last webhook is looked for.
const EVENTS_MAX: usize = 200;
/// Events that wait longer than this are a trouble.
const LAG_MAX: Duration = Duration::from_secs(30);
/// A balance counts as old after so many intervals without a reading.
const INTERVALS_MAX: u32 = 5;

/// Whether all is well, line by line.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Checks {
    /// Whether all of it is.
    pub ok: bool,
    /// What was looked at.
    pub lines: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Whether it is as it should be.
    pub ok: bool,
    /// What it is about.
    pub what: String,
    /// How it is, in words.
    pub is: String,
}

impl Check {
    /// One.
    pub fn new(ok: bool, what: impl Into<String>, is: impl Into<String>) -> Self {
        Self { ok, what: what.into(), is: is.into() }
    }
}

impl Checks {
    /// All of them.
    pub fn new(lines: Vec<Check>) -> Self {
        Self { ok: lines.iter().all(|line| line.ok), lines }
    }

    /// Those of the service itself, which answers: so it is ready.
    pub(super) async fn of(deps: &Deps) -> Result<Self, StoreError> {
        let (in_force, now) = (deps.in_force.load_full(), deps.clock.now());
        let InForce { accounts, place, listen, since, policy, .. } = &*in_force;
        let same = deps.last_reload.load().as_ref().is_none_or(|last| last.ok);
        let mut lines = vec![ready(*listen), configuration(same, *since, now)];
        lines.extend(accounts.iter().map(account));
        let receivers =
            in_force.receivers.iter().filter_map(|name| policy.receivers.get(name)).collect();
        lines.extend(stored(&deps.store, place, accounts, receivers, now).await?);
        Ok(Self::new(lines))
    }
}

/// That tollbell is ready.
pub fn ready(listen: SocketAddr) -> Check {
    Check::new(true, "tollbell", format!("is ready; webhooks come to {listen}"))
}

/// When the configuration in force was loaded, and whether it is the one on disk.
pub fn configuration(same: bool, since: Timestamp, now: Timestamp) -> Check {
    let loaded = from_now(since, now);
    let is = if same {
        format!("the one in force was loaded {loaded}")
    } else {
        format!(
            "the last reload was refused (see `tollbell check`); the one in force was loaded {loaded}"
        )
    };
    Check::new(same, "configuration", is)
}

/// What is configured of an account.
pub fn account(account: &AccountInForce) -> Check {
    let keys = match account.public_keys {
        // Where it is not set here, it is set where tollbell runs.
        0 => "its public key is not set here".to_owned(),
        keys => count(keys as u64, "public key", "public keys"),
    };
    let api = if account.poll_interval.is_some() {
        "an API key"
    } else {
        "no API key: no balance, no back-fill"
    };
    Check::new(true, format!("account {}", account.name), format!("{keys}, {api}"))
}

/// What the store says.
pub async fn stored(
    store: &Store,
    place: &Place,
    accounts: &[AccountInForce],
    receivers: Vec<&Receiver>,
    now: Timestamp,
) -> Result<Vec<Check>, StoreError> {
    let reached = Reached::of(store, now).await?;
    let stats = reached.stats();
    let mut size = format!("{} in {place}", count(stats.events_total, "event", "events"));
    if let Some(found) = place.path().and_then(|path| path.metadata().ok()) {
        size = format!("{size} ({} MiB)", found.len() >> 20);
    }
    let mut lines = vec![Check::new(true, "store", size), lag(stats, now)];
    let readings = store.last_readings().await?;
    for account in accounts {
        lines.push(webhook(store, &account.name, now).await?);
        if let Some(interval) = account.poll_interval {
            let reading = readings.iter().find(|reading| reading.account == account.name);
            lines.push(balance(&account.name, reading, interval, now));
        }
    }
    // One without integrations is how to notify nobody of some alerts.
    let any_notifies = receivers.iter().any(|receiver| !receiver.integrations.is_empty());
    for receiver in receivers {
        let health = reached.receiver(store, receiver).await?;
        lines.push(of_receiver(&receiver.name, &health, any_notifies));
    }
    let open =
        [DeliveryState::Pending, DeliveryState::Sending].map(|state| stats.deliveries_in(state));
    let is = format!("{} firing; {} to be sent", stats.firing(), open.iter().sum::<u64>());
    lines.push(Check::new(true, "alerts", is));
    Ok(lines)
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// How long from one time to another, in whole seconds.
fn span(from: Timestamp, to: Timestamp) -> String {
    format!("{:#}", SignedDuration::from_secs(to.duration_since(from).as_secs()))
}

/// How long ago it was.
fn from_now(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(at, now))
}

fn lag(stats: &Stats, now: Timestamp) -> Check {
    let age = stats.oldest_waiting.map_or(Duration::ZERO, |oldest| clock::until(oldest, now));
    let waiting = stats.inbox_lag_events;
    let is = if waiting == 0 {
        "every event is judged".to_owned()
    } else {
        let oldest = stats.oldest_waiting.map_or_else(String::new, |oldest| span(oldest, now));
        format!("{waiting} wait to be judged, the oldest for {oldest}")
    };
    Check::new(age <= LAG_MAX, "engine", is)
}

/// The last webhook of an account.
async fn webhook(store: &Store, account: &str, now: Timestamp) -> Result<Check, StoreError> {
    let filter = EventFilter {
        account: Some(account.to_owned()),
        limit: EVENTS_MAX,
        ..EventFilter::default()
    };
    let events = store.events(filter).await?;
    let last = events.iter().find(|event| event.source == Source::Webhook);
    let is = match last {
        Some(event) => format!("{} came {}", event.kind, from_now(event.received_at, now)),
        None if events.len() < EVENTS_MAX => "none has come yet".to_owned(),
        None => format!("none among the last {EVENTS_MAX} events"),
    };
    Ok(Check::new(true, format!("last webhook of {account}"), is))
}

fn balance(account: &str, reading: Option<&Reading>, interval: Duration, now: Timestamp) -> Check {
    let what = format!("balance of {account}");
    let Some(reading) = reading else {
        return Check::new(
            false,
            what,
            "was never read: look for tollbell_telnyx_api_requests_total and the log",
        );
    };
    let age = clock::until(reading.at, now);
    let amount = reading.available_credit.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
    let currency = reading.currency.as_deref().unwrap_or_default();
    let is = format!("{amount} {currency} available, read {}", from_now(reading.at, now));
    Check::new(age <= interval * INTERVALS_MAX, what, is)
}

/// Why an integration is not reached.
fn trouble(health: &Health) -> Option<String> {
    match health {
        Health::Paused(pause) => Some(format!("paused until {:.0}: {}", pause.until, pause.reason)),
        Health::Failing(reason, detail) => Some(format!("not reached: {reason}: {detail}")),
        Health::Reached | Health::Unused => None,
    }
}

fn of_receiver(name: &str, health: &ReceiverHealth, any_notifies: bool) -> Check {
    let what = format!("receiver {name}");
    if health.integrations.is_empty() {
        return Check::new(any_notifies, what, "has no integration: nobody is notified");
    }
    let mut troubles = Vec::new();
    match health.verdict() {
        Verdict::Ill(ill) => troubles.extend(trouble(ill)),
        Verdict::Paused(pause) => {
            let ReceiverPause { until, who, comment, .. } = pause;
            let waiting = health.waiting;
            troubles.push(format!(
                "paused until {until:.0} by {who}: {comment}; {waiting} wait to be sent"
            ));
        }
        Verdict::Dead(_) | Verdict::Reached | Verdict::Unused => {}
    }
    let dead = health.dead;
    troubles
        .extend((dead > 0).then(|| format!("{dead} dead: tollbell deliveries list --state dead")));
    match (troubles.is_empty(), health.waiting, health.verdict()) {
        (false, ..) => Check::new(false, what, troubles.join("; ")),
        (true, 1.., _) => Check::new(true, what, format!("{} wait to be sent", health.waiting)),
        (true, 0, Verdict::Unused) => Check::new(true, what, "was sent nothing yet"),
        (true, 0, _) => Check::new(true, what, "takes what it is owed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_too_long_and_what_is_read_too_seldom_is_a_trouble() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().expect("time");
        let before = |secs: u64| clock::sub(now, Duration::from_secs(secs));
        let waiting = |secs| Stats {
            inbox_lag_events: 3,
            oldest_waiting: Some(before(secs)),
            ..Stats::default()
        };
        assert!(
            lag(&Stats::default(), now).ok
                && lag(&waiting(5), now).ok
                && !lag(&waiting(60), now).ok
        );
        let reading = |secs| Reading {
            account: "main".to_owned(),
            at: before(secs),
            currency: Some("USD".to_owned()),
            balance: None,
            available_credit: "12.50".parse().ok(),
            credit_limit: None,
            pending: None,
            burn_per_hour: None,
            hours_left: None,
        };
        let minute = Duration::from_mins(1);
        let fresh = balance("main", Some(&reading(60)), minute, now);
        assert_eq!(fresh, Check::new(true, "balance of main", "12.50 USD available, read 1m ago"));
        assert!(
            !balance("main", Some(&reading(600)), minute, now).ok
                && !balance("main", None, minute, now).ok
        );
    }
}
