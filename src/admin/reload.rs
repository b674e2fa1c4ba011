//! Asks for the configuration to be loaded again, and hears what became of it.

use tokio::sync::{mpsc, oneshot};

use crate::diagnostic::Diagnostic;

/// Who may wait for a reload at once.
const WAITING_MAX: usize = 64;

/// A configuration was taken over.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// Its hash.
    pub config: String,
    /// What is odd about it, or takes effect later.
    pub warnings: Vec<Diagnostic>,
}

/// No configuration was taken over; the one before stays in force.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReloadError {
    /// It has errors; warnings may be among the problems.
    #[error("the configuration cannot be used")]
    Refused(Vec<Diagnostic>),
    /// Nobody can load it now: shutting down, too many ask, or there is no file.
    #[error("the configuration cannot be loaded now")]
    Unavailable,
}

pub(super) type Answer = Result<Reloaded, ReloadError>;

/// Asks for reloads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reload(mpsc::Sender<oneshot::Sender<Answer>>);

/// Hears who asks for reloads.
#[derive(Debug)]
pub struct Asked(mpsc::Receiver<oneshot::Sender<Answer>>);

/// Those who wait for the same reload.
#[derive(Debug)]
pub struct Waiting(Vec<oneshot::Sender<Answer>>);

impl Reload {
    /// Both ends.
    pub fn channel() -> (Self, Asked) {
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        (Self(asks), Asked(asked))
    }

    /// Asks, and waits for a reload that began afterwards.
    pub async fn ask(&self) -> Result<Reloaded, ReloadError> {
        let (answer, heard) = oneshot::channel();
        self.0.try_send(answer).map_err(|_full_or_closed| ReloadError::Unavailable)?;
        heard.await.unwrap_or(Err(ReloadError::Unavailable))
    }

    /// Asks without waiting. Where too many wait already, their reload will do.
    pub fn ask_only(&self) {
        drop(self.0.try_send(oneshot::channel().0));
    }
}

impl Asked {
    /// All who have asked by now, at least one; never resolves when nobody can ask any more.
    pub async fn next(&mut self) -> Waiting {
        let Some(first) = self.0.recv().await else { std::future::pending().await };
        let mut waiting = vec![first];
        while let Ok(another) = self.0.try_recv() {
            waiting.push(another);
        }
        Waiting(waiting)
    }
}

impl Waiting {
    /// Tells them.
    pub fn answer(self, answer: &Result<Reloaded, ReloadError>) {
        for one in self.0 {
            // Whoever went away need not know.
            drop(one.send(answer.clone()));
        }
    }
}
