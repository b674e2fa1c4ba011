//! Numbers among values: how they compare, and what they look like as text.

use std::borrow::Cow;
use std::cmp::Ordering;

use rust_decimal::Decimal;
use serde_json::Number;

use super::number;
use super::values::Value;

impl<'a> Value<'a> {
    /// A JSON number. Its text is looked at for digits only: how an exponent is written may have changed on the way.
    pub(super) fn of_number(number: &'a Number) -> Self {
        if let Some(int) = number.as_i64() {
            return Self::Int(int);
        }
        let text = number.as_str();
        let is_whole = text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
        match number::decimal(text) {
            Some(exact) if !is_whole => Self::Decimal(exact),
            // Too large for any float reads as infinite, which compares as people expect.
            _ if text.contains(['e', 'E']) => Self::Double(text.parse().unwrap_or(f64::NAN)),
            _ => Self::Digits(Cow::Borrowed(text)),
        }
    }

    /// The nearest float of a `double`; `None` for everything else.
    pub(super) fn double(&self) -> Option<f64> {
        match self {
            Self::Double(double) => Some(*double),
            Self::Decimal(decimal) => Some(number::to_f64(*decimal)),
            Self::Digits(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// A number as text: one that was sent keeps its digits, but for zeros at the end of a fraction; others are
    /// written with the fewest digits that mean the same. `None` for everything else.
    pub(super) fn number_text(&self) -> Option<String> {
        /// From here on, as from below its inverse, a float is written with an exponent.
        const PLAIN_END: f64 = 1e21;
        Some(match self {
            Self::Int(int) => int.to_string(),
            Self::Uint(uint) => uint.to_string(),
            Self::Digits(digits) => digits.clone().into_owned(),
            Self::Decimal(decimal) if number::to_f64(*decimal).abs() < PLAIN_END => {
                decimal.normalize().to_string()
            }
            _ => {
                let double = self.double()?;
                let is_plain = double == 0.0 || (1e-7..PLAIN_END).contains(&double.abs());
                if is_plain || !double.is_finite() {
                    double.to_string()
                } else {
                    // CEL's implementations write the sign of an exponent.
                    let text = format!("{double:e}");
                    if text.contains("e-") { text } else { text.replace('e', "e+") }
                }
            }
        })
    }

    /// The order of two numbers; `None` for NaN and for everything that is none.
    pub(super) fn order_numbers(&self, other: &Self) -> Option<Ordering> {
        if let (Self::Digits(a), Self::Digits(b)) = (self, other)
            && a == b
        {
            return Some(Ordering::Equal);
        }
        match (self.exact(), other.exact()) {
            (Some(ExactNumber::Whole(a)), Some(ExactNumber::Whole(b))) => Some(a.cmp(&b)),
            (Some(ExactNumber::Whole(a)), None) => order_mixed(a, other.double()?),
            (None, Some(ExactNumber::Whole(b))) => {
                order_mixed(b, self.double()?).map(Ordering::reverse)
            }
            (Some(a), Some(b)) => Some(a.decimal().cmp(&b.decimal())),
            // What was computed compares as the float that it is.
            _ => self.double()?.partial_cmp(&other.double()?),
        }
    }

    /// A number that is known to the last digit; `None` for what was computed.
    fn exact(&self) -> Option<ExactNumber> {
        match self {
            Self::Int(int) => Some(ExactNumber::Whole(i128::from(*int))),
            Self::Uint(uint) => Some(ExactNumber::Whole(i128::from(*uint))),
            Self::Decimal(decimal) => Some(ExactNumber::Decimal(*decimal)),
            Self::Digits(digits) => number::decimal(digits).map(ExactNumber::Decimal),
            _ => None,
        }
    }
}

/// A number that is known to the last digit.
#[derive(Clone, Copy)]
enum ExactNumber {
    /// Of 64 bits, with a sign or without.
    Whole(i128),
    Decimal(Decimal),
}

impl ExactNumber {
    fn decimal(self) -> Decimal {
        match self {
            // 64 bits fit.
            Self::Whole(whole) => Decimal::from_i128_with_scale(whole, 0),
            Self::Decimal(decimal) => decimal,
        }
    }
}

/// Compares without rounding the integer away: 2^53 + 1 is not 2^53.
fn order_mixed(whole: i128, double: f64) -> Option<Ordering> {
    /// 2^64, which is exact.
    const WHOLE_END: f64 = 18_446_744_073_709_551_616.0;
    if double.is_nan() {
        return None;
    }
    if double >= WHOLE_END {
        return Some(Ordering::Less);
    }
    if double <= -WHOLE_END {
        return Some(Ordering::Greater);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
    let part = double.trunc() as i128;
    Some(
        whole
            .cmp(&part)
            .then_with(|| 0.0_f64.partial_cmp(&double.fract()).unwrap_or(Ordering::Equal)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_value_and_exactly() {
        let (int, double) = (Value::Int, Value::Double);
        let two_53 = 9_007_199_254_740_992_i64;
        for (a, b, want) in [
            (int(1), double(1.0), Some(Ordering::Equal)),
            (int(1), double(1.5), Some(Ordering::Less)),
            (double(-1.5), int(-1), Some(Ordering::Less)),
            (int(-2), double(-1.5), Some(Ordering::Less)),
            (int(two_53 + 1), double(9_007_199_254_740_992.0), Some(Ordering::Greater)),
            (int(i64::MAX), double(9_223_372_036_854_775_808.0), Some(Ordering::Less)),
            (int(i64::MIN), double(-9_223_372_036_854_775_808.0), Some(Ordering::Equal)),
            (int(0), double(f64::NAN), None),
            (int(0), double(f64::NEG_INFINITY), Some(Ordering::Greater)),
            (int(0), Value::text("0"), None),
        ] {
            assert_eq!(a.order(&b), want, "{a:?} {b:?}");
            assert_eq!(b.order(&a), want.map(Ordering::reverse), "{b:?} {a:?}");
            assert_eq!(a.equals(&b), want == Some(Ordering::Equal), "{a:?} {b:?}");
        }
    }
}
