//! Dead man's switches: somebody outside hears at intervals that tollbell works, and notifies when that stops.
//!
//! Receives an address, an interval and what must be fresh. Promises one GET each interval, on a steady grid from the
//! start on, while the store commits, the engine has caught up and each balance that is read was read lately; and none
//! while one of these is not so. A look that ends otherwise is followed by another soon, so that a heartbeat of a day is
//! not lost to a second. Never tells anybody why it is withheld but the log, never names the address there, follows no
//! redirect. Whether receivers are reached does not count: those who are down are rung for by a fallback, and what is
//! outside could not tell one cause from the other.

use std::collections::BTreeMap;
use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, Url};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use crate::address;
use crate::clock::{self, Clock, until};
use crate::http::{self, Proxy, Via};
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;

/// Bound on one request; shorter where the interval is.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the store may take to tell how it stands; shorter where the interval is.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an event may wait to be judged before the engine counts as behind.
const LAG_MAX: Duration = Duration::from_mins(1);
/// Readings of a balance that may fail in a row.
const READINGS_MISSED_MAX: u32 = 3;
/// How late a reading may come beside that.
const READING_GRACE: Duration = Duration::from_mins(1);
/// After a look that sent nothing, the next one; half the interval where that is shorter.
const RETRY: Duration = Duration::from_secs(30);

/// Somebody who hears that tollbell works, and notifies when that stops.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// What is asked for.
    pub url: Secret,
    /// How often.
    pub interval: Duration,
    /// The proxy in between.
    pub proxy: Option<Proxy>,
}

/// Who is told, and what must be fresh for that.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Who is told.
    pub heartbeats: Vec<Heartbeat>,
    /// Accounts whose balance is read, and how often.
    pub readings: BTreeMap<String, Duration>,
}

/// What the workers share.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Asked whether it commits, whether the engine has caught up, and for the last readings.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// What a scrape shows.
    pub metrics: Arc<Metrics>,
}

/// Starts one worker for each heartbeat; they end with `tasks`.
pub fn start(deps: &Deps, settings: Settings, tasks: &Tasks) {
    let Settings { heartbeats, readings } = settings;
    for (index, heartbeat) in heartbeats.into_iter().enumerate() {
        let via = Via { proxy: heartbeat.proxy.clone(), ca_file: None };
        let client = match http::client(heartbeat.interval.min(REQUEST_TIMEOUT), 1, &via) {
            Ok(client) => client,
            Err(error) => {
                // Only TLS can be at fault, and then receivers have said so at load.
                tracing::error!(heartbeat = index, %error, "a heartbeat cannot be sent");
                continue;
            }
        };
        let worker = Worker {
            deps: deps.clone(),
            index,
            heartbeat,
            readings: readings.clone(),
            client,
            started: deps.clock.now(),
            last: None,
        };
        tasks.spawn("heartbeat", worker.run(tasks.clone()));
    }
}

/// What was found when it was last looked.
#[derive(Debug)]
struct Vital {
    /// Whether the store wrote, and why not.
    store: Result<(), String>,
    /// When the oldest event was taken in that is not judged yet.
    oldest_waiting: Option<Timestamp>,
    /// The accounts whose balance is read.
    balances: Vec<Balance>,
    /// Since when the worker runs.
    started: Timestamp,
}

/// How old a balance is.
#[derive(Debug, Clone)]
struct Balance {
    account: String,
    /// How often it is read.
    interval: Duration,
    /// When it was read.
    read_at: Option<Timestamp>,
}

/// Why a heartbeat is withheld.
#[derive(Debug, PartialEq)]
enum Why {
    /// The store does not commit.
    Store(String),
    /// An event waits to be judged, for so long.
    Behind(Duration),
    /// The balance of this account was not read lately.
    Stale { account: String, read_at: Option<Timestamp> },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(reason) => write!(f, "the store does not commit: {reason}"),
            Self::Behind(lag) => {
                write!(f, "an event has waited for {} s to be judged", lag.as_secs())
            }
            Self::Stale { account, read_at: Some(at) } => {
                write!(f, "the balance of account {account} was last read at {at}")
            }
            Self::Stale { account, read_at: None } => {
                write!(f, "the balance of account {account} was not read yet")
            }
        }
    }
}

