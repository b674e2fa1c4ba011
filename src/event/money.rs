//! Amounts, exact, and the currency they are in.
//!
//! Receives a kind and its payload. Promises the amount digit for digit, from decimal text or from the source text
//! of a JSON number; what is null, absent or absurd is unknown. Never passes through a float, never adds, and
//! never invents a cost for a kind whose shape names none.

use rust_decimal::Decimal;
use serde_json::Value;

/// Longest text that is tried as an amount, in bytes.
const AMOUNT_BYTES_MAX: usize = 64;
/// Amounts beyond this, either way, cannot be kept: 10^18, so that sums of ten billion of them cannot overflow.
const AMOUNT_MAX: Decimal = Decimal::from_parts(2_808_348_672, 232_830_643, 0, false, 0);
/// Decimal places that [`Decimal`] can hold.
const SCALE_MAX: i64 = 28;

/// Reads an amount from decimal text or a JSON number, keeping its scale (`"10.00"` stays `10.00`).
///
/// `None` for null, for other types, and for what does not fit exactly or exceeds 10^18; see [`has_unread`].
pub fn amount(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => exact(text.trim()),
        Value::Number(number) => exact(&number.to_string()),
        _ => None,
    }
}

fn exact(text: &str) -> Option<Decimal> {
    if text.len() > AMOUNT_BYTES_MAX {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().ok()?),
        None => (text, 0),
    };
    // `Decimal` itself would also take `1_000` and `.5`, which no sender means.
    if !is_plain(mantissa) {
        return None;
    }
    let mut number = shift(Decimal::from_str_exact(mantissa).ok()?, i64::from(exponent))?;
    if number.is_zero() {
        number.set_sign_positive(true);
    }
    (number.abs() <= AMOUNT_MAX).then_some(number)
}

/// `-12.50`: digits on both sides of the point, if there is one.
fn is_plain(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(unsigned),
    }
}

/// Multiplies by a power of ten, exactly. Encoders write small floats as `5e-05`.
fn shift(mut number: Decimal, exponent: i64) -> Option<Decimal> {
    let scale = i64::from(number.scale()) - exponent;
    if scale > SCALE_MAX {
        return None;
    }
    if scale >= 0 {
        number.set_scale(u32::try_from(scale).ok()?).ok()?;
        return Some(number);
    }
    let factor = 10_u64.checked_pow(u32::try_from(-scale).ok()?)?;
    number.set_scale(0).ok()?;
    number.checked_mul(Decimal::from(factor))
}

/// Whether an event reports a cost that is there and cannot be read exactly, as one beyond [`AMOUNT_MAX`]: its money is
/// missing from the ledger, which is to be said.
pub fn has_unread(kind: &str, payload: &Value) -> bool {
    let unread = |value: &Value| !is_absent(value) && amount(value).is_none();
    match kind {
        "call.cost" => payload.get("total_cost").is_some_and(unread),
        // No breakdown and an empty one name no cost; one that is there is read whole or not at all.
        "call.analyzed" => payload
            .get("cost")
            .filter(|cost| cost.get("breakdown").is_some_and(|lines| !is_empty(lines)))
            .is_some_and(|cost| ai_cost(cost).is_none()),
        _ if kind.starts_with("message.") => {
            payload.get("cost").and_then(|cost| cost.get("amount")).is_some_and(unread)
        }
        _ => false,
    }
}

/// The cost that an event reports, and the currency of its amounts.
///
/// Kinds without amounts have neither. A currency that is not named falls back on `default`; one that is named
/// but contradictory or no code is unknown.
pub(super) fn of_event(
    kind: &str,
    payload: &Value,
    default: Option<&str>,
) -> (Option<Decimal>, Option<String>) {
    let at = |key: &str| payload.get(key);
    match kind {
        "call.cost" => (at("total_cost").and_then(amount), call_currency(payload, default)),
        "call.analyzed" => match at("cost") {
            // Where Telnyx could not find out, it says so in words.
            Some(cost) if cost.is_object() => {
                (ai_cost(cost), currency(cost.get("currency"), default))
            }
            _ => (None, None),
        },
        // The docs give this limit in US dollars, whatever the account's currency.
        "messaging-profile.spend-limit-reached" => (None, currency(at("currency"), Some("USD"))),
        _ if kind.starts_with("message.") => {
            let Some(cost) = at("cost") else { return (None, None) };
            (cost.get("amount").and_then(amount), currency(cost.get("currency"), default))
        }
        _ if kind.starts_with("account.") => (None, currency(at("currency"), default)),
        _ => (None, None),
    }
}

/// Beginnings of products, by letters and digits alone, that `call.cost` tells of each leg: what `call.analyzed` says of them
/// is the same money again.
const TOLD_BY_CALL_COST: &[&str] = &["callcontrol", "siptrunking", "recording", "callrecording"];

