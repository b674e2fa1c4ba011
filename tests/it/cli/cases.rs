//! `tollbell test`: cases that hold, cases that do not, and files that are wrong.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{run, run_with};

const RULES: &str = r#"
groups:
  - name: money
    rules:
      - alert: LowBalance
        on: [account.balance]
        value: payload.available_credit
        fire: value < 50.0
        clear: value >= 75.0
        labels: {severity: critical}
        annotations: {summary: "{{ value }} USD left"}
      - alert: SpendSpike
        on: [call.cost]
        over: 15m
        value: sum(event.charge)
        fire: value > 1.0
        labels: {severity: warning}
      - alert: Quiet
        on: ["call.*"]
        absent_for: 2h
        labels: {severity: info}
"#;

/// Two routes, inhibition and hours; every secret, key and variable is missing.
const CONFIG: &str = r#"
accounts: [{name: main, public_keys: ["${NO_SUCH_KEY}"], currency: USD}]
rule_files: [rules.yaml]
time_intervals:
  - name: night
    time_intervals: [{times: [{start_time: "00:00", end_time: "06:00"}]}]
inhibit_rules:
  - {source_matchers: ['alertname="LowBalance"'], target_matchers: ['alertname="SpendSpike"'], equal: [account]}
route:
  receiver: ops
  group_by: [alertname]
  group_wait: 30s
  routes:
    - {matchers: ['severity="critical"'], receiver: oncall, group_wait: 0s, repeat_interval: 1h}
    - {matchers: ['severity="info"'], receiver: ops, mute_time_intervals: [night]}
receivers:
  - name: ops
    email_configs:
      - {to: [ops@example.com], from: "${NO_SUCH_SENDER}", smarthost: "${NO_SUCH_HOST}",
         auth: {username: a, password_file: /nowhere/password}, tls_config: {ca_file: /nowhere/ca.pem}}
  - name: oncall
    slack_configs: [{api_url_file: /nowhere/slack}]
    pagerduty_configs: [{routing_key: "${NO_SUCH_ROUTING_KEY}"}]
    webhook_configs: [{url: "https://${NO_SUCH_HOST}/x", secret_file: /nowhere/s, headers: {X: "${NO_SUCH_HEADER}"}, header_files: {Y: /nowhere/y}}]
"#;

const CASES: &str = r#"
config: tollbell.yaml
tests:
  - name: the balance falls, is repeated after an hour, and recovers
    steps:
      - at: 1m
        event: {kind: account.balance, source: poller, payload: {available_credit: "49.99", currency: USD}}
        expect:
          alerts: [{alertname: LowBalance, severity: critical, account: main}]
          notified:
            - {receiver: oncall, reason: first notification, status: firing, subject: FIRING, text: ["49.99 USD left"], channels: [webhook, slack, pagerduty], alerts: [{severity: critical}]}
      - at: 61m
        expect: {notified: [{receiver: oncall, reason: repeat interval elapsed}]}
      - at: 70m
        event: {kind: account.balance, payload: {available_credit: "75.00", currency: USD}}
      - at: 80m
        expect: {alerts: [], notified: [{reason: all alerts resolved, status: resolved}]}
  - name: a charge counts once for each leg
    steps:
      - at: 0s
        event: {kind: call.cost, id: one, payload: {call_leg_id: leg, total_cost: "0.60", status: success}}
        repeat: {times: 3, every: 1s}
      - at: 1m
        expect: {alerts: [], nothing: true}
      - at: 2m
        event_file: cost.json
        repeat: {times: 3, every: 5s, vary: [id, payload.call_leg_id]}
      - at: 2m10s
        expect: {alerts: [{alertname: SpendSpike}], nothing: true}
      - at: 3m
        expect: {notified: [{receiver: ops, channels: [email], reason: first notification}]}
  - name: the same event twice is one event
    steps:
      - at: 0s
        event: {kind: call.cost, payload: {call_leg_id: leg, total_cost: "0.60", status: success}}
        repeat: {times: 9, every: 1s, vary: []}
      - at: 1m
        expect: {alerts: []}
  - name: who is woken already is not told of spend
    steps:
      - at: 0s
        event: {kind: account.balance, payload: {available_credit: "1", currency: USD}}
      - at: 1s
        event: {kind: call.cost, payload: {call_leg_id: leg, total_cost: "2.00", status: success}}
      - at: 1m
        expect:
          alerts: [{alertname: SpendSpike}, {alertname: LowBalance}]
          notified: [{receiver: oncall}]
          suppressed: [{alertname: SpendSpike, by: inhibited}]
  - name: a silence keeps it quiet for its time
    steps:
      - at: 0s
        silence: {matchers: ['alertname=~"Low.*"'], for: 10m}
        event: {kind: account.balance, payload: {available_credit: "1", currency: USD}}
        expect: {nothing: true, suppressed: [{alertname: LowBalance, by: silenced, severity: critical}]}
      - at: 20m
        expect: {notified: [{receiver: oncall, reason: first notification}]}
  - name: nothing comes, at night, and in the morning somebody hears of it
    start: 2026-01-05T01:00:00Z
    steps:
      - at: 0s
        event: {kind: call.hangup, payload: {call_leg_id: leg}}
      - at: 3h
        expect: {alerts: [{alertname: Quiet}], nothing: true, suppressed: [{alertname: Quiet, by: muted}]}
      - at: 6h
        expect: {notified: [{receiver: ops, status: firing}]}
