//! From when the log is read, how much of it at a time, and when again.
//!
//! Receives what is known and the time. Promises that each moment is read at least twice, the second time when Telnyx has
//! surely written it down, and that no run, slice or wait is without a bound. Does nothing itself.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{add, sub, until};
use crate::telnyx::ApiError;

/// From the beginning of a run to that of the next one. The first of them comes so long after the start, for what Telnyx had not
/// written down by then.
pub(super) const EVERY: Duration = Duration::from_mins(10);
/// What is younger than this counts as not known yet: Telnyx tries for some minutes before a delivery has failed, and
/// writes its log late.
pub(super) const SETTLE: Duration = Duration::from_mins(15);
/// So far before what is known a run begins.
pub(super) const OVERLAP: Duration = Duration::from_mins(15);
/// When what is known ends longer ago than this, something was amiss here: entries of any status are read.
pub(super) const GAP: Duration = Duration::from_hours(1);
/// Runs after a start that read entries of any status.
const RUNS_ANY_STATUS: u32 = 2;

/// Most time in one slice.
pub(super) const SLICE_MAX: Duration = Duration::from_hours(1);
/// Least time in one slice. What has more than the pages below in so little time is not read in full.
pub(super) const SLICE_MIN: Duration = Duration::from_secs(10);
/// Entries on a page; Telnyx gives 250 at most.
pub(super) const PAGE_SIZE: u32 = 100;
/// Pages of a slice: 2,000 entries, whose bodies Telnyx cuts at some 10 kB, are held in memory at most.
pub(super) const PAGES_MAX: u32 = 20;
/// Events fed in one transaction.
pub(super) const BATCH: usize = 100;
/// Content that came by webhook within so much of a delivery is that delivery's, where neither has an identity.
pub(super) const CONTENT_NEAR: Duration = Duration::from_hours(1);

/// The wait after a first failure; it doubles with each further one.
const RETRY_FIRST: Duration = Duration::from_secs(30);
/// The longest wait after failures, unless Telnyx asks for more.
const RETRY_MAX: Duration = EVERY;
/// Doublings of the wait that are counted at most.
const RETRY_DOUBLINGS_MAX: u32 = 10;
/// The wait when the key may not read the log, and the longest that Telnyx can ask for.
const FORBIDDEN_WAIT: Duration = Duration::from_hours(1);

/// One run over the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Its oldest moment, in whole seconds.
    pub(super) from: Timestamp,
    /// Its end, in whole seconds.
    pub(super) to: Timestamp,
    /// Whether delivered entries are read as well. Else only failed ones.
    pub(super) any_status: bool,
    began: Timestamp,
}

impl Run {
    /// The run that begins now. `runs` is how many have come to their end since the start.
    pub(super) fn new(
        covered: Option<Timestamp>,
        now: Timestamp,
        max_age: Duration,
        runs: u32,
    ) -> Self {
        let oldest = sub(now, max_age);
        // A clock that was set back does not make the future known.
        let known = covered.map(|covered| covered.min(sub(now, SETTLE)));
        let from = known.map_or(oldest, |known| sub(known, OVERLAP).max(oldest));
        let is_gap = known.is_none_or(|known| until(known, now) > GAP);
        let any_status = runs < RUNS_ANY_STATUS || is_gap;
        let (from, to) = (whole(from), add(whole(now), Duration::from_secs(1)));
        Self { from, to, any_status, began: now }
    }

    /// The end of the slice that begins at `from`; a rest that is not worth a slice belongs to it.
    pub(super) fn slice_end(&self, from: Timestamp, width: Duration) -> Timestamp {
        let end = add(from, width);
        if until(end, self.to) <= SLICE_MIN { self.to } else { end }
    }

    /// Up to when all is known, once this run has read until `to`.
    pub(super) fn covered(&self, before: Option<Timestamp>, to: Timestamp) -> Timestamp {
        let settled = sub(self.began, SETTLE);
        let before = before.unwrap_or(Timestamp::MIN).min(settled);
        to.min(settled).max(before)
    }
}

/// The second that it is in.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// The width of a slice after one that had more than is read at a time.
pub(super) fn narrower(width: Duration) -> Duration {
    Duration::from_secs(width.as_secs() / 2).max(SLICE_MIN)
}

/// The width of the next slice after one of so many pages.
pub(super) fn width_after(width: Duration, pages: u32) -> Duration {
    if pages > PAGES_MAX / 4 { width } else { (width * 2).min(SLICE_MAX) }
}

/// What a failure is known by: the same one is said once.
pub(super) fn reason(error: &ApiError) -> String {
    match error.status() {
        Some(status) => format!("{} {status}", error.reason()),
        None => error.reason().to_owned(),
    }
}

/// Whether the key may not read the log, or there is none.
pub(super) fn is_forbidden(error: &ApiError) -> bool {
    matches!(error.status(), Some(403 | 404))
}

