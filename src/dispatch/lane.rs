//! One integration at work: claims what is due, sends it, records what became of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::pacer::Pacer;
use super::{Deps, decide, fallback};
use crate::clock;
use crate::notify::{Integration, Notification, Notifier, Outcome, Reason, Sent};
use crate::store::{Attempt, Claim, Delivery, Next, Settled, Settlement, StoreError};
use crate::tasks::Tasks;

/// How long a loop sleeps at most before it looks again; a signal wakes it earlier.
const POLL: Duration = Duration::from_secs(1);
/// How much longer a claim holds than the send may take.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How often the outcome of a send is offered to a store that refuses, a second apart.
const SETTLE_TRIES: u32 = 20;

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
    pace: Mutex<Pace>,
    /// A send ended, or the way has changed.
    nudged: Notify,
    /// Its own tasks: they end when the configuration has the integration no more.
    tasks: Tasks,
    ended: AtomicBool,
}

#[derive(Debug)]
struct Pace {
    pacer: Pacer,
    in_flight: usize,
}

impl Lane {
    pub(super) fn new(deps: Deps, sender: Sender, tasks: Tasks) -> Self {
        let pacer = Pacer::new(sender.integration.rate_limit, deps.clock.now());
        Self {
            pace: Mutex::new(Pace { pacer, in_flight: 0 }),
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

    /// Whether [`Lane::run`] is over, and with it all sends.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Sends by other settings from the next send on. Pace, pauses and circuit go on.
    pub(super) fn change(&self, sender: Sender) {
        let (limit, now) = (sender.integration.rate_limit, self.deps.clock.now());
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
        let now = self.deps.clock.now();
        let sender = self.sender.load_full();
        let integration = &sender.integration;
        let (limit, ready_at) = self.paced(|pace| {
            let free = integration.concurrency.saturating_sub(pace.in_flight);
            (pace.pacer.allowance(now).min(free), pace.pacer.ready_at(now))
        });
        if limit == 0 {
            // Without a `ready_at` or a free place, the end of a send wakes us.
            return Ok(ready_at.filter(|at| *at > now));
        }
        let lease = integration.timeout.saturating_add(LEASE_MARGIN);
        let claim = Claim { integration: &integration.id, now, lease, limit };
        let claimed = self.deps.store.claim(claim).await?;
        let all = claimed.len() < limit;
        for delivery in claimed {
            self.paced(|pace| {
                pace.in_flight += 1;
                pace.pacer.begin(now);
            });
            let lane = Arc::clone(self);
            let sender = Arc::clone(&sender);
            self.tasks.spawn_short(async move { lane.send(&sender, delivery).await });
        }
        if all { self.deps.store.next_due(&integration.id).await } else { Ok(Some(now)) }
    }

    async fn send(&self, sender: &Sender, delivery: Delivery) {
        let kind = sender.integration.channel.kind();
        if delivery.maybe_repeated {
            self.deps.metrics.resent(kind, &sender.integration.receiver);
        }
        let notification = Notification {
            key: delivery.id.clone(),
            target: delivery.target.clone(),
            attempt: delivery.attempts,
            now: self.deps.clock.now(),
            message: delivery.message.clone(),
        };
        let Sent { outcome, template_failed } = sender.notifier.send(&notification).await;
        let now = self.deps.clock.now();
        if template_failed {
            self.deps.metrics.template_error(kind);
        }
        // Before anything is written: what the peer asked for holds for the very next send.
        self.paced(|pace| pace.pacer.end(&outcome, now));
        let settlement = self.settlement(&sender.integration, &delivery, &outcome, now);
        self.report(&sender.integration, &delivery, &settlement, &outcome);
        self.settle(&sender.integration.receiver, settlement).await;
        self.paced(|pace| pace.in_flight -= 1);
        self.nudged.notify_one();
    }

    fn settlement(
        &self,
        integration: &Integration,
        delivery: &Delivery,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Settlement {
        let next = decide::next(delivery, &integration.retry, outcome, now, fastrand::f64());
        let (word, reason, detail) = decide::describe(outcome);
        let rung = decide::rings_fallback(next, outcome);
        Settlement {
            id: delivery.id.clone(),
            attempt: Attempt {
                number: delivery.attempts,
                finished_at: now,
                outcome: word.to_owned(),
                reason: reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
                detail,
            },
            next,
            maybe_taken: reason == Some(Reason::Timeout),
            events: decide::dead_letter(delivery, next, reason, now).into_iter().collect(),
            fallbacks: if rung {
                fallback::copies(delivery, &self.deps.receivers.load(), now)
            } else {
                Vec::new()
            },
        }
    }

    fn report(
        &self,
        integration: &Integration,
        delivery: &Delivery,
        settlement: &Settlement,
        outcome: &Outcome,
    ) {
        let (kind, receiver) = (integration.channel.kind(), integration.receiver.as_str());
        let now = settlement.attempt.finished_at;
        let metrics = &self.deps.metrics;
        let (_, reason, detail) = decide::describe(outcome);
        metrics.notified(kind, receiver, reason);
        let (id, attempt) = (&delivery.id, delivery.attempts);
        match settlement.next {
            Next::Delivered => {
                metrics.delivered_after(kind, receiver, clock::until(delivery.created_at, now));
                tracing::info!(
                    delivery.id = id,
                    receiver,
                    integration = kind,
                    attempt,
                    "delivered"
                );
            }
            Next::RetryAt(at) => {
                let reason = reason.map(Reason::as_str);
                tracing::warn!(delivery.id = id, receiver, integration = kind, attempt, reason, detail, retry_at = %at, "not delivered, will be tried again");
            }
            Next::Dead => {
                metrics.dead_letter(kind, receiver);
                let reason = reason.map(Reason::as_str);
                tracing::error!(
                    delivery.id = id,
                    receiver,
                    integration = kind,
                    attempt,
                    reason,
                    detail,
                    "not delivered, given up"
                );
            }
        }
    }

    /// Records an outcome. If the store refuses all along, the lease runs out and the delivery is sent again with
    /// the same key: twice is better than never.
    async fn settle(&self, receiver: &str, settlement: Settlement) {
        for _ in 0..SETTLE_TRIES {
            match self.deps.store.settle(settlement.clone()).await {
                Ok(Settled::Rang) => {
                    self.deps.metrics.fell_back(receiver);
                    return;
                }
                Ok(Settled::Applied | Settled::Stale) => return,
                Err(error @ StoreError::Closed) => {
                    tracing::error!(%error, delivery.id = settlement.id, "the outcome of a send is lost");
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, delivery.id = settlement.id, "the outcome of a send is not recorded yet");
                    tokio::time::sleep(POLL).await;
                }
            }
        }
    }

    fn paced<T>(&self, act: impl FnOnce(&mut Pace) -> T) -> T {
        act(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
