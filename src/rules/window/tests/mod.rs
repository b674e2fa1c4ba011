mod sliding;
mod calendar;
mod random;

use proptest::prelude::*;

use super::seen::DISTINCT_MAX;
use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("time")
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn decimal(text: &str) -> Decimal {
    text.parse().expect("decimal")
}

fn number(text: &str) -> Observed {
    Observed::Number(decimal(text))
}

fn sliding(seconds: u64) -> Over {
    Over::Sliding(Duration::from_secs(seconds))
}

fn calendar(period: Period, zone: &str) -> Over {
    Over::Calendar(period, TimeZone::get(zone).expect("zone"))
}

fn kept(window: &Window) -> Window {
    serde_json::from_str(&serde_json::to_string(window).expect("json")).expect("window")
}

const AGGREGATES: [Aggregate; 7] = [
    Aggregate::Sum,
    Aggregate::Min,
    Aggregate::Max,
    Aggregate::Avg,
    Aggregate::Distinct,
    Aggregate::Last,
    Aggregate::Count,
];
