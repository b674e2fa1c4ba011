//! Reloads: what triggers them, what they change at once, what they leave alone, and that load does not notice them.

mod effects;
mod vanished;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use tollbell::store::DeliveryState;

use crate::dispatch::{deliveries, quiet, receiver, ring, until, until_tried, webhook};
use crate::support::app::{SPEND_LIMIT_RULE, Setup, TestApp};
use crate::support::http::{HttpSink, Reply, Request};
use crate::support::load::{self, Site};
use crate::support::telnyx::{Signer, event, spend_limit};
use crate::support::wait::{SOON, eventually, eventually_async};

const OK: &str = "tollbell_config_last_reload_successful";
/// Longer than the watch waits between two looks.
const LOOK: Duration = Duration::from_secs(4);
/// Told at once, each alert on its own.
const AT_ONCE: &str = "group_by: ['...'], group_wait: 0s, group_interval: 1s";

/// All to one webhook at once, with further routes and receivers.
fn to(sink: &HttpSink, path: &str, keys: &str) -> String {
    let hook = webhook(sink, path, &format!("name: hook, send_resolved: true{keys}"));
    format!("route: {{receiver: ops, {AT_ONCE}}}\nreceivers:\n{}", receiver("ops", &[&hook]))
}

fn setup(sink: &HttpSink) -> Setup {
    Setup::new(to(sink, "/hook", ""))
}

/// Another rule beside the usual one.
fn more_rules(rules: &str) -> String {
    format!("{SPEND_LIMIT_RULE}\n{rules}")
}

const FAX: &str = "      - alert: Fax\n        on: [fax.failed]\n        active_for: 1h\n";

/// Hash of the configuration in force, as the metrics show it.
async fn hash(app: &TestApp) -> String {
    let (_, page) = app.private_get("/metrics").await;
    let hashes: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("tollbell_config_info{hash=\"")).collect();
    assert_eq!(hashes.len(), 1, "{hashes:?}");
    hashes[0].split('"').next().unwrap().to_owned()
}

