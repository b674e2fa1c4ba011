//! The dashboard, the alerts about tollbell itself and the documents name series that are there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::dispatch::{receiver, routing};
use crate::support::app::{Setup, TestApp};
use crate::support::http::{HttpSink, Reply};
use crate::support::telnyx_api::TelnyxApi;
use crate::support::tools::tool;
use crate::support::wait::{SOON, eventually_async};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The names of tollbell's series and of its process in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_series = |word: &&str| {
        word.starts_with("tollbell_")
            || ["process_start_", "process_resident_", "process_cpu_"]
                .iter()
                .any(|it| word.starts_with(it))
    };
    words.filter(is_series).map(str::to_owned).collect()
}

/// A service whose account is asked at Telnyx, where a balance and a spend limit are.
async fn start() -> (TestApp, TelnyxApi) {
    let (api, sink) = (TelnyxApi::start().await, HttpSink::start().await);
    let limit = json!({
        "record_type": "spend_limit", "product": "inference", "period": "daily", "period_start": "2026-11-30",
        "period_end": "2026-12-01", "effective_limit_usd": "12.00", "limit": null, "spend_usd": "3.00", "blocked": false, "block": null,
    });
    api.always("/spend_limits", Reply::json(&json!({"data": [limit]})));
    let hook = format!("webhook_configs: [{{url: \"{}\"}}]", sink.url("/ops"));
    let setup = Setup::new(routing(&[receiver("ops", &[&hook])])).account(api.account());
    (setup.begins("2026-11-30T10:00:00Z").start().await, api)
}

/// Each file that names series, and which ones.
fn named() -> Vec<(PathBuf, BTreeSet<String>)> {
    let mut files: Vec<PathBuf> = [
        "deploy/grafana/tollbell.json",
        "deploy/prometheus/tollbell-alerts.yaml",
        "README.md",
        "helm/tollbell/README.md",
    ]
    .map(PathBuf::from)
    .to_vec();
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    files.extend(
        docs.map(|it| Path::new("docs").join(it.unwrap().file_name()))
            .filter(|it| it.extension().is_some_and(|it| it == "md")),
    );
    files.into_iter().map(|path| (path.clone(), names(&read(path.to_str().unwrap())))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_series_that_is_named_is_in_a_live_scrape() {
    let (app, api) = start().await;
    let page = eventually_async(SOON, async || {
        app.clock.advance(std::time::Duration::from_secs(5));
        let page = app.private_get("/metrics").await.1;
        let all = ["tollbell_spend_limit_usd{", "tollbell_balance{"];
        all.iter().all(|it| page.contains(it)).then_some(page)
    })
    .await;
    let help = names(&page);
    let declared = read("docs/reference/metrics.md");
    let is_there = |name: &str| {
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        // Series that begin with what happens are held against their declarations by a test of the reference.
        let later = [
            "spend_total",
            "spend_corrections_total",
            "heartbeats_total",
            "integration_paused",
            "telnyx_api_requests_total",
            "hours_left",
            "burn_per_hour",
            "backfilled_events_total",
            "backfill_covered_timestamp_seconds",
            "backfill_slices_cut_total",
            "amounts_unread_total",
            "tls_handshakes_failed_total",
            "tls_certificate_not_after_timestamp_seconds",
        ];
        help.contains(name)
            || help.contains(family)
            || later.iter().any(|it| {
                name == format!("tollbell_{it}") && declared.contains(&format!("| `{it}`"))
            })
    };
    let mut missing = Vec::new();
    for (path, names) in named() {
        missing.extend(
            names
                .into_iter()
                .filter(|name| !is_there(name))
                .map(|name| format!("{}: {name}", path.display())),
        );
    }
    // No series, but words that begin alike.
    let words = ["tollbell_", "tollbell_end"];
    missing.retain(|it| !words.iter().any(|word| it.ends_with(&format!(": {word}"))));
    assert_eq!(missing, Vec::<String>::new());
    drop(api);
    app.stop().await;
}

#[test]
fn promtool_likes_the_alerts_and_their_tests_hold() {
    for (command, file) in
        [("check", "tollbell-alerts.yaml"), ("test", "tollbell-alerts-test.yaml")]
    {
        let mut promtool = Command::new(tool("promtool"));
        promtool.args([command, "rules", file]).current_dir(root().join("deploy/prometheus"));
        let output = promtool.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command} {file}: {said}");
    }
}

#[test]
fn promtool_reads_each_expression_of_the_dashboard() {
    let board: Value = serde_json::from_str(&read("deploy/grafana/tollbell.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut rules = Vec::new();
    for panel in panels {
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "two panels have the id {}",
            panel["id"]
        );
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
            rules.push(json!({"record": format!("panel:{}:{}", panel["id"], target["refId"].as_str().unwrap()), "expr": expr}));
        }
    }
    assert!(rules.len() > 30, "{}", rules.len());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    std::fs::write(&file, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string())
        .unwrap();
    let output =
        Command::new(tool("promtool")).args(["check", "rules"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Every document, by its path from the root.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "helm/tollbell/README.md",
    ]
    .map(PathBuf::from)
    .to_vec();
    for folder in ["docs", "docs/guides", "docs/reference", "docs/decisions"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        found.extend(entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name())));
    }
    found.retain(|path| path.extension().is_some_and(|it| it == "md"));
    found
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn each_link_of_the_documents_leads_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut broken = Vec::new();
    for path in documents() {
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        let prose: String = text.split("```").step_by(2).collect();
        for target in link.captures_iter(&prose).map(|found| found.get(1).unwrap().as_str()) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let there =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let there = root().join(there);
            let has_heading = || {
                let text = std::fs::read_to_string(&there).unwrap_or_default();
                text.lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_start_matches('#').trim()) == heading)
            };
            if !there.exists() || !(heading.is_empty() || has_heading()) {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}
