//! Whether the store works, by what its operations meet: a probe that touches nothing of what is broken says nothing.
//!
//! Each kind of operation is sick from its first failure until one of the same kind succeeds. Single events may be refused
//! while others are taken (a full disk): there the share counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::StoreError;

/// Share of the last events that could not be recorded, from which on the store is unhealthy.
const REFUSED_MAX: f64 = 0.5;
/// How much one event counts in that share.
const WEIGHT: f64 = 0.1;
/// How long a refused event counts.
const REFUSED_FOR: Duration = Duration::from_secs(2);

/// Failures in succession of the engine's operations, from which on events are refused.
const REFUSING_FAILURES: u32 = 2;

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The engine reads events.
    Reading,
    /// The engine commits what it judged.
    Judging,
    /// Deliveries that are due are read.
    Due,
    /// Deliveries are claimed.
    Claiming,
    /// Outcomes are recorded.
    Settling,
}

impl Part {
    fn words(self) -> &'static str {
        match self {
            Self::Reading => "events cannot be read",
            Self::Judging => "judged events cannot be committed",
            Self::Due => "deliveries cannot be read",
            Self::Claiming => "deliveries cannot be claimed",
            Self::Settling => "outcomes of deliveries cannot be recorded",
        }
    }

    fn works(self) -> &'static str {
        match self {
            Self::Reading => "events are read",
            Self::Judging => "judged events are committed",
            Self::Due => "deliveries are read",
            Self::Claiming => "deliveries are claimed",
            Self::Settling => "outcomes of deliveries are recorded",
        }
    }
}

/// What does not work.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sick: BTreeMap<Part, Sickness>,
    /// Share of the last events that could not be recorded.
    refused: f64,
    refused_at: Option<(Instant, String)>,
}

#[derive(Debug)]
struct Sickness {
    reason: String,
    /// How often it failed in succession.
    failures: u32,
    /// The database itself is broken: nothing that is written can be relied on.
    corrupt: bool,
}

impl Health {
    /// Takes note of how an operation went.
    pub(super) fn note<T>(&self, part: Part, result: &Result<T, StoreError>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Err(error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_))) => {
                let reason = format!("{}: {error}", part.words());
                let corrupt = matches!(error, StoreError::Corrupt(_));
                let failures =
                    state.sick.get(&part).map_or(0, |sick| sick.failures).saturating_add(1);
                if failures == 1 {
                    tracing::error!(reason, "the store is unhealthy");
                }
                state.sick.insert(part, Sickness { reason, failures, corrupt });
            }
            Ok(_) if state.sick.remove(&part).is_some() => {
                tracing::info!("the store works again: {}", part.works());
            }
            // Of these the store is not the cause.
            Ok(_) | Err(_) => {}
        }
    }

    /// Takes note of how recording an event went.
    pub(super) fn note_event<T>(&self, result: &Result<T, StoreError>, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = match result {
            Err(error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_))) => {
                state.refused_at = Some((now, error.to_string()));
                1.0
            }
            Ok(_) | Err(_) => 0.0,
        };
        state.refused += (refused - state.refused) * WEIGHT;
    }

    /// Forgets what failed of operations that this process does no more: another does them now.
    pub(super) fn forget(&self, parts: &[Part]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.sick.retain(|part, _| !parts.contains(part));
    }

    /// Why an event is not to be acknowledged although it could be written: nobody would judge it. A single failed commit is
    /// no reason: it is tried again within a second, and what was written meanwhile is judged then.
    pub(super) fn refusal(&self) -> Option<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sick = state.sick.iter();
        let lasts = |part: &Part, sick: &Sickness| {
            matches!(part, Part::Reading | Part::Judging) && sick.failures >= REFUSING_FAILURES
        };
        sick.find(|(part, sick)| sick.corrupt || lasts(part, sick))
            .map(|(_, sick)| sick.reason.clone())
    }

    /// What does not work; `None` when all does.
    pub(super) fn sickness(&self, now: Instant) -> Option<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sick) = state.sick.values().next() {
            return Some(sick.reason.clone());
        }
        let (at, reason) = state.refused_at.as_ref()?;
        let many = state.refused >= REFUSED_MAX && now.saturating_duration_since(*at) < REFUSED_FOR;
        many.then(|| format!("most events cannot be recorded: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full<T>() -> Result<T, StoreError> {
        Err(StoreError::Unavailable("disk full".to_owned()))
    }

    #[test]
    fn a_part_is_sick_until_it_succeeds() {
        let (health, now) = (Health::default(), Instant::now());
        health.note::<()>(Part::Due, &full());
        health.note(Part::Claiming, &Ok(()));
        assert!(health.sickness(now).is_some_and(|why| why.contains("deliveries cannot be read")));
        assert_eq!(health.refusal(), None, "events are judged all the same");
        health.note::<()>(Part::Judging, &full());
        assert_eq!(health.refusal(), None, "it is tried again soon");
        health.note::<()>(Part::Judging, &full());
        assert!(health.refusal().is_some_and(|why| why.contains("disk full")));
        health.note(Part::Judging, &Ok(()));
        health.note::<()>(Part::Due, &Err(StoreError::Corrupt("malformed".to_owned())));
        assert!(health.refusal().is_some_and(|why| why.contains("malformed")));
        health.note(Part::Due, &Ok(()));
        assert_eq!((health.refusal(), health.sickness(now)), (None, None));
        health.note::<()>(Part::Judging, &Err(StoreError::Stale(1)));
        assert_eq!(health.sickness(now), None, "nothing is wrong with the store");
    }

    #[test]
    fn what_another_process_does_now_is_no_sickness_of_ours() {
        let (health, now) = (Health::default(), Instant::now());
        health.note::<()>(Part::Judging, &full());
        health.note::<()>(Part::Due, &full());
        health.forget(&[Part::Reading, Part::Judging]);
        assert!(health.sickness(now).is_some_and(|why| why.contains("deliveries cannot be read")));
        health.forget(&[Part::Due]);
        assert_eq!(health.sickness(now), None);
    }

    #[test]
    fn a_share_of_refused_events_is_a_sickness_while_it_lasts() {
        let (health, now) = (Health::default(), Instant::now());
        for n in 0..100 {
            let result = if n % 20 == 0 { Ok(()) } else { full() };
            health.note_event(&result, now);
        }
        assert!(health.sickness(now).is_some_and(|why| why.contains("disk full")));
        assert_eq!(health.sickness(now + REFUSED_FOR), None, "a probe says whether it lasts");
        (0..10).for_each(|_| health.note_event(&Ok(()), now));
        assert_eq!(health.sickness(now), None);
    }
}
