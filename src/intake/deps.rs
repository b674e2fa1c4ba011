//! What a request may touch: the accounts and settings in force, the store, the time, the counters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::path::Addressed;
use super::signature::PublicKey;
use super::trouble::Troubles;
use crate::clock::Clock;
use crate::event::PayloadPolicy;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::tls::Acceptor;

/// The account that `POST /webhooks/telnyx` means when there are several.
pub const DEFAULT_ACCOUNT: &str = "default";

/// One Telnyx account whose webhooks are taken.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name: the last part of its path.
    pub name: String,
    /// Its keys; any of them may sign. Two while a key rotates.
    pub keys: Vec<PublicKey>,
    /// How far a delivery's timestamp may be from our clock, in either direction. Whole seconds count.
    pub tolerance: Duration,
    /// ISO 4217 code for amounts that name none; without it that of the account's last balance reading.
    pub currency: Option<String>,
}

/// What the configuration says about the listener.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Largest body, in bytes.
    pub max_body: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Networks from which webhooks are taken; empty means any.
    pub allowed_sources: Vec<IpNet>,
    /// How much of a payload is kept.
    pub payload: PayloadPolicy,
}

/// What a reload replaces as a whole.
#[derive(Debug)]
pub struct Live {
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) settings: ListenerSettings,
}

impl Live {
    /// The accounts by name, and the settings.
    pub fn new(accounts: Vec<Account>, settings: ListenerSettings) -> Self {
        let accounts =
            accounts.into_iter().map(|account| (account.name.clone(), account)).collect();
        Self { accounts, settings }
    }

    /// The account of a path: the named one; without a name the only one, or the one named `default`.
    pub(super) fn account(&self, addressed: Addressed<'_>) -> Option<&Account> {
        match addressed {
            Addressed::Named(name) => self.accounts.get(name),
            Addressed::Unnamed if self.accounts.len() == 1 => self.accounts.values().next(),
            Addressed::Unnamed => self.accounts.get(DEFAULT_ACCOUNT),
            Addressed::Elsewhere => None,
        }
    }
}

/// All that the listener may touch. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Accounts and settings in force; a request sees one state of them from its head to its reply.
    pub live: Arc<ArcSwap<Live>>,
    /// Where events are kept.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Where fates are counted.
    pub metrics: Arc<Metrics>,
    /// What is refused, for [`watch`] to tell.
    pub troubles: Troubles,
    /// TLS, where it is configured.
    pub tls: Acceptor,
}
