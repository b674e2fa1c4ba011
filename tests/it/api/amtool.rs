//! Debian's amtool, which knows nothing of tollbell.

use std::process::{Command, Output};

use super::{quiet, two_alerts};
use crate::support::app::TestApp;
use crate::support::tools::tool;

async fn amtool(app: &TestApp, words: &[&str]) -> Output {
    let mut command = Command::new(tool("amtool"));
    command.arg(format!("--alertmanager.url=http://{}", app.app().private_addr));
    command.args(words).env("HOME", app.dir.path()).env("USER", "ada");
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What it prints when it succeeds.
async fn told(app: &TestApp, words: &[&str]) -> String {
    let output = amtool(app, words).await;
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{words:?}: {out}{err}");
    out.trim().to_owned()
}

#[tokio::test]
async fn amtool_lists_alerts_and_manages_silences() {
    let app = two_alerts(quiet().real_time()).await;
    let all = told(&app, &["alert", "query"]).await;
    assert_eq!(all.matches("SpendLimitReached").count(), 2, "{all}");
    let one = told(&app, &["alert", "query", "profile=p", "-o", "json"]).await;
    assert_eq!(one.matches("\"fingerprint\"").count(), 1, "{one}");
    let by_pattern = told(&app, &["alert", "query", "profile=~p|q", "-o", "simple"]).await;
    assert_eq!(by_pattern.matches("SpendLimitReached").count(), 2, "{by_pattern}");

    let add = ["silence", "add", "profile=p", "--duration=1h", "--author=ada", "--comment=paying"];
    let id = told(&app, &add).await;
    let listed = told(&app, &["silence", "query", "profile=p"]).await;
    assert!(listed.contains(&id) && listed.contains("ada"), "{listed}");
    let active = told(&app, &["alert", "query"]).await;
    assert_eq!(active.matches("SpendLimitReached").count(), 1, "{active}");
    let silenced = told(&app, &["alert", "query", "--silenced", "-o", "extended"]).await;
    assert!(silenced.contains("suppressed") && silenced.contains('p'), "{silenced}");
    let updated = told(&app, &["silence", "update", "--duration=3h", "--comment=later", &id]).await;
    assert!(updated.contains(&id) && updated.contains("later"), "{updated}");

    let exported = told(&app, &["silence", "query", "-o", "json"]).await;
    told(&app, &["silence", "expire", &id]).await;
    assert_eq!(told(&app, &["silence", "query", "-q"]).await, "");
    assert!(told(&app, &["silence", "query", "--expired", "-q"]).await.contains(&id));
    let file = app.dir.path().join("silences.json");
    std::fs::write(&file, exported).unwrap();
    told(&app, &["silence", "import", file.to_str().unwrap()]).await;
    let imported = told(&app, &["silence", "query", "-q"]).await;
    assert!(!imported.is_empty() && imported != id, "{imported}");

    let config = told(&app, &["config", "show"]).await;
    assert!(config.contains("receiver: \"ops\""), "{config}");
    assert!(told(&app, &["config", "routes", "show"]).await.contains("receiver: ops"));
    assert_eq!(told(&app, &["config", "routes", "test", "severity=critical"]).await, "ops");
    assert!(told(&app, &["cluster", "show"]).await.contains("disabled"));

    let posted = amtool(&app, &["alert", "add", "alertname=mine"]).await;
    assert!(!posted.status.success(), "tollbell makes its own alerts");
    app.stop().await;
}
