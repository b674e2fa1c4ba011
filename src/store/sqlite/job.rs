//! One operation on its way through the writer.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::failure::Failure;
use crate::store::StoreError;
use crate::store::room::Room;

/// What a commit changed that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Events were added.
    pub(super) recorded: bool,
    /// Deliveries became claimable, or due at another time.
    pub(super) queued: bool,
}

/// An operation that the writer runs within a batch.
pub(super) trait Job: Send {
    /// Bytes it holds.
    fn bytes(&self) -> usize;
    /// Whether what it wrote before it failed must be undone. False only where a failure leaves no trace.
    fn needs_savepoint(&self) -> bool;
    /// Does the work and keeps the result. An error of its own is kept for the caller; one of the store's is given back.
    fn run(&mut self, tx: &Connection, effects: &mut Effects) -> Result<Done, Failure>;
    /// Answers the caller; `error` is why the batch was not committed.
    fn answer(self: Box<Self>, error: Option<StoreError>);
}

/// How a job went within its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Kept,
    ToUndo,
}

/// A job made of a closure.
pub(super) struct Call<T, F> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    savepoint: bool,
    room: Room,
}

impl<T, F> Call<T, F>
where
    T: Send,
    F: FnOnce(&Connection, &mut Effects) -> Result<T, Failure> + Send,
{
    pub(super) fn new(
        work: F,
        savepoint: bool,
        room: Room,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { work: Some(work), result: None, reply, savepoint, room }, answer)
    }
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnOnce(&Connection, &mut Effects) -> Result<T, Failure> + Send,
{
    fn bytes(&self) -> usize {
        self.room.bytes()
    }

    fn needs_savepoint(&self) -> bool {
        self.savepoint
    }

    fn run(&mut self, tx: &Connection, effects: &mut Effects) -> Result<Done, Failure> {
        let work = self.work.take().expect("a job runs once");
        match work(tx, effects) {
            Ok(value) => {
                self.result = Some(Ok(value));
                Ok(Done::Kept)
            }
            Err(failure) if failure.is_own_fault() => {
                self.result = Some(Err(failure.into()));
                Ok(Done::ToUndo)
            }
            Err(failure) => Err(failure),
        }
    }

    fn answer(self: Box<Self>, error: Option<StoreError>) {
        let Self { result, reply, room, .. } = *self;
        drop(room);
        let answer = match (result, error) {
            // What was wrong with the operation itself stays so, whatever became of its batch.
            (Some(Err(own)), _) => Err(own),
            (_, Some(error)) => Err(error),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(StoreError::Unavailable("the operation did not run".to_owned())),
        };
        // A caller that went away does not want to know.
        drop(reply.send(answer));
    }
}
