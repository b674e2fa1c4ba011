//! From the level of a series to its phase: pending, firing, kept, inactive.

use jiff::Timestamp;

use super::{LevelJudgement, Phase, Series, Terms, Turn};
use crate::clock;
use crate::rules::Hold;

impl Series {
    pub(super) fn judge(&mut self, terms: &dyn Terms, judgement: LevelJudgement) -> Turn {
        let LevelJudgement { hold, level, since, fresh, now } = judgement;
        let changed = self.value != level.value;
        (self.value, self.count) = (level.value, level.count);
        let holds = match self.phase {
            Phase::Inactive | Phase::Pending(_) => terms.fires(&level),
            // Without a value `clear` may never hold: a window that is empty would fire for ever.
            Phase::Firing | Phase::Keeping(_) => {
                let ends = terms.clears(&level) || level.value.is_none() && !terms.fires(&level);
                !ends
            }
        };
        if holds {
            let ripe = |since| clock::add(since, hold.wait) <= now;
            self.held(since, ripe, fresh || changed)
        } else {
            self.not_held(hold, now)
        }
    }

    /// The condition holds, `since` then if it did not before. `ripe`: whether that is long enough.
    pub(super) fn held(
        &mut self,
        since: Timestamp,
        ripe: impl FnOnce(Timestamp) -> bool,
        anew: bool,
    ) -> Turn {
        let since = match self.phase {
            Phase::Inactive => since,
            Phase::Pending(earlier) => earlier,
            Phase::Firing | Phase::Keeping(_) => {
                self.phase = Phase::Firing;
                return if anew { Turn::Refreshed } else { Turn::Quiet };
            }
        };
        if ripe(since) {
            self.phase = Phase::Firing;
            return Turn::Fired { since };
        }
        self.phase = Phase::Pending(since);
        Turn::Quiet
    }

    /// The condition does not hold: an alert that fires is kept for `keep_firing_for`.
    pub(super) fn not_held(&mut self, hold: Hold, now: Timestamp) -> Turn {
        let ended = match self.phase {
            Phase::Inactive | Phase::Pending(_) => {
                self.phase = Phase::Inactive;
                return Turn::Quiet;
            }
            Phase::Firing => now,
            Phase::Keeping(since) => since.min(now),
        };
        if clock::add(ended, hold.keep) <= now {
            self.phase = Phase::Inactive;
            return Turn::Cleared;
        }
        self.phase = Phase::Keeping(ended);
        Turn::Quiet
    }

    /// No reading came for too long.
    pub(super) fn no_data(&mut self) -> Turn {
        match std::mem::replace(&mut self.phase, Phase::Inactive) {
            Phase::Inactive | Phase::Pending(_) => Turn::Quiet,
            Phase::Firing | Phase::Keeping(_) => Turn::NoData,
        }
    }
}
