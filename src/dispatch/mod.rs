//! Hands what is due to its notifier and records what became of it.
//!
//! One loop for each integration, with its own pace and its own sends in flight: a hung receiver slows nobody else.
//! Meets the engine only in the store. A delivery ends delivered, superseded or dead; it never disappears.

mod compose;
mod decide;
mod fallback;
mod lane;
mod lanes;
mod pacer;
mod refresh;
mod silences;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

#[cfg(test)]
pub(crate) use compose::{Composed, compose, refreshed};
#[cfg(test)]
pub(crate) use decide::next;
pub use fallback::Receivers;
pub use lanes::{Lanes, Senders};
pub use silences::Silences;

use crate::alerts::Routing;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::store::Store;

/// What the loops need.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Where deliveries are kept.
    pub store: Store,
    /// The receivers in force, by name.
    pub receivers: Receivers,
    /// The routing in force.
    pub routing: Arc<ArcSwap<Routing>>,
    /// The silences as they were read last.
    pub silences: Silences,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Told when a lane has ended, its sends included.
    pub ended: Arc<Notify>,
}
