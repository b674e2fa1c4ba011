//! Annotations are tried at load, on sample events of the kinds that their rule names.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::annotations::{Roots, Trial, context};
use super::compile::Compiler;
use super::index::Glob;
use super::names::ENTRIES_MAX;
use super::rule::{Rule, RuleKind};
use super::{Inputs, Labels, RuleSpec};
use crate::event::{self, Event, Incoming, PayloadPolicy, Snapshot};

/// What `value` is when annotations are tried out: 42.00.
const SAMPLE_VALUE: Decimal = Decimal::from_parts(4_200, 0, 0, false, 2);

impl Compiler {
    /// Checks the annotations and gives their names with those of their templates.
    pub(super) fn annotations(&mut self, rule: &Rule, spec: &RuleSpec) -> Vec<(String, String)> {
        if spec.annotations.is_empty() {
            return Vec::new();
        }
        let globs: Vec<Glob> = spec.on.iter().map(|pattern| Glob::new(&pattern.value)).collect();
        let mut label_names = self.account_label_names.clone();
        label_names.extend(["account".to_owned(), "alertname".to_owned()]);
        label_names.extend(rule.by_currency.then(|| "currency".to_owned()));
        label_names.extend(spec.by.iter().map(|(name, _)| name.value.clone()));
        label_names.extend(spec.labels.iter().map(|(name, _)| name.value.clone()));
        let samples = self.samples.iter();
        let samples = samples.filter(|sample| globs.iter().any(|glob| glob.matches(&sample.kind)));
        let blank_labels = label_names.iter().map(|name| (name.clone(), String::new())).collect();
        let blank = &self.blank;
        let trial = match &rule.judged {
            RuleKind::Event { .. } => Trial {
                samples: samples
                    .map(|sample| context(sample, &trial_labels(rule, sample, &label_names)))
                    .collect(),
                blank: context(blank, &blank_labels),
                fields: blank.snapshot(),
                label_names,
                roots: Roots::Event,
            },
            RuleKind::Series(_) => {
                let view = |event: Snapshot, labels: Labels| {
                    let value = (!rule.judged.is_absence()).then_some(SAMPLE_VALUE);
                    self.annotations.series_context(&event, labels, value, 1)
                };
                let blank = view(Snapshot::NONE, blank_labels);
                let samples = samples.map(|sample| {
                    view(sample.snapshot().into(), trial_labels(rule, sample, &label_names))
                });
                Trial {
                    // An absence may be told before any event came.
                    samples: if rule.judged.is_absence() {
                        vec![blank.clone()]
                    } else {
                        samples.collect()
                    },
                    blank,
                    fields: self.blank.snapshot(),
                    label_names,
                    roots: Roots::Series,
                }
            }
        };
        let mut names = Vec::with_capacity(spec.annotations.len());
        for (annotation, source) in spec.annotations.iter().take(ENTRIES_MAX) {
            let key = format!("{}.annotations.{}", rule.name, annotation.value);
            let template = format!("{}#{}", rule.name, annotation.value);
            self.problems.extend(self.annotations.add(&template, &key, source, &trial));
            names.push((annotation.value.clone(), template));
        }
        names
    }
}

/// Labels for a trial rendering: all names are there, the values as far as the sample has them.
fn trial_labels(rule: &Rule, sample: &Event, names: &BTreeSet<String>) -> Labels {
    let mut labels: Labels = names.iter().map(|name| (name.clone(), String::new())).collect();
    for (name, expression) in &rule.by {
        if let Ok(Some(value)) = expression.label(Inputs::of(sample)) {
            labels.insert(name.clone(), value);
        }
    }
    labels.extend(rule.labels.iter().cloned());
    labels.insert("alertname".to_owned(), rule.alert.clone());
    labels
}

/// The sample events, as they would be stored by default.
pub(super) fn samples() -> Vec<Event> {
    event::samples()
        .map(|(_, content_type, body)| {
            event::parse(&Incoming {
                account: "default",
                default_currency: None,
                content_type: Some(content_type),
                body,
                received_at: Timestamp::UNIX_EPOCH,
                policy: PayloadPolicy::Redacted,
            })
        })
        .collect()
}
