//! The operations around the outbox: claims, outcomes, the notification log.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::alerts::Fingerprint;
use crate::store::{
    Attempt, Claim, Delivery, DeliveryFilter, DueDeliveries, GroupRecord, KnownGroup, NewDelivery,
    Resent, Retried, Retry, Settled, Settlement, StoreError,
};

/// What is due, and who sends it.
#[async_trait]
pub trait Claims {
    /// Deliveries of an integration that are due, longest due first, `limit` at most, with all that their messages are
    /// composed of. One whose lease ran out is among them. Nothing while its receiver is paused.
    async fn due(
        &self,
        integration: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<DueDeliveries, StoreError>;

    /// Claims what [`Claims::due`] gave, as it was composed. Gives the places of those that were still due.
    /// [`StoreError::Stale`] when the silences have changed since: nothing is claimed then.
    async fn claim(&self, claim: Claim) -> Result<Vec<i64>, StoreError>;

    /// When [`Claims::due`] will next find something for this integration; `None` while nothing is open, or its receiver is
    /// paused.
    async fn next_due(&self, integration: &str) -> Result<Option<Timestamp>, StoreError>;
}

/// What becomes of deliveries.
#[async_trait]
pub trait Outcomes {
    /// Records how an attempt ended. `attempt.number` is the claimed [`Delivery::attempts`]: by it an outcome that
    /// comes after the lease was taken over is told apart. That a peer took it is believed at any time.
    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError>;

    /// Gives claimed deliveries back whose sending was not begun: they wait again, and the attempt does not count.
    async fn release(&self, ids: Vec<String>) -> Result<(), StoreError>;

    /// At start: deliveries that a former process was sending wait again, marked [`Delivery::maybe_repeated`].
    async fn release_all(&self) -> Result<Vec<Resent>, StoreError>;

    /// Open deliveries whose fallback is to be notified by now and was not, longest due first.
    async fn fallback_due(&self, now: Timestamp, limit: usize)
    -> Result<Vec<Delivery>, StoreError>;

    /// Opens deliveries to the fallback of an open delivery, once; false when there was nothing to open: it was triggered
    /// before, for this delivery or for another of the same group, or the delivery has ended.
    async fn trigger_fallback(
        &self,
        id: String,
        fallbacks: Vec<NewDelivery>,
    ) -> Result<bool, StoreError>;

    /// Ends open deliveries of integrations that are not among `known` as dead: `receiver removed`. Says how many.
    async fn dead_letter_orphans(
        &self,
        known: Vec<String>,
        now: Timestamp,
    ) -> Result<usize, StoreError>;
}

/// Deliveries for people who ask, and their retry by hand.
#[async_trait]
pub trait Deliveries {
    /// Deliveries, newest first.
    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Vec<Delivery>, StoreError>;

    /// Ends the delivery with exactly this id as dead, `cancelled`, while it waits and was tried so often; `why` is one line.
    /// False when it does not wait any more, is being sent, was tried again, or has ended.
    async fn cancel(
        &self,
        id: String,
        attempts: u32,
        why: String,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// One delivery with its last attempts, oldest first. The beginning of an id will do from 8 characters on, when
    /// no other begins so.
    async fn delivery(&self, id: &str) -> Result<Option<(Delivery, Vec<Attempt>)>, StoreError>;

    /// Lets dead deliveries wait again as if queued now, their attempts kept: the newest of each target of a group, unless it
    /// was notified of the group later or has a delivery open for it. Says what became of each. All that is asked for and
    /// waits then, be it that it waited already, is tried at once: as by [`NotificationLog::lift_pause`].
    async fn retry(&self, selection: Retry, now: Timestamp) -> Result<Retried, StoreError>;
}

/// What each target was last notified of.
#[async_trait]
pub trait NotificationLog {
    /// Groups of which an integration with one target knows alerts as firing, behind a group key, in the order of keys, and
    /// the silences' version; not those for which it has a delivery open. The key of the last group that was looked at, to go
    /// on from; `None` at the end.
    async fn known_groups(
        &self,
        integration: &str,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<KnownGroup>, Option<String>), StoreError>;

    /// The groups that hold an alert, or by which somebody was notified of it.
    async fn groups_of(&self, fingerprint: &Fingerprint) -> Result<Vec<GroupRecord>, StoreError>;

    /// Notes until when an integration is left alone and why, for people who ask; `None` when it is not.
    async fn set_pause(
        &self,
        integration: &str,
        pause: Option<(Timestamp, String)>,
    ) -> Result<(), StoreError>;

    /// Lets an integration be tried again at once: its pause is noted no more, which whoever sends for it heeds within a
    /// second or two, and what waits for it is due.
    async fn lift_pause(&self, integration: &str, now: Timestamp) -> Result<(), StoreError>;
}
