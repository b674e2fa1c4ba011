//! What goes wrong at the door: genuine webhooks that the clocks keep out, webhooks without a right signature, and webhooks
//! on a wrong path.
//!
//! Receives each such refusal as a count. Promises events that rules can fire for, `tollbell.clock_skew` at the first
//! and `tollbell.rejected_signatures` from [`SIGNATURES_MIN`] refusals within [`WINDOW`] on, and
//! `tollbell.misdirected_webhooks` at the first; of each one event for an
//! account in [`WINDOW`] at most, whatever strangers send and however often the process starts anew. While it goes on
//! each event tells what came since the one before. Never keeps a text that came over the network, and costs a webhook
//! that is taken nothing: a worker of its own makes the events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::Deps;
use crate::clock;
use crate::event::Event;
use crate::tasks::Tasks;

/// Time in which each trouble of an account is told once at most.
const WINDOW: Duration = Duration::from_mins(5);
/// Refusals for the clock within [`WINDOW`] that are worth an event: one loses a webhook.
const SKEWED_MIN: u64 = 1;
/// Webhooks on a wrong path within [`WINDOW`] that are worth an event: each of them is lost, or will be.
const MISDIRECTED_MIN: u64 = 1;
/// Refusals for the signature within [`WINDOW`] that are worth an event; fewer are the internet's usual noise.
const SIGNATURES_MIN: u64 = 20;

/// What was refused and is not yet told. Cheap to clone; all clones count together. Holds one entry for each account
/// that has trouble.
#[derive(Debug, Clone, Default)]
pub struct Troubles(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tallies: Mutex<BTreeMap<String, Tally>>,
    /// Told when something is to be told at once.
    ripe: Notify,
}

/// An account's refusals.
#[derive(Debug, Clone, Default, PartialEq)]
struct Tally {
    skewed: Count,
    /// Our clock minus the sender's, at the last of them.
    skew_seconds: i64,
    unsigned: Count,
    /// These by the word of their refusal.
    reasons: BTreeMap<&'static str, u64>,
    /// On a wrong path; those that a key of the account signed, or for the account `""` those that nobody's did.
    misdirected: Count,
}

/// Refusals of one kind within a window. It begins with the first, or with an event; one that began with an event waits
/// until it is over before it tells anything.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Count {
    /// When the window began; `None` while all is well.
    since: Option<Timestamp>,
    told: bool,
    seen: u64,
}

impl Count {
    /// Counts one more; says whether that begins a window, and whether it is to be told at once.
    fn add(&mut self, least: u64, now: Timestamp) -> (bool, bool) {
        let over = self.since.is_none_or(|since| clock::until(since, now) >= WINDOW);
        let begins = over && !self.told;
        if begins {
            *self = Self { since: Some(now), ..Self::default() };
        }
        self.seen = self.seen.saturating_add(1);
        (begins, !self.told && self.seen == least)
    }

    /// What is to be told now: how many, and in how many seconds; the next window begins with it. A window that is over
    /// with too little is forgotten.
    fn take(&mut self, least: u64, now: Timestamp) -> Option<(u64, u64)> {
        // A clock that was set back does not make it last longer.
        let since = self.since?.min(now);
        self.since = Some(since);
        let passed = clock::until(since, now);
        let (enough, over) = (self.seen >= least, passed >= WINDOW);
        if enough && (over || !self.told) {
            let told = (self.seen, passed.as_secs());
            *self = Self { since: Some(now), told: true, seen: 0 };
            return Some(told);
        }
        if over {
            *self = Self::default();
        }
        None
    }

    /// When there may be something to tell without a further refusal.
    fn due(&self) -> Option<Timestamp> {
        self.since.filter(|_| self.told).map(|since| clock::add(since, WINDOW))
    }
}

