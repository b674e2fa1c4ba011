//! The `metrics` list: series of the user's own, made from events. [`crate::rules::RuleSet::compile`] checks them further.

use super::rule_words::MAX_SERIES;
use super::section::Section;
use super::words::{Key, Kind, Shape, key, required, shape};
use crate::rules::{MetricKind, MetricSpec};

/// An entry of `metrics`.
pub(super) static METRIC: Shape = shape("metric", KEYS);

const KEYS: &[Key] = &[
    required("name", Kind::Text(""), "Name, as Prometheus takes it; not tollbell_… or process_…."),
    required(
        "type",
        Kind::Choice { default: "counter", words: &["counter", "gauge", "histogram"] },
        "A counter adds the values, a gauge keeps the latest, a histogram counts by size.",
    ),
    required("help", Kind::Text(""), "What it says, for people."),
    required("on", Kind::Texts, "Kinds of event; * crosses dots."),
    key("when", Kind::Text(""), "CEL condition; always, when absent."),
    key(
        "value",
        Kind::Text(""),
        "CEL, number or decimal text; a counter without it counts events.",
    ),
    key("by", Kind::Pairs, "Labels from CEL."),
    MAX_SERIES,
];

/// Reads the list.
pub(super) fn read(root: &Section<'_>) -> Vec<MetricSpec> {
    let metric = |section: &Section<'_>| {
        Some(MetricSpec {
            kind: match section.choice("type") {
                "gauge" => MetricKind::Gauge,
                "histogram" => MetricKind::Histogram,
                _ => MetricKind::Counter,
            },
            help: section.text("help").map(|help| help.value).unwrap_or_default(),
            on: section.texts("on"),
            when: section.text("when"),
            value: section.text("value"),
            by: section.pairs("by"),
            max_series: section.integer("max_series"),
            name: section.text("name")?,
        })
    };
    root.sections("metrics").iter().filter_map(metric).collect()
}
