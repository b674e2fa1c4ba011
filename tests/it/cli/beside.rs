//! The commands that look at a service, beside a running one and after it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{run, run_with, with_config};
use crate::support::app::route;
use crate::support::http::{HttpSink, Reply};
use crate::support::process::{Addresses, Running, Service};
use crate::support::raw;
use crate::support::telnyx::{Signer, spend_limit};
use crate::support::wait::{SOON, eventually, eventually_some};

const RULES: &str = r#"
groups:
  - name: spend
    rules:
      - alert: SpendLimitReached
        on: [messaging-profile.spend-limit-reached]
        by: {profile: payload.profile_id}
        labels: {severity: critical}
        annotations: {summary: "Profile {{ labels.profile }} spent {{ payload.current_cost }}"}
"#;

/// A service whose only receiver is a Slack at `slack` that is given up after a second.
fn service(dir: &Path, slack: &str) -> Service {
    fs::write(dir.join("rules.yaml"), RULES).unwrap();
    let (key, slack) = (Signer::new().public_key_base64(), slack.to_owned());
    fs::write(dir.join("key.txt"), Signer::new().seed_base64()).unwrap();
    Service::new(dir, move |Addresses { public, private }| {
        format!(
            "server: {{listen: '{public}', private_listen: '{private}'}}\n\
             accounts: [{{name: default, public_keys: ['{key}'], currency: USD}}]\n\
             store: {{url: 'sqlite:data/tollbell.db'}}\n\
             rule_files: [rules.yaml]\n\
             {route}\
             receivers:\n  - name: ops\n    slack_configs:\n      - api_url: '{slack}'\n        \
             retry: {{max_age: 1s, initial_backoff: 100ms}}\n",
            // What is dead is owed again after this, a quarter of an hour at most.
            route = route("ops").replace("group_interval: 1s", "group_interval: 1h"),
        )
    })
}

fn webhook_url(service: &Running) -> String {
    format!("http://{}/webhooks/telnyx", service.addresses().public)
}

