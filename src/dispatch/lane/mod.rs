//! One integration at work: claims what is due, sends it, records what became of it.

mod outcome;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Deps;
use super::compose::{self, Composed};
use super::pacer::Pacer;
use crate::clock::{self, Clock};
use crate::clock_steps::Watch;
use crate::notify::{Integration, Notifier, Sent};
use crate::store::{Claim, Claimed, Role, Settlement, StoreError};
use crate::tasks::Tasks;

/// How long a loop sleeps at most before it looks again; a signal wakes it earlier.
const POLL: Duration = Duration::from_secs(1);
/// How much longer a claim holds than the send may take.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How long a delivery may wait for its send after it was claimed; what waits longer is given back and composed anew.
const AHEAD_MAX: Duration = Duration::from_millis(100);
/// Deliveries that one sender claims at a time.
const AHEAD_DELIVERIES_MAX: usize = 16;

/// How one integration sends, by the configuration in force.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) integration: Integration,
    pub(super) notifier: Notifier,
}

/// One integration at work.
#[derive(Debug)]
pub(super) struct Lane {
    deps: Deps,
    /// A reload changes it; a send sees one state of it from its claim to its outcome.
    sender: ArcSwap<Sender>,
    role: Role,
    pace: Mutex<Pace>,
    /// A send ended, or the way has changed.
    nudged: Notify,
    /// Its own tasks: they end when the configuration has the integration no more.
    tasks: Tasks,
    ended: AtomicBool,
}

/// Deliveries that were composed, to be claimed.
struct Prepared {
    /// How many were due.
    found: usize,
    claim: Claim,
    composed: Vec<Composed>,
}

#[derive(Debug)]
struct Pace {
    pacer: Pacer,
    in_flight: usize,
    /// Whether this process sent for the integration at the last look.
    is_ours: bool,
    /// How long sends take, smoothed.
    send_time: Duration,
}

impl Pace {
    /// How many deliveries one sender may claim at a time: as many as it will have sent within [`AHEAD_MAX`]. What they say is
    /// composed when they are claimed, so a slow peer gets one at a time.
    fn ahead(&self) -> usize {
        let send_time = self.send_time.as_micros().max(1);
        let within = AHEAD_MAX.as_micros() / 2 / send_time;
        usize::try_from(within).unwrap_or(AHEAD_DELIVERIES_MAX).clamp(1, AHEAD_DELIVERIES_MAX)
    }

    /// A send took so long.
    fn took(&mut self, time: Duration) {
        self.send_time = (self.send_time * 3 + time) / 4;
    }
}

/// The time that passes, as a time: pace, pauses and circuit do not care how the wall clock is set.
fn steady(clock: &Clock) -> Timestamp {
    clock::add(Timestamp::UNIX_EPOCH, clock.elapsed())
}

