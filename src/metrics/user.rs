//! The user's own series, made from events by the `metrics` list of the configuration.
//!
//! Their names and labels change with a reload, which a registry of declared series does not allow; so they are kept and
//! written here. The bound on their number is the engine's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::rules::{Labels, MetricKind};

/// The value of one of the user's series, as it is exported.
#[derive(Debug, Clone, PartialEq)]
pub enum UserValue {
    /// The total of a counter.
    Counter(f64),
    /// The latest value of a gauge.
    Gauge(f64),
    /// How values spread.
    Histogram {
        /// Upper bound and how many values were at most that, rising; without `+Inf`, which is `count`.
        buckets: Vec<(f64, u64)>,
        /// Sum of the values.
        sum: f64,
        /// How many values.
        count: u64,
    },
}

impl UserValue {
    fn kind(&self) -> MetricKind {
        match self {
            Self::Counter(_) => MetricKind::Counter,
            Self::Gauge(_) => MetricKind::Gauge,
            Self::Histogram { .. } => MetricKind::Histogram,
        }
    }
}

#[derive(Debug)]
struct Family {
    kind: MetricKind,
    help: String,
    series: BTreeMap<Labels, UserValue>,
}

/// The user's families by name.
#[derive(Debug, Default)]
pub(super) struct UserSeries(Mutex<BTreeMap<String, Family>>);

impl UserSeries {
    /// The families of the configuration in force. What is declared no more, or as another kind, loses its series.
    pub(super) fn declare(&self, families: &[(&str, MetricKind, &str)]) {
        let mut kept = self.families();
        let mut before = std::mem::take(&mut *kept);
        for &(name, kind, help) in families {
            let old = before.remove(name).filter(|family| family.kind == kind);
            let series = old.map(|family| family.series).unwrap_or_default();
            kept.insert(name.to_owned(), Family { kind, help: help.to_owned(), series });
        }
    }

    /// Sets the series without labels of a declared family, unless it is there.
    pub(super) fn begin(&self, name: &str, value: UserValue) {
        let mut families = self.families();
        let family = families.get_mut(name).filter(|family| family.kind == value.kind());
        if let Some(family) = family {
            family.series.entry(Labels::new()).or_insert(value);
        }
    }

    /// Sets one series; a family that is not declared, or is of another kind, is left alone.
    pub(super) fn set(&self, name: &str, labels: &Labels, value: UserValue) {
        let mut families = self.families();
        let family = families.get_mut(name).filter(|family| family.kind == value.kind());
        if let Some(family) = family {
            match family.series.get_mut(labels) {
                Some(known) => *known = value,
                None => drop(family.series.insert(labels.clone(), value)),
            }
        }
    }

    /// Forgets one series.
    pub(super) fn remove(&self, name: &str, labels: &Labels) {
        if let Some(family) = self.families().get_mut(name) {
            family.series.remove(labels);
        }
    }

    /// Appends all families in the text format; one without series has its HELP and TYPE all the same.
    pub(super) fn render(&self, text: &mut String) {
        for (name, family) in self.families().iter() {
            family.render(name, text).expect("writing to a string cannot fail");
        }
    }

    fn families(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Family {
    fn render(&self, name: &str, text: &mut String) -> std::fmt::Result {
        if !self.help.trim().is_empty() {
            writeln!(text, "# HELP {name} {}", escaped(self.help.trim(), false))?;
        }
        writeln!(text, "# TYPE {name} {}", self.kind.as_str())?;
        for (labels, value) in &self.series {
            let pairs = labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{}\"", escaped(value, true)))
                .collect::<Vec<_>>()
                .join(",");
            let braced = if pairs.is_empty() { String::new() } else { format!("{{{pairs}}}") };
            match value {
                UserValue::Counter(value) | UserValue::Gauge(value) => {
                    writeln!(text, "{name}{braced} {}", number(*value))?;
                }
                UserValue::Histogram { buckets, sum, count } => {
                    let comma = if pairs.is_empty() { "" } else { "," };
                    for (bound, below) in buckets {
                        let bound = number(*bound);
                        writeln!(text, "{name}_bucket{{{pairs}{comma}le=\"{bound}\"}} {below}")?;
                    }
                    writeln!(text, "{name}_bucket{{{pairs}{comma}le=\"+Inf\"}} {count}")?;
                    writeln!(text, "{name}_sum{braced} {}", number(*sum))?;
                    writeln!(text, "{name}_count{braced} {count}")?;
                }
            }
        }
        Ok(())
    }
}

