//! A guard against regressions that does not depend on the machine's mood: how often an event allocates, and how much, in
//! each part of its journey, held against `tests/cost/table.txt`.
//!
//! What costs was found to be allocation first (docs/performance.md). A figure that differs by more than 5 % fails: one that grew
//! asks for a reason, one that shrank for a new line, so that the table stays true. `TOLLBELL_COST_WRITE=1 cargo test --test
//! cost` writes it.

#![expect(clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use tollbell::config;
use tollbell::engine::{self, Policy, State, step};
use tollbell::event::{self, Event, Incoming, PayloadPolicy};
use tollbell::notify::{self, Notification};
use tollbell::store::{NewDelivery, StoredEvent};
use uuid::Uuid;

/// What was allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// How often.
    allocations: u64,
    /// How many bytes.
    bytes: u64,
}

impl Cost {
    /// For each of so many.
    fn each(self, count: i64) -> Self {
        let count = count.unsigned_abs().max(1);
        Self { allocations: self.allocations / count, bytes: self.bytes / count }
    }
}

/// Does something on this thread, and counts what it allocates.
fn counted<T>(work: impl FnOnce() -> T) -> (Cost, T) {
    let mut done = None;
    let info = allocation_counter::measure(|| done = Some(work()));
    let cost = Cost { allocations: info.count_total, bytes: info.bytes_total };
    (cost, done.expect("it was done"))
}

/// Events of which the mean is taken.
const EVENTS: i64 = 64;
/// How far a figure may be from the table, in percent.
const TOLERANCE_PERCENT: u64 = 5;
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cost/table.txt");
const KEY: &str = "jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=";

fn start() -> Timestamp {
    "2026-01-31T22:30:05Z".parse().expect("a time")
}

