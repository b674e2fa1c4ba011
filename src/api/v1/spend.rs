//! `GET /api/v1/spend`: what was spent, from the ledger.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Serialize;
use utoipa::ToSchema;

use super::page::Query;
use super::problem::Problem;
use super::reply::{Answered, answer};
use crate::api::Deps;
use crate::clock;
use crate::spend::{By, Others, Row, Spend, Total};

/// How far back is looked where nobody says.
const SINCE: Duration = Duration::from_hours(7 * 24);
/// Days that are told apart at most: the ledger is asked for each.
const DAYS_MAX: usize = 366;

/// By what charges are grouped.
const WORDS: [(&str, By); 7] = [
    ("account", By::Account),
    ("product", By::Product),
    ("day", By::Day),
    ("kind", By::Kind),
    ("connection", By::Connection),
    ("country", By::Country),
    ("number", By::Number),
];

/// What was spent, from the ledger: what webhooks reported. Amounts are exact; currencies are never added.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SpendView {
    /// Charges from then on.
    from: Timestamp,
    /// Charges before then.
    to: Timestamp,
    /// By what they are grouped.
    by: By,
    /// One for each group and currency, the most expensive first, or by day.
    rows: Vec<Row>,
    /// What the rows leave out, by currency.
    others: Vec<Others>,
    /// All charges, by currency.
    totals: Vec<Total>,
}

#[utoipa::path(
    get,
    path = "/api/v1/spend",
    tag = "money",
    operation_id = "showSpend",
    params(
        ("by" = Option<By>, Query, description = "By what charges are grouped; product by default"),
        ("since" = Option<Timestamp>, Query, description = "Charges from then on; seven days ago by default"),
        ("until" = Option<Timestamp>, Query, description = "Charges before then; now by default"),
        ("account" = Option<String>, Query, description = "Only of this account"),
        ("time_zone" = Option<String>, Query, description = "Where days begin, such as Europe/Berlin; UTC by default"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "So many groups of each currency; 100 by default"),
    ),
    responses((status = 200, description = "What was spent; by day, 366 days at most", body = SpendView)),
)]
pub(super) async fn get(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    let known = ["by", "since", "until", "account", "time_zone", "limit"];
    let query = Query::read(&request, &known)?;
    let now = deps.clock.now();
    let by = query.word("by", &WORDS)?.unwrap_or(By::Product);
    let to = query.instant("until")?.unwrap_or(now);
    let from = query.instant("since")?.unwrap_or_else(|| clock::sub(to, SINCE));
    if from >= to {
        return Err(Problem::bad("the time range is empty: since is not before until"));
    }
    let zone = query.text("time_zone");
    let zone = TimeZone::get(zone.as_deref().unwrap_or("UTC"));
    let zone = zone.map_err(|_unknown| Problem::bad("time_zone: there is no such time zone"))?;
    let (limit, account) = (query.limit()?, query.text("account"));
    let parts = match by {
        By::Day => days(from, to, &zone)?,
        _ => vec![(None, from, to)],
    };
    let mut spend = Spend::new(by, zone);
    for (day, from, to) in parts {
        let day = day.map(|day| day.to_string());
        for spent in deps.store.spent(from, to, by).await? {
            if account.as_ref().is_none_or(|account| *account == spent.account) {
                let group = match by {
                    By::Account => Some(&spent.account),
                    By::Day => day.as_ref(),
                    _ => spent.group.as_ref(),
                };
                spend.add_sum(&spent.currency, group.map(String::as_str), spent.sum);
            }
        }
    }
    let report = spend.report(Some(limit), None);
    let (rows, others, totals) = (report.rows, report.others, report.totals);
    answer(&SpendView { from, to, by, rows, others, totals })
}

/// A range cut where days begin.
fn days(
    from: Timestamp,
    to: Timestamp,
    zone: &TimeZone,
) -> Result<Vec<(Option<Date>, Timestamp, Timestamp)>, Problem> {
    let mut days = Vec::new();
    let mut begins = from;
    while begins < to {
        if days.len() >= DAYS_MAX {
            return Err(Problem::bad(format!("by day, the range has {DAYS_MAX} days at most")));
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
