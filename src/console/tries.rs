//! Wrong tokens are slowed down.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock;

/// Wrong tokens within [`PAUSE`], of everybody together, after which none is looked at until one of them is that old.
const WRONG_MAX: usize = 10;
const PAUSE: Duration = Duration::from_mins(1);
/// When wrong tokens were tried. One for all requests.
#[derive(Debug, Default)]
pub(super) struct Tries(Mutex<VecDeque<Timestamp>>);

impl Tries {
    /// Whether another token may be tried now.
    pub(super) fn may(&self, now: Timestamp) -> bool {
        let mut wrong = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.retain(|at| clock::until(*at, now) < PAUSE && *at <= now);
        wrong.len() < WRONG_MAX
    }

    /// Counts a wrong one.
    pub(super) fn wrong(&self, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_tokens_are_counted_for_a_minute() {
        let (tries, now) = (Tries::default(), "2026-11-30T10:00:00Z".parse().expect("time"));
        for _ in 0..WRONG_MAX {
            assert!(tries.may(now));
            tries.wrong(now);
        }
        assert!(!tries.may(now));
        assert!(tries.may(clock::add(now, PAUSE)));
    }
}
