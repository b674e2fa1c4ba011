//! Judges the kept events in order and commits what they cause.
//!
//! The decision is [`step`], pure; this worker feeds it from the inbox, commits its changes in one transaction
//! together with the cursor, and only then lets them count. After a crash the batch is simply judged again.

mod explain;
mod fill;
mod fire;
mod history;
mod kept;
mod policy;
mod record;
mod report;
mod series;
mod groups;
mod state;
mod step;
mod then;
mod timers;
mod totals;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

pub use explain::{
    AlertReport, Explanation, GroupReport, NotificationReport, NotifiedReport, Outcome, Question,
    Quiet, RuleReport, SeriesReport, explain, shape_text,
};
pub use groups::compose;
pub use history::{Sample, history, reach};
pub use kept::kept_state;
pub use policy::Policy;
use report::Changed;
pub use report::Report;
pub use state::State;
use step::Kept;
pub use step::{Judged, step};
pub use then::{Caused, Then};

use crate::clock::{self, Clock};
use crate::metrics::Metrics;
use crate::store::{Changes, Role, Store, StoreError, StoredEvent, Unreadable};
use crate::tasks::Tasks;

/// Events judged in one transaction at most.
const BATCH_EVENTS_MAX: usize = 256;
/// How much larger each batch may be than the one before it.
const BATCH_GROWTH: usize = 4;
/// Events of the first fill that are taken in at a time.
const FILL_EVENTS: usize = 256;
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
    /// Set to the [`Policy::config_hash`] after the first commit under a policy: from then on nothing is queued by the
    /// one before.
    pub applied: Arc<watch::Sender<String>>,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// After an older database was restored: what happened before is judged, and begins no notification.
    pub restored_at: Option<Timestamp>,
}

