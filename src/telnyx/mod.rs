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
mod deps;
mod settings;
mod limits;
mod poller;
mod backfill;
mod reconcile;
mod retry;

use std::sync::Arc;

use crate::tasks::Tasks;

pub use client::Client;
pub use deps::Deps;
use deps::Means;
pub use endpoint::Endpoint;
pub use error::ApiError;
pub use pages::{ListEnd, Page, Pages};
pub use settings::ApiSettings;

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