"#;

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        fs::write(dir.join(name), text).unwrap();
    }
}

fn with_all() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let payload = json!({"call_leg_id": "file", "total_cost": "0.40", "status": "success"});
    let cost = json!({"data": {"event_type": "call.cost", "id": "file", "payload": payload}});
    let files = [("rules.yaml", RULES), ("tollbell.yaml", CONFIG), ("cases.yaml", CASES)];
    write(dir.path(), &files);
    write(dir.path(), &[("cost.json", &cost.to_string())]);
    dir
}

#[test]
fn cases_run_through_rules_routes_silences_and_inhibition_without_any_secret() {
    let dir = with_all();
    let said = run(dir.path(), &["test", "cases.yaml"]).ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 7, "{said}");
    assert_eq!(
        lines[0],
        "ok    cases.yaml: the balance falls, is repeated after an hour, and recovers"
    );
    assert_eq!(lines[6], "6 cases: 6 passed");
    let one = run(dir.path(), &["test", "cases.yaml", "--filter", "silence"]).ok();
    assert!(one.ends_with("\n1 case: 1 passed\n"), "{one}");
    // A variable that is set is taken, and checked.
    let bad = [("NO_SUCH_KEY", "AAAA")];
    let err = run_with(dir.path(), &["test", "cases.yaml"], &bad).fails(2);
    assert!(err.contains("accounts[0].public_keys[0]: the public key has 3 bytes"), "{err}");
    let err = run(dir.path(), &["test", "cases.yaml", "--filter", "none such"]).fails(2);
    assert_eq!(err, "tollbell: no case has this text in its name\n");
    // Where it runs from does not matter.
    let path = dir.path().join("cases.yaml");
    run(Path::new("/"), &["test", path.to_str().unwrap()]).ok();
}

#[test]
fn the_example_of_the_documentation_holds_and_prints_what_is_shown() {
    let doc = fs::read_to_string(super::root().join("docs/testing-rules.md")).unwrap();
    let block = |language: &str, n: usize| {
        let start = format!("```{language}\n");
        let block = doc.split(&start).nth(n).unwrap();
        block.split("```").next().unwrap().to_owned()
    };
    let dir = tempfile::tempdir().unwrap();
    let (rules, cases) = (block("yaml", 1), block("yaml", 2));
    write(dir.path(), &[("balance.yaml", &rules), ("balance.test.yaml", &cases)]);
    let said = run(dir.path(), &["test", "balance.test.yaml"]).ok();
    assert_eq!(said, block("text", 1));
    // What is shown beside the example is understood, too.
    let history = block("yaml", 3).replace('\n', "\n    ");
    let repeat = block("yaml", 4).replace('\n', "");
    let cases = format!(
        "rule_files: [balance.yaml]\ntests:\n  - name: a\n    {history}\n    steps:\n      - at: 0s\n        \
         event: {{kind: call.cost, payload: {{call_leg_id: a}}}}\n        {repeat}\n        expect: {{nothing: true}}\n"
    );
    write(dir.path(), &[("repeat.yaml", &cases)]);
    run(dir.path(), &["test", "repeat.yaml"]).ok();
}

const FAILING: &str = r#"
rule_files: [rules.yaml]
account: {name: acme, currency: EUR, labels: {team: voice}}
tests:
  - name: holds
    steps: [{at: 0s, expect: {alerts: []}}]
  - name: "does <not> hold & \e[31m"
    steps:
      - at: 90s
        event: {kind: account.balance, payload: {available_credit: "10.00", currency: USD}}
        expect:
          alerts: [{alertname: LowBalance, severity: warning}]
          notified:
            - {receiver: ops, reason: all alerts resolved, subject: nope, text: [hello]}
          suppressed: [{alertname: LowBalance, by: muted}]
  - name: cannot vary what is not there
    steps:
      - at: 0s
        event: {kind: call.cost, payload: {}}
        repeat: {times: 2, vary: [payload.call_leg_id]}
      - {at: 1s, expect: {nothing: true}}
"#;

