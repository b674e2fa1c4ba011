//! Running totals: the series of the user's own metrics, and what was spent in all.
//!
//! Pure and exact. Both are kept as rows, one for each series, so that they survive a restart and any retention.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Labels, MetricKind};

/// The value of every label of the series that takes what comes beyond a metric's limit.
const OVERFLOW: &str = "__overflow__";

/// Upper bounds of the buckets of histograms, inclusive: Prometheus' default ones. The last, `+Inf`, goes without saying.
pub const HISTOGRAM_BUCKETS: [Decimal; 11] = [
    Decimal::from_parts(5, 0, 0, false, 3),
    Decimal::from_parts(1, 0, 0, false, 2),
    Decimal::from_parts(25, 0, 0, false, 3),
    Decimal::from_parts(5, 0, 0, false, 2),
    Decimal::from_parts(1, 0, 0, false, 1),
    Decimal::from_parts(25, 0, 0, false, 2),
    Decimal::from_parts(5, 0, 0, false, 1),
    Decimal::from_parts(1, 0, 0, false, 0),
    Decimal::from_parts(25, 0, 0, false, 1),
    Decimal::from_parts(5, 0, 0, false, 0),
    Decimal::from_parts(10, 0, 0, false, 0),
];

/// The state of the user's metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meter {
    metrics: BTreeMap<String, BTreeMap<Labels, MeterValue>>,
}

/// One series of the user's metrics, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeterRow {
    /// The metric's name.
    pub name: String,
    /// The labels of the series.
    pub labels: Labels,
    /// Its value.
    pub value: MeterValue,
}

/// The value of a series of the user's metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MeterValue {
    /// All that was added; never falls.
    Counter(Decimal),
    /// The latest.
    Gauge(Decimal),
    /// How values spread.
    Histogram {
        /// How many values were at most each of [`HISTOGRAM_BUCKETS`]; cumulative, as Prometheus exports them.
        buckets: [u64; HISTOGRAM_BUCKETS.len()],
        /// Sum of the values.
        sum: Decimal,
        /// How many values.
        count: u64,
    },
}

/// What became of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// It counts; the series as it is now.
    Changed(MeterRow),
    /// The metric has as many series as it may: it counts in the one whose labels are all `__overflow__`.
    Overflowed(MeterRow),
    /// A counter cannot take a negative value.
    Refused,
}

impl MeterRow {
    /// Identity of the series among all rows: the same labels make the same text.
    pub fn key(&self) -> String {
        // A tuple of texts always becomes JSON.
        serde_json::to_string(&(&self.name, &self.labels)).unwrap_or_default()
    }
}

impl Meter {
    /// The state as it was kept.
    pub fn resume(rows: impl IntoIterator<Item = MeterRow>) -> Self {
        let mut meter = Self::default();
        for row in rows {
            meter.metrics.entry(row.name).or_default().insert(row.labels, row.value);
        }
        meter
    }

    /// Every series.
    pub fn rows(&self) -> impl Iterator<Item = MeterRow> {
        self.metrics.iter().flat_map(|(name, series)| {
            series.iter().map(|(labels, value)| MeterRow {
                name: name.clone(),
                labels: labels.clone(),
                value: value.clone(),
            })
        })
    }

    /// Counts a value. At most `max_series` series of a metric take one of their own; a series whose kind has
    /// changed in the configuration begins anew.
    pub fn apply(
        &mut self,
        name: &str,
        kind: MetricKind,
        labels: &Labels,
        value: Decimal,
        max_series: usize,
    ) -> Applied {
        if kind == MetricKind::Counter && value.is_sign_negative() && !value.is_zero() {
            return Applied::Refused;
        }
        let series = self.metrics.entry(name.to_owned()).or_default();
        let is_full = !series.contains_key(labels)
            && series.keys().filter(|kept| **kept != overflow(kept)).count() >= max_series;
        let labels = if is_full { overflow(labels) } else { labels.clone() };
        let kept = series.entry(labels.clone()).or_insert_with(|| MeterValue::zero(kind));
        if kept.kind() != kind {
            *kept = MeterValue::zero(kind);
        }
        kept.take(value);
        let row = MeterRow { name: name.to_owned(), labels, value: kept.clone() };
        if is_full { Applied::Overflowed(row) } else { Applied::Changed(row) }
    }

