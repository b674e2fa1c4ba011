//! The operations of the store.
//!
//! Each trait holds the operations of one subject with what they promise; a [`Backend`] carries out all of them. Each
//! operation is atomic, and what it acknowledged is on disk.

mod audit;
mod duties;
mod events;
mod judging;
mod outbox;
mod pauses;
mod soundness;
mod upkeep;
mod views;

use std::any::Any;
use std::fmt::Debug;

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::audit::AuditLog;
pub use self::duties::Duties;
pub use self::events::{Events, Feeds, Inbox};
pub use self::judging::{Alerts, Journal, Judging, Ledger, Rows, SilenceList};
pub use self::outbox::{Claims, Deliveries, NotificationLog, Outcomes};
pub use self::pauses::ReceiverPauses;
pub use self::soundness::Soundness;
pub use self::upkeep::{Figures, Retention};
pub use self::views::Views;
use super::model::StoreError;

/// Where the store is kept: carries out every operation.
#[async_trait]
pub trait Backend:
    Inbox
    + Feeds
    + Events
    + Judging
    + Alerts
    + Rows
    + Ledger
    + SilenceList
    + Journal
    + Claims
    + Outcomes
    + Deliveries
    + NotificationLog
    + ReceiverPauses
    + Duties
    + Figures
    + Views
    + Retention
    + AuditLog
    + Soundness
    + Any
    + Debug
    + Send
    + Sync
{
    /// What is signalled after commits.
    fn signals(&self) -> &Signals;

    /// Finishes what is queued and gives back what it holds. Later calls are [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}

/// What a backend signals after its commits.
#[derive(Debug, Default)]
pub struct Signals {
    /// Events were added.
    pub(super) recorded: watch::Sender<u64>,
    /// A delivery became claimable, or due at another time.
    pub(super) queued: watch::Sender<u64>,
}
