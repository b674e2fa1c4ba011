//! Gauge, window and absence rules, and the user's metrics: from what is written to what is observed.

mod measured;
mod usual;

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use crate::diagnostic::{Diagnostic, Severity};
use crate::event::{Event, Snapshot};
use crate::rules::tests::{Pairs, accounts, at, labels, only, sample};
use crate::rules::usual::OpenHours;
use crate::rules::*;

fn line(fire: &str, clear: Option<&str>) -> LineSpec {
    let hold = Hold { wait: Duration::from_mins(1), keep: Duration::ZERO };
    LineSpec { fire: at(11, fire), clear: clear.map(|clear| at(12, clear)), hold, zone: None }
}

fn gauge(value: &str) -> KindSpec {
    KindSpec::Gauge { value: at(10, value), line: line("value < 50.0", None), stale_after: None }
}

fn window(value: &str) -> KindSpec {
    let over = Over::Sliding(Duration::from_mins(15));
    KindSpec::Window { over, value: at(10, value), line: line("value > 5 && count > 1", None) }
}

fn absence() -> KindSpec {
    let intervals = vec!["office-hours".to_owned()];
    let absent_for = Duration::from_hours(2);
    KindSpec::Absence { absent_for, active_time_intervals: intervals, hold: Hold::default() }
}

fn spec(alert: &str, on: &str, kind: KindSpec) -> RuleSpec {
    RuleSpec {
        group: "g".to_owned(),
        alert: at(1, alert),
        on: vec![at(2, on)],
        when: None,
        by: Vec::new(),
        max_series: 7,
        kind,
        labels: vec![(at(7, "severity"), at(7, "critical"))],
        annotations: Vec::new(),
    }
}

fn pairs(line: u32, pairs: Pairs<'_>) -> Vec<(At<String>, At<String>)> {
    pairs.iter().map(|(name, text)| (at(line, name), at(line, text))).collect()
}

fn compile(specs: Vec<RuleSpec>) -> (RuleSet, String) {
    let (set, problems) = RuleSet::compile(specs, Vec::new(), &accounts());
    (set, shown(&problems))
}

fn shown(problems: &[Diagnostic]) -> String {
    problems.iter().fold(String::new(), |all, problem| all + &problem.to_string() + "\n")
}

fn set(specs: Vec<RuleSpec>) -> RuleSet {
    let (set, problems) = compile(specs);
    assert_eq!(problems, "");
    set
}

fn cost(payload: Json) -> Event {
    let mut event = sample("call.cost");
    event.payload = payload;
    event
}

#[test]
fn a_gauge_rule_observes_exact_values() {
    let observe = |value: &str, event: &Event| {
        let mut spec = spec("A", "call.cost", gauge(value));
        spec.by = pairs(4, &[("leg", "payload.leg")]);
        only(&set(vec![spec]), event)
    };
    let number = |text: &str| Observed::Number(text.parse().expect("a number"));
    let mut event = cost(json!({"leg": "l1", "text": "31.40", "none": null}));
    event.charge = Some("0.10".parse().expect("a number"));
    let Finding::Observe(observation) = observe("payload.text", &event) else { panic!("observes") };
    assert_eq!(observation.value, number("31.40"));
    assert_eq!(Some(observation.at), event.occurred_at);
    let wanted: Pairs<'_> = &[
        ("account", "main"),
        ("alertname", "A"),
        ("leg", "l1"),
        ("region", "eu"),
        ("severity", "critical"),
        ("team", "voice"),
    ];
    assert_eq!(*observation.labels, labels(wanted));
    let Finding::Observe(observation) = observe("event.charge", &event) else { panic!("observes") };
    assert_eq!(observation.value, number("0.10"));
    assert_eq!(observation.labels["currency"], "USD");
    assert_eq!(observe("payload.none", &event), Finding::NoMatch);
    let Finding::Failed(failure) = observe("payload.nope", &event) else { panic!("fails") };
    assert_eq!(failure.reason, FailureReason::MissingField);
    assert_eq!(failure.detail, "value at r.yaml:10:18: no field `nope`");
    let Finding::Failed(failure) = observe("payload.leg", &event) else { panic!("fails") };
    assert_eq!(failure.reason, FailureReason::Type);
}

