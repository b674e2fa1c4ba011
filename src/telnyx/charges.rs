//! What Telnyx says was charged in all: `GET /charges_summary`, for days in UTC.
//!
//! Receives a range of days. Promises the summaries that Telnyx gives of it, amounts exact from their text, what is missing
//! or cannot be read unknown. Never adds up two currencies, nor the quantities of two months: a number that is there in both
//! is one number.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Span, ToSpan as _};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use super::{ApiError, Client, Endpoint};
use crate::event::amount;
use crate::text::one_line;

/// Longest range of one call, in days.
const DAYS_MAX: i32 = 31;
/// Calls that one range is split into at most: two years and the months at both ends.
pub const PERIODS_MAX: usize = 25;
/// Lines and adjustments of one summary that are kept, each.
const LINES_MAX: usize = 1_000;
/// Longest name, in characters.
const NAME_CHARACTERS: usize = 120;
/// The currency of a summary that names none.
const UNKNOWN: &str = "unknown";

/// The parts of a total, as Telnyx names them, in its order; the last is what the others come to.
pub const PARTS: [&str; 7] =
    ["existing_mrc", "new_mrc", "new_otc", "other", "credits", "ledger_adjustments", GRAND_TOTAL];

/// What the other parts come to.
pub const GRAND_TOTAL: &str = "grand_total";

/// The amounts of a total by their names in [`PARTS`]; `None` is unknown.
pub type Parts = BTreeMap<&'static str, Option<Decimal>>;

/// Days, the last one exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Days {
    /// The first day.
    pub start_date: Date,
    /// The day after the last.
    pub end_date: Date,
}

/// What was charged in a period of 31 days at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The days that were asked for.
    #[serde(flatten)]
    pub days: Days,
    /// ISO 4217 code of all amounts, or `unknown`.
    pub currency: String,
    /// All parts of [`PARTS`].
    pub total: Parts,
    /// Service by service.
    pub lines: Vec<Line>,
    /// What was put right by hand.
    pub adjustments: Vec<Adjustment>,
}

/// One service of a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// What there is of it: `total` of a simple line, `existing` and `new` of a comparative one.
    pub parts: Vec<Part>,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// `total`, `existing` or `new`.
    pub part: &'static str,
    /// How many, as Telnyx writes it.
    pub quantity: Option<Decimal>,
    /// The amount of a simple line.
    pub amount: Option<Decimal>,
    /// Charged each month.
    pub mrc: Option<Decimal>,
    /// Charged once.
    pub otc: Option<Decimal>,
}

/// One adjustment of a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adjustment {
    /// What it is for.
    pub description: String,
    /// Its day, as Telnyx writes it.
    pub event_date: String,
    /// Its amount.
    pub amount: Option<Decimal>,
}

impl Days {
    /// The ranges to ask for, in order: one, when Telnyx answers that; else month by month, since what is charged by the
    /// month might be counted in each of two ranges that share one. `None` when it takes more than [`PERIODS_MAX`].
    pub fn periods(self) -> Option<Vec<Self>> {
        let mut periods = Vec::new();
        let mut start = self.start_date;
        while start < self.end_date {
            if periods.len() >= PERIODS_MAX {
                return None;
            }
            let is_short = periods.is_empty()
                && start.until(self.end_date).is_ok_and(|days: Span| days.get_days() <= DAYS_MAX);
            let month = start.first_of_month().checked_add(1.month()).ok();
            let end = month.filter(|_| !is_short).map_or(self.end_date, |it| it.min(self.end_date));
            periods.push(Self { start_date: start, end_date: end });
            start = end;
        }
        Some(periods)
    }
}

impl Summary {
    /// Asks Telnyx for one period.
    pub async fn fetch(client: &Client, days: Days) -> Result<Self, ApiError> {
        let query =
            [("start_date", days.start_date.to_string()), ("end_date", days.end_date.to_string())];
        let answer = client.get(&Endpoint::CHARGES_SUMMARY, &query).await?;
        Self::of_answer(days, &answer).map_err(|detail| ApiError::Unreadable {
            endpoint: Endpoint::CHARGES_SUMMARY.name,
            detail: detail.to_owned(),
        })
    }

