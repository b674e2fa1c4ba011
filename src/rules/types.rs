//! The types that the checker knows before any event is seen.

use super::program::{Binary, CallField, EventField, OwnField};
use super::values::ValueKind;
use crate::template::AMOUNTS;

/// What is known of a value before it is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// Nothing: it comes from the payload.
    Dynamic,
    /// A field of the payload that Telnyx sends as decimal text.
    Amount,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    /// What `type(x)` gives.
    Kind,
    List,
    Map,
}

impl Type {
    /// CEL's word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Amount => "decimal text",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Kind => "type",
            Self::List => "list",
            Self::Map => "map",
        }
    }

    /// Whether a value of this type may turn out to be one of `types`.
    pub(super) fn may_be(self, types: &[Self]) -> bool {
        match self {
            Self::Dynamic => true,
            // An old event may carry a number there, so only what fits neither is refused.
            Self::Amount => types.iter().any(|of| matches!(of, Self::String | Self::Double)),
            known => types.contains(&known),
        }
    }

    /// Whether it is known to be a number.
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    fn is_known(self) -> bool {
        !matches!(self, Self::Dynamic | Self::Amount)
    }
}

/// The type of an arithmetic operation; `None` when there is none for these operands.
pub(super) fn arithmetic(operator: Binary, left: Type, right: Type) -> Option<Type> {
    use Type::{Bytes, Double, Duration, Int, List, String, Timestamp, Uint};
    let overloads: &[[Type; 3]] = match operator {
        Binary::Add => &[
            [Int, Int, Int],
            [Uint, Uint, Uint],
            [Double, Double, Double],
            [String, String, String],
            [Bytes, Bytes, Bytes],
            [List, List, List],
            [Timestamp, Duration, Timestamp],
            [Duration, Timestamp, Timestamp],
            [Duration, Duration, Duration],
        ],
        Binary::Subtract => &[
            [Int, Int, Int],
            [Uint, Uint, Uint],
            [Double, Double, Double],
            [Timestamp, Duration, Timestamp],
            [Timestamp, Timestamp, Duration],
            [Duration, Duration, Duration],
        ],
        Binary::Multiply | Binary::Divide => {
            &[[Int, Int, Int], [Uint, Uint, Uint], [Double, Double, Double]]
        }
        Binary::Remainder => &[[Int, Int, Int], [Uint, Uint, Uint]],
        _ => &[],
    };
    let mut results = overloads
        .iter()
        .filter(|[l, r, _]| left.may_be(&[*l]) && right.may_be(&[*r]))
        .map(|[_, _, result]| *result);
    let first = results.next()?;
    Some(if results.all(|result| result == first) { first } else { Type::Dynamic })
}

/// Whether values of the two types can be equal at all.
pub(super) fn can_equal(left: Type, right: Type) -> bool {
    match (left, right) {
        // Everything can be asked whether it is null.
        (Type::Null, _) | (_, Type::Null) => true,
        (Type::Amount, other) | (other, Type::Amount) => other.may_be(&[Type::String]),
        _ => {
            left == right
                || !left.is_known()
                || !right.is_known()
                || (left.is_number() && right.is_number())
        }
    }
}

/// Whether `<` and its like are defined between the two types.
pub(super) fn can_order(left: Type, right: Type) -> bool {
    let ordered =
        |of: Type| !matches!(of, Type::List | Type::Map | Type::Amount | Type::Null | Type::Kind);
    ordered(left) && ordered(right) && can_equal(left, right)
}

/// The type that a name stands for, as in `type(x) == int`; names with dots are those of protobuf.
pub(super) fn named(name: &str) -> Option<ValueKind> {
    Some(match name {
        "null_type" => ValueKind::Null,
        "bool" => ValueKind::Bool,
        "int" => ValueKind::Int,
        "uint" => ValueKind::Uint,
        "double" => ValueKind::Double,
        "string" => ValueKind::String,
        "bytes" => ValueKind::Bytes,
        "list" => ValueKind::List,
        "map" => ValueKind::Map,
        "type" => ValueKind::Type,
        "google.protobuf.Timestamp" => ValueKind::Timestamp,
        "google.protobuf.Duration" => ValueKind::Duration,
        _ => return None,
    })
}

/// Declared fields: name, field, type.
type DeclaredFields = &'static [(&'static str, OwnField, Type)];

const EVENT_FIELDS: DeclaredFields = &[
    ("id", OwnField::Event(EventField::Id), Type::String),
    ("account", OwnField::Event(EventField::Account), Type::String),
    ("kind", OwnField::Event(EventField::Kind), Type::String),
    ("type", OwnField::Event(EventField::Type), Type::String),
    ("product", OwnField::Event(EventField::Product), Type::String),
    ("source", OwnField::Event(EventField::Source), Type::String),
    ("occurred_at", OwnField::Event(EventField::OccurredAt), Type::Timestamp),
    ("received_at", OwnField::Event(EventField::ReceivedAt), Type::Timestamp),
    ("attempt", OwnField::Event(EventField::Attempt), Type::Int),
    ("cost", OwnField::Event(EventField::Cost), Type::Double),
    ("charge", OwnField::Event(EventField::Charge), Type::Double),
    ("currency", OwnField::Event(EventField::Currency), Type::String),
];

const CALL_FIELDS: DeclaredFields = &[
    ("from", OwnField::Call(CallField::From), Type::String),
    ("to", OwnField::Call(CallField::To), Type::String),
    ("direction", OwnField::Call(CallField::Direction), Type::String),
    ("connection_id", OwnField::Call(CallField::ConnectionId), Type::String),
    ("country", OwnField::Call(CallField::Country), Type::String),
    ("country_certain", OwnField::Call(CallField::CountryCertain), Type::Bool),
    ("started_at", OwnField::Call(CallField::StartedAt), Type::Timestamp),
    ("ended_at", OwnField::Call(CallField::EndedAt), Type::Timestamp),
];

/// The fields of a variable that is not a value by itself; `None` for all others.
pub(super) fn own_fields(variable: &str) -> Option<DeclaredFields> {
    match variable {
        "event" => Some(EVENT_FIELDS),
        "call" => Some(CALL_FIELDS),
        _ => None,
    }
}

/// The type of a payload field of this name. Comparing an amount, which is text, with a number would quietly be false.
pub(super) fn of_payload_field(name: &str) -> Type {
    if AMOUNTS.contains(&name) { Type::Amount } else { Type::Dynamic }
}
