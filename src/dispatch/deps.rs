//! What the loops need.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::Silences;
use crate::alerts::Routing;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::notify::Receiver;
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
    /// Signalled when a lane has ended, its sends included.
    pub ended: Arc<Notify>,
}

/// The receivers in force, by name.
pub type Receivers = Arc<ArcSwap<BTreeMap<String, Receiver>>>;
