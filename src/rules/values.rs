//! The values that expressions compute with, borrowed from the event wherever that is possible.
//!
//! CEL's types and its rules of equality and order, seen over JSON: integers are `int`, other numbers `double`.
//! A `double` that somebody wrote (an event, a rule, Telnyx in a text) is kept as the decimal number that it is: it
//! compares exactly and prints as it was sent. Only what was computed is a float.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use rust_decimal::Decimal;
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
    /// `uint`
    Uint(u64),
    /// `double`, computed
    Double(f64),
    /// `double`, written as a decimal number
    Decimal(Decimal),
    /// `double`, written in plain digits: a whole number beyond `int`, which may be an identifier, or more digits than a
    /// decimal can keep
    Digits(Cow<'a, str>),
    /// `string`
    String(Cow<'a, str>),
    /// `bytes`
    Bytes(Arc<[u8]>),
    /// `timestamp`, in UTC
    Timestamp(DateTime),
    /// `duration`
    Duration(SignedDuration),
    /// `type`
    Type(ValueKind),
    /// `list`, made by the expression
    List(Rc<[Self]>),
    /// `map`, made by the expression; keys are different
    Map(Rc<[(Self, Self)]>),
    /// A JSON array or object, never a scalar.
    Json(&'a Json),
    /// `map`: the labels of a series.
    Labels(&'a Labels),
}

/// CEL's names of the kinds of [`Value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// `null_type`
    Null,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `uint`
    Uint,
    /// `double`
    Double,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// `timestamp`
    Timestamp,
    /// `duration`
    Duration,
    /// `type`
    Type,
    /// `list`
    List,
    /// `map`
    Map,
}

impl ValueKind {
    /// CEL's word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Type => "type",
            Self::List => "list",
            Self::Map => "map",
        }
    }

    /// The name of the type in an expression.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            _ => self.as_str(),
        }
    }

    /// Whether it is a number.
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }
}

impl<'a> Value<'a> {
    /// What JSON means in an expression.
    pub(super) fn of(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => Self::of_number(number),
            Json::String(text) => Self::String(Cow::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => Self::Json(json),
        }
    }

    /// A borrowed text.
    pub(super) fn text(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }

    /// Its kind.
    pub(super) fn kind(&self) -> ValueKind {
        match self {
            Self::Null => ValueKind::Null,
            Self::Bool(_) => ValueKind::Bool,
            Self::Int(_) => ValueKind::Int,
            Self::Uint(_) => ValueKind::Uint,
            Self::Double(_) | Self::Decimal(_) | Self::Digits(_) => ValueKind::Double,
            Self::String(_) => ValueKind::String,
            Self::Bytes(_) => ValueKind::Bytes,
            Self::Timestamp(_) => ValueKind::Timestamp,
            Self::Duration(_) => ValueKind::Duration,
            Self::Type(_) => ValueKind::Type,
            Self::List(_) | Self::Json(Json::Array(_)) => ValueKind::List,
            Self::Map(_) | Self::Json(_) | Self::Labels(_) => ValueKind::Map,
        }
    }

