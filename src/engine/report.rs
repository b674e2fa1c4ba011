//! What is counted and logged of a batch, once it is committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::Totals;
use crate::alerts::{Fingerprint, Suppression};
use crate::rules::MeterRow;

/// What is counted and logged of a batch that was committed.
#[derive(Debug, Default)]
pub struct Report {
    /// Rule and outcome of every evaluation.
    pub(super) tally: BTreeMap<(Arc<str>, &'static str), u64>,
    /// Alerts that began or ended.
    pub(super) changed: Vec<Changed>,
    /// Annotations that could not render.
    pub(super) template_errors: usize,
    /// Alerts that began to be kept quiet, and why.
    pub(super) quieted: Vec<(Fingerprint, Suppression)>,
    /// Events that went to an overflow series, by rule.
    pub(super) overflowed: BTreeMap<Arc<str>, u64>,
    /// Totals that changed.
    pub(super) totals: Totals,
    /// Series of the user's metrics that are gone.
    pub(super) unmetered: Vec<MeterRow>,
    /// Events whose cost is there and cannot be read, by account.
    pub(super) unread_amounts: BTreeMap<String, u64>,
    /// Alerts that found no room in their group.
    pub(super) crowded_out: usize,
}

/// One alert that began or ended. Its labels may hold what a payload says, and stay out of the log.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) account: String,
    /// Kind and id of the event; empty where time did it.
    pub(super) kind: String,
    pub(super) event: String,
    pub(super) rule: String,
    pub(super) outcome: &'static str,
}

impl Report {
    /// Evaluations: rule or metric, outcome, and how many.
    pub fn tally(&self) -> impl Iterator<Item = (&str, &'static str, u64)> {
        self.tally.iter().map(|((rule, outcome), count)| (&**rule, *outcome, *count))
    }

    /// Alerts that began (`fired`) or ended: rule and outcome.
    pub fn changed(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.changed.iter().map(|changed| (&*changed.rule, changed.outcome))
    }

    /// Alerts that began to be kept quiet, and why.
    pub fn quieted(&self) -> impl Iterator<Item = &(Fingerprint, Suppression)> {
        self.quieted.iter()
    }

    /// Counts an event that went to an overflow series.
    pub(super) fn overflow(&mut self, rule: &Arc<str>) {
        *self.overflowed.entry(Arc::clone(rule)).or_default() += 1;
    }

    /// Counts an evaluation.
    pub(super) fn count(&mut self, rule: &Arc<str>, outcome: &'static str) {
        *self.tally.entry((Arc::clone(rule), outcome)).or_default() += 1;
    }
}