/// HELP escapes backslash and line feed, a label's value the quote too. A carriage return would break no parser, but pages.
fn escaped(text: &str, quoted: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quoted => escaped.push_str("\\\""),
            '\r' => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// The format's words for what is no ordinary number.
fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn page(series: &UserSeries) -> String {
        let mut text = String::new();
        series.render(&mut text);
        text
    }

    #[test]
    fn families_are_there_before_their_series_and_all_kinds_are_written() {
        let series = UserSeries::default();
        series.declare(&[
            ("calls_total", MetricKind::Counter, "Calls,\nby \\ \"status\"."),
            ("depth", MetricKind::Gauge, ""),
            ("seconds", MetricKind::Histogram, "Seconds."),
        ]);
        assert_eq!(
            page(&series),
            "# HELP calls_total Calls,\\nby \\\\ \"status\".\n# TYPE calls_total counter\n\
             # TYPE depth gauge\n# HELP seconds Seconds.\n# TYPE seconds histogram\n"
        );
        let odd = labels(&[("account", "main"), ("status", "a\\b\"c\nd\re{}=\u{e9}")]);
        series.set("calls_total", &odd, UserValue::Counter(0.3));
        series.set("depth", &Labels::new(), UserValue::Gauge(f64::NEG_INFINITY));
        let spread =
            UserValue::Histogram { buckets: vec![(0.005, 1), (10.0, 2)], sum: 11.5, count: 3 };
        series.set("seconds", &Labels::new(), spread.clone());
        series.set("seconds", &labels(&[("a", "b")]), spread);
        insta::assert_snapshot!(page(&series), @r#"
        # HELP calls_total Calls,\nby \\ "status".
        # TYPE calls_total counter
        calls_total{account="main",status="a\\b\"c\nd e{}=é"} 0.3
        # TYPE depth gauge
        depth -Inf
        # HELP seconds Seconds.
        # TYPE seconds histogram
        seconds_bucket{le="0.005"} 1
        seconds_bucket{le="10"} 2
        seconds_bucket{le="+Inf"} 3
        seconds_sum 11.5
        seconds_count 3
        seconds_bucket{a="b",le="0.005"} 1
        seconds_bucket{a="b",le="10"} 2
        seconds_bucket{a="b",le="+Inf"} 3
        seconds_sum{a="b"} 11.5
        seconds_count{a="b"} 3
        "#);
    }

    #[test]
    fn a_reload_keeps_what_is_declared_alike_and_nothing_else() {
        let series = UserSeries::default();
        let (counter, gauge) = (MetricKind::Counter, MetricKind::Gauge);
        series.declare(&[("a", counter, "x"), ("b", counter, "x"), ("c", counter, "x")]);
        for name in ["a", "b", "c", "nobody"] {
            series.set(name, &Labels::new(), UserValue::Counter(1.0));
        }
        series.set("a", &Labels::new(), UserValue::Gauge(7.0));
        series.declare(&[("a", counter, "y"), ("b", gauge, "x"), ("d", gauge, "x")]);
        assert_eq!(
            page(&series),
            "# HELP a y\n# TYPE a counter\na 1\n# HELP b x\n# TYPE b gauge\n# HELP d x\n# TYPE d gauge\n"
        );
        series.remove("a", &Labels::new());
        assert!(!page(&series).contains("\na 1\n"));
    }
}
