//! The operations around events: taking in, reading in order, asking.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::event::Event;
use crate::store::{
    Batch, EventFilter, EventRecord, EventSummary, Feed, Reading, Recorded, StoreError,
    StoredEvent, Unreadable,
};

/// What is taken in, in the order of acceptance.
#[async_trait]
pub trait Inbox {
    /// Keeps an event unless it is here already. Answers after the commit; once polled, it is carried out even
    /// when the caller goes away. Never waits for room in the queue: [`StoreError::QueueFull`] comes at once.
    ///
    /// An id counts as the same event for the retention; a hash of the content for one hour. Both are measured by
    /// `received_at`. Times are kept to the microsecond.
    async fn record(&self, event: Event) -> Result<Recorded, StoreError>;

    /// The events behind `cursor`, in order: `limit` at most, fewer when they are large. Empty means there is none.
    ///
    /// An event that cannot be read back is given as [`Unreadable`], for the engine to mark as faulted and pass.
    async fn inbox_after(
        &self,
        cursor: i64,
        limit: usize,
    ) -> Result<Vec<Result<StoredEvent, Unreadable>>, StoreError>;

    /// [`Inbox::inbox_after`] with what judging these events needs, as of one moment: what is [`Ledger::known`] of the
    /// charges and calls that they speak of, and all silences when their version is not `silences`.
    async fn batch_after(
        &self,
        cursor: i64,
        limit: usize,
        silences: u64,
    ) -> Result<Batch, StoreError>;

    /// Events that were received from `from` until before `to`, in the order of the inbox and behind the place `after`:
    /// `limit` at most, fewer when they are large. Empty means there is none. A payload that was dropped reads as null.
    async fn events_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Result<StoredEvent, Unreadable>>, StoreError>;
}

/// What sources beside the webhooks bring.
#[async_trait]
pub trait Feeds {
    /// Keeps what a source beside the webhooks brings, all of it or nothing. Says of each event whether it is new.
    async fn feed(&self, feed: Feed) -> Result<Vec<Recorded>, StoreError>;

    /// Where a source goes on from; `None` before its first [`Feed::place`].
    async fn place(
        &self,
        account: &str,
        source: &'static str,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// Readings of an account's balance since some time, the latest `limit` of them, oldest first.
    async fn readings(
        &self,
        account: &str,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Reading>, StoreError>;

    /// The last reading of each account that has one.
    async fn last_readings(&self) -> Result<Vec<Reading>, StoreError>;
}

/// Events for people who ask.
#[async_trait]
pub trait Events {
    /// Events, newest first, among the last million.
    async fn events(&self, filter: EventFilter) -> Result<Vec<EventSummary>, StoreError>;

    /// All that is known of the newest event with this id; of this account only, when one is named, for two accounts
    /// may share an id.
    async fn event(
        &self,
        id: &str,
        account: Option<&str>,
    ) -> Result<Option<EventRecord>, StoreError>;
}