    /// Reads an answer; one that tells no amount of the total tells nothing.
    fn of_answer(days: Days, answer: &Value) -> Result<Self, &'static str> {
        let data = answer.get("data").filter(|data| data.is_object());
        let data = data.ok_or("there is no object under data")?;
        let summary = Self::read(days, data);
        if summary.total.values().all(Option::is_none) {
            return Err("there is no amount under data.total");
        }
        let grand = data.get("total").and_then(|total| total.get(GRAND_TOTAL));
        if grand.is_some_and(|grand| !grand.is_null() && amount(grand).is_none()) {
            return Err("data.total.grand_total is no amount");
        }
        Ok(summary)
    }

    fn read(days: Days, data: &Value) -> Self {
        let currency = text(data, "currency").to_ascii_uppercase();
        let list = |name: &str| {
            let found = data.get("summary").and_then(|summary| summary.get(name)?.as_array());
            found.into_iter().flatten().take(LINES_MAX)
        };
        Self {
            days,
            currency: if currency.is_empty() { UNKNOWN.to_owned() } else { currency },
            total: PARTS
                .into_iter()
                .map(|name| (name, data.get("total").and_then(|total| money(total, name))))
                .collect(),
            lines: list("lines").map(Line::read).collect(),
            adjustments: list("adjustments")
                .map(|item| Adjustment {
                    description: text(item, "description"),
                    event_date: text(item, "event_date"),
                    amount: money(item, "amount"),
                })
                .collect(),
        }
    }
}

impl Line {
    fn read(line: &Value) -> Self {
        let part = |part, of: &Value| Part {
            part,
            quantity: money(of, "quantity"),
            amount: money(of, "amount"),
            mrc: money(of, "mrc"),
            otc: money(of, "otc"),
        };
        // The type is told by what is there: one that is misspelt or new is read all the same.
        let compared = [("existing", "existing_this_month"), ("new", "new_this_month")];
        let mut parts: Vec<Part> = compared
            .into_iter()
            .filter_map(|(name, key)| Some(part(name, line.get(key).filter(|it| it.is_object())?)))
            .collect();
        if parts.is_empty() {
            parts.push(part("total", line));
        }
        let name = Some(text(line, "name")).filter(|name| !name.is_empty());
        Self { name: name.unwrap_or_else(|| text(line, "alias")), parts }
    }
}

/// The totals of all periods by currency; a part that one period does not tell is unknown.
pub fn totals(summaries: &[Summary]) -> BTreeMap<String, Parts> {
    let mut totals: BTreeMap<String, Parts> = BTreeMap::new();
    for summary in summaries {
        match totals.get_mut(&summary.currency) {
            None => drop(totals.insert(summary.currency.clone(), summary.total.clone())),
            Some(total) => {
                for (name, sum) in total.iter_mut() {
                    let more = summary.total.get(name).copied().flatten();
                    *sum = sum.zip(more).and_then(|(one, other)| one.checked_add(other));
                }
            }
        }
    }
    totals
}

fn money(of: &Value, name: &str) -> Option<Decimal> {
    of.get(name).and_then(amount)
}

