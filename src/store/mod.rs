//! What is kept: events, alerts, deliveries.
//!
//! Promises: what an operation acknowledged is on disk (fsynced) and survives `kill -9` at any instant; each
//! operation is atomic. Only this module speaks SQL. Concurrent writes share one fsync; a single one does not wait.

mod currencies;
mod feed;
mod health;
mod model;
mod open;
mod operations;
mod outbox;
mod query;
mod sqlite;

#[cfg(test)]
mod tests;

pub use currencies::Currencies;
pub use feed::*;
pub use model::*;
pub use open::*;
pub use operations::{
    Alerts, Backend, Claims, Deliveries, Events, Feeds, Figures, Inbox, Journal, Judging, Ledger,
    NotificationLog, Outcomes, Retention, Rows, Signals, SilenceList, Store,
};
pub use outbox::*;
pub use query::*;
