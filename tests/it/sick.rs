//! A broken database, clocks that are set, a backup that was put back, and very many series.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;
use tollbell::clock;

use crate::support::app::{SPEND_LIMIT_RULE, Setup, TestApp, route};
use crate::support::http::{HttpSink, Reply};
use crate::support::load::{self, Site};
use crate::support::process::Running;
use crate::support::raw;
use crate::support::telnyx;
use crate::support::wait::{SOON, eventually, eventually_async};

/// Where webhooks go.
const PATH: &str = "/webhooks/telnyx";
/// In which time what is broken must be known.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_hours(24);

fn routing(hook: &HttpSink) -> String {
    format!(
        "{}receivers:\n  - name: hook\n    webhook_configs:\n      \
         - {{url: \"{}\", rate_limit: {{per_second: 1000, burst: 1000}}}}\n",
        route("hook"),
        hook.url("/hook")
    )
}

/// Posts new events until one is refused and the service says that it is not ready, and why.
async fn is_found_sick(site: &Site, running: &Running, why: &str) {
    let addresses = running.addresses();
    let begun = Instant::now();
    let mut tried = 0;
    loop {
        tried += 1;
        let answer = site.post(addresses.public, &format!("sick-{tried}"), "p").await;
        let ready = raw::get(addresses.private, "/readyz").await.unwrap();
        if answer.status == 503 && ready.status == 503 {
            assert!(ready.text().contains(why), "{}", ready.text());
            break;
        }
        assert!(
            begun.elapsed() < KNOWN_WITHIN,
            "{} {}\n{}",
            answer.status,
            ready.status,
            running.log()
        );
    }
    assert_eq!(load::probe(addresses.private, "/livez").await, 200);
}

