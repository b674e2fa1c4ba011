//! The values that expressions compute with, borrowed from the event wherever that is possible.
//!
//! CEL's types and its rules of equality and order, seen over JSON: integers are `int`, other numbers `double`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::Labels;

/// A value of an expression.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// JSON's null, met only as an element of an array: a null field counts as missing.
    Null,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `double`
    Double(f64),
    /// `string`
    Text(Cow<'a, str>),
    /// `timestamp`
    Time(Timestamp),
    /// `duration`
    Span(SignedDuration),
    /// `list`, made by the expression
    List(Rc<[Self]>),
    /// A JSON array or object, never a scalar.
    Json(&'a Json),
    /// `map`: the labels of a series.
    Labels(&'a Labels),
}

/// CEL's names of the kinds of [`Value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `null_type`
    Null,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `double`
    Double,
    /// `string`
    Text,
    /// `timestamp`
    Time,
    /// `duration`
    Span,
    /// `list`
    List,
    /// `map`
    Map,
}

impl Kind {
    /// CEL's word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::Text => "string",
            Self::Time => "timestamp",
            Self::Span => "duration",
            Self::List => "list",
            Self::Map => "map",
        }
    }
}

impl<'a> Value<'a> {
    /// What JSON means in an expression.
    pub(super) fn of(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => match number.as_i64() {
                Some(int) => Self::Int(int),
                // Too large for any float reads as infinite, which compares as people expect.
                None => Self::Double(number.as_f64().unwrap_or(f64::INFINITY)),
            },
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => Self::Json(json),
        }
    }

    /// Its kind.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Double(_) => Kind::Double,
            Self::Text(_) => Kind::Text,
            Self::Time(_) => Kind::Time,
            Self::Span(_) => Kind::Span,
            Self::List(_) | Self::Json(Json::Array(_)) => Kind::List,
            Self::Json(_) | Self::Labels(_) => Kind::Map,
        }
    }

    /// Number of elements of a list or members of a map, null ones not counted; 0 for everything else.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::List(items) => items.len(),
            Self::Json(Json::Array(items)) => items.len(),
            Self::Json(Json::Object(members)) => members.values().filter(|m| !m.is_null()).count(),
            Self::Labels(labels) => labels.len(),
            _ => 0,
        }
    }

    /// The element of a list at `at`.
    pub(super) fn item(&self, at: usize) -> Option<Self> {
        match self {
            Self::List(items) => items.get(at).cloned(),
            Self::Json(Json::Array(items)) => items.get(at).map(Self::of),
            _ => None,
        }
    }

    /// All that CEL's macros visit: elements of a list, keys of a map. `None` for everything else.
    pub(super) fn items(&self) -> Option<Items<'a>> {
        match self {
            Self::List(items) => Some(Items::List(Rc::clone(items), 0)),
            Self::Json(Json::Array(items)) => Some(Items::Array(items.iter())),
            Self::Json(Json::Object(members)) => Some(Items::Keys(members.iter())),
            Self::Labels(labels) => Some(Items::Names(labels.keys())),
            _ => None,
        }
    }

    /// The member of a map; null counts as missing.
    pub(super) fn member(&self, name: &str) -> Option<Self> {
        match self {
            Self::Json(Json::Object(members)) => {
                members.get(name).filter(|member| !member.is_null()).map(Self::of)
            }
            Self::Labels(labels) => labels.get(name).map(|value| Self::Text(Cow::Borrowed(value))),
            _ => None,
        }
    }

    /// How much work it is to look at all of it: at least 1, and no more than a little over `limit`.
    ///
    /// A list may hold another many times over, so counting has to end somewhere.
    pub(super) fn weight(&self, limit: usize) -> usize {
        match self {
            Self::Text(text) => text_weight(text),
            Self::List(items) => up_to(limit, items.iter(), Self::weight),
            Self::Json(json) => json_weight(json, limit),
            Self::Labels(labels) => up_to(limit, labels.values(), |text, _| text_weight(text)),
            _ => 1,
        }
    }

    /// CEL's `==`: numbers by value, everything else only within its kind.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Span(a), Self::Span(b)) => a == b,
            (Self::Int(_) | Self::Double(_), Self::Int(_) | Self::Double(_)) => {
                self.order(other) == Some(Ordering::Equal)
            }
            (Self::Labels(a), Self::Labels(b)) => a == b,
            (Self::Json(Json::Object(a)), Self::Json(Json::Object(_))) => {
                self.len() == other.len()
                    && a.iter().filter(|(_, member)| !member.is_null()).all(|(name, member)| {
                        other.member(name).is_some_and(|other| Self::of(member).equals(&other))
                    })
            }
            _ => match (self.kind(), other.kind()) {
                (Kind::List, Kind::List) => {
                    self.len() == other.len()
                        && (0..self.len()).all(|at| match (self.item(at), other.item(at)) {
                            (Some(a), Some(b)) => a.equals(&b),
                            _ => false,
                        })
                }
                _ => false,
            },
        }
    }

    /// The order of two values; `None` for NaN and for kinds that have none between them.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Int(a), Self::Double(b)) => order_mixed(*a, *b),
            (Self::Double(a), Self::Int(b)) => order_mixed(*b, *a).map(Ordering::reverse),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Span(a), Self::Span(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// Whether `<` and its like are defined between the kinds of the two.
    pub(super) fn is_orderable_with(&self, other: &Self) -> bool {
        let numeric = |kind| matches!(kind, Kind::Int | Kind::Double);
        let (a, b) = (self.kind(), other.kind());
        (numeric(a) && numeric(b))
            || (a == b && matches!(a, Kind::Bool | Kind::Text | Kind::Time | Kind::Span))
    }
}

