//! What an answer of `GET /spend_limits` says, and the events that tell it. Pure.
//!
//! Amounts are exact, from their text. No limit is not the same as unlimited, and a spend that Telnyx could not read is
//! unknown, never zero. Source: types of Telnyx's SDK, `spend_limit.py`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};

use crate::event::{Event, Source, amount};
use crate::text::one_line;

/// Limits of one answer that are looked at: products, twice.
const LIMITS_MAX: usize = 50;
/// Longest word that is kept, in characters.
const WORD_CHARACTERS: usize = 64;

/// The limit of one product in one period: a day or a month of UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SpendLimit {
    pub(super) product: String,
    product_name: String,
    pub(super) period: String,
    period_start: String,
    /// Exclusive.
    period_end: String,
    /// What is enforced; `None` where nothing is, or nothing is said.
    pub(super) limit: Option<Decimal>,
    /// Whether somebody has set one.
    limit_set: bool,
    /// True only where one is set that says so; `None` where none is set.
    unlimited: Option<bool>,
    /// `self_service` or `operator`.
    origin: String,
    pub(super) spend: Option<Decimal>,
    spend_error: String,
    /// Of the limit, with one place.
    percent: Option<Decimal>,
    pub(super) blocked: bool,
    blocked_since: String,
    /// A day, exclusive.
    blocked_until: String,
}

impl SpendLimit {
    /// All that an answer holds; `None` when it holds no list.
    pub(super) fn read_all(answer: &Value) -> Option<Vec<Self>> {
        let items = answer.get("data")?.as_array()?;
        let mut limits: BTreeMap<(String, String), Self> = BTreeMap::new();
        for limit in items.iter().take(LIMITS_MAX).filter_map(Self::read) {
            limits.entry((limit.product.clone(), limit.period.clone())).or_insert(limit);
        }
        Some(limits.into_values().collect())
    }

    fn read(item: &Value) -> Option<Self> {
        let (set, block) = (object(item, "limit"), object(item, "block"));
        let limit = item.get("effective_limit_usd").and_then(amount);
        let spend = item.get("spend_usd").and_then(amount);
        let within =
            |of: Option<&Value>, key: &str| of.map_or_else(String::new, |of| word(of, key));
        Some(Self {
            product: Some(word(item, "product")).filter(|product| !product.is_empty())?,
            product_name: word(item, "product_name"),
            period: word(item, "period"),
            period_start: word(item, "period_start"),
            period_end: word(item, "period_end"),
            limit,
            limit_set: set.is_some(),
            unlimited: set
                .map(|set| set.get("unlimited").and_then(Value::as_bool).unwrap_or(false)),
            origin: within(set, "origin"),
            spend,
            spend_error: word(item, "spend_error"),
            percent: percent(spend, limit),
            blocked: item.get("blocked").and_then(Value::as_bool).unwrap_or(block.is_some()),
            blocked_since: within(block, "detected_at"),
            blocked_until: within(block, "blocked_until"),
        })
    }

    /// The event that tells it.
    pub(super) fn event(&self, account: &str, now: Timestamp) -> Event {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let number = |number: Option<Decimal>| number.map(|number| number.to_string());
        let payload = json!({
            "product": self.product,
            "product_name": text(&self.product_name),
            "period": text(&self.period),
            "period_start": text(&self.period_start),
            "period_end": text(&self.period_end),
            "limit": number(self.limit),
            "limit_set": self.limit_set,
            "unlimited": self.unlimited,
            "origin": text(&self.origin),
            "spend": number(self.spend),
            "spend_error": text(&self.spend_error),
            "percent": number(self.percent),
            "blocked": self.blocked,
            "blocked_since": text(&self.blocked_since),
            "blocked_until": text(&self.blocked_until),
            "currency": "USD",
        });
        let (at, product, period) = (now.as_microsecond(), &self.product, &self.period);
        let id = format!("account.spend_limit:{at}:{product}:{period}");
        event("account.spend_limit", account, id, now, payload)
    }
}

/// An event of the poller's, in US dollars: so are all limits.
pub(super) fn event(
    kind: &str,
    account: &str,
    id: String,
    now: Timestamp,
    payload: Value,
) -> Event {
    let event = Event::tollbell(kind, account, id, now, payload);
    Event { source: Source::Poller, currency: Some("USD".to_owned()), ..event }
}

