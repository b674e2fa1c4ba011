//! The engine's step: what an event costs from the inbox to the changes that are to be committed.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tollbell::alerts::{Matcher, Silence};
use tollbell::config;
use tollbell::engine::{Policy, State, step};
use tollbell::event::Event;
use tollbell::rules::RuleSet;
use tollbell::store::{Silences, StoredEvent};

use super::{compile, mixed, times, window};

/// Events in a batch: as many as come together in production under load.
const BATCH: usize = 64;
/// Batches of which the quickest counts.
const ROUNDS: usize = 100;
const KEY: &str = "jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=";

fn start() -> Timestamp {
    "2026-01-31T22:30:05Z".parse().expect("a time")
}

fn later(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// A policy by its YAML; `rules` is the text of a rule file.
fn policy(rest: &str, rules: &str) -> Policy {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), rules).expect("written");
    let main = format!(
        "accounts: [{{name: default, public_keys: [{KEY}]}}]\nrule_files: [rules.yaml]\n{rest}"
    );
    let loaded = config::parse("bench.yaml", &main, folder.path(), &|_| None);
    let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    tollbell::policy::policy(config)
}

const ROUTE: &str = "route: {receiver: a, group_by: [alertname, group], group_wait: 0s}\n\
                     receivers: [{name: a, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}]\n";

/// A policy with these rules.
fn with(rules: RuleSet) -> Policy {
    Policy { rules, ..policy(ROUTE, "groups: []") }
}

fn stored(seq: i64, event: Event) -> StoredEvent {
    StoredEvent { seq, event }
}

/// Events like `event`, one each second or quicker.
fn batch(event: &Event, from: i64, count: usize, gap: SignedDuration) -> Vec<StoredEvent> {
    let mut at = start();
    (from..)
        .take(count)
        .map(|seq| {
            at += gap;
            let id = format!("e{seq}");
            let mut event = Event { id, received_at: at, occurred_at: Some(at), ..event.clone() };
            if let Value::Object(fields) = &mut event.payload {
                fields.insert("number".to_owned(), json!(seq));
                fields.insert("call_leg_id".to_owned(), json!(format!("leg{seq}")));
            }
            stored(seq, event)
        })
        .collect()
}

/// What it costs to judge these events from this state: for each event, the best of some rounds. Bringing the changes into
/// text is part of it for the engine's rows, and not for the others, which the store does.
fn cost(policy: &Policy, state: &State, events: &[StoredEvent]) -> Duration {
    let events: Vec<&StoredEvent> = events.iter().collect();
    let now = events.last().map_or_else(start, |last| last.event.received_at);
    let round = || {
        let mut state = state.clone();
        let begin = Instant::now();
        black_box(step(&mut state, policy, &events, now));
        begin.elapsed()
    };
    let quickest = (0..ROUNDS).map(|_| round()).min().unwrap_or_default();
    quickest / u32::try_from(events.len().max(1)).unwrap_or(1)
}

/// The state after these events.
fn after(policy: &Policy, mut state: State, events: &[StoredEvent]) -> State {
    for events in events.chunks(BATCH) {
        let events: Vec<&StoredEvent> = events.iter().collect();
        let now = events.last().map_or_else(start, |last| last.event.received_at);
        drop(step(&mut state, policy, &events, now));
        state.clear();
    }
    state
}

/// Events in a second by these rules alone.
pub(crate) fn rate(rules: RuleSet, event: &Event) -> f64 {
    let policy = with(rules);
    let events = batch(event, 1, BATCH, SignedDuration::from_millis(10));
    let state = after(&policy, State::default(), &events);
    1.0 / cost(&policy, &state, &batch(event, 1_000, BATCH, SignedDuration::from_millis(10)))
        .as_secs_f64()
}

/// A window costs the same however much is in it, and however many series its rule has.
pub(crate) fn windows(event: &Event) {
    let gap = SignedDuration::from_millis(80);
    for value in ["sum(payload.total_cost)", "distinct(payload.call_leg_id)", "max(payload.number)"]
    {
        let policy = with(compile(vec![window("W", "call.cost", "true", value)]));
        let of = |count: usize| {
            let all = batch(event, 1, count + BATCH, gap);
            let (before, measured) = all.split_at(count);
            cost(&policy, &after(&policy, State::default(), before), measured)
        };
        let (few, many) = (of(10), of(10_000));
        let ratio = times(few, many);
        println!("window {value}: {few:?} with 10 events in it, {many:?} with 10,000: {ratio:.2}x");
    }
    let mut rule = window("W", "call.cost", "true", "sum(payload.total_cost)");
    rule.by = vec![(super::at("series"), super::at("payload.series"))];
    let policy = with(compile(vec![rule]));
    let of = |series: i64| {
        let mut all = batch(event, 1, 4_000 + BATCH, gap);
        for stored in &mut all {
            stored.event.payload["series"] = json!(stored.seq % series);
        }
        let (before, measured) = all.split_at(4_000);
        cost(&policy, &after(&policy, State::default(), before), measured)
    };
    let (few, many) = (of(10), of(1_000));
    let ratio = times(few, many);
    println!("window of a rule with 10 series {few:?}, with 1,000 {many:?}: {ratio:.2}x");
    let policy = with(compile((0..1_000).map(|n| mixed(n, "call.cost", "false")).collect()));
    let each = cost(&policy, &State::default(), &batch(event, 1, 64, gap)) / 1_000;
    println!("step with 1,000 event, gauge, window and absence rules: {each:?} each for false");
}

