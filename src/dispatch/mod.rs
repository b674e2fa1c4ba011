//! Hands what is due to its notifier and records what became of it.
//!
//! One loop for each integration, with its own pace and its own sends in flight: a hung receiver slows nobody else.
//! Meets the engine only in the store. A delivery ends delivered, superseded or dead; it never disappears.

mod decide;
mod fallback;
mod pacer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

pub use fallback::{Receivers, run as run_fallbacks};

use self::pacer::Pacer;
use crate::clock::{self, Clock};
use crate::metrics::Metrics;
use crate::notify::{Integration, Notifier, Outcome, Parcel, Reason, Sent};
use crate::store::{Attempt, Claim, Delivery, Next, Settled, Settlement, Store, StoreError};
use crate::tasks::Tasks;

/// How long a loop sleeps at most before it looks again; a signal wakes it earlier.
const POLL: Duration = Duration::from_secs(1);
/// How much longer a claim holds than the send may take.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How often the outcome of a send is offered to a store that refuses, a second apart.
const SETTLE_TRIES: u32 = 20;

/// What the loops need.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Where deliveries are kept.
    pub store: Store,
    /// The receivers in force, by name.
    pub receivers: Receivers,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Sends for one integration until shutdown.
pub async fn run(deps: Deps, integration: Integration, notifier: Notifier, tasks: Tasks) {
    let now = deps.clock.now();
    let lane = Arc::new(Lane {
        pace: Mutex::new(Pace { pacer: Pacer::new(integration.rate_limit, now), in_flight: 0 }),
        freed: Notify::new(),
        notifier,
        integration,
        deps,
    });
    let mut queued = lane.deps.store.queued();
    while !tasks.is_stopping() {
        // Registered before the look, so that no delivery slips in between.
        queued.borrow_and_update();
        let freed = lane.freed.notified();
        let wake = match lane.turn(&tasks).await {
            Ok(wake) => wake,
            Err(error) => {
                tracing::error!(%error, integration = lane.integration.id, "deliveries cannot be claimed");
                None
            }
        };
        let now = lane.deps.clock.now();
        let poll = clock::add(now, POLL);
        tokio::select! {
            _ = queued.changed() => {}
            () = freed => {}
            () = lane.deps.clock.sleep_until(wake.map_or(poll, |wake| wake.min(poll))) => {}
            () = tasks.stopping() => {}
        }
    }
}

/// One integration at work.
#[derive(Debug)]
struct Lane {
    deps: Deps,
    integration: Integration,
    notifier: Notifier,
    pace: Mutex<Pace>,
    /// A send ended.
    freed: Notify,
}

#[derive(Debug)]
struct Pace {
    pacer: Pacer,
    in_flight: usize,
}

impl Lane {
    /// Begins what may begin now; says when to look again.
    async fn turn(self: &Arc<Self>, tasks: &Tasks) -> Result<Option<Timestamp>, StoreError> {
        let now = self.deps.clock.now();
        let (limit, ready_at) = self.paced(|pace| {
            let free = self.integration.concurrency.saturating_sub(pace.in_flight);
            (pace.pacer.allowance(now).min(free), pace.pacer.ready_at(now))
        });
        if limit == 0 {
            // Without a `ready_at` or a free place, the end of a send wakes us.
            return Ok(ready_at.filter(|at| *at > now));
        }
        let lease = self.integration.timeout.saturating_add(LEASE_MARGIN);
        let claim = Claim { integration: &self.integration.id, now, lease, limit };
        let claimed = self.deps.store.claim(claim).await?;
        let all = claimed.len() < limit;
        for delivery in claimed {
            self.paced(|pace| {
                pace.in_flight += 1;
                pace.pacer.begin(now);
            });
            let lane = Arc::clone(self);
            tasks.spawn_short(async move { lane.send(delivery).await });
        }
        if all { self.deps.store.next_due(&self.integration.id).await } else { Ok(Some(now)) }
    }

    async fn send(self: Arc<Self>, delivery: Delivery) {
        if delivery.maybe_repeated {
            let kind = self.integration.channel.kind();
            self.deps.metrics.resent(kind, &self.integration.receiver);
        }
        let parcel = Parcel {
            key: delivery.id.clone(),
            target: delivery.target.clone(),
            attempt: delivery.attempts,
            now: self.deps.clock.now(),
            message: delivery.message.clone(),
        };
        let Sent { outcome, template_failed } = self.notifier.send(&parcel).await;
        let now = self.deps.clock.now();
        if template_failed {
            self.deps.metrics.template_error(self.integration.channel.kind());
        }
        // Before anything is written: what the peer asked for holds for the very next send.
        self.paced(|pace| pace.pacer.end(&outcome, now));
        let settlement = self.settlement(&delivery, &outcome, now);
        self.report(&delivery, &outcome, &settlement, now);
        self.settle(settlement).await;
        self.paced(|pace| pace.in_flight -= 1);
        self.freed.notify_one();
    }

    fn settlement(&self, delivery: &Delivery, outcome: &Outcome, now: Timestamp) -> Settlement {
        let next = decide::next(delivery, &self.integration.retry, outcome, now, fastrand::f64());
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
        delivery: &Delivery,
        outcome: &Outcome,
        settlement: &Settlement,
        now: Timestamp,
    ) {
        let (kind, receiver) =
            (self.integration.channel.kind(), self.integration.receiver.as_str());
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
    async fn settle(&self, settlement: Settlement) {
        for _ in 0..SETTLE_TRIES {
            match self.deps.store.settle(settlement.clone()).await {
                Ok(Settled::Rang) => {
                    self.deps.metrics.fell_back(&self.integration.receiver);
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
