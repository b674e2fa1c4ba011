//! The Telnyx side, against a scripted API over real TCP.

mod balance;
mod client;
mod kinds;
mod limits;
mod lists;
mod backfill;
mod reconcile;
mod provision;
mod spend;
