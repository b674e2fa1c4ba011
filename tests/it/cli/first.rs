//! The first ten minutes: a configuration from a few answers, a test notification, and whether all is well.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Ran, run, run_with};
use crate::support::app::route;
use crate::support::http::{HttpSink, Reply};
use crate::support::process::{Addresses, Service};
use crate::support::telnyx::Signer;
use crate::support::wait::SOON;

#[test]
fn init_writes_what_check_and_test_like_and_says_what_to_do_next() {
    let dir = tempfile::tempdir().unwrap();
    let key = Signer::new().public_key_base64();
    fs::write(dir.path().join("slack-url"), "https://hooks.slack.com/services/T0/B0/PLANTED")
        .unwrap();
    let slack = dir.path().join("slack-url");
    let args = [
        "init",
        "--yes",
        "--public-key",
        &key,
        "--mail-to",
        "ops@example.com",
        "--mail-from",
        "tollbell@example.com",
        "--smarthost",
        "mail.example.com:465",
        "--slack-url-file",
        slack.to_str().unwrap(),
        "--low-balance",
        "20",
        "--daily-budget",
        "40",
        "--home-country",
        "DE",
    ];
    let said = run(dir.path(), &args).ok();
    for part in [
        "tollbell/tollbell.yaml: written, and checked\n",
        "the tests beside them hold",
        "  1. tollbell check --config tollbell/tollbell.yaml\n",
        "  2. tollbell notify test ops --config tollbell/tollbell.yaml",
        "  3. Give Telnyx https://<your host>/webhooks/telnyx ",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let checked =
        run(dir.path(), &["check", "--strict", "--config", "tollbell/tollbell.yaml"]).ok();
    assert!(
        checked.contains("1 account") && checked.contains("1 receiver, 0 warnings"),
        "{checked}"
    );
    let cases: Vec<String> = fs::read_dir(dir.path().join("tollbell/rules/tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    let mut args = vec!["test"];
    args.extend(cases.iter().map(String::as_str));
    let tested = run(dir.path(), &args).ok();
    assert!(
        tested.contains("LowBalance fires below 20 only")
            && tested.contains("the daily budget of 40 "),
        "{tested}"
    );
    let main = fs::read_to_string(dir.path().join("tollbell/tollbell.yaml")).unwrap();
    assert!(main.contains("tls: implicit") && !main.contains("PLANTED"), "{main}");
    // Nothing is overwritten.
    let again = run(dir.path(), &["init", "--yes"]).fails(2);
    assert!(again.contains("has a configuration or rules already"), "{again}");
}

#[test]
fn init_without_thresholds_ships_every_rule_and_case() {
    let dir = tempfile::tempdir().unwrap();
    let said =
        run(dir.path(), &["init", "--yes", "there", "--account", "voice", "--account", "sms"]).ok();
    assert!(
        said.contains("export TELNYX_PUBLIC_KEY_VOICE=…; export TELNYX_PUBLIC_KEY_SMS=…"),
        "{said}"
    );
    assert!(said.contains("/webhooks/telnyx/voice and ") && !said.contains("left out"), "{said}");
    let shipped = super::root().join("config/rules");
    for name in ["balance.yaml", "tests/spend.test.yaml"] {
        let read = |path: std::path::PathBuf| fs::read_to_string(path).unwrap();
        assert_eq!(
            read(dir.path().join("there/rules").join(name)),
            read(shipped.join(name)),
            "{name}"
        );
    }
    let key = Signer::new().public_key_base64();
    let env = [("TELNYX_PUBLIC_KEY_VOICE", key.as_str()), ("TELNYX_PUBLIC_KEY_SMS", key.as_str())];
    run_with(dir.path(), &["check", "--config", "there/tollbell.yaml"], &env).ok();
}

#[test]
fn init_asks_what_no_option_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
    command.args(["init", "asked", "--daily-budget", "100"]).current_dir(dir.path());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = "\nhttps://hooks.example.com/\n\na@example.com b@example.com\nlocalhost:2525\nt@example.com\n\n\nmuch\n25\nUS CA\n";
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    let asked = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{asked}");
    assert!(
        asked.contains("expected an amount such as 50") && !asked.contains("spent in a day"),
        "{asked}"
    );
    let main = fs::read_to_string(dir.path().join("asked/tollbell.yaml")).unwrap();
    for part in [
        "public_url: \"https://hooks.example.com\"",
        "\"a@example.com\", \"b@example.com\"",
        "tls: none",
    ] {
        assert!(main.contains(part), "{part} is not in\n{main}");
    }
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(said.contains("Give Telnyx https://hooks.example.com/webhooks/telnyx "), "{said}");
}

#[test]
fn init_says_what_is_wrong_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = |args: &[&str]| -> Ran { run(dir.path(), &[&["init", "--yes"], args].concat()) };
    for (args, said) in [
        (&["--mail-to", "a@example.com"][..], "mail needs a sender and a mail server"),
        (&["--home-country", "germany"], "is no country code"),
        (&["--low-balance", "0"], "above zero"),
        (&["--low-balance", "much"], "invalid value"),
        (&["--slack-url-file", "https://hooks.example.com/PLANTED"], "is the path of a file"),
        (&["--api-key-file", "KEY0PLANTED"], "is the path of a file"),
        (
            &["--account", "a", "--account", "b", "--api-key-file", "key.txt"],
            "is the key of one account",
        ),
    ] {
        let err = wrong(args).fails(2);
        assert!(err.contains(said) && !err.contains("PLANTED"), "{args:?}: {err}");
    }
    assert!(!dir.path().join("tollbell").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_notification_goes_to_each_integration_and_each_answer_is_shown() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), HttpSink::start().await);
    sink.always("/hook", Reply::status(403).body("no"));
    let key = Signer::new().public_key_base64();
    let config = format!(
        "accounts: [{{name: default, public_keys: ['{key}']}}]\nrule_files: []\nroute: {{receiver: ops}}\nreceivers:\n  \
         - name: ops\n    slack_configs: [{{api_url: '{}'}}]\n    webhook_configs: [{{url: '{}'}}]\n  - name: none\n",
        sink.url("/slack"),
        sink.url("/hook"),
    );
    fs::write(dir.path().join("tollbell.yaml"), config).unwrap();
    let test = |args: &[&str]| {
        run(dir.path(), &[&["notify", "test"], args, &["--config", "tollbell.yaml"]].concat())
    };
    let ran = test(&["ops"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert!(lines[1].starts_with("ops/slack/") && lines[1].ends_with("delivered"), "{ran:?}");
    assert!(lines[2].starts_with("ops/webhook/") && lines[2].contains("authError: "), "{ran:?}");
    let slack = sink.requests("/slack");
    assert_eq!(slack.len(), 1);
    let body = slack[0].text();
    assert!(body.contains("This is a test of the receiver ops"), "{body}");
    sink.always("/hook", Reply::ok());
    let answers = test(&["ops", "--resolve", "--format", "json"]).json();
    let all: Vec<&Value> = answers.as_array().unwrap().iter().collect();
    assert!(all.len() == 4 && all.iter().all(|it| it["delivered"] == true), "{answers}");
    assert!(test(&["oops"]).fails(2).contains("no receiver has the name oops: there is ops, none"));
    assert!(test(&["none"]).fails(1).contains("has no integration"));
    assert!(!dir.path().join("data").exists(), "nothing is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_whether_all_is_well() {
    let (dir, sink) = (tempfile::tempdir().unwrap(), HttpSink::start().await);
    let key = Signer::new().public_key_base64();
    fs::write(dir.path().join("key.txt"), Signer::new().seed_base64()).unwrap();
    let slack = sink.url("/slack");
    let service = Service::new(dir.path(), move |Addresses { public, private }| {
        format!(
            "server: {{listen: '{public}', private_listen: '{private}'}}\n\
             accounts: [{{name: default, public_keys: ['{key}'], currency: USD}}]\nrule_files: []\n{}\
             receivers: [{{name: ops, slack_configs: [{{api_url: '{slack}'}}]}}]\n",
            route("ops"),
        )
    });
    let status = || run(dir.path(), &["status", "--config", "tollbell.yaml"]);
    let mut running = service.start().await;
    let said = status().ok();
    for part in [
        "ok  tollbell ",
        "is ready",
        "1 public key",
        "none has come yet",
        "every event is judged",
        "0 firing",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let url = format!("http://{}/webhooks/telnyx", running.addresses().public);
    run(dir.path(), &["send", "call.cost", "--url", &url, "--key-file", "key.txt"]).ok();
    assert!(status().ok().contains("call.cost came "));
    let asked = run(dir.path(), &["healthcheck", "--config", "tollbell.yaml"]).ok();
    assert_eq!(asked, "ok\n");
    running.terminate(SOON).await;
    let ran = status();
    assert!(
        ran.code == 1 && ran.out.contains("!!  tollbell") && ran.out.contains("cannot be asked at"),
        "{ran:?}"
    );
    let report = run(dir.path(), &["status", "--config", "tollbell.yaml", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&report.out).unwrap()["ok"], false);
}

#[test]
fn on_a_terminal_check_shows_the_line_with_a_caret_in_colour() {
    let dir = tempfile::tempdir().unwrap();
    let config = "accounts: [{name: default, public_keys: [AAAA]}]\nrule_files: [rules.yaml]\nroute:\n  reciever: ops\n\
        receivers: [{name: ops, slack_configs: [{api_url: 'https://PLANTED', timeout: 3q}]}]\n";
    let rules = "groups:\n  - name: g\n    rules:\n      - alert: A\n        on: [call.cost]\n        when: payload.x >\n";
    fs::write(dir.path().join("tollbell.yaml"), config).unwrap();
    fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    let script =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let tollbell = [env!("CARGO_BIN_EXE_tollbell"), "check", "--config", "tollbell.yaml"];
    let mut python = Command::new("python3");
    python
        .args(["-c", script])
        .args(tollbell)
        .current_dir(dir.path())
        .env("TERM", "xterm")
        .env_remove("NO_COLOR");
    let output = python.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stdout).unwrap().replace('\r', "");
    let line = "\u{1b}[2m6 |\u{1b}[0m         when: payload.x >\n\u{1b}[2m  |\u{1b}[0m                          \u{1b}[1;31m^\u{1b}[0m\n";
    assert!(said.contains(line), "{said}");
    assert!(said.contains("4 |\u{1b}[0m   reciever: …\n"), "{said}");
    assert!(said.contains("expected a duration") && !said.contains("PLANTED"), "{said}");
}

#[test]
fn demo_shows_mail_slack_and_metrics_without_anything_set_up() {
    let dir = tempfile::tempdir().unwrap();
    let started = std::time::Instant::now();
    let said = run_with(dir.path(), &["demo"], &[("TMPDIR", dir.path().to_str().unwrap())]).ok();
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!((count("200 "), count("401 ")), (7, 1), "{said}");
    // Fraud, a limit, a fax and the low balance are critical; Slack hears of two steps of the budget, the end and the payment, too.
    assert_eq!((count("mail to oncall@example.com: [FIRING]"), count("slack")), (4, 9), "{said}");
    assert!(
        said.contains("Calls to LV have cost 25.00 USD") && said.contains("tollbell init "),
        "{said}"
    );
    assert_eq!(
        count("mail to oncall@example.com: [RESOLVED] default: 200.00 USD left"),
        1,
        "{said}"
    );
    assert!(said.contains("50.04") && said.contains("What to do"), "{said}");
    for metric in [
        "tollbell_notifications_total{integration=\"email\",receiver=\"oncall\"} 5",
        "tollbell_webhooks_rejected_total{account=\"default\",reason=\"bad_signature\"} 1",
    ] {
        assert!(said.contains(metric), "{metric} is not in\n{said}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "it left something behind");
}
