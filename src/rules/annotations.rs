//! The annotations of all rules: checked at load against sample events, rendered at each match.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;
use serde_json::Value as Json;

use super::Labels;
use crate::event::Event;
use crate::problem::{At, Problem};
use crate::template::{self, TemplateError, Templates};

/// What a template may name at its top.
const ROOTS: &[&str] = &["event", "labels", "payload"];
/// What a template may call.
const FUNCTIONS: &[&str] = &["dict", "namespace", "range"];
/// Longest rendered annotation, in bytes; more is cut.
const ANNOTATION_BYTES_MAX: usize = 4096;
/// Name under which a template is looked at before it is taken.
const DRAFT: &str = "draft";

/// The compiled annotations of a rule set.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    templates: Templates,
}

/// What the templates of one rule are tried on.
pub(super) struct Trial<'s> {
    /// Sample events of the kinds that the rule names; may be none.
    pub(super) samples: Vec<(&'s Event, Labels)>,
    /// An event of no known shape, for kinds without a sample.
    pub(super) blank: &'s Event,
    /// All label names that the rule's alerts may have.
    pub(super) label_names: BTreeSet<String>,
}

impl Annotations {
    /// Checks a template and takes it under `name`. Whatever cannot be right for any event is an error; a field
    /// that no sample has is a warning.
    pub(super) fn add(
        &mut self,
        name: &str,
        key: &str,
        source: &At<String>,
        trial: &Trial<'_>,
    ) -> Vec<Problem> {
        if let Err(error) = self.templates.add(name, &source.value) {
            return vec![problem(key, source, &error)];
        }
        let unknown = unknown_names(&self.templates.variables(name), trial);
        let mut problems: Vec<Problem> = unknown
            .into_iter()
            .map(|(name, message)| {
                let (line, column) = find(&source.value, &name);
                Problem::error(source.inside(line, column), key, message)
            })
            .collect();
        if problems.is_empty() {
            problems.extend(never_renders(key, source, trial));
        }
        if problems.is_empty() {
            problems.extend(self.no_sample_renders(name, key, source, trial));
        }
        problems
    }

    /// A warning when a name is undefined in every sample.
    fn no_sample_renders(
        &self,
        name: &str,
        key: &str,
        source: &At<String>,
        trial: &Trial<'_>,
    ) -> Option<Problem> {
        let mut last = None;
        for (event, labels) in &trial.samples {
            last = Some(self.templates.render(name, &context(event, labels)).err()?);
        }
        let problem = problem(key, source, &last?);
        let hint = "no sample event has it; where it may be missing write `| default('…')`";
        Some(Problem { severity: crate::problem::Severity::Warning, ..problem }.hint(hint))
    }

    /// Renders the template `name`; on an error a plain text that says so, and `false`.
    pub(super) fn render(&self, name: &str, context: &Value) -> (String, bool) {
        let (mut text, rendered) = match self.templates.render(name, context) {
            Ok(text) => (text, true),
            Err(error) => {
                let alert = name.split(['/', '#']).nth(1).unwrap_or(name);
                (format!("{alert} (cannot render: {error})"), false)
            }
        };
        text.truncate(text.floor_char_boundary(ANNOTATION_BYTES_MAX));
        (text, rendered)
    }
}

/// What templates see: `labels`, `event` (the allow-listed snapshot) and `payload` (in its stored form).
pub(super) fn context(event: &Event, labels: &Labels) -> Value {
    context_of(&event.snapshot(), &event.payload, labels)
}

/// As [`context`], of an event's parts.
pub(super) fn context_of(snapshot: &Json, payload: &Json, labels: &Labels) -> Value {
    Value::from(BTreeMap::from([
        ("event", template::value(snapshot)),
        ("labels", Value::from(labels.clone())),
        ("payload", template::value(payload)),
    ]))
}

/// Names that no event of any kind will have, with what to say of them.
fn unknown_names(names: &BTreeSet<String>, trial: &Trial<'_>) -> Vec<(String, String)> {
    let snapshot = trial.blank.snapshot();
    let has = |field: &str| snapshot.get(field).is_some();
    let has_inner = |field: &str| snapshot.get("fields").is_some_and(|f| f.get(field).is_some());
    let mut unknown = Vec::new();
    for name in names {
        let mut path = name.split('.');
        let root = path.next().unwrap_or_default();
        let message = match (root, path.next(), path.next()) {
            ("event", Some("fields"), Some(field)) if !has_inner(field) => {
                format!("`event.fields` has no field `{field}`")
            }
            ("event", Some(field), _) if !has(field) => {
                format!("`event` has no field `{field}`")
            }
            ("labels", Some(label), _) if !trial.label_names.contains(label) => {
                format!("this rule's alerts have no label `{label}`")
            }
            (root, ..) if ROOTS.contains(&root) || FUNCTIONS.contains(&root) => continue,
            (root, ..) => format!("unknown variable `{root}`"),
        };
        unknown.push((name.clone(), message));
    }
    unknown
}

/// An error that does not come from a field that some event lacks: an unknown filter, a runaway loop.
fn never_renders(key: &str, source: &At<String>, trial: &Trial<'_>) -> Option<Problem> {
    let mut lenient = Templates::lenient();
    if let Err(error) = lenient.add(DRAFT, &source.value) {
        return Some(problem(key, source, &error));
    }
    let blank_labels = trial.label_names.iter().map(|name| (name.clone(), String::new())).collect();
    let blank = [(trial.blank, blank_labels)];
    let events = if trial.samples.is_empty() { blank.as_slice() } else { &trial.samples };
    let mut last = None;
    for (event, labels) in events {
        match lenient.render(DRAFT, &context(event, labels)) {
            // What fails for one kind and not for another is left to the run, which has a fallback.
            Ok(_) => return None,
            Err(error) if error.undefined => return None,
            Err(error) => last = Some(error),
        }
    }
    last.map(|error| problem(key, source, &error))
}

fn problem(key: &str, source: &At<String>, error: &TemplateError) -> Problem {
    Problem::error(source.inside(error.line.unwrap_or(1), 1), key, error.message.clone())
}

/// Line and column in characters, both from 1, of the first place where `name` stands.
fn find(source: &str, name: &str) -> (u32, u32) {
    super::expression::place(source, source.find(name).unwrap_or(0))
}
