//! The operations of the store.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::currencies::Currencies;
use super::feed::{ChargeFilter, Feed, Reading};
use super::health::{Health, Part};
use super::model::{
    Batch, Changes, Committed, JournalEntry, Known, Recorded, Resumed, Row, Silences, Space,
    StoreError, StoredEvent, Unreadable,
};
use super::open::{Observer, OpenError, Settings};
use super::outbox::{
    Attempt, Claim, Delivery, DueDeliveries, KnownGroup, NewDelivery, Resent, Settled, Settlement,
};
use super::query::{
    AlertFilter, DeliveryFilter, EventFilter, EventRecord, EventSummary, GroupRecord, Retry,
};
use super::sqlite;
use crate::alerts::{Alert, Fingerprint, Silence};
use crate::event::Event;
use crate::rules::{CallKey, Entry, LedgerKey};

/// The store. Cheap to clone; all clones are one store.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Backend,
    currencies: Currencies,
    pub(super) health: Arc<Health>,
}

/// Where it is kept.
#[derive(Debug, Clone)]
enum Backend {
    Sqlite(Arc<sqlite::Sqlite>),
}

impl Store {
    /// Opens the database for the one process that serves from it, and brings it up to date.
    pub async fn open(settings: &Settings, observer: Observer) -> Result<Self, OpenError> {
        let sqlite = sqlite::Sqlite::open(settings, observer).await?;
        Ok(Self::sqlite(sqlite).learn_currencies().await)
    }

    /// Opens an existing database beside the process that serves from it, to list, to retry and to silence.
    pub async fn attach(path: &Path) -> Result<Self, OpenError> {
        sqlite::Sqlite::attach(path).await.map(Self::sqlite)
    }

    fn sqlite(sqlite: sqlite::Sqlite) -> Self {
        let backend = Backend::Sqlite(Arc::new(sqlite));
        Self { backend, currencies: Currencies::default(), health: Arc::default() }
    }

    /// In which currency each account is charged: by the readings at start, and by those that came since.
    pub fn currencies(&self) -> &Currencies {
        &self.currencies
    }

    /// Takes what is stored. Without it amounts are of an unknown currency until the next reading: no reason not to start.
    async fn learn_currencies(self) -> Self {
        match self.last_readings().await {
            Ok(readings) => self.currencies.learn(&readings),
            Err(error) => tracing::warn!(%error, "the last balance readings cannot be read back"),
        }
        self
    }

    pub(super) fn backend(&self) -> &sqlite::Sqlite {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite
    }

    /// Keeps an event unless it is here already. Answers after the commit; once polled, it is carried out even
    /// when the caller goes away. Never waits for room in the queue: [`StoreError::QueueFull`] comes at once.
    ///
    /// An id counts as the same event for the retention; a hash of the content for one hour. Both are measured by
    /// `received_at`. Times are kept to the microsecond.
    pub async fn record(&self, event: Event) -> Result<Recorded, StoreError> {
        if let Some(reason) = self.health.refusal() {
            return Err(StoreError::Unavailable(reason));
        }
        let recorded = self.backend().record(event).await;
        self.health.note_event(&recorded, Instant::now());
        recorded
    }

    /// Keeps what a source beside the webhooks brings, all of it or nothing. Tells of each event whether it is new.
    pub async fn feed(&self, feed: Feed) -> Result<Vec<Recorded>, StoreError> {
        let reading = feed.reading.clone();
        let recorded = self.backend().feed(feed).await?;
        self.currencies.learn(&reading);
        Ok(recorded)
    }

    /// Where a source goes on from; `None` before its first [`Feed::place`].
    pub async fn place(
        &self,
        account: &str,
        source: &'static str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.backend().place(account, source).await
    }

