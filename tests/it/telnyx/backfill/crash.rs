//! The process ends while it fetches: nothing is doubled, nothing skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use tollbell::clock::{self, Clock};
use tollbell::store::{DeliveryFilter, EventFilter, Store};

use super::*;
use crate::support::load;
use crate::support::process::Service;
use crate::support::telnyx::Signer;

#[tokio::test]
async fn a_crash_at_any_request_doubles_and_skips_nothing() {
    let entries =
        (0..24).map(|hour| missed(&format!("hour-{hour}"), ago(HOUR * hour + minutes(20))));
    let log = Log::with(entries);
    let (api, hook) = (TelnyxApi::start().await, HttpSink::start().await);
    // The fourth request of each process hangs until that process is no more.
    let (served, count) = (log.clone(), Mutex::new(0));
    api.answer(PATH, move |request| {
        let mut count = lock(&count);
        *count += 1;
        if *count % 4 == 0 { Reply::hang() } else { served.page(request) }
    });
    let mut app = start(&api, &hook).await;
    for crash in 1..=8 {
        api.wait_for(PATH, crash * 4).await;
        app.crash().await;
    }
    log.answer(&api);
    app.crash().await;
    covered(&app).await;
    app.settle().await;
    let found = spends(&app).await;
    let expected: BTreeSet<String> = (0..24).map(|hour| format!("hour-{hour}")).collect();
    assert_eq!(found.len(), 24, "{found:?}");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    let store = &app.app().store;
    let filter = DeliveryFilter { state: None, receiver: None, before: None, limit: 1000 };
    assert_eq!(store.deliveries(filter).await.unwrap().len(), 24, "each rang once");
    app.stop().await;
}

/// Rounds without `TOLLBELL_KILL_ROUNDS`.
const KILL_ROUNDS: u64 = 12;
/// Entries in the log of three days.
const KILL_ENTRIES: u64 = 1000;
/// So many hours ago so much happened that an hour has several pages and batches.
const KILL_BUSY: [u64; 3] = [69, 66, 60];

const EACH: &str = "
groups:
  - name: each
    rules:
      - alert: Each
        on: [messaging-profile.spend-limit-reached]
        by: {event_id: event.id}
        max_series: 100000
        active_for: 96h
";

fn service(dir: &Path, api: &TelnyxApi, hook: &HttpSink) -> Service {
    std::fs::write(dir.join("rules.yaml"), EACH).unwrap();
    let fast = "rate_limit: {per_second: 1000, burst: 1000}, \
                retry: {initial_backoff: 50ms, max_backoff: 100ms}";
    let routing = format!(
        "{}receivers:\n  - name: hook\n    webhook_configs:\n      - {{url: \"{}\", {fast}}}\n",
        route("hook"),
        hook.url("/hook"),
    );
    let (key, account) = (Signer::new().public_key_base64(), api.account());
    let database = dir.join("tollbell.db").display().to_string();
    Service::new(dir, move |addresses| {
        format!(
            "server:\n  listen: {}\n  private_listen: {}\n  public_url: https://hooks.example.com\n\
             accounts:\n  - name: default\n    public_keys: [\"{key}\"]\n{account}    \
             backfill: {{max_age: 3d}}\nstore:\n  url: \"sqlite:{database}\"\n\
             rule_files: [rules.yaml]\n{routing}\n",
            addresses.public, addresses.private,
        )
    })
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a failure must be repeatable")]
async fn kill_9_at_any_moment_doubles_and_skips_nothing() {
    let variable = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
    let rounds = variable("TOLLBELL_KILL_ROUNDS").unwrap_or(KILL_ROUNDS);
    let seed = variable("TOLLBELL_KILL_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("TOLLBELL_KILL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let now = Clock::system().now();
    // Half of them in a few hours, the others in all of the three days.
    let mut at = |number: u64| {
        let hours = random.choice(KILL_BUSY).unwrap();
        let busy = hours * 3600..hours * 3600 + 3000;
        let seconds = if number.is_multiple_of(2) { busy } else { 1200..71 * 3600 };
        clock::sub(now, Duration::from_secs(random.u64(seconds)))
    };
    let entries = (0..KILL_ENTRIES).map(|number| missed(&format!("event-{number}"), at(number)));
    let mut log = Log::with(entries);
    log.wait = Duration::from_millis(5);
    let (api, hook) = (log.serve().await, HttpSink::start().await);
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path(), &api, &hook);
    let mut running = service.start().await;
    let mut progress = Vec::new();
    for _ in 0..rounds {
        // The instant of the crash, which is the point.
        tokio::time::sleep(Duration::from_millis(random.u64(0..250))).await;
        running.kill9();
        progress.push(api.requests(PATH).len());
        running = service.restart(running.addresses()).await;
    }
    let private = running.addresses().private;
    let expected = seconds(clock::sub(now, SETTLE));
    let within = 6 * SOON;
    eventually_async(within, || async {
        let covered = load::value(&load::metrics(private).await, COVERED);
        covered.filter(|covered| *covered >= expected)
    })
    .await;
    load::drained(&running, within).await;
    assert!(running.terminate(SOON).await.success());
    load::assert_sound(&running.log());
    eprintln!("{rounds} rounds; requests to the log until each crash: {progress:?}");

    let store = Store::attach(&dir.path().join("tollbell.db")).await.unwrap();
    let kind = Some("messaging-profile.*".to_owned());
    let filter = EventFilter { kind, limit: usize::MAX, ..EventFilter::default() };
    let kept: Vec<String> =
        store.events(filter).await.unwrap().into_iter().map(|event| event.id).collect();
    let filter = DeliveryFilter { limit: usize::MAX, ..DeliveryFilter::default() };
    let deliveries = store.deliveries(filter).await.unwrap().len();
    store.close().await.unwrap();
    let expected: BTreeSet<String> = (0..KILL_ENTRIES).map(|n| format!("event-{n}")).collect();
    assert_eq!((kept.len(), deliveries), (expected.len(), expected.len()), "nothing doubled");
    assert_eq!(kept.into_iter().collect::<BTreeSet<_>>(), expected, "nothing skipped");
    let mut rang: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for request in hook.requests("/hook") {
        let event = request.json()["alerts"][0]["labels"]["event_id"].as_str().unwrap().to_owned();
        rang.entry(event)
            .or_default()
            .insert(request.header("idempotency-key").unwrap().to_owned());
    }
    assert_eq!(rang.len(), expected.len(), "each of them rang");
    assert!(rang.values().all(|keys| keys.len() == 1), "and none of them twice");
}
