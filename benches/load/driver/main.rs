//! What `benches/load/run.py` runs beside the contestants: signed bodies, a client that measures, and the two floors.
//!
//!     load key                                    the public half of the key that signs everything
//!     load floor read|verify ADDRESS              a bare actix handler that only reads, or also verifies
//!     load drive URL [--mix received|mixed|notify|unique] [--connections 64] [--count N] [--rate R] [--bad] [--base KEY]
//!
//! `drive` signs its requests first and prints `ready`; it begins when it reads a line, and prints its figures as one line of
//! JSON. Without `--rate` each connection sends its next request as soon as the last one is answered (closed loop). With it,
//! requests are due at even intervals whatever the server does, and latency counts from when a request was due, so that a
//! server that stalls is not asked less (coordinated omission). Only this machine's loopback is ever loaded.

#![expect(clippy::print_stdout, reason = "its output is read by the script that runs it")]

mod bodies;
mod drive;
mod floor;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["key"] => {
            println!("{}", bodies::public_key());
            Ok(())
        }
        ["floor", what @ ("read" | "verify"), address] => floor::serve(address, *what == "verify"),
        ["drive", url, options @ ..] => drive::run(url, options),
        _ => Err("see the head of benches/load/driver/main.rs".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