    /// Readings of an account's balance since some time, the latest `limit` of them, oldest first.
    pub async fn readings(
        &self,
        account: &str,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Reading>, StoreError> {
        self.backend().readings(account, since, limit).await
    }

    /// The last reading of each account that has one.
    pub async fn last_readings(&self) -> Result<Vec<Reading>, StoreError> {
        self.backend().last_readings().await
    }

    /// Charges of a range of time, in the order of time and key.
    pub async fn charges(&self, filter: ChargeFilter) -> Result<Vec<Entry>, StoreError> {
        self.backend().charges(filter).await
    }

    /// The events behind `cursor`, in order: `limit` at most, fewer when they are large. Empty means there is none.
    ///
    /// An event that cannot be read back is given as [`Unreadable`], for the engine to mark as faulted and pass.
    pub async fn inbox_after(
        &self,
        cursor: i64,
        limit: usize,
    ) -> Result<Vec<Result<StoredEvent, Unreadable>>, StoreError> {
        self.backend().inbox_after(cursor, limit).await
    }

    /// [`Store::inbox_after`] with what judging these events needs, as of one moment: what is [`Store::known`] of the
    /// charges and calls that they speak of, and all silences when their version is not `silences`.
    pub async fn batch_after(
        &self,
        cursor: i64,
        limit: usize,
        silences: u64,
    ) -> Result<Batch, StoreError> {
        let result = self.backend().batch_after(cursor, limit, silences).await;
        self.health.note(Part::Reading, &result);
        result
    }

    /// What the engine goes on from at start.
    pub async fn resume(&self) -> Result<Resumed, StoreError> {
        self.backend().resume().await
    }

    /// The place of the newest event that was ever stored; 0 before the first.
    pub async fn newest_seq(&self) -> Result<i64, StoreError> {
        self.backend().newest_seq().await
    }

    /// As [`Store::resume`], without series: there may be a hundred thousand, and who asks about one event needs few.
    pub async fn resume_without_series(&self) -> Result<Resumed, StoreError> {
        self.backend().resume_but(&[Space::Series]).await
    }

    /// Series of a rule: those with these fingerprints, or all (`limit` at most) when it has `all_from` or more.
    pub async fn series(
        &self,
        rule: &str,
        fingerprints: &[Fingerprint],
        all_from: usize,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.backend().series(rule, fingerprints, all_from, limit).await
    }

    /// Commits one judged batch, all or nothing. The cursor never goes back: [`StoreError::Stale`] when the batch
    /// holds anything that is judged already. With [`PayloadPolicy::None`] the payloads of the batch are dropped.
    pub async fn commit(&self, changes: Changes) -> Result<Committed, StoreError> {
        let result = self.backend().commit(changes).await;
        self.health.note(Part::Judging, &result);
        result
    }

    /// What the ledger and the call context hold of these keys, and the charges of these calls, for what is learned of
    /// a call late completes its charge. As many keys as one batch of events has.
    pub async fn known(
        &self,
        ledger: Vec<LedgerKey>,
        calls: Vec<CallKey>,
    ) -> Result<Known, StoreError> {
        self.backend().known(ledger, calls).await
    }

    /// The silences' version alone, cheaper than all of them.
    pub async fn silences_version(&self) -> Result<u64, StoreError> {
        self.backend().silences_version().await
    }

    /// All silences.
    pub async fn silences(&self) -> Result<Silences, StoreError> {
        self.backend().silences().await
    }

    /// Makes a silence, or changes the one of the same id. Once it is answered, nothing more is claimed that was composed
    /// without it ([`Claim::silences`]). There is a bound on how many are kept:
    /// [`StoreError::Unstorable`] beyond it.
    pub async fn put_silence(&self, silence: Silence) -> Result<(), StoreError> {
        self.backend().put_silence(silence).await
    }

    /// The engine's rows of one kind, in the order of their keys, `limit` at most; for people and programs that ask.
    pub async fn rows(&self, space: Space, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.backend().rows(space, limit).await
    }

    /// The groups that hold an alert, or by which somebody was told of it.
    pub async fn groups_of(
        &self,
        fingerprint: &Fingerprint,
    ) -> Result<Vec<GroupRecord>, StoreError> {
        self.backend().groups_of(fingerprint).await
    }

    /// Alerts, firing ones first (by fingerprint), then the latest ended; `limit` at most.
    pub async fn alerts(&self, filter: AlertFilter) -> Result<Vec<Alert>, StoreError> {
        self.backend().alerts(filter).await
    }

    /// The story of one alert, newest first; `limit` at most.
    pub async fn journal(
        &self,
        fingerprint: String,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        self.backend().journal(fingerprint, limit).await
    }

    /// Deliveries of an integration that are due, longest due first, `limit` at most, with all that their messages are
    /// composed of. One whose lease ran out is among them.
    pub async fn due(
        &self,
        integration: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<DueDeliveries, StoreError> {
        let result = self.backend().due(integration, now, limit).await;
        self.health.note(Part::Due, &result);
        result
    }

    /// Claims what [`Store::due`] gave, as it was composed. Gives the places of those that were still due.
    /// [`StoreError::Stale`] when the silences have changed since: nothing is claimed then.
    pub async fn claim(&self, claim: Claim) -> Result<Vec<i64>, StoreError> {
        let result = self.backend().claim(claim).await;
        self.health.note(Part::Claiming, &result);
        result
    }

    /// Groups of which an integration with one target knows alerts as firing, behind a group key, in the order of keys, and
    /// the silences' version; not those for which it has a delivery open. The key of the last group that was looked at, to go
    /// on from; `None` at the end.
    pub async fn known_groups(
        &self,
        integration: &str,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<KnownGroup>, Option<String>), StoreError> {
        self.backend().known_groups(integration, after, limit).await
    }

    /// Notes until when an integration is left alone and why, for people who ask; `None` when it is not.
    pub async fn set_pause(
        &self,
        integration: &str,
        pause: Option<(Timestamp, String)>,
    ) -> Result<(), StoreError> {
        self.backend().set_pause(integration, pause).await
    }

    /// When [`Store::due`] will next find something for this integration; `None` while nothing is open.
    pub async fn next_due(&self, integration: &str) -> Result<Option<Timestamp>, StoreError> {
        self.backend().next_due(integration).await
    }

    /// Records how an attempt ended. `attempt.number` is the claimed [`Delivery::attempts`]: by it an outcome that
    /// comes after the lease was taken over is told apart. That a peer took it is believed at any time.
    pub async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        let result = self.backend().settle(settlement).await;
        self.health.note(Part::Settling, &result);
        result
    }

    /// Gives claimed deliveries back whose sending was not begun: they wait again, and the attempt does not count.
    pub async fn release(&self, ids: Vec<String>) -> Result<(), StoreError> {
        self.backend().release(ids).await
    }

    /// At start: deliveries that a former process was sending wait again, marked [`Delivery::maybe_repeated`].
    pub async fn release_all(&self) -> Result<Vec<Resent>, StoreError> {
        self.backend().release_all().await
    }

    /// Open deliveries whose fallback is to be notified by now and was not, longest due first.
    pub async fn fallback_due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.backend().fallback_due(now, limit).await
    }

