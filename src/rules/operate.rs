//! Arithmetic and order of values, and the faults in which an expression may end.

use std::borrow::Cow;

use super::functions::Refusal;
use super::program::Binary;
use super::values::{Kind, Value};

/// Why a run gave nothing, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault<'a> {
    /// Byte offset in the source.
    pub(super) at: u32,
    /// Why.
    pub(super) cause: Cause<'a>,
}

/// The causes of a [`Fault`]. Names come from the expression, never from the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause<'a> {
    /// A field that is not there, or null.
    NoField(&'a str),
    /// An index or computed key that is not there.
    NoElement,
    /// Null where a value is needed.
    Null,
    /// An operator or function that does not take this.
    OneType(&'static str, Kind),
    /// An operator that does not take these two.
    TwoTypes(&'static str, Kind, Kind),
    /// A function that takes this kind but not this content.
    Content(&'static str),
    /// A result of another kind than the rule wants.
    Result(&'static str, Kind),
    /// A number that has no exact decimal form, or one out of bounds.
    NoDecimal,
    /// Division by the integer 0.
    DivisionByZero,
    /// A result out of range.
    Overflow,
    /// Too many steps. Nothing absorbs it.
    TooMuchWork,
}

pub(super) type Outcome<'a> = Result<Value<'a>, Fault<'a>>;

pub(super) fn negate<'a>(at: u32, operand: &Value<'a>) -> Outcome<'a> {
    match operand {
        Value::Int(int) => {
            int.checked_neg().map(Value::Int).ok_or(Fault { at, cause: Cause::Overflow })
        }
        Value::Double(double) => Ok(Value::Double(-double)),
        other => Err(one_type(at, "-", other)),
    }
}

pub(super) fn order<'a>(
    at: u32,
    operator: Binary,
    left: &Value<'a>,
    right: &Value<'a>,
) -> Outcome<'a> {
    if !left.is_orderable_with(right) {
        return Err(two_types(at, operator.as_str(), left, right));
    }
    let order = left.order(right);
    Ok(Value::Bool(order.is_some_and(|order| match operator {
        Binary::Less => order.is_lt(),
        Binary::LessOrEqual => order.is_le(),
        Binary::Greater => order.is_gt(),
        _ => order.is_ge(),
    })))
}

pub(super) fn arithmetic<'a>(
    at: u32,
    operator: Binary,
    left: &Value<'a>,
    right: &Value<'a>,
) -> Outcome<'a> {
    let overflow = || Fault { at, cause: Cause::Overflow };
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => {
            let zero = matches!(operator, Binary::Divide | Binary::Remainder) && *b == 0;
            let result = match operator {
                Binary::Add => a.checked_add(*b),
                Binary::Subtract => a.checked_sub(*b),
                Binary::Multiply => a.checked_mul(*b),
                Binary::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            let cause = if zero { Cause::DivisionByZero } else { Cause::Overflow };
            result.map(Value::Int).ok_or(Fault { at, cause })
        }
        (Value::Double(a), Value::Double(b)) if operator != Binary::Remainder => {
            Ok(Value::Double(match operator {
                Binary::Add => a + b,
                Binary::Subtract => a - b,
                Binary::Multiply => a * b,
                _ => a / b,
            }))
        }
        (Value::Time(a), Value::Time(b)) if operator == Binary::Subtract => {
            Ok(Value::Span(a.duration_since(*b)))
        }
        (Value::Time(time), Value::Span(span)) | (Value::Span(span), Value::Time(time))
            if operator == Binary::Add =>
        {
            time.checked_add(*span).map(Value::Time).map_err(|_error| overflow())
        }
        (Value::Time(time), Value::Span(span)) if operator == Binary::Subtract => {
            time.checked_sub(*span).map(Value::Time).map_err(|_error| overflow())
        }
        (Value::Span(a), Value::Span(b)) if operator == Binary::Add => {
            a.checked_add(*b).map(Value::Span).ok_or_else(overflow)
        }
        (Value::Span(a), Value::Span(b)) if operator == Binary::Subtract => {
            a.checked_sub(*b).map(Value::Span).ok_or_else(overflow)
        }
        (Value::Text(a), Value::Text(b)) if operator == Binary::Add => {
            Ok(Value::Text(Cow::Owned([a.as_ref(), b.as_ref()].concat())))
        }
        _ if operator == Binary::Add => match (left.items(), right.items()) {
            (Some(a), Some(b)) if left.kind() == Kind::List && right.kind() == Kind::List => {
                Ok(Value::List(a.chain(b).collect()))
            }
            _ => Err(two_types(at, operator.as_str(), left, right)),
        },
        _ => Err(two_types(at, operator.as_str(), left, right)),
    }
}

pub(super) fn is_null(value: &Value<'_>) -> bool {
    value.kind() == Kind::Null
}

pub(super) fn missing(at: u32, name: &str) -> Fault<'_> {
    Fault { at, cause: Cause::NoField(name) }
}

pub(super) fn one_type<'a>(at: u32, operator: &'static str, value: &Value<'_>) -> Fault<'a> {
    let cause = if is_null(value) { Cause::Null } else { Cause::OneType(operator, value.kind()) };
    Fault { at, cause }
}

pub(super) fn two_types<'a>(
    at: u32,
    operator: &'static str,
    a: &Value<'_>,
    b: &Value<'_>,
) -> Fault<'a> {
    let cause = if is_null(a) || is_null(b) {
        Cause::Null
    } else {
        Cause::TwoTypes(operator, a.kind(), b.kind())
    };
    Fault { at, cause }
}

pub(super) fn refused<'a>(
    at: u32,
    name: &'static str,
    value: &Value<'_>,
    refusal: Refusal,
) -> Fault<'a> {
    match refusal {
        Refusal::Kind => one_type(at, name, value),
        Refusal::Content => Fault { at, cause: Cause::Content(name) },
    }
}