fn text(of: &Value, name: &str) -> String {
    one_line(of.get(name).and_then(Value::as_str).unwrap_or_default(), NAME_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn days(start: &str, end: &str) -> Days {
        let day = |text: &str| text.parse().expect("day");
        Days { start_date: day(start), end_date: day(end) }
    }

    #[test]
    fn a_long_range_is_asked_for_month_by_month() {
        for (start, end, expected) in [
            ("2026-11-16", "2026-11-24", vec!["2026-11-16/2026-11-24"]),
            // 31 days are one call, also across months.
            ("2026-01-15", "2026-02-15", vec!["2026-01-15/2026-02-15"]),
            ("2026-01-15", "2026-02-16", vec!["2026-01-15/2026-02-01", "2026-02-01/2026-02-16"]),
            (
                "2026-01-31",
                "2026-03-15",
                vec!["2026-01-31/2026-02-01", "2026-02-01/2026-03-01", "2026-03-01/2026-03-15"],
            ),
            ("2025-12-01", "2026-02-01", vec!["2025-12-01/2026-01-01", "2026-01-01/2026-02-01"]),
            ("2026-01-15", "2026-01-15", vec![]),
        ] {
            let periods = days(start, end).periods().expect("few");
            let text: Vec<String> = periods
                .iter()
                .map(|period| format!("{}/{}", period.start_date, period.end_date))
                .collect();
            assert_eq!(text, expected);
        }
        assert_eq!(days("2024-11-05", "2026-11-05").periods().map(|it| it.len()), Some(25));
        assert_eq!(days("2024-10-05", "2026-11-05").periods(), None);
    }

    #[test]
    fn a_summary_is_read_exactly_and_what_is_missing_is_unknown() {
        let data = json!({
            "currency": "usd",
            "summary": {
                "lines": [
                    {"type": "simple", "name": "SMS", "alias": "sms", "amount": "1.0500", "quantity": 21},
                    {"type": "comparitive", "name": "", "alias": "did",
                        "existing_this_month": {"mrc": "3.00", "quantity": 3},
                        "new_this_month": {"mrc": 0.1, "otc": "1.00", "quantity": 1}},
                    {"name": "Later", "amount": null},
                    "nonsense",
                ],
                "adjustments": [{"amount": "-0.25", "description": "Good\nwill", "event_date": "2026-11-18"}],
            },
            "total": {"existing_mrc": "3.00", "new_mrc": 0.1, "new_otc": "1.00", "other": "1.05", "credits": "n/a",
                "grand_total": "4.900"},
        });
        let summary = Summary::read(days("2026-11-16", "2026-11-24"), &data);
        assert_eq!(
            serde_json::to_value(&summary).expect("json"),
            json!({
                "start_date": "2026-11-16", "end_date": "2026-11-24", "currency": "USD",
                "total": {"existing_mrc": "3.00", "new_mrc": "0.1", "new_otc": "1.00", "other": "1.05",
                    "credits": null, "ledger_adjustments": null, "grand_total": "4.900"},
                "lines": [
                    {"name": "SMS", "parts": [
                        {"part": "total", "quantity": "21", "amount": "1.0500", "mrc": null, "otc": null}]},
                    {"name": "did", "parts": [
                        {"part": "existing", "quantity": "3", "amount": null, "mrc": "3.00", "otc": null},
                        {"part": "new", "quantity": "1", "amount": null, "mrc": "0.1", "otc": "1.00"}]},
                    {"name": "Later", "parts": [
                        {"part": "total", "quantity": null, "amount": null, "mrc": null, "otc": null}]},
                    {"name": "", "parts": [
                        {"part": "total", "quantity": null, "amount": null, "mrc": null, "otc": null}]},
                ],
                "adjustments": [
                    {"description": "Good will", "event_date": "2026-11-18", "amount": "-0.25"}],
            })
        );
        let empty = Summary::read(days("2026-11-16", "2026-11-24"), &json!({"summary": []}));
        assert_eq!((empty.currency.as_str(), empty.lines.len()), (UNKNOWN, 0));
        assert!(empty.total.len() == 7 && empty.total.values().all(Option::is_none));
    }

    #[test]
    fn an_answer_without_a_total_is_none() {
        for (answer, expected) in [
            (json!({"data": []}), Err("there is no object under data")),
            (json!({"data": {}}), Err("there is no amount under data.total")),
            (
                json!({"data": {"currency": "USD", "total": {"grand_total": null}}}),
                Err("there is no amount under data.total"),
            ),
            (
                json!({"data": {"total": {"other": "1.00", "grand_total": "abc"}}}),
                Err("data.total.grand_total is no amount"),
            ),
            (json!({"data": {"total": {"other": "1.00", "grand_total": null}}}), Ok(())),
            (json!({"data": {"total": {"grand_total": 0}}}), Ok(())),
        ] {
            let read = Summary::of_answer(days("2026-11-16", "2026-11-24"), &answer);
            assert_eq!(read.map(|_| ()), expected, "{answer}");
        }
    }

    #[test]
    fn periods_add_up_by_currency_and_what_one_does_not_tell_is_unknown() {
        let summary = |currency: &str, other: &str, total: Option<&str>| {
            let total = json!({"other": other, "grand_total": total});
            let data = json!({"currency": currency, "total": total});
            Summary::read(days("2026-11-01", "2026-12-01"), &data)
        };
        let totals = totals(&[
            summary("USD", "1.10", Some("2")),
            summary("EUR", "5", Some("6")),
            summary("USD", "0.05", None),
        ]);
        let part = |currency: &str, name: &str| {
            totals[currency][name].map_or("unknown".to_owned(), |it| it.to_string())
        };
        assert_eq!(totals.len(), 2);
        assert_eq!([part("USD", "other"), part("USD", "grand_total")], ["1.15", "unknown"]);
        assert_eq!([part("EUR", "other"), part("EUR", "grand_total")], ["5", "6"]);
        assert_eq!(part("EUR", "credits"), "unknown");
    }
}
