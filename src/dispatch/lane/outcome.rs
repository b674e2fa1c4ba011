//! What became of a send: the pause it asks for, what is recorded, what is reported.

use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Lane, POLL, Pace, steady};
use crate::alerts::{Fingerprint, LogEntry};
use crate::clock;
use crate::dispatch::compose::Composed;
use crate::dispatch::{decide, fallback};
use crate::notify::{Integration, Outcome, Reason};
use crate::store::{Attempt, JournalEntry, Next, Settlement, StoreError};

/// How often the outcome of a send is offered to a store that refuses, a second apart.
const SETTLE_TRIES: u32 = 20;

impl Lane {
    /// Notes what an outcome means for the pace, and makes a pause visible in the log and in a metric; [`Lane::note_pause`]
    /// does in the store.
    pub(super) fn pause_after(&self, integration: &Integration, outcome: &Outcome, now: Timestamp) {
        let steady = steady(&self.deps.clock);
        let (_, reason, _) = decide::describe(outcome);
        let (before, after) = self.paced(|pace| {
            let before = pace.pacer.paused_until(steady);
            pace.pacer.end(outcome, steady);
            let after = pace.pacer.paused_until(steady);
            if after != before {
                pace.pause = after.map(|until| {
                    let until = clock::add(now, clock::until(steady, until));
                    (until, reason.map(Reason::as_str).unwrap_or_default().to_owned())
                });
                (pace.is_pause_changed, pace.is_pause_noted) = (true, false);
            }
            (before, after)
        });
        if after == before {
            return;
        }
        let (kind, receiver) = (integration.channel.kind(), integration.receiver.as_str());
        match after {
            Some(until) if before.is_none() => {
                let until = clock::add(now, clock::until(steady, until));
                let reason = reason.map(Reason::as_str).unwrap_or_default();
                tracing::warn!(receiver, integration = kind, reason, %until, "the integration is paused");
            }
            Some(_) => {}
            None => {
                tracing::info!(receiver, integration = kind, "the integration is no longer paused");
            }
        }
        self.deps.metrics.integration_paused(kind, receiver, after.is_some());
    }

    /// Makes a pause, or that there is none, visible in the store, as it is now: until the store has taken it, for a pause
    /// that nobody sees nobody can end.
    pub(super) async fn note_pause(&self, integration: &Integration) {
        let changed = |pace: &mut Pace| {
            std::mem::take(&mut pace.is_pause_changed).then(|| pace.pause.clone())
        };
        let Some(pause) = self.paced(changed) else { return };
        let is_paused = pause.is_some();
        match self.deps.store.set_pause(&integration.id, pause).await {
            Ok(()) => self.paced(|pace| pace.is_pause_noted = is_paused && !pace.is_pause_changed),
            Err(error) => {
                tracing::debug!(%error, "a pause could not be recorded");
                self.paced(|pace| pace.is_pause_changed = true);
            }
        }
    }

    /// Ends a pause that somebody lifted: it was noted in the store, and is there no more.
    pub(super) async fn heed_lift(&self, integration: &Integration) -> Result<(), StoreError> {
        let is_noted = || {
            let steady = steady(&self.deps.clock);
            self.paced(|pace| pace.is_pause_noted && pace.pacer.paused_until(steady).is_some())
        };
        if !is_noted() {
            return Ok(());
        }
        // Those as well that are over by the wall clock: a pause goes by the time that passes.
        let noted = self.deps.store.pauses(Timestamp::MIN).await?;
        if noted.iter().any(|pause| pause.integration == integration.id) || !is_noted() {
            return Ok(());
        }
        let steady = steady(&self.deps.clock);
        self.paced(|pace| {
            (pace.is_pause_noted, pace.pause) = (false, None);
            pace.pacer.lift(steady);
        });
        let (kind, receiver) = (integration.channel.kind(), integration.receiver.as_str());
        tracing::info!(receiver, integration = kind, "the pause of the integration was lifted");
        self.deps.metrics.integration_paused(kind, receiver, false);
        Ok(())
    }

