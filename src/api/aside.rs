//! Heavy work beside the thread that answers: probes and scrapes share it, and must not wait for a chart.

use tokio::sync::Semaphore;

use crate::store::StoreError;

/// Pieces of heavy work at a time; others wait for their turn, without a thread.
const WORK_MAX: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(WORK_MAX);

/// Runs work that takes long on a thread of its own; it may block there on a read of the store.
///
/// It goes on when nobody waits for it any more, and keeps its turn until then. [`StoreError::Closed`] at shutdown; a panic goes
/// on to the caller.
pub async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    in_turn(&TURNS, work).await
}

async fn in_turn<T: Send + 'static>(
    turns: &'static Semaphore,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    let turn = turns.acquire().await.map_err(|_closed| StoreError::Closed)?;
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    match done.await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => Err(StoreError::Closed),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_thread_that_answers_goes_on_meanwhile() {
        let (probe, asked) = mpsc::channel();
        // The work ends only when this thread, which waits for it, does something else.
        let work = aside(move || asked.recv());
        let (done, sent) = tokio::join!(work, async move { probe.send("answered") });
        assert_eq!((done.expect("ran"), sent), (Ok("answered"), Ok(())));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn so_many_run_at_a_time() {
        static TURNS: Semaphore = Semaphore::const_new(WORK_MAX);
        let (began, begins) = mpsc::channel();
        let (mut tasks, mut ends_of) = (JoinSet::new(), Vec::new());
        for number in 0..=WORK_MAX {
            let (began, (end, ends)) = (began.clone(), mpsc::channel());
            let work = move || {
                began.send(number).expect("is awaited");
                ends.recv().expect("ends");
            };
            tasks.spawn(in_turn(&TURNS, work));
            ends_of.push(end);
        }
        // Each has asked for its turn.
        tokio::task::yield_now().await;
        let first: Vec<usize> = (0..WORK_MAX).map(|_| begins.recv().expect("begins")).collect();
        assert!(!first.contains(&WORK_MAX) && begins.try_recv().is_err(), "{first:?}");
        for end in ends_of {
            end.send(()).expect("is awaited");
            tasks.join_next().await.expect("runs").expect("no panic").expect("ran");
        }
        assert_eq!(begins.recv(), Ok(WORK_MAX));
    }
}
