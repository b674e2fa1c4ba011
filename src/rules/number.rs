//! Exact numbers out of events: decimals from the text that was sent, never by way of a float.

use std::str::FromStr as _;

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::eval;
use super::inputs::Inputs;
use super::operate::{Cause, Fault};
use super::program::{Node, Op};
use super::values::Value;

/// Longest text that is tried as a number, in bytes.
const NUMBER_BYTES_MAX: usize = 64;
/// Values beyond this, either way, are refused, so that sums of any number of them cannot overflow: 10^18.
const VALUE_MAX: Decimal = Decimal::from_parts(2_808_348_672, 232_830_643, 0, false, 0);

/// Computes `program` as a number; `None` when it is null.
pub(super) fn run<'a>(
    program: &'a Node,
    inputs: Inputs<'a>,
    want: &'static str,
) -> Result<Option<Decimal>, Fault<'a>> {
    let at = program.at;
    if is_null(program, inputs) {
        return Ok(None);
    }
    let number = match eval::run(program, inputs)? {
        Value::Null => return Ok(None),
        Value::Int(int) => Some(Decimal::from(int)),
        Value::Uint(uint) => Some(Decimal::from(uint)),
        Value::Decimal(decimal) => Some(decimal),
        Value::Digits(digits) => decimal(&digits),
        Value::Double(double) => of_double(double),
        Value::String(text) if is_plain(text.trim()) => decimal(text.trim()),
        other => return Err(Fault { at, cause: Cause::Result(want, other.kind()) }),
    };
    number.filter(in_bounds).map(Some).ok_or(Fault { at, cause: Cause::NoDecimal })
}

/// Whether `program` names a field of the payload that is there and null.
pub(super) fn is_null(program: &Node, inputs: Inputs<'_>) -> bool {
    let Op::Field(of, name) = &program.op else { return false };
    match eval::run(of, inputs) {
        Ok(Value::Json(json)) => matches!(json.get(name.as_ref()), Some(Json::Null)),
        _ => false,
    }
}

/// The number that a JSON token or a literal writes, when it can be kept to the last digit. An exponent, in either
/// case, moves the point and is not kept.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    if text.len() > NUMBER_BYTES_MAX {
        return None;
    }
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let exact = Decimal::from_str_exact(digits).ok()?;
    if exponent == 0 {
        return Some(exact);
    }
    let exact = exact.normalize();
    let scale = i64::from(exact.scale()) - i64::from(exponent);
    if let Ok(scale) = u32::try_from(scale) {
        return Decimal::try_from_i128_with_scale(exact.mantissa(), scale).ok();
    }
    let power = 10_i128.checked_pow(u32::try_from(-scale).ok()?)?;
    Decimal::try_from_i128_with_scale(exact.mantissa().checked_mul(power)?, 0).ok()
}

/// The number of a text as Telnyx writes amounts: digits with at most one point, no exponent; blanks around it do not
/// count. `num(…)` is this in every place.
pub(super) fn of_text(text: &str) -> Option<Value<'static>> {
    let text = text.trim();
    if !is_plain(text) {
        return None;
    }
    Some(match decimal(text) {
        Some(exact) => Value::Decimal(exact),
        None => Value::Digits(text.to_owned().into()),
    })
}

/// The double that is nearest to a decimal.
pub(super) fn to_f64(decimal: Decimal) -> f64 {
    /// The powers of ten that are doubles without rounding.
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ];
    /// Whole numbers up to here are doubles without rounding.
    const WHOLE_MAX: u128 = 1 << 53;
    let mantissa = decimal.mantissa();
    let power = usize::try_from(decimal.scale()).ok().and_then(|scale| POWERS.get(scale));
    match power {
        // One division of two exact doubles rounds once. `Decimal::to_f64` rounds more often.
        #[expect(clippy::cast_precision_loss, reason = "the bound was checked")]
        Some(power) if mantissa.unsigned_abs() <= WHOLE_MAX => mantissa as f64 / power,
        _ => decimal.to_string().parse().expect("a decimal's text is a number"),
    }
}

/// A computed number: rounded only where it has more than 28 decimal places.
fn of_double(double: f64) -> Option<Decimal> {
    // `{}` writes the shortest text that reads back as the same double, without an exponent.
    let text = if double.is_finite() { double.to_string() } else { return None };
    Decimal::from_str(&text).ok()
}

pub(super) fn in_bounds(number: &Decimal) -> bool {
    number.abs() <= VALUE_MAX
}

