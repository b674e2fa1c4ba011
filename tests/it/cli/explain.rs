//! `explain`, of a file and of an event that was kept.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{run, run_with, with_config};
use crate::support::http::HttpSink;
use crate::support::process::{Addresses, Service};
use crate::support::telnyx::{Signer, spend_limit};
use crate::support::wait::{SOON, eventually};

const RULES: &str = r#"
groups:
  - name: spend
    rules:
      - alert: SpendLimitReached
        on: [messaging-profile.spend-limit-reached]
        when: num(payload.current_cost) >= num(payload.configured_limit) && event.account == "default"
        by: {profile: payload.profile_id}
        labels: {severity: critical}
        annotations: {summary: "Profile {{ labels.profile }} spent {{ payload.current_cost }}"}
      - alert: Calls
        on: ["call.*"]
"#;

fn service(dir: &Path, slack: &str) -> Service {
    fs::write(dir.join("rules.yaml"), RULES).unwrap();
    let (key, slack) = (Signer::new().public_key_base64(), slack.to_owned());
    fs::write(dir.join("key.txt"), Signer::new().seed_base64()).unwrap();
    Service::new(dir, move |Addresses { public, private }| {
        format!(
            "server: {{listen: '{public}', private_listen: '{private}', max_body: 8KiB}}\n\
             accounts: [{{name: default, public_keys: ['{key}'], currency: USD}}, {{name: other, public_keys: ['{key}']}}]\n\
             store: {{url: 'sqlite:data/tollbell.db'}}\n\
             rule_files: [rules.yaml]\n\
             route: {{receiver: ops, group_wait: 0s}}\n\
             receivers: [{{name: ops, slack_configs: [{{name: room, api_url: '{slack}'}}]}}]\n"
        )
    })
}

fn body(id: &str, current: &str) -> Vec<u8> {
    spend_limit(id, jiff::Timestamp::now(), "profile-9", "10.00", current)
}

/// A folder with a configuration, and no service that ever ran.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let addresses = Addresses {
        public: "127.0.0.1:1".parse().unwrap(),
        private: "127.0.0.1:2".parse().unwrap(),
    };
    let yaml = service(dir.path(), "http://127.0.0.1:9/slack").yaml(addresses);
    fs::write(dir.path().join("tollbell.yaml"), yaml).unwrap();
    dir
}

#[test]
fn a_file_is_explained_where_nothing_has_run_yet() {
    let dir = folder();
    fs::write(dir.path().join("hook.json"), body("evt-1", "10.02")).unwrap();
    let said = run(dir.path(), &with_config(&["explain", "hook.json"])).ok();
    for text in [
        "messaging-profile.spend-limit-reached  evt-1\n",
        "on an empty state: there is no database at data/tollbell.db.\n",
        "  ✓ spend/SpendLimitReached  fires\n",
        "  - 1 other rule does not ask for messaging-profile.spend-limit-reached (--all names them)\n",
        "routes      ✓ root → ops  takes it\n",
        "│ 🔴 FIRING: Profile profile-9 spent 10.02\n",
    ] {
        assert!(said.contains(text), "{text:?} is not in\n{said}");
    }
    // The same as JSON; a false operand; only a rule that does not ask.
    let json = run(dir.path(), &with_config(&["explain", "hook.json", "--format", "json"])).json();
    let today = &json["today"];
    assert_eq!(
        (&today["rules"][0]["outcome"], &today["others"]),
        (&json!("fires"), &json!(["spend/Calls"]))
    );
    let group = &today["alerts"][0]["groups"][0];
    assert_eq!(group["notices"][0]["reason"], "first notification");
    assert_eq!(today["alerts"][0]["routes"][0]["answer"], "taken");
    fs::write(dir.path().join("hook.json"), body("evt-1", "9.50")).unwrap();
    let said = run(dir.path(), &with_config(&["explain", "hook.json", "--all"])).ok();
    for text in [
        "✗ spend/SpendLimitReached  does not match: when is false\n",
        "\"9.50\"\n",
        "- spend/Calls              does not ask for messaging-profile",
    ] {
        assert!(said.contains(text), "{text:?} is not in\n{said}");
    }
    let said = run(dir.path(), &with_config(&["explain", "hook.json", "--rule", "*/Calls"])).ok();
    assert!(said.contains("no such rule asks for") && !said.contains("SpendLimit"), "{said}");
    let said = run(dir.path(), &with_config(&["explain", "hook.json", "--account", "other"])).ok();
    assert!(said.contains("event.account == 'default'") && said.contains("\"other\""), "{said}");
    assert!(!dir.path().join("data").exists(), "it made something");
}