/// Moves the clock from look to look until another configuration is in force.
async fn until_watched(app: &TestApp, before: &str) -> String {
    let step = async || {
        app.clock.advance(LOOK);
        Some(hash(app).await).filter(|hash| hash != before)
    };
    eventually_async(SOON, step).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_loads_the_configuration_and_says_which() {
    let sink = HttpSink::start().await;
    let setup = setup(&sink);
    let app = setup.clone().start().await;
    let before = hash(&app).await;
    app.write(&setup.clone().rules(more_rules(FAX)));
    let (status, kind, body) = app.reload().await;
    assert_eq!((status, &*kind), (200, "application/json"), "{body}");
    assert_eq!(body["config"], hash(&app).await);
    assert_ne!(body["config"], before);
    // The usual rule names a kind that nobody knows.
    assert_eq!(body["warnings"][0]["severity"], "warning");
    assert_eq!(app.metric("tollbell_alerts{alertname=\"Fax\",state=\"firing\"}").await, 0.0);
    let now = app.clock.now();
    assert_eq!(app.deliver(event("f-1", "fax.failed", now, &json!({}))).await, 200);
    sink.wait_for("/hook", 1).await;
    assert_eq!(app.private_get("/-/reload").await.0, 405);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_is_reported_everywhere() {
    let sink = HttpSink::start().await;
    let rules = more_rules(
        "      - alert: BadReload\n        on: [tollbell.reload_failed]\n        active_for: 1h\n        annotations: {summary: \"{{ payload.problems }} in {{ payload.file }}:{{ payload.line }}\"}\n",
    );
    let setup = setup(&sink).rules(&rules);
    let app = setup.clone().start().await;
    let (before, at) = (
        hash(&app).await,
        app.metric("tollbell_config_last_reload_success_timestamp_seconds").await,
    );
    app.write(&setup.clone().rules(rules.replace("active_for: 6h", "active_of: 6h")));
    for _ in 0..2 {
        let (status, kind, body) = app.reload().await;
        assert_eq!((status, &*kind), (422, "application/problem+json"), "{body}");
        assert_eq!((&body["status"], &body["type"]), (&json!(422), &json!("about:blank")));
        let first = &body["problems"][0];
        assert!(first["file"].as_str().unwrap().ends_with("rules.yaml"), "{body}");
        assert_eq!((&first["severity"], &first["line"]), (&json!("error"), &json!(8)), "{body}");
        assert!(first["message"].is_string() && first["hint"].is_string(), "{body}");
        assert_eq!(app.metric(OK).await, 0.0);
    }
    assert_eq!(hash(&app).await, before, "the old one is in force");
    // Told once, not at every try; and the old rules go on.
    sink.wait_for("/hook", 1).await;
    ring(&app, "e-1", "p-1").await;
    let told = sink.wait_for("/hook", 2).await;
    let summaries: Vec<String> = told.iter().map(summary).collect();
    assert!(summaries.iter().any(|one| one.ends_with("rules.yaml:8")), "{summaries:?}");

    app.reload_with(&setup).await;
    assert_eq!(app.metric(OK).await, 1.0);
    assert!(app.metric("tollbell_config_last_reload_success_timestamp_seconds").await >= at);
    app.settle().await;
    assert_eq!(sink.requests("/hook").len(), 2);
    app.stop().await;
}

fn summary(request: &Request) -> String {
    request.json()["alerts"][0]["annotations"]["summary"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn sighup_loads_the_configuration() {
    let sink = HttpSink::start().await;
    let site = Site::new(to(&sink, "/hook", ""));
    let mut running = site.service().start().await;
    running.signal("HUP");
    eventually(SOON, || running.log().contains("configuration reloaded")).await;
    fs::write(site.dir().join("rules.yaml"), "groups: {}").unwrap();
    running.signal("HUP");
    eventually(SOON, || running.log().contains("the one before stays in force")).await;
    let private = running.addresses().private;
    assert_eq!(load::value(&load::metrics(private).await, OK), Some(0.0));
    assert_eq!(site.post(running.addresses().public, "e-1", "p").await.status, 200);
    sink.wait_for("/hook", 1).await;
    assert!(running.terminate(SOON).await.success());
    load::assert_sound(&running.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_files_are_loaded_a_bad_one_once() {
    let sink = HttpSink::start().await;
    let setup = setup(&sink).watch();
    let app = setup.clone().start().await;
    let first = hash(&app).await;
    // As editors write: a new file takes the name.
    let fresh = app.dir.path().join("rules.new");
    fs::write(&fresh, more_rules(FAX)).unwrap();
    fs::rename(&fresh, app.dir.path().join("rules.yaml")).unwrap();
    let second = until_watched(&app, &first).await;

    fs::write(app.dir.path().join("rules.yaml"), "groups: {").unwrap();
    let failed = async || {
        app.clock.advance(LOOK);
        (app.metric(OK).await == 0.0).then_some(())
    };
    eventually_async(SOON, failed).await;
    assert_eq!(hash(&app).await, second);
    app.write(&setup);
    assert_eq!(until_watched(&app, &second).await, first);
    assert_eq!(app.metric(OK).await, 1.0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_swapped_link_of_a_mounted_config_map_is_seen() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).watch().start().await;
    let dir = app.dir.path();
    let version = |name: &str, rules: &str| {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("rules.yaml"), rules).unwrap();
    };
    let point = |name: &str| {
        symlink(name, dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    };
    // The layout of the kubelet, with what is loaded already.
    version("..2026_01", SPEND_LIMIT_RULE);
    point("..2026_01");
    symlink("..data/rules.yaml", dir.join("link")).unwrap();
    fs::rename(dir.join("link"), dir.join("rules.yaml")).unwrap();
    let before = hash(&app).await;
    version("..2026_02", &more_rules(FAX));
    point("..2026_02");
    fs::remove_dir_all(dir.join("..2026_01")).unwrap();
    until_watched(&app, &before).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_start_changes_is_said() {
    let sink = HttpSink::start().await;
    let app = setup(&sink).start().await;
    let other = setup(&sink).server("  shutdown_timeout: 7s").store("  payload: full");
    let warned = |warnings: &[Value]| -> Vec<String> {
        let shown = warnings.iter().map(|one| format!("{}: {}", one["key"], one["message"]));
        shown.filter(|one| one.contains("start")).collect()
    };
    let warnings = app.reload_with(&other).await;
    let want = ["\"server.shutdown_timeout\"", "\"store.payload\""]
        .map(|key| format!("{key}: \"takes effect at the next start\""));
    assert_eq!(warned(&warnings), want);
    assert_eq!(warned(&app.reload_with(&setup(&sink)).await), Vec::<String>::new());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_counts_at_once_and_so_does_one_in_a_file_of_keys() {
    let sink = HttpSink::start().await;
    let keys = |signer: &Signer| signer.public_key_base64() + "\n";
    let (old, second, third) =
        (Signer::new(), Signer::from_seed([2; 32]), Signer::from_seed([3; 32]));
    let setup = setup(&sink).account("    public_keys_file: keys.txt").watch();
    let mut app = setup.clone().start_beside(&[("keys.txt", &keys(&second))]).await;
    let post = async |app: &mut TestApp, signer: &Signer, id: &str| {
        app.signer = signer.clone();
        let body = spend_limit(id, app.clock.now(), "p", "10.00", "10.02");
        app.deliver(body).await
    };
    assert_eq!(post(&mut app, &old, "e-1").await, 200);
    assert_eq!(post(&mut app, &second, "e-2").await, 200);
    assert_eq!(post(&mut app, &third, "e-3").await, 401);
    // The signer in force writes the main file.
    app.reload_with(&setup).await;
    assert_eq!(post(&mut app, &old, "e-4").await, 401);
    assert_eq!(post(&mut app, &third, "e-3").await, 200);

    let before = hash(&app).await;
    let fourth = Signer::from_seed([4; 32]);
    fs::write(app.dir.path().join("keys.txt"), keys(&fourth)).unwrap();
    until_watched(&app, &before).await;
    assert_eq!(post(&mut app, &fourth, "e-5").await, 200);
    assert_eq!(post(&mut app, &second, "e-6").await, 401);
    app.stop().await;
}