impl Tally {
    fn take(&mut self, account: &str, now: Timestamp) -> Vec<Event> {
        let skewed = self.skewed.take(SKEWED_MIN, now).map(|(count, window_seconds)| {
            let skew_seconds = self.skew_seconds;
            json!({"count": count, "skew_seconds": skew_seconds, "window_seconds": window_seconds})
        });
        let unsigned = self.unsigned.take(SIGNATURES_MIN, now).map(|(count, window_seconds)| {
            // The words as values: as keys they would look like something to be masked.
            let reasons = std::mem::take(&mut self.reasons).into_iter();
            let reasons: Vec<Value> =
                reasons.map(|(reason, count)| json!({"reason": reason, "count": count})).collect();
            json!({"count": count, "reasons": reasons, "window_seconds": window_seconds})
        });
        let event = |kind, payload: Option<Value>| {
            // No two windows of a run share a slot; two runs may, and then the second tells nothing new.
            let slot = now.as_second().div_euclid(WINDOW.as_secs().cast_signed());
            Some(Event::tollbell(kind, account, format!("{kind}:{slot}"), now, payload?))
        };
        let misdirected = self.misdirected.take(MISDIRECTED_MIN, now);
        let misdirected = misdirected.map(|(count, window_seconds)| {
            let kept = !account.is_empty();
            json!({"count": count, "kept": kept, "window_seconds": window_seconds})
        });
        let told = [
            event("tollbell.clock_skew", skewed),
            event("tollbell.rejected_signatures", unsigned),
            event("tollbell.misdirected_webhooks", misdirected),
        ];
        told.into_iter().flatten().collect()
    }
}

impl Troubles {
    fn tallies(&self) -> MutexGuard<'_, BTreeMap<String, Tally>> {
        self.0.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, account: &str, count: impl FnOnce(&mut Tally) -> bool) {
        let mut tallies = self.tallies();
        let ripe = match tallies.get_mut(account) {
            Some(tally) => count(tally),
            None => count(tallies.entry(account.to_owned()).or_default()),
        };
        drop(tallies);
        if ripe {
            self.0.ripe.notify_one();
        }
    }

    /// A genuine webhook was put off: our clock minus the sender's is this.
    pub(super) fn skewed(&self, account: &str, skew_seconds: i64, now: Timestamp) {
        self.count(account, |tally| {
            tally.skew_seconds = skew_seconds;
            tally.skewed.add(SKEWED_MIN, now).1
        });
    }

    /// A webhook had no right signature, for this reason.
    pub(super) fn unsigned(&self, account: &str, reason: &'static str, now: Timestamp) {
        self.count(account, |tally| {
            let (begins, ripe) = tally.unsigned.add(SIGNATURES_MIN, now);
            if begins {
                tally.reasons.clear();
            }
            let seen = tally.reasons.entry(reason).or_default();
            *seen = seen.saturating_add(1);
            ripe
        });
    }

    /// A webhook came on a wrong path. A key of this account signed it and it was kept; or, for the account `""`, no key did.
    pub(super) fn misdirected(&self, account: &str, now: Timestamp) {
        self.count(account, |tally| tally.misdirected.add(MISDIRECTED_MIN, now).1);
    }

    /// What is to be told now, and when to look again at the latest.
    fn take(&self, now: Timestamp) -> (Vec<Event>, Option<Timestamp>) {
        let mut tallies = self.tallies();
        let events = tallies.iter_mut().flat_map(|(account, tally)| tally.take(account, now));
        let events = events.collect();
        tallies.retain(|_, tally| {
            [&tally.skewed, &tally.unsigned, &tally.misdirected].iter().any(|it| it.since.is_some())
        });
        let due =
            |tally: &Tally| [tally.skewed.due(), tally.unsigned.due(), tally.misdirected.due()];
        (events, tallies.values().flat_map(due).flatten().min())
    }
}

