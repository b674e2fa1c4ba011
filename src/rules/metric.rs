//! The user's own metrics: checked at load, measured at each event.

use std::collections::HashMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::compile::{Compiler, uses_money};
use super::index::{Hit, Index};
use super::judge::{by_labels, holds, named};
use super::{
    CallContext, Expression, Failure, FailureReason, Inputs, Labels, Measurement, MetricKind,
    MetricSpec, Want, names,
};
use crate::diagnostic::{Diagnostic, Position};
use crate::event::Event;

/// One of the user's own metrics, ready to measure.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: Arc<str>,
    /// How events become a value.
    pub kind: MetricKind,
    /// HELP text.
    pub help: String,
    /// Names of its labels; `currency` is the last where it looks at money.
    pub label_names: Vec<String>,
    /// Label sets at most; what comes beyond goes to one whose labels are all `__overflow__`.
    pub max_series: usize,
    when: Option<Expression>,
    /// None counts events.
    value: Option<Expression>,
    by: Vec<(String, Expression)>,
    by_currency: bool,
}

/// All of them, by the kinds that they name.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) all: Vec<Metric>,
    index: Index,
}

impl Metrics {
    /// What they say of an event, in their order.
    pub(super) fn measure(&self, event: &Event, call: Option<&CallContext>) -> Vec<Measurement> {
        let inputs = Inputs::Event { event, call };
        let hits = self.index.hits(&event.kind);
        let measured = hits.iter().filter_map(|hit| {
            let metric = self.all.get(hit.rule)?;
            let finding = metric.measure(event, inputs).transpose()?;
            Some(Measurement { name: Arc::clone(&metric.name), finding })
        });
        measured.collect()
    }
}

impl Metric {
    fn measure(
        &self,
        event: &Event,
        inputs: Inputs<'_>,
    ) -> Result<Option<(Labels, Decimal)>, Failure> {
        if !holds(self.when.as_ref(), inputs, "when")? {
            return Ok(None);
        }
        let value = match &self.value {
            None => Some(Decimal::ONE),
            Some(value) => value.number(inputs).map_err(|failure| named("value", failure))?,
        };
        let Some(value) = value else { return Ok(None) };
        if self.kind == MetricKind::Counter && value.is_sign_negative() && !value.is_zero() {
            let detail = "value: a counter takes no negative value".to_owned();
            return Err(Failure { reason: FailureReason::Other, detail });
        }
        let mut labels = Labels::new();
        by_labels(&self.by, inputs, &mut labels)?;
        if self.by_currency {
            let currency = event.currency.as_deref().unwrap_or("unknown");
            labels.insert("currency".to_owned(), currency.to_owned());
        }
        Ok(Some((labels, value)))
    }
}

impl Compiler {
    /// Compiles metrics; one with an error is left out.
    pub(super) fn metrics(&mut self, specs: Vec<MetricSpec>) -> Metrics {
        let mut all = Vec::with_capacity(specs.len());
        let mut patterns = Vec::new();
        let mut seen = HashMap::<String, Position>::new();
        for spec in specs {
            let key = format!("metrics.{}", spec.name.value);
            let at = &spec.name.position;
            if let Some(first) = seen.get(&spec.name.value) {
                self.problems.push(names::twice("metric", &spec.name.value, at, &key, first));
                continue;
            }
            seen.insert(spec.name.value.clone(), at.clone());
            let problems_before = self.problems.len();
            let kinds = self.kinds(&spec.on, &format!("{key}.on"), at);
            let at = at.clone();
            let metric = self.metric(&key, spec);
            if metric.by_currency {
                self.moneyless(&kinds, &format!("{key}.on"), &at);
            }
            if !self.error_since(problems_before) {
                let hit = Hit { rule: all.len(), fires: true, resolves: false };
                patterns.extend(kinds.into_iter().map(|kind| (kind, hit)));
                all.push(metric);
            }
        }
        let index = Index::new(patterns.iter().map(|(pattern, hit)| (pattern.as_str(), *hit)));
        Metrics { all, index }
    }

    fn metric(&mut self, key: &str, spec: MetricSpec) -> Metric {
        let when = self.event_expression(spec.when.as_ref(), &format!("{key}.when"), Want::Bool);
        let value = spec.value.as_ref();
        let value = self.event_expression(value, &format!("{key}.value"), Want::Number);
        let by = self.by(key, &spec.by);
        let by_currency = uses_money(when.as_ref(), value.as_ref(), &by);
        self.problems.extend(names::check_metric(key, &spec, by_currency));
        let at = &spec.name.position;
        match spec.kind {
            MetricKind::Counter if !spec.name.value.ends_with("_total") => {
                let message = "the name of a counter ends in _total";
                self.problems.push(Diagnostic::warning(at.clone(), key, message));
            }
            MetricKind::Gauge | MetricKind::Histogram if spec.value.is_none() => {
                let message = format!("a {} has to have a value", spec.kind.as_str());
                self.error(at, key, message);
            }
            _ => {}
        }
        let names = spec.by.iter().map(|(name, _)| name.value.clone());
        Metric {
            name: spec.name.value.into(),
            kind: spec.kind,
            help: spec.help,
            label_names: names.chain(by_currency.then(|| "currency".to_owned())).collect(),
            max_series: usize::try_from(spec.max_series).unwrap_or(usize::MAX),
            when,
            value,
            by,
            by_currency,
        }
    }
}
