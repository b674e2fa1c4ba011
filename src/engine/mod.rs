//! Judges the kept events in order and commits what they cause.
//!
//! The decision is [`step`], pure; this worker feeds it from the inbox, commits its changes in one transaction
//! together with the cursor, and only then lets them count. After a crash the batch is simply judged again.

mod policy;
mod report;
mod series;
mod state;
mod step;
mod tell;
mod timers;
mod totals;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

pub use policy::Policy;
use report::Changed;
pub use report::Report;
pub use state::State;
pub use step::{Judged, step};

use crate::clock::{self, Clock};
use crate::metrics::Metrics;
use crate::rules;
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
    /// The rules, routes and receivers in force; a batch sees one state of them.
    pub policy: Arc<watch::Sender<Arc<Policy>>>,
    /// Told the [`Policy::config_hash`] after the first commit under a policy: from then on nothing is queued by the
    /// one before.
    pub fitted: Arc<watch::Sender<String>>,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Judges until shutdown.
pub async fn run(deps: Deps, tasks: Tasks) {
    let mut engine = Engine { deps: deps.clone(), state: None };
    let mut recorded = deps.store.recorded();
    let mut policy = deps.policy.subscribe();
    while !tasks.is_stopping() {
        // Registered before the look, so that nothing slips in between.
        recorded.borrow_and_update();
        policy.borrow_and_update();
        match engine.turn().await {
            Ok(Turn::More) => {}
            Ok(Turn::Idle { until }) => {
                tokio::select! {
                    _ = recorded.changed() => {}
                    _ = policy.changed() => {}
                    () = deps.clock.sleep_until(until) => {}
                    () = tasks.stopping() => {}
                }
            }
            // A silence was made meanwhile, or another run got there first: look again.
            Err(StoreError::Stale(_)) => {}
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
            let (state, broken) = State::resume(self.deps.store.resume().await?);
            for detail in broken {
                tracing::error!(detail, "a part of the engine's state cannot be read back");
            }
            publish_totals(&state, &self.deps.metrics);
            state
        };
        Ok(self.state.insert(state))
    }

    /// Judges one batch, or the timers that are due.
    async fn turn(&mut self) -> Result<Turn, StoreError> {
        let now = self.deps.clock.now();
        let hash = self.deps.policy.borrow().config_hash.clone();
        let state = self.state().await?;
        let (cursor, deadline) = (state.cursor(), state.next_deadline());
        let fits = state.is_fitted_to(&hash);
        let inbox = self.deps.store.inbox_after(cursor, BATCH_EVENTS_MAX).await?;
        if fits && inbox.is_empty() && deadline.is_none_or(|deadline| deadline > now) {
            let poll = clock::add(now, POLL);
            return Ok(Turn::Idle { until: deadline.map_or(poll, |deadline| deadline.min(poll)) });
        }
        if inbox.is_empty() {
            self.run_timers(now).await?;
        } else {
            self.judge(&inbox, now).await?;
        }
        Ok(Turn::More)
    }

    /// Judges a batch whole; if that fails for a reason of its own, event by event, so that the one that cannot
    /// be judged is marked and the others go on.
    async fn judge(&mut self, inbox: &[Kept], now: Timestamp) -> Result<(), StoreError> {
        match self.attempt(inbox, now).await {
            Err(Trouble::Store(error)) => return Err(error),
            Ok(()) => return Ok(()),
            Err(Trouble::Event(detail)) => {
                tracing::warn!(%detail, "a batch failed; its events are judged one by one");
            }
        }
        for one in inbox {
            match self.attempt(std::slice::from_ref(one), now).await {
                Ok(()) => {}
                Err(Trouble::Store(error)) => return Err(error),
                Err(Trouble::Event(detail)) => self.fault(one, &detail, now).await?,
            }
        }
        Ok(())
    }

    /// Runs what fell due; only when no event waits, for it may have come before the timer.
    async fn run_timers(&mut self, now: Timestamp) -> Result<(), StoreError> {
        match self.attempt(&[], now).await {
            Ok(()) => Ok(()),
            Err(Trouble::Event(detail)) => Err(StoreError::Unstorable(detail)),
            Err(Trouble::Store(error)) => Err(error),
        }
    }

    async fn attempt(&mut self, inbox: &[Kept], now: Timestamp) -> Result<(), Trouble> {
        let events = inbox
            .iter()
            .map(|one| one.as_ref().map_err(|unreadable| Trouble::Event(unreadable.detail.clone())))
            .collect::<Result<Vec<&StoredEvent>, Trouble>>()?;
        let policy = Arc::clone(&self.deps.policy.borrow());
        self.state().await.map_err(Trouble::Store)?;
        self.bring(&events).await.map_err(Trouble::Store)?;
        // Out of `self` until the commit: whatever goes wrong below, a state that ran ahead is gone.
        let mut state = self.state.take().unwrap_or_default();
        let judged = catch_unwind(AssertUnwindSafe(|| step(&mut state, &policy, &events, now)))
            .map_err(|_panic| Trouble::Event("judging it panicked".to_owned()))?;
        self.commit(judged).await?;
        state.send_back();
        if *self.deps.fitted.borrow() != policy.config_hash {
            // Families that are declared anew have lost what they showed.
            publish_totals(&state, &self.deps.metrics);
            self.deps.fitted.send_replace(policy.config_hash.clone());
        }
        self.state = Some(state);
        Ok(())
    }

    /// Brings what the batch needs of the store: silences that are new, charges and calls that the events speak of.
    async fn bring(&mut self, events: &[&StoredEvent]) -> Result<(), StoreError> {
        let store = self.deps.store.clone();
        let state = self.state().await?;
        if store.silences_version().await? != state.silences().version {
            state.set_silences(store.silences().await?);
        }
        let charges: Vec<_> =
            events.iter().filter_map(|stored| rules::ledger_key(&stored.event)).collect();
        let calls: Vec<_> =
            events.iter().flat_map(|stored| rules::call_keys(&stored.event)).collect();
        if !charges.is_empty() || !calls.is_empty() {
            state.bring(store.known(charges, calls).await?);
        }
        Ok(())
    }

    async fn commit(&mut self, judged: Judged) -> Result<(), Trouble> {
        let Judged { changes, report } = judged;
        match self.deps.store.commit(changes).await {
            Ok(committed) => {
                publish(&report, &self.deps.metrics);
                self.deps.metrics.call_context_evicted(committed.calls_evicted);
            }
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
        let account = step::account_of(one);
        match self.commit(step::fault(one, detail, now)).await {
            Ok(()) => self.deps.metrics.event_faulted(account),
            Err(Trouble::Event(detail)) => return Err(StoreError::Unstorable(detail)),
            Err(Trouble::Store(error)) => return Err(error),
        }
        Ok(())
    }
}

/// Counts and logs what was committed.
fn publish(report: &Report, metrics: &Metrics) {
    for Changed { account, kind, event, rule, outcome } in &report.changed {
        tracing::info!(account, kind, event.id = event, rule, "alert {outcome}");
    }
    for ((rule, outcome), count) in &report.tally {
        metrics.rules_evaluated(rule, outcome, *count);
        if *outcome == "late" {
            metrics.events_late(rule, *count);
        }
    }
    for _ in 0..report.template_errors {
        metrics.template_error("annotation");
    }
    for (reason, count) in &report.suppressed {
        metrics.notification_suppressed(reason, *count);
    }
    for (rule, count) in &report.overflowed {
        metrics.series_overflowed(rule, *count);
    }
    for row in report.totals.metered.values() {
        metrics.user_is(row);
    }
    // The one without labels is declared anew with its family.
    for row in report.unmetered.iter().filter(|row| !row.labels.is_empty()) {
        metrics.remove_user(&row.name, &row.labels);
    }
    for row in report.totals.spent.values() {
        metrics.spend_is(row);
    }
    if report.crowded_out > 0 {
        tracing::error!(count = report.crowded_out, "a group is full: alerts in it were not told");
    }
}

/// Exports the totals as they were kept.
fn publish_totals(state: &State, metrics: &Metrics) {
    for row in state.meter.rows() {
        metrics.user_is(&row);
    }
    for row in state.spent.rows() {
        metrics.spend_is(&row);
    }
}

/// Why a batch was not committed.
enum Trouble {
    /// One of its events is at fault.
    Event(String),
    /// The store is; try again later.
    Store(StoreError),
}
