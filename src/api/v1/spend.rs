//! `GET /api/v1/spend`: what was spent, from the ledger.

use actix_web::{HttpRequest, web};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::page::Query;
use super::{Answered, Problem, answer};
use crate::api::Deps;
use crate::spend::{By, Others, Row, Spend, Total};
use crate::store::ChargeFilter;

/// Charges read at a time.
const PAGE_CHARGES: usize = 5_000;
/// Charges that one answer is made of at most.
const CHARGES_MAX: usize = 5_000_000;
/// How far back is looked where nobody says, in hours.
const SINCE_HOURS: i64 = 7 * 24;
/// Groups of each currency that are shown where nobody says.
const GROUPS: usize = 100;

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

/// What was spent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SpendView {
    /// Charges from then on.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Charges before then.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// By what they are grouped.
    #[schema(value_type = String)]
    by: By,
    /// One for each group and currency, the most expensive first, or by day.
    #[schema(value_type = Vec<SpendRow>)]
    rows: Vec<Row>,
    /// What the rows leave out, by currency.
    #[schema(value_type = Vec<SpendOthers>)]
    others: Vec<Others>,
    /// All charges, by currency.
    #[schema(value_type = Vec<SpendTotal>)]
    totals: Vec<Total>,
    /// Whether there are more charges than one answer is made of: then the sums are of a part.
    partial: bool,
}

/// What was spent on one group in one currency.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "describes Row")]
pub(super) struct SpendRow {
    /// The group; null of what the ledger does not know.
    group: Option<String>,
    /// ISO 4217 code, or `unknown`.
    currency: String,
    /// How many charges.
    charges: u64,
    /// What they cost together, exact, as decimal text.
    amount: String,
    /// Its part of the currency's total, as decimal text.
    share_percent: Option<String>,
}

/// What the rows of one currency leave out.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "describes Others")]
pub(super) struct SpendOthers {
    /// ISO 4217 code, or `unknown`.
    currency: String,
    /// How many groups; null when there are more than were told apart.
    groups: Option<usize>,
    /// How many charges.
    charges: u64,
    /// What they cost together, exact, as decimal text.
    amount: String,
    /// Their part of the currency's total, as decimal text.
    share_percent: Option<String>,
}

/// All that was spent in one currency.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "describes Total")]
pub(super) struct SpendTotal {
    /// ISO 4217 code, or `unknown`.
    currency: String,
    /// How many charges.
    charges: u64,
    /// What they cost together, exact, as decimal text.
    amount: String,
}

#[utoipa::path(
    get,
    path = "/api/v1/spend",
    tag = "money",
    params(
        ("by" = Option<String>, Query, description = "account, product (as by default), day, kind, connection, country or number"),
        ("since" = Option<String>, Query, format = DateTime, description = "Charges from then on; seven days ago by default"),
        ("until" = Option<String>, Query, format = DateTime, description = "Charges before then; now by default"),
        ("account" = Option<String>, Query, description = "Only of this account"),
        ("time_zone" = Option<String>, Query, description = "Where days begin, such as Europe/Berlin; UTC by default"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "So many groups of each currency; 100 by default"),
    ),
    responses((status = 200, description = "What was spent", body = SpendView)),
)]
pub(super) async fn get(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    let known = ["by", "since", "until", "account", "time_zone", "limit"];
    let query = Query::read(&request, &known)?;
    let now = deps.clock.now();
    let by = query.word("by", &WORDS)?.unwrap_or(By::Product);
    let instant = "a time such as 2026-11-23T22:00:00Z";
    let since = query.value::<Timestamp>("since", instant)?;
    let week_ago = now.checked_sub(SignedDuration::from_hours(SINCE_HOURS)).unwrap_or(now);
    let from = since.unwrap_or(week_ago);
    let to = query.value::<Timestamp>("until", instant)?.unwrap_or(now);
    if from >= to {
        return Err(Problem::bad("the time range is empty: since is not before until"));
    }
    let zone = query.text("time_zone");
    let zone = TimeZone::get(zone.as_deref().unwrap_or("UTC"));
    let zone = zone.map_err(|_unknown| Problem::bad("time_zone: there is no such time zone"))?;
    let limit = if query.text("limit").is_some() { query.limit()? } else { GROUPS };
    let mut spend = Spend::new(by, zone);
    let (mut after, mut seen) = (None, 0);
    let partial = loop {
        let account = query.text("account");
        let filter = ChargeFilter { account, from, to, after, limit: PAGE_CHARGES };
        let page = deps.store.charges(filter).await.map_err(Problem::from)?;
        page.iter().for_each(|entry| spend.add(entry));
        seen += page.len();
        let partial = seen >= CHARGES_MAX;
        match page.last() {
            Some(last) if page.len() >= PAGE_CHARGES && !partial => {
                after = Some((last.at, last.key.clone()));
            }
            _ => break partial,
        }
    };
    let report = spend.report(Some(limit), None);
    let (rows, others, totals) = (report.rows, report.others, report.totals);
    answer(&SpendView { from, to, by, rows, others, totals, partial })
}
