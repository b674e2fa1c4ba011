//! What judging costs: `cargo bench --bench rules`. Prints ratios of figures taken in one run, since the machine
//! is shared; nothing is asserted.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::json;
use tollbell::event::Event;
use tollbell::problem::{At, Position};
use tollbell::rules::{KindSpec, RuleSet, RuleSpec};

/// How long each figure is taken.
const SPAN: Duration = Duration::from_millis(700);

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

fn compile(specs: Vec<RuleSpec>) -> RuleSet {
    let count = specs.len();
    let (set, _) = RuleSet::compile(specs, Vec::new(), &[]);
    assert_eq!(set.len(), count, "every rule compiles");
    set
}

/// Time of one judgement: the best of five rounds.
fn judge(set: &RuleSet, event: &Event) -> Duration {
    let round = || {
        let start = Instant::now();
        let mut runs = 0;
        while start.elapsed() < SPAN / 5 {
            for _ in 0..50 {
                black_box(set.judge(black_box(event), None));
            }
            runs += 50;
        }
        start.elapsed() / runs
    };
    (0..5).map(|_| round()).min().unwrap_or_default()
}

fn main() {
    let now = "2026-01-31T22:30:05Z".parse().expect("a time");
    let parts = json!([{"call_part": "sip-trunking", "cost": "0.0050"}, {"call_part": "call-control", "cost": "0.0018"}]);
    let payload = json!({"status": "success", "total_cost": "0.0106", "cost_parts": parts, "billed_duration_secs": 60});
    let event = Event::tollbell("call.cost", "default", "e1".to_owned(), now, payload);

    let when = "event.product == 'voice' && num(payload.total_cost) > 5.0";
    let mine = || (0..10).map(|n| rule(&format!("Mine{n}"), "call.cost", when));
    let others = || {
        (0..9_990).map(|n| {
            let on = if n % 2 == 0 { format!("other.kind.{n}") } else { format!("other.{n}.*") };
            rule(&format!("Other{n}"), &on, when)
        })
    };
    let few = compile(mine().collect());
    let start = Instant::now();
    let many = compile(mine().chain(others()).collect());
    println!("compile 10,000 rules that say the same: {:?}", start.elapsed());
    let (alone, among) = (judge(&few, &event), judge(&many, &event));
    let ratio = alone.as_secs_f64() / among.as_secs_f64();
    println!(
        "10 rules of the kind alone {alone:?}, among 10,000 {among:?}: rate {ratio:.2} of alone"
    );

    for when in [
        "false",
        "payload.status == 'error'",
        when,
        "payload.cost_parts.exists(p, p.call_part == 'x' && num(p.cost) > 1.0)",
        "payload.nope > 1",
    ] {
        let set = compile((0..1000).map(|n| rule(&format!("R{n}"), "call.cost", when)).collect());
        let each = judge(&set, &event) / 1000;
        println!("1,000 rules of the kind: {each:?} each for {when}");
    }

    let distinct =
        (0..1000).map(|n| rule(&format!("R{n}"), "call.cost", &format!("{when} && {n} > 2000")));
    let start = Instant::now();
    black_box(compile(distinct.collect()));
    println!("compile 1,000 rules of different expressions: {:?}", start.elapsed());
}