    /// Forgets the series that the configuration does not have any more, and returns them, for their rows to be deleted.
    pub fn retain(&mut self, keep: impl Fn(&MeterRow) -> bool) -> Vec<MeterRow> {
        let (kept, gone): (Vec<_>, Vec<_>) = self.rows().partition(keep);
        *self = Self::resume(kept);
        gone
    }
}

impl MeterValue {
    /// Nothing counted yet.
    pub fn zero(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Counter => Self::Counter(Decimal::ZERO),
            MetricKind::Gauge => Self::Gauge(Decimal::ZERO),
            MetricKind::Histogram => Self::Histogram {
                buckets: [0; HISTOGRAM_BUCKETS.len()],
                sum: Decimal::ZERO,
                count: 0,
            },
        }
    }

    /// Which kind of metric it is of.
    pub fn kind(&self) -> MetricKind {
        match self {
            Self::Counter(_) => MetricKind::Counter,
            Self::Gauge(_) => MetricKind::Gauge,
            Self::Histogram { .. } => MetricKind::Histogram,
        }
    }

    fn take(&mut self, value: Decimal) {
        match self {
            Self::Counter(total) => *total = total.saturating_add(value),
            Self::Gauge(latest) => *latest = value,
            Self::Histogram { buckets, sum, count } => {
                for (bucket, bound) in buckets.iter_mut().zip(HISTOGRAM_BUCKETS) {
                    *bucket += u64::from(value <= bound);
                }
                *sum = sum.saturating_add(value);
                *count += 1;
            }
        }
    }
}

/// The labels of the series for what comes beyond the limit. The currency stays: currencies are never added up.
fn overflow(labels: &Labels) -> Labels {
    let stays = |name: &str| name == "currency";
    let value = |(name, value): (&String, &String)| {
        (name.clone(), if stays(name) { value.clone() } else { OVERFLOW.to_owned() })
    };
    labels.iter().map(value).collect()
}

/// What was spent in all, by account, product and currency. Only grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spend {
    /// Added and corrected, by account, product and currency.
    totals: BTreeMap<(String, String, String), (Decimal, Decimal)>,
}

/// One total of [`Spend`], as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendRow {
    /// The account.
    pub account: String,
    /// Product, as [`crate::event::product`] says.
    pub product: String,
    /// ISO 4217 code, or `unknown`; never added to another.
    pub currency: String,
    /// Sum of the charges above zero.
    pub added: Decimal,
    /// Sum of the size of those below.
    pub corrected: Decimal,
}

impl SpendRow {
    /// Nothing spent yet.
    pub fn zero(account: &str, product: &str, currency: &str) -> Self {
        let (account, product, currency) = (account.into(), product.into(), currency.into());
        Self { account, product, currency, added: Decimal::ZERO, corrected: Decimal::ZERO }
    }

    /// Identity of the total among all rows.
    pub fn key(&self) -> String {
        // A tuple of texts always becomes JSON.
        serde_json::to_string(&(&self.account, &self.product, &self.currency)).unwrap_or_default()
    }
}

impl Spend {
    /// The totals as they were kept.
    pub fn resume(rows: impl IntoIterator<Item = SpendRow>) -> Self {
        let totals = rows
            .into_iter()
            .map(|row| ((row.account, row.product, row.currency), (row.added, row.corrected)));
        Self { totals: totals.collect() }
    }

    /// Every total.
    pub fn rows(&self) -> impl Iterator<Item = SpendRow> {
        self.totals.iter().map(|((account, product, currency), &(added, corrected))| SpendRow {
            account: account.clone(),
            product: product.clone(),
            currency: currency.clone(),
            added,
            corrected,
        })
    }

