//! How a rule came to its answer for one event: what each expression gave, and what its parts were worth.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::eval;
use super::inputs::Inputs;
use super::program::{Node, Op};
use super::rule::{Rule, RuleKind, Valued};
use super::values::Value;
use super::{Expression, Failure, show, time};
use crate::template::truncate;

/// Parts of one expression at most.
const PARTS_MAX: usize = 64;
/// Longest text of a part or a value, in characters; more is cut.
const TEXT_CHARS_MAX: usize = 200;

/// What one expression of a rule gave for one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// `when`, `resolve_on.when`, `by.<label>`, `value`, `fire` or `clear`.
    pub key: String,
    /// As written; of a window's value what stands in its brackets.
    pub source: String,
    /// Its value, or `error:` and why it has none.
    pub outcome: String,
    /// Its parts from the whole to the single fields, with their values; 64 at most, 200 characters each. What
    /// `&&` and `||` did not look at is there too.
    pub parts: Vec<(String, String)>,
}

/// All expressions of a rule over events.
pub(super) fn trace(rule: &Rule, inputs: Inputs<'_>) -> Vec<Traced> {
    let resolve_when = match &rule.judged {
        RuleKind::Event { resolve_when, .. } => resolve_when.as_ref(),
        RuleKind::Series(_) => None,
    };
    let one = |key: &str, expression: &Expression, outcome: Result<String, Failure>| {
        traced(key, expression, inputs, outcome)
    };
    let condition = |key, expression| condition(key, expression, inputs);
    let mut traced = Vec::new();
    traced.extend(rule.when.as_ref().map(|when| condition("when", when)));
    traced.extend(resolve_when.map(|when| condition("resolve_on.when", when)));
    for (label, expression) in &rule.by {
        let outcome = expression.label(inputs).map(|text| quoted(&text.unwrap_or_default()));
        traced.push(one(&format!("by.{label}"), expression, outcome));
    }
    if let RuleKind::Series(watch) = &rule.judged {
        let null = || "null".to_owned();
        traced.extend(match &watch.value {
            Valued::Event => None,
            Valued::Number(value) => {
                let outcome = value.number(inputs);
                let outcome = outcome.map(|n| n.map_or_else(null, |number| number.to_string()));
                Some(one("value", value, outcome))
            }
            Valued::Text(value) => {
                let outcome = value.text(inputs);
                let outcome = outcome.map(|text| text.map_or_else(null, |text| quoted(&text)));
                Some(one("value", value, outcome))
            }
        });
    }
    traced
}

/// `fire` and `clear` of a rule over the level of one series.
pub(super) fn trace_line(rule: &Rule, inputs: Inputs<'_>) -> Vec<Traced> {
    let RuleKind::Series(watch) = &rule.judged else { return Vec::new() };
    let terms = [("fire", &watch.fire), ("clear", &watch.clear)];
    terms
        .into_iter()
        .filter_map(|(key, term)| Some(condition(key, term.as_ref()?, inputs)))
        .collect()
}

fn condition(key: &str, condition: &Expression, inputs: Inputs<'_>) -> Traced {
    traced(key, condition, inputs, condition.holds(inputs).map(|holds| holds.to_string()))
}

fn traced(
    key: &str,
    expression: &Expression,
    inputs: Inputs<'_>,
    outcome: Result<String, Failure>,
) -> Traced {
    Traced {
        key: key.to_owned(),
        source: truncate(expression.source().trim(), TEXT_CHARS_MAX),
        outcome: outcome.unwrap_or_else(|failure| format!("error: {}", failure.detail)),
        parts: parts(expression.root(), inputs),
    }
}

/// Values of the parts of an expression, without literals, each once. The bodies of macros are left out: their variable
/// has many values.
fn parts(root: &Node, inputs: Inputs<'_>) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        if parts.len() >= PARTS_MAX {
            break;
        }
        open.extend(show::children(node).into_iter().rev());
        if is_literal(node) || matches!(node.op, Op::Payload | Op::Labels) {
            continue;
        }
        let name = truncate(&show::source(node), TEXT_CHARS_MAX);
        if parts.iter().all(|(known, _)| *known != name) {
            let value = match eval::run(node, inputs) {
                Ok(value) => text_of(&value),
                Err(fault) => format!("error: {}", fault.cause),
            };
            parts.push((name, truncate(&value, TEXT_CHARS_MAX)));
        }
    }
    parts
}

fn is_literal(node: &Node) -> bool {
    match &node.op {
        Op::Null
        | Op::Bool(_)
        | Op::Int(_)
        | Op::Uint(_)
        | Op::Double(_)
        | Op::Decimal(_)
        | Op::String(_)
        | Op::Bytes(_)
        | Op::Type(_)
        | Op::Timestamp(_)
        | Op::Duration(_) => true,
        Op::Map(members) => members.iter().flatten().all(is_literal),
        Op::List(items) => items.iter().all(is_literal),
        _ => false,
    }
}

fn text_of(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::String(text) => quoted(text),
        Value::Bytes(bytes) => format!("b\"{}\"", bytes.escape_ascii()),
        Value::Timestamp(timestamp) => time::timestamp_text(*timestamp),
        Value::Duration(duration) => format!("{duration:#}"),
        Value::Type(kind) => kind.type_name().to_owned(),
        Value::Json(json) => json.to_string(),
        Value::Labels(labels) => format!("{labels:?}"),
        Value::List(items) => {
            // More than this cannot be seen.
            let items = items.iter().take(TEXT_CHARS_MAX).map(inner_text);
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::Map(members) => {
            let members = members.iter().take(TEXT_CHARS_MAX);
            let members =
                members.map(|(key, value)| format!("{}: {}", text_of(key), inner_text(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Decimal(_)
        | Value::Digits(_) => value.number_text().unwrap_or_default(),
    }
}

/// What stands in a list or a map, not looked into further.
fn inner_text(value: &Value<'_>) -> String {
    match value {
        Value::List(_) => "[…]".to_owned(),
        Value::Map(_) => "{…}".to_owned(),
        value => text_of(value),
    }
}

fn quoted(text: &str) -> String {
    let text = truncate(text, TEXT_CHARS_MAX);
    let mut quoted = String::with_capacity(text.len() + 2);
    write!(quoted, "{text:?}").expect("writing to a string cannot fail");
    quoted
}