#[test]
fn a_window_rule_observes_numbers_texts_or_events() {
    let event = cost(json!({"x": "1.5", "n": 7, "flag": true, "none": null}));
    for (value, want) in [
        ("sum(payload.x)", Some(Observed::Number("1.5".parse().expect("a number")))),
        ("distinct(payload.n)", Some(Observed::Text("7".to_owned()))),
        ("distinct(payload.flag)", Some(Observed::Text("true".to_owned()))),
        ("distinct(payload.none)", None),
        ("last(payload.none)", None),
        ("count()", Some(Observed::Event)),
    ] {
        let found = match only(&set(vec![spec("A", "call.*", window(value))]), &event) {
            Finding::Observe(observation) => Some(observation.value),
            Finding::NoMatch => None,
            other => panic!("{value}: {other:?}"),
        };
        assert_eq!(found, want, "{value}");
    }
    let set = set(vec![spec("A", "call.*", window("distinct(payload.nope)"))]);
    let Finding::Failed(failure) = only(&set, &event) else { panic!("fails") };
    assert_eq!(failure.detail, "value at r.yaml:10:27: no field `nope`");
}

#[test]
fn an_absence_rule_has_one_series_for_each_account() {
    let mut spec = spec("Silent", "call.*", absence());
    spec.when = Some(at(3, "event.cost > 0.0"));
    let set = set(vec![spec]);
    let rule = set.rule("g/Silent").expect("there");
    let Finding::Observe(observation) = only(&set, &sample("call.cost")) else {
        panic!("observes")
    };
    assert_eq!(observation.value, Observed::Event);
    assert_eq!(*observation.labels, rule.absence_labels("main"));
    assert_eq!(rule.active_time_intervals(), ["office-hours"]);
    let mut hangup = cost(json!({}));
    hangup.cost = Some(Decimal::ZERO);
    assert_eq!(only(&set, &hangup), Finding::NoMatch);
}

#[test]
fn rules_see_the_call_of_a_cost() {
    let mut spec = spec("A", "call.cost", window("sum(event.charge)"));
    spec.when = Some(at(3, "has(call.country) && call.started_at < event.received_at"));
    spec.by = pairs(4, &[("country", "call.country"), ("to", "call.to")]);
    let set = set(vec![spec]);
    let mut event = sample("call.cost");
    event.charge = Some(Decimal::ONE);
    assert_eq!(only(&set, &event), Finding::NoMatch, "no call is known");
    let call = CallContext {
        country: Some("LV".to_owned()),
        started_at: event.occurred_at,
        ..CallContext::default()
    };
    let verdicts = set.judge(&event, Some(&call), None);
    let [Verdict { finding: Finding::Observe(observation), .. }] = &*verdicts else {
        panic!("{verdicts:?}")
    };
    assert_eq!(observation.labels["country"], "LV");
    assert_eq!(observation.labels["to"], "");
    assert_eq!(observation.labels["currency"], "USD");
}

#[test]
fn the_digest_follows_what_the_data_depends_on() {
    let digest = |change: &dyn Fn(&mut RuleSpec)| {
        let mut spec = spec("A", "call.cost", window("sum(payload.x)"));
        change(&mut spec);
        set(vec![spec]).rule("g/A").expect("there").digest().to_owned()
    };
    let same = digest(&|_| {});
    assert_eq!(same.len(), 16);
    let unchanged: &[&dyn Fn(&mut RuleSpec)] = &[
        &|spec| spec.labels.clear(),
        &|spec| spec.annotations = pairs(8, &[("a", "b")]),
        &|spec| {
            if let KindSpec::Window { line: old, .. } = &mut spec.kind {
                *old = line("value > 9", Some("value < 3"));
            }
        },
    ];
    for change in unchanged {
        assert_eq!(digest(change), same);
    }
    let changed: &[&dyn Fn(&mut RuleSpec)] = &[
        &|spec| spec.on.push(at(2, "call.hangup")),
        &|spec| spec.when = Some(at(3, "true")),
        &|spec| spec.by = pairs(4, &[("a", "payload.a")]),
        &|spec| spec.by = pairs(4, &[("b", "payload.a")]),
        &|spec| spec.kind = window("max(payload.x)"),
        &|spec| spec.kind = gauge("payload.x"),
        &|spec| {
            if let KindSpec::Window { over, .. } = &mut spec.kind {
                *over = Over::Calendar(Period::Month, TimeZone::UTC);
            }
        },
        &|spec| {
            if let KindSpec::Window { over, .. } = &mut spec.kind {
                *over = Over::Calendar(Period::Day, TimeZone::UTC);
            }
        },
    ];
    let mut seen = vec![same];
    for change in changed {
        let digest = digest(change);
        assert!(!seen.contains(&digest));
        seen.push(digest);
    }
}

