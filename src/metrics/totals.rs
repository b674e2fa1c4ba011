//! Counters whose totals are kept elsewhere: they are set, not added to, and so survive a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::Opts;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, LabelPair, Metric, MetricFamily, MetricType};

/// A family of such counters. Clones share their series.
#[derive(Debug, Clone)]
pub(super) struct TotalVec {
    desc: Desc,
    series: Arc<Mutex<BTreeMap<Vec<String>, f64>>>,
}

impl TotalVec {
    pub(super) fn new(opts: Opts, labels: &[&str]) -> prometheus::Result<Self> {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let desc = Desc::new(opts.fq_name(), opts.help, labels, opts.const_labels)?;
        Ok(Self { desc, series: Arc::default() })
    }

    /// Sets the total of one series; as many values as the family has labels.
    pub(super) fn set(&self, values: &[&str], total: f64) {
        debug_assert_eq!(values.len(), self.desc.variable_labels.len(), "one value for each label");
        let values = values.iter().map(|&value| value.to_owned()).collect();
        self.series.lock().unwrap_or_else(PoisonError::into_inner).insert(values, total);
    }

    /// Sets a series to zero that is not there yet.
    pub(super) fn begin(&self, values: &[&str]) {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        self.series.lock().unwrap_or_else(PoisonError::into_inner).entry(values).or_insert(0.0);
    }
}

impl Collector for TotalVec {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let metric = |(values, total): (&Vec<String>, &f64)| {
            let mut labels: Vec<LabelPair> =
                self.desc.variable_labels.iter().zip(values).map(label).collect();
            labels.sort_by(|one, other| one.name().cmp(other.name()));
            let mut counter = Counter::default();
            counter.set_value(*total);
            let mut metric = Metric::from_label(labels);
            metric.set_counter(counter);
            metric
        };
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::COUNTER);
        family.set_metric(series.iter().map(metric).collect());
        vec![family]
    }
}

fn label((name, value): (&String, &String)) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.clone());
    label.set_value(value.clone());
    label
}
