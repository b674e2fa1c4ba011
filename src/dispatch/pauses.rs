//! Ends the pauses of receivers whose time is over, and says who is paused.

use std::collections::BTreeSet;
use std::time::Duration;

use super::deps::Deps;
use crate::clock;
use crate::store::{Role, StoreError};
use crate::tasks::Tasks;

/// How often pauses are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Looks until shutdown.
pub(super) async fn run(deps: Deps, tasks: Tasks) {
    let mut paused = BTreeSet::new();
    while !tasks.is_stopping() {
        match look(&deps).await {
            Ok(now) => {
                for receiver in paused.symmetric_difference(&now) {
                    deps.metrics.receiver_paused(receiver, now.contains(receiver));
                }
                paused = now;
            }
            Err(error) => tracing::error!(%error, "pauses of receivers cannot be looked at"),
        }
        tokio::select! {
            () = deps.clock.sleep_until(clock::add(deps.clock.now(), PERIOD)) => {}
            () = tasks.stopping() => {}
        }
    }
}

/// The receivers that are paused, once those whose time is over are not.
async fn look(deps: &Deps) -> Result<BTreeSet<String>, StoreError> {
    let now = deps.clock.now();
    let mut pauses = deps.store.receiver_pauses().await?;
    // Of several replicas one ends them.
    if pauses.iter().any(|pause| pause.until <= now) && deps.store.holds(&Role::Judge) {
        for receiver in deps.store.end_receiver_pauses(now).await? {
            tracing::info!(receiver, "the pause of the receiver is over");
            pauses.retain(|pause| pause.receiver != receiver);
        }
    }
    let known = deps.receivers.load();
    let names = pauses.into_iter().map(|pause| pause.receiver);
    Ok(names.filter(|receiver| known.contains_key(receiver)).collect())
}