#[test]
fn a_rule_knows_its_labels() {
    let mut one = spec("A", "call.cost", window("sum(event.charge)"));
    one.by = pairs(4, &[("to", "call.to")]);
    let set = set(vec![one, spec("B", "call.cost", absence())]);
    let (a, b) = (set.rule("g/A").expect("there"), set.rule("g/B").expect("there"));
    assert!(set.rule("g/C").is_none());
    assert_eq!((a.max_series(), a.hold().wait), (7, Duration::from_mins(1)));
    let mut event = sample("call.cost");
    event.charge = Some(Decimal::ONE);
    let verdicts = set.judge(&event, None, None);
    let Finding::Observe(observation) = &verdicts[0].finding else { panic!("observes") };
    let made = &observation.labels;
    assert!(a.makes(made) && !b.makes(made));
    let over = a.overflow(made);
    assert_eq!((over["to"].as_str(), over["currency"].as_str()), ("__overflow__", "USD"));
    assert!(a.makes(&over));
    assert!(b.makes(&b.absence_labels("main")) && !b.makes(&a.absence_labels("main")));
    for (name, value) in [
        ("severity", "info"),
        ("team", "x"),
        ("account", "other"),
        ("more", "x"),
        ("alertname", "B"),
    ] {
        let mut labels = Labels::clone(made);
        labels.insert(name.to_owned(), value.to_owned());
        assert!(!a.makes(&labels), "{name}");
    }
    for name in ["to", "currency", "region", "account"] {
        let mut labels = Labels::clone(made);
        labels.remove(name);
        assert!(!a.makes(&labels), "{name}");
    }
}

#[test]
fn fire_and_clear_are_asked_over_value_count_and_labels() {
    let ask = |fire: &str, clear: Option<&str>, value: Option<&str>| {
        let mut spec = spec("A", "call.cost", gauge("payload.x"));
        let KindSpec::Gauge { line: old, .. } = &mut spec.kind else { panic!("a gauge") };
        *old = line(fire, clear);
        let set = set(vec![spec]);
        let rule = set.rule("g/A").expect("there");
        let level = Level { value: value.map(|v| v.parse().expect("a number")), count: 3 };
        let labels = labels(&[("product", "voice")]);
        let (fires, clears, failures) = rule.ask(&labels, &level);
        let failures: Vec<_> = failures.into_iter().map(|failure| failure.detail).collect();
        (fires, clears, failures.join("; "))
    };
    let no_label = "fire at r.yaml:11:17: no field `nope`".to_owned();
    let none = String::new();
    for (fire, clear, value, want) in [
        ("value < 50", None, Some("49.99"), (true, false, none.clone())),
        ("value < 50.0", None, Some("50"), (false, true, none.clone())),
        ("value < 50", Some("value >= 75"), Some("60"), (false, false, none.clone())),
        ("count == 3 && labels.product == 'voice'", None, None, (true, false, none.clone())),
        ("'product' in labels && size(labels) == 1", None, None, (true, false, none.clone())),
        ("labels.exists(l, labels[l] == 'voice')", None, None, (true, false, none.clone())),
        // A mistake neither fires nor ends an alert, and is told once.
        ("labels.nope == 'x'", None, Some("1"), (false, false, no_label)),
        // Where there is no value, there is nothing wrong.
        ("value > 1", None, None, (false, true, none.clone())),
        ("value > 1", Some("value < 1"), None, (false, true, none)),
    ] {
        assert_eq!(ask(fire, clear, value), want, "{fire} {clear:?} {value:?}");
    }
}

#[test]
fn annotations_of_a_series_see_its_value_and_its_event() {
    let mut spec = spec("A", "call.cost", window("sum(event.charge)"));
    spec.annotations = pairs(
        8,
        &[
            ("summary", "{{ labels.team }} {{ value | money(event.currency) }} in {{ count }}"),
            (
                "exact",
                "{{ value }} {{ event.kind }} {{ event.fields.status }} {{ event.received_at }}",
            ),
            ("broken", "{{ value.x.y }}"),
        ],
    );
    let (set, problems) = compile(vec![spec]);
    assert_eq!(problems.lines().count(), 1, "a warning of the broken one: {problems}");
    let rule = set.rule("g/A").expect("there");
    let event = sample("call.cost");
    let mut series = Series {
        usual: None,
        hours: OpenHours::default(),
        rule: "g/A".into(),
        digest: "".into(),
        labels: (&rule.absence_labels("main")).into(),
        phase: Phase::Firing,
        data: Data::Gauge(None),
        value: Some("12.5000".parse().expect("a number")),
        count: 4,
        event: (&event).into(),
        seq: 1,
    };
    let (annotations, errors) = rule.annotate(&series, Timestamp::UNIX_EPOCH);
    assert_eq!(errors, ["broken"]);
    assert_eq!(annotations["summary"], "voice 12.50 USD in 4");
    let at = event.received_at;
    assert_eq!(annotations["exact"], format!("12.5000 call.cost success {at}"));
    (series.event, series.value) = (Snapshot::NONE, None);
    let (annotations, _) = rule.annotate(&series, Timestamp::UNIX_EPOCH);
    assert_eq!(annotations["summary"], "voice unknown in 4");
    assert_eq!(annotations["exact"], "None None None None");
}

