use serde_json::{Value, json};

use super::*;
use crate::alerts::{Answer, Matcher, Reason, Silence, SilenceDraft, Suppression};
use crate::config;
use crate::engine::tests::deliver;
use crate::notify::MessageTemplates;
use crate::store::Silences;
use crate::store::StoredEvent;

const RULES: &str = r#"
groups:
  - name: g
    rules:
      - alert: Fire
        on: [fax.failed]
        when: payload.n > 3 && payload.why == "limit"
        resolve_on: {on: [fax.delivered]}
        by: {who: payload.who}
        labels: {severity: critical}
        annotations: {summary: "{{ labels.who }}: {{ payload.n }}"}
      - alert: Sum
        on: [fax.failed]
        over: 15m
        value: sum(payload.n)
        fire: value > 10.0
        labels: {severity: info}
      - alert: Other
        on: ["call.*"]
"#;

const ROUTING: &str = "
route:
  receiver: ops
  group_wait: 1m
  routes: [{name: critical, receiver: oncall, matchers: ['severity=\"critical\"'], group_wait: 0s}]
inhibit_rules: [{source_matchers: ['alertname=Sum'], target_matchers: ['alertname=Fire']}]
receivers:
  - {name: ops, slack_configs: [{api_url: 'http://127.0.0.1:9/s'}]}
  - {name: oncall, email_configs: [{to: [a@example.com, b@example.com], from: t@example.com, smarthost: 'localhost:25'}]}
";

fn policy() -> Policy {
    let dir = tempfile::tempdir().expect("folder");
    std::fs::write(dir.path().join("rules.yaml"), RULES).expect("written");
    let yaml = format!(
        "accounts: [{{name: main, public_keys: ['{}']}}]\nrule_files: [rules.yaml]\n{ROUTING}",
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    );
    let loaded = config::parse("t.yaml", &yaml, dir.path(), &|_| None);
    let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    crate::policy::policy(config)
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + minute * 60).expect("in range")
}

fn stored(seq: i64, kind: &str, minute: i64, payload: Value) -> StoredEvent {
    StoredEvent {
        seq,
        event: Event::tollbell(kind, "main", format!("e-{seq}"), at(minute), payload),
    }
}

fn failed(seq: i64, minute: i64, n: i64) -> StoredEvent {
    stored(seq, "fax.failed", minute, json!({"n": n, "why": "limit", "who": "x"}))
}

fn ask(state: &State, policy: &Policy, stored: &StoredEvent, judged: bool) -> Explanation {
    let templates = MessageTemplates::default();
    let now = stored.event.received_at;
    explain(
        state.clone(),
        policy,
        &Question { stored, judged, only: None, templates: &templates, now },
    )
}

fn outcomes(said: &Explanation) -> Vec<(&str, Outcome)> {
    said.rules.iter().map(|said| (said.rule.as_str(), said.outcome)).collect()
}

#[test]
fn a_new_event_is_shown_with_what_it_would_do_and_nothing_is_done() {
    let (policy, state) = (policy(), State::default());
    let said = ask(&state, &policy, &failed(1, 0, 7), false);
    assert_eq!(outcomes(&said), [("g/Fire", Outcome::Fires), ("g/Sum", Outcome::Observed)]);
    assert_eq!(said.others, ["g/Other"]);
    let series = said.rules[1].series.as_ref().expect("a window");
    assert_eq!((series.value, series.count, &*series.phase), (Some(7.into()), 1, "inactive"));
    assert_eq!((series.of.as_str(), series.terms[0].outcome.as_str()), ("sum over 15m", "false"));

    let [alert] = said.alerts.as_slice() else { panic!("{:?}", said.alerts) };
    assert_eq!((alert.alert.annotations["summary"].as_str(), alert.fires_since), ("x: 7", None));
    let answers: Vec<&Answer> = alert.routes.iter().map(|step| &step.answer).collect();
    assert_eq!(answers, [&Answer::Deeper, &Answer::Taken]);
    let [group] = alert.groups.as_slice() else { panic!("{:?}", alert.groups) };
    let [notice] = group.notices.as_slice() else { panic!("{:?}", group.notices) };
    assert_eq!((notice.at, notice.reason, notice.targets.len()), (at(0), Reason::First, 2));
    assert!(notice.text.starts_with("Subject: [FIRING] x: 7"), "{}", notice.text);
    // Notified now; what is next is the repeat.
    assert_eq!((group.next, group.next_by.as_deref()), (Some(at(240)), Some("repeat_interval")));
    assert_eq!(state.alerts().count() + state.groups().count(), 0);
}

#[test]
fn the_values_of_the_parts_say_why_a_rule_does_not_match() {
    let (policy, state) = (policy(), State::default());
    let said = ask(&state, &policy, &failed(1, 0, 2), false);
    let rule = &said.rules[0];
    assert_eq!((rule.outcome, rule.detail.as_deref()), (Outcome::NoMatch, Some("when is false")));
    let value = |part: &str| {
        let parts = &rule.expressions[0].parts;
        parts.iter().find(|(name, _)| name == part).map(|(_, value)| value.as_str())
    };
    assert_eq!(value("payload.n > 3"), Some("false"));
    assert_eq!(value("payload.n"), Some("2"));
    assert_eq!(value("payload.why == 'limit'"), Some("true"));
    assert!(rule.alerts.is_empty() && said.alerts.is_empty());

    let lacks = stored(1, "fax.failed", 0, json!({"why": "limit"}));
    let said = ask(&state, &policy, &lacks, false);
    assert_eq!(outcomes(&said), [("g/Fire", Outcome::Failed), ("g/Sum", Outcome::Failed)]);
    let detail = said.rules[0].detail.as_deref().expect("why");
    assert!(detail.contains("no field `n`"), "{detail}");
    let end = stored(1, "fax.delivered", 0, json!({"who": "x"}));
    assert_eq!(outcomes(&ask(&state, &policy, &end, false)), [("g/Fire", Outcome::NothingToEnd)]);
}

