//! The same commands with the same output, by the API of a running service as by its store.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use tollbell::clock::{self, Clock};
use tollbell::store::{AuditFilter, DeliveryState};

use super::{Ran, run, run_with};
use crate::api::two_alerts;
use crate::dispatch::{deliveries, receiver, routing, webhook};
use crate::support::app::{Setup, TestApp};
use crate::support::http::{HttpSink, Reply};
use crate::support::telnyx::call_cost;

const AUTH: &str = "  auth: {token: write-0123456789abcdef, read_token: read-0123456789abcdef}\n";

/// Two days before now, as a day.
fn two_days_ago() -> Timestamp {
    let day = 24 * 3600;
    let now = Clock::system().now().as_second();
    Timestamp::from_second((now / day - 2) * day).unwrap()
}

/// A service on the real clock, since commands know no other; two alerts fire, and nobody takes their notifications, which are
/// not owed again while a test lasts.
async fn started(sink: &HttpSink) -> TestApp {
    sink.always("/in", Reply::status(400));
    let routing = routing(&[
        receiver("ops", &[&webhook(sink, "/in", "")]),
        receiver("well", &[&webhook(sink, "/well", "")]),
        receiver("none", &[]),
    ]);
    let setup = Setup::new(routing.replace("group_interval: 1s", "group_interval: 1h"));
    let app = two_alerts(setup.server(AUTH).real_time()).await;
    let at = clock::add(two_days_ago(), Duration::from_hours(1));
    for (id, leg, cost) in [("cost-1", "leg-1", "0.0106"), ("cost-2", "leg-2", "1.5000")] {
        assert_eq!(app.deliver(call_cost(id, at, leg, Some(cost))).await, 200);
    }
    app.settle().await;
    // Where the listeners really are.
    let config = fs::read_to_string(app.dir.path().join("test.yaml")).unwrap();
    let private = format!("private_listen: {}", app.app().private_addr);
    let config = config.replace("private_listen: 127.0.0.1:0", &private);
    fs::write(app.dir.path().join("there.yaml"), config).unwrap();
    fs::write(app.dir.path().join("write.txt"), "write-0123456789abcdef\n").unwrap();
    fs::write(app.dir.path().join("read.txt"), "read-0123456789abcdef\n").unwrap();
    app
}