#[test]
fn all_mistakes_of_rules_that_judge_values_are_found() {
    let annotated = |alert: &str, kind, annotations: Pairs<'_>| RuleSpec {
        annotations: pairs(8, annotations),
        ..spec(alert, "call.cost", kind)
    };
    let lined = |alert: &str, fire: &str, clear: &str| {
        let (value, line) = (at(10, "payload.x"), line(fire, Some(clear)));
        spec(alert, "call.cost", KindSpec::Gauge { value, line, stale_after: None })
    };
    let specs = vec![
        annotated("A", gauge("payload.x"), &[("a", "{{ payload.x }}"), ("b", "{{ valu }}")]),
        annotated("B", absence(), &[("a", "{{ event.kind }} {{ event.fields.nope }}")]),
        annotated(
            "C",
            KindSpec::Event {
                active_for: Duration::from_secs(1),
                notify_expired: false,
                resolve_on: None,
            },
            &[("a", "{{ value }} {{ count }} {{ payload }}")],
        ),
        lined("D", "value", "event.kind == 'x'"),
        lined("E", "value > labels.x", "value == '5'"),
        lined("F", "payload.x > 1", "count > 1.5 && labels == 5"),
        spec("G", "call.cost", gauge("event.occurred_at")),
        spec("H", "call.cost", gauge("value")),
        spec("I", "call.cost", window("sum(call)")),
        spec("J", "call.cost", window("sum( \n  event.chrge)")),
        spec("K", "call.cost", window("sum(event.charge) > 5")),
        RuleSpec { by: pairs(4, &[("x", "event.id")]), ..spec("L", "call.cost", absence()) },
        RuleSpec { when: Some(at(3, "value > 1")), ..spec("M", "call.cost", absence()) },
        spec("N", "call.cost", window("avg(event.kind)")),
    ];
    let (set, problems) = compile(specs);
    insta::assert_snapshot!(problems, @r#"
    r.yaml:8:13: g/A.annotations.a: `payload` is there in event rules only: use `event.fields`, which is kept with the alert
    r.yaml:8:13: g/A.annotations.b: unknown variable `valu`
    r.yaml:8:30: g/B.annotations.a: `event.fields` has no field `nope`
    r.yaml:8:25: g/C.annotations.a: `count` is there in gauge, window and absence rules only
    r.yaml:8:13: g/C.annotations.a: `value` is there in gauge, window and absence rules only
    r.yaml:11:10: g/D.fire: expected bool, found double
    r.yaml:12:10: g/D.clear: unknown variable `event` (hint: known here: value, count, labels, usual, spread, weeks)
    r.yaml:11:16: g/E.fire: `>` cannot compare double with string
    r.yaml:12:16: g/E.clear: `==` cannot compare double with string
    r.yaml:11:10: g/F.fire: unknown variable `payload` (hint: known here: value, count, labels, usual, spread, weeks)
    r.yaml:12:32: g/F.clear: `==` cannot compare map with int
    r.yaml:10:10: g/G.value: expected a number or decimal text, found timestamp (hint: write double(int(…)))
    r.yaml:10:10: g/H.value: unknown variable `value` (hint: known here: event, payload, call)
    r.yaml:10:14: g/I.value: `call` is not a value by itself (hint: name one of its fields: `call.from`)
    r.yaml:11:18: g/J.value: `event` has no field `chrge` (hint: did you mean `charge`?)
    r.yaml:10:28: g/K.value: nothing may stand behind the aggregate (hint: compute inside of its brackets, compare in fire and clear)
    r.yaml:4:10: g/L.by: an absence rule has one series for each account (hint: leave out by)
    r.yaml:3:10: g/M.when: unknown variable `value` (hint: known here: event, payload, call)
    r.yaml:10:10: g/N.value: expected a number or decimal text, found string (hint: write num(…))
    "#);
    assert!(set.is_empty(), "no rule with a mistake judges");
}
