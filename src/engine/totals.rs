//! Running totals: what was spent, and the series of the user's own metrics.

use std::collections::BTreeSet;

use super::step::{At, Batch};
use crate::rules::{Applied, CallContext, Measurement};

impl Batch<'_> {
    /// Counts what the user's own metrics say of an event.
    pub(super) fn measure(&mut self, at: &At<'_>, call: Option<&CallContext>) {
        let policy = self.policy;
        for Measurement { name, finding } in policy.rules.measure(at.event, call) {
            let (labels, value) = match finding {
                Ok(found) => found,
                Err(failure) => {
                    self.judged.report.count(&name, failure.reason.as_str());
                    continue;
                }
            };
            let Some(metric) = policy.rules.metric(&name) else { continue };
            let max = metric.max_series;
            match self.state.meter.apply(&name, metric.kind, &labels, value, max) {
                Applied::Changed(row) => self.state.metered(row),
                Applied::Overflowed(row) => {
                    self.judged.report.overflow(&name);
                    self.state.metered(row);
                }
                Applied::Refused => self.judged.report.count(&name, "refused"),
            }
        }
    }

    /// Forgets the series of metrics that the configuration does not have any more, or not with these labels.
    pub(super) fn apply_to_metrics(&mut self) {
        let rules = &self.policy.rules;
        let gone = self.state.meter.retain(|row| {
            rules.metric(&row.name).is_some_and(|metric| {
                let names: BTreeSet<&String> = metric.label_names.iter().collect();
                metric.kind == row.value.kind() && row.labels.keys().eq(names)
            })
        });
        for row in &gone {
            self.state.unmetered(row);
        }
        self.judged.report.unmetered = gone;
    }
}