/// Whether all that must work does.
fn alive(vital: &Vital, now: Timestamp) -> Result<(), Why> {
    vital.store.clone().map_err(Why::Store)?;
    if let Some(oldest) = vital.oldest_waiting {
        let lag = until(oldest, now);
        if lag > LAG_MAX {
            return Err(Why::Behind(lag));
        }
    }
    let stale = vital.balances.iter().find(|balance| {
        // An account that was never read has as long for its first reading as another for its next.
        let last = balance.read_at.unwrap_or(vital.started);
        until(last, now) > balance.interval * READINGS_MISSED_MAX + READING_GRACE
    });
    match stale {
        Some(Balance { account, read_at, .. }) => {
            Err(Why::Stale { account: account.clone(), read_at: *read_at })
        }
        None => Ok(()),
    }
}

/// When to look next: at the next point of the grid, or sooner after a look that sent nothing. Points that were
/// slept over are left out.
fn next_look(started: Timestamp, interval: Duration, sent: bool, now: Timestamp) -> Timestamp {
    let interval = interval.max(Duration::from_nanos(1));
    let into = until(started, now).as_nanos() % interval.as_nanos();
    let into = Duration::from_nanos(u64::try_from(into).unwrap_or(u64::MAX));
    let wait = interval.saturating_sub(into);
    clock::add(now, if sent { wait } else { wait.min(RETRY).min(interval / 2) })
}

/// What became of a look.
#[derive(Debug)]
enum Look {
    Sent,
    Failed(String),
    Withheld(Why),
}

impl Look {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed(_) => "failed",
            Self::Withheld(_) => "withheld",
        }
    }

    /// What is logged when it changes: the outcome and, of one withheld, what kind of reason.
    fn standing(&self) -> (&'static str, Option<Discriminant<Why>>) {
        let why = if let Self::Withheld(why) = self { Some(discriminant(why)) } else { None };
        (self.outcome(), why)
    }
}

/// One heartbeat.
struct Worker {
    deps: Deps,
    /// Its place in the configuration.
    index: usize,
    heartbeat: Heartbeat,
    readings: BTreeMap<String, Duration>,
    client: Client,
    started: Timestamp,
    /// What became of the last look.
    last: Option<Look>,
}

impl Worker {
    async fn run(mut self, tasks: Tasks) {
        let mut next = self.started;
        loop {
            let turn = async {
                self.deps.clock.sleep_until(next).await;
                self.look().await
            };
            let look = tokio::select! {
                look = turn => look,
                () = tasks.stopping() => return,
            };
            let (sent, now) = (matches!(look, Look::Sent), self.deps.clock.now());
            // Before it is counted: whoever sees the count may move the clock.
            next = next_look(self.started, self.heartbeat.interval, sent, now);
            self.tell(&look);
            self.last = Some(look);
        }
    }

    async fn look(&self) -> Look {
        let vital = self.vital().await;
        if let Err(why) = alive(&vital, self.deps.clock.now()) {
            return Look::Withheld(why);
        }
        match self.send().await {
            Ok(()) => Look::Sent,
            Err(why) => Look::Failed(why),
        }
    }

    async fn vital(&self) -> Vital {
        let store = &self.deps.store;
        let asked = async {
            store.probe().await?;
            Ok((store.stats().await?.oldest_waiting, store.last_readings().await?))
        };
        let within = self.heartbeat.interval.min(STORE_TIMEOUT);
        let asked: Result<_, String> = match timeout(within, asked).await {
            Ok(answered) => answered.map_err(|error: StoreError| error.to_string()),
            Err(_elapsed) => Err("it does not answer".to_owned()),
        };
        let (store, (oldest_waiting, readings)) = match asked {
            Ok(found) => (Ok(()), found),
            Err(reason) => (Err(reason), (None, Vec::new())),
        };
        let read_at: BTreeMap<&str, Timestamp> =
            readings.iter().map(|reading| (reading.account.as_str(), reading.at)).collect();
        let balances = self.readings.iter().map(|(account, interval)| Balance {
            account: account.clone(),
            interval: *interval,
            read_at: read_at.get(account.as_str()).copied(),
        });
        Vital { store, oldest_waiting, balances: balances.collect(), started: self.started }
    }

