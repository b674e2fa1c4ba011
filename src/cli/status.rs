//! `tollbell status`: whether all is well, on one screen.
//!
//! Looks at the store and asks the running tollbell on its private listener; changes nothing, and needs no secret.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::args::{ConfigArg, Exit, Format, runtime};
use super::{healthcheck, output};
use crate::api::{Health, Reached, ReceiverHealth, Verdict};
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::event::Source;
use crate::store::{DeliveryState, EventFilter, Reading, Stats, Store};

/// Events of an account among which its last webhook is looked for.
const EVENTS_MAX: usize = 200;
/// Events that wait longer than this are a trouble.
const LAG_MAX: Duration = Duration::from_secs(30);
/// A balance counts as old after so many intervals without a reading.
const INTERVALS_MAX: u32 = 5;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// How it is printed
    #[arg(long, default_value = "text", value_enum)]
    format: Format,
}

/// One line of the screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    /// Whether it is as it should be.
    ok: bool,
    /// What it is about.
    what: String,
    /// How it is.
    is: String,
}

/// What `status --format json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    ok: bool,
    lines: &'a [Line],
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Some(config) = args.config.without_secrets() else { return Ok(Exit::Usage) };
    let now = Clock::system().now();
    let mut lines = running(&config, now);
    lines.extend(runtime()?.block_on(stored(&config, now))?);
    let ok = lines.iter().all(|line| line.ok);
    match args.format {
        Format::Json => output::json(&Report { ok, lines: &lines })?,
        Format::Text => {
            let mark = |line: &Line| if line.ok { "ok" } else { "!!" };
            let row = |line: &Line| vec![mark(line).to_owned(), line.what.clone(), line.is.clone()];
            output::table(&["", "WHAT", "IS"], &lines.iter().map(row).collect::<Vec<_>>());
        }
    }
    Ok(if ok { Exit::Ok } else { Exit::Failed })
}

fn line(ok: bool, what: impl Into<String>, is: impl Into<String>) -> Line {
    Line { ok, what: what.into(), is: is.into() }
}

/// How long from one time to another, in whole seconds.
fn span(from: Timestamp, to: Timestamp) -> String {
    format!("{:#}", SignedDuration::from_secs(to.duration_since(from).as_secs()))
}

/// How long ago it was.
fn from_now(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(at, now))
}

/// What the running tollbell says.
fn running(config: &Config, now: Timestamp) -> Vec<Line> {
    let address = healthcheck::reachable(config.server.private_listen);
    let mut lines = vec![match healthcheck::ask(address, "/readyz") {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => {
            line(true, "tollbell", format!("is ready; webhooks come to {}", config.server.listen))
        }
        Ok(answer) => line(false, "tollbell", format!("is not ready: {}", last_line(&answer))),
        Err(error) => line(false, "tollbell", format!("cannot be asked at {address}: {error}")),
    }];
    if lines.iter().all(|line| line.ok) {
        lines.extend(reload(address, now));
    }
    for account in &config.accounts {
        let keys = output::count(account.public_keys.len(), "public key", "public keys");
        let api = if account.api.is_some() {
            "an API key"
        } else {
            "no API key: no balance, no back-fill"
        };
        // Where it is not set here, it is set where tollbell runs.
        let keys = if account.public_keys.is_empty() {
            "its public key is not set here".to_owned()
        } else {
            keys
        };
        lines.push(line(true, format!("account {}", account.name), format!("{keys}, {api}")));
    }
    lines
}

fn last_line(answer: &str) -> &str {
    answer.lines().rfind(|line| !line.is_empty()).unwrap_or("no answer")
}

/// When the configuration in force was loaded, and whether it is the one on disk.
fn reload(address: SocketAddr, now: Timestamp) -> Option<Line> {
    let metrics = healthcheck::ask(address, "/metrics").ok()?;
    let value = |name: &str| {
        let found = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found?.trim().parse::<f64>().ok()
    };
    let same = value("tollbell_config_last_reload_successful")?.total_cmp(&1.0).is_eq();
    #[expect(clippy::cast_possible_truncation, reason = "seconds; a saturating cast")]
    let at = value("tollbell_config_last_reload_success_timestamp_seconds")? as i64;
    let loaded = from_now(Timestamp::from_second(at).ok()?, now);
    let is = if same {
        format!("the one in force was loaded {loaded}")
    } else {
        format!(
            "the last reload was refused (see `tollbell check`); the one in force was loaded {loaded}"
        )
    };
    Some(line(same, "configuration", is))
}

