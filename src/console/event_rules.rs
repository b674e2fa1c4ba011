//! What a rule said of an event: the word, the reason, and each expression with the values of its parts.

use serde::Serialize;

use super::page::State;
use super::words::{encoded_path, value_text};
use crate::engine::{Outcome, RuleReport};
use crate::rules::Traced;

/// What a rule says today.
#[derive(Debug, Serialize)]
pub(super) struct RuleRow {
    name: String,
    path: String,
    state: State,
    why: String,
    open: bool,
    terms: Vec<Term>,
}

/// An expression, or a part of one.
#[derive(Debug, Serialize)]
struct Term {
    key: String,
    source: String,
    value: String,
    /// Whether it is a whole expression.
    whole: bool,
    /// `true`, `false` or empty.
    holds: &'static str,
}

/// What a rule says, for people.
pub(super) fn rule_row(said: &RuleReport) -> RuleRow {
    let phase = said.series.as_ref().map(|series| &*series.phase);
    let state = match said.outcome {
        Outcome::Fires => State::new("warning", "bell", "fires"),
        Outcome::Extends => State::new("", "bell", "goes on firing"),
        Outcome::Ends => State::good("ends its alert"),
        Outcome::Matches => State::new("", "good", "matches"),
        Outcome::NothingToEnd => State::quiet("dot", "nothing to end"),
        Outcome::Observed if phase == Some("pending") => State::new("", "wait", "pending"),
        Outcome::Observed => State::quiet("dot", "takes its value"),
        Outcome::Late => State::quiet("dot", "came too late"),
        Outcome::NoMatch => State::quiet("no", "no match"),
        Outcome::Failed => State::new("critical", "warning", "failed"),
    };
    let series = said.series.as_ref().and_then(|series| {
        let value = series.value.map(|value| value_text(value, ""))?;
        Some(format!("{}: {value}", series.of))
    });
    let mut terms: Vec<Term> = said.expressions.iter().flat_map(traced).collect();
    if let Some(series) = &said.series {
        terms.push(Term {
            key: "series".to_owned(),
            source: format!("{}, {} events", series.of, series.count),
            value: series.value.map_or_else(|| "nothing".to_owned(), |it| value_text(it, "")),
            whole: true,
            holds: "",
        });
        terms.extend(series.terms.iter().flat_map(traced));
        let before = series.before.map(|before| format!(", {} before", value_text(before, "")));
        terms.push(Term {
            key: "phase".to_owned(),
            source: format!("{}{}", series.phase, before.unwrap_or_default()),
            value: String::new(),
            whole: true,
            holds: "",
        });
    }
    RuleRow {
        path: format!("/rules/{}", encoded_path(&said.rule)),
        name: said.rule.clone(),
        why: said.detail.clone().or(series).unwrap_or_default(),
        open: matches!(said.outcome, Outcome::Fires | Outcome::Ends | Outcome::Failed),
        state,
        terms,
    }
}

/// An expression, then its parts.
fn traced(traced: &Traced) -> Vec<Term> {
    let holds = |value: &str| match value {
        "true" => "true",
        "false" => "false",
        _ => "",
    };
    let whole = Term {
        key: traced.key.clone(),
        source: traced.source.clone(),
        holds: holds(&traced.outcome),
        value: traced.outcome.clone(),
        whole: true,
    };
    let parts = traced.parts.iter().filter(|(source, _)| *source != traced.source);
    let parts = parts.map(|(source, value)| Term {
        key: String::new(),
        source: source.clone(),
        holds: holds(value),
        value: value.clone(),
        whole: false,
    });
    std::iter::once(whole).chain(parts).collect()
}
