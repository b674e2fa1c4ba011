//! `GET /api/v1/spend`: what was spent, from the ledger.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::Query;
use super::problem::Problem;
use super::reply::{Answered, answer};
use crate::api::Deps;
use crate::api::spend::{self, Asked, Refused, Spending};
use crate::clock;
use crate::spend::{By, GROUPS_MAX};

/// How far back is looked where nobody says.
const SINCE: Duration = Duration::from_hours(7 * 24);

/// What was spent, from the ledger: what webhooks reported. Amounts are exact; currencies are never added.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SpendView {
    /// Charges from then on.
    from: Timestamp,
    /// Charges before then.
    to: Timestamp,
    /// By what they are grouped.
    by: By,
    #[serde(flatten)]
    spending: Spending,
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
        ("limit" = Option<usize>, Query, minimum = 0, maximum = 100_000, description = "So many groups of each currency; 100 by default"),
    ),
    responses(
        (status = 200, description = "What was spent; by day each day from the first charge on, 3660 at most", body = SpendView),
        (status = 404, description = "No account has this name, and the ledger has no charge of it", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get(request: HttpRequest, deps: web::Data<Deps>) -> Answered {
    let known = ["by", "since", "until", "account", "time_zone", "limit"];
    let query = Query::read(&request, &known)?;
    let now = deps.clock.now();
    let by = query.word("by", &By::ALL.map(|by| (by.as_str(), by)))?.unwrap_or(By::Product);
    let to = query.instant("until")?.unwrap_or(now);
    let from = query.instant("since")?.unwrap_or_else(|| clock::sub(to, SINCE));
    if from >= to {
        return Err(Problem::bad("the time range is empty: since is not before until"));
    }
    let zone = query.text("time_zone");
    let zone = TimeZone::get(zone.as_deref().unwrap_or("UTC"));
    let zone = zone.map_err(|_unknown| Problem::bad("time_zone: there is no such time zone"))?;
    let (limit, account) = (query.count("limit", 0..=GROUPS_MAX)?, query.text("account"));
    let asked = Asked { by, from, to, account, zone, limit, now };
    let accounts = deps.in_force.load().account_names();
    let spending = spend::spent(&deps.store, asked, accounts).await?;
    answer(&SpendView { from, to, by, spending })
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::UnknownAccount(..) => Self::missing(refused.to_string()),
            Refused::TooManyDays => Self::bad(refused.to_string()),
            Refused::Store(error) => error.into(),
        }
    }
}
