//! Targets of what is written in rules: expressions and templates.

use super::*;

/// Events with something private in every text.
pub(super) fn sample_events() -> &'static [Event] {
    static EVENTS: OnceLock<Vec<Event>> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let deep = json!({
            "a": PRIVATE, "text": format!("{PRIVATE} ").repeat(200), "total_cost": "0.0070", "status": "success",
            "items": [1, 2, {"call_part": "x", "cost": "5.5"}], "cost_parts": [{"call_part": "x", "cost": "5.5"}],
            "to": [{"phone_number": "+13125550100"}], "available_credit": "12.34", "none": null,
            "big": "x".repeat(2_000), "many": vec![PRIVATE; 500],
        });
        let own = Event::tollbell("call.cost", "default", "e1".to_owned(), now(), deep);
        let samples = event::samples().take(8).map(|(_, content_type, body)| {
            event::parse(&Incoming {
                account: "default",
                default_currency: None,
                content_type: Some(content_type),
                body,
                received_at: now(),
                policy: PayloadPolicy::Full,
            })
        });
        std::iter::once(own).chain(samples).collect()
    })
}

/// An expression over events and one over values.
pub fn expression(data: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(data);
    let source = At::new(text.to_string(), Position::new("fuzz.yaml", 7, 9));
    let want = [Want::Bool, Want::Label, Want::Number][text.len() % 3];
    let mut seen = Vec::new();
    for (scope, want) in [(Scope::EVENT, want), (Scope::LINE, Want::Bool)] {
        let compiled = match Expression::compile(&source, scope, want) {
            Ok(compiled) => compiled,
            Err(problem) => {
                let place = problem.position.unwrap();
                assert!(
                    (7..=7 + u32::try_from(text.lines().count()).unwrap()).contains(&place.line)
                );
                assert!(place.column as usize <= 10 + text.chars().count(), "{place}: {text:?}");
                seen.push(words(&problem.message));
                continue;
            }
        };
        assert!(text.len() <= EXPRESSION_BYTES_MAX, "a long one is refused");
        let labels = Labels::from([("account".to_owned(), PRIVATE.to_owned())]);
        let level = Level { value: Some("12.5".parse().unwrap()), count: 3 };
        if scope == Scope::LINE {
            for level in [level, Level::default()] {
                run(&compiled, Inputs::Line { level: &level, labels: &labels }, &text, &mut seen);
            }
        } else {
            for event in sample_events() {
                run(&compiled, Inputs::of(event), &text, &mut seen);
            }
        }
    }
    seen.sort();
    seen.dedup();
    outcome(seen)
}

/// All that is asked of an expression: bounded answers, and failures without what the payload says.
fn run(compiled: &Expression, inputs: Inputs<'_>, source: &str, seen: &mut Vec<String>) {
    let holds = compiled.holds(inputs);
    assert_eq!(holds, compiled.holds(inputs), "the same answer each time");
    let (label, text) = (compiled.label(inputs), compiled.text(inputs));
    for text in [&label, &text].into_iter().flatten().flatten() {
        assert!(text.len() <= LABEL_BYTES_MAX, "a label is bounded");
    }
    let failures = [holds.err(), label.err(), text.err(), compiled.number(inputs).err()];
    for failure in failures.into_iter().flatten() {
        let detail = failure.detail;
        assert!(source.contains(PRIVATE) || !detail.contains(PRIVATE), "a value in {detail:?}");
        assert!(detail.len() < 4 * 1024);
        seen.push(words(&detail));
    }
}

/// A template of each kind of text.
pub fn template(data: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(data);
    let mut templates = Templates::new();
    let mut seen = Vec::new();
    let context = context();
    for name in ["a", "a.html", "a.mrkdwn"] {
        let rendered = templates.add(name, &text).and_then(|()| templates.render(name, context));
        templates.variables(name);
        match rendered {
            Ok(text) => assert!(text.len() <= RENDERED_BYTES_MAX, "what is rendered is bounded"),
            Err(error) => {
                assert!(
                    !error.message.contains(PRIVATE) || text.contains(PRIVATE),
                    "a value in {error}"
                );
                assert!(
                    error.line.is_none_or(|line| line as usize <= 1 + text.matches('\n').count())
                );
                seen.push(words(&error.message));
            }
        }
    }
    outcome((seen, text.len() / 64))
}

fn context() -> &'static minijinja::Value {
    static CONTEXT: OnceLock<minijinja::Value> = OnceLock::new();
    CONTEXT.get_or_init(|| {
        let event = &sample_events()[0];
        template::value(&json!({
            "labels": {"account": "default", "alertname": "A", "x": PRIVATE},
            "event": event.snapshot(), "payload": event.payload, "value": "12.34", "count": 3,
        }))
    })
}
