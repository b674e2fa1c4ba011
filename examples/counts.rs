//! What an event costs, counted and not timed: `counts STAGE EVENTS` prints allocations and allocated bytes for each event.
//! Under callgrind the instructions between [`measured`]'s beginning and end can be collected. `benches/counts.sh` does both.
//!
//! - `parse`: from the bytes of a webhook to an event, private parts masked;
//! - `record`: from the event to its row on disk, through the store;
//! - `judge`: the engine's step over events that fire nothing, with the shipped rules, 64 in a batch;
//! - `notify`: the step over an event that fires, and the Slack message that comes of it.

#![expect(clippy::print_stdout, clippy::panic, clippy::indexing_slicing, reason = "a measurement")]

use std::alloc::System;
use std::hint::black_box;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tollbell::config;
use tollbell::engine::{Policy, State, compose, step};
use tollbell::event::{Event, Incoming, PayloadPolicy, parse};
use tollbell::notify::{MessageTemplates, Notification, preview};
use tollbell::store::{Settings, Store, StoredEvent};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Events in a batch.
const BATCH: usize = 64;
/// Events before those that are counted: what is made once is there by then.
const WARM_UP: usize = 2 * BATCH;
const KEY: &str = "jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=";
/// A rule under which each `link.clicked` is an alert, and so a notification, of its own.
const EACH: &str = "groups:\n  - name: each\n    rules:\n      - alert: Each\n        on: [link.clicked]\n        \
    by: {link: payload.link}\n        active_for: 1h\n        labels: {severity: critical}\n        \
    annotations: {summary: 'clicked {{ event.fields.to }}'}\n";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let stage = arguments.next().expect("a stage");
    let events: usize = arguments.next().expect("events").parse().expect("a number");
    match stage.as_str() {
        "parse" => count_parse(events),
        "record" => count_record(events),
        "judge" => count_judge(events),
        "notify" => count_notify(events),
        other => panic!("no stage {other}"),
    }
}

/// What is counted.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Does work and prints what it allocated for each of so many events.
fn count<T>(events: usize, work: impl FnOnce() -> T) {
    let region = Region::new(ALLOCATOR);
    black_box(measured(work));
    let change = region.change();
    let each = |sum: usize| sum / events.max(1);
    println!("{} {}", each(change.allocations + change.reallocations), each(change.bytes_allocated));
}

fn start() -> Timestamp {
    "2026-01-31T22:30:05Z".parse().expect("a time")
}

fn received(number: usize) -> Timestamp {
    start() + SignedDuration::from_millis(i64::try_from(number).expect("small") * 100)
}

/// The ids of event and call that a number stands for: their bits are spread, as a UUID's are.
fn id(space: u64, number: usize) -> String {
    let bits = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("{space:08x}-{:04x}-4{:03x}-8000-{:012x}", bits >> 48, bits & 0xfff, bits >> 16 & 0xffff_ffff_ffff)
}

/// A webhook as a busy account gets it: half costs of calls, half messages.
fn body(number: usize) -> Vec<u8> {
    let at = received(number).to_string();
    let leg = id(2, number);
    let (kind, payload) = if number % 2 == 0 {
        let part = |name: &str| {
            json!({"billed_duration_secs": 42, "call_part": name, "cost": "0.0035", "currency": "USD", "rate": "0.0050"})
        };
        ("call.cost", json!({
            "billed_duration_secs": 42, "call_control_id": format!("v3:{leg}"), "call_leg_id": leg,
            "call_session_id": id(3, number), "client_state": "bG9hZA==",
            "connection_id": format!("149440475714027670{}", number % 4),
            "cost_parts": [part("sip-trunking"), part("call-control")], "occurred_at": at, "status": "success",
            "total_cost": "0.0070",
        }))
    } else {
        ("message.finalized", json!({
            "cc": [], "completed_at": at, "cost": {"amount": "0.0051", "currency": "USD"}, "direction": "outbound",
            "encoding": "GSM-7", "errors": [], "from": {"carrier": "Telnyx", "line_type": "Wireless", "phone_number": "+13125550100"},
            "id": id(4, number), "media": [], "messaging_profile_id": id(5, number % 8), "organization_id": id(6, 0),
            "parts": 1, "received_at": at, "record_type": "message", "sent_at": at, "tags": [], "text": "Your order has shipped.",
            "to": [{"carrier": "T-MOBILE USA, INC.", "line_type": "Wireless", "phone_number": format!("+1202555{:04}", number % 100), "status": "delivered"}],
            "type": "SMS", "valid_until": at, "webhook_url": "https://hooks.example.com/webhooks/telnyx",
        }))
    };
    envelope(number, kind, payload)
}

