//! Keeps a line that repeats from filling the log: beyond a burst, warnings and errors of one place in the code are
//! counted, and the count is said in their stead.
//!
//! Works on every line of every module and library alike, since what one webhook or one file can cause, a thousand can.
//! Nothing else is lost by it: fates, counts and reasons are in the store and in the metrics.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one place within [`WINDOW`] that are written as they are.
const BURST: u64 = 50;
/// How long lines of one place are counted together.
const WINDOW: Duration = Duration::from_secs(10);

/// Lets lines pass, or counts them.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<HashMap<Identifier, Place>>);

/// One place in the code. There are as many as there are lines in it that log, so the map has a bound.
#[derive(Debug)]
struct Place {
    since: Instant,
    seen: u64,
    target: &'static str,
    file: Option<&'static str>,
    line: Option<u32>,
}

/// What was left out of the log.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    count: u64,
    target: &'static str,
    file: Option<&'static str>,
    line: Option<u32>,
}

impl Repeats {
    /// Whether this line is written.
    fn admits(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(metadata.callsite()).or_insert_with(|| Place {
            since: now,
            seen: 0,
            target: metadata.target(),
            file: metadata.file(),
            line: metadata.line(),
        });
        place.seen = place.seen.saturating_add(1);
        place.seen <= BURST
    }

    /// Ends windows that are over, with what was left out in them.
    fn over(&self, now: Instant) -> Vec<LeftOut> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = Vec::new();
        places.retain(|_, place| {
            let over = now.saturating_duration_since(place.since) >= WINDOW;
            if over && place.seen > BURST {
                let Place { seen, target, file, line, .. } = *place;
                left_out.push(LeftOut { count: seen - BURST, target, file, line });
            }
            !over
        });
        left_out
    }
}

impl<S: Subscriber> Filter<S> for Repeats {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let now = Instant::now();
        for LeftOut { count, target, file, line } in self.over(now) {
            tracing::warn!(count, of = target, file, line, "repeated log lines were suppressed");
        }
        let metadata = event.metadata();
        *metadata.level() > Level::WARN || self.admits(metadata, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> &'static Metadata<'static> {
        static SITE: tracing::callsite::DefaultCallsite =
            tracing::callsite::DefaultCallsite::new(&META);
        static META: Metadata<'static> = tracing::metadata! {
            name: "line", target: "here", level: Level::WARN, fields: &[], callsite: &SITE,
            kind: tracing::metadata::Kind::EVENT
        };
        &META
    }

    #[test]
    fn a_flood_is_a_burst_and_a_count_and_begins_anew() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        for round in 0..3_u32 {
            let now = start + WINDOW * round;
            let told = repeats.over(now);
            let counts: Vec<u64> = told.iter().map(|left| left.count).collect();
            assert_eq!(counts, if round == 0 { vec![] } else { vec![113_000 - BURST] });
            let written = (0..113_000).filter(|_| repeats.admits(metadata(), now)).count();
            assert_eq!(written as u64, BURST);
            assert_eq!(repeats.over(now + WINDOW / 2), []);
        }
    }

    #[test]
    fn what_stays_below_the_burst_is_written_whole() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        for _ in 0..BURST {
            assert!(repeats.admits(metadata(), start));
        }
        assert_eq!(repeats.over(start + WINDOW), []);
    }
}
