//! Judges the kept events in order and commits what they cause.
//!
//! The decision is [`step`], pure; this worker feeds it from the inbox, commits its changes in one transaction
//! together with the cursor, and only then lets them count. After a crash the batch is simply judged again.

mod step;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;

pub use step::{Judged, Policy, State, step};

use crate::clock::{self, Clock};
use crate::metrics::Metrics;
use crate::store::{Store, StoreError, StoredEvent, Unreadable};
use crate::tasks::Tasks;

/// Events judged in one transaction at most.
const BATCH_EVENTS_MAX: usize = 256;
/// How long the worker sleeps at most before it looks again; a signal wakes it earlier.
const POLL: Duration = Duration::from_secs(1);
/// How long the worker waits after the store refused.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What the worker needs.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Where events come from and changes go to.
    pub store: Store,
    /// The rules, routes and receivers in force.
    pub policy: Arc<ArcSwap<Policy>>,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Judges until shutdown.
pub async fn run(deps: Deps, tasks: Tasks) {
    let mut engine = Engine { deps: deps.clone(), state: None };
    let mut recorded = deps.store.recorded();
    while !tasks.is_stopping() {
        // Registered before the look, so that no event slips in between.
        recorded.borrow_and_update();
        match engine.turn().await {
            Ok(Turn::More) => {}
            Ok(Turn::Idle { until }) => {
                tokio::select! {
                    _ = recorded.changed() => {}
                    () = deps.clock.sleep_until(until) => {}
                    () = tasks.stopping() => {}
                }
            }
            Err(error) => {
                tracing::error!(%error, "judged events could not be committed; they will be judged again");
                let retry_at = clock::add(deps.clock.now(), STORE_RETRY);
                tokio::select! {
                    () = deps.clock.sleep_until(retry_at) => {}
                    () = tasks.stopping() => {}
                }
            }
        }
    }
}

/// An event of the inbox, or why it cannot be read back.
type Kept = Result<StoredEvent, Unreadable>;

/// What a turn of the worker left.
enum Turn {
    /// More events may wait.
    More,
    /// Nothing to do before this.
    Idle { until: Timestamp },
}

struct Engine {
    deps: Deps,
    /// `None` when the last batch was not committed: then it is read back from the store.
    state: Option<State>,
}

impl Engine {
    async fn state(&mut self) -> Result<&mut State, StoreError> {
        let state = if let Some(state) = self.state.take() {
            state
        } else {
            let resumed = self.deps.store.resume().await?;
            State::resume(resumed.cursor, resumed.alerts)
        };
        Ok(self.state.insert(state))
    }

    /// Judges one batch, or the timers that are due.
    async fn turn(&mut self) -> Result<Turn, StoreError> {
        let now = self.deps.clock.now();
        let state = self.state().await?;
        let (cursor, deadline) = (state.cursor(), state.next_deadline());
        let inbox = self.deps.store.inbox_after(cursor, BATCH_EVENTS_MAX).await?;
        if inbox.is_empty() && deadline.is_none_or(|deadline| deadline > now) {
            let poll = clock::add(now, POLL);
            return Ok(Turn::Idle { until: deadline.map_or(poll, |deadline| deadline.min(poll)) });
        }
        // Timers only once no event waits: one behind these could have come before them.
        self.judge(&inbox, now, inbox.is_empty()).await?;
        Ok(Turn::More)
    }

    /// Judges a batch whole; if that fails for a reason of its own, event by event, so that the one that cannot
    /// be judged is marked and the others go on.
    async fn judge(
        &mut self,
        inbox: &[Kept],
        now: Timestamp,
        timers: bool,
    ) -> Result<(), StoreError> {
        match self.attempt(inbox, now, timers).await {
            Err(Trouble::Store(error)) => return Err(error),
            Ok(()) => return Ok(()),
            Err(Trouble::Event(detail)) => {
                tracing::warn!(%detail, "a batch failed; its events are judged one by one");
            }
        }
        for one in inbox {
            match self.attempt(std::slice::from_ref(one), now, false).await {
                Ok(()) => {}
                Err(Trouble::Store(error)) => return Err(error),
                Err(Trouble::Event(detail)) => self.fault(one, &detail, now).await?,
            }
        }
        Ok(())
    }

    async fn attempt(
        &mut self,
        inbox: &[Kept],
        now: Timestamp,
        timers: bool,
    ) -> Result<(), Trouble> {
        let events = inbox
            .iter()
            .map(|one| one.as_ref().map_err(|unreadable| Trouble::Event(unreadable.detail.clone())))
            .collect::<Result<Vec<&StoredEvent>, Trouble>>()?;
        let policy = self.deps.policy.load_full();
        self.state().await.map_err(Trouble::Store)?;
        // Out of `self` until the commit: whatever goes wrong below, a state that ran ahead is gone.
        let mut state = self.state.take().unwrap_or_default();
        let judged =
            catch_unwind(AssertUnwindSafe(|| step(&mut state, &policy, &events, now, timers)))
                .map_err(|_panic| Trouble::Event("judging it panicked".to_owned()))?;
        self.commit(&judged).await?;
        self.state = Some(state);
        Ok(())
    }

    async fn commit(&mut self, judged: &Judged) -> Result<(), Trouble> {
        match self.deps.store.commit(judged.changes.clone()).await {
            Ok(_committed) => judged.report(&self.deps.metrics),
            Err(StoreError::Unstorable(detail)) => return Err(Trouble::Event(detail)),
            Err(error) => return Err(Trouble::Store(error)),
        }
        Ok(())
    }

    /// Marks an event that cannot be judged.
    async fn fault(&mut self, one: &Kept, detail: &str, now: Timestamp) -> Result<(), StoreError> {
        let seq = step::seq_of(one);
        tracing::error!(seq, %detail, "an event cannot be judged and is skipped");
        self.state = None;
        let account = one.as_ref().map_or("", |stored| stored.event.account.as_str());
        match self.commit(&step::fault(one, detail, now)).await {
            Ok(()) => self.deps.metrics.event_faulted(account),
            Err(Trouble::Event(detail)) => return Err(StoreError::Unstorable(detail)),
            Err(Trouble::Store(error)) => return Err(error),
        }
        Ok(())
    }
}

/// Why a batch was not committed.
enum Trouble {
    /// One of its events is at fault.
    Event(String),
    /// The store is; try again later.
    Store(StoreError),
}
