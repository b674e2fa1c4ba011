//! Balances: the last reading of each account with its forecast, and readings of a range of time.

use actix_web::{HttpRequest, web};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::page::Query;
use super::{Answered, Problem, answer};
use crate::api::Deps;
use crate::store::Reading;

/// How far back is looked where nobody says, in hours.
const SINCE_HOURS: i64 = 24;
/// Readings of one answer at most: the latest.
const READINGS_MAX: usize = 10_000;

/// The last readings.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Balances {
    /// One for each account that has one.
    #[schema(value_type = Vec<ReadingItem>)]
    items: Vec<Reading>,
}

/// A balance as it was read. Amounts are exact decimal text, and null where Telnyx did not tell.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "describes Reading")]
pub(super) struct ReadingItem {
    /// The account.
    account: String,
    /// When it was read.
    #[schema(format = DateTime)]
    at: String,
    /// ISO 4217 code of all amounts.
    currency: Option<String>,
    /// What is there.
    balance: Option<String>,
    /// Balance and credit limit together.
    available_credit: Option<String>,
    /// How far the balance may go below zero.
    credit_limit: Option<String>,
    /// Not booked yet.
    pending: Option<String>,
    /// What the balance loses in an hour, by the readings before.
    burn_per_hour: Option<String>,
    /// Hours until nothing is left at that pace, 8760 at most.
    hours_left: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/v1/balance",
    tag = "money",
    responses((status = 200, description = "The last reading of each account, with its forecast", body = Balances)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    Query::read(&request, &[])?;
    let items = deps.store.last_readings().await.map_err(Problem::from)?;
    answer(&Balances { items })
}

#[utoipa::path(
    get,
    path = "/api/v1/balance/{account}",
    tag = "money",
    params(
        ("account" = String, Path, description = "The account"),
        ("since" = Option<String>, Query, format = DateTime, description = "Readings from then on; a day ago by default"),
    ),
    responses(
        (status = 200, description = "Its readings, oldest first, the latest 10000", body = Balances),
        (status = 404, description = "No account has this name", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn history(
    request: HttpRequest,
    account: web::Path<String>,
    deps: web::Data<Deps>,
) -> Answered {
    let query = Query::read(&request, &["since"])?;
    let now = deps.clock.now();
    let day_ago = now.checked_sub(SignedDuration::from_hours(SINCE_HOURS)).unwrap_or(now);
    let instant = "a time such as 2026-11-23T22:00:00Z";
    let since = query.value::<Timestamp>("since", instant)?.unwrap_or(day_ago);
    let items = deps.store.readings(&account, since, READINGS_MAX).await.map_err(Problem::from)?;
    let known = deps.in_force.load().accounts.iter().any(|known| *known == *account);
    if items.is_empty() && !known {
        return Err(Problem::missing(format!("no account has the name {:?}", account.as_str())));
    }
    answer(&Balances { items })
}
