//! Events that were just committed, as they were parsed: the engine takes them from here instead of reading them back.
//!
//! Only a shortcut. What is here is on disk; what is not is read from there: after a start, when the engine is far
//! behind, when an event is large, and when somebody else wrote in between.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::StoredEvent;

/// Events that wait here at most.
const EVENTS_MAX: usize = 1024;
/// Bytes of payload text that wait here at most. Parsed they take several times as much.
const BYTES_MAX: usize = 2 * 1024 * 1024;
/// The largest payload that is kept here, in bytes of its text.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// An event that was committed.
#[derive(Debug)]
pub(super) struct Fresh {
    /// What was written.
    pub(super) stored: StoredEvent,
    /// Bytes of its payload's text.
    pub(super) bytes: usize,
}

/// Committed events whose places in the inbox follow each other without a gap.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Fresh>,
    bytes: usize,
}

impl Recent {
    /// Keeps what was just committed, in the order of the inbox, while there is room. What comes behind a gap is left out
    /// until all before it is taken.
    pub(super) fn put(&self, events: impl IntoIterator<Item = Fresh>) {
        let mut kept = self.lock();
        for fresh in events {
            let follows =
                kept.events.back().is_none_or(|last| last.stored.seq + 1 == fresh.stored.seq);
            let fits = kept.events.len() < EVENTS_MAX && kept.bytes + fresh.bytes <= BYTES_MAX;
            if follows && fits && fresh.bytes <= PAYLOAD_BYTES_MAX {
                kept.bytes += fresh.bytes;
                kept.events.push_back(fresh);
            }
        }
    }

    /// The events behind `cursor`, at most `limit` and those that bring it to `bytes` of payload text; none where the very
    /// next one is not here.
    pub(super) fn take(&self, cursor: i64, limit: usize, bytes: usize) -> Vec<StoredEvent> {
        let mut kept = self.lock();
        let (mut taken, mut taken_bytes) = (Vec::new(), 0);
        while taken.len() < limit && taken_bytes < bytes {
            let Some(first) = kept.events.front().map(|fresh| fresh.stored.seq) else { break };
            if first > cursor && taken.is_empty() && first != cursor + 1 {
                break;
            }
            let Some(fresh) = kept.events.pop_front() else { break };
            kept.bytes -= fresh.bytes;
            if first > cursor {
                taken_bytes += fresh.bytes;
                taken.push(fresh.stored);
            }
        }
        taken
    }

    /// Forgets everything: nobody knows whether it is still what is on disk.
    pub(super) fn clear(&self) {
        *self.lock() = Kept::default();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::event;

    fn fresh(seq: i64, bytes: usize) -> Fresh {
        Fresh { stored: StoredEvent { seq, event: event(&format!("e{seq}")) }, bytes }
    }

    fn places(events: &[StoredEvent]) -> Vec<i64> {
        events.iter().map(|stored| stored.seq).collect()
    }

    #[test]
    fn what_follows_the_cursor_is_taken_once_and_in_order() {
        let recent = Recent::default();
        recent.put((1..=5).map(|seq| fresh(seq, 10)));
        assert_eq!(places(&recent.take(0, 2, 1000)), [1, 2]);
        // What is judged already is not given again.
        assert_eq!(places(&recent.take(3, 9, 1000)), [4, 5]);
        assert_eq!(places(&recent.take(3, 9, 1000)), [0; 0]);
        assert_eq!(recent.lock().bytes, 0);
        recent.put((6..=8).map(|seq| fresh(seq, 10)));
        assert_eq!(places(&recent.take(5, 9, 15)), [6, 7], "as many as bring it to the bytes");
    }

    #[test]
    fn nothing_is_passed_over() {
        let recent = Recent::default();
        recent.put([fresh(3, 10), fresh(4, 10)]);
        assert_eq!(places(&recent.take(1, 9, 1000)), [0; 0], "2 is to be read first");
        assert_eq!(places(&recent.take(2, 9, 1000)), [3, 4]);
        // 6 was written by somebody else, or is large.
        recent.put([fresh(5, 10), fresh(6, PAYLOAD_BYTES_MAX + 1), fresh(7, 10)]);
        assert_eq!(places(&recent.take(4, 9, 1000)), [5]);
        recent.put([fresh(8, 10), fresh(9, 10)]);
        assert_eq!(places(&recent.take(5, 9, 1000)), [0; 0]);
        assert_eq!(places(&recent.take(7, 9, 1000)), [8, 9]);
        recent.put([fresh(10, 10)]);
        recent.clear();
        assert_eq!(places(&recent.take(9, 9, 1000)), [0; 0]);
    }

    #[test]
    fn both_bounds_hold() {
        let recent = Recent::default();
        recent.put((1..).take(EVENTS_MAX + 10).map(|seq| fresh(seq, 1)));
        assert_eq!(recent.lock().events.len(), EVENTS_MAX);
        recent.clear();
        recent.put((1..).take(100).map(|seq| fresh(seq, PAYLOAD_BYTES_MAX)));
        assert_eq!(recent.lock().bytes, BYTES_MAX);
    }
}
