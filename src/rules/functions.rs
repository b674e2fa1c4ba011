//! The functions that expressions may call: their names, what they take and what they give.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::program::{Function, TimePart};
use super::types::Type;
use super::values::{Value, ValueKind};
use super::{number, time};

/// A declared function.
pub(super) struct Signature {
    pub(super) function: Function,
    pub(super) style: Style,
    /// The types each argument may have; a method's target is the first.
    pub(super) takes: &'static [&'static [Type]],
    pub(super) gives: Type,
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`
    Global,
    /// `x.f()`
    Method,
    /// Either.
    Both,
}

use Type::{Bool, Bytes, Double, Duration, Int, List, Map, String as Str, Timestamp, Uint};

/// Any type at all.
const ANY: &[Type] = &[
    Type::Null,
    Bool,
    Int,
    Uint,
    Double,
    Str,
    Bytes,
    Timestamp,
    Duration,
    Type::Kind,
    List,
    Map,
    Type::Amount,
];

/// All plain functions. Those with literal arguments (`matches`, `getHours`, …) and the macros stand apart.
pub(super) const FUNCTIONS: &[Signature] = &[
    signature(Function::Size, Style::Both, &[&[Str, Bytes, List, Map]], Int),
    signature(Function::Contains, Style::Method, &[&[Str], &[Str]], Bool),
    signature(Function::StartsWith, Style::Method, &[&[Str], &[Str]], Bool),
    signature(Function::EndsWith, Style::Method, &[&[Str], &[Str]], Bool),
    signature(Function::Prefix, Style::Both, &[&[Str], &[Int]], Str),
    signature(
        Function::ToString,
        Style::Global,
        &[&[Str, Bytes, Bool, Int, Uint, Double, Timestamp, Duration]],
        Str,
    ),
    signature(Function::ToBytes, Style::Global, &[&[Bytes, Str]], Bytes),
    signature(Function::ToInt, Style::Global, &[&[Int, Uint, Double, Str, Timestamp]], Int),
    signature(Function::ToUint, Style::Global, &[&[Uint, Int, Double, Str]], Uint),
    signature(Function::ToDouble, Style::Global, &[&[Double, Int, Uint, Str]], Double),
    signature(Function::ToBool, Style::Global, &[&[Bool, Str]], Bool),
    signature(Function::Num, Style::Global, &[&[Double, Int, Uint, Str]], Double),
    signature(Function::ToTimestamp, Style::Global, &[&[Timestamp, Str, Int]], Timestamp),
    signature(Function::ToDuration, Style::Global, &[&[Duration, Str]], Duration),
    signature(Function::Type, Style::Global, &[ANY], Type::Kind),
    signature(Function::Dyn, Style::Global, &[ANY], Type::Dynamic),
];

/// The methods that take a part out of a timestamp (optionally in a time zone) or a duration.
pub(super) const TIME_PARTS: &[(&str, TimePart)] = &[
    ("getFullYear", TimePart::FullYear),
    ("getMonth", TimePart::Month),
    ("getDate", TimePart::Date),
    ("getDayOfMonth", TimePart::DayOfMonth),
    ("getDayOfWeek", TimePart::DayOfWeek),
    ("getDayOfYear", TimePart::DayOfYear),
    ("getHours", TimePart::Hours),
    ("getMinutes", TimePart::Minutes),
    ("getSeconds", TimePart::Seconds),
    ("getMilliseconds", TimePart::Milliseconds),
];

const fn signature(
    function: Function,
    style: Style,
    takes: &'static [&'static [Type]],
    gives: Type,
) -> Signature {
    Signature { function, style, takes, gives }
}

/// Why a function gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallError {
    /// It does not take this kind of value.
    Kind,
    /// The kind is right, the content is not: `int("abc")`.
    Content,
}

/// Calls a function whose arguments were counted by the checker.
pub(super) fn call<'a>(function: Function, args: &[Value<'a>]) -> Result<Value<'a>, CallError> {
    match (function, args) {
        (Function::Size, [value]) => size(value),
        (Function::Contains, [Value::String(text), Value::String(part)]) => {
            Ok(Value::Bool(text.contains(part.as_ref())))
        }
        (Function::StartsWith, [Value::String(text), Value::String(part)]) => {
            Ok(Value::Bool(text.starts_with(part.as_ref())))
        }
        (Function::EndsWith, [Value::String(text), Value::String(part)]) => {
            Ok(Value::Bool(text.ends_with(part.as_ref())))
        }
        (Function::Prefix, [Value::String(text), Value::Int(characters)]) => {
            prefix(text, *characters)
        }
        (Function::ToString, [value]) => to_string(value),
        (Function::ToBytes, [value]) => match value {
            Value::Bytes(_) => Ok(value.clone()),
            Value::String(text) => Ok(Value::Bytes(text.as_bytes().into())),
            _ => Err(CallError::Kind),
        },
        (Function::ToInt, [value]) => to_int(value),
        (Function::ToUint, [value]) => to_uint(value),
        (Function::ToDouble, [value]) => to_double(value),
        (Function::ToBool, [value]) => to_bool(value),
        (Function::Num, [value]) => match value {
            Value::String(text) => number::of_text(text).ok_or(CallError::Content),
            _ => to_double(value),
        },
        (Function::ToTimestamp, [value]) => to_timestamp(value),
        (Function::ToDuration, [value]) => match value {
            Value::Duration(_) => Ok(value.clone()),
            Value::String(text) => {
                time::duration(text).map(Value::Duration).ok_or(CallError::Content)
            }
            _ => Err(CallError::Kind),
        },
        (Function::Type, [value]) => Ok(Value::Type(value.kind())),
        (Function::Dyn, [value]) => Ok(value.clone()),
        _ => Err(CallError::Kind),
    }
}

fn size<'a>(value: &Value<'a>) -> Result<Value<'a>, CallError> {
    let size = match (value, value.kind()) {
        (Value::String(text), _) => text.chars().count(),
        (Value::Bytes(bytes), _) => bytes.len(),
        (_, ValueKind::List | ValueKind::Map) => value.len(),
        _ => return Err(CallError::Kind),
    };
    i64::try_from(size).map(Value::Int).or(Err(CallError::Content))
}

/// `prefix`: the first so many characters, all of a text that has fewer. Ours: CEL has no such function, and a number's
/// first digits say where a call goes.
fn prefix<'a>(text: &Cow<'a, str>, characters: i64) -> Result<Value<'a>, CallError> {
    let characters = usize::try_from(characters).or(Err(CallError::Content))?;
    let Some((end, _)) = text.char_indices().nth(characters) else {
        return Ok(Value::String(text.clone()));
    };
    Ok(Value::String(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or(text)),
        Cow::Owned(text) => Cow::Owned(text.get(..end).unwrap_or(text).to_owned()),
    }))
}

fn to_string<'a>(value: &Value<'a>) -> Result<Value<'a>, CallError> {
    Ok(Value::String(match value {
        Value::String(text) => text.clone(),
        Value::Bytes(bytes) => {
            let text = String::from_utf8(bytes.to_vec()).or(Err(CallError::Content))?;
            Cow::Owned(text)
        }
        Value::Bool(flag) => Cow::Owned(flag.to_string()),
        Value::Timestamp(timestamp) => Cow::Owned(time::timestamp_text(*timestamp)),
        Value::Duration(duration) => Cow::Owned(time::duration_text(*duration)),
        _ => Cow::Owned(value.number_text().ok_or(CallError::Kind)?),
    }))
}

fn to_int<'a>(value: &Value<'a>) -> Result<Value<'a>, CallError> {
    match value {
        Value::Int(int) => Ok(Value::Int(*int)),
        Value::Uint(uint) => i64::try_from(*uint).map(Value::Int).or(Err(CallError::Content)),
        Value::String(text) => text.parse().map(Value::Int).or(Err(CallError::Content)),
        Value::Timestamp(timestamp) => Ok(Value::Int(time::seconds(*timestamp))),
        // CEL leaves the ends of the range out, which a float cannot tell from what is beyond them.
        _ => {
            let whole = whole(value)?.filter(|whole| *whole > i128::from(i64::MIN));
            let int = whole.and_then(|whole| i64::try_from(whole).ok());
            int.map(Value::Int).ok_or(CallError::Content)
        }
    }
}

fn to_uint<'a>(value: &Value<'a>) -> Result<Value<'a>, CallError> {
    let uint = match value {
        Value::Uint(uint) => Some(*uint),
        Value::Int(int) => u64::try_from(*int).ok(),
        Value::String(text) => text.parse().ok(),
        _ => whole(value)?.and_then(|whole| u64::try_from(whole).ok()),
    };
    uint.map(Value::Uint).ok_or(CallError::Content)
}

/// The whole part of a double; `None` where it is none, or far out of the range of every integer.
fn whole(value: &Value<'_>) -> Result<Option<i128>, CallError> {
    /// 2^64, which is exact.
    const WHOLE_END: f64 = 18_446_744_073_709_551_616.0;
    let double = value.double().ok_or(CallError::Kind)?;
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let whole = (double.abs() < WHOLE_END).then(|| double.trunc() as i128);
    Ok(whole)
}

#[expect(clippy::cast_precision_loss, reason = "what `double` means in CEL")]
fn to_double<'a>(value: &Value<'a>) -> Result<Value<'a>, CallError> {
    match value {
        Value::Int(int) => Ok(Value::Double(*int as f64)),
        Value::Uint(uint) => Ok(Value::Double(*uint as f64)),
        Value::String(text) => text.parse().map(Value::Double).or(Err(CallError::Content)),
        _ if value.kind() == ValueKind::Double => Ok(value.clone()),
        _ => Err(CallError::Kind),
    }
}

fn to_bool<'a>(value: &Value<'a>) -> Result<Value<'a>, CallError> {
    match value {
        Value::Bool(flag) => Ok(Value::Bool(*flag)),
        Value::String(text) => match text.as_ref() {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
            _ => Err(CallError::Content),
        },
        _ => Err(CallError::Kind),
    }
}

fn to_timestamp<'a>(value: &Value<'a>) -> Result<Value<'a>, CallError> {
    let timestamp = match value {
        Value::Timestamp(timestamp) => Some(*timestamp),
        Value::String(text) => time::timestamp(text),
        Value::Int(seconds) => time::of_seconds(*seconds),
        _ => return Err(CallError::Kind),
    };
    timestamp.map(Value::Timestamp).ok_or(CallError::Content)
}

/// `getHours` and its like.
pub(super) fn time_part<'a>(
    part: TimePart,
    value: &Value<'a>,
    zone: &TimeZone,
) -> Result<Value<'a>, CallError> {
    let number = match value {
        Value::Timestamp(timestamp) => {
            let local = time::local(*timestamp, zone).ok_or(CallError::Content)?;
            i64::from(match part {
                TimePart::FullYear => local.year(),
                TimePart::Month => i16::from(local.month()) - 1,
                TimePart::Date => i16::from(local.day()),
                TimePart::DayOfMonth => i16::from(local.day()) - 1,
                TimePart::DayOfWeek => i16::from(local.weekday().to_sunday_zero_offset()),
                TimePart::DayOfYear => local.day_of_year() - 1,
                TimePart::Hours => i16::from(local.hour()),
                TimePart::Minutes => i16::from(local.minute()),
                TimePart::Seconds => i16::from(local.second()),
                TimePart::Milliseconds => local.millisecond(),
            })
        }
        // Of a duration the first three are all of it, and only the last is a part.
        Value::Duration(duration) => match part {
            TimePart::Hours => duration.as_hours(),
            TimePart::Minutes => duration.as_mins(),
            TimePart::Seconds => duration.as_secs(),
            TimePart::Milliseconds => i64::from(duration.subsec_millis()),
            _ => return Err(CallError::Kind),
        },
        _ => return Err(CallError::Kind),
    };
    Ok(Value::Int(number))
}
