//! What the API and the console need.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Principal;
use super::audit::Audit;
use crate::clock::Clock;
use crate::engine::Policy;
use crate::notify::{self, MessageTemplates, Receiver, TestAnswer};
use crate::store::{Place, Store, StoreError};
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
    /// How the last reload went; `None` while there was none.
    pub last_reload: Arc<ArcSwapOption<LastReload>>,
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
    /// The texts of messages.
    pub templates: MessageTemplates,
    /// The receivers' names, in the order of the file.
    pub receivers: Vec<String>,
    /// The accounts, in the order of the file.
    pub accounts: Vec<AccountInForce>,
    /// The public listener.
    pub listen: SocketAddr,
    /// Where the store is.
    pub place: Place,
    /// Since when it is in force.
    pub since: Timestamp,
}

/// What is configured of an account, as far as people ask about it.
#[derive(Debug, Clone)]
pub struct AccountInForce {
    /// Its name.
    pub name: String,
    /// How many public keys it has.
    pub public_keys: usize,
    /// How often its balance is read; `None` without an API key.
    pub poll_interval: Option<Duration>,
}

impl InForce {
    /// The accounts' names, in the order of the file.
    pub fn account_names(&self) -> Vec<String> {
        self.accounts.iter().map(|account| account.name.clone()).collect()
    }
}

/// How a reload went.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LastReload {
    /// When it was done.
    pub at: Timestamp,
    /// Whether the configuration was taken over; otherwise the one before stays in force.
    pub ok: bool,
    /// Problems of the configuration that was loaded: errors, then warnings; the first 20.
    pub problems: Vec<String>,
}

impl Deps {
    /// Sends a test notification to every target of a receiver, and notes first who asked for it; with `ends` as in
    /// [`notify::send_test`]. What was answered, in the order of the integrations. One whose targets all took it is left alone
    /// no more.
    pub async fn test(
        &self,
        who: &Principal,
        receiver: &Receiver,
        ends: Option<bool>,
    ) -> Result<Vec<TestAnswer>, StoreError> {
        self.audit.note(who, "receiver.test", &receiver.name, "").await?;
        let in_force = self.in_force.load_full();
        let url = &in_force.policy.routing.external_url;
        let mut answers = Vec::new();
        for integration in &receiver.integrations {
            let (templates, now) = (&in_force.templates, self.clock.now());
            match notify::send_test(integration, templates, url, &who.name, ends, now).await {
                Ok(said) => {
                    if said.iter().all(|answer| answer.delivered) {
                        // What was answered is not lost with it.
                        let lifted = self.store.lift_pause(&integration.id, self.clock.now()).await;
                        if let Err(error) = lifted {
                            tracing::warn!(%error, "the pause of an integration that works could not be ended");
                        }
                    }
                    answers.extend(said);
                }
                Err(error) => answers.push(TestAnswer::unusable(integration, &error)),
            }
        }
        Ok(answers)
    }
}
