//! What expressions see: the variables and their fields, read from an event or from the level of a series.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::program::{CallField, EventField, Op, OwnField, UsualField};
use super::usual::Usual;
use super::values::Value;
use super::{CallContext, Labels, Level, time};
use crate::event::{self, Event};

/// What rules have seen before.
pub trait Memory: std::fmt::Debug {
    /// Whether a rule has not seen this value within so long before `at`. While that is not known yet, it is not new.
    fn is_new(
        &self,
        rule: &str,
        value: &NewValue<'_>,
        within: SignedDuration,
        at: Timestamp,
    ) -> bool;
}

/// A value that may be new.
#[derive(Debug, Clone, Copy)]
pub struct NewValue<'v> {
    /// Which `is_new` of the rule asks.
    pub site: usize,
    /// The event's account: what is known to one is new to another.
    pub account: &'v str,
    /// The value as text.
    pub value: &'v str,
}

impl NewValue<'_> {
    /// What it is remembered by: the first 8 bytes of a SHA-256, without a salt.
    pub fn hash(&self) -> u64 {
        let Self { site, account, value } = self;
        let hash = Sha256::digest(format!("{site}\n{}\n{account}{value}", account.len()));
        hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

/// The memory of one rule.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Of all rules.
    pub memory: &'a dyn Memory,
    /// `group/alert`.
    pub rule: &'a str,
}

/// What an expression computes with.
#[derive(Debug, Clone, Copy)]
pub enum Inputs<'a> {
    /// For [`super::Scope::EVENT`].
    Event {
        /// The event that is judged; its payload is `payload`.
        event: &'a Event,
        /// What is known of its call leg.
        call: Option<&'a CallContext>,
        /// What was seen before, for `is_new`.
        seen: Option<Seen<'a>>,
    },
    /// For [`super::Scope::LINE`].
    Line {
        /// `value` and `count`.
        level: &'a Level,
        /// `labels`.
        labels: &'a Labels,
        /// `usual`, `spread` and `weeks`.
        usual: Option<Usual>,
    },
}

impl<'a> Inputs<'a> {
    /// An event of which no call is known.
    pub fn of(event: &'a Event) -> Self {
        Self::Event { event, call: None, seen: None }
    }

    /// Whether a value was not seen before; of an event without a memory nothing is new.
    pub(super) fn is_new(&self, site: usize, value: &str, within: SignedDuration) -> bool {
        let Self::Event { event, seen: Some(seen), .. } = self else { return false };
        let value = NewValue { site, account: &event.account, value };
        seen.memory.is_new(seen.rule, &value, within, event.received_at)
    }

    /// What is usual for the series.
    pub(super) fn usual(&self) -> Option<Usual> {
        match self {
            Self::Line { usual, .. } => *usual,
            Self::Event { .. } => None,
        }
    }
}

/// A variable that is a value by itself, or its name where there is none. The checker has looked at the scope.
pub(super) fn variable<'a>(inputs: Inputs<'a>, op: &Op) -> Result<Value<'a>, &'static str> {
    match (op, inputs) {
        (Op::Payload, Inputs::Event { event, .. }) => Ok(Value::of(&event.payload)),
        (Op::Payload, Inputs::Line { .. }) => Err("payload"),
        (Op::Count, Inputs::Line { level, .. }) => {
            Ok(Value::Int(i64::try_from(level.count).unwrap_or(i64::MAX)))
        }
        (Op::Count, Inputs::Event { .. }) => Err("count"),
        (Op::Labels, Inputs::Line { labels, .. }) => Ok(Value::Labels(labels)),
        (Op::Labels, Inputs::Event { .. }) => Err("labels"),
        (Op::Usual(field), _) => match (field, inputs.usual()) {
            (UsualField::Weeks, usual) => {
                Ok(Value::Int(usual.map_or(0, |usual| i64::from(usual.weeks))))
            }
            (UsualField::Usual, Some(usual)) => Ok(Value::Decimal(usual.value)),
            (UsualField::Spread, Some(usual)) => Ok(Value::Decimal(usual.spread)),
            (field, None) => Err(field.as_str()),
        },
        (_, Inputs::Line { level, .. }) => level.value.map(Value::Decimal).ok_or("value"),
        (_, Inputs::Event { .. }) => Err("value"),
    }
}

pub(super) fn own_field(inputs: Inputs<'_>, field: OwnField) -> Result<Value<'_>, &'static str> {
    match (field, inputs) {
        (OwnField::Event(field), Inputs::Event { event, .. }) => event_field(event, field),
        (OwnField::Call(field), Inputs::Event { call, .. }) => call_field(call, field),
        (_, Inputs::Line { .. }) => Err("event"),
    }
}

fn timestamp<'a>(instant: Timestamp) -> Value<'a> {
    Value::Timestamp(time::of_instant(instant))
}

/// A field of `event`, or its name where the event has none.
fn event_field(event: &Event, field: EventField) -> Result<Value<'_>, &'static str> {
    match field {
        EventField::Id => Ok(Value::text(event.id.as_str())),
        EventField::Account => Ok(Value::text(event.account.as_str())),
        EventField::Kind => Ok(Value::text(event.kind.as_str())),
        EventField::Type => Ok(Value::text(event.type_as_sent.as_str())),
        EventField::Product => Ok(Value::text(event::product(&event.kind))),
        EventField::Source => Ok(Value::text(event.source.as_str())),
        EventField::OccurredAt => event.occurred_at.map(timestamp).ok_or("occurred_at"),
        EventField::ReceivedAt => Ok(timestamp(event.received_at)),
        EventField::Attempt => {
            event.attempt.map(|attempt| Value::Int(i64::from(attempt))).ok_or("attempt")
        }
        EventField::Cost => event.cost.map(Value::Decimal).ok_or("cost"),
        EventField::Charge => event.charge.map(Value::Decimal).ok_or("charge"),
        EventField::Currency => event.currency.as_deref().map(Value::text).ok_or("currency"),
    }
}

/// A field of `call`, or its name where it is not known.
fn call_field(call: Option<&CallContext>, field: CallField) -> Result<Value<'_>, &'static str> {
    let text = |name, get: fn(&CallContext) -> Option<&str>| {
        call.and_then(get).map(Value::text).ok_or(name)
    };
    match field {
        CallField::From => text("from", |call| call.from.as_deref()),
        CallField::To => text("to", |call| call.to.as_deref()),
        CallField::Direction => text("direction", |call| call.direction.as_deref()),
        CallField::ConnectionId => text("connection_id", |call| call.connection_id.as_deref()),
        CallField::Country => text("country", |call| call.country.as_deref()),
        CallField::CountryCertain => {
            let is_certain = call.and_then(CallContext::country_certain);
            is_certain.map(Value::Bool).ok_or("country_certain")
        }
        CallField::StartedAt => {
            call.and_then(|call| call.started_at).map(timestamp).ok_or("started_at")
        }
        CallField::EndedAt => call.and_then(|call| call.ended_at).map(timestamp).ok_or("ended_at"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_other_places_and_accounts_are_others() {
        let value = |site, account, value| NewValue { site, account, value }.hash();
        let all = [value(0, "a", "b"), value(1, "a", "b"), value(0, "ab", ""), value(0, "", "ab")];
        let different: std::collections::BTreeSet<u64> = all.into_iter().collect();
        assert_eq!(different.len(), 4);
    }
}
