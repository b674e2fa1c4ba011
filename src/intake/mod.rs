//! The public listener: takes bytes, checks size and signature, and only then lets them be parsed.

/// Why a webhook was refused: all values of the metric label.
pub const REASONS: &[&str] = &[];

pub mod signature;
