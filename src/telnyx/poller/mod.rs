//! The balance, read at intervals.
//!
//! Receives an account. Promises, from its start on, a reading in each interval, give or take a tenth, as an
//! `account.balance` event; failures from the third in a row on as `account.unreachable`, and their end; a payment as
//! `account.topped_up`. What a poll brings is committed as one with the place to go on from, and only then goes on from
//! there. Automatic recharge is asked for beside the readings, so it delays none. Never changes anything at Telnyx.
//!
//! Only one process polls, since only one holds the store. Were there two, each would add true readings; what happens
//! once, such as a payment, has its id from the reading before it, and would be kept once.

mod core;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use self::core::{Checkpoint, Recharge};
use super::balance::{self, AutoRecharge};
use super::forecast::{SPAN, WINDOW_MAX, Window};
use super::{ApiError, ApiSettings, Client, Deps, Endpoint, Means};
use crate::clock;
use crate::store::{Feed, StoreError};
use crate::tasks::Tasks;

/// Bound on one attempt; a call makes a few. Shorter than elsewhere, so that a Telnyx that hangs is noticed in minutes.
const PATIENCE: Duration = Duration::from_secs(10);
/// First wait after the store failed; it doubles with each further failure.
const STORE_WAIT: Duration = Duration::from_secs(1);
/// Longest of these waits.
const STORE_WAIT_MAX: Duration = Duration::from_secs(30);

pub(super) async fn run((deps, settings, client): Means, tasks: Tasks) {
    let poller = Poller { deps, settings, client: client.patience(PATIENCE) };
    tokio::select! {
        () = tasks.stopping() => {}
        never = poller.work() => match never {},
    }
}

struct Poller {
    deps: Deps,
    settings: Arc<ApiSettings>,
    client: Client,
}

/// What was heard of automatic recharge: one loop writes it, the other tells it with each reading.
type Heard = Mutex<Option<Recharge>>;

impl Poller {
    async fn work(&self) -> Infallible {
        let (place, window) = self.resume().await;
        let heard = Mutex::new(place.recharge.clone());
        tokio::select! {
            never = self.read_on(place, window, &heard) => never,
            never = self.recharge(&heard) => never,
        }
    }

    /// Where to go on from, once the store says it.
    async fn resume(&self) -> (Checkpoint, Window) {
        let mut wait = STORE_WAIT;
        loop {
            match self.kept().await {
                Ok(kept) => return kept,
                Err(error) => {
                    let account = &self.settings.account;
                    tracing::error!(account, %error, "the last readings of the balance cannot be read; trying again");
                }
            }
            self.sleep(wait).await;
            wait = (wait * 2).min(STORE_WAIT_MAX);
        }
    }

