//! What is kept: events, alerts, deliveries.
//!
//! Promises: what an operation acknowledged is on disk (fsynced) and survives `kill -9` at any instant; each
//! operation is atomic. Only this module speaks SQL. Concurrent writes share one fsync; a single one does not wait.

mod audit;
mod backup;
mod copy;
mod currencies;
mod duties;
mod feed;
mod forget;
mod handle;
mod health;
mod journal;
mod limits;
mod model;
mod open;
mod operations;
mod outbox;
mod postgres;
mod query;
mod recent;
mod room;
mod soundness;
mod sqlite;
mod values;
mod views;

#[cfg(test)]
mod tests;

pub use audit::*;
pub use backup::*;
pub use copy::{Copied, CopyError, CopyProgress, copy_store};
pub use currencies::Currencies;
pub use duties::*;
pub use feed::*;
pub use forget::{Forgotten, PhoneNumber};
pub use handle::Store;
pub use journal::*;
use limits::{
    ATTEMPTS_KEPT, CALL_KEPT, CALLS_MAX, ENDED_ROWS, ENTRY_KEPT_MIN, ID_PREFIX_MIN, LOOK_BACK,
    RETENTION_MIN, RETRY_ROWS, SAME_LINES_MAX, SILENCES_MAX,
};
pub use limits::{CANCELLED, RECEIVER_REMOVED};
pub use model::*;
pub use open::*;
pub use operations::{
    Alerts, AuditLog, Backend, Claims, Deliveries, Duties, Events, Feeds, Figures, Inbox, Journal,
    Judging, Ledger, NotificationLog, Outcomes, ReceiverPauses, Retention, Rows, Signals,
    SilenceList, Soundness, Views,
};
pub use outbox::*;
pub use postgres::{Address, PostgresSettings};
pub use query::*;
pub use soundness::*;
pub use sqlite::back_up;
pub use views::*;
