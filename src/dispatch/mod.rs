//! Hands what is due to its notifier and records what became of it.
//!
//! One loop for each integration, with its own pace and its own sends in flight: a hung receiver slows nobody else.
//! Meets the engine only in the store. A delivery ends delivered, superseded or dead; it never disappears.

mod charts;
mod compose;
mod decide;
mod deps;
mod fallback;
mod lane;
mod lanes;
mod pacer;
mod pauses;
mod refresh;
mod silences;

#[cfg(test)]
pub(crate) use compose::{Composed, compose, refreshed};
#[cfg(test)]
pub(crate) use decide::next;
pub use deps::{Deps, Receivers};
pub use lanes::{Lanes, Senders};
pub use silences::Silences;
