//! What was spent, as the API answers it and the command line prints it.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use utoipa::ToSchema;

use super::aside;
use crate::spend::{By, DAYS_MAX, Spend, SpendReport};
use crate::store::{ChargeFilter, Spent, Store, StoreError};

/// Which charges, and how they are summed up.
#[derive(Debug, Clone)]
pub struct Asked {
    /// By what they are grouped.
    pub by: By,
    /// Charges from then on.
    pub from: Timestamp,
    /// Charges before then; later than `from`.
    pub to: Timestamp,
    /// Only those of this account.
    pub account: Option<String>,
    /// Where days begin.
    pub zone: TimeZone,
    /// So many groups of each currency.
    pub limit: usize,
    /// The time now: of days to come nobody knows anything.
    pub now: Timestamp,
}

/// What was spent, from the ledger: what webhooks reported. Amounts are exact; currencies are never added.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Spending {
    /// When the oldest charge of the ledger was charged, of the account where one is named: of earlier ones it knows nothing.
    /// Null when it holds none.
    pub oldest_charge: Option<Timestamp>,
    /// The sums.
    #[serde(flatten)]
    pub report: SpendReport,
}

/// Why it is not said.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The account is not configured, and the ledger has no charge of it.
    #[error("no account {0}: there is {1}")]
    UnknownAccount(String, String),
    /// Each day is asked for by itself.
    #[error("by day, the range has {DAYS_MAX} days at most")]
    TooManyDays,
    /// The store does not say it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sums up the charges that are asked for; `accounts` are those that are configured. With [`By::Day`] each day is there, from
/// the first charge of the ledger on, also without a charge.
pub async fn spent(
    store: &Store,
    asked: Asked,
    accounts: Vec<String>,
) -> Result<Spending, Refused> {
    let store = store.clone();
    // As many groups as there are numbers, as many charges as there were calls.
    aside(move || Handle::current().block_on(sum_up(&store, asked, &accounts))).await?
}

async fn sum_up(store: &Store, asked: Asked, accounts: &[String]) -> Result<Spending, Refused> {
    let Asked { by, from, to, account, zone, limit, now } = asked;
    let oldest_charge = oldest(store, account.clone()).await?;
    if let (Some(name), None) = (&account, oldest_charge)
        && !accounts.contains(name)
    {
        return Err(Refused::UnknownAccount(name.clone(), accounts.join(", ")));
    }
    let mut spend = Spend::new(by);
    let mut shown = None;
    // The ledger says nothing of the time before its first charge.
    let begin = from.max(oldest_charge.unwrap_or(to));
    let parts = if by == By::Day {
        shown = last_before(to.min(now)).filter(|last| begin <= *last).map(|last| {
            let day = |at: Timestamp| at.to_zoned(zone.clone()).date();
            (day(begin), day(last))
        });
        days(begin, to, &zone)?
    } else {
        vec![(None, begin, to)]
    };
    for (day, from, to) in parts {
        let day = day.map(|day| day.to_string());
        let mut sums = store.spent(from, to, by).await?;
        // Where there are more groups than can be told apart, the dearest are.
        sums.sort_by(|one, other| {
            (other.sum.amount, &one.group).cmp(&(one.sum.amount, &other.group))
        });
        for Spent { account: of, currency, group, sum } in &sums {
            if account.as_ref().is_none_or(|account| account == of) {
                let group = match by {
                    By::Account => Some(of),
                    By::Day => day.as_ref(),
                    _ => group.as_ref(),
                };
                spend.add(currency, group.map(String::as_str), *sum);
            }
        }
    }
    Ok(Spending { oldest_charge, report: spend.report(Some(limit), shown) })
}

/// When the oldest charge of the ledger was charged.
async fn oldest(store: &Store, account: Option<String>) -> Result<Option<Timestamp>, StoreError> {
    let (from, to) = (Timestamp::MIN, Timestamp::MAX);
    let filter = ChargeFilter { account, from, to, after: None, limit: 1 };
    Ok(store.charges(filter).await?.first().map(|entry| entry.at))
}

fn last_before(end: Timestamp) -> Option<Timestamp> {
    end.checked_sub(1.nanosecond()).ok()
}

/// A range cut where days begin.
fn days(
    from: Timestamp,
    to: Timestamp,
    zone: &TimeZone,
) -> Result<Vec<(Option<Date>, Timestamp, Timestamp)>, Refused> {
    let mut days = Vec::new();
    let mut begins = from;
    while begins < to {
        if days.len() >= DAYS_MAX {
            return Err(Refused::TooManyDays);
        }
        let day = begins.to_zoned(zone.clone());
        let next = day.tomorrow().and_then(|it: Zoned| it.start_of_day());
        let ends = next.map_or(to, |next| next.timestamp()).min(to);
        days.push((Some(day.date()), begins, ends));
        begins = ends;
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_where_the_days_of_the_time_zone_begin() {
        let at = |text: &str| -> Timestamp { text.parse().expect("time") };
        let zone = TimeZone::get("Europe/Berlin").expect("zone");
        // The clocks went forward on the 29th, which had 23 hours.
        let cut =
            days(at("2026-03-28T12:00:00Z"), at("2026-03-30T00:00:00Z"), &zone).expect("days");
        let cut: Vec<String> = cut
            .iter()
            .map(|(day, from, to)| format!("{} {from} {to}", day.expect("day")))
            .collect();
        assert_eq!(
            cut,
            [
                "2026-03-28 2026-03-28T12:00:00Z 2026-03-28T23:00:00Z",
                "2026-03-29 2026-03-28T23:00:00Z 2026-03-29T22:00:00Z",
                "2026-03-30 2026-03-29T22:00:00Z 2026-03-30T00:00:00Z",
            ]
        );
        assert!(days(Timestamp::MIN, Timestamp::MAX, &zone).is_err(), "bounded");
    }
}
