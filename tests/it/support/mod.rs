//! What the tests stand on: scripted peers over real TCP, the real binary as a process, and waiting.

#![expect(dead_code, reason = "a peer offers whole verbs; not each of them has a test of its own")]

pub mod wait;
pub mod peer;
pub mod certs;
pub mod cluster;
pub mod smtp;
pub mod http;
pub mod telnyx;
pub mod telnyx_api;
pub mod raw;
pub mod server;
pub mod tools;
pub mod interop;
pub mod prometheus;
pub mod alertmanager;
pub mod process;
pub mod load;
pub mod strace;
pub mod app;