/// What the store says.
async fn stored(config: &Config, now: Timestamp) -> anyhow::Result<Vec<Line>> {
    let place = &config.store.place;
    if place.path().is_some_and(|path| !path.exists()) {
        let missing = format!("{place} is not there: tollbell has never run here");
        return Ok(vec![line(false, "store", missing)]);
    }
    let store = Store::attach(place).await;
    let store = store.with_context(|| format!("cannot open the store {place}"))?;
    let reached = Reached::of(&store, now).await?;
    let stats = reached.stats();
    let events = stats.events_total;
    let mut size =
        format!("{} in {place}", output::count(usize::try_from(events)?, "event", "events"));
    if let Some(found) = place.path().and_then(|path| path.metadata().ok()) {
        size = format!("{size} ({} MiB)", found.len() >> 20);
    }
    let mut lines = vec![line(true, "store", size), lag(stats, now)];
    let readings = store.last_readings().await?;
    for account in &config.accounts {
        lines.push(webhook(&store, &account.name, now).await?);
        if let Some(api) = &account.api {
            let reading = readings.iter().find(|reading| reading.account == account.name);
            lines.push(balance(&account.name, reading, api.poll_interval, now));
        }
    }
    let open =
        [DeliveryState::Pending, DeliveryState::Sending].map(|state| stats.deliveries_in(state));
    for receiver in &config.receivers {
        lines.push(of_receiver(&receiver.name, &reached.receiver(&store, receiver).await?));
    }
    let firing = stats.firing();
    lines.push(line(
        true,
        "alerts",
        format!("{firing} firing; {} to be sent", open.iter().sum::<u64>()),
    ));
    Ok(lines)
}

fn lag(stats: &Stats, now: Timestamp) -> Line {
    let age = stats.oldest_waiting.map_or(Duration::ZERO, |oldest| clock::until(oldest, now));
    let waiting = stats.inbox_lag_events;
    let is = if waiting == 0 {
        "every event is judged".to_owned()
    } else {
        let oldest = stats.oldest_waiting.map_or_else(String::new, |oldest| span(oldest, now));
        format!("{waiting} wait to be judged, the oldest for {oldest}")
    };
    line(age <= LAG_MAX, "engine", is)
}

/// The last webhook of an account.
async fn webhook(store: &Store, account: &str, now: Timestamp) -> anyhow::Result<Line> {
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
    Ok(line(true, format!("last webhook of {account}"), is))
}

fn balance(account: &str, reading: Option<&Reading>, interval: Duration, now: Timestamp) -> Line {
    let what = format!("balance of {account}");
    let Some(reading) = reading else {
        return line(
            false,
            what,
            "was never read: look for tollbell_telnyx_api_requests_total and the log",
        );
    };
    let age = clock::until(reading.at, now);
    let amount = reading.available_credit.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
    let currency = reading.currency.as_deref().unwrap_or_default();
    let is = format!("{amount} {currency} available, read {}", from_now(reading.at, now));
    line(age <= interval * INTERVALS_MAX, what, is)
}

/// Why an integration is not reached.
fn trouble(health: &Health) -> Option<String> {
    match health {
        Health::Paused(pause) => Some(format!("paused until {:.0}: {}", pause.until, pause.reason)),
        Health::Failing(reason, detail) => Some(format!("not reached: {reason}: {detail}")),
        Health::Reached | Health::Unused => None,
    }
}

fn of_receiver(name: &str, health: &ReceiverHealth) -> Line {
    let what = format!("receiver {name}");
    if health.integrations.is_empty() {
        return line(true, what, "has no integration: nobody is notified");
    }
    let mut troubles = Vec::new();
    if let Verdict::Ill(ill) = health.verdict() {
        troubles.extend(trouble(ill));
    }
    let dead = health.dead;
    troubles
        .extend((dead > 0).then(|| format!("{dead} dead: tollbell deliveries list --state dead")));
    match (troubles.is_empty(), health.waiting, health.verdict()) {
        (false, ..) => line(false, what, troubles.join("; ")),
        (true, 1.., _) => line(true, what, format!("{} wait to be sent", health.waiting)),
        (true, 0, Verdict::Unused) => line(true, what, "was sent nothing yet"),
        (true, 0, _) => line(true, what, "takes what it is owed"),
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
        assert_eq!(fresh, line(true, "balance of main", "12.50 USD available, read 1m ago"));
        assert!(
            !balance("main", Some(&reading(600)), minute, now).ok
                && !balance("main", None, minute, now).ok
        );
    }
}
