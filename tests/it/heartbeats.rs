//! Dead man's switches.

use std::fs;
use std::time::Duration;

use rusqlite::Connection;
use tollbell::store::{Feed, Reading};

use crate::support::app::{Setup, TestApp, route};
use crate::support::http::{HttpSink, Reply};
use crate::support::load::{self, Site};
use crate::support::telnyx_api::{TelnyxApi, error};
use crate::support::wait::{SOON, eventually, eventually_async};

const MINUTE: Duration = Duration::from_mins(1);
/// After a look that sent nothing, the next one comes when this has passed.
const RETRY: Duration = Duration::from_secs(30);

/// Nobody to ring, and these heartbeats.
fn routing(heartbeats: &[String]) -> String {
    let heartbeats: String = heartbeats.iter().map(|one| format!("  - {one}\n")).collect();
    format!("{}receivers:\n  - name: nobody\nheartbeats:\n{heartbeats}", route("nobody"))
}

fn heartbeat(sink: &HttpSink, path: &str, interval: &str) -> String {
    format!("{{url: \"{}\", interval: {interval}}}", sink.url(path))
}

async fn counted(app: &TestApp, outcome: &str) -> f64 {
    app.metric(&format!("tollbell_heartbeats_total{{outcome=\"{outcome}\"}}")).await
}

/// Waits until so many looks ended so.
async fn until_counted(app: &TestApp, outcome: &str, count: u32) {
    let look = async || (counted(app, outcome).await == f64::from(count)).then_some(());
    eventually_async(SOON, look).await;
}

#[tokio::test]
async fn a_heartbeat_is_sent_at_the_start_and_each_interval() {
    let sink = HttpSink::start().await;
    let app = Setup::new(routing(&[heartbeat(&sink, "/ping", "1m")])).start().await;
    until_counted(&app, "sent", 1).await;
    for count in 2..5 {
        app.clock.advance(MINUTE / 2);
        app.clock.advance(MINUTE / 2);
        until_counted(&app, "sent", count).await;
    }
    let pings = sink.requests("/ping");
    assert_eq!(pings.len(), 4);
    assert_eq!((pings[0].method.as_str(), pings[0].body.len()), ("GET", 0));
    assert!(pings[0].header("user-agent").unwrap().starts_with("tollbell/"));
    // What was slept over is not made up for.
    app.clock.advance(MINUTE * 10);
    until_counted(&app, "sent", 5).await;
    app.clock.advance(MINUTE);
    until_counted(&app, "sent", 6).await;
    assert_eq!((sink.requests("/ping").len(), counted(&app, "failed").await), (6, 0.0));
    app.stop().await;
}

#[tokio::test]
async fn a_balance_that_is_not_read_withholds_until_it_is() {
    let (sink, api) = (HttpSink::start().await, TelnyxApi::start().await);
    api.always("/balance", error(500, "10000", "Unexpected error"));
    let routing = routing(&[heartbeat(&sink, "/ping", "1m")]);
    let app = Setup::new(routing).account(api.account()).start().await;
    until_counted(&app, "sent", 1).await;
    // A first reading may take three intervals and a minute.
    for count in 2..6 {
        app.clock.advance(MINUTE);
        until_counted(&app, "sent", count).await;
    }
    app.clock.advance(MINUTE);
    until_counted(&app, "withheld", 1).await;
    assert_eq!(sink.requests("/ping").len(), 5);

    let reading = Reading {
        account: "default".to_owned(),
        at: app.clock.now(),
        currency: Some("USD".to_owned()),
        balance: "12.30".parse().ok(),
        available_credit: None,
        credit_limit: None,
        pending: None,
        burn_per_hour: None,
        hours_left: None,
    };
    let feed = Feed { reading: Some(reading), ..Feed::default() };
    app.app().store.feed(feed).await.unwrap();
    app.clock.advance(RETRY);
    until_counted(&app, "sent", 6).await;
    // Later than the reading counts, and a point of the grid.
    app.clock.advance(MINUTE * 4 + RETRY);
    until_counted(&app, "withheld", 2).await;
    assert_eq!(sink.requests("/ping").len(), 6);
    app.stop().await;
}