/// A part of a limit in percent, with one place. Of a limit of nothing any spend is all of it.
pub(super) fn percent(spend: Option<Decimal>, limit: Option<Decimal>) -> Option<Decimal> {
    let (spend, limit) = (spend?, limit?);
    if limit <= Decimal::ZERO {
        return Some(if spend > Decimal::ZERO { Decimal::ONE_HUNDRED } else { Decimal::ZERO });
    }
    Some(spend.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(limit)?.round_dp(1).normalize())
}

fn object<'a>(item: &'a Value, key: &str) -> Option<&'a Value> {
    item.get(key).filter(|value| value.is_object())
}

fn word(of: &Value, key: &str) -> String {
    one_line(of.get(key).and_then(Value::as_str).unwrap_or_default(), WORD_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(item: &Value) -> Value {
        let limits = SpendLimit::read_all(&json!({"data": [item]})).expect("a list");
        limits.first().expect("a limit").event("main", Timestamp::UNIX_EPOCH).payload
    }

    #[test]
    fn what_is_limited_and_blocked_is_told() {
        let item = json!({
            "record_type": "spend_limit", "product": "inference", "product_name": "Inference", "period": "daily",
            "period_start": "2026-11-30", "period_end": "2026-12-01", "effective_limit_usd": "12.00",
            "limit": {"amount": "12.00", "unlimited": false, "origin": "self_service", "updated_at": "2026-11-02T00:00:00Z"},
            "spend_usd": "12.0150", "spend_error": null, "blocked": true,
            "block": {"blocked_until": "2026-12-01", "detected_at": "2026-11-30T10:02:00Z", "limit_usd": "12.00", "spend_usd": "12.01"},
        });
        assert_eq!(
            payload(&item),
            json!({
                "product": "inference", "product_name": "Inference", "period": "daily", "period_start": "2026-11-30",
                "period_end": "2026-12-01", "limit": "12.00", "limit_set": true, "unlimited": false,
                "origin": "self_service", "spend": "12.0150", "spend_error": null, "percent": "100.1", "blocked": true,
                "blocked_since": "2026-11-30T10:02:00Z", "blocked_until": "2026-12-01", "currency": "USD",
            })
        );
    }

    #[test]
    fn none_is_not_unlimited_and_unknown_is_not_zero() {
        for (item, expected) in [
            // Nobody has set one.
            (
                json!({"limit": null, "effective_limit_usd": null, "spend_usd": "3"}),
                [json!(null), json!(false), json!(null), json!("3"), json!(null)],
            ),
            (json!({}), [json!(null), json!(false), json!(null), json!(null), json!(null)]),
            // Somebody has said that there is none.
            (
                json!({"limit": {"unlimited": true, "amount": null}, "effective_limit_usd": null}),
                [json!(null), json!(true), json!(true), json!(null), json!(null)],
            ),
            // None is set, and one is enforced.
            (
                json!({"limit": null, "effective_limit_usd": "50", "spend_usd": "40.00"}),
                [json!("50"), json!(false), json!(null), json!("40.00"), json!("80")],
            ),
            // What was spent could not be read.
            (
                json!({"limit": {"unlimited": false}, "effective_limit_usd": "50", "spend_usd": null, "spend_error": "x"}),
                [json!("50"), json!(true), json!(false), json!(null), json!(null)],
            ),
            (
                json!({"effective_limit_usd": "0", "spend_usd": "0.01"}),
                [json!("0"), json!(false), json!(null), json!("0.01"), json!("100")],
            ),
            (
                json!({"effective_limit_usd": "0", "spend_usd": "0"}),
                [json!("0"), json!(false), json!(null), json!("0"), json!("0")],
            ),
        ] {
            let mut item = item;
            item["product"] = json!("inference");
            let told = payload(&item);
            let names = ["limit", "limit_set", "unlimited", "spend", "percent"];
            assert_eq!(names.map(|name| told[name].clone()), expected, "{item}");
            assert_eq!(told["blocked"], false, "{item}");
        }
    }

    #[test]
    fn an_answer_is_read_within_bounds() {
        for odd in [json!(null), json!({}), json!({"data": {}}), json!([])] {
            assert_eq!(SpendLimit::read_all(&odd), None, "{odd}");
        }
        let item = |n: usize| json!({"product": format!("p{n}"), "period": "daily"});
        let many: Vec<Value> =
            (0..99).map(item).chain([json!(5), json!({"period": "daily"})]).collect();
        assert_eq!(SpendLimit::read_all(&json!({"data": many})).expect("a list").len(), LIMITS_MAX);
        let twice = json!({"data": [item(1), item(1), json!({"product": "p1", "period": "monthly"}), null]});
        assert_eq!(SpendLimit::read_all(&twice).expect("a list").len(), 2);
    }
}
