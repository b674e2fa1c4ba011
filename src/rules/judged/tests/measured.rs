//! Metrics, and traces.

use super::*;

fn metric(name: &str, kind: MetricKind, value: Option<&str>, by: Pairs<'_>) -> MetricSpec {
    MetricSpec {
        name: at(1, name),
        kind,
        help: "Help.".to_owned(),
        on: vec![at(2, "call.*")],
        when: None,
        value: value.map(|value| at(10, value)),
        by: pairs(4, by),
        max_series: 5,
    }
}

#[test]
fn metrics_measure_exact_values() {
    use MetricKind::{Counter, Gauge, Histogram};
    let mut specs = vec![
        metric("calls_total", Counter, None, &[]),
        metric("cost_total", Counter, Some("event.cost"), &[("to", "call.to")]),
        metric("size", Histogram, Some("payload.size"), &[]),
        metric("none", Gauge, Some("payload.none"), &[]),
        metric("nope", Gauge, Some("payload.nope"), &[]),
        metric("negative_total", Counter, Some("payload.negative"), &[]),
        metric("down", Gauge, Some("payload.negative"), &[]),
        metric("unwanted", Gauge, Some("1"), &[]),
        metric("other", Gauge, Some("1"), &[]),
    ];
    specs[7].when = Some(at(3, "false"));
    specs[8].on = vec![at(2, "fax.*")];
    let (set, problems) = RuleSet::compile(Vec::new(), specs, &accounts());
    assert!(problems.iter().all(|p| p.severity == Severity::Warning), "{problems:?}");
    let mut event = cost(json!({"size": 12.50, "none": null, "negative": "-1.5"}));
    event.payload["size"] = serde_json::from_str("12.50").expect("a number");
    event.cost = Some("0.0106".parse().expect("a number"));
    let measured = set.measure(&event, None);
    let measured: Vec<String> = measured
        .into_iter()
        .map(|Measurement { name, finding }| match finding {
            Ok((labels, value)) => format!("{name} {labels:?} {value}"),
            Err(failure) => format!("{name} {} {}", failure.reason.as_str(), failure.detail),
        })
        .collect();
    assert_eq!(
        measured,
        [
            "calls_total {} 1",
            r#"cost_total {"currency": "USD", "to": ""} 0.0106"#,
            "size {} 12.50",
            "nope missing_field value at r.yaml:10:18: no field `nope`",
            "negative_total other value: a counter takes no negative value",
            "down {} -1.5",
        ]
    );
    let names: Vec<_> = set.metrics().map(|metric| metric.label_names.join(",")).collect();
    assert_eq!(names, ["", "to,currency", "", "", "", "", "", "", ""]);
}

#[test]
fn a_trace_shows_each_expression_with_its_parts() {
    let mut spec = spec("A", "call.cost", window("sum(num(payload.x) * 2.0)"));
    let when = "has(call.to) || payload.list.exists(x, x > 1) && !(payload.nope in ['a', \"b\"])";
    spec.when = Some(at(3, when));
    spec.by = pairs(4, &[("s", "payload.s.matches('^a') ? payload['a-b'] : string(event.cost)")]);
    let set = set(vec![spec]);
    let mut event = cost(json!({"x": "1.5", "list": [1, 2], "s": "ab", "a-b": "é".repeat(300)}));
    event.cost = Some("0.5".parse().expect("a number"));
    let traced = set.rule("g/A").expect("there").trace(&event, None);
    let mut text = String::new();
    for Traced { key, source, outcome, parts } in traced {
        writeln!(text, "{key}: {source}\n= {outcome}").expect("a string");
        for (part, value) in parts {
            assert!(part.chars().count() <= 200 && value.chars().count() <= 200);
            writeln!(text, "  {part} = {value}").expect("a string");
        }
    }
    let text = text.replace(&"é".repeat(100), "(100 é)");
    insta::assert_snapshot!(text, @r#"
    when: has(call.to) || payload.list.exists(x, x > 1) && !(payload.nope in ['a', "b"])
    = error: r.yaml:3:69: no field `nope`
      has(call.to) || (payload.list.exists(…) && (!(payload.nope in ['a', 'b']))) = error: no field `nope`
      has(call.to) = false
      payload.list.exists(…) && (!(payload.nope in ['a', 'b'])) = error: no field `nope`
      payload.list.exists(…) = true
      payload.list = [1,2]
      !(payload.nope in ['a', 'b']) = error: no field `nope`
      payload.nope in ['a', 'b'] = error: no field `nope`
      payload.nope = error: no field `nope`
    by.s: payload.s.matches('^a') ? payload['a-b'] : string(event.cost)
    = "(100 é)ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé…"
      payload.s.matches('^a') ? payload['a-b'] : string(event.cost) = "(100 é)éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé…
      payload.s.matches('^a') = true
      payload.s = "ab"
      payload['a-b'] = "(100 é)éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé…
      string(event.cost) = "0.5"
      event.cost = 0.5
    value: num(payload.x) * 2.0
    = 3
      num(payload.x) * 2.0 = 3
      num(payload.x) = 1.5
      payload.x = "1.5"
    "#);
}

#[test]
fn a_trace_is_bounded() {
    let when = (0..25).map(|n| format!("[payload.f{n}] == [1]")).collect::<Vec<_>>().join(" || ");
    let mut spec = spec("A", "call.cost", absence());
    spec.when = Some(at(3, &when));
    let set = set(vec![spec]);
    let rule = set.rule("g/A").expect("there");
    let traced = rule.trace(&cost(json!({"f1": "x".repeat(1000)})), None);
    assert_eq!(traced[0].parts.len(), 64);
}
