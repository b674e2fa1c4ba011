//! What goes on beside the work: old rows are removed, and a clock that is set is noticed.

use std::sync::Arc;
use std::time::Duration;

use super::restored::Mark;
use crate::clock::{self, Clock};
use crate::clock_steps::{self, Horizon, Step, Watch};
use crate::metrics::Metrics;
use crate::store::{Feed, Role, Store, StoreError};
use crate::tasks::Tasks;

/// How often old rows are looked for.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);
/// How often is written down up to where was acknowledged.
const MARK_PERIOD: Duration = Duration::from_secs(10);
/// Rows of each kind removed in one transaction at most.
const SWEEP_ROWS_MAX: usize = 1_000;
/// Between two transactions of a sweep: nine tenths of the time belong to whoever waits for an answer.
const SWEEP_PAUSE: Duration = Duration::from_millis(30);
/// How often is looked for deliveries that a clock ahead of ours has opened.
const AHEAD_PERIOD: Duration = Duration::from_secs(10);
/// How far ahead the clock of another replica may be without that.
const AHEAD_MAX: Duration = Duration::from_mins(1);

/// What upkeep needs.
#[derive(Debug, Clone)]
pub(super) struct Upkeep {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tasks: Tasks,
}

impl Upkeep {
    /// Removes what is older than the retention, a bounded batch at a time, until shutdown. Waits while senders' clocks say
    /// that ours is wrong.
    pub(super) async fn sweep(self) {
        let mut horizon: Option<Horizon> = None;
        while !self.tasks.is_stopping() {
            let more = match self.sweep_once(&mut horizon).await {
                Ok(more) => more,
                Err(error) => {
                    tracing::warn!(%error, "old rows cannot be removed");
                    false
                }
            };
            if more {
                tokio::select! {
                    () = tokio::time::sleep(SWEEP_PAUSE) => {}
                    () = self.tasks.stopping() => {}
                }
                continue;
            }
            tokio::select! {
                () = self.clock.sleep_until(clock::add(self.clock.now(), SWEEP_PERIOD)) => {}
                () = self.tasks.stopping() => {}
            }
        }
    }

    async fn sweep_once(&self, horizon: &mut Option<Horizon>) -> Result<bool, StoreError> {
        if !self.store.holds(&Role::Judge) {
            *horizon = None;
            return Ok(false);
        }
        let known = match horizon {
            Some(known) => *known,
            None => *horizon.insert(Horizon::new(self.store.swept_as_of().await?, &self.clock)),
        };
        if self.clock.is_doubted() {
            return Ok(false);
        }
        Ok(self.store.sweep(known.as_of(&self.clock), SWEEP_ROWS_MAX).await?.more)
    }

    /// Writes down beside the database up to where was acknowledged, until shutdown and once more then.
    pub(super) async fn mark(self, mut mark: Mark) {
        loop {
            mark.note(&self.store, self.clock.now()).await;
            if self.tasks.is_stopping() {
                return;
            }
            tokio::select! {
                () = self.clock.sleep_until(clock::add(self.clock.now(), MARK_PERIOD)) => {}
                () = self.tasks.stopping() => {}
            }
        }
    }

    /// Notices when somebody sets the clock, until shutdown.
    pub(super) async fn watch_clock(self) {
        let mut watch = Watch::new(&self.clock);
        let mut looked = None;
        while !self.tasks.is_stopping() {
            if looked.is_none_or(|at| self.clock.elapsed().saturating_sub(at) >= AHEAD_PERIOD) {
                looked = Some(self.clock.elapsed());
                self.pull_in().await;
            }
            tokio::select! {
                () = self.clock.sleep_until(clock::add(self.clock.now(), clock_steps::PERIOD)) => {}
                () = self.tasks.stopping() => return,
            }
            let Some(step) = watch.look(&self.clock) else { continue };
            let seconds = step.by.as_secs();
            tracing::warn!(seconds, "the clock was set; what waits for a time moves along");
            self.metrics.clock_stepped();
            self.write_step(&step).await;
        }
    }

    /// Pulls in what was opened by a clock that was ahead: while nobody served, or in a commit that was under way when the
    /// clock was set.
    async fn pull_in(&self) {
        if !self.store.holds(&Role::Judge) {
            return;
        }
        let now = self.clock.now();
        match self.store.pull_in_deliveries(clock::add(now, AHEAD_MAX), now).await {
            Ok(0) => {}
            Ok(count) => tracing::warn!(
                count,
                "deliveries that were opened by a clock ahead of ours are due now"
            ),
            Err(error) => {
                tracing::debug!(%error, "what a clock ahead has opened could not be looked for");
            }
        }
    }

    /// Moves what waits along and raises the event, until the store has taken both: deliveries and the engine's timers would
    /// wait for the old time else.
    async fn write_step(&self, step: &Step) {
        let (mut moved, mut failing) = (false, false);
        while let Err(error) = self.try_step(step, &mut moved).await {
            if !std::mem::replace(&mut failing, true) {
                tracing::error!(%error, "that the clock was set could not be stored yet");
            }
            tokio::select! {
                () = self.clock.sleep_until(clock::add(self.clock.now(), clock_steps::PERIOD)) => {}
                () = self.tasks.stopping() => return,
            }
        }
    }

    async fn try_step(&self, step: &Step, moved: &mut bool) -> Result<(), StoreError> {
        // Of several replicas the one that judges writes the times; the clock of another is its own affair.
        if !self.store.holds(&Role::Judge) {
            return Ok(());
        }
        if !*moved {
            self.store.shift_deliveries(step.by, step.from, step.now).await?;
            *moved = true;
        }
        let events = vec![clock_steps::event(step)];
        self.store.feed(Feed { events, ..Feed::default() }).await.map(drop)
    }
}
