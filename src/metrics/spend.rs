//! What was spent, with a bound on the currencies: they come from the network.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::{Metrics, UserValue};
use crate::rules::{HISTOGRAM_BUCKETS, MeterRow, MeterValue, SpendRow};

/// Currencies with series of their own; far more than any account is billed in.
const CURRENCIES_MAX: usize = 20;
/// The currency of what is beyond that. It has no total: currencies are never added.
const OTHER: &str = "other";
/// The currency of what is no code.
const UNKNOWN: &str = "unknown";

/// The currencies that have series of their own.
#[derive(Debug, Default)]
pub(super) struct Currencies(Mutex<BTreeSet<String>>);

impl Currencies {
    /// The currency as a label value.
    pub(super) fn label<'a>(&self, currency: &'a str) -> &'a str {
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return UNKNOWN;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(currency) {
            return currency;
        }
        if known.len() >= CURRENCIES_MAX {
            return OTHER;
        }
        known.insert(currency.to_owned());
        currency
    }
}

impl Metrics {
    /// What was spent in all, of one account, product and currency. Currencies beyond the twentieth share the label
    /// `other` and have NaN for a value.
    pub fn set_spend(&self, row: &SpendRow) {
        let currency = self.currencies.label(&row.currency);
        let labels = [row.account.as_str(), row.product.as_str(), currency];
        let total = |total: Decimal| if currency == OTHER { f64::NAN } else { float(total) };
        self.spend.set(&labels, total(row.added));
        self.spend_corrections.set(&labels, total(row.corrected));
    }

    /// As [`Metrics::set_spend`], where nothing is known yet.
    pub(super) fn spend_begins(&self, row: &SpendRow) {
        let labels = [row.account.as_str(), row.product.as_str(), row.currency.as_str()];
        self.spend.begin(&labels);
        self.spend_corrections.begin(&labels);
    }

    /// One series of the user's, as the engine holds it.
    pub fn set_user_row(&self, row: &MeterRow) {
        self.set_user(&row.name, &row.labels, UserValue::from(&row.value));
    }
}

impl From<&MeterValue> for UserValue {
    fn from(value: &MeterValue) -> Self {
        match value {
            MeterValue::Counter(total) => Self::Counter(float(*total)),
            MeterValue::Gauge(latest) => Self::Gauge(float(*latest)),
            MeterValue::Histogram { buckets, sum, count } => Self::Histogram {
                buckets: HISTOGRAM_BUCKETS.into_iter().map(float).zip(*buckets).collect(),
                sum: float(*sum),
                count: *count,
            },
        }
    }
}

/// The float next to an exact number: Prometheus has no other.
pub(super) fn float(number: Decimal) -> f64 {
    number.to_f64().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Names;
    use crate::rules::Labels;

    fn spent(currency: &str, added: &str, corrected: &str) -> SpendRow {
        SpendRow {
            account: "default".to_owned(),
            product: "voice".to_owned(),
            currency: currency.to_owned(),
            added: added.parse().expect("decimal"),
            corrected: corrected.parse().expect("decimal"),
        }
    }

    #[test]
    fn totals_are_set_and_are_counters() {
        let metrics = Metrics::new(&Names { accounts: vec!["default"], ..Names::default() });
        let zero =
            "tollbell_spend_total{account=\"default\",currency=\"USD\",product=\"voice\"} 0\n";
        assert!(metrics.render().expect("renders").contains(zero));
        metrics.set_spend(&spent("USD", "0.0106", "0"));
        metrics.set_spend(&spent("USD", "0.0157", "0.0006"));
        let page = metrics.render().expect("renders");
        for line in [
            "# TYPE tollbell_spend_total counter",
            "tollbell_spend_total{account=\"default\",currency=\"USD\",product=\"voice\"} 0.0157",
            "tollbell_spend_corrections_total{account=\"default\",currency=\"USD\",product=\"voice\"} 0.0006",
            "tollbell_spend_total{account=\"default\",currency=\"USD\",product=\"messaging\"} 0",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn currencies_are_bounded() {
        let currencies = Currencies::default();
        for odd in ["", "usd", "US", "USDT", "U\"D", "unknown", "\u{20ac}"] {
            assert_eq!(currencies.label(odd), UNKNOWN, "{odd}");
        }
        for letter in b'A'..b'A' + 20 {
            let code = format!("X{}A", char::from(letter));
            assert_eq!(currencies.label(&code), code);
        }
        assert_eq!(currencies.label("ZZZ"), OTHER);
        assert_eq!(currencies.label("XAA"), "XAA", "those that are known stay");

        let metrics = Metrics::new(&Names::default());
        for letter in b'A'..=b'Z' {
            metrics.set_spend(&spent(&format!("X{}A", char::from(letter)), "1", "0"));
        }
        let page = metrics.render().expect("renders");
        assert_eq!(page.matches("\ntollbell_spend_total{").count(), CURRENCIES_MAX + 1);
        assert!(page.contains("currency=\"other\",product=\"voice\"} NaN\n"), "{page}");
    }

    #[test]
    fn the_users_series_are_on_the_page() {
        let metrics = Metrics::new(&Names::default());
        let kind = crate::rules::MetricKind::Histogram;
        metrics.user_metrics(&[("seconds", kind, "Seconds.")]);
        let mut meter = crate::rules::Meter::default();
        meter.apply("seconds", kind, &Labels::new(), Decimal::TWO, 1);
        meter.rows().for_each(|row| metrics.set_user_row(&row));
        let page = metrics.render().expect("renders");
        for line in [
            "# TYPE seconds histogram",
            "seconds_bucket{le=\"1\"} 0",
            "seconds_bucket{le=\"2.5\"} 1",
            "seconds_bucket{le=\"+Inf\"} 1",
            "seconds_sum 2",
        ] {
            assert!(page.contains(&format!("\n{line}\n")), "{line} is not in\n{page}");
        }
        metrics.remove_user("seconds", &Labels::new());
        assert!(!metrics.render().expect("renders").contains("\nseconds_sum"));
    }
}
