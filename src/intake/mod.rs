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
mod deps;
mod path;
mod peers;
mod receive;
mod reply;
mod server;
mod timeouts;
mod trouble;

#[cfg(test)]
mod tests;

pub mod signature;

pub use deps::{Account, DEFAULT_ACCOUNT, Deps, ListenerSettings, Live};
pub use reply::REASONS;
pub use server::{serve, serve_with};
pub use signature::{KeyError, PublicKey};
pub use timeouts::Timeouts;
pub use trouble::{Troubles, watch};
