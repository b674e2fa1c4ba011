//! The three ways to judge: the shipped rule, a fixed threshold, an exponential average.

use std::path::Path;

use jiff::Timestamp;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use tollbell::config;
use tollbell::engine::Policy;
use tollbell::rules::usual::{History, Outages, Past};
use tollbell::rules::{Labels, Observation, Observed, Series, Turn};

use super::accounts::{Account, START, Traffic, WEEK, WEEKS};

/// The shipped rule.
const RULE: &str = "usual/SpendUnusual";
/// False alarms a week that a fixed threshold may have.
const FALSE_MAX: f64 = 0.2;
/// How much higher the next threshold is.
const STEP: f64 = 1.05;
/// What an hour weighs in the average.
const WEIGHT: f64 = 0.1;
/// The average fires at so many times itself and so much more, as `usual` does in `docs/usual.md`.
const AVERAGE: (f64, f64) = (3.0, 1.25);

/// The shipped rule in a time zone.
pub(crate) struct Policies(Policy);

/// A window as it was judged.
pub(crate) struct Point {
    at: i64,
    value: f64,
    count: u64,
}

/// What was judged.
pub(crate) struct Judged {
    pub(crate) points: Vec<Point>,
    /// When the shipped rule began to fire.
    pub(crate) usual: Vec<i64>,
}

impl Policies {
    pub(crate) fn new(zone: &str) -> Self {
        let rules = include_str!("../../config/rules/usual/rules.yaml");
        let rules = rules.replace("time_zone: &zone UTC", &format!("time_zone: &zone {zone}"));
        assert!(rules.contains(zone), "the rules name their time zone otherwise");
        Self(policy(&rules))
    }
}

/// A policy with these rules.
pub(crate) fn policy(rules: &str) -> Policy {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), rules).expect("written");
    let main = "accounts: [{name: default, public_keys: [jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=]}]\n\
                rule_files: [rules.yaml]\nroute: {receiver: a}\nreceivers: [{name: a}]\n";
    let loaded = config::parse("bench.yaml", main, Path::new(folder.path()), &|_| None);
    let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    tollbell::policy::policy(config)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

/// Lets the shipped rule judge an account as the engine does: at each charge, and whenever its window changes.
pub(crate) fn judge(Policies(policy): &Policies, account: &Account, traffic: &Traffic) -> Judged {
    let of = policy.rules.rule(RULE).expect("it is shipped");
    let (shape, terms) = (of.shape().expect("a window"), of.usual_terms().expect("it compares"));
    let names = ["account", "alertname", "currency", "product", "severity", "team"];
    let labels: Labels = names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
    let mut series = Series::new(of.name(), of.digest(), (&labels).into(), shape, at(START));
    let mut history = History::beginning(terms, at(START));
    let mut outages = Outages::default();
    let mut outage = account.outage.map(|week| (START + week * WEEK, START + (week + 1) * WEEK));
    let mut judged = Judged { points: Vec::new(), usual: Vec::new() };
    let mut charges = traffic.charges.iter().peekable();
    let end = START + WEEKS * WEEK;
    loop {
        let due = of
            .deadline(&series)
            .map_or(end, |due| due.as_second() + i64::from(due.subsec_nanosecond() > 0));
        let next = charges.peek().map_or(end, |(second, _)| *second);
        let now = due.min(next).min(end);
        if now >= end {
            break;
        }
        if let Some((_, until)) = outage.filter(|(_, until)| now >= *until) {
            let (from, _) = outage.take().unwrap_or((until, until));
            outages.note(at(from), at(until));
            history.forget_computed();
        }
        let mut past = Past::new(&mut history, &outages, true);
        let turn = if next <= due {
            let (_, amount) = charges.next().expect("there is one");
            let value = Observed::Number(Decimal::new(*amount, 4));
            let observation = Observation { labels: labels.clone().into(), at: at(now), value };
            of.observe(&mut series, Some(&mut past), &observation, at(now)).1
        } else {
            of.tick(&mut series, Some(&mut past), true, at(now)).0
        };
        if matches!(turn, Turn::Fired { .. }) {
            judged.usual.push(now);
        }
        let value = series.value.and_then(|value| value.to_f64()).unwrap_or(0.0);
        judged.points.push(Point { at: now, value, count: series.count });
    }
    judged
}

/// When alarms begin, where one begins and ends like this.
fn alarms<'p>(
    points: &'p [Point],
    fires: impl Fn(&Point) -> bool,
    clears: impl Fn(&Point) -> bool,
) -> Vec<i64> {
    let mut fired = Vec::new();
    let mut firing = false;
    let step = |point: &'p Point| {
        if !firing && fires(point) {
            firing = true;
            fired.push(point.at);
        } else if firing && clears(point) {
            firing = false;
        }
    };
    points.iter().for_each(step);
    fired
}

/// The alarms of the lowest fixed threshold that has few enough false ones: nobody can know it before.
pub(crate) fn best_fixed(points: &[Point], false_alarms: impl Fn(&[i64]) -> f64) -> Vec<i64> {
    let mut threshold = 0.5;
    loop {
        let fires = |point: &Point| point.value > threshold && point.count >= 3;
        let fired = alarms(points, fires, |point| point.value < threshold / 2.0);
        if false_alarms(&fired) <= FALSE_MAX {
            return fired;
        }
        threshold *= STEP;
    }
}

/// The alarms of an exponential average of the hours before.
pub(crate) fn average(points: &[Point], traffic: &Traffic) -> Vec<i64> {
    let hours = (WEEKS * WEEK / 3_600) as usize;
    let mut sums = vec![0.0; hours];
    for (second, amount) in &traffic.charges {
        sums[((second - START) / 3_600) as usize] += *amount as f64 / 10_000.0;
    }
    let mut averages = vec![0.0; hours + 1];
    for (hour, sum) in sums.iter().enumerate() {
        averages[hour + 1] = averages[hour] * (1.0 - WEIGHT) + sum * WEIGHT;
    }
    // Of a quarter of an hour.
    let line = |point: &Point| {
        AVERAGE.0 * averages[((point.at - START) / 3_600) as usize] / 4.0 + AVERAGE.1
    };
    alarms(
        points,
        |point| point.value > line(point) && point.count >= 3,
        |point| point.value < line(point) / 2.0,
    )
}
