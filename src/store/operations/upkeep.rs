//! The operations that keep the store itself well: its state, what is deleted, its end.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::store::{Stats, StoreError, Swept};

/// How the store stands.
#[async_trait]
pub trait Figures {
    /// How the store stands.
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// Whether the store works: by what its operations met lately, then by writing something small through to the disk.
    async fn probe(&self) -> Result<(), StoreError>;
}

/// What goes with time, and what moves with a clock.
#[async_trait]
pub trait Retention {
    /// Moves what is stored as "not before" along with a clock that was set by `step`: tries, leases and fallbacks of open
    /// deliveries. What was opened between `from` and `now` the new clock has written, and it stays.
    async fn shift_deliveries(
        &self,
        step: SignedDuration,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Lets open deliveries that were opened after `after` have been opened `now`, with what they wait for: another clock
    /// opened them, or ours before it was set back while nobody saw it. How many there were.
    async fn pull_in_deliveries(&self, after: Timestamp, now: Timestamp)
    -> Result<u64, StoreError>;

    /// As of when [`Retention::sweep`] last deleted. Before the first time, the newest time that is stored: a clock that is
    /// ahead at the first start must not delete it. `None` when nothing is stored.
    async fn swept_as_of(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Deletes what is older than the retention: judged events, finished deliveries, ended alerts, expired silences,
    /// the journal, readings, the audit log; charges that nothing touched for the retention and 30 days at least, calls after 7 days; `limit`
    /// of each, and what a few milliseconds are enough for. `now` is not to run ahead of the time that really passes.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept, StoreError>;
}
