//! The store in PostgreSQL, for one replica or many.
//!
//! Events that come at the same time share one statement (`recorder`, `arrivals`); everything else is a short transaction
//! on a connection of the pool (`link`). Nothing is prepared and no setting outlives a transaction, so that a pooler in
//! transaction mode may stand between (`sql`). What only one replica does at a time it does under a lease (`duties`). The
//! operations stand by subject, in files named as SQLite's.

mod address;
mod alerts;
mod arrivals;
mod audit;
mod claims;
mod copy;
mod deliveries;
mod duties;
mod events;
mod failure;
mod feed;
mod forget;
mod inbox;
mod journal;
mod judged;
mod ledger;
mod link;
mod migrations;
mod notification_log;
mod pause;
mod others;
mod outcomes;
mod receiver_pauses;
mod recorder;
mod release;
mod silences;
mod soundness;
mod sql;
mod state;
mod stats;
mod sweep;
mod values;
mod views;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::address::Address;
pub(super) use self::copy::PostgresEnd;
use self::duties::Duties;
use self::failure::Failure;
use self::link::Link;
use self::migrations::Mismatch;
use self::recorder::Recorder;
use super::{Backend, Observer, Offer, OpenError, RETENTION_MIN, Signals, StoreError};
use crate::event::PayloadPolicy;

/// Connections for duties and readiness: they must not wait for a pool that is full.
const CONTROL_CONNECTIONS: usize = 2;

/// What the store is told by the configuration.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// The database.
    pub address: Address,
    /// How long judged events and finished deliveries are kept; less than 7 days counts as 7 days.
    pub retention: Duration,
    /// How much of a payload is kept once its event is judged.
    pub payload: PayloadPolicy,
    /// What this replica can do from the start on.
    pub offer: Offer,
}

/// A database, and what this process does with it.
#[derive(Debug)]
pub(super) struct Postgres {
    link: Arc<Link>,
    control: Arc<Link>,
    recorder: Recorder,
    signals: Arc<Signals>,
    duties: Arc<Duties>,
    /// Below this place no event appears any more.
    horizon: AtomicI64,
    retention: Duration,
    payload: PayloadPolicy,
    stop: watch::Sender<bool>,
    /// What renews the duties and watches the others.
    keepers: Mutex<Vec<JoinHandle<()>>>,
}

impl Postgres {
    /// Opens the database as one of the replicas that serve from it, and brings it up to date.
    pub(super) async fn open(
        settings: &PostgresSettings,
        observer: Observer,
    ) -> Result<Self, OpenError> {
        let address = &settings.address;
        let store = Self::new(settings, observer)?;
        let migrated = migrations::migrate(&store.link, &address.schema).await;
        migrated.map_err(|mismatch| refused(address, mismatch))?;
        super::Duties::offer(&store, settings.offer.clone());
        // What is free is ours before anybody asks.
        let first = store.duties.turn(&store.control, &store.signals).await;
        first.map_err(|failure| refused(address, failure.into()))?;
        let runtime = Handle::current();
        let (control, signals) = (Arc::clone(&store.control), Arc::clone(&store.signals));
        let keeper = Arc::clone(&store.duties).keep(control, signals, store.stop.subscribe());
        let keeper = runtime.spawn(keeper);
        let (control, signals) = (Arc::clone(&store.control), Arc::clone(&store.signals));
        let watcher = Arc::clone(&store.duties);
        let watcher = runtime.spawn(watcher.watch_others(control, signals, store.stop.subscribe()));
        store.keepers.lock().unwrap_or_else(PoisonError::into_inner).extend([keeper, watcher]);
        Ok(store)
    }

    /// Opens an existing database beside the replicas that serve from it; takes no duty.
    pub(super) async fn attach(address: &Address) -> Result<Self, OpenError> {
        let settings = PostgresSettings {
            address: address.clone(),
            retention: RETENTION_MIN,
            payload: PayloadPolicy::default(),
            offer: Offer::default(),
        };
        let store = Self::new(&settings, Box::new(|_| ()))?;
        let current = migrations::require_current(&store.link, &address.schema).await;
        current.map_err(|mismatch| refused(address, mismatch))?;
        Ok(store)
    }

    fn new(settings: &PostgresSettings, observer: Observer) -> Result<Self, OpenError> {
        let link = Arc::new(Link::new(&settings.address, settings.address.connections)?);
        let control = Arc::new(Link::new(&settings.address, CONTROL_CONNECTIONS)?);
        let signals = Arc::<Signals>::default();
        Ok(Self {
            recorder: Recorder::start(Arc::clone(&link), Arc::clone(&signals), observer),
            link,
            control,
            signals,
            duties: Arc::new(Duties::new()),
            horizon: AtomicI64::new(0),
            retention: settings.retention.max(RETENTION_MIN),
            payload: settings.payload,
            stop: watch::Sender::new(false),
            keepers: Mutex::default(),
        })
    }

    fn tell_recorded(&self, whether: bool) {
        if whether {
            self.signals.recorded.send_modify(|count| *count += 1);
        }
    }

    fn tell_queued(&self, whether: bool) {
        if whether {
            self.signals.queued.send_modify(|count| *count += 1);
        }
    }
}

#[async_trait]
impl Backend for Postgres {
    fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Also gives its duties back, so that other replicas need not wait for their end.
    async fn close(&self) -> Result<(), StoreError> {
        let closed = self.recorder.close().await;
        self.stop.send_replace(true);
        // A renewal that is under way must not take back what is given back.
        let keepers =
            std::mem::take(&mut *self.keepers.lock().unwrap_or_else(PoisonError::into_inner));
        futures_util::future::join_all(keepers).await;
        let given = self.duties.give_back(&self.control).await;
        self.link.close();
        self.control.close();
        closed?;
        Ok(given?)
    }
}

fn refused(address: &Address, mismatch: Mismatch) -> OpenError {
    let unreachable = |failure: Failure| OpenError::Unreachable {
        database: address.to_string(),
        reason: StoreError::from(failure).to_string(),
    };
    match mismatch {
        Mismatch::Newer { found, known } => OpenError::Newer { found, known },
        Mismatch::Older { found: 0, .. } => OpenError::Missing(PathBuf::from(address.to_string())),
        Mismatch::Older { found, known } => OpenError::Older { found, known },
        Mismatch::Changed(name) => OpenError::Changed(name),
        Mismatch::Foreign => OpenError::Foreign(PathBuf::from(address.to_string())),
        Mismatch::Unfinished => OpenError::Unfinished(address.to_string()),
        Mismatch::Unsafe(reason) => {
            OpenError::Unreachable { database: address.to_string(), reason: reason.to_owned() }
        }
        Mismatch::Failed(failure) => unreachable(failure),
    }
}
