//! What was computed last of a series' past. Never stored: it follows from what is.

use super::Usual;

/// A stretch in civil seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from: i64,
    pub(super) until: i64,
}

/// What was computed last for a series. Never stored: it follows from the history, the outages and the time.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    /// The hours that the stretch touches, first and last.
    pub(super) hours: (i64, i64),
    /// Of each week before that counts.
    pub(super) parts: Box<[Parts]>,
    /// For which stretch.
    pub(super) stretch: Stretch,
    pub(super) usual: Option<Usual>,
}

/// A stretch of a week before: its first hour, those between and its last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub(super) units: [i64; 3],
    pub(super) counts: [u32; 3],
    pub(super) scale: u32,
}
