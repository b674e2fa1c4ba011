//! tollbell notifies the right people before Telnyx service stops.
//!
//! The journey of one webhook, in the order of the modules below:
//!
//! 1. [`intake`] reads the bytes and checks size and Ed25519 signature; only then are they parsed.
//! 2. [`event`] turns any shape that Telnyx sends into one [`event::Event`]. It never fails.
//! 3. [`store`] writes it to disk. Now, and not before, Telnyx gets its 200.
//! 4. [`engine`] reads the stored events in order and commits what they cause, one transaction per batch: [`rules`] decide
//!    which alerts an event fires or resolves, [`alerts`] decide who is owed a notification.
//! 5. [`dispatch`] claims what is due, composes it from the state of that moment, paces each integration, and records
//!    each outcome.
//! 6. [`notify`] renders the message and speaks SMTP or HTTP with the outside world.
//!
//! Beside the journey: [`telnyx`] (what is read from Telnyx's API, into the same inbox), [`heartbeat`] (dead man's
//! switches), [`simulation`] (the engine in memory, for `test` and `replay`), [`spend`] (spending, grouped), [`metrics`],
//! [`admin`] (the private listener), [`config`], [`policy`] (what the engine needs of a configuration), [`app`] (puts it
//! all together) and [`cli`]. Leaves that everyone may use: [`clock`], [`clock_steps`], [`diagnostic`], [`secret`],
//! [`template`], [`tasks`], [`http`] and [`tls`] (as a client), [`text`], [`re2`] (patterns), [`address`].

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
pub mod clock_steps;
pub mod diagnostic;
pub mod secret;
pub mod template;
pub mod tasks;
pub mod http;
pub mod tls;
pub mod text;
pub mod re2;
pub mod address;
