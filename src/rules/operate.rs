//! Arithmetic and order of values, and the faults in which an expression may end.

use std::borrow::Cow;

use super::functions::CallError;
use super::program::Binary;
use super::time;
use super::values::{Value, ValueKind};

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
    OneType(&'static str, ValueKind),
    /// An operator that does not take these two.
    TwoTypes(&'static str, ValueKind, ValueKind),
    /// A function that takes this kind but not this content.
    Content(&'static str),
    /// A result of another kind than the rule wants.
    Result(&'static str, ValueKind),
    /// A number that has no exact decimal form, or one out of bounds.
    NoDecimal,
    /// A map with the same key twice.
    SameKey,
    /// Division by the integer 0.
    DivisionByZero,
    /// A result out of range.
    Overflow,
    /// Too many steps. Nothing absorbs it.
    TooMuchWork,
}

pub(super) type Computed<'a> = Result<Value<'a>, Fault<'a>>;

pub(super) fn negate<'a>(at: u32, operand: &Value<'a>) -> Computed<'a> {
    match operand {
        Value::Int(int) => {
            int.checked_neg().map(Value::Int).ok_or(Fault { at, cause: Cause::Overflow })
        }
        Value::Decimal(decimal) if !decimal.is_zero() => Ok(Value::Decimal(-decimal)),
        other => match other.double() {
            Some(double) => Ok(Value::Double(-double)),
            None => Err(one_type(at, "-", other)),
        },
    }
}

pub(super) fn order<'a>(
    at: u32,
    operator: Binary,
    left: &Value<'a>,
    right: &Value<'a>,
) -> Computed<'a> {
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
) -> Computed<'a> {
    let overflow = || Fault { at, cause: Cause::Overflow };
    let zero = |is_zero: bool| match operator {
        Binary::Divide | Binary::Remainder if is_zero => Cause::DivisionByZero,
        _ => Cause::Overflow,
    };
    if let (Some(a), Some(b)) = (left.double(), right.double())
        && operator != Binary::Remainder
    {
        return Ok(Value::Double(doubles(operator, a, b)));
    }
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => {
            let operations: [fn(i64, i64) -> Option<i64>; 5] = [
                i64::checked_add,
                i64::checked_sub,
                i64::checked_mul,
                i64::checked_div,
                i64::checked_rem,
            ];
            let result = whole(operator, operations, *a, *b);
            result.map(Value::Int).ok_or(Fault { at, cause: zero(*b == 0) })
        }
        (Value::Uint(a), Value::Uint(b)) => {
            let operations: [fn(u64, u64) -> Option<u64>; 5] = [
                u64::checked_add,
                u64::checked_sub,
                u64::checked_mul,
                u64::checked_div,
                u64::checked_rem,
            ];
            let result = whole(operator, operations, *a, *b);
            result.map(Value::Uint).ok_or(Fault { at, cause: zero(*b == 0) })
        }
        (Value::Timestamp(a), Value::Timestamp(b)) if operator == Binary::Subtract => {
            let between = time::bounded(a.duration_since(*b));
            between.map(Value::Duration).ok_or_else(overflow)
        }
        (Value::Timestamp(timestamp), Value::Duration(duration))
        | (Value::Duration(duration), Value::Timestamp(timestamp))
            if operator == Binary::Add =>
        {
            time::add(*timestamp, *duration).map(Value::Timestamp).ok_or_else(overflow)
        }
        (Value::Timestamp(timestamp), Value::Duration(duration))
            if operator == Binary::Subtract =>
        {
            let sum = duration.checked_neg().and_then(|back| time::add(*timestamp, back));
            sum.map(Value::Timestamp).ok_or_else(overflow)
        }
        (Value::Duration(a), Value::Duration(b))
            if matches!(operator, Binary::Add | Binary::Subtract) =>
        {
            let result =
                if operator == Binary::Add { a.checked_add(*b) } else { a.checked_sub(*b) };
            result.and_then(time::bounded).map(Value::Duration).ok_or_else(overflow)
        }
        _ if operator == Binary::Add => {
            joined(left, right).ok_or_else(|| two_types(at, "+", left, right))
        }
        _ => Err(two_types(at, operator.as_str(), left, right)),
    }
}

/// Two texts, bytes or lists, one after the other.
fn joined<'a>(left: &Value<'a>, right: &Value<'a>) -> Option<Value<'a>> {
    match (left, right) {
        (Value::String(a), Value::String(b)) => {
            Some(Value::String(Cow::Owned([a.as_ref(), b.as_ref()].concat())))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            Some(Value::Bytes([a.as_ref(), b.as_ref()].concat().into()))
        }
        _ if left.kind() == ValueKind::List && right.kind() == ValueKind::List => {
            Some(Value::List(left.items()?.chain(right.items()?).collect()))
        }
        _ => None,
    }
}

fn doubles(operator: Binary, a: f64, b: f64) -> f64 {
    match operator {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        _ => a / b,
    }
}

/// One of the operations `+ - * / %`; `None` out of range.
fn whole<T>(
    operator: Binary,
    [add, subtract, multiply, divide, remainder]: [fn(T, T) -> Option<T>; 5],
    a: T,
    b: T,
) -> Option<T> {
    match operator {
        Binary::Add => add(a, b),
        Binary::Subtract => subtract(a, b),
        Binary::Multiply => multiply(a, b),
        Binary::Divide => divide(a, b),
        _ => remainder(a, b),
    }
}

pub(super) fn is_null(value: &Value<'_>) -> bool {
    value.kind() == ValueKind::Null
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
    refusal: CallError,
) -> Fault<'a> {
    match refusal {
        CallError::Kind => one_type(at, name, value),
        CallError::Content => Fault { at, cause: Cause::Content(name) },
    }
}
