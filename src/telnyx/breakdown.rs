//! What Telnyx charges for each number, service by service: `GET /charges_breakdown`, for days in UTC.
//!
//! Receives a range of days. Promises what is charged by the month and once for each number, amounts exact from their text,
//! what is missing unknown. Nothing is added up: a cost is that of one unit.

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use super::charges::Days;
use super::{ApiError, Client, Endpoint};
use crate::event::amount;
use crate::text::one_line;

/// Services of one answer that are kept.
const SERVICES_MAX: usize = 50_000;
/// Longest name, in characters.
const NAME_CHARACTERS: usize = 120;

/// What one service of a number costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NumberCharge {
    /// The days that were asked for.
    #[serde(flatten)]
    pub days: Days,
    /// The number.
    pub number: String,
    /// What kind of number or charge it is, as Telnyx writes it.
    pub charge_type: String,
    /// The service.
    pub service: String,
    /// `MRC` by the month, `OTC` once.
    pub cost_type: String,
    /// What one costs.
    pub cost: Option<Decimal>,
    /// ISO 4217 code, or `unknown`.
    pub currency: String,
}

/// Asks Telnyx for one period of 31 days at most.
pub async fn fetch(client: &Client, days: Days) -> Result<Vec<NumberCharge>, ApiError> {
    let query =
        [("start_date", days.start_date.to_string()), ("end_date", days.end_date.to_string())];
    let answer = client.get(&Endpoint::CHARGES_BREAKDOWN, &query).await?;
    read(days, &answer).ok_or_else(|| ApiError::Unreadable {
        endpoint: Endpoint::CHARGES_BREAKDOWN.name,
        detail: "there is no list under data.results".to_owned(),
    })
}

/// Reads an answer; `None` when it has no list.
fn read(days: Days, answer: &Value) -> Option<Vec<NumberCharge>> {
    let data = answer.get("data")?;
    let currency = Some(text(data, "currency").to_ascii_uppercase()).filter(|it| !it.is_empty());
    let currency = currency.unwrap_or_else(|| "unknown".to_owned());
    let charges = data.get("results")?.as_array()?.iter().flat_map(|result| {
        let services = result.get("services").and_then(Value::as_array).into_iter().flatten();
        services.map(|service| NumberCharge {
            days,
            number: text(result, "tn"),
            charge_type: text(result, "charge_type"),
            service: text(service, "name"),
            cost_type: text(service, "cost_type"),
            cost: service.get("cost").and_then(amount),
            currency: currency.clone(),
        })
    });
    Some(charges.take(SERVICES_MAX).collect())
}

fn text(of: &Value, name: &str) -> String {
    one_line(of.get(name).and_then(Value::as_str).unwrap_or_default(), NAME_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_service_of_each_number_is_a_row_and_no_address_of_its_owner() {
        let day = |text: &str| text.parse().expect("day");
        let days = Days { start_date: day("2026-11-01"), end_date: day("2026-12-01") };
        let answer = json!({"data": {
            "currency": "usd", "user_email": "boss@example.com", "results": [
                {"tn": "+13125550111", "charge_type": "local", "service_owner_email": "boss@example.com", "services": [
                    {"name": "DID", "cost": "1.0000", "cost_type": "MRC"},
                    {"name": "Setup", "cost": null, "cost_type": "OTC"},
                ]},
                {"tn": "+13125550112"}, null,
            ],
        }});
        let rows = read(days, &answer).expect("a list");
        let told: Vec<String> = rows
            .iter()
            .map(|it| {
                format!(
                    "{} {} {} {} {:?} {}",
                    it.number, it.charge_type, it.service, it.cost_type, it.cost, it.currency
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "+13125550111 local DID MRC Some(1.0000) USD",
                "+13125550111 local Setup OTC None USD"
            ]
        );
        let json = serde_json::to_string(&rows).expect("JSON");
        assert!(json.contains("\"1.0000\"") && !json.contains("boss"), "{json}");
        for odd in [json!(null), json!({"data": {}}), json!({"data": {"results": {}}})] {
            assert_eq!(read(days, &odd), None, "{odd}");
        }
    }
}
