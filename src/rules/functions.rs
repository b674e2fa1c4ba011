//! The functions that expressions may call: their names, what they take and what they give.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::program::{Function, TimePart};
use super::types::Type;
use super::values::Value;

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

use Type::{Bool, Double, Int, List, Map, Span, Text, Time};

/// All plain functions. Those with literal arguments (`matches`, `getHours`, …) and the macros stand apart.
pub(super) const FUNCTIONS: &[Signature] = &[
    signature(Function::Size, Style::Both, &[&[Text, List, Map]], Int),
    signature(Function::Contains, Style::Method, &[&[Text], &[Text]], Bool),
    signature(Function::StartsWith, Style::Method, &[&[Text], &[Text]], Bool),
    signature(Function::EndsWith, Style::Method, &[&[Text], &[Text]], Bool),
    signature(Function::Prefix, Style::Both, &[&[Text], &[Int]], Text),
    signature(Function::ToText, Style::Global, &[&[Text, Bool, Int, Double, Time, Span]], Text),
    signature(Function::ToInt, Style::Global, &[&[Int, Double, Text, Time]], Int),
    signature(Function::ToDouble, Style::Global, &[&[Double, Int, Text]], Double),
    signature(Function::ToBool, Style::Global, &[&[Bool, Text]], Bool),
    signature(Function::Num, Style::Global, &[&[Double, Int, Text]], Double),
    signature(Function::ToTime, Style::Global, &[&[Time, Text, Int]], Time),
    signature(Function::ToSpan, Style::Global, &[&[Span, Text]], Span),
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
pub(super) enum Refusal {
    /// It does not take this kind of value.
    Kind,
    /// The kind is right, the content is not: `int("abc")`.
    Content,
}

/// Calls a function whose arguments were counted by the checker.
pub(super) fn call<'a>(function: Function, args: &[Value<'a>]) -> Result<Value<'a>, Refusal> {
    match (function, args) {
        (Function::Size, [value]) => size(value),
        (Function::Contains, [Value::Text(text), Value::Text(part)]) => {
            Ok(Value::Bool(text.contains(part.as_ref())))
        }
        (Function::StartsWith, [Value::Text(text), Value::Text(part)]) => {
            Ok(Value::Bool(text.starts_with(part.as_ref())))
        }
        (Function::EndsWith, [Value::Text(text), Value::Text(part)]) => {
            Ok(Value::Bool(text.ends_with(part.as_ref())))
        }
        (Function::Prefix, [Value::Text(text), Value::Int(characters)]) => {
            prefix(text, *characters)
        }
        (Function::ToText, [value]) => to_text(value),
        (Function::ToInt, [value]) => to_int(value),
        (Function::ToDouble, [value]) => to_double(value),
        (Function::ToBool, [value]) => to_bool(value),
        (Function::Num, [value]) => num(value),
        (Function::ToTime, [value]) => to_time(value),
        (Function::ToSpan, [value]) => to_span(value),
        _ => Err(Refusal::Kind),
    }
}

fn size<'a>(value: &Value<'a>) -> Result<Value<'a>, Refusal> {
    let size = match value {
        Value::Text(text) => text.chars().count(),
        Value::List(_) | Value::Json(_) | Value::Labels(_) => value.len(),
        _ => return Err(Refusal::Kind),
    };
    i64::try_from(size).map(Value::Int).or(Err(Refusal::Content))
}

/// `prefix`: the first so many characters, all of a text that has fewer. Ours: CEL has no such function, and a number's
/// first digits say where a call goes.
fn prefix<'a>(text: &Cow<'a, str>, characters: i64) -> Result<Value<'a>, Refusal> {
    let characters = usize::try_from(characters).or(Err(Refusal::Content))?;
    let Some((end, _)) = text.char_indices().nth(characters) else {
        return Ok(Value::Text(text.clone()));
    };
    Ok(Value::Text(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or(text)),
        Cow::Owned(text) => Cow::Owned(text.get(..end).unwrap_or(text).to_owned()),
    }))
}

fn to_text<'a>(value: &Value<'a>) -> Result<Value<'a>, Refusal> {
    Ok(Value::Text(match value {
        Value::Text(text) => text.clone(),
        Value::Bool(flag) => Cow::Owned(flag.to_string()),
        Value::Int(int) => Cow::Owned(int.to_string()),
        Value::Double(double) => Cow::Owned(double.to_string()),
        Value::Time(time) => Cow::Owned(time.to_string()),
        // Seconds with at most nine decimals, as CEL writes them.
        Value::Span(span) => Cow::Owned(format!("{}s", span.as_secs_f64())),
        _ => return Err(Refusal::Kind),
    }))
}

