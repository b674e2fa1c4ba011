//! The values that a rule has seen, each with when it was last: by hashes, so that no number of a caller is kept twice.

use std::collections::BTreeMap;

/// Values of a rule that are remembered at most. Of more, those that were seen longest ago are forgotten, and count as new
/// when they come again.
const SEEN_MAX: usize = 10_000;
/// How many make room at once.
const EVICTED: usize = 1_000;
/// How much later a value has to come again for that to be noted, in seconds.
const STEP_SECS: i64 = 3_600;

/// What one rule has seen: hashes, and the second of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SeenValues(BTreeMap<u64, i64>);

impl SeenValues {
    /// When a value was last seen, to the hour.
    pub(super) fn last(&self, hash: u64) -> Option<i64> {
        self.0.get(&hash).copied()
    }

    /// Notes that it was; the hashes whose rows changed.
    pub(super) fn see(&mut self, hash: u64, second: i64) -> Vec<u64> {
        if self.last(hash).is_some_and(|last| second < last + STEP_SECS) {
            return Vec::new();
        }
        let mut changed = vec![hash];
        self.0.insert(hash, second);
        if self.0.len() > SEEN_MAX {
            let mut oldest: Vec<(i64, u64)> =
                self.0.iter().map(|(hash, second)| (*second, *hash)).collect();
            oldest.sort_unstable();
            for (_, hash) in oldest.into_iter().take(EVICTED) {
                self.0.remove(&hash);
                changed.push(hash);
            }
        }
        changed
    }

    /// Takes one as it was stored.
    pub(super) fn resume(&mut self, hash: u64, second: i64) {
        self.0.insert(hash, second);
    }

    pub(super) fn hashes(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_make_room_by_the_oldest_and_times_are_kept_to_the_hour() {
        let mut seen = SeenValues::default();
        assert_eq!(seen.see(7, 0), [7]);
        assert_eq!(seen.see(7, STEP_SECS - 1), Vec::<u64>::new());
        assert_eq!(seen.see(7, STEP_SECS), [7]);
        assert_eq!(seen.see(7, 0), Vec::<u64>::new());
        for hash in 1_000..11_000 - 1 {
            assert_eq!(seen.see(hash, 10 * STEP_SECS + i64::try_from(hash).expect("fits")), [hash]);
        }
        let changed = seen.see(99_999, 0);
        assert_eq!(changed.len(), 1 + EVICTED);
        // The newest by its time is the oldest of all.
        assert_eq!(
            (seen.last(99_999), seen.last(7), seen.last(10_998).is_some()),
            (None, None, true)
        );
        assert_eq!(seen.hashes().count(), SEEN_MAX + 1 - EVICTED);
    }
}