/// Judges until shutdown.
pub async fn run(deps: Deps, tasks: Tasks) {
    let mut engine = Engine { deps: deps.clone(), epoch: None, state: None, batch_events: 1 };
    let mut recorded = deps.store.recorded();
    let mut policy = deps.policy.subscribe();
    let mut duties = deps.store.duties();
    while !tasks.is_stopping() {
        duties.borrow_and_update();
        let epoch = deps.store.epoch(&Role::Judge);
        if engine.epoch != epoch {
            // Another replica judges, or has: what is known here is out of date.
            (engine.epoch, engine.state, engine.batch_events) = (epoch, None, 1);
        }
        if epoch.is_none() {
            deps.store.leaves(&Role::Judge);
            tokio::select! {
                changed = duties.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(POLL) => {}
                () = tasks.stopping() => {}
            }
            continue;
        }
        // Registered before the look, so that nothing slips in between.
        recorded.borrow_and_update();
        policy.borrow_and_update();
        match engine.turn().await {
            // A silence was made meanwhile, or another run got there first: look again.
            Ok(Turn::More) | Err(StoreError::Stale(_)) => {}
            Ok(Turn::Idle { until }) => {
                tokio::select! {
                    _ = recorded.changed() => {}
                    _ = policy.changed() => {}
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

/// What a turn of the worker left.
enum Turn {
    /// More events may wait.
    More,
    /// Nothing to do before this.
    Idle { until: Timestamp },
}

struct Engine {
    deps: Deps,
    /// The epoch of [`Role::Judge`] under which the state was read; `None` while another judges.
    epoch: Option<i64>,
    /// `None` when the last batch was not committed: then it is read back from the store.
    state: Option<State>,
    /// Events of the next batch at most. After a start it is one, and grows: what ended the process before is not repeated
    /// as it was.
    batch_events: usize,
}

impl Engine {
    async fn state(&mut self) -> Result<&mut State, StoreError> {
        let state = if let Some(state) = self.state.take() {
            state
        } else {
            let (mut state, broken) = State::resume(self.deps.store.resume().await?);
            for detail in broken {
                tracing::error!(detail, "a part of the engine's state cannot be read back");
            }
            publish_totals(&state, &self.deps.metrics);
            state.restored_at = self.deps.restored_at;
            state
        };
        Ok(self.state.insert(state))
    }

    /// The next events, at most so many, as one read that brings the state what judging them needs: silences that are
    /// new, the charges and calls that the events speak of.
    async fn read(&mut self, limit: usize) -> Result<Vec<Kept>, StoreError> {
        let now = self.deps.clock.now();
        let store = self.deps.store.clone();
        let state = self.state().await?;
        let batch = store.batch_after(state.cursor(), limit, state.silences().version()).await?;
        Ok(state.load(batch, now))
    }

    /// Takes in a page of what was stored before a rule was there that looks at what is usual; whether there was one.
    async fn fill(&mut self) -> Result<bool, StoreError> {
        let policy = Arc::clone(&self.deps.policy.borrow());
        let store = self.deps.store.clone();
        let state = self.state().await?;
        let after = state.fill_after().filter(|_| state.has_applied(&policy.config_hash));
        let Some(after) = after else { return Ok(false) };
        let page = store.batch_after(after, FILL_EVENTS, state.silences().version()).await?;
        state.load_known(page.known);
        let events = Arc::new(page.events);
        let taken = Arc::clone(&events);
        let filled = self.step(move |state| fill::fill(state, &policy, &taken)).await;
        let Err(Trouble::Event(detail)) = filled else {
            return filled.map(|()| true).map_err(StoreError::from);
        };
        // What one event brings must not keep all that follow from being judged.
        tracing::error!(after, %detail, "stored events cannot be taken into histories and are left out of them");
        self.state().await?;
        self.step(move |state| fill::leave_out(state, &events)).await?;
        Ok(true)
    }

    /// Judges one batch, or the timers that are due.
    async fn turn(&mut self) -> Result<Turn, StoreError> {
        let now = self.deps.clock.now();
        let hash = self.deps.policy.borrow().config_hash.clone();
        let inbox = self.read(self.batch_events).await?;
        let state = self.state().await?;
        let (applied, deadline) = (state.has_applied(&hash), state.next_deadline());
        let applied = applied && !state.has_ended_deliveries();
        if applied && inbox.is_empty() && deadline.is_none_or(|deadline| deadline > now) {
            // Nothing waits: what was stored before a rule was there can be taken in.
            if self.fill().await? {
                return Ok(Turn::More);
            }
            let poll = clock::add(now, POLL);
            return Ok(Turn::Idle { until: deadline.map_or(poll, |deadline| deadline.min(poll)) });
        }
        let count = inbox.len();
        match self.attempt(inbox, now).await {
            Ok(()) => self.batch_events = (self.batch_events * BATCH_GROWTH).min(BATCH_EVENTS_MAX),
            // Without events it is timers; they run only when no event waits, for it may have come before them.
            Err(Trouble::Event(detail)) if count > 0 => {
                tracing::warn!(%detail, "a batch failed; its events are judged one by one");
                self.judge_singly(count, now).await?;
            }
            Err(trouble) => return Err(trouble.into()),
        }
        Ok(Turn::More)
    }

    /// Judges the next events one by one, so that the one that cannot be judged is marked and the others go on.
    async fn judge_singly(&mut self, count: usize, now: Timestamp) -> Result<(), StoreError> {
        for _ in 0..count {
            let Some(one) = self.read(1).await?.pop() else { break };
            match self.attempt(vec![one.clone()], now).await {
                Ok(()) => {}
                Err(Trouble::Store(error)) => return Err(error),
                Err(Trouble::Event(detail)) => self.fault(&one, &detail, now).await?,
            }
        }
        Ok(())
    }

    /// Judges and commits what [`Engine::read`] gave.
    async fn attempt(&mut self, inbox: Vec<Kept>, now: Timestamp) -> Result<(), Trouble> {
        let events = inbox
            .into_iter()
            .collect::<Result<Vec<StoredEvent>, Unreadable>>()
            .map_err(|unreadable| Trouble::Event(unreadable.detail))?;
        let policy = Arc::clone(&self.deps.policy.borrow());
        let hash = policy.config_hash.clone();
        self.step(move |state| step::step_owned(state, &policy, events, now)).await?;
        if *self.deps.applied.borrow() != hash {
            if let Some(state) = &self.state {
                // Families that are declared anew have lost what they showed.
                publish_totals(state, &self.deps.metrics);
            }
            self.deps.applied.send_replace(hash);
        }
        Ok(())
    }

    /// Moves the state and commits what that changed. Whatever goes wrong, a state that ran ahead is gone.
    async fn step(
        &mut self,
        act: impl FnOnce(&mut State) -> Judged + Send + 'static,
    ) -> Result<(), Trouble> {
        let mut state = self.state.take().unwrap_or_default();
        // Many rules of one kind, or many alerts, are too much work for a thread that answers requests.
        let acting = tokio::task::spawn_blocking(move || {
            let judged = act(&mut state);
            (state, judged)
        });
        let (mut state, judged) = acting.await.map_err(|error| {
            if error.is_panic() {
                Trouble::Event("judging it panicked".to_owned())
            } else {
                Trouble::Store(StoreError::Closed)
            }
        })?;
        self.commit(judged).await?;
        state.clear();
        self.state = Some(state);
        Ok(())
    }

    async fn commit(&mut self, judged: Judged) -> Result<(), Trouble> {
        let Judged { changes, report } = judged;
        let changes = Changes { epoch: self.epoch, ..changes };
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
        self.commit(step::fault(one, detail, now)).await?;
        self.deps.metrics.event_faulted(account);
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
    for (_, suppression) in &report.quieted {
        metrics.notification_suppressed(suppression.as_str(), 1);
    }
    for (rule, count) in &report.overflowed {
        metrics.series_overflowed(rule, *count);
    }
    for row in &report.unmetered {
        metrics.remove_user(&row.name, &row.labels);
    }
    for row in report.totals.metered.values() {
        metrics.set_user_row(row);
    }
    // The one without labels is declared anew with its family.
    for row in report.unmetered.iter().filter(|row| !row.labels.is_empty()) {
        metrics.remove_user(&row.name, &row.labels);
    }
    for row in report.totals.spent.values() {
        metrics.set_spend(row);
    }
    for (account, count) in &report.unread_amounts {
        tracing::warn!(
            account,
            count,
            "events report a cost that cannot be kept exactly: it is in no sum"
        );
        metrics.amounts_unread(account, *count);
    }
    if report.crowded_out > 0 {
        tracing::error!(
            count = report.crowded_out,
            "a group is full: alerts in it were not notified"
        );
        metrics.groups_crowded(report.crowded_out);
    }
}

/// Exports the totals as they were kept.
fn publish_totals(state: &State, metrics: &Metrics) {
    for row in state.meter.rows() {
        metrics.set_user_row(&row);
    }
    for row in state.spent.rows() {
        metrics.set_spend(&row);
    }
}

/// Why a batch was not committed.
enum Trouble {
    /// One of its events is at fault.
    Event(String),
    /// The store is; try again later.
    Store(StoreError),
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Event(detail) => Self::Unstorable(detail),
            Trouble::Store(error) => error,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
