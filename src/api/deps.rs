//! What the API and the console need.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::audit::Audit;
use crate::clock::Clock;
use crate::engine::Policy;
use crate::notify::MessageTemplates;
use crate::store::Store;
use crate::tasks::Tasks;

/// What the API and the console need.
#[derive(Debug, Clone)]
pub struct Deps {
    /// What is stored.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// Writes down who changes what.
    pub audit: Audit,
    /// The configuration in force.
    pub in_force: Arc<ArcSwap<InForce>>,
    /// When this process began to serve.
    pub started_at: Timestamp,
    /// Says when shutdown begins.
    pub tasks: Tasks,
}

/// The configuration in force, as far as people and programs ask about it; a reload swaps it.
#[derive(Debug)]
pub struct InForce {
    /// What is judged by.
    pub policy: Arc<Policy>,
    /// The receivers' names, in the order of the file.
    pub receivers: Vec<String>,
    /// The accounts' names, in the order of the file.
    pub accounts: Vec<String>,
    /// The texts of messages.
    pub templates: MessageTemplates,
    /// Since when it is in force.
    pub since: Timestamp,
}