/// What a session cost beyond what `call.cost` tells; `None` where a line of it is unknown, and where there is none.
///
/// `total` is not looked at: it adds lines of both.
fn ai_cost(cost: &Value) -> Option<Decimal> {
    let lines = cost.get("breakdown")?.as_array().filter(|lines| !lines.is_empty())?;
    lines.iter().try_fold(Decimal::ZERO, |sum, line| {
        let product = line.get("product")?.as_str()?;
        let letters: String = product
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase();
        if TOLD_BY_CALL_COST.iter().any(|begin| letters.starts_with(begin)) {
            return Some(sum);
        }
        sum.checked_add(amount(line.get("cost")?)?).filter(|sum| *sum <= AMOUNT_MAX)
    })
}

/// A call's total names no currency, its parts do; parts that disagree leave it unknown.
fn call_currency(payload: &Value, default: Option<&str>) -> Option<String> {
    let parts = payload.get("cost_parts").and_then(Value::as_array);
    let mut named = parts
        .into_iter()
        .flatten()
        .chain([payload])
        .filter_map(|part| part.get("currency"))
        .filter(|currency| !is_absent(currency));
    let first = named.next();
    let agreed = currency(first, default)?;
    named.all(|other| currency(Some(other), None).as_ref() == Some(&agreed)).then_some(agreed)
}

fn currency(beside: Option<&Value>, default: Option<&str>) -> Option<String> {
    match beside.filter(|value| !is_absent(value)) {
        Some(value) => value.as_str().and_then(iso_code),
        None => default.and_then(iso_code),
    }
}

fn is_empty(value: &Value) -> bool {
    is_absent(value) || value.as_array().is_some_and(Vec::is_empty)
}