/// The shipped configuration of a user: all starter rules, each alert alone in its group, a Slack and a mail.
fn policy(folder: &Path) -> (Policy, notify::MessageTemplates, Vec<notify::Receiver>) {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rules/*.yaml");
    let main = format!(
        "accounts: [{{name: default, public_keys: [{KEY}], currency: USD}}]\n\
         rule_files: ['{}']\n\
         route: {{receiver: a, group_by: ['...'], group_wait: 0s}}\n\
         receivers:\n  - name: a\n    slack_configs: [{{api_url: 'http://127.0.0.1:1/'}}]\n    \
         email_configs: [{{to: [a@example.com], from: b@example.com, smarthost: 'mail.example.com:25', tls: none}}]\n",
        rules.display()
    );
    let loaded = config::parse("cost.yaml", &main, folder, &|_| None);
    let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let (templates, receivers) = (config.templates.clone(), config.receivers.clone());
    (tollbell::policy::policy(config), templates, receivers)
}

/// Bodies of one kind, each about a call or message of its own.
fn bodies(kind: &str) -> Vec<Vec<u8>> {
    let sample = event::sample(kind).unwrap_or_else(|| panic!("no sample {kind}"));
    let body = |n: i64| {
        let id = Uuid::from_u128(u128::from(n.unsigned_abs())).to_string();
        let at = start() + SignedDuration::from_millis(n);
        event::renew(&event::freshen(&sample, "application/json", &id, at), "application/json", &id)
    };
    (1..=EVENTS).map(body).collect()
}

fn parsed(body: &[u8]) -> Event {
    event::parse(&Incoming {
        account: "default",
        default_currency: Some("USD"),
        content_type: Some("application/json"),
        body,
        received_at: start(),
        policy: PayloadPolicy::Redacted,
    })
}

/// Judges events of one kind from the state that as many others left; gives what it cost and the state after it.
fn judged(policy: &Policy, kind: &str) -> (Cost, State, Vec<NewDelivery>) {
    let mut seq = 0;
    let mut of = |bodies: Vec<Vec<u8>>| -> Vec<StoredEvent> {
        let stored = |body: &Vec<u8>| {
            seq += 1;
            StoredEvent { seq, event: parsed(body) }
        };
        bodies.iter().map(stored).collect()
    };
    let (before, measured) = (of(bodies("call.cost")), of(bodies(kind)));
    let mut state = State::default();
    let now = start() + SignedDuration::from_secs(1);
    drop(step(&mut state, policy, &before.iter().collect::<Vec<_>>(), now));
    state.clear();
    let events: Vec<&StoredEvent> = measured.iter().collect();
    let (cost, judged) = counted(|| step(&mut state, policy, &events, now));
    (cost, state, judged.changes.deliveries)
}

/// Every figure: for each event, or for each notification.
fn figures() -> BTreeMap<String, Cost> {
    let folder = tempfile::tempdir().expect("a folder");
    let (policy, templates, receivers) = policy(folder.path());
    let mut figures = BTreeMap::new();
    for kind in ["call.cost", "message.received", "message.finalized", "fax.failed"] {
        let bodies = bodies(kind);
        let (cost, events) = counted(|| bodies.iter().map(|body| parsed(body)).collect::<Vec<_>>());
        figures.insert(format!("intake {kind}"), cost.each(EVENTS));
        drop(black_box(events));
        // Once for what is compiled or loaded at the first use.
        drop(judged(&policy, kind));
        figures.insert(format!("judgement {kind}"), judged(&policy, kind).0.each(EVENTS));
    }
    let (_, state, deliveries) = judged(&policy, "fax.failed");
    assert!(!deliveries.is_empty(), "a fax that failed is notified");
    let at = start() + SignedDuration::from_secs(2);
    let integrations: Vec<_> = receivers.iter().flat_map(|it| &it.integrations).collect();
    for integration in integrations {
        let own = deliveries.iter().filter(|it| it.target.integration == integration.id);
        let own: Vec<&NewDelivery> = own.collect();
        let count = i64::try_from(own.len()).expect("few");
        let (cost, composed) = counted(|| {
            let composed = own.iter().filter_map(|it| engine::compose(&state, &policy, it, at));
            composed.collect::<Vec<_>>()
        });
        assert_eq!(composed.len(), own.len(), "all are owed");
        let channel = notify::channel_name(&integration.channel);
        figures.insert(format!("notification {channel} compose"), cost.each(count));
        let rendered = |message: &tollbell::alerts::Message| {
            let notification = Notification {
                key: "key".to_owned(),
                target: "a@example.com".to_owned(),
                attempt: 1,
                now: at,
                message: message.clone(),
                charts: Vec::new(),
            };
            notify::preview(&integration.channel, &notification, &templates).expect("renders")
        };
        drop(composed.first().map(|first| rendered(&first.message)));
        let (cost, texts) =
            counted(|| composed.iter().map(|it| rendered(&it.message)).collect::<Vec<_>>());
        figures.insert(format!("notification {channel} render"), cost.each(count));
        drop(black_box(texts));
    }
    figures
}

/// The table: a line for each figure.
fn written(figures: &BTreeMap<String, Cost>) -> String {
    let mut text = String::from(
        "# What a part of an event's journey allocates: mean of 64 events in a debug build.\n\
         # part, allocations, bytes. TOLLBELL_COST_WRITE=1 cargo test --test cost writes it.\n",
    );
    for (part, cost) in figures {
        writeln!(text, "{part:34} {:7} {:9}", cost.allocations, cost.bytes).expect("a string");
    }
    text
}

fn read(text: &str) -> BTreeMap<String, Cost> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let line = |line: &str| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let mut number = || words.pop()?.parse().ok();
        let (bytes, allocations) = (number()?, number()?);
        Some((words.join(" "), Cost { allocations, bytes }))
    };
    lines.map(|it| line(it).unwrap_or_else(|| panic!("{it}"))).collect()
}

fn differs(found: u64, listed: u64) -> bool {
    found.abs_diff(listed) * 100 > listed * TOLERANCE_PERCENT
}

#[test]
fn nothing_allocates_more_than_the_table_says() {
    let figures = figures();
    if std::env::var_os("TOLLBELL_COST_WRITE").is_some() {
        std::fs::write(TABLE, written(&figures)).expect("written");
    }
    let listed = read(&std::fs::read_to_string(TABLE).expect("the table"));
    assert!(figures.keys().eq(listed.keys()), "the table has other parts:\n{}", written(&figures));
    let wrong: Vec<String> = figures
        .iter()
        .filter_map(|(part, found)| {
            let listed = listed.get(part)?;
            let off = differs(found.allocations, listed.allocations)
                || differs(found.bytes, listed.bytes);
            off.then(|| format!("{part}: {found:?}, and the table says {listed:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}\n\nall figures now:\n{}", wrong.join("\n"), written(&figures));
}

#[test]
fn an_allocation_is_counted_and_a_difference_seen() {
    let (cost, kept) = counted(|| (0..10_u8).map(|n| vec![n; 100]).collect::<Vec<_>>());
    assert_eq!(kept.len(), 10);
    assert_eq!((cost.allocations, cost.bytes), (11, 1_000 + 240));
    assert!(differs(106, 100) && differs(94, 100) && !differs(105, 100));
}
