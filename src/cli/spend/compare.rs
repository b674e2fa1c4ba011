//! The ledger against what Telnyx says.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde::Serialize;

use super::output;
use super::range::Range;
use crate::spend::Total;
use crate::telnyx::breakdown::{self, NumberCharge};
use crate::telnyx::charges::{Days, GRAND_TOTAL, PERIODS_MAX, Parts, Summary, totals};
use crate::telnyx::{ApiError, Client};

/// What Telnyx charged within the days of the range, and how far that is from the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Compared {
    /// The days in UTC.
    #[serde(flatten)]
    pub(super) days: Days,
    /// One for each currency that either knows.
    pub(super) currencies: Vec<Sides>,
    /// What Telnyx answered, period by period.
    pub(super) periods: Vec<Summary>,
    /// What Telnyx charges for each of our numbers; `None` where numbers are not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) numbers: Option<Vec<NumberCharge>>,
    /// Why that is not known; one line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) numbers_error: Option<String>,
}

/// What the two say of one currency. Telnyx's amounts are `None` where it does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Sides {
    pub(super) currency: String,
    /// What the ledger adds up to.
    pub(super) ledger: Decimal,
    /// Telnyx's grand total.
    pub(super) telnyx: Option<Decimal>,
    /// By how much Telnyx's is more.
    pub(super) difference: Option<Decimal>,
    /// What Telnyx's total is made of.
    pub(super) parts: Parts,
}

impl Compared {
    /// Asks Telnyx; the error is one line for people. Half an answer is none.
    pub(super) async fn ask(
        client: &Client,
        range: Range,
        ledger: &[Total],
        by_number: bool,
    ) -> Result<Self, String> {
        let days = range.utc_days().ok_or("that is too long ago")?;
        let periods = days.periods().ok_or_else(|| {
            format!("the range is too long: Telnyx is asked for {PERIODS_MAX} months at most")
        })?;
        let mut summaries = Vec::new();
        for (n, period) in (1..).zip(&periods) {
            if periods.len() > 1 {
                let count = periods.len();
                output::progress(&format!("charges summary: period {n} of {count}"));
            }
            let summary = Summary::fetch(client, *period).await;
            summaries.push(summary.map_err(|error| error.to_string())?);
        }
        let mut compared = Self::new(days, ledger, summaries);
        if by_number {
            match numbers_of(client, periods).await {
                Ok(numbers) => compared.numbers = Some(numbers),
                Err(error) => compared.numbers_error = Some(error.to_string()),
            }
        }
        Ok(compared)
    }

    fn new(days: Days, ledger: &[Total], periods: Vec<Summary>) -> Self {
        let mut telnyx = totals(&periods);
        let ours = |currency: &str| ledger.iter().find(|total| total.currency == currency);
        let ledgers = ledger.iter().map(|total| total.currency.clone());
        let currencies: BTreeSet<String> = telnyx.keys().cloned().chain(ledgers).collect();
        let currencies = currencies
            .into_iter()
            .map(|currency| {
                let ledger = ours(&currency).map_or(Decimal::ZERO, |total| total.sum.amount);
                let parts = telnyx.remove(&currency).unwrap_or_default();
                let telnyx = parts.get(GRAND_TOTAL).copied().flatten();
                let difference = telnyx.and_then(|telnyx| telnyx.checked_sub(ledger));
                Sides { currency, ledger, telnyx, difference, parts }
            })
            .collect();
        Self { days, currencies, periods, numbers: None, numbers_error: None }
    }
}

async fn numbers_of(client: &Client, periods: Vec<Days>) -> Result<Vec<NumberCharge>, ApiError> {
    let mut numbers = Vec::new();
    for period in periods {
        numbers.extend(breakdown::fetch(client, period).await?);
    }
    Ok(numbers)
}