#[test]
fn what_cannot_be_explained_is_said() {
    let dir = folder();
    fs::write(dir.path().join("text.json"), "no JSON and no form").unwrap();
    fs::write(dir.path().join("large.json"), vec![b'['; 9_000]).unwrap();
    for (args, code, said) in [
        (&["explain", "text.json"][..], 2, "text.json is neither JSON nor a form"),
        (&["explain", "missing.json"], 2, "cannot read missing.json: No such file"),
        (&["explain", "-"], 2, "- is neither JSON nor a form"),
        (&["explain", "large.json"], 2, "larger than server.max_body (8192 bytes)"),
        (&["explain", "text.json", "--account", "x"], 2, "no account has the name x"),
        (&["explain", "evt-9"], 1, "cannot open the store data/tollbell.db"),
    ] {
        let err = run(dir.path(), &with_config(args)).fails(code);
        assert!(err.contains(said), "{args:?}: {err}");
    }
    let env = [("TOLLBELL_CONFIG", "nowhere.yaml")];
    assert!(run_with(dir.path(), &["explain", "x"], &env).fails(2).contains("nowhere.yaml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_event_is_explained_then_and_today() {
    let (dir, slack) = (tempfile::tempdir().unwrap(), HttpSink::start().await);
    let running = service(dir.path(), &slack.url("/slack")).start().await;
    let dir = dir.path();
    fs::write(dir.join("hook.json"), body("evt-1", "10.02")).unwrap();
    let url = format!("http://{}/webhooks/telnyx", running.addresses().public);
    run(dir, &["send", "hook.json", "--as-is", "--url", &url, "--key-file", "key.txt"]).ok();
    let explain = |args: &[&str]| run(dir, &with_config(&[&["explain", "evt-1"], args].concat()));
    let as_json = || -> Value { explain(&["--format", "json"]).json() };
    // The story tells of a delivery when the engine has taken note of its end.
    eventually(SOON, || explain(&[]).ok().contains("  notified    ops by slack")).await;
    let said = explain(&[]).ok();
    for text in [
        "THEN (same configuration as today)\n  ✓ spend/SpendLimitReached  fired  {account=",
        "delivered   ",
        "ops/slack/room: first notification, 1 try\n",
        "  notified    ops by slack: first notification\n",
        "WITH TODAY'S RULES (asked again; nothing is added, ended or sent)\n  ✓ spend/SpendLimitReached  matches\n",
        "ALERT SpendLimitReached: fires since ",
        "ops/slack/room, as a first notification\n",
    ] {
        assert!(said.contains(text), "{text:?} is not in\n{said}");
    }
    // The rules have changed since.
    fs::write(dir.join("rules.yaml"), RULES.replace("== \"default\"", "== \"lab\"")).unwrap();
    let said = explain(&[]).ok();
    assert!(said.contains("THEN (configuration ") && said.contains("; today's is "), "{said}");
    assert!(said.contains("✗ spend/SpendLimitReached  does not match: when is false"), "{said}");
    let json = as_json();
    assert_eq!(json["then"]["judgements"][0]["outcome"], "fired");
    assert_ne!(json["then"]["judgements"][0]["config"], json["config"]);
    assert_eq!(json["today"]["rules"][0]["outcome"], "no_match");
    fs::write(dir.join("rules.yaml"), RULES).unwrap();

    // A file with the same event, on the state as it is; silenced meanwhile.
    let silence = ["silence", "add", "profile=profile-9", "--duration", "1h", "--comment", "known"];
    run(dir, &with_config(&[&silence[..], &["--author", "ada"]].concat())).ok();
    let said = run(dir, &with_config(&["explain", "hook.json"])).ok();
    for text in [
        "An event with this id is stored",
        "on the state in data/tollbell.db.",
        "✓ spend/SpendLimitReached  goes on firing\n",
        "suppressed  ✗ silenced until ",
        " by ada: known [",
    ] {
        assert!(said.contains(text), "{text:?} is not in\n{said}");
    }
    let empty = run(dir, &with_config(&["explain", "hook.json", "--no-state"])).ok();
    assert!(empty.contains("SpendLimitReached  fires\n") && !empty.contains("silenced"), "{empty}");
    let err = run(dir, &with_config(&["explain", "evt-2"])).fails(1);
    assert!(err.contains("no event has the id evt-2"), "{err}");
    drop(running);
}
