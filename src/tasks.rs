//! Background work that shutdown can wait for.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The background tasks of one process and the signal that ends them. Cheap to clone.
///
/// A task that ends (or panics) before shutdown is a bug: it trips [`Tasks::failed`], and the process ends
/// so that its supervisor starts it afresh. Nothing is restarted inside.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failed: CancellationToken,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` until it ends; it must end soon after [`Tasks::stopping`] resolves, and not before.
    #[expect(clippy::disallowed_methods, reason = "this is where tasks are spawned")]
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let (stop, failed) = (self.stop.clone(), self.failed.clone());
        let inner = tokio::spawn(self.tracker.track_future(work));
        tokio::spawn(self.tracker.track_future(async move {
            let ended = inner.await;
            if stop.is_cancelled() && ended.is_ok() {
                return;
            }
            match ended {
                Ok(()) => tracing::error!(task = name, "a background task ended before shutdown"),
                Err(error) => tracing::error!(task = name, %error, "a background task failed"),
            }
            failed.cancel();
        }));
    }

    /// Tasks of this process that can be told to end on their own, before the others. They end with the others, too.
    #[must_use]
    pub fn branch(&self) -> Self {
        Self { stop: self.stop.child_token(), ..self.clone() }
    }

    /// Runs `work` that ends by itself, such as one send; shutdown waits for it.
    #[expect(clippy::disallowed_methods, reason = "this is where tasks are spawned")]
    pub fn spawn_short(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(self.tracker.track_future(work)));
    }

    /// Resolves when shutdown begins, or this branch is told to end.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether shutdown has begun, or this branch was told to end.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Resolves when a task broke its promise.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Tells every task to end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until all tasks have ended; false when `timeout` passed first.
    pub async fn drain(&self, timeout: Duration) -> bool {
        self.stop();
        self.tracker.close();
        tokio::time::timeout(timeout, self.tracker.wait()).await.is_ok()
    }
}