#[test]
fn a_case_that_does_not_hold_says_where_when_and_what_is_different() {
    let dir = with_all();
    write(dir.path(), &[("failing.yaml", FAILING)]);
    let args = ["test", "failing.yaml", "cases.yaml", "--junit", "report.xml"];
    let ran = run(dir.path(), &args);
    assert!(ran.code == 1 && ran.err.is_empty(), "{ran:?}");
    let said = ran.out.split("ok    cases.yaml").next().unwrap();
    insta::assert_snapshot!(said, @r#"
    ok    failing.yaml: holds
    FAIL  failing.yaml: does <not> hold &  [31m
          failing.yaml:12:11, at 1m 30s (2026-01-01T00:01:30Z)
          alerts:
            - {alertname="LowBalance", severity="warning"}
            + {account="acme", alertname="LowBalance", severity="critical", team="voice"}
          notified:
            - to ops, all alerts resolved, subject with "nope", text with "hello"
                the receiver is default
                the reason is first notification
                the subject is "[FIRING] 10.00 USD left · account acme"
                the text has no "hello":
                | FIRING · critical · account acme
                | 10.00 USD left
                |   Available credit  10.00 USD
                |   Since             2026-01-01 00:01:30 UTC (just now)
                |   Account           acme
                |   Team              voice
                |   Event             account.balance
                | -- 
                | Notified because: first notification, receiver default
            + 2026-01-01T00:01:30Z to default by webhook, first notification, firing, {account="acme", alertname="LowBalance", severity="critical", team="voice"}
          suppressed:
            - muted {alertname="LowBalance"}
    FAIL  failing.yaml: cannot vary what is not there
          failing.yaml:19:16, at 0s (2026-01-01T00:00:00Z)
          event:
            repeat.vary names a field that is no text of the payload
    "#);
    assert!(ran.out.ends_with("\n9 cases: 7 passed, 2 failed\n"), "{}", ran.out);

    let junit = fs::read_to_string(dir.path().join("report.xml")).unwrap();
    assert!(!junit.contains('\u{1b}'), "{junit}");
    let elements = elements(&junit);
    let count = |name: &str| elements.iter().filter(|element| **element == name).count();
    assert_eq!((count("testsuites"), count("testsuite"), count("testcase")), (1, 2, 9));
    assert_eq!((count("failure"), count("error")), (2, 0));
    assert!(
        junit.contains(r#"<testsuites name="tollbell test" tests="9" failures="2" errors="0">"#)
    );

    let ran = run(dir.path(), &["test", "failing.yaml", "--format", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["ok"]), (1, &json!(false)));
    assert_eq!((&report["passed"], &report["failed"]), (&json!(1), &json!(2)));
    let failure = &report["cases"][1]["failure"];
    assert_eq!(failure["position"], json!({"file": "failing.yaml", "line": 12, "column": 11}));
    assert_eq!(
        (&failure["at"], &failure["now"]),
        (&json!("1m 30s"), &json!("2026-01-01T00:01:30Z"))
    );
    assert_eq!(failure["differences"][0]["what"], "alerts");
}

#[test]
fn a_file_that_is_wrong_ends_with_2_and_the_others_run_all_the_same() {
    let dir = with_all();
    let wrong = "rule_files: [rules.yaml, none.yaml]\ntests:\n  - name: a\n    steps: [{at: 0s, expect: {alerts: []}}]\n";
    let typo = "rule_files: [rules.yaml]\ntest:\n  - name: a\n";
    let stranger = "config: tollbell.yaml\ntests:\n  - name: a\n    steps:\n      - at: 0s\n        \
        event: {kind: call.cost, account: other, payload: {}}\n        expect: {alerts: []}\n";
    write(dir.path(), &[("wrong.yaml", wrong), ("typo.yaml", typo), ("stranger.yaml", stranger)]);
    let args = ["test", "wrong.yaml", "typo.yaml", "stranger.yaml", "none.yaml", "cases.yaml"];
    let ran = run(dir.path(), &[&args[..], &["--junit", "report.xml"]].concat());
    assert!(ran.out.ends_with("\n6 cases: 6 passed\n"), "{ran:?}");
    let junit = fs::read_to_string(dir.path().join("report.xml")).unwrap();
    assert_eq!(elements(&junit).iter().filter(|element| **element == "error").count(), 4);
    insta::assert_snapshot!(ran.fails(2), @r#"
    wrong.yaml:1:26: rule_files[1]: no such file
    typo.yaml:1:1: missing key "tests" (hint: The cases.)
    typo.yaml:2:1: test: unknown key (hint: did you mean tests?)
    stranger.yaml:6:43: no account has the name "other" (hint: give account, one of the configuration's)
    none.yaml: cannot be read: No such file or directory (os error 2)
    "#);

    // Against another configuration, in which all that is named is there.
    let ran = run(dir.path(), &["test", "cases.yaml", "--config", "other.yaml"]).fails(2);
    assert!(ran.starts_with("other.yaml: cannot be read: No such file"), "{ran}");
    write(dir.path(), &[("other.yaml", &CONFIG.replace("name: main", "name: other"))]);
    run(dir.path(), &["test", "stranger.yaml", "--config", "other.yaml"]).ok();
}

/// The names of the elements of a well-formed document, in order; panics when it is none.
fn elements(xml: &str) -> Vec<&str> {
    let body = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap();
    let (mut open, mut found) = (Vec::new(), Vec::new());
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(!text.contains('>'), "{text}");
        for entity in text.split('&').skip(1).chain(tag.split('&').skip(1)) {
            let name = entity.split_once(';').expect("an entity ends").0;
            assert!(["amp", "lt", "gt", "quot", "#10"].contains(&name), "&{name};");
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        found.push(name);
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} is not closed");
    found
}