/// How long to wait after a run that failed, the `failures`th in a row; `None` is a failure of our own store.
pub(super) fn wait(error: Option<&ApiError>, failures: u32) -> Duration {
    let asked = match error {
        Some(error) if is_forbidden(error) => return FORBIDDEN_WAIT,
        Some(ApiError::Refused { after, .. }) => after.unwrap_or_default().min(FORBIDDEN_WAIT),
        _ => Duration::ZERO,
    };
    let doublings = failures.saturating_sub(1).min(RETRY_DOUBLINGS_MAX);
    (RETRY_FIRST * 2_u32.pow(doublings)).min(RETRY_MAX).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn at(text: &str) -> Timestamp {
        format!("2026-03-10T{text}Z").parse().expect("time")
    }

    #[test]
    fn a_run_begins_before_what_is_known_but_never_before_the_oldest() {
        let now = at("12:00:00.7");
        let first = Run::new(None, now, DAY, 0);
        assert_eq!((first.from, first.to), (sub(at("12:00:00"), DAY), at("12:00:01")));
        let next = Run::new(Some(at("09:00:00.2")), now, DAY, 0);
        assert_eq!(next.from, at("08:45:00"));
        let long_ago = Run::new(Some(sub(now, DAY * 3)), now, DAY, 0);
        assert_eq!(long_ago.from, first.from);
        // The clock was set back.
        let future = Run::new(Some(add(now, DAY)), now, DAY, 0);
        assert_eq!(future.from, at("11:30:00"));
        assert_eq!(future.covered(Some(add(now, DAY)), future.to), at("11:45:00.7"));
    }

    #[test]
    fn slices_end_with_the_run_and_no_rest_is_left() {
        let run = Run::new(None, at("12:00:00"), DAY, 0);
        let end = |from: &str, width| run.slice_end(at(from), width);
        assert_eq!(end("09:00:00", SLICE_MAX), at("10:00:00"));
        assert_eq!(end("11:00:00", SLICE_MAX), run.to);
        assert_eq!(end("11:30:00", SLICE_MAX), run.to);
        assert_eq!(end("11:59:30", SLICE_MIN), at("11:59:40"));
        assert_eq!(end("11:59:45", SLICE_MIN), run.to);
    }

    #[test]
    fn failed_entries_are_enough_once_a_start_is_over_and_no_gap_is_seen() {
        let now = at("12:00:00");
        let any = |covered: &str, runs| Run::new(Some(at(covered)), now, DAY, runs).any_status;
        assert!(any("11:45:00", 0) && any("11:45:00", 1));
        assert!(!any("11:35:00", 2) && !any("11:00:00", 2));
        assert!(any("10:59:59", 2));
    }

    #[test]
    fn what_is_young_is_not_known_and_knowledge_never_shrinks() {
        let run = Run::new(Some(at("11:30:00")), at("12:00:00"), DAY, 2);
        assert_eq!(run.covered(Some(at("11:30:00")), at("11:15:00")), at("11:30:00"));
        assert_eq!(run.covered(Some(at("11:30:00")), at("11:40:00")), at("11:40:00"));
        assert_eq!(run.covered(Some(at("11:30:00")), run.to), at("11:45:00"));
        assert_eq!(run.covered(None, at("10:00:00")), at("10:00:00"));
    }

    #[test]
    fn every_moment_is_read_again_when_it_has_settled() {
        // Failed and written down 24 minutes after it began: some run still reads its moment.
        let began = at("03:00:01");
        let late = add(began, Duration::from_mins(24));
        for offset in 0..10 {
            let mut covered = Some(at("02:00:00"));
            let mut now = add(at("02:30:00"), Duration::from_mins(offset));
            let mut read = 0;
            for runs in 0..20 {
                let run = Run::new(covered, now, DAY, runs);
                read += u32::from(run.from <= began && began <= run.to && now >= late);
                covered = Some(run.covered(covered, run.to));
                now = add(now, EVERY);
            }
            assert!(read >= 1, "{offset}");
        }
    }

    #[test]
    fn slices_shrink_to_the_least_and_grow_back() {
        let mut width = SLICE_MAX;
        let mut steps = 0;
        while width > SLICE_MIN {
            width = narrower(width);
            steps += 1;
        }
        assert_eq!((width, steps), (SLICE_MIN, 9));
        assert_eq!(width_after(width, PAGES_MAX), SLICE_MIN);
        for _ in 0..9 {
            width = width_after(width, 1);
        }
        assert_eq!(width, SLICE_MAX);
    }

    #[test]
    fn waits_grow_to_their_bound_and_heed_telnyx() {
        let refused = |status, after| ApiError::Refused {
            endpoint: "webhook_deliveries",
            status,
            items: Vec::new(),
            after,
        };
        let server = refused(503, None);
        let waits = [1, 2, 3, 5, 6, 99, u32::MAX].map(|n| wait(Some(&server), n).as_secs());
        assert_eq!(waits, [30, 60, 120, 480, 600, 600, 600]);
        assert_eq!(wait(None, 1), RETRY_FIRST);
        let limited = refused(429, Some(Duration::from_mins(30)));
        assert_eq!(wait(Some(&limited), 1), Duration::from_mins(30));
        assert_eq!(wait(Some(&refused(429, Some(DAY))), 1), FORBIDDEN_WAIT);
        for status in [403, 404] {
            assert_eq!(wait(Some(&refused(status, None)), 1), FORBIDDEN_WAIT);
        }
        assert_eq!(wait(Some(&refused(401, None)), 1), RETRY_FIRST);
    }
}