/// Runs a command beside the service, which goes on meanwhile.
async fn ran(app: &TestApp, args: &[&str], more: &[&str]) -> Ran {
    let dir = app.dir.path().to_owned();
    let args: Vec<String> = [args, more].concat().iter().map(|arg| (*arg).to_owned()).collect();
    let run = move || run(&dir, &args.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn a_command_says_the_same_by_the_api_as_by_the_store() {
    let sink = HttpSink::start().await;
    let app = started(&sink).await;
    let url = format!("http://{}", app.app().private_addr);
    let store = ["--config", "test.yaml"];
    let api = ["--url", &url, "--token-file", "write.txt"];
    let fingerprint =
        ran(&app, &["alerts", "--format", "json"], &store).await.json()[0]["fingerprint"]
            .as_str()
            .unwrap()
            .to_owned();
    let delivery = deliveries(&app, DeliveryState::Dead).await.remove(0).id;
    let silence = ["silence", "add", "profile=p", "--start", "2027-01-01T00:00:00Z"];
    let silence = [&silence[..], &["--duration", "1h", "--comment", "why", "--author", "ada"]];
    let made = ran(&app, &silence.concat(), &[&api[..], &["--format", "json"]].concat()).await;
    let made = made.json()["id"].as_str().unwrap().to_owned();
    let days = [0, 24].map(|hours| clock::add(two_days_ago(), Duration::from_hours(hours)));
    let [since, until] = days.map(|day| day.to_string());
    let range = &["--since", &*since, "--until", &*until][..];
    for command in [
        &["alerts"][..],
        &["alerts", "--all", "--format", "json"],
        &["alerts", "show", &fingerprint, "--format", "json"],
        &["alerts", "show", fingerprint.get(..8).unwrap()],
        &["alerts", "show", "0000000000000000"],
        &["deliveries", "list"],
        &["deliveries", "list", "--state", "dead", "--receiver", "ops", "--format", "json"],
        &["deliveries", "show", &delivery],
        &["deliveries", "show", "no-such/../thing"],
        &["events", "list", "--limit", "1"],
        &["events", "list", "--format", "json"],
        &["events", "show", "e-1"],
        &["events", "show", "e-1", "--account", "default", "--format", "json"],
        &["events", "show", "none"],
        &["silence", "list"],
        &["silence", "show", made.get(..8).unwrap()],
        &["silence", "show", "00000000"],
        &["balance"],
        &["status"],
        &["status", "--format", "json"],
        &["explain", "e-1"],
        &["explain", "e-1", "--account", "default", "--rule", "*/Spend*"],
        &["explain", "e-1", "--all", "--no-state"],
        &["explain", "cost-1", "--format", "json"],
        &["explain", "none"],
        &[&["spend", "--by", "day"], range].concat(),
        &[&["spend", "--by", "number", "--format", "json", "--limit", "1"], range].concat(),
        &[&["spend", "--by", "kind", "--format", "csv", "--account", "default"], range].concat(),
        &[&["spend", "--time-zone", "Europe/Berlin", "--limit", "0"], range].concat(),
        &["spend", "--account", "nobody"],
        &["notify", "test", "ops"],
        &["notify", "test", "well", "--resolve", "--format", "json"],
        &["notify", "test", "none"],
        &["notify", "test", "nobody"],
    ] {
        // What asks the tollbell on this machine, too, needs to know where it is.
        let store = if command[0] == "status" { ["--config", "there.yaml"] } else { store };
        let [by_store, by_api] = [ran(&app, command, &store).await, ran(&app, command, &api).await];
        // What is some seconds ago may be a second more.
        let [store, api] = [&by_store, &by_api].map(|it| (it.code, same_time(&it.out), &it.err));
        assert_eq!(store, api, "{command:?}");
    }
    // Each was looked at by somebody who may only read, but for the test.
    let read = ["--url", &url, "--token-file", "read.txt"];
    for command in [&["status"][..], &["explain", "e-1"], &["spend"], &["deliveries", "list"]] {
        let ran = ran(&app, command, &read).await;
        assert!(ran.err.is_empty() && !ran.out.is_empty(), "{command:?}: {ran:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_only_the_configuration_at_hand_can_do_is_refused() {
    let sink = HttpSink::start().await;
    let app = started(&sink).await;
    let url = format!("http://{}", app.app().private_addr);
    let api = ["--url", &url, "--token-file", "write.txt"];
    for (command, said) in [
        (&["spend", "--compare"][..], "leave --url out"),
        (&["explain", "call.cost"], "explains events that it keeps"),
        (&["explain", "-"], "explains events that it keeps"),
    ] {
        let err = ran(&app, command, &api).await.fails(2);
        assert!(err.contains(said), "{command:?}: {err}");
    }
    app.stop().await;
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["TOLLBELL_URL", "TOLLBELL_TOKEN_FILE", "TOLLBELL_CA_FILE"];
    let err = run_with(dir.path(), &["alerts"], &names.map(|name| (name, ""))).fails(2);
    assert!(err.contains("config/tollbell.yaml"), "looks at the store: {err}");
    let env = [("TOLLBELL_URL", "http://127.0.0.1:1"), (names[1], ""), (names[2], "")];
    let err = run_with(dir.path(), &["alerts"], &env).fails(1);
    assert!(err.contains("cannot ask http://127.0.0.1:1"), "{err}");
    for (option, said) in [("--url", "expected http://"), ("--token-file", "--token-file :")] {
        let url = ["--url", "http://127.0.0.1:1"];
        let args = [&["alerts"], &url[..if option == "--url" { 0 } else { 2 }], &[option, ""]];
        let err = run_with(dir.path(), &args.concat(), &[]).fails(1);
        assert!(err.contains(said), "{err}");
    }
}

/// A text without how long ago things were: `now`, `3s ago`, `1m 2s ago`.
fn same_time(text: &str) -> String {
    let is_span = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let number = word.strip_suffix(['s', 'm']);
        let is_number = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
        matches!(word, "now" | "ago") || number.is_some_and(is_number)
    };
    // When a command looked is in its JSON.
    let is_now = |line: &str| line.starts_with("  \"now\": ") || line.starts_with("    \"at\": ");
    let lines = text.lines().filter(|line| !is_now(line));
    let words = lines.flat_map(str::split_whitespace).filter(|word| !is_span(word));
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn what_is_changed_by_either_way_is_in_the_audit_log() {
    let sink = HttpSink::start().await;
    let app = started(&sink).await;
    let url = format!("http://{}", app.app().private_addr);
    let store = ["--config", "test.yaml"];
    let api = ["--url", &url, "--token-file", "write.txt"];
    let add = ["silence", "add", "profile=p", "--duration", "1h", "--comment", "c", "--author"];
    for way in [&store[..], &api] {
        let json = [way, &["--format", "json"]].concat();
        let made = ran(&app, &[&add[..], &["ada"]].concat(), &json).await.json();
        let id = made["id"].as_str().unwrap();
        let updated = ran(&app, &["silence", "update", id, "--comment", "d"], &json).await.json();
        assert_eq!(updated["comment"], "d");
        let ended = ran(&app, &["silence", "expire", id], way).await.ok();
        assert_eq!(ended, format!("silence {id} is ended: profile=\"p\"\n"));
        let again = ran(&app, &["silence", "expire", id], way).await.ok();
        assert!(again.contains(" already"), "{again}");
        let unfit = [&add[..], &["ada", "--start", "2020-01-01T00:00:00Z"]].concat();
        let unfit = [&unfit[..4], &["2020-01-01T01:00:00Z"], &unfit[5..]].concat();
        let unfit: Vec<&str> =
            unfit.into_iter().map(|it| if it == "--duration" { "--end" } else { it }).collect();
        let unfit = ran(&app, &unfit, way).await.fails(2);
        assert!(unfit.contains("the silence is refused: "), "{unfit}");
        let delivery = deliveries(&app, DeliveryState::Dead).await.remove(0).id;
        let retried = ran(&app, &["deliveries", "retry", &delivery], way).await.ok();
        assert!(retried.starts_with("1 delivery will be tried again"), "{retried}");
        app.settle().await;
    }
    // A receiver is paused, listed and resumed alike.
    for (way, other) in [(&store[..], &api[..]), (&api, &store)] {
        let pause = ["receivers", "pause", "well", "--duration", "1h", "--comment", "it moves"];
        let said = ran(&app, &pause, way).await.ok();
        assert!(said.starts_with("receiver well is paused until "), "{said}");
        let listed = ran(&app, &["receivers", "paused"], other).await.ok();
        assert!(listed.contains("it moves"), "{listed}");
        assert_eq!(listed, ran(&app, &["receivers", "paused"], way).await.ok());
        let resume = ["receivers", "resume", "well"];
        assert_eq!(ran(&app, &resume, way).await.ok(), "receiver well is paused no more\n");
        assert_eq!(ran(&app, &resume, other).await.ok(), "receiver well was not paused\n");
        let err = ran(&app, &["receivers", "resume", "nobody"], way).await.fails(2);
        assert!(err.contains("there is ops, well, none"), "{err}");
        for (name, duration, said) in
            [("nobody", "1h", "there is ops, well, none"), ("ops", "8d", "7 days at most")]
        {
            let pause = ["receivers", "pause", name, "--duration", duration, "--comment", "c"];
            let err = ran(&app, &pause, way).await.fails(2);
            assert!(err.contains(said), "{err}");
        }
    }
    let log = app.app().store.audit(AuditFilter { limit: 20, ..AuditFilter::default() }).await;
    let mut log: Vec<(String, String)> =
        log.unwrap().into_iter().map(|it| (it.entry.who, it.entry.action)).collect();
    log.reverse();
    let pauses: Vec<_> = log.split_off(8);
    let both = |who: &str| {
        ["receiver.pause", "receiver.resume"].map(|action| (who.to_owned(), action.to_owned()))
    };
    assert_eq!(pauses, [both("local"), both("token")].concat());
    let each = |who: &str| {
        ["silence.create", "silence.update", "silence.expire", "delivery.retry"]
            .map(|action| (who.to_owned(), action.to_owned()))
    };
    assert_eq!(log, [each("local"), each("token")].concat());
    app.stop().await;
}

#[tokio::test]
async fn who_may_not_and_what_is_not_there_is_said() {
    let sink = HttpSink::start().await;
    let app = started(&sink).await;
    let private = format!("http://{}", app.app().private_addr);
    let public = format!("http://{}", app.app().public_addr);
    let add = ["silence", "add", "a=b", "--duration", "1h", "--comment", "c", "--author", "ada"];
    for (args, way, said) in [
        (&["alerts"][..], &["--url", &private][..], "--token-file"),
        (&add, &["--url", &private, "--token-file", "read.txt"], "may only read"),
        (&["alerts"], &["--url", "http://127.0.0.1:1"], "cannot ask http://127.0.0.1:1: "),
        (&["alerts"], &["--url", &public], "is this the private listener"),
        (&["alerts"], &["--url", "127.0.0.1:9464"], "expected http://"),
        (&["alerts"], &["--url", &private, "--token-file", "none.txt"], "--token-file none.txt"),
    ] {
        let err = ran(&app, args, way).await.fails(1);
        assert!(err.contains(said) && !err.contains("0123456789"), "{args:?} {way:?}: {err}");
    }
    // By the environment, as in a shell that looks after one service.
    let (dir, url) = (app.dir.path().to_owned(), private.clone());
    let listed = tokio::task::spawn_blocking(move || {
        let env = [("TOLLBELL_URL", url.as_str()), ("TOLLBELL_TOKEN_FILE", "read.txt")];
        run_with(&dir, &["alerts"], &env).ok()
    });
    assert!(listed.await.unwrap().starts_with("2 alerts fire\n"));
    app.stop().await;
}
