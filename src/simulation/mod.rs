//! tollbell without its surroundings: what would be notified, given these rules and these events.
//!
//! Receives a policy, a time that the caller moves, and events; promises to judge as the engine's worker does, with the
//! same step, and to tell what came of it. Nothing is kept, sent or waited for. `tollbell test` runs [`Case`]s in it,
//! `tollbell replay` what the store has kept.

mod case;
mod check;
mod run;
mod world;

pub use case::{
    Body, Case, EventSpec, Expect, Field, HistorySpec, NotificationSpec, QuietSpec, Repeat,
    SilenceSpec, Step,
};
pub use check::Mismatch;
pub use run::{Account, Failure, Stage, run};
pub use world::{Fed, Happened, Quiet, SimulatedNotification, Tally, World};
