//! The `metrics` list: series of the user's own, made from events. [`crate::rules::RuleSet::compile`] checks them further.

use super::words::{ConfigWords, MetricWords};
use crate::rules::{MetricKind, MetricSpec};

/// Reads the list.
pub(super) fn read(root: &ConfigWords<'_>) -> Vec<MetricSpec> {
    let metric = |section: &MetricWords<'_>| {
        Some(MetricSpec {
            kind: match section.r#type() {
                "gauge" => MetricKind::Gauge,
                "histogram" => MetricKind::Histogram,
                _ => MetricKind::Counter,
            },
            help: section.help().map(|help| help.value).unwrap_or_default(),
            on: section.on(),
            when: section.when(),
            value: section.value(),
            by: section.by(),
            max_series: section.max_series(),
            name: section.name()?,
        })
    };
    root.metrics().iter().filter_map(metric).collect()
}