fn deliveries(dir: &Path, state: &str) -> Vec<Value> {
    let args = with_config(&["deliveries", "list", "--state", state, "--format", "json"]);
    run(dir, &args).json().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn send_reaches_a_running_service_and_tells_what_it_answered() {
    let (dir, slack) = (tempfile::tempdir().unwrap(), HttpSink::start().await);
    let running = service(dir.path(), &slack.url("/slack")).start().await;
    let url = webhook_url(&running);
    let send = |args: &[&str]| {
        run(dir.path(), &[&["send", "--url", &url, "--key-file", "key.txt"], args].concat())
    };
    let said = send(&["messaging-profile.spend-limit-reached"]).ok();
    assert!(said.starts_with("200 id="), "{said}");
    let three = send(&["call.cost", "--count", "3"]).ok();
    let mut ids: Vec<&str> = three.lines().collect();
    ids.dedup();
    assert!(ids.len() == 3 && ids.iter().all(|line| line.starts_with("200 id=")), "{three}");

    // A file, once freshened and twice as it is: the last one is known already.
    let body = spend_limit("evt-as-is", Timestamp::now(), "profile-9", "1.00", "2.00");
    fs::write(dir.path().join("body.json"), body).unwrap();
    assert!(send(&["body.json"]).ok().starts_with("200 id="));
    for _ in 0..2 {
        assert_eq!(send(&["body.json", "--as-is"]).ok(), "200\n");
    }
    let listed = with_config(&["events", "list", "--format", "json"]);
    let events = run(dir.path(), &listed).json();
    let as_is =
        events.as_array().unwrap().iter().filter(|event| event["id"] == "evt-as-is").count();
    assert_eq!((as_is, events.as_array().unwrap().len()), (1, 6));

    let other = Signer::from_seed([7; 32]).seed_base64();
    fs::write(dir.path().join("other.txt"), other).unwrap();
    let wrong = run(dir.path(), &["send", "call.cost", "--url", &url, "--key-file", "other.txt"]);
    assert!(wrong.code == 1 && wrong.out.starts_with("401 "), "{wrong:?}");
    let public = Signer::from_seed([7; 32]).public_key_base64();
    assert!(wrong.err.contains(&format!("put {public} into its public_keys")), "{wrong:?}");
    let other =
        ["send", "call.cost", "--url", &url, "--account", "nobody", "--key-file", "other.txt"];
    let wrong = run(dir.path(), &other);
    assert!(
        wrong.out.starts_with("404 ") && wrong.err.contains("no account there has this path"),
        "{wrong:?}"
    );
    drop(running);
    let err = send(&["call.cost"]).fails(1);
    assert!(
        err.starts_with(&format!("tollbell: cannot post to {url}: ")) && err.contains("refused"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_call_costs_is_a_charge_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = service(dir.path(), "http://127.0.0.1:1/").start().await;
    let url = webhook_url(&running);
    let send = |args: &[&str]| {
        run(dir.path(), &[&["send", "--url", &url, "--key-file", "key.txt"], args].concat()).ok()
    };
    let set = ["call.cost", "--set", "payload.total_cost=0.25"];
    send(&[&set[..], &["--count", "20"]].concat());
    send(&[&set[..], &["--count", "3", "--vary", "id"]].concat());
    send(&[&set[..], &["--count", "3", "--vary", "payload.call_leg_id"]].concat());
    // Twenty legs, one that came three times, and three; what came last is judged in a moment.
    let spend = eventually_some(SOON, || {
        let spend = run(dir.path(), &with_config(&["spend", "--format", "json"])).json();
        (spend["totals"][0]["charges"] == 24).then_some(spend)
    })
    .await;
    running.terminate(SOON).await;
    assert_eq!(spend["totals"][0]["amount"], "6.00", "{spend}");
    let wrong = ["send", "call.cost", "--set", "payload.totl_cost=1", "--key-file", "key.txt"];
    assert!(run(dir.path(), &wrong).fails(1).contains("the body has no field payload.totl_cost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_and_events_are_seen_beside_a_running_service_and_after_it() {
    let (dir, slack) = (tempfile::tempdir().unwrap(), HttpSink::start().await);
    slack.always("/slack", Reply::status(500).body("broken"));
    let mut running = service(dir.path(), &slack.url("/slack")).start().await;
    let (url, dir) = (webhook_url(&running), dir.path());
    let sample = "messaging-profile.spend-limit-reached";
    run(dir, &["send", sample, "--url", &url, "--key-file", "key.txt"]).ok();
    eventually(SOON, || !deliveries(dir, "dead").is_empty()).await;
    let delivery = deliveries(dir, "dead").remove(0);
    let id = delivery["id"].as_str().unwrap();
    let prefix = id.get(..8).unwrap();
    assert_eq!(
        (&delivery["receiver"], &delivery["reason"]),
        (&json!("ops"), &json!("serverError"))
    );

    let table = run(dir, &with_config(&["deliveries", "list"])).ok();
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("ID ") && rows.len() == 2, "{table}");
    let state = rows[1].get(rows[0].find("STATE").unwrap()..).unwrap();
    assert!(rows[1].starts_with(id) && state.starts_with("dead "), "{table}");
    let shown = run(dir, &with_config(&["deliveries", "show", prefix])).ok();
    for text in
        [id, "state        dead", "\nTRY  ENDED", "serverError", "summary      Profile e1111111"]
    {
        assert!(shown.contains(text), "{text} is not in\n{shown}");
    }
    let shown = run(dir, &with_config(&["deliveries", "show", id, "--format", "json"])).json();
    let attempts = json!(shown["attempts"].as_array().unwrap().len());
    assert_eq!(shown["delivery"]["attempts"], attempts);

    // Dead letters go out again when the receiver is back.
    slack.always("/slack", Reply::ok());
    let retried = run(dir, &with_config(&["deliveries", "retry", prefix])).ok();
    assert_eq!(retried, "1 delivery will be tried again\n");
    eventually(SOON, || !deliveries(dir, "delivered").is_empty()).await;
    let again = run(dir, &with_config(&["deliveries", "retry", id])).fails(1);
    assert!(again.contains("is delivered, neither dead nor pending"), "{again}");

    assert!(running.terminate(SOON).await.success());
    for args in [
        &["deliveries", "show", "unknown-id"][..],
        &["deliveries", "retry", "unknown-id"],
        &["events", "show", "unknown-id"],
    ] {
        assert!(
            run(dir, &with_config(args)).fails(1).contains("has the id unknown-id"),
            "{args:?}"
        );
    }
    let all = ["deliveries", "retry", "--all"];
    assert_eq!(run(dir, &with_config(&all)).ok(), "0 deliveries will be tried again\n");
    let table = run(dir, &with_config(&["events", "list", "--kind", "messaging-*"])).ok();
    assert!(table.starts_with("RECEIVED ") && table.lines().count() == 2, "{table}");
    let none = run(dir, &with_config(&["events", "list", "--kind", "call.*", "--format", "json"]));
    assert_eq!(none.json(), json!([]));
    let event = table.split_whitespace().last().unwrap();
    let shown = run(dir, &with_config(&["events", "show", event])).ok();
    for text in
        ["state     judged", "\"current_cost\": \"50.04\"", "spend/SpendLimitReached  fired", id]
    {
        assert!(shown.contains(text), "{text} is not in\n{shown}");
    }
    let shown = run(dir, &with_config(&["events", "show", event, "--format", "json"])).json();
    assert_eq!(shown["deliveries"][0]["id"], id);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_by_exit_code_and_a_taken_port_by_name() {
    let (dir, slack) = (tempfile::tempdir().unwrap(), HttpSink::start().await);
    let running = service(dir.path(), &slack.url("/slack")).start().await;
    let (public, private) =
        (running.addresses().public.to_string(), running.addresses().private.to_string());
    assert_eq!(run(dir.path(), &["healthcheck", "--address", &private]).ok(), "ok\n");
    let by_env = [("TOLLBELL_PRIVATE_ADDRESS", private.as_str())];
    assert_eq!(run_with(dir.path(), &["healthcheck"], &by_env).ok(), "ok\n");
    assert_eq!(run(dir.path(), &["healthcheck", "--address", &public]).code, 1);

    let err = run(dir.path(), &with_config(&["serve"])).fails(1);
    assert_eq!(
        err,
        format!("tollbell: cannot listen on {public}: Address already in use (os error 98)\n")
    );
    let json = [("TOLLBELL_LOG_FORMAT", "json")];
    let err = run_with(dir.path(), &with_config(&["serve"]), &json).fails(1);
    let line: Value = serde_json::from_str(&err).unwrap();
    assert!(line["message"].as_str().unwrap().starts_with("cannot listen on"), "{line}");
    assert_eq!(raw::get(running.addresses().private, "/livez").await.unwrap().status, 200);
    drop(running);
    let ran = run(dir.path(), &["healthcheck", "--address", &private]);
    assert!(ran.code == 1 && ran.out.contains("Connection refused"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_the_secrets_can_look_and_silence() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = service(dir.path(), "http://127.0.0.1:1/").start().await;
    running.terminate(SOON).await;
    let file = dir.path().join("tollbell.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let without = text.replace("currency: USD", "currency: USD, api_key_file: gone.txt");
    assert_ne!(text, without);
    fs::write(&file, &without).unwrap();
    let said = run(dir.path(), &with_config(&["check"])).fails(2);
    assert!(said.contains("accounts[0].api_key_file"), "{said}");
    for args in
        [&["alerts"][..], &["events", "list"], &["deliveries", "list"], &["silence", "list"]]
    {
        run(dir.path(), &with_config(args)).ok();
    }
    // Which store is meant must be known all the same.
    fs::write(&file, without.replace("sqlite:data/tollbell.db", "${NO_SUCH_VARIABLE}")).unwrap();
    let said = run(dir.path(), &with_config(&["alerts"])).fails(2);
    assert!(said.contains("NO_SUCH_VARIABLE is not set"), "{said}");
}

#[test]
fn what_cannot_be_printed_is_a_failure_unless_nobody_reads_any_more() {
    let run = |shell: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", shell, env!("CARGO_BIN_EXE_tollbell")]).stdin(Stdio::null());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let said = "tollbell: cannot write to standard output: No space left on device (os error 28)\n";
    assert_eq!(run("$0 schema >/dev/full"), (Some(1), said.to_owned()));
    // Reads nothing and is gone before anything is written.
    let gone = "{ sleep 0.2; $0 schema; echo $? >&2; } | true; wait";
    assert_eq!(run(gone), (Some(0), "0\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pause_of_an_integration_is_seen() {
    let (dir, slack) = (tempfile::tempdir().unwrap(), HttpSink::start().await);
    slack.always("/slack", Reply::too_many("3600"));
    let running = service(dir.path(), &slack.url("/slack")).start().await;
    let (url, dir) = (webhook_url(&running), dir.path());
    for profile in ["one", "two"] {
        let body = spend_limit(profile, Timestamp::now(), profile, "1.00", "2.00");
        fs::write(dir.join("body.json"), body).unwrap();
        run(dir, &["send", "body.json", "--as-is", "--url", &url, "--key-file", "key.txt"]).ok();
    }
    let of = |attempts: u32| {
        let waiting = deliveries(dir, "pending");
        waiting.into_iter().find(|delivery| delivery["attempts"] == attempts)
    };
    eventually(SOON, || of(1).is_some_and(|tried| tried["paused_until"].is_string())).await;
    eventually(SOON, || of(0).is_some()).await;
    // The one that was not tried waits as long.
    for delivery in [of(1).unwrap(), of(0).unwrap()] {
        let show = with_config(&["deliveries", "show", delivery["id"].as_str().unwrap()]);
        let said = run(dir, &show).ok();
        assert!(said.contains("\npaused       until "), "{said}");
        assert!(said.contains(": rateLimited\n"), "{said}");
        let next = said.lines().find_map(|line| line.strip_prefix("next try")).unwrap();
        let next: Timestamp = next.trim().parse().unwrap();
        let wait = next.duration_since(Timestamp::now()).as_secs();
        assert!((3500..=3600).contains(&wait), "{said}");
    }
    let private = running.addresses().private;
    let metrics = raw::get(private, "/metrics").await.unwrap();
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let paused = "tollbell_integration_paused{integration=\"slack\",receiver=\"ops\"} 1\n";
    assert!(metrics.contains(paused), "{metrics}");
    let log = running.log();
    assert_eq!(log.matches("the integration is paused").count(), 1, "{log}");
    drop(running);
}
