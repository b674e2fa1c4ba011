//! Notifies a receiver's fallback when the receiver cannot be reached in time. The original keeps trying.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::deps::Deps;
use crate::alerts::TargetId;
use crate::clock;
use crate::notify::Receiver;
use crate::store::{Delivery, NewDelivery, Role, StoreError, delivery_id};
use crate::tasks::Tasks;

/// How often undelivered notifications are looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// Fallbacks triggered in one look at most.
const BATCH_MAX: usize = 100;

/// Triggers fallbacks whose time has come, until shutdown.
pub(super) async fn run(deps: Deps, tasks: Tasks) {
    while !tasks.is_stopping() {
        if let Err(error) = trigger_due(&deps).await {
            tracing::error!(%error, "due fallbacks cannot be triggered");
        }
        tokio::select! {
            () = deps.clock.sleep_until(clock::add(deps.clock.now(), PERIOD)) => {}
            () = tasks.stopping() => {}
        }
    }
}

async fn trigger_due(deps: &Deps) -> Result<(), StoreError> {
    if !deps.store.holds(&Role::Judge) {
        // Another replica looks; which fallback there is, is in its configuration.
        return Ok(());
    }
    let now = deps.clock.now();
    for delivery in deps.store.fallback_due(now, BATCH_MAX).await? {
        let fallbacks = deliveries(&delivery, &deps.receivers.load(), now);
        let (id, receiver) = (delivery.id.clone(), delivery.receiver.as_str());
        if deps.store.trigger_fallback(delivery.id.clone(), fallbacks).await? {
            tracing::info!(
                delivery.id = id,
                receiver,
                "undelivered for too long, the fallback is triggered"
            );
        }
    }
    Ok(())
}

/// What a delivery's fallback is owed while the delivery is not made; nothing without a fallback.
pub(super) fn deliveries(
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
    let further = fallback.fallback.as_ref().map(|_| clock::add(now, fallback.fallback_after));
    let mut owed = Vec::new();
    for integration in &fallback.integrations {
        for target in integration.channel.targets() {
            owed.push(NewDelivery {
                id: delivery_id(&["fallback", &delivery.id, &integration.id, &target]),
                target: TargetId::new(integration.id.clone(), target),
                receiver: fallback.name.clone(),
                group_key: delivery.group_key.clone(),
                opened_at: now,
                fallback_at: further,
                fallback_of: Some(delivery.id.clone()),
                caused_by: Vec::new(),
            });
        }
    }
    owed
}
