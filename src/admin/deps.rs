//! What the private listener needs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::reload::Reload;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::store::Store;

/// What the private listener needs.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Asked for its health and its counts.
    pub store: Store,
    /// What a scrape shows.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Clock,
    /// Set when shutdown begins: `/readyz` then says no.
    pub stopping: Arc<AtomicBool>,
    /// Asks for reloads; `None` where there is nothing to load.
    pub reload: Option<Reload>,
    /// The host of `server.external_url`: a name under which people reach this listener.
    pub own_host: Option<String>,
}