/// Raises what is to be told, until shutdown.
pub async fn watch(deps: Deps, tasks: Tasks) {
    while !tasks.is_stopping() {
        let (events, next) = deps.troubles.take(deps.clock.now());
        for event in events {
            let (account, kind) = (event.account.clone(), event.kind.clone());
            if let Err(error) = deps.store.record(event).await {
                tracing::error!(account, kind, %error, "the event about refused webhooks cannot be stored");
            }
        }
        let next = next.unwrap_or(Timestamp::MAX);
        tokio::select! {
            () = deps.troubles.0.ripe.notified() => {}
            () = deps.clock.sleep_until(next), if next < Timestamp::MAX => {}
            () = tasks.stopping() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    /// What is told at a time: kind and payload.
    fn told(troubles: &Troubles, second: i64) -> Vec<(String, Value)> {
        let (events, _) = troubles.take(at(second));
        events.into_iter().map(|event| (event.kind, event.payload)).collect()
    }

    fn skew(count: u64, skew_seconds: i64, window_seconds: u64) -> (String, Value) {
        let payload =
            json!({"count": count, "skew_seconds": skew_seconds, "window_seconds": window_seconds});
        ("tollbell.clock_skew".to_owned(), payload)
    }

    fn refuse(troubles: &Troubles, times: u64, second: i64) {
        for _ in 0..times {
            troubles.unsigned("main", "bad_signature", at(second));
        }
    }

    #[test]
    fn the_first_skew_is_told_at_once_and_those_behind_it_together() {
        let troubles = Troubles::default();
        assert_eq!(troubles.take(at(0)), (vec![], None));
        troubles.skewed("main", 420, at(0));
        assert_eq!(told(&troubles, 0), [skew(1, 420, 0)]);
        for second in 1..=50 {
            troubles.skewed("main", 420 + second, at(second));
            assert_eq!(told(&troubles, second), []);
        }
        assert_eq!(troubles.take(at(299)), (vec![], Some(at(300))));
        assert_eq!(told(&troubles, 300), [skew(50, 470, 300)]);
        // All is well again, and nothing is kept.
        assert_eq!(troubles.take(at(600)), (vec![], None));
        assert!(troubles.tallies().is_empty());
        troubles.skewed("main", -301, at(700));
        assert_eq!(told(&troubles, 700), [skew(1, -301, 0)]);
    }

    #[test]
    fn a_few_bad_signatures_are_noise_and_many_are_told_once_in_a_window() {
        let troubles = Troubles::default();
        refuse(&troubles, 19, 0);
        assert_eq!(told(&troubles, 1), []);
        // Too few in one window, and too few in the next.
        refuse(&troubles, 19, 301);
        assert_eq!(told(&troubles, 302), []);
        troubles.unsigned("main", "missing_header", at(310));
        troubles.unsigned("other", "bad_signature", at(310));
        let reasons = json!([
            {"reason": "bad_signature", "count": 19},
            {"reason": "missing_header", "count": 1},
        ]);
        let payload = json!({"count": 20, "reasons": reasons, "window_seconds": 9});
        assert_eq!(told(&troubles, 310), [("tollbell.rejected_signatures".to_owned(), payload)]);
        // A flood: one event for each window, with all of it.
        let mut events = Vec::new();
        for second in 311..=310 + 600 {
            refuse(&troubles, 5_000, second);
            events.extend(troubles.take(at(second)).0);
        }
        let counts: Vec<u64> =
            events.iter().filter_map(|event| event.payload["count"].as_u64()).collect();
        assert_eq!(counts, [1_500_000, 1_500_000]);
        // What is left is too little to be told.
        refuse(&troubles, 19, 911);
        assert_eq!(troubles.take(at(1_210)), (vec![], None));
    }

    #[test]
    fn ids_differ_by_window_and_not_by_run() {
        let ids = |seconds: &[i64]| -> Vec<String> {
            let troubles = Troubles::default();
            let tell = |second: &i64| {
                troubles.skewed("main", 999, at(*second));
                troubles.take(at(*second)).0
            };
            seconds.iter().flat_map(tell).map(|event| event.id).collect()
        };
        let run = ids(&[7, 100, 307, 607]);
        assert_eq!(run.len(), 3);
        assert!(run[0] != run[1] && run[1] != run[2]);
        assert_eq!(ids(&[207]), run[..1]);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nothing_quiet_for_longer() {
        let troubles = Troubles::default();
        troubles.skewed("main", 3_600, at(3_600));
        assert_eq!(told(&troubles, 3_600).len(), 1);
        troubles.skewed("main", 400, at(10));
        assert_eq!(troubles.take(at(10)), (vec![], Some(at(310))));
        assert_eq!(told(&troubles, 310), [skew(1, 400, 300)]);
    }
}
