//! tollbell: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    tollbell::cli::run()
}