    /// Number of elements of a list or members of a map, null ones not counted; 0 for everything else.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::List(items) => items.len(),
            Self::Map(members) => members.len(),
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
    pub(super) fn items(&self) -> Option<Elements<'a>> {
        match self {
            Self::List(items) => Some(Elements::List(Rc::clone(items), 0)),
            Self::Map(members) => Some(Elements::Members(Rc::clone(members), 0)),
            Self::Json(Json::Array(items)) => Some(Elements::Array(items.iter())),
            Self::Json(Json::Object(members)) => Some(Elements::Keys(members.iter())),
            Self::Labels(labels) => Some(Elements::Names(labels.keys())),
            _ => None,
        }
    }

    /// The member of a map that is known by a name; null counts as missing.
    pub(super) fn member(&self, name: &str) -> Option<Self> {
        match self {
            Self::Json(Json::Object(members)) => {
                members.get(name).filter(|member| !member.is_null()).map(Self::of)
            }
            Self::Labels(labels) => labels.get(name).map(|value| Self::text(value)),
            Self::Map(members) => {
                let is_it = |key: &Self| matches!(key, Self::String(key) if key == name);
                let found = members.iter().find(|(key, _)| is_it(key));
                found.map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    /// The member of a map at a key of any kind.
    pub(super) fn at_key(&self, key: &Self) -> Option<Self> {
        match (self, key) {
            (_, Self::String(name)) => self.member(name),
            (Self::Map(members), _) => {
                let found = members.iter().find(|(known, _)| known.equals(key));
                found.map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    /// How much work it is to look at all of it: at least 1, and no more than a little over `limit`.
    ///
    /// A list may hold another many times over, so counting has to end somewhere.
    pub(super) fn weight(&self, limit: usize) -> usize {
        match self {
            Self::String(text) | Self::Digits(text) => text_weight(text.len()),
            Self::Bytes(bytes) => text_weight(bytes.len()),
            Self::List(items) => up_to(limit, items.iter(), Self::weight),
            // Keys are looked for one by one.
            Self::Map(members) => {
                let one = |(key, value): &(Self, Self), limit| {
                    key.weight(limit).saturating_add(value.weight(limit))
                };
                up_to(limit, members.iter(), one).saturating_mul(members.len().max(1))
            }
            Self::Json(json) => json_weight(json, limit),
            Self::Labels(labels) => {
                up_to(limit, labels.values(), |text, _| text_weight(text.len()))
            }
            _ => 1,
        }
    }

    /// CEL's `==`: numbers by value, everything else only within its kind.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Labels(a), Self::Labels(b)) => a == b,
            _ => match (self.kind(), other.kind()) {
                (a, b) if a.is_number() && b.is_number() => {
                    self.order(other) == Some(Ordering::Equal)
                }
                (ValueKind::List, ValueKind::List) => {
                    self.len() == other.len()
                        && (0..self.len()).all(|at| match (self.item(at), other.item(at)) {
                            (Some(a), Some(b)) => a.equals(&b),
                            _ => false,
                        })
                }
                (ValueKind::Map, ValueKind::Map) => {
                    let has_same = |key: Self| match (self.at_key(&key), other.at_key(&key)) {
                        (Some(a), Some(b)) => a.equals(&b),
                        _ => false,
                    };
                    self.len() == other.len() && self.items().into_iter().flatten().all(has_same)
                }
                _ => false,
            },
        }
    }

    /// The order of two values; `None` for NaN and for kinds that have none between them.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::String(a), Self::String(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            _ => self.order_numbers(other),
        }
    }

    /// Whether `<` and its like are defined between the kinds of the two.
    pub(super) fn is_orderable_with(&self, other: &Self) -> bool {
        let (a, b) = (self.kind(), other.kind());
        let has_order = matches!(
            a,
            ValueKind::Bool
                | ValueKind::String
                | ValueKind::Bytes
                | ValueKind::Timestamp
                | ValueKind::Duration
        );
        (a.is_number() && b.is_number()) || (a == b && has_order)
    }
}

/// What a macro visits, see [`Value::items`].
pub(super) enum Elements<'a> {
    List(Rc<[Value<'a>]>, usize),
    Members(Rc<[(Value<'a>, Value<'a>)]>, usize),
    Array(std::slice::Iter<'a, Json>),
    Keys(serde_json::map::Iter<'a>),
    Names(std::collections::btree_map::Keys<'a, String, String>),
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        match self {
            Self::List(items, at) => {
                *at += 1;
                items.get(*at - 1).cloned()
            }
            Self::Members(members, at) => {
                *at += 1;
                members.get(*at - 1).map(|(key, _)| key.clone())
            }
            Self::Array(items) => items.next().map(Value::of),
            Self::Names(names) => names.next().map(|name| Value::text(name)),
            Self::Keys(members) => {
                members.find(|(_, member)| !member.is_null()).map(|(name, _)| Value::text(name))
            }
        }
    }
}

/// Work of looking at so many bytes of text: at least 1.
pub(super) fn text_weight(bytes: usize) -> usize {
    /// Bytes that are looked at in about the time of one step of an expression.
    const BYTES_PER_STEP: usize = 64;
    1 + bytes / BYTES_PER_STEP
}

fn json_weight(json: &Json, limit: usize) -> usize {
    match json {
        Json::Array(items) => up_to(limit, items.iter(), json_weight),
        Json::Object(members) => up_to(limit, members.values(), json_weight),
        Json::String(text) => text_weight(text.len()),
        Json::Null | Json::Bool(_) | Json::Number(_) => 1,
    }
}

/// Sum of weights, given up as soon as it is above the limit.
fn up_to<T>(
    limit: usize,
    items: impl Iterator<Item = T>,
    weight: impl Fn(T, usize) -> usize,
) -> usize {
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
    fn json_is_read_as_cel() {
        let json: Json = serde_json::from_str(
            r#"{"i": 7, "d": 7.0, "e": 1e3, "u": 18446744073709551615, "n": null, "a": [1, null], "h": 1e999}"#,
        )
        .expect("json");
        let root = Value::of(&json);
        let kind = |name: &str| root.member(name).map(|value| value.kind());
        assert_eq!(kind("i"), Some(ValueKind::Int));
        assert_eq!(kind("d"), Some(ValueKind::Double));
        assert_eq!(kind("e"), Some(ValueKind::Double));
        assert_eq!(kind("u"), Some(ValueKind::Double));
        assert_eq!(kind("h"), Some(ValueKind::Double));
        assert_eq!(kind("n"), None);
        assert_eq!(kind("a"), Some(ValueKind::List));
        assert_eq!(kind("nope"), None);
        let list = Value::List([Value::Double(1.0), Value::Null].into());
        assert!(root.member("a").expect("there").equals(&list));
    }
}
