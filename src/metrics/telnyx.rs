//! What is known of accounts by Telnyx's API.

use jiff::Timestamp;
use prometheus::GaugeVec;
use rust_decimal::Decimal;

use super::Metrics;
use super::names::remove_where;
use super::spend::float;
use crate::store::Reading;

/// Products that Telnyx may limit. It names one today; the others are those that it bills.
const LIMITED: [&str; 8] =
    ["inference", "ai", "voice", "messaging", "fax", "verify", "wireless", "storage"];
/// What a limit may be of.
const PERIODS: [&str; 2] = ["daily", "monthly"];

impl Metrics {
    /// A call of Telnyx's API ended; `code` is its status, `timeout` or `error`.
    pub fn telnyx_api_request(&self, endpoint: &'static str, code: &str) {
        self.telnyx_api_requests.with_label_values(&[endpoint, code]).inc();
    }

    /// A balance was read. What Telnyx did not tell, or cannot be estimated, has no series, and another currency's has
    /// none any more. Of an account that is not asked any more nothing is shown: its last reading may end after a reload.
    pub fn set_balance(&self, reading: &Reading) {
        // Held until the end, so that a reload comes before it or after it.
        let names = self.names();
        if !names.asked.contains(&reading.account) {
            return;
        }
        let currency = reading.currency.as_deref().unwrap_or_default();
        let labels = [reading.account.as_str(), self.currencies.label(currency)];
        for family in [&self.balance, &self.available_credit, &self.burn_per_hour] {
            remove_where(family, |found| {
                found.get("account") == Some(&labels[0])
                    && found.get("currency") != Some(&labels[1])
            });
        }
        set(&self.balance, &labels, reading.balance);
        set(&self.available_credit, &labels, reading.available_credit);
        set(&self.burn_per_hour, &labels, reading.burn_per_hour);
        set(&self.hours_left, &[&reading.account], reading.hours_left);
        self.balance_read_at
            .with_label_values(&[&reading.account])
            .set(reading.at.as_duration().as_secs_f64());
    }

    /// A spend limit was read: what is enforced, what was spent, and whether the product is blocked. What Telnyx does not tell
    /// has no series. Products that are not known share the label `other`, periods are days and months.
    pub fn set_spend_limit(
        &self,
        account: &str,
        product: &str,
        period: &str,
        (limit, spend, blocked): (Option<Decimal>, Option<Decimal>, bool),
    ) {
        let names = self.names();
        if !names.asked.contains(account) {
            return;
        }
        let labels = [account, known(product, &LIMITED), known(period, &PERIODS)];
        set(&self.spend_limit, &labels, limit);
        set(&self.spend_limit_spend, &labels, spend);
        set(&self.spend_limit_blocked, &labels, Some(Decimal::from(u8::from(blocked))));
    }

    /// Of an account's spend limits only these (product and period) are known now; none where they cannot be read any more.
    pub fn keep_spend_limits(&self, account: &str, kept: &[(&str, &str)]) {
        let kept: Vec<_> =
            kept.iter().map(|it| (known(it.0, &LIMITED), known(it.1, &PERIODS))).collect();
        for family in [&self.spend_limit, &self.spend_limit_spend, &self.spend_limit_blocked] {
            remove_where(family, |found| {
                let label = |name: &str| found.get(name).copied().unwrap_or_default();
                label("account") == account && !kept.contains(&(label("product"), label("period")))
            });
        }
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

/// A word of the network as a label value: itself where it is known, else `other`.
fn known(word: &str, known: &[&'static str]) -> &'static str {
    known.iter().copied().find(|it| *it == word).unwrap_or("other")
}

fn set(family: &GaugeVec, labels: &[&str], value: Option<Decimal>) {
    match value {
        Some(value) => family.with_label_values(labels).set(float(value)),
        // Refused when there was none.
        None => drop(family.remove_label_values(labels)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Names;
    use super::*;

    fn reading(account: &str, currency: Option<&str>, balance: i64) -> Reading {
        Reading {
            account: account.to_owned(),
            at: Timestamp::UNIX_EPOCH,
            currency: currency.map(str::to_owned),
            balance: Some(balance.into()),
            available_credit: Some(balance.into()),
            credit_limit: None,
            pending: None,
            burn_per_hour: Some(1.into()),
            hours_left: Some(balance.into()),
        }
    }

    /// Labels and value of each series of a name.
    fn series(metrics: &Metrics, name: &str) -> Vec<String> {
        let page = metrics.render().expect("renders");
        page.lines().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
    }

    #[test]
    fn an_account_has_the_series_of_its_present_currency_only() {
        let metrics = Metrics::new(&Names { asked: vec!["a", "b"], ..Names::default() });
        metrics.set_balance(&reading("b", Some("USD"), 7));
        for (currency, balance, label) in [
            (Some("USD"), 30, "USD"),
            (Some("EUR"), 500, "EUR"),
            (None, 400, "unknown"),
            (Some("EUR"), 450, "EUR"),
        ] {
            metrics.set_balance(&reading("a", currency, balance));
            for (name, value) in [
                ("tollbell_balance{", balance),
                ("tollbell_available_credit{", balance),
                ("tollbell_burn_per_hour{", 1),
            ] {
                let other = if value == 1 { 1 } else { 7 };
                assert_eq!(
                    series(&metrics, name),
                    [
                        format!("account=\"a\",currency=\"{label}\"}} {value}"),
                        format!("account=\"b\",currency=\"USD\"}} {other}"),
                    ]
                );
            }
        }
    }

    #[test]
    fn an_account_that_is_not_asked_any_more_has_no_balance_also_where_its_last_reading_comes_late()
    {
        let names = Names { accounts: vec!["a"], asked: vec!["a"], ..Names::default() };
        let metrics = Metrics::new(&names);
        let one = reading("a", Some("USD"), 30);
        metrics.set_balance(&one);
        metrics.backfilled_until("a", Timestamp::UNIX_EPOCH);
        metrics.set_names(&Names { accounts: vec!["a"], ..Names::default() });
        metrics.set_balance(&one);
        for name in
            ["balance", "available_credit", "burn_per_hour", "hours_left", "backfill_covered"]
        {
            assert_eq!(series(&metrics, &format!("tollbell_{name}")), Vec::<String>::new());
        }
        metrics.set_names(&names);
        metrics.set_balance(&one);
        assert_eq!(series(&metrics, "tollbell_hours_left"), ["{account=\"a\"} 30"]);
    }
}
