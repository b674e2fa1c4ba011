//! The public listener: takes bytes, checks size and signature, and only then lets them be parsed.
//!
//! The journey of one request, in the order of the checks; the first that fails makes the reply ([`reply`]):
//!
//! 1. path and account ([`path`]), method, source address, the limit on bad signatures ([`peers`]);
//! 2. the body, up to its cap ([`body`]), thrown away while it is read if the headers cannot be genuine;
//! 3. both headers, the timestamp's digits, the signature's base64, the signature itself, its age
//!    ([`signature`]);
//! 4. parse ([`crate::event`]), record ([`crate::store`]), and 200.
//!
//! A webhook on a path that no account has, or that of another account, belongs to the account whose key signed it: it is
//! taken for that one, and said so. Telnyx does not repeat what gets a 404.
//!
//! Promises: nothing is parsed, kept or judged unless a configured key signed it; 200 goes out after the commit,
//! never before; recording is one step on the store's own thread, so a client that hangs up cannot cut it in
//! half. Each request ends in one log line and one count, with its fate.
//! Beside it, [`trouble`] raises events about what is refused. Never logs a body, a signature or a query string, never knows rules or notifiers.

mod body;
mod crowd;
mod path;
mod peers;
mod receive;
mod reply;
mod server;
mod trouble;

#[cfg(test)]
mod tests;

pub mod signature;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use self::path::Addressed;
use crate::clock::Clock;
use crate::event::PayloadPolicy;
use crate::metrics::Metrics;
use crate::store::Store;

pub use reply::REASONS;
pub use server::{Timeouts, serve, serve_with};
pub use signature::{KeyError, PublicKey};
pub use trouble::{Troubles, watch};

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
    /// How much of a payload is stored.
    pub payload: PayloadPolicy,
}

/// What a reload replaces as a whole.
#[derive(Debug)]
pub struct Live {
    accounts: BTreeMap<String, Account>,
    settings: ListenerSettings,
}

impl Live {
    /// The accounts by name, and the settings.
    pub fn new(accounts: Vec<Account>, settings: ListenerSettings) -> Self {
        let accounts =
            accounts.into_iter().map(|account| (account.name.clone(), account)).collect();
        Self { accounts, settings }
    }

    /// The account of a path: the named one; without a name the only one, or the one named `default`.
    fn account(&self, addressed: Addressed<'_>) -> Option<&Account> {
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
}
