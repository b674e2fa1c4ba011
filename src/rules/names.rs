//! What may be a name: of groups and alerts, of labels and annotations, of metrics.

use std::collections::{BTreeMap, BTreeSet};

use super::expression::LABEL_BYTES_MAX;
use super::{MetricSpec, RuleSpec};
use crate::diagnostic::{At, Diagnostic, Position};

/// Most `by` labels, fixed labels or annotations of one rule, each.
pub(super) const ENTRIES_MAX: usize = 32;
/// Longest group, alert, label or metric name, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 128;
/// Labels that tollbell sets itself.
const RESERVED_LABELS: &[&str] = &["account", "alertname", "currency"];
/// Beginnings of metric names that are tollbell's own.
const RESERVED_METRICS: &[&str] = &["tollbell_", "process_"];
const LABEL_NAME: &str = "expected letters, digits and _, no digit first and not two _";
const METRIC_NAME: &str = "expected letters, digits, _ and :, no digit first";

type Pair = (At<String>, At<String>);

/// Whether Prometheus takes this as the name of a label that users set.
fn is_label_name(name: &str) -> bool {
    is_word(name, |byte| byte == b'_') && !name.starts_with("__")
}

fn is_word(name: &str, also: fn(u8) -> bool) -> bool {
    let mut bytes = name.bytes();
    name.len() <= NAME_BYTES_MAX
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || also(first))
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || also(byte))
}

/// Whether a text can name a group or an alert.
fn is_name(name: &str) -> bool {
    !name.trim().is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.contains(|c: char| c.is_control())
}

/// What is wrong with the names of the rule called `rule`, its labels and annotations, and with fixed label values.
pub(super) fn check_rule(rule: &str, spec: &RuleSpec) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for part in [&spec.group, &spec.alert.value] {
        if !is_name(part) {
            let message = format!(
                "a group or alert name has 1 to {NAME_BYTES_MAX} bytes and no control characters"
            );
            problems.push(Diagnostic::error(spec.alert.position.clone(), rule, message));
        }
    }
    let sections = [("by", &*spec.by), ("labels", &*spec.labels)];
    problems.extend(check_labels(rule, &sections, RESERVED_LABELS));
    for (label, text) in &spec.labels {
        if text.value.len() > LABEL_BYTES_MAX {
            let key = format!("{rule}.labels.{}", label.value);
            let message = format!("a label value longer than {LABEL_BYTES_MAX} bytes");
            problems.push(Diagnostic::error(text.position.clone(), key, message));
        }
    }
    let mut annotations = BTreeSet::new();
    for (annotation, _) in &spec.annotations {
        let message = if !is_label_name(&annotation.value) {
            LABEL_NAME
        } else if !annotations.insert(&annotation.value) {
            "the annotation is already there"
        } else {
            continue;
        };
        let key = format!("{rule}.annotations.{}", annotation.value);
        problems.push(Diagnostic::error(annotation.position.clone(), key, message));
    }
    let sections =
        [("by", &*spec.by), ("labels", &*spec.labels), ("annotations", &*spec.annotations)];
    problems.extend(check_counts(rule, &sections));
    problems
}

/// What is wrong with the names of a metric and its labels; `key` is its path.
pub(super) fn check_metric(key: &str, spec: &MetricSpec, by_currency: bool) -> Vec<Diagnostic> {
    let name = &spec.name;
    let error = |message: String| Diagnostic::error(name.position.clone(), key, message);
    let mut problems = Vec::new();
    if !is_word(&name.value, |byte| matches!(byte, b'_' | b':')) {
        problems.push(error(METRIC_NAME.to_owned()));
    }
    if let Some(own) = RESERVED_METRICS.iter().find(|own| name.value.starts_with(**own)) {
        problems.push(error(format!("names that begin with {own} are tollbell's own")));
    }
    let reserved: &[&str] = match (by_currency, spec.kind) {
        (true, super::MetricKind::Histogram) => &["currency", "le"],
        (true, _) => &["currency"],
        (false, super::MetricKind::Histogram) => &["le"],
        (false, _) => &[],
    };
    problems.extend(check_labels(key, &[("by", &*spec.by)], reserved));
    problems.extend(check_counts(key, &[("by", &*spec.by)]));
    problems
}

fn check_labels(of: &str, sections: &[(&str, &[Pair])], reserved: &[&str]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut seen = BTreeMap::<&str, &str>::new();
    for (section, entries) in sections {
        for (label, _) in *entries {
            let message = if reserved.contains(&label.value.as_str()) {
                format!("tollbell sets the label `{}` itself", label.value)
            } else if !is_label_name(&label.value) {
                LABEL_NAME.to_owned()
            } else if let Some(other) = seen.insert(&label.value, section) {
                format!("the label is already set in `{other}`")
            } else {
                continue;
            };
            let key = format!("{of}.{section}.{}", label.value);
            problems.push(Diagnostic::error(label.position.clone(), key, message));
        }
    }
    problems
}

fn check_counts(of: &str, sections: &[(&str, &[Pair])]) -> Vec<Diagnostic> {
    let beyond = |(section, entries): &(&str, &[Pair])| {
        let (name, _) = entries.get(ENTRIES_MAX)?;
        let message = format!("more than {ENTRIES_MAX} entries");
        Some(Diagnostic::error(name.position.clone(), format!("{of}.{section}"), message))
    };
    sections.iter().filter_map(beyond).collect()
}

/// The problem of a name that is given twice.
pub(super) fn twice(
    what: &str,
    name: &str,
    at: &Position,
    key: &str,
    first: &Position,
) -> Diagnostic {
    Diagnostic::error(at.clone(), key, format!("{what} `{name}` is already defined at {first}"))
}
