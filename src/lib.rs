//! tollbell rings the right people before Telnyx service stops.
//!
//! The journey of one webhook, in the order of the modules below:
//!
//! 1. [`intake`] takes the bytes, checks size and Ed25519 signature, and only then lets them be parsed.
//! 2. [`event`] turns whatever shape came into one [`event::Event`]; it never fails.
//! 3. [`store`] keeps it on disk. Now, and not before, Telnyx gets its 200.
//! 4. [`engine`] reads the kept events in order and commits what they cause, in one transaction per batch:
//!    [`rules`] say which alert an event fires or resolves, [`alerts`] who is to hear of it.
//! 5. [`dispatch`] claims what is due to be sent, paced for each integration, and records each outcome.
//! 6. [`notify`] renders a message and speaks SMTP or HTTP with the outside world.
//!
//! Beside the journey: [`telnyx`] (what is asked of Telnyx's API, into the same inbox), [`heartbeat`] (dead man's
//! switches), [`simulation`] (the engine without its surroundings, for `test` and `replay`), [`spend`] (what was spent, in
//! groups), [`metrics`],
//! [`admin`] (the private listener), [`config`], [`policy`] (from the one to what the engine judges by), [`app`] (puts
//! all of it together) and [`cli`]. Leaves that everyone may know: [`clock`], [`diagnostic`], [`secret`], [`template`],
//! [`tasks`], [`http`] (as a client), [`text`], [`re2`] (patterns), [`address`].

pub mod intake;
pub mod event;
pub mod store;
pub mod engine;
pub mod rules;
pub mod alerts;
pub mod dispatch;
pub mod notify;

pub mod telnyx;
pub mod heartbeat;
pub mod simulation;
pub mod spend;
pub mod metrics;
pub mod admin;
pub mod config;
pub mod policy;
pub mod app;
pub mod cli;

pub mod clock;
pub mod diagnostic;
pub mod secret;
pub mod template;
pub mod tasks;
pub mod http;
pub mod text;
pub mod re2;
pub mod address;
