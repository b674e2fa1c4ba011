//! What judging costs: `cargo bench --bench rules`. Prints ratios of figures taken in one run, since the machine
//! is shared, each the best of many short rounds; nothing is asserted.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_collect,
    clippy::assigning_clones,
    reason = "a measurement"
)]

mod engine;

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::json;
use tollbell::diagnostic::{At, Position};
use tollbell::event::Event;
use tollbell::rules::{Hold, KindSpec, LineSpec, MetricKind, MetricSpec, Over, RuleSet, RuleSpec};

/// How long each figure is taken.
const SPAN: Duration = Duration::from_millis(500);
/// How long one round of it is, at least one run: shorter than the time for which a busy machine leaves it alone.
const ROUND: Duration = Duration::from_millis(1);

fn at(text: impl Into<String>) -> At<String> {
    At::new(text.into(), Position::new("bench.yaml", 1, 1))
}

fn rule(name: &str, on: &str, when: &str) -> RuleSpec {
    RuleSpec {
        group: "bench".to_owned(),
        alert: at(name),
        on: vec![at(on)],
        when: Some(at(when)),
        by: vec![(at("status"), at("payload.status"))],
        max_series: 1_000,
        kind: KindSpec::Event {
            active_for: Duration::from_hours(1),
            notify_expired: false,
            resolve_on: None,
        },
        labels: vec![(at("severity"), at("warning"))],
        annotations: vec![],
    }
}

fn line() -> LineSpec {
    LineSpec { fire: at("value > 100.0"), clear: None, hold: Hold::default() }
}

/// The same over a window: what is judged here is only what the event tells its series.
fn window(name: &str, on: &str, when: &str, value: &str) -> RuleSpec {
    let over = Over::Sliding(Duration::from_mins(15));
    let kind = KindSpec::Window { over, value: at(value), line: line() };
    RuleSpec { kind, ..rule(name, on, when) }
}

/// The latest value.
fn gauge(name: &str, on: &str, when: &str) -> RuleSpec {
    let value = at("payload.total_cost");
    let kind = KindSpec::Gauge { value, line: line(), stale_after: None };
    RuleSpec { kind, ..rule(name, on, when) }
}

/// Nothing for an hour.
fn absence(name: &str, on: &str, when: &str) -> RuleSpec {
    let kind = KindSpec::Absence {
        absent_for: Duration::from_hours(1),
        active_time_intervals: vec![],
        hold: Hold::default(),
    };
    RuleSpec { kind, by: vec![], ..rule(name, on, when) }
}

/// A rule of each kind in turn.
fn mixed(n: usize, on: &str, when: &str) -> RuleSpec {
    let name = format!("R{n}");
    match n % 4 {
        0 => rule(&name, on, when),
        1 => gauge(&name, on, when),
        2 => window(&name, on, when, "sum(payload.total_cost)"),
        _ => absence(&name, on, when),
    }
}

fn metric(name: &str, on: &str) -> MetricSpec {
    MetricSpec {
        name: at(name),
        kind: MetricKind::Counter,
        help: "Billed seconds.".to_owned(),
        on: vec![at(on)],
        when: None,
        value: Some(at("payload.billed_duration_secs")),
        by: vec![(at("status"), at("payload.status"))],
        max_series: 1_000,
    }
}

/// Time of one measurement by the user's metrics.
fn measure(metrics: Vec<MetricSpec>, event: &Event) -> Duration {
    let count = metrics.len();
    let (set, _) = RuleSet::compile(Vec::new(), metrics, &[]);
    assert_eq!(set.metrics().count(), count, "every metric compiles");
    best(|| drop(black_box(set.measure(black_box(event), None))))
}

fn compile(specs: Vec<RuleSpec>) -> RuleSet {
    let count = specs.len();
    let (set, _) = RuleSet::compile(specs, Vec::new(), &[]);
    assert_eq!(set.len(), count, "every rule compiles");
    set
}

/// Time of one judgement.
fn judge(set: &RuleSet, event: &Event) -> Duration {
    best(|| drop(black_box(set.judge(black_box(event), None))))
}

