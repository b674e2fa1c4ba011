//! A bound in bytes on what waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes taken from the queue's bound, given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    total: Arc<AtomicUsize>,
}

impl Room {
    /// How many.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes nothing.
    pub(super) fn none() -> Self {
        Self { bytes: 0, total: Arc::default() }
    }

    /// Takes `bytes` unless more than `max` would then be taken. One job alone always fits.
    pub(super) fn take(total: &Arc<AtomicUsize>, bytes: usize, max: usize) -> Option<Self> {
        let before = total.fetch_add(bytes, Ordering::Relaxed);
        let room = Self { bytes, total: Arc::clone(total) };
        (before == 0 || before + bytes <= max).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