/// A site whose database holds some events, closed.
async fn lived_in(site: &Site) {
    let mut running = site.service().start().await;
    for n in 0..40 {
        let answer = site.post(running.addresses().public, &format!("before-{n}"), "p").await;
        assert_eq!(answer.status, 200);
    }
    load::drained(&running, Duration::from_mins(1)).await;
    assert!(running.terminate(SOON).await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_a_table_is_found_by_the_engine_and_said_at_the_door() {
    let hook = HttpSink::start().await;
    let site = Site::new(routing(&hook));
    lived_in(&site).await;
    let root: i64 = {
        let conn = Connection::open(site.database()).unwrap();
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'journal'", (), |row| {
            row.get(0)
        })
        .unwrap()
    };
    let file = File::options().write(true).open(site.database()).unwrap();
    file.write_all_at(&[0xa5; 4096], (u64::try_from(root).unwrap() - 1) * 4096).unwrap();
    let running = site.service().start().await;
    is_found_sick(&site, &running, "malformed").await;
    assert!(running.log().contains("the store is unhealthy"), "{}", running.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_cut_while_it_serves_is_noticed_and_said_at_the_door() {
    let hook = HttpSink::start().await;
    let site = Site::new(routing(&hook));
    lived_in(&site).await;
    let running = site.service().start().await;
    assert_eq!(load::probe(running.addresses().private, "/readyz").await, 200);
    let file = File::options().write(true).open(site.database()).unwrap();
    let bytes = file.metadata().unwrap().len();
    file.set_len(bytes / 2).unwrap();
    is_found_sick(&site, &running, "the database is broken").await;
    assert!(running.log().contains("the database file was cut"), "{}", running.log());
    // It stays so, and the log is not filled with it.
    for n in 0..20 {
        let answer = site.post(running.addresses().public, &format!("later-{n}"), "p").await;
        assert_eq!(answer.status, 503);
    }
    let log = running.log();
    let said = log.lines().filter(|line| line.contains("the store cannot commit")).count();
    assert_eq!(said, 1, "{log}");
    assert_eq!(file.metadata().unwrap().len(), bytes / 2, "nothing is written behind the cut");
}

fn setup(hook: &HttpSink) -> Setup {
    Setup::new(routing(hook)).rules(SPEND_LIMIT_RULE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_that_fire_after_the_clock_was_set_back_are_notified_soon() {
    let hook = HttpSink::start().await;
    let app = setup(&hook).start().await;
    let fire = async |name: &str| {
        let body = telnyx::spend_limit(name, app.clock.now(), name, "1.00", "2.00");
        assert_eq!(app.deliver(body).await, 200);
        app.settle().await;
    };
    fire("before").await;
    let (mut expected, mut steps) = (1, 0_u32);
    let back = |by| clock::sub(app.clock.now(), by);
    for (name, to) in [
        ("ten-minutes", back(Duration::from_mins(10))),
        ("three-days", back(3 * DAY)),
        ("forth", clock::add(app.clock.now(), 3 * DAY)),
        ("and-back", app.clock.now()),
    ] {
        app.clock.step_to(to);
        fire(name).await;
        expected += 1;
        for _second in 0..30 {
            if hook.requests("/hook").len() >= expected {
                break;
            }
            app.advance(Duration::from_secs(1)).await;
        }
        assert_eq!(hook.requests("/hook").len(), expected, "{name}");
        steps += 1;
        // The watch looks once in a second.
        let seen = async || {
            app.advance(Duration::from_secs(1)).await;
            (app.metric("tollbell_clock_steps_total").await >= f64::from(steps)).then_some(())
        };
        eventually_async(SOON, seen).await;
        assert_eq!(app.metric("tollbell_clock_steps_total").await, f64::from(steps), "{name}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_while_the_store_refuses_moves_what_waits_all_the_same() {
    let hook = HttpSink::start().await;
    hook.always("/hook", Reply::status(503));
    let app = setup(&hook).start().await;
    let body = telnyx::spend_limit("waits", app.clock.now(), "waits", "1.00", "2.00");
    assert_eq!(app.deliver(body).await, 200);
    hook.wait_for("/hook", 1).await;
    app.settle().await;
    app.app().store.pragma("query_only = 1").await.unwrap();
    app.clock.step_to(clock::sub(app.clock.now(), 3 * DAY));
    hook.always("/hook", Reply::ok());
    let tried = hook.requests("/hook").len();
    for _second in 0..120 {
        if hook.requests("/hook").len() > tried {
            break;
        }
        app.advance(Duration::from_secs(1)).await;
    }
    assert!(hook.requests("/hook").len() > tried, "the retry waits for three days");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_the_clock_forty_days_ahead_forgets_no_event() {
    let hook = HttpSink::start().await;
    let mut app: TestApp = setup(&hook).start().await;
    let begun = app.clock.now();
    let cost =
        |n: usize| telnyx::call_cost(&format!("c{n}"), begun, &format!("leg-{n}"), Some("0.01"));
    for n in 0..300 {
        assert_eq!(app.deliver(cost(n)).await, 200);
    }
    app.settle().await;
    let spent = async |app: &TestApp| {
        let (_, text) = app.private_get("/metrics").await;
        text.lines()
            .filter(|line| line.starts_with("tollbell_spend_total{"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = spent(&app).await;
    assert!(before.iter().any(|line| line.ends_with(" 3")), "{before:?}");
    app.clock.step_to(clock::add(begun, 40 * DAY));
    app.restart(None).await;
    // Some sweeps.
    for _ in 0..3 {
        app.advance(Duration::from_secs(61)).await;
    }
    let store = app.app().store.clone();
    let swept = async || {
        let as_of = store.swept_as_of().await.unwrap();
        as_of.filter(|as_of| *as_of > clock::add(begun, Duration::from_mins(30)))
    };
    eventually_async(SOON, swept).await;
    app.clock.step_to(clock::add(begun, Duration::from_mins(2)));
    app.restart(None).await;
    for n in 0..300 {
        assert_eq!(app.deliver(cost(n)).await, 200);
    }
    app.settle().await;
    let repeated = "tollbell_events_duplicate_total{account=\"default\"}";
    assert_eq!(app.metric(repeated).await, 300.0);
    assert_eq!(spent(&app).await, before);
    app.stop().await;
}

/// Puts a copy of a closed database in its place.
fn put_back(backup: &Path, database: &Path) {
    for suffix in ["-wal", "-shm"] {
        let beside = format!("{}{suffix}", database.display());
        drop(fs::remove_file(beside));
    }
    fs::copy(backup, database).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_put_back_is_noticed_and_need_not_notify_again() {
    let hook = HttpSink::start().await;
    let site = Site::new(routing(&hook));
    let file = site.dir().join("tollbell.yaml").display().to_string();
    let program = Path::new(env!("CARGO_BIN_EXE_tollbell"));
    let notified = |id: &str| {
        let requests = hook.requests("/hook");
        requests.iter().filter(|request| request.text().contains(&format!("<{id}>"))).count()
    };
    lived_in(&site).await;
    let backup = site.dir().join("backup.db");
    fs::copy(site.database(), &backup).unwrap();

    let mut running = site.service().start().await;
    let (headers, body) = site.event("after", "p");
    let post = async |running: &Running| {
        let to = running.addresses().public;
        raw::request(to, "POST", PATH, &headers, &body).await.unwrap().status
    };
    assert_eq!(post(&running).await, 200);
    eventually(SOON, || notified("after") == 1).await;
    load::drained(&running, Duration::from_mins(1)).await;
    assert!(running.terminate(SOON).await.success());
    assert!(!running.log().contains("was a backup restored?"), "{}", running.log());

    put_back(&backup, site.database());
    let args = ["serve", "--config", &file, "--restored"];
    let mut running = site.service().program(program, &args).start().await;
    assert!(running.log().contains("was a backup restored?"), "{}", running.log());
    assert_eq!(post(&running).await, 200);
    let answer = site.post(running.addresses().public, "news", "p").await;
    assert_eq!(answer.status, 200);
    eventually(SOON, || notified("news") == 1).await;
    load::drained(&running, Duration::from_mins(1)).await;
    assert_eq!(notified("after"), 1, "it was notified before");
    assert!(running.terminate(SOON).await.success());
    // It was judged all the same, and so was what tells of the backup.
    assert!(site.stored().await.contains(&"after".to_owned()));
    let conn = Connection::open(site.database()).unwrap();
    let told: i64 = conn
        .query_row("SELECT count(*) FROM inbox WHERE kind = 'tollbell.restored'", (), |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(told, 1);
}
