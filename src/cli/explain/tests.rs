use clap::Parser;
use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::engine::step;
use crate::engine::tests::deliver;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

const RULES: &str = r#"
groups:
  - name: spend
    rules:
      - alert: SpendLimitReached
        on: [messaging-profile.spend-limit-reached]
        by: {profile: payload.profile_id}
        active_for: 6h
        labels: {severity: critical}
        annotations: {summary: "Profile {{ labels.profile }} has reached its limit"}
      - alert: SpendSpike
        on: [call.cost]
        over: 15m
        value: sum(event.charge)
        fire: value > 100.0 && count >= 3
        clear: value < 60.0
      - alert: DearCall
        on: [call.cost]
        when: payload.status == "success" && num(payload.total_cost) > 5.0
"#;

const ROUTING: &str = "
route:
  receiver: ops
  group_by: [alertname]
  routes:
    - {name: voice, receiver: ops, matchers: ['team=\"voice\"']}
    - {name: critical, receiver: oncall, matchers: ['severity=\"critical\"'], group_wait: 0s}
    - {name: rest, receiver: ops}
receivers:
  - {name: ops}
  - {name: oncall, slack_configs: [{name: phone, api_url: 'http://127.0.0.1:9/s'}]}
";

fn config() -> Config {
    let dir = tempfile::tempdir().expect("folder");
    std::fs::write(dir.path().join("rules.yaml"), RULES).expect("written");
    let yaml = format!(
        "accounts: [{{name: main, public_keys: ['{}'], currency: USD}}]\nrule_files: [rules.yaml]\n{ROUTING}",
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    );
    let loaded = config::parse("t.yaml", &yaml, dir.path(), &|_| None);
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

fn now() -> Timestamp {
    "2026-11-23T03:00:00Z".parse().expect("time")
}

fn event(kind: &str, payload: &Value) -> Event {
    let body = json!({"data": {
        "id": "e-1", "event_type": kind, "occurred_at": "2026-11-23T02:59:30Z", "payload": payload,
    }});
    event::parse(&Incoming {
        account: "main",
        default_currency: Some("USD"),
        content_type: None,
        body: body.to_string().as_bytes(),
        received_at: now(),
        policy: event::PayloadPolicy::Full,
    })
}

fn spend_limit() -> Event {
    event("messaging-profile.spend-limit-reached", &json!({"profile_id": "p\u{1b}[2J-1"}))
}

fn told(line: &[&str], event: Event, state: State, judged: bool) -> String {
    let args = Line::try_parse_from([&["explain", "x"], line].concat()).expect("line").args;
    let stored = StoredEvent { seq: state.cursor() + 1, event };
    let config = config();
    let asked = Asked {
        templates: config.templates.clone(),
        policy: Arc::new(policy(config)),
        rule: args.rule.clone(),
        no_state: false,
        now: now(),
    };
    let again = Question { judged, ..question(&asked, &stored) };
    let today = Some(engine::explain(state.clone(), &asked.policy, &again));
    let case = Case { stored: stored.clone(), state, notes: Vec::new() };
    let report = Report { today, judged, ..report(&args, &asked, case) };
    let said = text::report_text(&report);
    // What comes by the API says the same.
    let json = serde_json::to_string(&report).expect("JSON");
    let read = serde_json::from_str::<Report>(&json).expect("is read back");
    assert_eq!(serde_json::to_string(&read).expect("JSON"), json);
    let read = Report { judged, some: report.some, all: report.all, ..read };
    assert_eq!(text::report_text(&read), said);
    said
}

#[test]
fn an_event_that_rings() {
    insta::assert_snapshot!(told(&[], spend_limit(), State::default(), false), @r#"
    messaging-profile.spend-limit-reached  e-1
      account     main
      occurred    2026-11-23T02:59:30Z (30s ago)
      received    2026-11-23T03:00:00Z (now), by webhook

    RULES
      ✓ spend/SpendLimitReached  fires
          by          profile: payload.profile_id  "p\u{1b}[2J-1"
      - 2 other rules do not ask for messaging-profile.spend-limit-reached (--all names them)

    ALERT SpendLimitReached: fires until 2026-11-23T08:59:30Z (in 5h 59m)
      alert       179697545a296c84
      labels      account="main" profile="p\u{1b}[2J-1" severity="critical"
      summary     Profile p [2J-1 has reached its limit
      routes      ↓ root → ops  a route below takes it
                    ✗ voice → ops  is not team="voice"
                    ✓ critical → oncall  takes it
                    - rest → ops  not asked: critical took it

      group       critical {alertname="SpendLimitReached"} → oncall: 1 alert
        next        2026-11-23T07:00:00Z (in 4h), by repeat_interval
        message     oncall/slack/phone, 2026-11-23T03:00:00Z (now), first notification
        │ 🔴 FIRING: Profile p [2J-1 has reached its limit
        │ *Since:* 2026-11-23 02:59:30 UTC (30s ago)
        │ *Severity:* critical
        │ *Account:* main
        │ *Profile:* p [2J-1
        │ *Event:* messaging-profile.spend-limit-reached
        │ Notified because: first notification, receiver oncall
    "#);
}

#[test]
fn one_operand_was_false_and_a_window_is_below_its_line() {
    let call =
        json!({"call_leg_id": "l", "status": "success", "total_cost": "0.04", "currency": "USD"});
    insta::assert_snapshot!(told(&[], event("call.cost", &call), State::default(), false), @r#"
    call.cost  e-1
      account     main
      occurred    2026-11-23T02:59:30Z (30s ago)
      received    2026-11-23T03:00:00Z (now), by webhook
      cost        0.04 USD, of which 0.04 USD is new to the ledger

    RULES
      · spend/SpendSpike  takes it; the alert does not change
          value       event.charge  0.04
          series      sum over 15m = 0.04, 1 event
          fire        value > 100.0 && count >= 3  false
                        value > 100.0              false
                        count >= 3                 false
          phase       inactive
      ✗ spend/DearCall    does not match: when is false
          when        payload.status == "success" && num(payload.total_cost) > 5.0  false
                        payload.status == 'success'                                 true
                        payload.status                                              "success"
                        num(payload.total_cost) > 5.0                               false
                        num(payload.total_cost)                                     0.04
                        payload.total_cost                                          "0.04"
      - 1 other rule does not ask for call.cost (--all names them)
    "#);
}

#[test]
fn no_rule_asks_for_it() {
    let said = told(&["--all"], event("fax.failed", &json!({})), State::default(), false);
    insta::assert_snapshot!(said, @r#"
    fax.failed  e-1
      account     main
      occurred    2026-11-23T02:59:30Z (30s ago)
      received    2026-11-23T03:00:00Z (now), by webhook

    RULES
      no rule asks for fax.failed
      - spend/SpendLimitReached  does not ask for fax.failed
      - spend/SpendSpike         does not ask for fax.failed
      - spend/DearCall           does not ask for fax.failed
    "#);
}

#[test]
fn an_event_that_was_judged() {
    let mut state = State::default();
    let stored = StoredEvent { seq: 1, event: spend_limit() };
    let policy = policy(config());
    let judged = step(&mut state, &policy, &[&stored], now());
    deliver(&mut state, &policy, judged, now());
    let said = told(&["--rule", "*/SpendLimitReached"], stored.event, state, true);
    insta::assert_snapshot!(said, @r#"
    messaging-profile.spend-limit-reached  e-1
      account     main
      occurred    2026-11-23T02:59:30Z (30s ago)
      received    2026-11-23T03:00:00Z (now), by webhook

    WITH TODAY'S RULES (asked again; nothing is added, ended or sent)
      ✓ spend/SpendLimitReached  matches
          by          profile: payload.profile_id  "p\u{1b}[2J-1"

    ALERT SpendLimitReached: fires since 2026-11-23T02:59:30Z (30s ago)
      alert       179697545a296c84
      labels      account="main" profile="p\u{1b}[2J-1" severity="critical"
      summary     Profile p [2J-1 has reached its limit
      routes      ↓ root → ops  a route below takes it
                    ✗ voice → ops  is not team="voice"
                    ✓ critical → oncall  takes it
                    - rest → ops  not asked: critical took it

      group       critical {alertname="SpendLimitReached"} → oncall: 1 alert
        notified    oncall/slack/phone 2026-11-23T03:00:00Z (now): knows that it fires
        next        2026-11-23T07:00:00Z (in 4h), by repeat_interval
        message     oncall/slack/phone, as a first notification
        │ 🔴 FIRING: Profile p [2J-1 has reached its limit
        │ *Since:* 2026-11-23 02:59:30 UTC (30s ago)
        │ *Severity:* critical
        │ *Account:* main
        │ *Profile:* p [2J-1
        │ *Event:* messaging-profile.spend-limit-reached
        │ Notified because: first notification, receiver oncall
    "#);
}
