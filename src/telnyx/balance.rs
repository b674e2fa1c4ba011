//! What Telnyx answers when asked for the balance and for automatic recharge.
//!
//! Receives JSON whose numbers still have their source text. Promises exact amounts; what is null, absent or absurd is
//! unknown. An answer that tells neither balance nor available credit is none. Never fills in a figure.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApiError, Endpoint};
use crate::event::{amount, iso_code};

/// An answer of `GET /balance`. Source: Telnyx API reference, balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) balance: Option<Decimal>,
    /// Balance and credit limit together: what service depends on.
    pub(super) available_credit: Option<Decimal>,
    pub(super) credit_limit: Option<Decimal>,
    pub(super) pending: Option<Decimal>,
    /// ISO 4217 code of all of them.
    pub(super) currency: Option<String>,
}

/// An answer of `GET /payment/auto_recharge_prefs`. Source: Telnyx API reference, payments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AutoRecharge {
    pub(super) enabled: bool,
    /// Decimal text: the available credit below which Telnyx recharges.
    pub(super) threshold_amount: Option<String>,
    /// Decimal text: by how much.
    pub(super) recharge_amount: Option<String>,
}

/// Reads the balance.
pub(super) fn balance(answer: &Value) -> Result<Amounts, ApiError> {
    let unreadable = || ApiError::Unreadable {
        endpoint: Endpoint::BALANCE.name,
        detail: "there is no balance under data".to_owned(),
    };
    let data = object(answer).ok_or_else(unreadable)?;
    let read = |key: &str| data.get(key).and_then(amount);
    let balance = Amounts {
        balance: read("balance"),
        available_credit: read("available_credit"),
        credit_limit: read("credit_limit"),
        pending: read("pending"),
        currency: data.get("currency").and_then(Value::as_str).and_then(iso_code),
    };
    let told = balance.balance.is_some() || balance.available_credit.is_some();
    if told { Ok(balance) } else { Err(unreadable()) }
}

/// Reads the preferences of automatic recharge.
pub(super) fn auto_recharge(answer: &Value) -> Result<AutoRecharge, ApiError> {
    let unreadable = || ApiError::Unreadable {
        endpoint: Endpoint::AUTO_RECHARGE.name,
        detail: "it is not told under data whether it is enabled".to_owned(),
    };
    let data = object(answer).ok_or_else(unreadable)?;
    let enabled = data.get("enabled").and_then(Value::as_bool).ok_or_else(unreadable)?;
    let text = |key: &str| data.get(key).and_then(amount).map(|amount| amount.to_string());
    Ok(AutoRecharge {
        enabled,
        threshold_amount: text("threshold_amount"),
        recharge_amount: text("recharge_amount"),
    })
}

/// `data`: one object, or a list of one.
fn object(answer: &Value) -> Option<&Value> {
    let data = match answer.get("data")? {
        Value::Array(items) => items.first()?,
        data => data,
    };
    data.is_object().then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Value {
        serde_json::from_str(text).expect("json")
    }

    fn shown(text: &str) -> Result<String, String> {
        let read = balance(&json(text)).map_err(|error| error.to_string())?;
        let amounts = [read.balance, read.available_credit, read.credit_limit, read.pending];
        let amounts = amounts.map(|it| it.map_or("-".to_owned(), |it| it.to_string()));
        Ok(format!("{} {}", amounts.join(" "), read.currency.unwrap_or_else(|| "-".to_owned())))
    }

    #[test]
    fn amounts_are_read_digit_for_digit_from_text_and_from_numbers() {
        for (data, expected) in [
            (
                r#"{"balance":"300.00","available_credit":"400.00","credit_limit":"100.00","pending":"10.00","currency":"USD"}"#,
                "300.00 400.00 100.00 10.00 USD",
            ),
            (
                r#"{"balance":-0.30000000000000004,"available_credit":"-12.5","currency":"eur"}"#,
                "-0.30000000000000004 -12.5 - - EUR",
            ),
            (
                r#"{"balance":null,"available_credit":3,"credit_limit":[],"pending":"x","currency":"$"}"#,
                "- 3 - - -",
            ),
            (r#"[{"balance":"1.10"}]"#, "1.10 - - - -"),
        ] {
            let answer = format!(r#"{{"data":{data}}}"#);
            assert_eq!(shown(&answer).as_deref(), Ok(expected), "{data}");
        }
    }

    #[test]
    fn an_answer_without_a_balance_is_none() {
        for answer in [
            "null",
            "[]",
            r#""ok""#,
            "{}",
            r#"{"data":null}"#,
            r#"{"data":[]}"#,
            r#"{"data":"12"}"#,
            r#"{"data":{"balance":null,"available_credit":"n/a","pending":"1.00"}}"#,
        ] {
            let error = balance(&json(answer)).expect_err(answer);
            assert_eq!(error.reason(), "unreadable", "{answer}");
        }
    }

    #[test]
    fn automatic_recharge_is_one_object_or_a_list_of_one() {
        let object = r#"{"enabled":false,"threshold_amount":"104.00","recharge_amount":104.5,"preference":"ach"}"#;
        for data in [object.to_owned(), format!("[{object}]")] {
            let read = auto_recharge(&json(&format!(r#"{{"data":{data}}}"#))).expect("reads");
            let expected = AutoRecharge {
                enabled: false,
                threshold_amount: Some("104.00".to_owned()),
                recharge_amount: Some("104.5".to_owned()),
            };
            assert_eq!(read, expected);
        }
        for answer in ["{}", r#"{"data":{}}"#, r#"{"data":{"enabled":"yes"}}"#, r#"{"data":[]}"#] {
            assert!(auto_recharge(&json(answer)).is_err(), "{answer}");
        }
    }
}
