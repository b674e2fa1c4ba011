//! The operations that keep the store itself well: its state, what is deleted, its end.

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use super::model::StoreError;
use super::operations::Store;
use super::query::{Stats, Swept};

impl Store {
    /// How the store stands.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.backend().stats().await
    }

    /// Whether the store works: by what its operations met lately, then by writing something small through to the disk.
    pub async fn probe(&self) -> Result<(), StoreError> {
        if let Some(reason) = self.health.sickness(Instant::now()) {
            return Err(StoreError::Unavailable(reason));
        }
        self.backend().probe().await
    }

    /// For tests of failure: sets something on the writing connection, such as `max_page_count = 40` (disk full),
    /// `query_only = 1` (read-only, until the store opens its file again) or `busy_timeout = 0`.
    #[doc(hidden)]
    pub async fn pragma(&self, text: &'static str) -> Result<(), StoreError> {
        self.backend().pragma(text).await
    }

    /// Moves what is stored as "not before" along with a clock that was set by `step`: tries, leases and fallbacks of open
    /// deliveries. What was opened between `from` and `now` the new clock has written, and it stays.
    pub async fn shift_deliveries(
        &self,
        step: SignedDuration,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.backend().shift_deliveries(step, from, now).await
    }

    /// As of when [`Store::sweep`] last deleted; `None` before the first time.
    pub async fn swept_as_of(&self) -> Result<Option<Timestamp>, StoreError> {
        self.backend().swept_as_of().await
    }

    /// Deletes what is older than the retention: judged events, finished deliveries, ended alerts, expired silences,
    /// the journal, readings; charges that nothing touched for the retention and 30 days at least, calls after 7 days; `limit`
    /// of each, and what a few milliseconds are enough for. `now` is not to run ahead of the time that really passes.
    pub async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept, StoreError> {
        self.backend().sweep(now, limit).await
    }

    /// Changes after each commit that added events. Subscribe before looking.
    pub fn recorded(&self) -> watch::Receiver<u64> {
        self.backend().signals().recorded.subscribe()
    }

    /// Changes after each commit that made a delivery claimable or due at another time. Subscribe before looking.
    ///
    /// What another process changes (`deliveries retry`) is not seen: look from time to time, too.
    pub fn queued(&self) -> watch::Receiver<u64> {
        self.backend().signals().queued.subscribe()
    }

    /// Finishes what is queued, checkpoints, closes the file and gives the lock back. Later calls are
    /// [`StoreError::Closed`].
    pub async fn close(&self) -> Result<(), StoreError> {
        self.backend().close().await
    }
}