    /// Counts a charge; `None` when it is 0 and changes nothing.
    pub fn apply(
        &mut self,
        account: &str,
        product: &str,
        currency: &str,
        charge: Decimal,
    ) -> Option<SpendRow> {
        if charge.is_zero() {
            return None;
        }
        let key = (account.to_owned(), product.to_owned(), currency.to_owned());
        let total = self.totals.entry(key).or_default();
        let side = if charge.is_sign_negative() { &mut total.1 } else { &mut total.0 };
        *side = side.saturating_add(charge.abs());
        let (account, product, currency) = (account.into(), product.into(), currency.into());
        Some(SpendRow { account, product, currency, added: total.0, corrected: total.1 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("decimal")
    }

    fn labels(value: &str) -> Labels {
        Labels::from([("account".into(), "main".into()), ("status".into(), value.to_owned())])
    }

    fn changed(applied: Applied) -> MeterValue {
        let Applied::Changed(row) = applied else { panic!("{applied:?}") };
        row.value
    }

    #[test]
    fn counters_add_gauges_replace_and_nothing_falls_that_must_not() {
        let mut meter = Meter::default();
        let mut apply = |kind: MetricKind, value: &str| {
            meter.apply(kind.as_str(), kind, &labels("a"), decimal(value), 10)
        };
        assert_eq!(changed(apply(MetricKind::Counter, "0.1")), MeterValue::Counter(decimal("0.1")));
        assert_eq!(changed(apply(MetricKind::Counter, "0.2")), MeterValue::Counter(decimal("0.3")));
        assert_eq!(changed(apply(MetricKind::Counter, "-0")), MeterValue::Counter(decimal("0.3")));
        assert_eq!(apply(MetricKind::Counter, "-0.1"), Applied::Refused);
        assert_eq!(changed(apply(MetricKind::Gauge, "5")), MeterValue::Gauge(decimal("5")));
        assert_eq!(changed(apply(MetricKind::Gauge, "-5")), MeterValue::Gauge(decimal("-5")));
    }

    #[test]
    fn beyond_the_limit_currencies_stay_apart() {
        let mut meter = Meter::default();
        let mut apply = |label: &str, currency: &str, value: &str| {
            let mut labels = labels(label);
            labels.insert("currency".to_owned(), currency.to_owned());
            meter.apply("m", MetricKind::Counter, &labels, decimal(value), 1)
        };
        apply("a", "USD", "2");
        for (label, currency, value, total) in
            [("b", "USD", "3", "3"), ("c", "EUR", "4", "4"), ("d", "USD", "5", "8")]
        {
            let Applied::Overflowed(row) = apply(label, currency, value) else { panic!("is full") };
            assert_eq!((&*row.labels["currency"], &*row.labels["status"]), (currency, OVERFLOW));
            assert_eq!(row.value, MeterValue::Counter(decimal(total)));
        }
    }

    #[test]
    fn a_refused_value_leaves_no_series() {
        let mut meter = Meter::default();
        let refused = meter.apply("m", MetricKind::Counter, &labels("a"), decimal("-1"), 10);
        assert_eq!((refused, meter), (Applied::Refused, Meter::default()));
    }

    #[test]
    fn histograms_are_cumulative_with_inclusive_bounds() {
        let mut meter = Meter::default();
        for value in ["0.005", "0.006", "1", "10", "11", "-1"] {
            meter.apply("m", MetricKind::Histogram, &Labels::new(), decimal(value), 10);
        }
        let row = meter.rows().next().expect("a row");
        let MeterValue::Histogram { buckets, sum, count } = row.value else { panic!("{row:?}") };
        assert_eq!(buckets, [2, 3, 3, 3, 3, 3, 3, 4, 4, 4, 5]);
        assert_eq!((sum.to_string().as_str(), count), ("21.011", 6));
        let default: Vec<String> = HISTOGRAM_BUCKETS.iter().map(Decimal::to_string).collect();
        let theirs: Vec<String> = prometheus::DEFAULT_BUCKETS.iter().map(f64::to_string).collect();
        assert_eq!(default, theirs);
    }

    #[test]
    fn what_is_too_much_flows_into_one_series() {
        let mut meter = Meter::default();
        let mut apply =
            |value: &str| meter.apply("m", MetricKind::Counter, &labels(value), Decimal::ONE, 2);
        assert!(matches!(apply("a"), Applied::Changed(_)));
        assert!(matches!(apply("b"), Applied::Changed(_)));
        for total in [1, 2] {
            let Applied::Overflowed(row) = apply(&format!("c{total}")) else { panic!("not full") };
            let all = [("account", OVERFLOW), ("status", OVERFLOW)];
            assert!(row.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(all), "{row:?}");
            assert_eq!(row.value, MeterValue::Counter(Decimal::from(total)));
        }
        // Those that are there go on, and another metric has room of its own.
        assert_eq!(changed(apply("a")), MeterValue::Counter(Decimal::TWO));
        assert_eq!(meter.rows().count(), 3);
        let other = meter.apply("n", MetricKind::Counter, &labels("x"), Decimal::ONE, 2);
        assert!(matches!(other, Applied::Changed(_)));
    }

    #[test]
    fn rows_are_all_of_the_state() {
        let mut meter = Meter::default();
        meter.apply("c", MetricKind::Counter, &labels("a"), decimal("0.10"), 9);
        meter.apply("g", MetricKind::Gauge, &labels("b\"\\"), decimal("-1"), 9);
        meter.apply("h", MetricKind::Histogram, &Labels::new(), decimal("3"), 9);
        let rows: Vec<String> =
            meter.rows().map(|row| serde_json::to_string(&row).expect("written")).collect();
        let read = rows.iter().map(|row| serde_json::from_str::<MeterRow>(row).expect("read"));
        assert_eq!(Meter::resume(read), meter);
        let keys: std::collections::BTreeSet<String> = meter.rows().map(|row| row.key()).collect();
        assert_eq!(keys.len(), 3);
        // A reload: one is gone, one is of another kind now.
        let gone = meter.retain(|row| row.name != "h");
        assert_eq!(gone.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["h"]);
        let anew = meter.apply("g", MetricKind::Counter, &labels("b\"\\"), decimal("7"), 9);
        assert_eq!(changed(anew), MeterValue::Counter(decimal("7")));
    }

    #[test]
    fn spend_adds_what_is_charged_and_keeps_corrections_apart() {
        let mut spend = Spend::default();
        assert_eq!(spend.apply("main", "voice", "USD", decimal("0.0000")), None);
        for (product, currency, charge, added, corrected) in [
            ("voice", "USD", "0.0106", "0.0106", "0"),
            ("voice", "USD", "-0.0006", "0.0106", "0.0006"),
            ("voice", "EUR", "1", "1", "0"),
            ("messaging", "USD", "0.0051", "0.0051", "0"),
            ("voice", "USD", "1.00", "1.0106", "0.0006"),
        ] {
            let row = spend.apply("main", product, currency, decimal(charge)).expect("changed");
            let totals = (row.added.to_string(), row.corrected.to_string());
            assert_eq!(totals, (added.to_owned(), corrected.to_owned()), "{row:?}");
        }
        assert_eq!(spend.rows().count(), 3);
        assert_eq!(Spend::resume(spend.rows()), spend);
        let kept = serde_json::to_string(&spend.rows().next()).expect("written");
        assert_eq!(
            serde_json::from_str::<Option<SpendRow>>(&kept).expect("read"),
            spend.rows().next()
        );
    }

    proptest! {
        #[test]
        fn a_metric_never_has_more_series_than_it_may(
            values in prop::collection::vec((0..20_u8, -5..50_i64), 0..100), max in 0..10_u32
        ) {
            let mut meter = Meter::default();
            let mut sum = 0;
            for (label, value) in values {
                let applied =
                    meter.apply("m", MetricKind::Counter, &labels(&label.to_string()), value.into(), max as usize);
                prop_assert_eq!(applied == Applied::Refused, value < 0);
                sum += value.max(0);
            }
            // One more for what overflows.
            prop_assert!(meter.rows().count() <= usize::try_from(max).expect("small") + 1);
            let total: Decimal = meter.rows().map(|row| match row.value {
                MeterValue::Counter(total) => total,
                other => panic!("{other:?}"),
            }).sum();
            prop_assert_eq!(total, Decimal::from(sum), "overflow loses nothing");
        }

        #[test]
        fn spent_less_corrected_is_the_sum_of_charges(charges in prop::collection::vec(-1000..1000_i64, 0..50)) {
            let mut spend = Spend::default();
            for charge in &charges {
                spend.apply("main", "voice", "USD", Decimal::new(*charge, 3));
            }
            let net: Decimal = spend.rows().map(|row| row.added - row.corrected).sum();
            prop_assert_eq!(net, Decimal::new(charges.iter().sum(), 3));
        }
    }
}
