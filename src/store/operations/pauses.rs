//! The operations of pauses by hand.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::store::{AuditEntry, ReceiverPause, StoreError};

/// Receivers that somebody has paused: nothing that is owed to them is claimed until the pause ends.
#[async_trait]
pub trait ReceiverPauses {
    /// Pauses a receiver, or changes its pause; the entry of the audit log is written in the same transaction.
    async fn pause_receiver(
        &self,
        pause: ReceiverPause,
        audit: AuditEntry,
    ) -> Result<(), StoreError>;

    /// Ends the pause of a receiver; false when there is none, and then nothing is written. What waited is due, and is as if
    /// queued now: the time for which it may be tried does not count from before.
    async fn resume_receiver(
        &self,
        receiver: &str,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;

    /// Ends the pauses whose time is over, as [`ReceiverPauses::resume_receiver`]; gives their receivers.
    async fn end_receiver_pauses(&self, now: Timestamp) -> Result<Vec<String>, StoreError>;

    /// The pauses that have not ended, by receiver.
    async fn receiver_pauses(&self) -> Result<Vec<ReceiverPause>, StoreError>;
}
