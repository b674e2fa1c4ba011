//! Rings a receiver's fallback when the receiver cannot be reached in time. The original keeps trying.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::Deps;
use crate::alerts::Message;
use crate::clock;
use crate::notify::Receiver;
use crate::store::{Delivery, NewDelivery, StoreError, delivery_id};
use crate::tasks::Tasks;

/// The receivers in force, by name.
pub type Receivers = Arc<ArcSwap<BTreeMap<String, Receiver>>>;

/// How often undelivered messages are looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// Fallbacks rung in one look at most.
const BATCH_MAX: usize = 100;

/// Rings fallbacks whose time has come, until shutdown.
pub(super) async fn run(deps: Deps, tasks: Tasks) {
    while !tasks.is_stopping() {
        if let Err(error) = ring_due(&deps).await {
            tracing::error!(%error, "due fallbacks cannot be rung");
        }
        tokio::select! {
            () = deps.clock.sleep_until(clock::add(deps.clock.now(), PERIOD)) => {}
            () = tasks.stopping() => {}
        }
    }
}

async fn ring_due(deps: &Deps) -> Result<(), StoreError> {
    let now = deps.clock.now();
    for delivery in deps.store.fallback_due(now, BATCH_MAX).await? {
        let copies = copies(&delivery, &deps.receivers.load(), now);
        let (id, receiver) = (delivery.id.clone(), delivery.receiver.as_str());
        if deps.store.trigger_fallback(delivery.id.clone(), copies).await? {
            tracing::warn!(delivery.id = id, receiver, "undelivered for too long, fallback rung");
            deps.metrics.fell_back(receiver);
        }
    }
    Ok(())
}

/// The copies of a delivery for its receiver's fallback; none without a fallback. Their identity is that of the message:
/// the fallback hears of it once, however many of the receiver's targets fail.
pub(super) fn copies(
    delivery: &Delivery,
    receivers: &BTreeMap<String, Receiver>,
    now: Timestamp,
) -> Vec<NewDelivery> {
    let Some(fallback) = receivers
        .get(&delivery.receiver)
        .and_then(|receiver| receiver.fallback.as_ref())
        .and_then(|name| receivers.get(name))
    else {
        return Vec::new();
    };
    let message = Message {
        receiver: fallback.name.clone(),
        fallback_for: Some(delivery.receiver.clone()),
        ..delivery.message.clone()
    };
    let queued_at = delivery.message.created_at.to_string();
    let mut copies = Vec::new();
    for integration in fallback.integrations.iter().filter(|one| one.tells(&message)) {
        for target in integration.channel.targets() {
            copies.push(NewDelivery {
                id: delivery_id(&[
                    "fallback",
                    &delivery.receiver,
                    &delivery.group_key,
                    &queued_at,
                    &integration.id,
                    &target,
                ]),
                integration: integration.id.clone(),
                receiver: fallback.name.clone(),
                target,
                group_key: delivery.group_key.clone(),
                created_at: now,
                fallback_at: fallback
                    .fallback
                    .as_ref()
                    .map(|_| clock::add(now, fallback.fallback_after)),
                fallback_of: Some(delivery.id.clone()),
                caused_by: Vec::new(),
                message: message.clone(),
            });
        }
    }
    copies
}