    /// Opens deliveries to the fallback of an open delivery, once; false when there was nothing to open: it was triggered
    /// before, for this delivery or for another of the same group, or the delivery has ended.
    pub async fn trigger_fallback(
        &self,
        id: String,
        fallbacks: Vec<NewDelivery>,
    ) -> Result<bool, StoreError> {
        self.backend().trigger_fallback(id, fallbacks).await
    }

    /// Ends open deliveries of integrations that are not among `known` as dead: `receiver removed`. Tells how many.
    pub async fn dead_letter_orphans(
        &self,
        known: Vec<String>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        self.backend().dead_letter_orphans(known, now).await
    }

    /// Deliveries, newest first.
    pub async fn deliveries(&self, filter: DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        self.backend().deliveries(filter).await
    }

    /// One delivery with its last attempts, oldest first. The beginning of an id will do from 8 characters on, when
    /// no other begins so.
    pub async fn delivery(&self, id: &str) -> Result<Option<(Delivery, Vec<Attempt>)>, StoreError> {
        self.backend().delivery(id).await
    }

    /// Lets dead deliveries wait again as if queued now, their attempts kept. Tells how many.
    pub async fn retry(&self, selection: Retry, now: Timestamp) -> Result<usize, StoreError> {
        self.backend().retry(selection, now).await
    }

    /// Events, newest first, among the last million.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<EventSummary>, StoreError> {
        self.backend().events(filter).await
    }

    /// Events that were received from `from` until before `to`, in the order of the inbox and behind the place `after`:
    /// `limit` at most, fewer when they are large. Empty means there is none. A payload that was dropped reads as null.
    pub async fn events_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Result<StoredEvent, Unreadable>>, StoreError> {
        self.backend().events_between(from, to, after, limit).await
    }

    /// All that is known of the newest event with this id; of this account only, when one is named, for two accounts
    /// may share an id.
    pub async fn event(
        &self,
        id: &str,
        account: Option<&str>,
    ) -> Result<Option<EventRecord>, StoreError> {
        self.backend().event(id, account).await
    }
}
