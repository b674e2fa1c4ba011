//! The handle by which the store's operations are called: a [`Backend`], and what is the same for every one.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::currencies::Currencies;
use super::duties::Role;
use super::feed::Feed;
use super::health::{Health, Part};
use super::model::{Batch, Changes, Committed, Recorded, StoreError};
use super::open::{Observer, OpenError, Place, Settings};
use super::operations::Backend;
use super::outbox::{Claim, DueDeliveries, Settled, Settlement};
use super::postgres::{Postgres, PostgresSettings};
use super::sqlite::Sqlite;
use crate::event::Event;

/// The store: a handle of a [`Backend`], whose operations it has. Cheap to clone; all clones are one store.
///
/// Its own operations are those of the same names, and note whether they went well ([`Store::probe`]).
#[derive(Debug, Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    currencies: Currencies,
    health: Arc<Health>,
}

impl Deref for Store {
    type Target = dyn Backend;

    fn deref(&self) -> &Self::Target {
        &*self.backend
    }
}

impl Store {
    /// Opens the database for the one process that serves from it, and brings it up to date.
    pub async fn open(settings: &Settings, observer: Observer) -> Result<Self, OpenError> {
        let sqlite = Sqlite::open(settings, observer).await?;
        Ok(Self::new(sqlite).learn_currencies().await)
    }

    /// Opens a PostgreSQL database as one of the processes that serve from it, and brings it up to date.
    pub async fn open_postgres(
        settings: &PostgresSettings,
        observer: Observer,
    ) -> Result<Self, OpenError> {
        let postgres = Postgres::open(settings, observer).await?;
        Ok(Self::new(postgres).learn_currencies().await)
    }

    /// Opens an existing database beside the processes that serve from it, to list, to retry and to silence.
    pub async fn attach(place: impl Into<Place>) -> Result<Self, OpenError> {
        match place.into() {
            Place::Sqlite(path) => Sqlite::attach(&path).await.map(Self::new),
            Place::Postgres(address) => Postgres::attach(&address).await.map(Self::new),
        }
    }

    fn new(backend: impl Backend) -> Self {
        Self {
            backend: Arc::new(backend),
            currencies: Currencies::default(),
            health: Arc::default(),
        }
    }

    /// What keeps it: `sqlite` or `postgresql`.
    pub fn kind(&self) -> &'static str {
        if self.sqlite().is_some() { "sqlite" } else { "postgresql" }
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

    /// [`super::Inbox::record`]; refuses while nobody could judge the event.
    pub async fn record(&self, event: Event) -> Result<Recorded, StoreError> {
        if let Some(reason) = self.health.refusal() {
            return Err(StoreError::Unavailable(reason));
        }
        let recorded = self.backend.record(event).await;
        self.health.note_event(&recorded, Instant::now());
        recorded
    }

    /// [`super::Feeds::feed`]; learns the currency of a reading.
    pub async fn feed(&self, feed: Feed) -> Result<Vec<Recorded>, StoreError> {
        let reading = feed.reading.clone();
        let recorded = self.backend.feed(feed).await?;
        self.currencies.learn(&reading);
        Ok(recorded)
    }

    /// [`super::Inbox::batch_after`].
    pub async fn batch_after(
        &self,
        cursor: i64,
        limit: usize,
        silences: u64,
    ) -> Result<Batch, StoreError> {
        let result = self.backend.batch_after(cursor, limit, silences).await;
        self.health.note(Part::Reading, &result);
        result
    }

    /// [`super::Judging::commit`].
    pub async fn commit(&self, changes: Changes) -> Result<Committed, StoreError> {
        let result = self.backend.commit(changes).await;
        self.health.note(Part::Judging, &result);
        result
    }

    /// [`super::Claims::due`].
    pub async fn due(
        &self,
        integration: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<DueDeliveries, StoreError> {
        let result = self.backend.due(integration, now, limit).await;
        self.health.note(Part::Due, &result);
        result
    }

    /// [`super::Claims::claim`].
    pub async fn claim(&self, claim: Claim) -> Result<Vec<i64>, StoreError> {
        let result = self.backend.claim(claim).await;
        self.health.note(Part::Claiming, &result);
        result
    }

    /// [`super::Outcomes::settle`].
    pub async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        let result = self.backend.settle(settlement).await;
        self.health.note(Part::Settling, &result);
        result
    }

    /// Takes note that another process has the role now: what failed of it here says nothing of the store any more.
    pub fn leaves(&self, role: &Role) {
        self.health.forget(match role {
            Role::Judge => &[Part::Reading, Part::Judging],
            Role::Send(_) => &[Part::Due, Part::Claiming, Part::Settling],
        });
    }

    /// Whether the store works: by what its operations met lately, then by [`super::Figures::probe`].
    pub async fn probe(&self) -> Result<(), StoreError> {
        if let Some(reason) = self.health.sickness(Instant::now()) {
            return Err(StoreError::Unavailable(reason));
        }
        self.backend.probe().await
    }

    /// Changes after each commit that added events. Subscribe before looking.
    pub fn recorded(&self) -> watch::Receiver<u64> {
        self.signals().recorded.subscribe()
    }

    /// Changes after each commit that made a delivery claimable or due at another time. Subscribe before looking.
    ///
    /// What another process changes (`deliveries retry`) is not seen: look from time to time, too.
    pub fn queued(&self) -> watch::Receiver<u64> {
        self.signals().queued.subscribe()
    }

    /// For tests of failure, on SQLite: sets something on the writing connection, such as `max_page_count = 40` (disk
    /// full), `query_only = 1` (read-only, until the store opens its file again) or `busy_timeout = 0`.
    #[doc(hidden)]
    pub async fn pragma(&self, text: &'static str) -> Result<(), StoreError> {
        match self.sqlite() {
            Some(sqlite) => sqlite.pragma(text).await,
            None => Err(StoreError::Unavailable("there are no pragmas here".to_owned())),
        }
    }

    /// The backend, where it is PostgreSQL's.
    pub(super) fn postgres(&self) -> Option<&Postgres> {
        let backend: &dyn Any = &*self.backend;
        backend.downcast_ref()
    }

    /// The backend, where it is SQLite's.
    pub(super) fn sqlite(&self) -> Option<&Sqlite> {
        let backend: &dyn Any = &*self.backend;
        backend.downcast_ref()
    }
}
