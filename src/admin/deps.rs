//! What the private listener needs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::reload::Reload;
use crate::api::{self, Access};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::tls::Acceptor;

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
    /// What the API needs.
    pub api: api::Deps,
    /// Who may do what.
    pub access: Arc<Access>,
    /// TLS, where it is configured.
    pub tls: Acceptor,
}
