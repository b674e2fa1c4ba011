//! What is known of accounts by Telnyx's API.

use jiff::Timestamp;
use prometheus::GaugeVec;
use rust_decimal::Decimal;

use super::Metrics;
use super::spend::float;
use crate::store::Reading;

/// What becomes of a heartbeat; values of the `outcome` label.
pub(super) const HEARTBEAT_OUTCOMES: [&str; 3] = ["sent", "failed", "withheld"];

impl Metrics {
    /// A call of Telnyx's API ended; `code` is its status, `timeout` or `error`.
    pub fn telnyx_api_request(&self, endpoint: &'static str, code: &str) {
        self.telnyx_api_requests.with_label_values(&[endpoint, code]).inc();
    }

    /// A balance was read. What Telnyx did not tell, or cannot be estimated, has no series.
    pub fn balance_is(&self, reading: &Reading) {
        let currency = reading.currency.as_deref().unwrap_or_default();
        let labels = [reading.account.as_str(), self.currencies.label(currency)];
        set(&self.balance, &labels, reading.balance);
        set(&self.available_credit, &labels, reading.available_credit);
        set(&self.burn_per_hour, &labels, reading.burn_per_hour);
        set(&self.hours_left, &[&reading.account], reading.hours_left);
        self.balance_read_at
            .with_label_values(&[&reading.account])
            .set(reading.at.as_duration().as_secs_f64());
    }

    /// Missed webhooks were fetched.
    pub fn backfilled(&self, account: &str, events: u64) {
        self.backfilled.with_label_values(&[account]).inc_by(events);
    }

    /// Missed webhooks were looked for up to this time.
    pub fn backfilled_until(&self, account: &str, until: Timestamp) {
        let seconds = until.as_duration().as_secs_f64();
        self.backfilled_until.with_label_values(&[account]).set(seconds);
    }

    /// A part of the log had more entries than are read.
    pub fn backfill_cut(&self, account: &str) {
        self.backfill_cut.with_label_values(&[account]).inc();
    }

    /// A heartbeat was due: `sent`, `failed` or `withheld`.
    pub fn heartbeat(&self, outcome: &'static str) {
        self.heartbeats.with_label_values(&[outcome]).inc();
    }
}

fn set(family: &GaugeVec, labels: &[&str], value: Option<Decimal>) {
    match value {
        Some(value) => family.with_label_values(labels).set(float(value)),
        // Refused when there was none.
        None => drop(family.remove_label_values(labels)),
    }
}
