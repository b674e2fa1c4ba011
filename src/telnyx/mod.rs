//! The Telnyx side: what is asked of Telnyx's API, beside the webhooks that come by themselves.
//!
//! No webhook tells a low balance, so it is read; the sender of webhooks gives up within minutes, so what failed
//! meanwhile is fetched. All of it goes through the same inbox as the webhooks, as events with another
//! [`crate::event::Source`].
//!
//! - [`client`] speaks the REST API: deadlines, retries, pages, typed errors. [`endpoint`] lists every call that it can
//!   make; none of them moves money. `retry` says what is tried again, [`pages`] reads lists.
//! - `poller` asks for the balance, `balance` reads the answer, [`forecast`] says how long it lasts.
//! - `limits` reads spend limits of products and of voice profiles.
//! - `backfill` fetches webhooks that were missed.
//! - [`charges`] reads what was charged in all, and [`breakdown`] for each number, for `spend --compare`.
//! - [`document`] fetches the document of an invoice.
//! - `reconcile` compares the charge ledger with Telnyx's detail records.
//! - [`provision`] has Telnyx bring its notifications here, by a plan.

pub mod breakdown;
pub mod charges;
pub mod client;
pub mod document;
pub mod endpoint;
pub mod error;
pub mod forecast;
pub mod provision;
pub mod pages;
mod balance;
mod limits;
mod poller;
mod backfill;
mod reconcile;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::event::PayloadPolicy;
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::store::Store;
use crate::tasks::Tasks;

pub use client::Client;
pub use endpoint::Endpoint;
pub use error::ApiError;
pub use pages::{ListEnd, Page, Pages};

/// What is asked of Telnyx for one account.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiSettings {
    /// The configured account's name.
    pub account: String,
    /// ISO 4217 code, where an event names none.
    pub currency: Option<String>,
    /// The API key.
    pub key: Secret,
    /// Where the API is, such as `https://api.telnyx.com/v2`; no slash at the end.
    pub url: String,
    /// How often the balance is read.
    pub poll_interval: Duration,
    /// How old a missed webhook may be; `None` when they are not looked for.
    pub backfill: Option<Duration>,
    /// What Telnyx calls to bring webhooks; no slash at the end.
    pub public_url: Option<String>,
}

/// What the workers of all accounts share.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Where events and readings are kept.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// What a scrape shows.
    pub metrics: Arc<Metrics>,
    /// How much of a payload is stored.
    pub payload: PayloadPolicy,
}

/// What a worker has: what all share, its account, and the way to Telnyx.
type Means = (Deps, Arc<ApiSettings>, Client);

/// Starts the workers of one account; they end with `tasks`.
pub fn start(deps: &Deps, settings: ApiSettings, tasks: &Tasks) {
    let settings = Arc::new(settings);
    let metrics = Arc::clone(&deps.metrics);
    let observer = Arc::new(move |endpoint: &'static str, code: &str| {
        metrics.telnyx_api_request(endpoint, code);
    });
    let client = match Client::new(&settings, deps.clock.clone(), observer) {
        Ok(client) => client,
        Err(error) => {
            // Only TLS can be at fault, and then receivers have said so at load.
            tracing::error!(account = settings.account, %error, "Telnyx's API cannot be asked");
            return;
        }
    };
    let of = || (deps.clone(), Arc::clone(&settings), client.clone());
    tasks.spawn("balance poller", poller::run(of(), tasks.clone()));
    tasks.spawn("limits", limits::run(of(), tasks.clone()));
    tasks.spawn("back-fill", backfill::run(of(), tasks.clone()));
    tasks.spawn("reconciliation", reconcile::run(of(), tasks.clone()));
}