#[test]
fn what_comes_after_the_group_wait_is_looked_for_ahead() {
    let (policy, mut state) = (policy(), State::default());
    step(&mut state, &policy, &[&failed(1, 0, 2)], at(0));
    let said = ask(&state, &policy, &failed(2, 1, 9), false);
    assert_eq!(outcomes(&said), [("g/Fire", Outcome::Fires), ("g/Sum", Outcome::Fires)]);
    let series = said.rules[1].series.as_ref().expect("a window");
    assert_eq!((series.before, series.value), (Some(2.into()), Some(11.into())));
    let group = &said.alerts[1].groups[0];
    assert_eq!((group.route.as_str(), group.next), ("root", Some(at(2))));
    assert_eq!((group.next_by.as_deref(), group.notices[0].at), (Some("group_wait"), at(2)));
    assert_eq!(group.notices[0].channel, "slack");
}

#[test]
fn what_keeps_an_alert_quiet_is_told() {
    let (policy, mut state) = (policy(), State::default());
    step(&mut state, &policy, &[&failed(1, 0, 11)], at(0));
    let draft = SilenceDraft {
        matchers: vec![Matcher::parse("who=y").expect("matcher")],
        starts_at: at(0),
        ends_at: at(60),
        created_by: "ada".to_owned(),
        comment: "known".to_owned(),
    };
    let silence = Silence::new(draft, at(0)).expect("silence");
    state.set_silences(Silences { version: 1, silences: vec![silence.clone()] }, at(0));
    let event = stored(2, "fax.failed", 1, json!({"n": 4, "why": "limit", "who": "y"}));
    let said = ask(&state, &policy, &event, false);
    let alert = &said.alerts[0];
    let why: Vec<&Suppression> = alert.quiet.iter().map(|quiet| &quiet.why).collect();
    let [Suppression::Inhibited(source), Suppression::Silenced(id)] = why.as_slice() else {
        panic!("{why:?}")
    };
    assert_eq!(id, &silence.id);
    assert_eq!(state.alerts[source].labels["alertname"], "Sum");
    assert_eq!(alert.quiet[1].until, Some(at(60)));
    assert_eq!(alert.quiet[1].detail, "ada: known");
    assert!(alert.groups[0].notices.is_empty(), "{:?}", alert.groups);
}

#[test]
fn an_event_that_was_judged_is_not_entered_again() {
    let (policy, mut state) = (policy(), State::default());
    let event = failed(1, 0, 7);
    let judged = step(&mut state, &policy, &[&event], at(0));
    deliver(&mut state, &policy, judged, at(0));
    let said = ask(&state, &policy, &event, true);
    assert_eq!(outcomes(&said), [("g/Fire", Outcome::Matches), ("g/Sum", Outcome::Matches)]);
    let series = said.rules[1].series.as_ref().expect("a window");
    assert_eq!((series.value, series.before), (Some(7.into()), None));
    let alert = &said.alerts[0];
    assert_eq!(alert.fires_since, Some(at(0)));
    assert_eq!(alert.groups[0].told.len(), 2, "two addresses");
    assert_eq!(alert.groups[0].notices[0].reason, Reason::First);
    // After its end, too.
    let end = stored(2, "fax.delivered", 1, json!({"who": "x"}));
    let said = ask(&state, &policy, &end, false);
    assert_eq!(outcomes(&said), [("g/Fire", Outcome::Ends)]);
    step(&mut state, &policy, &[&end], at(1));
    assert_eq!(ask(&state, &policy, &event, true).alerts[0].fires_since, None);
}

#[test]
fn only_the_rules_that_are_asked_for_are_told_of() {
    let (policy, state, templates) = (policy(), State::default(), MessageTemplates::default());
    let event = failed(1, 0, 7);
    let question = Question {
        stored: &event,
        judged: false,
        only: Some("*/Sum"),
        templates: &templates,
        now: at(0),
    };
    let said = explain(state, &policy, &question);
    assert_eq!(outcomes(&said), [("g/Sum", Outcome::Observed)]);
    assert!(said.alerts.is_empty() && said.others.is_empty());
}

#[test]
fn only_the_series_of_an_event_are_asked_for() {
    let (policy, templates) = (policy(), MessageTemplates::default());
    let stored = failed(1, 0, 7);
    let question =
        Question { stored: &stored, judged: false, only: None, templates: &templates, now: at(0) };
    let asked = series_asked(&State::default(), &policy, &question);
    let mut state = State::default();
    step(&mut state, &policy, &[&stored], at(0));
    let kept: Vec<_> = state.series.keys().cloned().collect();
    let named: Vec<_> =
        asked.iter().map(|one| (Arc::clone(&one.rule), one.fingerprints[0].clone())).collect();
    assert_eq!(named, kept);
    assert!(!kept.is_empty());
}
