//! The annotations of all rules: checked at load against sample events, rendered at each match.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json};

use super::Labels;
use crate::diagnostic::{At, Diagnostic};
use crate::event::{Event, Snapshot};
use crate::template::{self, TemplateError, Templates};

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
    /// The snapshot of no event: all fields are there and null.
    no_event: Json,
}

/// What a template may name at its top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Roots {
    /// An event rule: the event with its payload.
    Event,
    /// A rule that judges values: those, and of the event only the snapshot, which is kept.
    Series,
}

impl Roots {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Event => &["event", "labels", "payload"],
            Self::Series => &["event", "labels", "value", "count"],
        }
    }
}

/// What the templates of one rule are tried on.
pub(super) struct Trial {
    /// What they see for sample events of the kinds that the rule names; may be none.
    pub(super) samples: Vec<Value>,
    /// What they see for an event of no known shape, for kinds without a sample.
    pub(super) blank: Value,
    /// A snapshot, for the names of its fields.
    pub(super) fields: Json,
    /// All label names that the rule's alerts may have.
    pub(super) label_names: BTreeSet<String>,
    /// What else there is.
    pub(super) roots: Roots,
}

impl Annotations {
    /// No annotations; `blank` lends the fields that an event has.
    pub(super) fn new(blank: &Event) -> Self {
        let mut no_event = blank.snapshot();
        for field in no_event.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if !field.is_object() {
                *field = Json::Null;
            }
        }
        Self { templates: Templates::default(), no_event }
    }

    /// What templates of a gauge, window or absence rule see: `labels`, `value` as an exact number (none where there is
    /// none), `count`, and `event`, the snapshot that the series keeps (its fields null before the first).
    pub(super) fn series_context(
        &self,
        event: &Snapshot,
        labels: Labels,
        value: Option<Decimal>,
        count: u64,
    ) -> Value {
        let event = if event.is_none() { &self.no_event } else { &event.full() };
        Value::from(BTreeMap::from([
            ("event", template::value(event)),
            ("labels", Value::from(labels)),
            ("value", value.map_or_else(|| Value::from(()), template::decimal)),
            ("count", Value::from(count)),
        ]))
    }

    /// Checks a template and takes it under `name`. Whatever cannot be right for any event is an error; a field
    /// that no sample has is a warning.
    pub(super) fn add(
        &mut self,
        name: &str,
        key: &str,
        source: &At<String>,
        trial: &Trial,
    ) -> Vec<Diagnostic> {
        if let Err(error) = self.templates.add(name, &source.value) {
            return vec![problem(key, source, &error)];
        }
        let unknown = unknown_names(&self.templates.variables(name), trial);
        let mut problems: Vec<Diagnostic> = unknown
            .into_iter()
            .map(|(name, message)| {
                let (line, column) = find(&source.value, &name);
                Diagnostic::error(source.inside(line, column), key, message)
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
        trial: &Trial,
    ) -> Option<Diagnostic> {
        let mut last = None;
        for sample in &trial.samples {
            last = Some(self.templates.render(name, sample).err()?);
        }
        let problem = problem(key, source, &last?);
        let hint = "no sample event has it; where it may be missing write `| default('…')`";
        Some(Diagnostic { severity: crate::diagnostic::Severity::Warning, ..problem }.hint(hint))
    }

    /// Renders annotations, given with the names of their templates; says also which could not be rendered.
    pub(super) fn render_all(
        &self,
        templates: &[(String, String)],
        context: &Value,
    ) -> (Labels, Vec<String>) {
        let mut annotations = Labels::new();
        let mut errors = Vec::new();
        for (name, template) in templates {
            let (text, rendered) = self.render(template, context);
            if !rendered {
                errors.push(name.clone());
            }
            annotations.insert(name.clone(), text);
        }
        (annotations, errors)
    }

    /// Renders the template `name`; on an error a plain text that says so, and `false`.
    fn render(&self, name: &str, context: &Value) -> (String, bool) {
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
fn unknown_names(names: &BTreeSet<String>, trial: &Trial) -> Vec<(String, String)> {
    let has = |field: &str| trial.fields.get(field).is_some();
    let has_inner =
        |field: &str| trial.fields.get("fields").is_some_and(|f| f.get(field).is_some());
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
            (root, ..) if trial.roots.names().contains(&root) || FUNCTIONS.contains(&root) => {
                continue;
            }
            ("payload", ..) => "`payload` is there in event rules only: use `event.fields`, which \
                is kept with the alert"
                .to_owned(),
            (root @ ("value" | "count"), ..) => {
                format!("`{root}` is there in gauge, window and absence rules only")
            }
            (root, ..) => format!("unknown variable `{root}`"),
        };
        unknown.push((name.clone(), message));
    }
    unknown
}

/// An error that does not come from a field that some event lacks: an unknown filter, a runaway loop.
fn never_renders(key: &str, source: &At<String>, trial: &Trial) -> Option<Diagnostic> {
    let mut lenient = Templates::lenient();
    if let Err(error) = lenient.add(DRAFT, &source.value) {
        return Some(problem(key, source, &error));
    }
    let blank = std::slice::from_ref(&trial.blank);
    let views = if trial.samples.is_empty() { blank } else { &trial.samples };
    let mut last = None;
    for view in views {
        match lenient.render(DRAFT, view) {
            // What fails for one kind and not for another is left to the run, which has a fallback.
            Ok(_) => return None,
            Err(error) if error.undefined => return None,
            Err(error) => last = Some(error),
        }
    }
    last.map(|error| problem(key, source, &error))
}

fn problem(key: &str, source: &At<String>, error: &TemplateError) -> Diagnostic {
    Diagnostic::error(source.inside(error.line.unwrap_or(1), 1), key, error.message.clone())
}

/// Line and column in characters, both from 1, of the first place where `name` stands.
fn find(source: &str, name: &str) -> (u32, u32) {
    crate::diagnostic::line_and_column(source, source.find(name).unwrap_or(0))
}