fn to_int<'a>(value: &Value<'a>) -> Result<Value<'a>, Refusal> {
    /// 2^63, which is exact.
    const INT_END: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Int(int) => Ok(Value::Int(*int)),
        Value::Double(double) if *double > -INT_END && *double < INT_END => {
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            let int = double.trunc() as i64;
            Ok(Value::Int(int))
        }
        Value::Double(_) => Err(Refusal::Content),
        Value::Text(text) => text.parse().map(Value::Int).or(Err(Refusal::Content)),
        Value::Time(time) => Ok(Value::Int(time.as_second())),
        _ => Err(Refusal::Kind),
    }
}

#[expect(clippy::cast_precision_loss, reason = "what `double` means in CEL")]
fn to_double<'a>(value: &Value<'a>) -> Result<Value<'a>, Refusal> {
    match value {
        Value::Double(double) => Ok(Value::Double(*double)),
        Value::Int(int) => Ok(Value::Double(*int as f64)),
        Value::Text(text) => text.parse().map(Value::Double).or(Err(Refusal::Content)),
        _ => Err(Refusal::Kind),
    }
}

fn to_bool<'a>(value: &Value<'a>) -> Result<Value<'a>, Refusal> {
    match value {
        Value::Bool(flag) => Ok(Value::Bool(*flag)),
        Value::Text(text) => match text.as_ref() {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
            _ => Err(Refusal::Content),
        },
        _ => Err(Refusal::Kind),
    }
}

/// `num`: a number, or a decimal as Telnyx writes amounts: digits with at most one point, no exponent.
fn num<'a>(value: &Value<'a>) -> Result<Value<'a>, Refusal> {
    if let Value::Text(text) = value {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return Err(Refusal::Content);
        }
    }
    to_double(value)
}

fn to_time<'a>(value: &Value<'a>) -> Result<Value<'a>, Refusal> {
    match value {
        Value::Time(time) => Ok(Value::Time(*time)),
        Value::Text(text) => text.parse().map(Value::Time).or(Err(Refusal::Content)),
        Value::Int(seconds) => {
            Timestamp::from_second(*seconds).map(Value::Time).or(Err(Refusal::Content))
        }
        _ => Err(Refusal::Kind),
    }
}

fn to_span<'a>(value: &Value<'a>) -> Result<Value<'a>, Refusal> {
    match value {
        Value::Span(span) => Ok(Value::Span(*span)),
        Value::Text(text) => text.parse().map(Value::Span).or(Err(Refusal::Content)),
        _ => Err(Refusal::Kind),
    }
}

/// `getHours` and its like.
pub(super) fn time_part<'a>(
    part: TimePart,
    value: &Value<'a>,
    zone: &TimeZone,
) -> Result<Value<'a>, Refusal> {
    let number = match value {
        Value::Time(time) => {
            let local = time.to_zoned(zone.clone());
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
        Value::Span(span) => match part {
            TimePart::Hours => span.as_hours(),
            TimePart::Minutes => span.as_mins(),
            TimePart::Seconds => span.as_secs(),
            TimePart::Milliseconds => i64::try_from(span.as_millis()).or(Err(Refusal::Content))?,
            _ => return Err(Refusal::Kind),
        },
        _ => return Err(Refusal::Kind),
    };
    Ok(Value::Int(number))
}

/// A time zone as CEL takes it: an IANA name, or an offset such as `-05:00`.
pub(super) fn time_zone(name: &str) -> Option<TimeZone> {
    let (sign, digits) = match name.split_at_checked(1) {
        Some(("-", digits)) => (-1, digits),
        Some(("+", digits)) => (1, digits),
        _ => (1, name),
    };
    if let Some((hours, minutes)) = digits.split_once(':') {
        let number = |text: &str, end: i32| {
            text.parse::<u8>().ok().map(i32::from).filter(|number| *number < end)
        };
        let seconds = number(hours, 24)? * 3600 + number(minutes, 60)? * 60;
        return Offset::from_seconds(sign * seconds).ok().map(TimeZone::fixed);
    }
    TimeZone::get(name).ok()
}
