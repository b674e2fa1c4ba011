//! Notices that an older database was put in the place of a newer one.
//!
//! Beside the database a small file says up to which event this service has acknowledged. A backup that is put back does
//! not bring it along. What came after the backup was made is gone from the database then; Telnyx may send it again, and it
//! would be notified again.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::event::Event;
use crate::store::{Feed, Place, Store};

/// What is added to the database's name.
const SUFFIX: &str = "-seen";

/// Up to where was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// Place of the newest event.
    seq: i64,
    /// When that was written down.
    at: Timestamp,
}

/// The file beside the database.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    path: Option<PathBuf>,
    written: Option<i64>,
}

impl Mark {
    /// A database on a server has no place beside it.
    pub(super) fn beside(place: &Place) -> Self {
        let path = place.path().map(|database| {
            let mut path = database.as_os_str().to_owned();
            path.push(SUFFIX);
            path.into()
        });
        Self { path, written: None }
    }

    /// Says in the log and in an event that the database is older than what was acknowledged, or that somebody said so.
    pub(super) async fn compare(&self, store: &Store, told: bool, now: Timestamp) {
        let Ok(newest) = store.newest_seq().await else { return };
        let seen = self.path.as_ref().and_then(|path| std::fs::read(path).ok());
        let seen: Option<Seen> = seen.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let seen = seen.filter(|seen| seen.seq > newest);
        let missing = seen.map(|seen| seen.seq.saturating_sub(newest));
        if let (Some(seen), Some(missing)) = (seen, missing) {
            tracing::error!(
                missing,
                acknowledged_until = %seen.at,
                notified = !told,
                "the database is older than what was acknowledged: was a backup restored? Events that come again are \
                 notified again unless tollbell is started with --restored",
            );
        } else if told {
            tracing::warn!(
                "started with --restored: what happened before now begins no notification"
            );
        } else {
            return;
        }
        let id = format!("tollbell.restored:{newest}:{}", now.as_second());
        let payload = json!({"count": missing, "notified": !told});
        let event = Event::tollbell("tollbell.restored", "", id, now, payload);
        if let Err(error) = store.feed(Feed { events: vec![event], ..Feed::default() }).await {
            tracing::error!(%error, "the event of a restored database could not be stored");
        }
    }

    /// Writes down up to where was acknowledged.
    pub(super) async fn note(&mut self, store: &Store, now: Timestamp) {
        let Ok(seq) = store.newest_seq().await else { return };
        if self.written == Some(seq) {
            return;
        }
        match self.write(Seen { seq, at: now }) {
            Ok(()) => self.written = Some(seq),
            Err(error) => tracing::warn!(%error, "the file beside the database cannot be written"),
        }
    }

    /// Whole or not at all: a file that was cut would say nothing.
    fn write(&self, seen: Seen) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut draft = path.clone().into_os_string();
        draft.push(".new");
        std::fs::write(&draft, serde_json::to_vec(&seen)?)?;
        std::fs::rename(&draft, path)
    }
}
