//! What the workers have.

use std::sync::Arc;

use super::{ApiSettings, Client};
use crate::clock::Clock;
use crate::event::PayloadPolicy;
use crate::metrics::Metrics;
use crate::store::Store;

/// What the workers of all accounts share.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Where events and readings are kept.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// What a scrape shows.
    pub metrics: Arc<Metrics>,
    /// How much of a payload is kept.
    pub payload: PayloadPolicy,
}

/// What a worker has: what all share, its account, and the way to Telnyx.
pub(super) type Means = (Deps, Arc<ApiSettings>, Client);
