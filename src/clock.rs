//! The one source of time.
//!
//! Decisions take `now` as an argument; workers take a [`Clock`]. Tests move a manual clock and wake the
//! sleepers that are due, so no test waits for real time to pass. Socket deadlines stay on tokio's clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

/// Wall-clock time and the time that really passes, real or moved by a test. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    /// Set while senders' clocks say that ours is wrong.
    doubted: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
enum Source {
    /// Since when the time that passes is counted.
    System(Instant),
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    now: Mutex<(Timestamp, Duration)>,
    moved: watch::Sender<()>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::of(Source::System(Instant::now()))
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        let (moved, _) = watch::channel(());
        let now = Mutex::new((start, Duration::ZERO));
        Self::of(Source::Manual(Arc::new(Manual { now, moved })))
    }

    fn of(source: Source) -> Self {
        Self { source, doubted: Arc::default() }
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::System(_) => Timestamp::now(),
            Source::Manual(manual) => manual.now.lock().unwrap_or_else(PoisonError::into_inner).0,
        }
    }

    /// The time that has passed since the clock was made. Unlike [`Clock::now`] it never steps.
    pub fn elapsed(&self) -> Duration {
        match &self.source {
            Source::System(begun) => begun.elapsed(),
            Source::Manual(manual) => manual.now.lock().unwrap_or_else(PoisonError::into_inner).1,
        }
    }

    /// Whether senders' clocks say that ours is wrong: what cannot be undone is to wait.
    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// Takes note of whether a sender's clock agrees with ours.
    pub fn set_doubted(&self, doubted: bool) {
        self.doubted.store(doubted, Ordering::Relaxed);
    }

    /// Moves a manual clock forward and wakes whoever sleeps on it; a system clock ignores it.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.source {
            let mut now = manual.now.lock().unwrap_or_else(PoisonError::into_inner);
            *now = (add(now.0, by), now.1.saturating_add(by));
            drop(now);
            manual.moved.send_replace(());
        }
    }

    /// Sets a manual clock to another time without any time passing, as somebody who sets a machine's clock does; a system
    /// clock ignores it.
    pub fn step_to(&self, at: Timestamp) {
        if let Source::Manual(manual) = &self.source {
            manual.now.lock().unwrap_or_else(PoisonError::into_inner).0 = at;
            manual.moved.send_replace(());
        }
    }

    /// Sleeps until the clock shows `deadline`.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        match &self.source {
            Source::System(_) => {
                let wait = until(self.now(), deadline);
                tokio::time::sleep(wait).await;
            }
            Source::Manual(manual) => {
                let mut moved = manual.moved.subscribe();
                // As on a real clock: how long is decided now, and a clock that is set changes nothing about it.
                let until = self.elapsed().saturating_add(until(self.now(), deadline));
                while self.elapsed() < until {
                    // The sender lives as long as `manual`, which we hold.
                    if moved.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// `at + by`, stopping at the end of representable time.
pub fn add(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// `at - by`, stopping at the start of representable time.
pub fn sub(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// When `wait` has passed since `at`.
///
/// A time that lies further ahead of `now` than that was written by another clock, or by
/// ours before it was set back: what waits by it waits no longer, so that nothing waits for as long as two clocks differ.
pub fn passed(at: Timestamp, wait: Duration, now: Timestamp) -> Timestamp {
    if at > add(now, wait) { now } else { add(at, wait) }
}

/// How long from `now` to `deadline`; zero when it is past.
pub fn until(now: Timestamp, deadline: Timestamp) -> Duration {
    Duration::try_from(deadline.duration_since(now)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_it_passes_their_deadline() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let deadline = add(clock.now(), Duration::from_secs(10));
        let mut sleep = std::pin::pin!(clock.sleep_until(deadline));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(9));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(1));
        sleep.await;
        assert_eq!(clock.now(), deadline);
    }

    #[test]
    fn until_is_zero_for_the_past() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(until(now, sub(now, Duration::from_secs(1))), Duration::ZERO);
        assert_eq!(until(now, add(now, Duration::from_secs(1))), Duration::from_secs(1));
    }
}
