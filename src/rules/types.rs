//! The types that the checker knows before any event is seen.

use super::program::{Binary, CallField, EventField, OwnField};

/// What is known of a value before it is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// Nothing: it comes from the payload.
    Dynamic,
    /// A field of the payload that Telnyx sends as decimal text.
    Amount,
    Bool,
    Int,
    Double,
    Text,
    Time,
    Span,
    List,
    Map,
}

impl Type {
    /// CEL's word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Amount => "decimal text",
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

    /// Whether a value of this type may turn out to be one of `types`.
    pub(super) fn may_be(self, types: &[Self]) -> bool {
        match self {
            Self::Dynamic => true,
            // An old event may carry a number there, so only what fits neither is refused.
            Self::Amount => types.iter().any(|of| matches!(of, Self::Text | Self::Double)),
            known => types.contains(&known),
        }
    }

    /// Whether it is known to be a number.
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }

    fn is_known(self) -> bool {
        !matches!(self, Self::Dynamic | Self::Amount)
    }
}

/// The type of an arithmetic operation; `None` when there is none for these operands.
pub(super) fn arithmetic(operator: Binary, left: Type, right: Type) -> Option<Type> {
    use Type::{Double, Int, List, Span, Text, Time};
    let overloads: &[[Type; 3]] = match operator {
        Binary::Add => &[
            [Int, Int, Int],
            [Double, Double, Double],
            [Text, Text, Text],
            [List, List, List],
            [Time, Span, Time],
            [Span, Time, Time],
            [Span, Span, Span],
        ],
        Binary::Subtract => &[
            [Int, Int, Int],
            [Double, Double, Double],
            [Time, Span, Time],
            [Time, Time, Span],
            [Span, Span, Span],
        ],
        Binary::Multiply | Binary::Divide => &[[Int, Int, Int], [Double, Double, Double]],
        Binary::Remainder => &[[Int, Int, Int]],
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
        (Type::Amount, other) | (other, Type::Amount) => other.may_be(&[Type::Text]),
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
    let ordered = |of: Type| !matches!(of, Type::List | Type::Map | Type::Amount);
    ordered(left) && ordered(right) && can_equal(left, right)
}

/// Declared fields: name, field, type.
type Fields = &'static [(&'static str, OwnField, Type)];

const EVENT_FIELDS: Fields = &[
    ("id", OwnField::Event(EventField::Id), Type::Text),
    ("account", OwnField::Event(EventField::Account), Type::Text),
    ("kind", OwnField::Event(EventField::Kind), Type::Text),
    ("type", OwnField::Event(EventField::Type), Type::Text),
    ("product", OwnField::Event(EventField::Product), Type::Text),
    ("source", OwnField::Event(EventField::Source), Type::Text),
    ("occurred_at", OwnField::Event(EventField::OccurredAt), Type::Time),
    ("received_at", OwnField::Event(EventField::ReceivedAt), Type::Time),
    ("attempt", OwnField::Event(EventField::Attempt), Type::Int),
    ("cost", OwnField::Event(EventField::Cost), Type::Double),
    ("charge", OwnField::Event(EventField::Charge), Type::Double),
    ("currency", OwnField::Event(EventField::Currency), Type::Text),
];

const CALL_FIELDS: Fields = &[
    ("from", OwnField::Call(CallField::From), Type::Text),
    ("to", OwnField::Call(CallField::To), Type::Text),
    ("direction", OwnField::Call(CallField::Direction), Type::Text),
    ("connection_id", OwnField::Call(CallField::ConnectionId), Type::Text),
    ("country", OwnField::Call(CallField::Country), Type::Text),
    ("started_at", OwnField::Call(CallField::StartedAt), Type::Time),
    ("ended_at", OwnField::Call(CallField::EndedAt), Type::Time),
];

/// The fields of a variable that is not a value by itself; `None` for all others.
pub(super) fn own_fields(variable: &str) -> Option<Fields> {
    match variable {
        "event" => Some(EVENT_FIELDS),
        "call" => Some(CALL_FIELDS),
        _ => None,
    }
}

/// Names of payload fields that Telnyx sends as decimal text, whatever the kind (money rules of the API:
/// amounts are decimal strings). Comparing such a text with a number would quietly be false.
const AMOUNTS: &[&str] = &[
    "amount",
    "available_credit",
    "balance",
    "configured_limit",
    "cost",
    "credit_limit",
    "current_cost",
    "daily_spend_limit",
    "pending",
    "rate",
    "total_cost",
];

/// The type of a payload field of this name.
pub(super) fn of_payload_field(name: &str) -> Type {
    if AMOUNTS.contains(&name) { Type::Amount } else { Type::Dynamic }
}
