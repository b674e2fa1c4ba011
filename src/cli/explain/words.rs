//! The words of an explanation, piece by piece.

use crate::alerts::{Answer, Step};
use crate::engine::{Outcome, RuleReport};
use crate::rules::{Labels, Traced};

/// Widest column of names of rules.
const NAME_WIDTH_MAX: usize = 40;

/// The mark and the words of an outcome.
pub(super) fn outcome_text(said: &RuleReport) -> (char, &'static str) {
    let phase = said.series.as_ref().map(|series| &*series.phase);
    match said.outcome {
        Outcome::Fires => ('✓', "fires"),
        Outcome::Extends => ('✓', "goes on firing"),
        Outcome::Ends => ('✓', "ends its alert"),
        Outcome::Matches => ('✓', "matches"),
        Outcome::NothingToEnd => ('·', "would end an alert, and none fires"),
        Outcome::Observed if phase == Some("pending") => ('·', "takes it; the alert is pending"),
        Outcome::Observed => ('·', "takes it; the alert does not change"),
        Outcome::Late => ('·', "leaves it: it comes too late to count"),
        Outcome::NoMatch => ('✗', "does not match"),
        Outcome::Failed => ('!', "does not match"),
    }
}

/// Whether an expression helps to understand the outcome.
pub(super) fn is_telling(said: &RuleReport, one: &Traced) -> bool {
    match said.outcome {
        Outcome::NoMatch if one.key == "value" => one.outcome == "null",
        Outcome::NoMatch => one.key.ends_with("when") && one.outcome == "false",
        Outcome::Failed => one.outcome.starts_with("error"),
        _ => !(one.key.ends_with("when") && one.outcome != "true"),
    }
}

pub(super) fn step_text(step: &Step) -> String {
    let indent = step.depth.saturating_mul(2);
    let at = format!("{} → {}", step.route, step.receiver);
    let (mark, why) = match &step.answer {
        Answer::Taken => ('✓', "takes it".to_owned()),
        Answer::Deeper => ('↓', "a route below takes it".to_owned()),
        Answer::Unmatched(matchers) => ('✗', format!("is not {}", matchers.join(", "))),
        Answer::NotAsked(by) => ('-', format!("not asked: {by} took it")),
    };
    format!("{:indent$}{mark} {at}  {why}", "")
}

pub(super) fn labels_of(labels: &Labels) -> String {
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", labels.join(" "))
}

pub(super) fn width<'n>(names: impl Iterator<Item = &'n str>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or_default().min(NAME_WIDTH_MAX)
}

/// Its lines; empty ones do not repeat.
pub(super) fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.trim_end().lines().map(str::to_owned).collect();
    lines.dedup_by(|line, before| line.trim().is_empty() && before.trim().is_empty());
    lines
}

/// What Slack would show of its JSON: the texts of the blocks in order; of anything else its lines.
pub(super) fn slack_lines(text: &str) -> Vec<String> {
    let Ok(payload) = serde_json::from_str::<serde_json::Value>(text) else { return lines(text) };
    let mut found = Vec::new();
    for blocks in [payload.get("blocks"), payload.pointer("/attachments/0/blocks")] {
        texts(blocks.unwrap_or_default(), &mut found);
    }
    if found.is_empty() { lines(text) } else { found }
}

fn texts(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str() {
                    // The name of a field and its value stand below each other there.
                    Some(text) if name == "text" => {
                        found.extend(lines(&text.replace("*\n", ":* ")));
                    }
                    Some(url) if name == "url" => found.push(url.to_owned()),
                    _ => texts(field, found),
                }
            }
        }
        _ => {}
    }
}
