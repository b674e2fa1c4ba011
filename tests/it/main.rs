//! The tests of tollbell from outside: real HTTP, real SMTP, a real disk, the real binary.
//!
//! One binary, so that it links once. Modules stand in the order of a webhook's journey; `support` holds the
//! peers (a mail server, an HTTP server, a signer) and the only way to wait. No test sleeps: it waits for a
//! condition under a deadline, or moves the clock. `scripts/test.sh` installs what the tests need and runs them.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::float_cmp,
    unreachable_pub,
    reason = "a test may panic, spawn and look at the real clock; its helpers are public to its modules only, and speed is no matter"
)]

mod support;

mod fuzz;
mod limits;
mod crowd;
mod proxies;
mod tls;
mod durability;
mod replicas;
mod upgrade;
mod full_disk;
mod sick;
mod journey;
mod refused;
mod missed;
mod rule_kinds;
mod timelines;
mod dashboards;
mod dispatch;
mod email;
mod slack;
mod webhook;
mod pagerduty;
mod alertmanager;
mod alertmanager_words;
mod api;
mod interop;
mod metrics;
mod telnyx;
mod heartbeats;
mod shutdown;
mod reload;
mod cli;
mod logs;
mod chart;
mod console;
mod packages;
mod starter_pack;
mod tidy;