    pub(super) fn settlement(
        &self,
        integration: &Integration,
        composed: &Composed,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Settlement {
        let delivery = &composed.delivery;
        let next = decide::next(delivery, &integration.retry, outcome, now, fastrand::f64());
        let (word, reason, detail) = decide::describe(outcome);
        let triggers = decide::triggers_fallback(next, outcome);
        Settlement {
            id: delivery.id.clone(),
            attempt: Attempt {
                number: delivery.attempts,
                finished_at: now,
                outcome: word.to_owned(),
                reason: reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
                detail,
            },
            revision: composed.revision,
            next,
            maybe_taken: matches!(outcome, Outcome::Retry { maybe_taken: true, .. }),
            fallback_of: delivery.fallback_of.clone(),
            journal: journal(integration, composed, next, now),
            entry: (next == Next::Delivered)
                .then(|| LogEntry { notified_at: Some(now), ..composed.entry.clone() }),
            events: decide::dead_letter(
                delivery,
                &composed.notification.message,
                next,
                reason,
                now,
            )
            .into_iter()
            .collect(),
            fallbacks: if triggers {
                fallback::deliveries(delivery, &self.deps.receivers.load(), now)
            } else {
                Vec::new()
            },
        }
    }

    pub(super) fn report(
        &self,
        integration: &Integration,
        composed: &Composed,
        settlement: &Settlement,
        outcome: &Outcome,
    ) {
        let delivery = &composed.delivery;
        let (kind, receiver) = (integration.channel.kind(), integration.receiver.as_str());
        let now = settlement.attempt.finished_at;
        let metrics = &self.deps.metrics;
        let (_, reason, detail) = decide::describe(outcome);
        metrics.notified(kind, receiver, reason);
        let (id, attempt) = (&delivery.id, delivery.attempts);
        match settlement.next {
            Next::Delivered => {
                metrics.delivered_after(kind, receiver, clock::until(delivery.created_at, now));
                if let Some(original) = &composed.notification.message.fallback_for {
                    metrics.fell_back(original);
                    tracing::warn!(
                        delivery.id = id,
                        receiver = original,
                        fallback = receiver,
                        "the fallback was notified"
                    );
                }
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
                tracing::warn!(delivery.id = id, receiver, integration = kind, attempt, reason, detail, retry_at = %at, "not delivered, will be retried");
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

    /// Records an outcome. One that the store refuses is offered again beside the loop; if it refuses all along, the lease
    /// runs out and the delivery is sent again with the same key: twice is better than never.
    pub(super) async fn record(self: &Arc<Self>, settlement: Settlement) {
        if self.settle(&settlement).await.is_break() {
            return;
        }
        self.paced(|pace| pace.unrecorded += 1);
        let lane = Arc::clone(self);
        self.tasks.spawn_short(async move {
            for _ in 1..SETTLE_TRIES {
                tokio::time::sleep(POLL).await;
                if lane.settle(&settlement).await.is_break() {
                    break;
                }
            }
            lane.paced(|pace| pace.unrecorded -= 1);
            lane.nudged.notify_one();
        });
    }

    /// Offers an outcome to the store once; whether to go on.
    async fn settle(&self, settlement: &Settlement) -> ControlFlow<()> {
        match self.deps.store.settle(settlement.clone()).await {
            Ok(_) => {}
            Err(error @ StoreError::Closed) => {
                tracing::error!(%error, delivery.id = settlement.id, "the outcome of a send is lost");
            }
            Err(error) => {
                tracing::error!(%error, delivery.id = settlement.id, "the outcome of a send is not recorded yet");
                return ControlFlow::Continue(());
            }
        }
        ControlFlow::Break(())
    }
}

/// What the journal says of a delivery that was made: of each alert that it was notified.
fn journal(
    integration: &Integration,
    composed: &Composed,
    next: Next,
    now: Timestamp,
) -> Vec<JournalEntry> {
    if next != Next::Delivered {
        return Vec::new();
    }
    let (delivery, message) = (&composed.delivery, &composed.notification.message);
    let (kind, why) = (integration.channel.kind(), message.reason.as_str());
    let line = |fingerprint: &Fingerprint| JournalEntry {
        at: now,
        fingerprint: fingerprint.to_string(),
        group_key: delivery.group_key.clone(),
        what: "notified".to_owned(),
        detail: format!("{} by {kind}: {why}", delivery.receiver),
    };
    composed.news.iter().map(line).collect()
}
