//! The checked form of an expression, ready to run: names and functions are resolved, patterns compiled.

use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use regex::bytes::Regex;
use rust_decimal::Decimal;

use super::values::ValueKind;

/// A part of an expression.
#[derive(Debug)]
pub(super) struct Node {
    /// Byte offset in the source, for messages.
    pub(super) at: u32,
    /// What it does.
    pub(super) op: Op,
}

/// What a [`Node`] does.
#[derive(Debug)]
pub(super) enum Op {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    /// A `double` that was written as a decimal number.
    Decimal(Decimal),
    String(Box<str>),
    Bytes(Arc<[u8]>),
    /// A type, by the kind of its values.
    Type(ValueKind),
    /// In UTC.
    Timestamp(DateTime),
    Duration(SignedDuration),
    List(Vec<Node>),
    Map(Vec<[Node; 2]>),
    Own(OwnField),
    Payload,
    /// `value` of a rule that judges values.
    Value,
    /// `count` of such a rule.
    Count,
    /// `labels` of such a rule's series.
    Labels,
    /// The variable of the macro so many levels from the outside.
    Local(usize),
    Field(Box<Node>, Box<str>),
    HasField(Box<Node>, Box<str>),
    HasOwn(OwnField),
    Index(Box<[Node; 2]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// `x == null`: whether it is null or missing.
    IsNull(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    If(Box<[Node; 3]>),
    Binary(Binary, Box<[Node; 2]>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Box<Pattern>),
    TimePart(TimePart, Box<Node>, TimeZone),
    Macro(Macro, Box<Loop>),
}

/// A pattern of `matches`.
#[derive(Debug)]
pub(super) struct Pattern {
    /// As written.
    pub(super) source: Box<str>,
    pub(super) regex: Regex,
}

/// The parts of a macro such as `range.exists(x, body)`.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) range: Node,
    /// `range.exists(key, x, body)`: a list's indexes and a map's keys have a variable of their own.
    pub(super) is_keyed: bool,
    /// The condition of `map(x, condition, body)`.
    pub(super) only_if: Option<Node>,
    pub(super) body: Node,
}

/// A field of `event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventField {
    Id,
    Account,
    Kind,
    Type,
    Product,
    Source,
    OccurredAt,
    ReceivedAt,
    Attempt,
    Cost,
    Charge,
    Currency,
}

/// A field of `call`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallField {
    From,
    To,
    Direction,
    ConnectionId,
    Country,
    CountryCertain,
    StartedAt,
    EndedAt,
}

/// A field of one of the variables that have declared fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnField {
    Event(EventField),
    Call(CallField),
}

impl OwnField {
    /// Whether it is an amount of money, which has a currency.
    pub(super) fn is_money(self) -> bool {
        matches!(self, Self::Event(EventField::Cost | EventField::Charge))
    }
}

/// An operator with two operands that are both always computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Binary {
    /// As written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }
}

/// A function of plain arguments; a method's target is its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Prefix,
    ToString,
    ToBytes,
    ToInt,
    ToUint,
    ToDouble,
    ToBool,
    Num,
    ToTimestamp,
    ToDuration,
    Type,
    Dyn,
}

impl Function {
    /// As written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Prefix => "prefix",
            Self::ToString => "string",
            Self::ToBytes => "bytes",
            Self::ToInt => "int",
            Self::ToUint => "uint",
            Self::ToDouble => "double",
            Self::ToBool => "bool",
            Self::Num => "num",
            Self::ToTimestamp => "timestamp",
            Self::ToDuration => "duration",
            Self::Type => "type",
            Self::Dyn => "dyn",
        }
    }
}

/// What `getHours` and its like take out of a timestamp, or a duration as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimePart {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// CEL's loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
    TransformList,
    TransformMap,
}

impl Macro {
    /// As written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exists => "exists",
            Self::ExistsOne => "exists_one",
            Self::Filter => "filter",
            Self::Map => "map",
            Self::TransformList => "transformList",
            Self::TransformMap => "transformMap",
        }
    }
}