fn envelope(number: usize, kind: &str, payload: Value) -> Vec<u8> {
    let data = json!({"event_type": kind, "id": id(1, number), "occurred_at": received(number).to_string(),
        "payload": payload, "record_type": "event"});
    let meta = json!({"attempt": 1, "delivered_to": "https://hooks.example.com/webhooks/telnyx"});
    json!({"data": data, "meta": meta}).to_string().into_bytes()
}

fn event(number: usize, body: &[u8]) -> Event {
    parse(&Incoming {
        account: "default",
        default_currency: Some("USD"),
        content_type: Some("application/json"),
        body,
        received_at: received(number),
        policy: PayloadPolicy::Redacted,
    })
}

fn stored(number: usize, body: &[u8]) -> StoredEvent {
    StoredEvent { seq: i64::try_from(number).expect("small") + 1, event: event(number, body) }
}

fn policy() -> Policy {
    let folder = tempfile::tempdir().expect("a folder");
    let each = folder.path().join("each.yaml");
    std::fs::write(&each, EACH).expect("written");
    let text = format!(
        "accounts: [{{name: default, public_keys: [{KEY}]}}]\nrule_files: [config/rules/*.yaml, {each:?}]\n\
         route: {{receiver: slack, group_by: [alertname, link], group_wait: 0s}}\n\
         receivers: [{{name: slack, slack_configs: [{{webhook_url: 'http://127.0.0.1:1/'}}]}}]\n"
    );
    let loaded = config::parse("counts.yaml", &text, Path::new(env!("CARGO_MANIFEST_DIR")), &|_| None);
    let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    tollbell::policy::policy(config)
}

fn count_parse(events: usize) {
    let bodies: Vec<_> = (0..WARM_UP + events).map(body).collect();
    let (warm, counted) = bodies.split_at(WARM_UP);
    let parse_all = |bodies: &[Vec<u8>]| bodies.iter().map(|body| event(1, body).id.len()).sum::<usize>();
    black_box(parse_all(warm));
    count(events, || parse_all(counted));
}

fn count_record(events: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        path: folder.path().join("counts.db"),
        retention: std::time::Duration::from_hours(30 * 24),
        payload: PayloadPolicy::Redacted,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut all: Vec<Event> = (0..WARM_UP + events).map(|number| event(number, &body(number))).collect();
    let counted = all.split_off(WARM_UP);
    let store = runtime.block_on(Store::open(&settings, Box::new(|_| ()))).expect("opens");
    let record_all = |events: Vec<Event>| {
        runtime.block_on(async {
            for event in events {
                store.record(event).await.expect("stored");
            }
        });
    };
    record_all(all);
    count(events, || record_all(counted));
    runtime.block_on(store.close()).expect("closed");
}

fn count_judge(events: usize) {
    let policy = policy();
    let all: Vec<_> = (0..WARM_UP + events).map(|number| stored(number, &body(number))).collect();
    let mut state = State::default();
    let mut judge_all = |events: &[StoredEvent]| {
        for batch in events.chunks(BATCH) {
            let batch: Vec<&StoredEvent> = batch.iter().collect();
            let now = batch.last().expect("not empty").event.received_at;
            black_box(step(&mut state, &policy, &batch, now));
            state.clear();
        }
    };
    let (warm, counted) = all.split_at(WARM_UP);
    judge_all(warm);
    count(events, || judge_all(counted));
}

fn count_notify(events: usize) {
    let policy = policy();
    let templates = MessageTemplates::new([]).expect("the built-in ones");
    let channel = &policy.receivers["slack"].integrations[0].channel;
    let clicked = |number: usize| {
        let payload = json!({"link": format!("l{number}"), "to": "+12025550131"});
        stored(number, &envelope(number, "link.clicked", payload))
    };
    let all: Vec<_> = (0..WARM_UP + events).map(clicked).collect();
    let mut state = State::default();
    let mut sent = 0;
    let mut notify_all = |events: &[StoredEvent]| {
        for stored in events {
            let now = stored.event.received_at;
            let judged = step(&mut state, &policy, &[stored], now);
            for delivery in &judged.changes.deliveries {
                let composed = compose(&state, &policy, delivery, now).expect("is owed");
                let notification = Notification {
                    key: delivery.id.clone(),
                    target: delivery.target.target.clone(),
                    attempt: 1,
                    now,
                    message: composed.message,
                };
                sent += preview(channel, &notification, &templates).expect("renders").len();
            }
            state.clear();
        }
    };
    let (warm, counted) = all.split_at(WARM_UP);
    notify_all(warm);
    count(events, || notify_all(counted));
    assert!(sent > 0, "nothing was notified");
}