#[tokio::test]
async fn a_store_that_cannot_commit_withholds_until_it_can() {
    let sink = HttpSink::start().await;
    let app = Setup::new(routing(&[heartbeat(&sink, "/ping", "1m")])).start().await;
    until_counted(&app, "sent", 1).await;
    app.app().store.pragma("busy_timeout = 0").await.unwrap();
    let other = Connection::open(app.dir.path().join("tollbell.db")).unwrap();
    other.busy_timeout(SOON).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    app.clock.advance(MINUTE);
    until_counted(&app, "withheld", 1).await;
    app.clock.advance(RETRY);
    until_counted(&app, "withheld", 2).await;
    assert_eq!(sink.requests("/ping").len(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    app.clock.advance(RETRY);
    until_counted(&app, "sent", 2).await;
    assert_eq!(sink.requests("/ping").len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn a_heartbeat_that_is_not_taken_is_tried_again_and_follows_nobody() {
    let sink = HttpSink::start().await;
    sink.next("/ping", [Reply::status(500), Reply::redirect(&sink.url("/elsewhere"))]);
    let app = Setup::new(routing(&[heartbeat(&sink, "/ping", "1d")])).start().await;
    until_counted(&app, "failed", 1).await;
    app.clock.advance(RETRY);
    until_counted(&app, "failed", 2).await;
    app.clock.advance(RETRY);
    until_counted(&app, "sent", 1).await;
    // Back on the grid, not a day after the one that came late.
    app.clock.advance(MINUTE * (60 * 24 - 1));
    until_counted(&app, "sent", 2).await;
    assert_eq!(sink.requests("/ping").len(), 4);
    sink.expect_none("/elsewhere");
    app.stop().await;
}

#[tokio::test]
async fn a_peer_that_hangs_stops_neither_its_own_grid_nor_another() {
    let sink = HttpSink::start().await;
    sink.next("/hangs", [Reply::hang(), Reply::ok().hang_mid_body()]);
    let heartbeats = [heartbeat(&sink, "/hangs", "2s"), heartbeat(&sink, "/ping", "1m")];
    let app = Setup::new(routing(&heartbeats)).start().await;
    sink.wait_for("/hangs", 1).await;
    until_counted(&app, "sent", 1).await;
    // The first one hangs still: it has real seconds, and the clock takes none.
    app.clock.advance(MINUTE);
    sink.wait_for("/ping", 2).await;
    until_counted(&app, "failed", 1).await;
    // A status is enough; what may follow is not waited for.
    app.clock.advance(Duration::from_secs(2));
    sink.wait_for("/hangs", 2).await;
    until_counted(&app, "sent", 3).await;
    app.clock.advance(Duration::from_secs(2));
    sink.wait_for("/hangs", 3).await;
    app.stop().await;
}

#[tokio::test]
async fn the_address_is_read_each_time_and_a_reload_adds_and_removes_heartbeats() {
    let sink = HttpSink::start().await;
    let secrets = tempfile::tempdir().unwrap();
    let file = secrets.path().join("heartbeat");
    fs::write(&file, sink.url("/old")).unwrap();
    let from_file = format!("{{url_file: \"{}\", interval: 1m}}", file.display());
    let setup = |heartbeats: &[String]| Setup::new(routing(heartbeats));
    let app = setup(std::slice::from_ref(&from_file)).start().await;
    until_counted(&app, "sent", 1).await;
    fs::write(&file, format!("{}\n", sink.url("/new"))).unwrap();
    app.clock.advance(MINUTE);
    until_counted(&app, "sent", 2).await;
    assert_eq!((sink.requests("/old").len(), sink.requests("/new").len()), (1, 1));

    app.reload_with(&setup(&[from_file, heartbeat(&sink, "/second", "1m")])).await;
    sink.wait_for("/second", 1).await;
    until_counted(&app, "sent", 4).await;
    app.reload_with(&setup(&[heartbeat(&sink, "/second", "2m")])).await;
    until_counted(&app, "sent", 5).await;
    app.clock.advance(MINUTE * 2);
    until_counted(&app, "sent", 6).await;
    assert_eq!((sink.requests("/new").len(), sink.requests("/second").len()), (2, 3));
    app.stop().await;
}

#[tokio::test]
async fn no_log_names_the_address_and_one_line_tells_of_each_change() {
    let (sink, closed) = (HttpSink::start().await, HttpSink::start().await);
    sink.always("/PlantedPath", Reply::status(404).body("PlantedBody"));
    let garbage = [Reply::garbage(), Reply::reset(), Reply::redirect("http://PlantedHost/")];
    sink.next("/PlantedPath", garbage);
    closed.close().await;
    let other = closed
        .url("/PlantedPath?key=PlantedQuery")
        .replace("127.0.0.1", "user:PlantedPassword@127.0.0.1");
    let site = Site::new(routing(&[
        heartbeat(&sink, "/PlantedPath", "1s"),
        format!("{{url: \"{other}\", interval: 1s}}"),
    ]));
    let running = site.service().env("TOLLBELL_LOG", "debug").start().await;
    sink.wait_for("/PlantedPath", 5).await;
    let log = running.log();
    assert_eq!(log.matches("a heartbeat failed and will be retried").count(), 2, "{log}");
    sink.always("/PlantedPath", Reply::ok());
    eventually(SOON, || running.log().contains("heartbeats are sent again")).await;
    let log = running.log();
    load::assert_sound(&log);
    assert!(!log.contains("Planted"), "{log}");
    // At `debug`, the libraries below name hosts. We do not.
    let ours = log.lines().filter(|line| line.contains(" tollbell::heartbeat: "));
    let named: Vec<&str> = ours.filter(|line| line.contains("127.0.0.1")).collect();
    assert_eq!(named, Vec::<&str>::new());
}
