//! Webhooks that were missed: fetched from the log of deliveries, once, whatever comes in between.

mod crash;
mod refused;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tollbell::clock;
use tollbell::event::Source;
use tollbell::store::EventFilter;

use crate::support::app::{Setup, TestApp, route};
use crate::support::http::{HttpSink, Reply, Request};
use crate::support::peer::lock;
use crate::support::telnyx;
use crate::support::telnyx_api::TelnyxApi;
use crate::support::wait::{SOON, eventually_async};

const PATH: &str = "/webhook_deliveries";
const URL: &str = "https://hooks.example.com/webhooks/telnyx";
const COVERED: &str = "tollbell_backfill_covered_timestamp_seconds{account=\"default\"}";
const FETCHED: &str = "tollbell_backfilled_events_total{account=\"default\"}";
const CUT: &str = "tollbell_backfill_slices_cut_total{account=\"default\"}";
/// From the beginning of a run to that of the next one.
const EVERY: Duration = Duration::from_mins(10);
/// What is younger counts as not known yet.
const SETTLE: Duration = Duration::from_mins(15);
const HOUR: Duration = Duration::from_hours(1);
const BEGINS: &str = "2026-03-10T12:00:00Z";

/// Telnyx's log: newest first, filtered and cut into pages as it was asked for.
#[derive(Clone, Default)]
struct Log {
    entries: Arc<Mutex<Vec<Value>>>,
    wait: Duration,
}

impl Log {
    fn with(entries: impl IntoIterator<Item = Value>) -> Self {
        let log = Self::default();
        log.add(entries);
        log
    }

    fn add(&self, entries: impl IntoIterator<Item = Value>) {
        let mut all = lock(&self.entries);
        all.extend(entries);
        all.sort_by_key(|entry| std::cmp::Reverse(started(entry)));
    }

    /// An API that has this log.
    async fn serve(&self) -> TelnyxApi {
        let api = TelnyxApi::start().await;
        self.answer(&api);
        api
    }

    fn answer(&self, api: &TelnyxApi) {
        let log = self.clone();
        api.answer(PATH, move |request| log.page(request));
    }

    fn page(&self, request: &Request) -> Reply {
        let asked = |name| request.parameter(name);
        let time = |name| asked(name).unwrap().parse::<Timestamp>().unwrap();
        let (from, to) = (time("filter[started_at][gte]"), time("filter[started_at][lte]"));
        let status = asked("filter[status][eq]");
        let number = |name| asked(name).unwrap().parse::<usize>().unwrap();
        let (page, size) = (number("page[number]"), number("page[size]"));
        let entries = lock(&self.entries);
        let found: Vec<&Value> = entries
            .iter()
            .filter(|entry| (from..=to).contains(&started(entry)))
            .filter(|entry| status.as_ref().is_none_or(|status| entry["status"] == **status))
            .collect();
        let items: Vec<&Value> = found.iter().skip((page - 1) * size).take(size).copied().collect();
        let meta = json!({
            "page_number": page, "page_size": size, "total_pages": found.len().div_ceil(size).max(1),
            "total_results": found.len(),
        });
        Reply::json(&json!({"data": items, "meta": meta})).after(self.wait)
    }
}

fn started(entry: &Value) -> Timestamp {
    entry["started_at"].as_str().unwrap().parse().unwrap()
}

/// An entry with one attempt, to us.
fn entry(webhook: &Value, at: Timestamp, status: &str) -> Value {
    json!({
        "id": format!("delivery-of-{}-{at}", webhook["id"].as_str().unwrap_or_default()),
        "user_id": "u", "record_type": "webhook_delivery", "status": status,
        "webhook": webhook, "started_at": at.to_string(), "finished_at": at.to_string(),
        "attempts": [{
            "status": status, "started_at": at.to_string(), "finished_at": at.to_string(),
            "http": {
                "request": {"url": URL, "headers": [["Accept", "*/*"]]},
                "response": {"status": if status == "delivered" { 200 } else { 503 }, "headers": [], "body": ""},
            },
            "errors": [],
        }],
    })
}

/// The log's view of a spend-limit event: each profile is an alert of its own.
fn spend(id: &str, at: Timestamp) -> Value {
    let body = telnyx::spend_limit(id, at, &format!("profile-{id}"), "10.00", "10.02");
    serde_json::from_slice::<Value>(&body).unwrap()["data"].clone()
}

/// Such an event, failed.
fn missed(id: &str, at: Timestamp) -> Value {
    entry(&spend(id, at), at, "failed")
}

/// An event that no rule looks at, failed.
fn quiet(id: &str, at: Timestamp) -> Value {
    let webhook = json!({
        "id": id, "record_type": "event", "event_type": "fax.queued", "occurred_at": at.to_string(),
        "payload": {"fax_id": id},
    });
    entry(&webhook, at, "failed")
}

fn begins() -> Timestamp {
    BEGINS.parse().unwrap()
}

