//! What `usual` costs: bytes of 10,000 histories, and time of an event under the rules that are shipped with and without it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::json;
use tollbell::engine::Policy;
use tollbell::event::{self, Event, Incoming, PayloadPolicy};
use tollbell::rules::usual::{History, Outages, Past};
use tollbell::rules::{Labels, Observation, Observed, Series};
use tollbell::simulation::World;

use super::judges::policy;

/// Series with a history.
const SERIES: usize = 10_000;
/// Weeks of it.
const WEEKS: i64 = 10;
/// Events of a round, and rounds of which the quickest counts.
const EVENTS: i64 = 500;
const ROUNDS: usize = 40;
/// Seconds between two calls of the weeks before; they cost as much an hour as the [`PER_SECOND`] calls that are measured.
const PAST_SECS: i64 = 30;
const PER_SECOND: i64 = 5;
/// What a call costs in the weeks before, and what one costs that is measured, in millionths: as much an hour as is
/// usual, or so much more that the rule fires, and the one with a number too.
const USUAL: [i64; 2] = [7_500, 7_500 / (PAST_SECS * PER_SECOND)];
const UNUSUAL: [i64; 2] = [USUAL[0], 12_300];

fn start() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().expect("a time")
}

/// Bytes of memory that this process has.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * 4_096
}

pub(crate) fn print() {
    for (cents, what) in [(47, "sums of two bytes"), (470_011, "of three"), (95_700_011, "of four")]
    {
        let (bytes, stored, weeks) = history(cents);
        println!("{what}: {weeks} weeks, {bytes} bytes of memory, {stored} stored");
    }
    for (what, costs) in [("while nothing fires", USUAL), ("while both fire", UNUSUAL)] {
        let (with, without) = pair(costs);
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        println!("an event {what}: {with:?} with what is usual, {without:?} without: {ratio:.3} ×");
    }
}

/// Memory of one of many histories with a value in each hour, after it was asked; what is stored of it, and its weeks.
fn history(cents: i64) -> (u64, usize, usize) {
    let rules = "groups: [{name: g, rules: [{alert: A, on: [x], over: 1h, value: sum(payload.x), \
                 fire: 'has(usual) && value > usual'}]}]";
    let policy = policy(rules);
    let of = policy.rules.rule("g/A").expect("there");
    let (shape, terms) = (of.shape().expect("a window"), of.usual_terms().expect("it compares"));
    let labels = Labels::new();
    let mut series = Series::new(of.name(), of.digest(), (&labels).into(), shape, start());
    let mut history = History::beginning(terms, start());
    let outages = Outages::default();
    let mut now = start();
    for _ in 0..WEEKS * 168 {
        now += SignedDuration::from_hours(1);
        let mut past = Past::new(&mut history, &outages, true);
        let value = Observed::Number(Decimal::new(cents, 4));
        let observation = Observation { labels: labels.clone().into(), at: now, value };
        of.observe(&mut series, Some(&mut past), &observation, now);
    }
    let stored = history.weeks().filter_map(|week| history.stored_week(week)).map(<[u8]>::len);
    let (stored, weeks) = (stored.sum(), history.weeks().count() - 1);
    let before = resident();
    let all: Vec<History> = (0..SERIES).map(|_| black_box(history.clone())).collect();
    let bytes = resident().saturating_sub(before) / SERIES as u64;
    // What is given back would be used for the next ones, and not be seen there.
    std::mem::forget(black_box(all));
    (bytes, stored, weeks)
}

/// The shipped rules, without some.
fn shipped(without: &[&str]) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rules");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the rules")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    let mut all = String::from("groups:\n");
    for file in files {
        let text = std::fs::read_to_string(file).expect("text");
        let (_, groups) = text.split_once("\ngroups:\n").expect("groups");
        // What an anchor stands for may be used further down: only what a rule is asked is taken out.
        let mut rules = groups.split("      - alert: ");
        all.push_str(rules.next().unwrap_or_default());
        for rule in rules {
            let name = rule.lines().next().unwrap_or_default().trim();
            let on = if without.contains(&name) {
                let (head, rest) = rule.split_once("on: [").expect("each of them names kinds");
                let (_, rest) = rest.split_once(']').expect("in brackets");
                format!("{head}on: [never.seen]{rest}")
            } else {
                rule.to_owned()
            };
            all.push_str("      - alert: ");
            all.push_str(&on);
        }
    }
    all
}

fn call(number: i64, cost: i64, at: Timestamp) -> Event {
    let cost = Decimal::new(cost, 6).to_string();
    let body = json!({"data": {"record_type": "event", "event_type": "call.cost", "id": format!("e{number}"), "occurred_at": at,
        "payload": {"call_leg_id": format!("leg{number}"), "connection_id": "24001", "status": "success",
                    "billed_duration_secs": 60, "total_cost": cost}}});
    event::parse(&Incoming {
        account: "default",
        default_currency: Some("USD"),
        content_type: None,
        body: body.to_string().as_bytes(),
        received_at: at,
        policy: PayloadPolicy::Redacted,
    })
}

/// Three weeks behind it.
fn world(policy: &Policy, cost: i64) -> World<'_> {
    let mut at = start();
    let mut world = World::new(policy, at);
    for number in 0..3 * 168 * 3_600 / PAST_SECS {
        at += SignedDuration::from_secs(PAST_SECS);
        world.feed(call(-number, cost, at));
    }
    world
}

/// Feeds the next calls, one after the other.
fn feed(world: &mut World<'_>, number: &mut i64, calls: i64, cost: i64) {
    let mut at = world.now();
    for _ in 0..calls {
        *number += 1;
        at += SignedDuration::from_millis(1_000 / PER_SECOND);
        world.feed(call(*number, cost, at));
    }
    drop(black_box(world.take()));
}

/// Time of an event with the rules that compare, and with those that they stand in for; rounds by turns.
fn pair([past, cost]: [i64; 2]) -> (Duration, Duration) {
    let replaced = ["SpendSpike", "CallSpendToCountry", "TelnyxSilent"];
    let usual = include_str!("../../config/rules/usual/rules.yaml");
    let (_, usual) = usual.split_once("\ngroups:\n").expect("groups");
    let with = policy(&(shipped(&replaced) + usual));
    let without = policy(&shipped(&[]));
    let mut worlds = [(&with, "SpendUnusual"), (&without, "SpendSpike")]
        .map(|(policy, rule)| (world(policy, past), rule, 0_i64));
    let mut best = [Duration::MAX; 2];
    for (world, rule, number) in &mut worlds {
        // An hour: the windows are full, and the alerts are where they stay.
        feed(world, number, 3_600 * PER_SECOND, cost);
        let fires = world.alerts().any(|alert| alert.rule.ends_with(*rule) && alert.is_firing());
        assert_eq!(fires, cost == UNUSUAL[1], "{rule}");
    }
    for _ in 0..ROUNDS {
        for ((world, _, number), best) in worlds.iter_mut().zip(&mut best) {
            let began = Instant::now();
            feed(world, number, EVENTS, cost);
            *best = (began.elapsed() / u32::try_from(EVENTS).expect("fits")).min(*best);
        }
    }
    (best[0], best[1])
}