/// The shipped rules again and again until there are a hundred, and events of the kinds they name.
pub(crate) fn starters() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rules");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("is there").flatten().collect();
    files.retain(|file| file.path().extension().is_some_and(|extension| extension == "yaml"));
    files.sort_by_key(std::fs::DirEntry::path);
    let read = |file: &std::fs::DirEntry| std::fs::read_to_string(file.path()).expect("text");
    let shipped: String =
        files.iter().map(|file| read(file).replacen("groups:", "#", 1) + "\n").collect();
    let rules = shipped.matches("- alert:").count();
    let copies = 100_usize.div_ceil(rules);
    let mut text = "groups:\n".to_owned();
    for copy in 0..copies {
        text += &shipped.replace("  - name: ", &format!("  - name: c{copy}-"));
        text.push('\n');
    }
    let policy = policy(ROUTE, &text);
    for kind in ["call.cost", "message.finalized", "fax.failed", "call.hangup"] {
        let body = tollbell::event::sample(kind).expect("a sample");
        let incoming = tollbell::event::Incoming {
            account: "default",
            default_currency: None,
            content_type: Some("application/json"),
            body: &body,
            received_at: start(),
            policy: tollbell::event::PayloadPolicy::Redacted,
        };
        let event = tollbell::event::parse(&incoming);
        let gap = SignedDuration::from_millis(1);
        let state = after(&policy, State::default(), &batch(&event, 1, BATCH, gap));
        let each = cost(&policy, &state, &batch(&event, 1_000, BATCH, gap));
        let count = policy.rules.len();
        println!("step with {count} starter rules: {each:?} for each {kind}");
    }
}

const FIRING: &str = r#"
groups:
  - name: g
    rules:
      - alert: Fires
        on: [call.cost]
        by: {group: payload.group, number: payload.alert}
        active_for: 24h
        annotations: {summary: "{{ labels.group }}"}
        labels: {severity: warning}
      - alert: Quiet
        on: [call.cost]
        when: payload.status == "nope"
"#;

/// A thousand alerts that fire, in a hundred groups.
pub(crate) fn firing() {
    let inhibit: String = (0..10)
        .map(|n| {
            format!(
                "  - {{source_matchers: ['severity=critical', 'x!={n}'], target_matchers: \
                 ['severity=warning'], equal: [account]}}\n"
            )
        })
        .collect();
    let plain = policy(ROUTE, FIRING);
    let inhibiting = policy(&format!("{ROUTE}inhibit_rules:\n{inhibit}"), FIRING);
    let silences: Vec<Silence> = (0..1_000).map(silence).collect();
    for (what, policy, silences) in [
        ("alone", &plain, vec![]),
        ("with 10 inhibit rules", &inhibiting, vec![]),
        ("with 1,000 silences", &plain, silences.clone()),
        ("with both", &inhibiting, silences),
    ] {
        let mut state = State::default();
        state.set_silences(Silences { version: 1, silences }, start());
        let gap = SignedDuration::from_millis(1);
        let payload = json!({"status": "success", "total_cost": "0.0106"});
        let event = Event::tollbell("call.cost", "default", String::new(), start(), payload);
        let mut all = batch(&event, 1, 1_000 + BATCH, gap);
        for stored in &mut all {
            stored.event.payload["alert"] = json!(stored.seq % 1_000);
            stored.event.payload["group"] = json!(stored.seq % 100);
        }
        let (before, extending) = all.split_at(1_000);
        let fired = cost(policy, &state, &before[..BATCH]);
        let state = after(policy, state, before);
        assert_eq!(state.alerts().count(), 1_000, "all fire");
        assert_eq!(state.groups().count(), 100, "in groups");
        let extended = cost(policy, &state, extending);
        let mut quiet = extending.to_vec();
        for stored in &mut quiet {
            stored.event.kind = "call.hangup".to_owned();
        }
        let passed = cost(policy, &state, &quiet);
        // All groups are due for their repeat.
        let due = later(5 * 3_600);
        let flushed = (0..ROUNDS)
            .map(|_| {
                let mut state = state.clone();
                let begin = Instant::now();
                black_box(step(&mut state, policy, &[], due));
                begin.elapsed()
            })
            .min()
            .unwrap_or_default();
        println!(
            "1,000 alerts in 100 groups {what}: {fired:?} for an event that fires one, {extended:?} \
             that extends one, {passed:?} that does nothing, {flushed:?} to repeat all groups"
        );
    }
}

fn silence(n: usize) -> Silence {
    let matchers = [format!("number=\"{}\"", 5_000 + n), "group=~\"x.*\"".to_owned()];
    Silence {
        id: format!("s{n}"),
        matchers: matchers.iter().map(|text| Matcher::parse(text).expect("a matcher")).collect(),
        starts_at: start(),
        ends_at: later(100 * 3_600),
        created_by: "bench".to_owned(),
        comment: "bench".to_owned(),
        created_at: start(),
        updated_at: start(),
    }
}