/// What a macro visits, see [`Value::items`].
pub(super) enum Items<'a> {
    List(Rc<[Value<'a>]>, usize),
    Array(std::slice::Iter<'a, Json>),
    Keys(serde_json::map::Iter<'a>),
    Names(std::collections::btree_map::Keys<'a, String, String>),
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        match self {
            Self::List(items, at) => {
                *at += 1;
                items.get(*at - 1).cloned()
            }
            Self::Array(items) => items.next().map(Value::of),
            Self::Names(names) => names.next().map(|name| Value::Text(Cow::Borrowed(name))),
            Self::Keys(members) => members
                .find(|(_, member)| !member.is_null())
                .map(|(name, _)| Value::Text(Cow::Borrowed(name))),
        }
    }
}

/// Compares without rounding the integer away: 2^53 + 1 is not 2^53.
fn order_mixed(int: i64, double: f64) -> Option<Ordering> {
    /// 2^63, which is exact.
    const INT_END: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= INT_END {
        return Some(Ordering::Less);
    }
    if double < -INT_END {
        return Some(Ordering::Greater);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
    let whole = double.trunc() as i64;
    Some(
        int.cmp(&whole)
            .then_with(|| 0.0_f64.partial_cmp(&double.fract()).unwrap_or(Ordering::Equal)),
    )
}

/// Work of looking at a text: at least 1.
pub(super) fn text_weight(text: &str) -> usize {
    /// Bytes that are looked at in about the time of one step of an expression.
    const BYTES_PER_STEP: usize = 64;
    1 + text.len() / BYTES_PER_STEP
}

fn json_weight(json: &Json, limit: usize) -> usize {
    match json {
        Json::Array(items) => up_to(limit, items.iter(), json_weight),
        Json::Object(members) => up_to(limit, members.values(), json_weight),
        Json::String(text) => text_weight(text),
        Json::Null | Json::Bool(_) | Json::Number(_) => 1,
    }
}

/// Sum of weights, given up as soon as it is above the limit.
fn up_to<T>(limit: usize, items: impl Iterator<Item = T>, weight: fn(T, usize) -> usize) -> usize {
    let mut sum = 1_usize;
    for item in items {
        if sum > limit {
            break;
        }
        sum = sum.saturating_add(weight(item, limit.saturating_sub(sum)));
    }
    sum
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
            (int(0), Value::Text("0".into()), None),
        ] {
            assert_eq!(a.order(&b), want, "{a:?} {b:?}");
            assert_eq!(b.order(&a), want.map(Ordering::reverse), "{b:?} {a:?}");
            assert_eq!(a.equals(&b), want == Some(Ordering::Equal), "{a:?} {b:?}");
        }
    }

    #[test]
    fn json_is_read_as_cel() {
        let json: Json = serde_json::from_str(
            r#"{"i": 7, "d": 7.0, "e": 1e3, "u": 18446744073709551615, "n": null, "a": [1, null], "h": 1e999}"#,
        )
        .expect("json");
        let root = Value::of(&json);
        let kind = |name: &str| root.member(name).map(|value| value.kind());
        assert_eq!(kind("i"), Some(Kind::Int));
        assert_eq!(kind("d"), Some(Kind::Double));
        assert_eq!(kind("e"), Some(Kind::Double));
        assert_eq!(kind("u"), Some(Kind::Double));
        assert_eq!(kind("h"), Some(Kind::Double));
        assert_eq!(kind("n"), None);
        assert_eq!(kind("a"), Some(Kind::List));
        assert_eq!(kind("nope"), None);
        let list = Value::List([Value::Double(1.0), Value::Null].into());
        assert!(root.member("a").expect("there").equals(&list));
    }
}
