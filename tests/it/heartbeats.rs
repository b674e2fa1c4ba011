//! Dead man's switches.