fn ago(by: Duration) -> Timestamp {
    clock::sub(begins(), by)
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

async fn start(api: &TelnyxApi, hook: &HttpSink) -> TestApp {
    let receivers = format!(
        "{}receivers:\n  - name: hook\n    webhook_configs:\n      - {{url: \"{}\"}}\n",
        route("hook"),
        hook.url("/hook")
    );
    let setup = Setup::new(receivers).server("  public_url: https://hooks.example.com\n");
    setup.account(api.account()).begins(BEGINS).start().await
}

/// Waits until a run that began now, or later, has come to its end.
#[track_caller]
fn covered(app: &TestApp) -> impl Future<Output = ()> {
    let expected = seconds(clock::sub(app.clock.now(), SETTLE));
    eventually_async(SOON, move || async move {
        let covered = app.metric(COVERED).await;
        (covered >= expected).then_some(())
    })
}

/// The next run, and all that it causes.
async fn next_run(app: &TestApp) {
    app.clock.advance(EVERY);
    covered(app).await;
    app.settle().await;
}

/// Moves the clock by this again and again until the log was asked so often.
async fn ask_again(app: &TestApp, api: &TelnyxApi, step: Duration, count: usize) {
    eventually_async(SOON, || async {
        if api.requests(PATH).len() >= count {
            return Some(());
        }
        app.clock.advance(step);
        None
    })
    .await;
}

/// The ids of events of these kinds, in the order in which they came.
async fn ids(app: &TestApp, kind: &str) -> Vec<String> {
    let filter =
        EventFilter { kind: Some(kind.to_owned()), limit: 100_000, ..EventFilter::default() };
    let events = app.app().store.events(filter).await.unwrap();
    events.into_iter().rev().map(|event| event.id).collect()
}

async fn spends(app: &TestApp) -> Vec<String> {
    ids(app, "messaging-profile.*").await
}

#[tokio::test]
async fn what_was_missed_comes_in_once_and_rings() {
    let log = Log::with([
        missed("second", ago(minutes(50))),
        missed("first", ago(minutes(190))),
        // Answered with 200 by somebody in front of us, or by a disk that is no more.
        entry(&spend("third", ago(minutes(40))), ago(minutes(40)), "delivered"),
    ]);
    let mut elsewhere = missed("elsewhere", ago(minutes(45)));
    elsewhere["attempts"][0]["http"]["request"]["url"] = json!("https://other.example.com/hooks");
    log.add([elsewhere]);
    let (api, hook) = (log.serve().await, HttpSink::start().await);
    let mut app = start(&api, &hook).await;
    covered(&app).await;
    app.settle().await;
    hook.wait_for("/hook", 3).await;
    assert_eq!(spends(&app).await, ["first", "second", "third"]);
    assert_eq!(app.metric(FETCHED).await, 3.0);
    let record = app.app().store.event("first", Some("default")).await.unwrap().unwrap();
    let event = record.stored.event;
    assert_eq!((event.source, event.attempt), (Source::Backfill, None));
    assert_eq!(event.occurred_at, Some(ago(minutes(190))));
    assert_eq!(event.received_at, begins());

    // What Telnyx wrote down late comes with the next run; the rest is read again and is here already.
    log.add([missed("late", ago(minutes(5)))]);
    next_run(&app).await;
    assert_eq!(spends(&app).await, ["first", "second", "third", "late"]);
    app.restart(None).await;
    covered(&app).await;
    next_run(&app).await;
    next_run(&app).await;
    assert_eq!(spends(&app).await.len(), 4);
    assert_eq!(hook.requests("/hook").len(), 4);
    assert_eq!(app.metric(FETCHED).await, 0.0, "nothing new since the restart");
    app.stop().await;
}

#[tokio::test]
async fn what_came_by_webhook_is_not_doubled() {
    let log = Log::default();
    let (api, hook) = (log.serve().await, HttpSink::start().await);
    let app = start(&api, &hook).await;
    covered(&app).await;
    let now = app.clock.now();
    let id = "c9c0797e-901d-4349-a33c-c2c8f31a92c2";
    assert_eq!(app.deliver(telnyx::spend_limit(id, now, "p", "1", "2")).await, 200);
    // Nameless, and kept although Telnyx did not wait for our answer.
    let nameless = json!({"campaignId": "C1", "status": "ACCEPTED", "createDate": "2026-03-10"});
    assert_eq!(app.deliver(nameless.to_string()).await, 200);
    let mut flat = spend(id, now);
    flat.as_object_mut().unwrap().remove("id");
    flat["webhook_id"] = json!(id.to_uppercase());
    log.add([
        missed(&id.to_uppercase(), now),
        entry(&flat, now, "failed"),
        entry(&nameless, now, "failed"),
        missed("really-missed", now),
    ]);
    next_run(&app).await;
    assert_eq!(spends(&app).await, [id, "really-missed"]);
    assert_eq!(ids(&app, "campaign.status").await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn what_tells_of_a_time_long_before_is_known_by_when_it_was_delivered() {
    let log = Log::default();
    let (api, hook) = (log.serve().await, HttpSink::start().await);
    let app = start(&api, &hook).await;
    covered(&app).await;
    let now = app.clock.now();
    let of = |number: &str| {
        let early = ago(3 * HOUR).to_string();
        json!({"event_type": "fax.queued", "occurred_at": early, "payload": {"fax_id": number}})
    };
    assert_eq!(app.deliver(of("kept").to_string()).await, 200);
    log.add([entry(&of("kept"), now, "failed"), entry(&of("missed"), ago(minutes(1)), "failed")]);
    next_run(&app).await;
    let found = ids(&app, "fax.queued").await;
    assert_eq!(found.len(), 2, "{found:?}");
    app.stop().await;
}

#[tokio::test]
async fn what_telnyx_cut_or_never_named_comes_in_once() {
    let at = ago(minutes(5));
    let nameless = json!({"campaignId": "C1", "status": "ACCEPTED"});
    let called = |id: &str, webhook: &Value, status: &str| {
        let mut entry = entry(webhook, at, status);
        entry["id"] = json!(id);
        entry
    };
    let log = Log::with([
        called("D1", &json!("{\"data\": {\"id\": \"half"), "failed"),
        called("D2", &nameless, "failed"),
        called("D3", &nameless, "delivered"),
        called("D4", &json!(null), "delivered"),
    ]);
    let (api, hook) = (log.serve().await, HttpSink::start().await);
    let app = start(&api, &hook).await;
    covered(&app).await;
    assert_eq!(ids(&app, "unparsed").await, ["delivery:D1"]);
    assert_eq!(ids(&app, "campaign.status").await, ["delivery:D2"]);
    // The same entries are read again when the hour of a content's hash is long over.
    let asked = api.requests(PATH).len();
    app.clock.advance(5 * HOUR);
    covered(&app).await;
    let first = &api.requests(PATH)[asked];
    let from: Timestamp = first.parameter("filter[started_at][gte]").unwrap().parse().unwrap();
    assert!(from < at, "{from}");
    assert_eq!(ids(&app, "unparsed").await.len() + ids(&app, "campaign.status").await.len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn the_log_is_read_in_slices_oldest_first_and_page_by_page() {
    let log = Log::default();
    let mut expected = BTreeSet::new();
    for number in 0..250 {
        let id = format!("busy-{number}");
        log.add([quiet(&id, ago(minutes(90) + Duration::from_secs(number)))]);
        expected.insert(id);
    }
    for hour in 0..24 {
        let id = format!("hourly-{hour}");
        log.add([quiet(&id, ago(HOUR * hour + minutes(30)))]);
        expected.insert(id);
    }
    log.add([quiet("too old", ago(24 * HOUR + minutes(1)))]);
    let (api, hook) = (log.serve().await, HttpSink::start().await);
    let app = start(&api, &hook).await;
    covered(&app).await;
    let found = ids(&app, "fax.queued").await;
    assert_eq!(found.len(), expected.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);

    let requests = api.requests(PATH);
    let time = |request: &Request, name: &str| -> Timestamp {
        request.parameter(&format!("filter[started_at][{name}]")).unwrap().parse().unwrap()
    };
    assert_eq!(time(&requests[0], "gte"), ago(24 * HOUR));
    let mut end = time(&requests[0], "gte");
    let mut pages = 0;
    for request in &requests {
        let (from, to) = (time(request, "gte"), time(request, "lte"));
        assert!(clock::until(from, to) <= HOUR + Duration::from_secs(10));
        assert_eq!(request.parameter("page[size]").unwrap(), "100");
        assert_eq!(request.parameter("filter[status][eq]"), None, "at the start all is read");
        if request.parameter("page[number]").unwrap() == "1" {
            assert_eq!(from, end, "without a hole");
            end = to;
        } else {
            pages += 1;
        }
    }
    assert!(pages >= 2 && end >= begins());

    // The second run still reads all, those after it what failed.
    for status in [None, Some("failed")] {
        let before = api.requests(PATH).len();
        next_run(&app).await;
        for request in &api.requests(PATH)[before..] {
            assert_eq!(request.parameter("filter[status][eq]").as_deref(), status);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_more_than_the_cap_is_read_in_smaller_slices() {
    let log = Log::default();
    let spread = (0..2500).map(|n| {
        let at = ago(minutes(95) + Duration::from_millis(n * 500));
        quiet(&format!("spread-{n}"), at)
    });
    // More than the cap in a moment: nothing can be smaller than that.
    let burst = (0..2100).map(|n| quiet(&format!("burst-{n}"), ago(minutes(20))));
    log.add(spread.chain(burst).chain([missed("behind", ago(minutes(10)))]));
    let (api, hook) = (log.serve().await, HttpSink::start().await);
    let app = start(&api, &hook).await;
    let expected = seconds(clock::sub(app.clock.now(), SETTLE));
    eventually_async(6 * SOON, || async { (app.metric(COVERED).await >= expected).then_some(()) })
        .await;
    let found = ids(&app, "fax.queued").await;
    let spread = found.iter().filter(|id| id.starts_with("spread")).count();
    assert_eq!((spread, found.len() - spread), (2500, 2000));
    // It is younger than what counts as known: a later slice brings it.
    eventually_async(SOON, || async { (spends(&app).await == ["behind"]).then_some(()) }).await;
    assert!(app.metric(CUT).await >= 1.0);
    app.stop().await;
}
