//! Taking in: events that wait at the same time share one statement, which is one transaction.
//!
//! Promises: a single event does not wait for others; one that the database cannot hold harms no other; whoever goes away
//! changes nothing about what is written.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::arrivals::{self, NewRow};
use super::failure::Failure;
use super::link::Link;
use crate::store::room::Room;
use crate::store::{CommitStats, Observer, Recorded, Signals, StoreError};

/// Events that may wait.
const QUEUE_EVENTS_MAX: usize = 4096;
/// Bytes of payload that may wait.
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Events in one statement at most.
const BATCH_EVENTS_MAX: usize = 256;
/// Bytes of payload in one statement at most, plus one event.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Statements at a time: while one waits for the disk, the next is filled.
const STATEMENTS_MAX: u32 = 2;
/// How often a statement is tried that was in another's way.
const TRIES: u32 = 3;
/// Between two tries.
const AGAIN_AFTER: Duration = Duration::from_millis(5);

/// The queue before the database.
#[derive(Debug)]
pub(super) struct Recorder {
    queue: mpsc::Sender<Order>,
    bytes: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Order {
    Record(Box<Waiting>),
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Waiting {
    row: NewRow,
    answer: oneshot::Sender<Result<Recorded, StoreError>>,
    _room: Room,
}

impl Recorder {
    /// Begins to take in.
    pub(super) fn start(link: Arc<Link>, signals: Arc<Signals>, observer: Observer) -> Self {
        let (queue, orders) = mpsc::channel(QUEUE_EVENTS_MAX);
        Handle::current().spawn(run(orders, Shared { link, signals, observer: observer.into() }));
        Self { queue, bytes: Arc::default() }
    }

    /// Queues an event at once and waits for its commit.
    pub(super) async fn record(&self, row: NewRow) -> Result<Recorded, StoreError> {
        let room = Room::take(&self.bytes, row.payload.len(), QUEUE_BYTES_MAX)
            .ok_or(StoreError::QueueFull)?;
        let (answer, answered) = oneshot::channel();
        let order = Order::Record(Box::new(Waiting { row, answer, _room: room }));
        self.queue.try_send(order).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answered.await.unwrap_or_else(|_dropped| {
            Err(StoreError::Unavailable("the event was given up".to_owned()))
        })
    }

    /// Writes what waits and ends.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let (done, closed) = oneshot::channel();
        self.queue.send(Order::Close(done)).await.map_err(|_closed| StoreError::Closed)?;
        closed.await.map_err(|_gone| StoreError::Closed)
    }
}

#[derive(Clone)]
struct Shared {
    link: Arc<Link>,
    signals: Arc<Signals>,
    observer: Arc<dyn Fn(CommitStats) + Send + Sync>,
}

async fn run(mut orders: mpsc::Receiver<Order>, shared: Shared) {
    let places = Arc::new(Semaphore::new(STATEMENTS_MAX as usize));
    let mut closing = None;
    while let Some(order) = orders.recv().await {
        // Before the batch is filled: who waits for a place gathers company.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut next = Some(order);
        while let Some(order) = next.take() {
            match order {
                Order::Record(waiting) => {
                    bytes += waiting.row.payload.len();
                    batch.push(*waiting);
                }
                Order::Close(done) => {
                    orders.close();
                    closing = Some(done);
                }
            }
            if batch.len() < BATCH_EVENTS_MAX && bytes < BATCH_BYTES_MAX {
                next = orders.try_recv().ok();
            }
        }
        let shared = shared.clone();
        Handle::current().spawn(async move {
            shared.write(batch).await;
            drop(place);
        });
    }
    // All of them are free once everything is written.
    drop(places.acquire_many(STATEMENTS_MAX).await);
    if let Some(done) = closing {
        // Whoever asked may be gone.
        done.send(()).unwrap_or_default();
    }
}

impl Shared {
    /// Writes a batch and answers everybody in it. When an event in it is at fault, each is written by itself.
    async fn write(&self, batch: Vec<Waiting>) {
        if batch.is_empty() {
            return;
        }
        let rows: Vec<&NewRow> = batch.iter().map(|waiting| &waiting.row).collect();
        match self.try_write(&rows).await {
            Ok(recorded) => {
                for (waiting, recorded) in batch.into_iter().zip(recorded) {
                    // A caller that went away does not want to know.
                    drop(waiting.answer.send(Ok(recorded)));
                }
            }
            Err(failure) if failure.is_own_fault() && batch.len() > 1 => {
                for waiting in batch {
                    let written = self.try_write(&[&waiting.row]).await;
                    let written = written.map(|one| one.first().copied().unwrap_or(Recorded::New));
                    drop(waiting.answer.send(written.map_err(StoreError::from)));
                }
            }
            Err(failure) => {
                let error = StoreError::from(failure);
                for waiting in batch {
                    let told = match &error {
                        StoreError::Unstorable(why) => StoreError::Unstorable(why.clone()),
                        other => other.for_another(),
                    };
                    drop(waiting.answer.send(Err(told)));
                }
            }
        }
    }

    async fn try_write(&self, rows: &[&NewRow]) -> Result<Vec<Recorded>, Failure> {
        let begun = Instant::now();
        let mut tries = 1;
        let recorded = loop {
            match arrivals::insert_alone(&self.link, rows).await {
                Err(failure) if failure.is_passing() && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                done => break done?,
            }
        };
        (self.observer)(CommitStats { jobs: rows.len(), took: begun.elapsed() });
        if recorded.contains(&Recorded::New) {
            self.signals.recorded.send_modify(|count| *count += 1);
        }
        Ok(recorded)
    }
}
