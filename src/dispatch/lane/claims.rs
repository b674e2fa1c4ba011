//! Claims: what is due is read and composed, then claimed as it was composed; and given back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Lane, Ready};
use crate::dispatch::compose::{self, Composed};
use crate::notify::Integration;
use crate::store::{Claim, Claimed, StoreError};

/// How much longer a claim holds than the send may take.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// Deliveries that were composed, to be claimed.
pub(super) struct Prepared {
    /// How many were due.
    pub(super) found: usize,
    claim: Claim,
    composed: Vec<Composed>,
}

impl Lane {
    /// Composes what is due; `None` when nothing is.
    pub(super) async fn prepare(
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

    /// Claims what was prepared, if anything was; `None` when a silence was made meanwhile: then it is to be composed anew.
    pub(super) async fn claim(
        &self,
        prepared: Option<Prepared>,
    ) -> Result<Option<Vec<Composed>>, StoreError> {
        let Some(Prepared { claim, mut composed, .. }) = prepared else {
            return Ok(Some(Vec::new()));
        };
        let ids = composed.iter().map(|one| one.delivery.id.clone()).collect::<Vec<_>>();
        match self.deps.store.claim(claim).await {
            Ok(claimed) => {
                composed.retain(|one| claimed.contains(&one.n));
                Ok(Some(composed))
            }
            Err(StoreError::Stale(_)) => Ok(None),
            Err(error) => {
                // It may have been committed all the same: they would wait for the end of their lease.
                self.paced(|pace| pace.unanswered.extend(ids));
                Err(error)
            }
        }
    }

    /// Records what has ended, and gives back what is not to be sent now.
    pub(super) async fn put_away(self: &Arc<Self>) {
        let (done, unsent, unanswered) = self.paced(|pace| {
            let (done, unsent) = pace.places.take(Instant::now());
            pace.pacer.unsent(unsent.len());
            (done, unsent, std::mem::take(&mut pace.unanswered))
        });
        let done = done.into_iter().map(|one| self.record(one));
        let unsent = unsent.into_iter().map(|one: Ready| one.composed.delivery.id);
        let ids = unsent.chain(unanswered.iter().cloned()).collect();
        tokio::join!(join_all(done), self.release(ids, unanswered));
    }

    /// Gives back what was claimed and is not sent after all: it is to be composed anew.
    async fn release(&self, ids: Vec<String>, unanswered: Vec<String>) {
        if ids.is_empty() {
            return;
        }
        if let Err(error) = self.deps.store.release(ids).await {
            // The lease runs out, and they are claimed again.
            tracing::warn!(%error, "deliveries could not be given back");
            self.paced(|pace| pace.unanswered.extend(unanswered));
        }
    }
}