    /// Asks for the address. The words of a failure do not name it.
    async fn send(&self) -> Result<(), String> {
        let url = self.heartbeat.url.read();
        let url = url.map_err(|error| format!("the address cannot be read: {}", error.kind()))?;
        let url = Url::parse(url.expose_secret())
            .map_err(|_no_url| "the address is no URL".to_owned())?;
        if !url.host_str().is_some_and(address::is_host_permitted) {
            return Err(address::REASON.to_owned());
        }
        let answered = self.client.get(url).send().await;
        let status = answered.map_err(http::describe)?.status();
        if status.is_success() { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
    }

    /// Counts a look, and logs it when it is another than the one before.
    fn tell(&self, look: &Look) {
        self.deps.metrics.heartbeat(look.outcome());
        let before = self.last.as_ref().map(Look::standing);
        if before == Some(look.standing()) {
            return;
        }
        let heartbeat = self.index;
        match look {
            Look::Sent if before.is_none() => tracing::debug!(heartbeat, "heartbeat sent"),
            Look::Sent => tracing::info!(heartbeat, "heartbeats are sent again"),
            Look::Failed(reason) => {
                tracing::warn!(heartbeat, reason, "a heartbeat failed and will be retried");
            }
            Look::Withheld(why) => {
                tracing::warn!(heartbeat, %why, "heartbeats are withheld until the fault is gone");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        clock::add(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds))
    }

    fn vital() -> Vital {
        Vital { store: Ok(()), oldest_waiting: None, balances: Vec::new(), started: at(1000) }
    }

    fn balance(read_at: Option<u64>) -> Balance {
        let interval = Duration::from_mins(1);
        Balance { account: "main".to_owned(), interval, read_at: read_at.map(at) }
    }

    #[test]
    fn a_store_that_does_not_commit_withholds() {
        assert_eq!(alive(&vital(), at(9999)), Ok(()));
        let full = Vital { store: Err("full".to_owned()), ..vital() };
        assert_eq!(alive(&full, at(1000)), Err(Why::Store("full".to_owned())));
    }

    #[test]
    fn an_event_that_waits_too_long_withholds() {
        let waiting = |since| Vital { oldest_waiting: Some(at(since)), ..vital() };
        assert_eq!(alive(&waiting(2000), at(2060)), Ok(()));
        assert_eq!(alive(&waiting(2000), at(2061)), Err(Why::Behind(Duration::from_secs(61))));
        // Taken in after we looked at the clock.
        assert_eq!(alive(&waiting(2000), at(1999)), Ok(()));
    }

    #[test]
    fn a_balance_that_was_not_read_lately_withholds() {
        let read = |read_at| Vital { balances: vec![balance(read_at)], ..vital() };
        let stale = |read_at: Option<u64>| {
            Err(Why::Stale { account: "main".to_owned(), read_at: read_at.map(at) })
        };
        assert_eq!(alive(&read(Some(2000)), at(2240)), Ok(()));
        assert_eq!(alive(&read(Some(2000)), at(2241)), stale(Some(2000)));
        // A reading from before the start is as old as it is.
        assert_eq!(alive(&read(Some(0)), at(1000)), stale(Some(0)));
        // Never read: measured from the start.
        assert_eq!(alive(&read(None), at(1240)), Ok(()));
        assert_eq!(alive(&read(None), at(1241)), stale(None));
        // One of two is enough.
        let balances = vec![balance(Some(2000)), balance(Some(1000))];
        assert_eq!(alive(&Vital { balances, ..vital() }, at(2000)), stale(Some(1000)));
    }

    #[test]
    fn looks_are_on_a_grid_and_sooner_after_one_that_sent_nothing() {
        let next =
            |interval, sent, now| next_look(at(100), Duration::from_secs(interval), sent, at(now));
        assert_eq!(next(60, true, 100), at(160));
        assert_eq!(next(60, true, 107), at(160));
        assert_eq!(next(60, true, 159), at(160));
        // Slept over two of them.
        assert_eq!(next(60, true, 280), at(340));
        assert_eq!(next(60, false, 100), at(130));
        assert_eq!(next(60, false, 110), at(140));
        assert_eq!(next(60, false, 140), at(160));
        assert_eq!(next(10, false, 101), at(106));
        assert_eq!(next(86_400, false, 100), at(130));
        // A clock that was set back.
        assert_eq!(next(60, true, 50), at(110));
    }
}
