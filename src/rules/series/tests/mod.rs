mod values;
mod absence;
mod random;

use proptest::prelude::*;

use super::*;
use crate::rules::Labels;

const NONE: Hold = Hold { wait: Duration::ZERO, keep: Duration::ZERO };
const GAUGE: Shape = Shape::Gauge { stale_after: None };

/// Fires below 50, ends from 75 on.
struct Low;

impl Terms for Low {
    fn fires(&self, level: &Level) -> bool {
        level.value.is_some_and(|value| value < Decimal::from(50))
    }
    fn clears(&self, level: &Level) -> bool {
        level.value.is_some_and(|value| value >= Decimal::from(75))
    }
}

/// Fires above a value; ends by what is written, or when it does not fire.
struct Above(i64, Option<i64>);

impl Terms for Above {
    fn fires(&self, level: &Level) -> bool {
        level.value.is_some_and(|value| value > Decimal::from(self.0))
    }
    fn clears(&self, level: &Level) -> bool {
        match self.1 {
            Some(line) => level.value.is_some_and(|value| value < Decimal::from(line)),
            None => !self.fires(level),
        }
    }
}

/// Says both of everything.
struct Both;

impl Terms for Both {
    fn fires(&self, _: &Level) -> bool {
        true
    }
    fn clears(&self, _: &Level) -> bool {
        true
    }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn hold(wait: u64, keep: u64) -> Hold {
    Hold { wait: Duration::from_secs(wait), keep: Duration::from_secs(keep) }
}

fn stale(seconds: u64) -> Shape {
    Shape::Gauge { stale_after: Some(Duration::from_secs(seconds)) }
}

fn window(aggregate: Aggregate) -> Shape {
    Shape::Window { over: Over::Sliding(Duration::from_mins(1)), aggregate }
}

fn absence(seconds: u64) -> Shape {
    Shape::Absence { absent_for: Duration::from_secs(seconds) }
}

fn series(shape: &Shape) -> Series {
    Series::new(&"group/alert".into(), &"digest".into(), (&Labels::new()).into(), shape, second(0))
}

fn seen(value: i64, at: i64) -> Observation {
    let value = Observed::Number(Decimal::from(value));
    Observation { labels: Labels::new().into(), at: second(at), value }
}

fn fired(since: i64) -> Turn {
    Turn::Fired { since: second(since) }
}

/// What happens to a series at a time.
#[derive(Debug, Clone, Copy)]
enum Do {
    /// It observes a value of now.
    See(i64),
    /// It observes a value of that time.
    Old(i64, i64),
    /// Time has passed.
    Tick,
    /// Time has passed that does not count.
    Rest,
    /// The service was not ready up to now.
    Skip,
}

fn apply(
    series: &mut Series,
    shape: &Shape,
    hold: Hold,
    terms: &dyn Terms,
    (now, step): (i64, Do),
) -> Turn {
    let time = second(now);
    match step {
        See(value) => series.observe(shape, hold, terms, &seen(value, now), time).1,
        Old(value, at) => series.observe(shape, hold, terms, &seen(value, at), time).1,
        Tick => series.tick(shape, hold, terms, true, time),
        Rest => series.tick(shape, hold, terms, false, time),
        Skip => {
            series.skip(time);
            Quiet
        }
    }
}

/// Runs the steps: time, what happens, what comes of it, and the deadline after it. As if restarted after each.
fn run(
    shape: &Shape,
    hold: Hold,
    terms: &dyn Terms,
    steps: &[(i64, Do, Turn, Option<i64>)],
) -> Series {
    let mut series = series(shape);
    for (place, (now, step, turn, deadline)) in steps.iter().enumerate() {
        let place = format!("step {place} at {now}: {step:?}");
        assert_eq!(apply(&mut series, shape, hold, terms, (*now, *step)), *turn, "{place}");
        let due = series.deadline(shape, hold);
        assert_eq!(due, deadline.map(second), "{place}");
        let json = serde_json::to_string(&series).expect("json");
        let kept: Series = serde_json::from_str(&json).expect("series");
        assert_eq!(kept, series, "{place}");
        series = kept;
    }
    series
}

use Do::{Old, Rest, See, Skip, Tick};
use Turn::{Cleared, NoData, Quiet, Refreshed};