fn is_plain(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(unsigned),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::{At, Position};
    use crate::event::Event;
    use crate::rules::{Expression, Scope, Want};

    fn event() -> Event {
        let payload = r#"{"text": "31.40", "padded": " 7.10 ", "long": 0.1000000000000000055511151231,
            "big": 123456789012345678, "over": 1000000000000000001, "e": 5e-05, "e3": 1.5E3, "far": 1e999, "none": null,
            "word": "many", "flag": true, "list": [null, 2.50], "inner": {"n": -0.10}, "digits": 0.12345678901234567890123456789012}"#;
        let payload = serde_json::from_str(payload).expect("json");
        let at = "2026-01-31T22:30:05Z".parse().expect("a time");
        let mut event = Event::tollbell("x", "main", "e1".to_owned(), at, payload);
        event.cost = Some("0.010600".parse().expect("a decimal"));
        event
    }

    fn number(source: &str) -> String {
        let source = At::new(source.to_owned(), Position::new("r.yaml", 1, 1));
        let expression = match Expression::compile(&source, Scope::EVENT, Want::Number) {
            Ok(expression) => expression,
            Err(problem) => return problem.to_string(),
        };
        match expression.number(Inputs::of(&event())) {
            Ok(Some(number)) => number.to_string(),
            Ok(None) => "null".to_owned(),
            Err(failure) => format!("{} {}", failure.reason.as_str(), failure.detail),
        }
    }

    #[test]
    fn ten_to_the_eighteenth_is_the_bound() {
        assert_eq!(VALUE_MAX, Decimal::from(1_000_000_000_000_000_000_u64));
    }

    #[test]
    fn what_is_named_is_exact_and_what_is_computed_is_the_shortest() {
        for (source, want) in [
            ("payload.text", "31.40"),
            ("payload['text']", "31.40"),
            ("num(payload.text)", "31.40"),
            ("payload.padded", "7.10"),
            // No float has so many digits.
            ("payload.long", "0.1000000000000000055511151231"),
            ("payload.big", "123456789012345678"),
            ("payload.e", "0.00005"),
            ("payload.e3", "1500"),
            ("payload.inner.n", "-0.10"),
            ("event.cost", "0.010600"),
            ("num(event.cost)", "0.010600"),
            ("event.cost * 2.0", "0.0212"),
            ("0.1 + 0.2", "0.30000000000000004"),
            ("num(payload.text) / 3.0", "10.466666666666667"),
            ("1.0 / 3.0e20", "0.0000000000000000000033333333"),
            ("payload.list[1]", "2.50"),
            ("payload.list[1] > 2 ? 7 : 8", "7"),
            ("size(payload.list)", "2"),
            ("payload.flag ? payload.text : '0'", "31.40"),
            ("payload.none", "null"),
        ] {
            assert_eq!(number(source), want, "{source}");
        }
    }

    #[test]
    fn what_is_no_number_says_so() {
        for (source, want) in [
            ("payload.nope", "missing_field r.yaml:1:9: no field `nope`"),
            ("num(payload.none)", "missing_field r.yaml:1:13: no field `none`"),
            ("payload.none.x", "missing_field r.yaml:1:9: no field `none`"),
            ("event.charge", "missing_field r.yaml:1:7: no field `charge`"),
            ("event.charge + 1.0", "missing_field r.yaml:1:7: no field `charge`"),
            ("num(payload.word)", "type r.yaml:1:1: `num` cannot read this value"),
            ("payload.over", "type r.yaml:1:9: no decimal number that can be kept exactly"),
            ("payload.far", "type r.yaml:1:9: no decimal number that can be kept exactly"),
            ("payload.digits", "type r.yaml:1:9: no decimal number that can be kept exactly"),
            ("1.0 / 0.0", "type r.yaml:1:5: no decimal number that can be kept exactly"),
            ("1e300 * 1.0", "type r.yaml:1:7: no decimal number that can be kept exactly"),
            ("payload.word", "type r.yaml:1:9: expected a number or decimal text, found string"),
            ("payload.flag", "type r.yaml:1:9: expected a number or decimal text, found bool"),
            ("payload.inner", "type r.yaml:1:9: expected a number or decimal text, found map"),
            (
                "event.kind",
                "r.yaml:1:1: expected a number or decimal text, found string (hint: write num(…))",
            ),
            ("true", "r.yaml:1:1: expected a number or decimal text, found bool"),
        ] {
            assert_eq!(number(source), want, "{source}");
        }
    }

    #[test]
    fn a_line_has_no_payload() {
        let program = Node { at: 0, op: Op::Value };
        let (level, labels) = (crate::rules::Level::default(), crate::rules::Labels::new());
        let inputs = Inputs::Line { level: &level, labels: &labels };
        assert_eq!(run(&program, inputs, "x"), Err(crate::rules::operate::missing(0, "value")));
    }

    proptest! {
        #[test]
        fn every_digit_is_kept(mantissa in -1_000_000_000_000_000_000_i64..=1_000_000_000_000_000_000, scale in 0_u32..=18) {
            let exact = Decimal::new(mantissa, scale);
            let text = exact.to_string();
            prop_assert_eq!(decimal(&text).expect("a number").to_string(), text.clone());
            let scientific = format!("{mantissa}E-{scale}");
            prop_assert_eq!(decimal(&scientific), Some(exact));
            prop_assert_eq!(to_f64(exact).to_bits(), text.parse::<f64>().expect("a double").to_bits());
            prop_assert!(in_bounds(&exact));
        }

        #[test]
        fn a_double_comes_back(double in -1e15_f64..1e15) {
            let number = of_double(double).expect("a number");
            prop_assert_eq!(number.to_string().parse::<f64>().expect("a double").to_bits(), (double + 0.0).to_bits());
        }
    }
}