    async fn kept(&self) -> Result<(Checkpoint, Window), StoreError> {
        let (account, store) = (&self.settings.account, &self.deps.store);
        let last = store.last_readings().await?;
        if let Some(last) = last.iter().find(|last| last.account == *account) {
            self.deps.metrics.set_balance(last);
        }
        let place = match store.place(account, core::CHECKPOINT).await? {
            None => Checkpoint::default(),
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(account, %error, "the balance poller's checkpoint cannot be read; starting afresh");
                Checkpoint::default()
            }),
        };
        let now = self.now();
        let since = clock::sub(now, SPAN).max(place.readings_from.unwrap_or(Timestamp::MIN));
        let mut window = Window::default();
        for reading in store.readings(account, since, None, WINDOW_MAX).await? {
            if reading.at <= now && Some(reading.at) != place.readings_from {
                window.take(&reading);
            }
        }
        Ok((place, window))
    }

    async fn read_on(
        &self,
        mut place: Checkpoint,
        mut window: Window,
        heard: &Heard,
    ) -> Infallible {
        let settings = &*self.settings;
        // Said once in a row of failures.
        let mut refusal_said = false;
        loop {
            let answer = self.client.get(&Endpoint::BALANCE, &[]).await;
            let now = self.now();
            place.recharge.clone_from(&lock(heard));
            let (feed, next, asked) = match answer.and_then(|answer| balance::balance(&answer)) {
                Ok(balance) => {
                    refusal_said = false;
                    if place.failures > 0 {
                        let failures = place.failures;
                        tracing::info!(
                            account = settings.account,
                            failures,
                            "the balance can be read again"
                        );
                    }
                    let (reading, events, next) =
                        core::read(settings, &place, &mut window, balance, now);
                    self.deps.metrics.set_balance(&reading);
                    (core::feed(settings, events, Some(reading), &next), next, None)
                }
                Err(error) => {
                    let (event, next) = core::failed(settings, &place, &error, now);
                    self.log(&error, next.failures, &mut refusal_said);
                    let events = event.into_iter().collect();
                    (core::feed(settings, events, None, &next), next, core::asked(&error))
                }
            };
            let interval = settings.poll_interval;
            let wait = core::wait(interval, next.failures, asked, fastrand::f64());
            let due = clock::add(now, wait);
            if self.keep(feed, due).await {
                place = next;
            }
            self.deps.clock.sleep_until(due).await;
        }
    }

    fn log(&self, error: &ApiError, failures: u32, refusal_said: &mut bool) {
        let account = &self.settings.account;
        tracing::warn!(account, %error, failures, "the balance cannot be read");
        if error.reason() == "auth" && !*refusal_said {
            *refusal_said = true;
            tracing::error!(
                account,
                "Telnyx refuses the API key: is it still valid, and may it read billing?"
            );
        }
    }

    /// Commits what a poll brought; false when the store could not take it until the next poll is due.
    async fn keep(&self, feed: Feed, due: Timestamp) -> bool {
        let account = &self.settings.account;
        let mut wait = STORE_WAIT;
        loop {
            let Err(error) = self.deps.store.feed(feed.clone()).await else { return true };
            if clock::add(self.now(), wait) >= due {
                tracing::error!(account, %error, "a reading of the balance could not be stored and is lost; the next one is due");
                return false;
            }
            tracing::error!(account, %error, "a reading of the balance cannot be stored; trying again");
            self.sleep(wait).await;
            wait = (wait * 2).min(STORE_WAIT_MAX);
        }
    }

    async fn recharge(&self, heard: &Heard) -> Infallible {
        loop {
            let due = core::recharge_due(lock(heard).as_ref(), self.now());
            self.deps.clock.sleep_until(due).await;
            let at = self.now();
            let answer = self.auto_recharge().await;
            let known = lock(heard).as_ref().is_none_or(|heard| heard.answer.is_some());
            let account = &self.settings.account;
            let answer = match answer {
                Ok(answer) => Some(answer),
                // Said once in a row of failures.
                Err(error) if known => {
                    tracing::warn!(account, %error, "whether Telnyx recharges by itself cannot be read");
                    None
                }
                Err(_) => None,
            };
            *lock(heard) = Some(Recharge { at, answer });
        }
    }

    /// By one path, or by the other where that is not there: Telnyx's pages name both.
    async fn auto_recharge(&self) -> Result<AutoRecharge, ApiError> {
        let found: Result<Value, ApiError> =
            match self.client.get(&Endpoint::AUTO_RECHARGE, &[]).await {
                Err(error) if error.status() == Some(404) => {
                    self.client.get(&Endpoint::AUTO_RECHARGE_PLURAL, &[]).await
                }
                found => found,
            };
        balance::auto_recharge(&found?)
    }

    /// The time, as precise as the store keeps it.
    fn now(&self) -> Timestamp {
        let now = self.deps.clock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    async fn sleep(&self, wait: Duration) {
        self.deps.clock.sleep_until(clock::add(self.now(), wait)).await;
    }
}

fn lock(heard: &Heard) -> std::sync::MutexGuard<'_, Option<Recharge>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
