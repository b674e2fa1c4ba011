//! What is kept: events, alerts, deliveries.
//!
//! Promises: what an operation acknowledged is on disk (fsynced) and survives `kill -9` at any instant; each
//! operation is atomic. Only this module speaks SQL. Concurrent writes share one fsync; a single one does not wait.

mod currencies;
mod duties;
mod feed;
mod handle;
mod health;
mod limits;
mod model;
mod open;
mod operations;
mod outbox;
mod postgres;
mod query;
mod room;
mod sqlite;
mod values;

#[cfg(test)]
mod tests;

pub use currencies::Currencies;
pub use duties::*;
pub use feed::*;
pub use handle::Store;
use limits::{
    ATTEMPTS_KEPT, CALL_KEPT, CALLS_MAX, ENDED_ROWS, ENTRY_KEPT_MIN, ID_PREFIX_MIN, LOOK_BACK,
    RECEIVER_REMOVED, RETENTION_MIN, RETRY_ROWS, SILENCES_MAX,
};
pub use model::*;
pub use open::*;
pub use operations::{
    Alerts, Backend, Claims, Deliveries, Duties, Events, Feeds, Figures, Inbox, Journal, Judging,
    Ledger, NotificationLog, Outcomes, Retention, Rows, Signals, SilenceList,
};
pub use outbox::*;
pub use postgres::{Address, PostgresSettings};
pub use query::*;
