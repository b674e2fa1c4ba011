//! Balances: the last reading of each account with its forecast, and the readings of one account.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::{self, Query};
use super::problem::Problem;
use super::reply::{Answered, answer};
use crate::api::Deps;
use crate::clock;
use crate::store::{Reading, StoreError};
use crate::telnyx::forecast::Paces;

/// Readings of so long are what the paces are taken from, one in each [`STEP`].
const BACK: Duration = Duration::from_hours(7 * 24);
const STEP: Duration = Duration::from_mins(15);

/// Balances. Amounts are exact decimal text, and null where Telnyx did not tell.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BalanceList {
    /// One for each account of the configuration, in its order.
    items: Vec<Balance>,
}

/// What is left on one account, and how long it lasts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Balance {
    /// The account.
    account: String,
    /// The last reading; null when the balance was never read.
    last: Option<Reading>,
    /// How long it lasts; null when it was never read.
    forecast: Option<BalanceForecast>,
}

/// How long a balance lasts. All of it is null while there are too few readings.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BalanceForecast {
    /// What the balance loses in an hour, by the readings before.
    burn_per_hour: Option<Decimal>,
    /// Hours until nothing is left at that pace, from the last reading on; 8760 at most.
    hours_left: Option<Decimal>,
    /// Hours at the fastest pace of the last days.
    hours_left_least: Option<Decimal>,
    /// Hours at the slowest pace of the last days.
    hours_left_most: Option<Decimal>,
    /// What the last 24 hours lost in an hour, on average.
    day_per_hour: Option<Decimal>,
}

/// A page of the readings of one account's balance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadingPage {
    /// Newest first.
    items: Vec<Reading>,
    /// The `before` of the page behind this one; null at the end.
    next: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/v1/balance",
    tag = "money",
    operation_id = "listBalances",
    responses((status = 200, description = "What is left on each account, and how long it lasts", body = BalanceList)),
)]
pub(super) async fn list(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    Query::read(&request, &[])?;
    let lasts = deps.store.last_readings().await?;
    let mut items = Vec::new();
    for account in deps.in_force.load().account_names() {
        let last = lasts.iter().find(|reading| reading.account == account).cloned();
        let forecast = match &last {
            Some(last) => Some(forecast(&deps, last).await?),
            None => None,
        };
        items.push(Balance { account, last, forecast });
    }
    answer(&BalanceList { items })
}

async fn forecast(deps: &Deps, last: &Reading) -> Result<BalanceForecast, StoreError> {
    let since = clock::sub(deps.clock.now(), BACK);
    let readings = deps.store.balances(&last.account, since, None, STEP).await?;
    let paces = Paces::of(&readings, last);
    let between = paces.hours(last);
    Ok(BalanceForecast {
        burn_per_hour: last.burn_per_hour,
        hours_left: last.hours_left,
        hours_left_least: between.map(|[least, _]| least),
        hours_left_most: between.map(|[_, most]| most),
        day_per_hour: paces.day,
    })
}

#[utoipa::path(
    get,
    path = "/api/v1/balance/{account}/readings",
    tag = "money",
    operation_id = "listReadings",
    params(
        ("account" = String, Path, description = "The account"),
        ("since" = Option<Timestamp>, Query, description = "Readings from then on"),
        ("before" = Option<Timestamp>, Query, description = "Readings before then: the next of a page"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "So many at most; 100 by default"),
    ),
    responses(
        (status = 200, description = "A page, newest first", body = ReadingPage),
        (status = 404, description = "No account has this name", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn readings(
    request: HttpRequest,
    account: web::Path<String>,
    deps: web::Data<Deps>,
) -> Answered {
    let query = Query::read(&request, &["since", "before", "limit"])?;
    let limit = query.limit()?;
    let since = query.instant("since")?.unwrap_or(Timestamp::MIN);
    let before = query.instant("before")?;
    let mut found = deps.store.readings(&account, since, before, limit + 1).await?;
    found.reverse();
    // One that is no longer configured may still have readings.
    let known = deps.in_force.load().accounts.iter().any(|it| it.name == *account);
    if found.is_empty() && !known {
        return Err(Problem::missing(format!("no account has the name {:?}", account.as_str())));
    }
    let (items, next) = page::cut(found, limit, |item| item.at.to_string());
    answer(&ReadingPage { items, next })
}