fn is_absent(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// An ISO 4217 code from text: three letters, in upper case.
pub fn iso_code(text: &str) -> Option<String> {
    let text = text.trim();
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_code.then(|| text.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<String> {
        amount(&serde_json::from_str(json).expect("json")).map(|amount| amount.to_string())
    }

    #[test]
    fn amounts_keep_every_digit() {
        for (json, expected) in [
            (r#""0.0051""#, "0.0051"),
            (r#""10.00""#, "10.00"),
            (r#"" 12.5 ""#, "12.5"),
            (r#""-3.20""#, "-3.20"),
            ("0.00305", "0.00305"),
            ("0.10", "0.10"),
            ("0.010600000000000001", "0.010600000000000001"),
            ("0", "0"),
            ("-0.0", "0.0"),
            ("5e-05", "0.00005"),
            ("1.5e2", "150"),
            ("2E+3", "2000"),
            (r#""1000000000""#, "1000000000"),
            ("1e10", "10000000000"),
            ("1000000000.01", "1000000000.01"),
            (r#""-999999999999999999.9999999999""#, "-999999999999999999.9999999999"),
            ("1000000000000000000", "1000000000000000000"),
            (r#""0.0000000000000000000000000001""#, "0.0000000000000000000000000001"),
        ] {
            assert_eq!(read(json).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn unknown_is_not_zero() {
        for json in [
            "null",
            "true",
            "[]",
            "{}",
            r#""""#,
            r#""abc""#,
            r#""1,5""#,
            r#""1_000""#,
            r#"".5""#,
            r#""5.""#,
            r#""+5""#,
            r#""NaN""#,
            r#""0x10""#,
            r#""1e""#,
            "1e400",
            "1e-400",
            "-1e400",
            "1000000000000000000.01",
            "1e19",
            r#""99999999999999999999999999999999999999""#,
            "0.00000000000000000000000000001",
            "1e-29",
            "1e99999999999",
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn a_cost_that_is_there_and_cannot_be_read_is_known() {
        for (kind, payload, unread) in [
            ("call.cost", r#"{"total_cost":"1e19"}"#, true),
            ("call.cost", r#"{"total_cost":"12.50"}"#, false),
            ("call.cost", r#"{"total_cost":null}"#, false),
            ("message.finalized", r#"{"cost":{"amount":"1000000000000000001"}}"#, true),
            ("message.finalized", r#"{"cost":{"amount":""}}"#, false),
            ("message.finalized", r#"{"cost":null}"#, false),
            ("call.analyzed", r#"{"cost":{"breakdown":[{"cost":"0.1"},{"cost":"much"}]}}"#, true),
            ("call.analyzed", r#"{"cost":{"breakdown":[{"cost":"0.1"}]}}"#, true),
            ("call.analyzed", r#"{"cost":{"breakdown":"0.1"}}"#, true),
            ("call.analyzed", r#"{"cost":{"breakdown":[],"total":"0"}}"#, false),
            ("call.analyzed", r#"{"cost":"No cost data available."}"#, false),
            ("fax.failed", r#"{"cost":{"amount":"1e19"}}"#, false),
        ] {
            let payload: Value = serde_json::from_str(payload).expect("json");
            assert_eq!(has_unread(kind, &payload), unread, "{kind} {payload}");
        }
    }

    /// Kind, payload, default currency; then cost and currency. `-` is none.
    #[rustfmt::skip]
    const CASES: &[[&str; 5]] = &[
        ["call.cost", r#"{"total_cost":"0.0106","cost_parts":[{"currency":"USD"},{"currency":"usd"}]}"#, "EUR", "0.0106", "USD"],
        ["call.cost", r#"{"total_cost":"0.01","cost_parts":[{"currency":"USD"},{"currency":"EUR"}]}"#, "USD", "0.01", "-"],
        ["call.cost", r#"{"total_cost":"0.01","cost_parts":[{"currency":"USD"},{"cost":"0"}]}"#, "EUR", "0.01", "USD"],
        ["call.cost", r#"{"total_cost":"0.01","cost_parts":[{"currency":"dollars"}]}"#, "EUR", "0.01", "-"],
        ["call.cost", r#"{"total_cost":"0.0000","cost_parts":[{"type":"sip-trunking"}]}"#, "eur", "0.0000", "EUR"],
        ["call.cost", r#"{"total_cost":0.00305,"cost_parts":[]}"#, "-", "0.00305", "-"],
        ["call.cost", r#"{"total_cost":null,"cost_parts":[]}"#, "USD", "-", "USD"],
        ["call.cost", r#"{"cost":{"amount":"1.00","currency":"USD"}}"#, "-", "-", "-"],
        ["call.cost", r#""odd""#, "USD", "-", "USD"],
        ["call.cost", r#"{"total_cost":"1","cost_parts":{"currency":"EUR"}}"#, "USD", "1", "USD"],
        ["call.analyzed", r#"{"cost":{"total":"0.1400","currency":"USD","breakdown":[{"product":"siptrunking-cdrs","cost":"0.0100"},{"product":"ai-voice-assistant","cost":"0.1000"},{"product":"inference","cost":"0.0300"}]}}"#, "EUR", "0.1300", "USD"],
        ["call.analyzed", r#"{"cost":{"total":"0.02","breakdown":[{"product":"callcontrol-cdrs","cost":"0.01"},{"product":"call-control","cost":"0.01"},{"product":"sip_trunking","cost":"1"},{"product":"recording-cdrs","cost":"1"},{"product":"Call Recording","cost":"1"}]}}"#, "EUR", "0", "EUR"],
        ["call.analyzed", r#"{"cost":"No cost data available."}"#, "USD", "-", "-"],
        ["call.analyzed", r#"{"cost":null}"#, "USD", "-", "-"],
        // A line that is unknown makes the sum unknown, and so does no line.
        ["call.analyzed", r#"{"cost":{"total":"0.2","breakdown":[{"product":"inference","cost":"0.1"},{"product":"tts","cost":null}]}}"#, "USD", "-", "USD"],
        ["call.analyzed", r#"{"cost":{"total":"0.2","breakdown":[]}}"#, "USD", "-", "USD"],
        ["call.analyzed", r#"{"cost":{"total":"0.2"}}"#, "USD", "-", "USD"],
        ["call.analyzed", r#"{"cost":{"breakdown":[{"product":"inference","cost":0.1}],"currency":"dollars"}}"#, "USD", "0.1", "-"],
        ["message.finalized", r#"{"cost":{"amount":"0.0051","currency":"USD"}}"#, "-", "0.0051", "USD"],
        ["message.finalized", r#"{"cost":null}"#, "USD", "-", "USD"],
        ["message.echo", r#"{"cost":{"amount":null,"currency":null}}"#, "-", "-", "-"],
        ["message.received", r#"{"text":"hi"}"#, "USD", "-", "-"],
        ["messaging-profile.spend-limit-reached", r#"{"current_cost":"10.02"}"#, "EUR", "-", "USD"],
        ["account.balance", r#"{"balance":"3.00","currency":"EUR"}"#, "USD", "-", "EUR"],
        ["fax.failed", r#"{"cost":{"amount":"1.00","currency":"USD"},"total_cost":"1"}"#, "USD", "-", "-"],
    ];

    #[test]
    fn each_kind_has_its_own_place_for_money() {
        for [kind, json, default, cost, code] in CASES {
            let payload: Value = serde_json::from_str(json).expect("json");
            let default = Some(*default).filter(|default| *default != "-");
            let (found, currency) = of_event(kind, &payload, default);
            assert_eq!(
                found.map_or("-".to_owned(), |cost| cost.to_string()),
                *cost,
                "{kind} {json}"
            );
            assert_eq!(currency.as_deref().unwrap_or("-"), *code, "{kind} {json}");
        }
    }
}