impl Lane {
    pub(super) fn new(deps: Deps, sender: Sender, tasks: Tasks) -> Self {
        let pacer = Pacer::new(sender.integration.rate_limit, steady(&deps.clock));
        let role = Role::Send(sender.integration.id.clone());
        let is_ours = deps.store.holds(&role);
        Self {
            pace: Mutex::new(Pace { pacer, in_flight: 0, is_ours, send_time: AHEAD_MAX }),
            role,
            nudged: Notify::new(),
            sender: ArcSwap::from_pointee(sender),
            ended: AtomicBool::new(false),
            deps,
            tasks,
        }
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    pub(super) fn deps(&self) -> &Deps {
        &self.deps
    }

    pub(super) fn sender(&self) -> Arc<Sender> {
        self.sender.load_full()
    }

    /// Whether the peer is left alone for a while.
    pub(super) fn is_paused(&self) -> bool {
        let steady = steady(&self.deps.clock);
        self.paced(|pace| pace.pacer.paused_until(steady).is_some())
    }

    /// Whether this process sends for the integration now. When it begins to, it has used up its burst: another may have sent
    /// a moment ago.
    pub(super) fn is_ours(&self) -> bool {
        let is_ours = self.deps.store.holds(&self.role);
        let steady = steady(&self.deps.clock);
        self.paced(|pace| {
            if is_ours && !std::mem::replace(&mut pace.is_ours, is_ours) {
                pace.pacer.empty(steady);
            }
            pace.is_ours = is_ours;
        });
        is_ours
    }

    /// Whether [`Lane::run`] is over, and with it all sends.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Sends by other settings from the next send on. Pace, pauses and circuit go on.
    pub(super) fn change(&self, sender: Sender) {
        let (limit, now) = (sender.integration.rate_limit, steady(&self.deps.clock));
        self.sender.store(Arc::new(sender));
        self.paced(|pace| pace.pacer.limit(limit, now));
        self.nudged.notify_one();
    }

    /// Sends until it is told to end; then waits for what is being sent.
    pub(super) async fn run(self: Arc<Self>) {
        let mut queued = self.deps.store.queued();
        while !self.tasks.is_stopping() {
            // Registered before the look, so that no delivery slips in between.
            queued.borrow_and_update();
            let wake = match self.turn().await {
                Ok(wake) => wake,
                Err(error) => {
                    let integration = &self.sender.load().integration.id;
                    tracing::error!(%error, integration, "deliveries cannot be claimed");
                    None
                }
            };
            let poll = clock::add(self.deps.clock.now(), POLL);
            tokio::select! {
                _ = queued.changed() => {}
                () = self.nudged.notified() => {}
                () = self.deps.clock.sleep_until(wake.map_or(poll, |wake| wake.min(poll))) => {}
                () = self.tasks.stopping() => {}
            }
        }
        while self.paced(|pace| pace.in_flight > 0) {
            self.nudged.notified().await;
        }
        self.ended.store(true, Ordering::Release);
        self.deps.ended.notify_one();
    }

    /// Begins what may begin now; says when to look again.
    async fn turn(self: &Arc<Self>) -> Result<Option<Timestamp>, StoreError> {
        if !self.is_ours() {
            self.deps.store.leaves(&self.role);
            return Ok(None);
        }
        let (now, steady) = (self.deps.clock.now(), steady(&self.deps.clock));
        let sender = self.sender.load_full();
        let integration = &sender.integration;
        let (free, limit, ready_at) = self.paced(|pace| {
            let free = integration.concurrency.saturating_sub(pace.in_flight);
            let most = free.saturating_mul(pace.ahead());
            (free, pace.pacer.allowance(steady).min(most), pace.pacer.ready_at(steady))
        });
        if limit == 0 {
            // Without a `ready_at` or a free place, the end of a send wakes us.
            let wait = ready_at.map(|at| clock::until(steady, at)).filter(|wait| !wait.is_zero());
            return Ok(wait.map(|wait| clock::add(now, wait)));
        }
        let Some(prepared) = self.prepare(integration, limit, now).await? else {
            return self.deps.store.next_due(&integration.id).await;
        };
        let found = prepared.found;
        let Some(mut claimed) = self.claim(prepared).await? else { return Ok(Some(now)) };
        let each = claimed.len().div_ceil(free.max(1)).max(1);
        while !claimed.is_empty() {
            let rest = claimed.split_off(each.min(claimed.len()));
            let batch = std::mem::replace(&mut claimed, rest);
            self.paced(|pace| {
                pace.in_flight += 1;
                for _ in &batch {
                    pace.pacer.begin(steady);
                }
            });
            let (lane, sender) = (Arc::clone(self), Arc::clone(&sender));
            self.tasks.spawn_short(async move { lane.work(sender, batch).await });
        }
        if found < limit { self.deps.store.next_due(&integration.id).await } else { Ok(Some(now)) }
    }

    /// Composes what is due; `None` when nothing is.
    async fn prepare(
        &self,
        integration: &Integration,
        limit: usize,
        now: Timestamp,
    ) -> Result<Option<Prepared>, StoreError> {
        let due = self.deps.store.due(&integration.id, now, limit).await?;
        let found = due.deliveries.len() + due.unreadable.len();
        if found == 0 {
            return Ok(None);
        }
        let silences = self.deps.silences.of(&self.deps.store, due.silences).await?;
        let routing = self.deps.routing.load_full();
        let mut deliveries: Vec<(i64, Claimed)> = Vec::with_capacity(found);
        for (n, detail) in due.unreadable {
            tracing::error!(n, detail, "a delivery cannot be read back");
            deliveries.push((n, Claimed::Dead(detail)));
        }
        let mut composed = Vec::with_capacity(due.deliveries.len());
        for due in due.deliveries {
            let (n, claimed, sent) = compose::compose(due, integration, &routing, &silences, now);
            deliveries.push((n, claimed));
            composed.extend(sent);
        }
        let lease = integration.timeout.saturating_add(LEASE_MARGIN);
        let claim = Claim {
            integration: integration.id.clone(),
            silences: silences.version(),
            now,
            lease,
            deliveries,
        };
        Ok(Some(Prepared { found, claim, composed }))
    }

    /// Claims what was prepared; `None` when a silence was made meanwhile: then it is to be composed anew.
    async fn claim(&self, prepared: Prepared) -> Result<Option<Vec<Composed>>, StoreError> {
        let Prepared { claim, mut composed, .. } = prepared;
        match self.deps.store.claim(claim).await {
            Ok(claimed) => {
                composed.retain(|one| claimed.contains(&one.n));
                Ok(Some(composed))
            }
            Err(StoreError::Stale(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends one batch of deliveries after another, each in order, as long as the pace allows it. The outcomes of a batch are
    /// recorded together with the claim of the next one; a crash before that repeats what was sent, under the same keys.
    async fn work(&self, mut sender: Arc<Sender>, first: Vec<Composed>) {
        let mut batch = Some(first);
        while let Some(claimed) = batch.take() {
            let claimed_at = Instant::now();
            let mut claimed: VecDeque<Composed> = claimed.into();
            let mut settlements = Vec::with_capacity(claimed.len());
            while let Some(composed) = claimed.pop_front() {
                let begun = Instant::now();
                settlements.push(self.send(&sender, composed).await);
                self.paced(|pace| pace.took(begun.elapsed()));
                let stale = claimed_at.elapsed() > AHEAD_MAX;
                if stale || self.is_paused() || self.tasks.is_stopping() {
                    break;
                }
            }
            let receiver = sender.integration.receiver.clone();
            sender = self.sender.load_full();
            let next = self.prepare_next(&sender).await;
            let settle = settlements.into_iter().map(|one| self.settle(&receiver, one));
            let (_, (), claimed_next) =
                tokio::join!(join_all(settle), self.release(claimed), self.claim_next(next));
            batch = claimed_next;
        }
        self.paced(|pace| pace.in_flight -= 1);
        self.nudged.notify_one();
    }

    /// Gives back what was claimed and is not sent after all: it is to be composed anew.
    async fn release(&self, claimed: VecDeque<Composed>) {
        if claimed.is_empty() {
            return;
        }
        let ids = claimed.into_iter().map(|one| one.delivery.id).collect();
        if let Err(error) = self.deps.store.release(ids).await {
            // The lease runs out, and they are claimed again.
            tracing::warn!(%error, "deliveries could not be given back");
        }
    }

    /// Composes the next deliveries, if any may be sent now. What goes wrong here goes wrong again in the loop, which tells of
    /// it.
    async fn prepare_next(&self, sender: &Sender) -> Option<Prepared> {
        let (now, steady) = (self.deps.clock.now(), steady(&self.deps.clock));
        let limit = self.paced(|pace| {
            let within = pace.in_flight <= sender.integration.concurrency;
            if within { pace.pacer.allowance(steady).min(pace.ahead()) } else { 0 }
        });
        if limit == 0 || self.tasks.is_stopping() || !self.is_ours() {
            return None;
        }
        self.prepare(&sender.integration, limit, now).await.ok().flatten()
    }

    async fn claim_next(&self, prepared: Option<Prepared>) -> Option<Vec<Composed>> {
        let claimed = self.claim(prepared?).await.ok().flatten()?;
        let steady = steady(&self.deps.clock);
        self.paced(|pace| {
            for _ in &claimed {
                pace.pacer.begin(steady);
            }
        });
        Some(claimed).filter(|claimed| !claimed.is_empty())
    }

    /// Sends one delivery; what became of it.
    async fn send(&self, sender: &Sender, mut composed: Composed) -> Settlement {
        let kind = sender.integration.channel.kind();
        if composed.repeats {
            self.deps.metrics.resent(kind, &sender.integration.receiver);
        }
        composed.notification.now = self.deps.clock.now();
        let mut watch = Watch::new(&self.deps.clock);
        let sent = sender.notifier.send(&composed.notification).await;
        if let Some(step) = watch.look(&self.deps.clock) {
            // How old a delivery is does not change with the clock.
            let opened_at = composed.delivery.created_at.saturating_add(step.by);
            composed.delivery.created_at = opened_at.unwrap_or(composed.delivery.created_at);
        }
        let Sent { outcome, template_failed } = sent;
        let now = self.deps.clock.now();
        if template_failed {
            self.deps.metrics.template_error(kind);
        }
        // Before anything is written: what the peer asked for holds for the very next send.
        self.pause_after(&sender.integration, &outcome, now).await;
        let settlement = self.settlement(&sender.integration, &composed, &outcome, now);
        self.report(&sender.integration, &composed, &settlement, &outcome);
        settlement
    }

    fn paced<T>(&self, act: impl FnOnce(&mut Pace) -> T) -> T {
        act(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
