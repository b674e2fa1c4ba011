//! Notices when somebody sets the clock, and bounds what is deleted by age. Pure but for the two loops that `app` runs.
//!
//! The wall clock is compared with the time that really passes. A step is logged, counted and raised as an event, and what
//! is stored as "not before" moves along with it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::clock::{self, Clock};
use crate::event::Event;

/// How often the clock is looked at.
pub const PERIOD: Duration = Duration::from_secs(1);
/// A difference that is a step; less is slewing, or a thread that had to wait.
const STEP_MIN: SignedDuration = SignedDuration::from_secs(2);
/// How much faster than real time a sweep may catch up after a downtime.
const CATCH_UP: u32 = 2;
/// How far a sweep may go at a start beyond where the last one stood.
const HORIZON_BOUND: Duration = Duration::from_hours(1);

/// A clock that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How far.
    pub by: SignedDuration,
    /// From when on the clock may have shown the new time, by the new time.
    pub from: Timestamp,
    /// When it was noticed, by the new time.
    pub now: Timestamp,
}

/// The wall clock beside the time that passes.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    wall: Timestamp,
    elapsed: Duration,
}

impl Watch {
    /// Begins to watch.
    pub fn new(clock: &Clock) -> Self {
        Self { wall: clock.now(), elapsed: clock.elapsed() }
    }

    /// How far the clock was set since the last look; `None` when it was not.
    pub fn look(&mut self, clock: &Clock) -> Option<Step> {
        let now = Self::new(clock);
        let passed = SignedDuration::try_from(now.elapsed.saturating_sub(self.elapsed))
            .unwrap_or(SignedDuration::MAX);
        let step = now.wall.duration_since(self.wall).checked_sub(passed)?;
        *self = now;
        // Between two looks it may have been set at any time.
        let from = clock::sub(now.wall, Duration::try_from(passed).unwrap_or_default());
        (step.abs() >= STEP_MIN).then_some(Step { by: step, from, now: now.wall })
    }
}

/// The event about a step.
pub fn event(step: &Step) -> Event {
    let seconds = step.by.as_secs();
    let id = format!("tollbell.clock_step:{}:{seconds}", step.now.as_second());
    Event::tollbell("tollbell.clock_step", "", id, step.now, json!({"seconds": seconds}))
}

/// Up to which time rows may be taken for as old as they look.
///
/// No further than the last sweep stood, plus the time that has
/// really passed and a bound. A clock that is days ahead for a while deletes an hour too much at most.
#[derive(Debug, Clone, Copy)]
pub struct Horizon {
    stood: Timestamp,
    since: Duration,
}

impl Horizon {
    /// Goes on from where the last sweep stood, or before the first from the newest time that is stored; `None` when nothing
    /// is.
    pub fn new(stood: Option<Timestamp>, clock: &Clock) -> Self {
        Self { stood: stood.unwrap_or_else(|| clock.now()), since: clock.elapsed() }
    }

    /// The time as of which may be swept now.
    pub fn as_of(&self, clock: &Clock) -> Timestamp {
        let passed = clock.elapsed().saturating_sub(self.since);
        let most =
            clock::add(self.stood, passed.saturating_mul(CATCH_UP).saturating_add(HORIZON_BOUND));
        clock.now().min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3_600).expect("in range")
    }

    #[test]
    fn a_step_is_no_time_that_passes() {
        let clock = Clock::manual(at(0));
        let mut watch = Watch::new(&clock);
        clock.advance(DAY);
        assert_eq!(watch.look(&clock), None);
        for (to, seconds) in [(24 - 72, -72 * 3_600), (24, 72 * 3_600 - 60)] {
            clock.step_to(at(to));
            let by = SignedDuration::from_secs(seconds);
            let passed = if seconds < 0 { Duration::from_mins(1) } else { Duration::ZERO };
            clock.advance(passed);
            let now = clock.now();
            let from = clock::sub(now, passed);
            assert_eq!(watch.look(&clock), Some(Step { by, from, now }));
            assert_eq!(watch.look(&clock), None, "noticed once");
        }
        clock.step_to(clock::add(clock.now(), Duration::from_secs(1)));
        assert_eq!(watch.look(&clock), None, "slewed");
    }

    #[test]
    fn a_sweep_goes_no_further_than_time_has_passed() {
        let clock = Clock::manual(at(0));
        let horizon = Horizon::new(Some(at(-1)), &clock);
        assert_eq!(horizon.as_of(&clock), at(0));
        // Forty days ahead.
        clock.step_to(at(40 * 24));
        assert_eq!(horizon.as_of(&clock), at(0), "the bound");
        clock.advance(Duration::from_hours(3));
        assert_eq!(horizon.as_of(&clock), at(6));
        // Down for ten days: it catches up at twice the pace.
        let clock = Clock::manual(at(240));
        let horizon = Horizon::new(Some(at(0)), &clock);
        assert_eq!(horizon.as_of(&clock), at(1));
        clock.advance(10 * DAY);
        assert_eq!(horizon.as_of(&clock), at(480).min(at(481)));
        assert_eq!(Horizon::new(None, &clock).as_of(&clock), clock.now());
    }
}