/// Time of one run of `work`: the best of many short rounds, most of which nothing else cuts into.
fn best(mut work: impl FnMut()) -> Duration {
    let mut round = |runs: u32| {
        let start = Instant::now();
        for _ in 0..runs {
            work();
        }
        start.elapsed() / runs
    };
    let first = (0..3).map(|_| round(3)).min().unwrap_or_default();
    let runs = ROUND.as_nanos().checked_div(first.as_nanos()).unwrap_or(1).clamp(1, 100_000);
    let runs = u32::try_from(runs).unwrap_or(1);
    let begin = Instant::now();
    let mut quickest = first;
    while begin.elapsed() < SPAN {
        quickest = quickest.min(round(runs));
    }
    quickest
}

/// Says how many times `base` another figure is.
fn times(base: Duration, other: Duration) -> f64 {
    other.as_secs_f64() / base.as_secs_f64()
}

fn main() {
    let now = "2026-01-31T22:30:05Z".parse().expect("a time");
    let parts = json!([{"call_part": "sip-trunking", "cost": "0.0050"}, {"call_part": "call-control", "cost": "0.0018"}]);
    let payload = json!({"status": "success", "total_cost": "0.0106", "cost_parts": parts, "billed_duration_secs": 60});
    let event = Event::tollbell("call.cost", "default", "e1".to_owned(), now, payload);

    flat(&event);
    slope(&event);
    metrics(&event);
    compiling();
    engine::windows(&event);
    engine::starters();
    engine::firing();
}

const WHEN: &str = "event.product == 'voice' && num(payload.total_cost) > 5.0";

/// Rules that do not name the kind cost nothing.
fn flat(event: &Event) {
    let mine = || (0..10).map(|n| rule(&format!("Mine{n}"), "call.cost", WHEN));
    let others = (0..9_990).map(|n| {
        let on = if n % 2 == 0 { format!("other.kind.{n}") } else { format!("other.{n}.*") };
        rule(&format!("Other{n}"), &on, WHEN)
    });
    let few = compile(mine().collect());
    let start = Instant::now();
    let many = compile(mine().chain(others).collect());
    println!("compile 10,000 rules that say the same: {:?}", start.elapsed());
    let (alone, among) = (judge(&few, event), judge(&many, event));
    let ratio = times(among, alone);
    println!(
        "10 rules of the kind alone {alone:?}, among 10,000 {among:?}: rate {ratio:.2} of alone"
    );
    let ratio = engine::rate(few, event) / engine::rate(many, event);
    println!("the same by the engine's step: rate {:.2} of alone", 1.0 / ratio);
}

/// What one more rule of the kind costs.
fn slope(event: &Event) {
    for when in [
        "false",
        "payload.status == 'error'",
        WHEN,
        "payload.cost_parts.exists(p, p.call_part == 'x' && num(p.cost) > 1.0)",
        "payload.nope > 1",
    ] {
        let set = compile((0..1000).map(|n| rule(&format!("R{n}"), "call.cost", when)).collect());
        let each = judge(&set, event) / 1000;
        println!("1,000 rules of the kind: {each:?} each for {when}");
        let set = compile((0..1000).map(|n| mixed(n, "call.cost", when)).collect());
        let each = judge(&set, event) / 1000;
        println!("1,000 event, gauge, window and absence rules: {each:?} each for {when}");
    }
    for value in ["count()", "sum(payload.total_cost)", "sum(num(payload.total_cost) * 2.0)"] {
        let rules = (0..1000).map(|n| window(&format!("R{n}"), "call.cost", "true", value));
        let each = judge(&compile(rules.collect()), event) / 1000;
        println!("1,000 window rules of the kind: {each:?} each for {value}");
    }
}

fn metrics(event: &Event) {
    let mine = || (0..10).map(|n| metric(&format!("mine_{n}_total"), "call.cost"));
    let others = (0..990).map(|n| metric(&format!("other_{n}_total"), &format!("other.{n}.*")));
    let (alone, among) =
        (measure(mine().collect(), event), measure(mine().chain(others).collect(), event));
    println!("10 metrics of the kind alone {alone:?}, among 1,000 {among:?}");
}

fn compiling() {
    let distinct =
        (0..1000).map(|n| rule(&format!("R{n}"), "call.cost", &format!("{WHEN} && {n} > 2000")));
    let start = Instant::now();
    black_box(compile(distinct.collect()));
    println!("compile 1,000 rules of different expressions: {:?}", start.elapsed());
}
