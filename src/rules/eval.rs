//! Runs a checked expression against one event.
//!
//! Why not the parser crate's own interpreter: it has no limit on work, copies what it visits, and its errors
//! hold payload values but not the place in the source. This one counts each step and each stretch of text it
//! looks at, borrows from the event, and ends in a [`Fault`] that names a place and no value.
//! That both compute the same is tested in [`super::expression`].

use std::borrow::Cow;
use std::rc::Rc;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::functions;
use super::operate::{
    Cause, Fault, Outcome, arithmetic, is_null, missing, negate, one_type, order, refused,
    two_types,
};
use super::program::{Binary, CallField, EventField, Function, Loop, Macro, Node, Op, OwnField};
use super::values::{Kind, Value, text_weight};
use super::{CallContext, Labels, Level};
use crate::event::{self, Event};

/// Steps that one run may take: a few milliseconds.
const STEPS_MAX: usize = 100_000;

/// What an expression computes with.
#[derive(Debug, Clone, Copy)]
pub enum Inputs<'a> {
    /// For [`super::Scope::EVENT`].
    Event {
        /// The event that is judged; its payload is `payload`.
        event: &'a Event,
        /// What is known of its call leg.
        call: Option<&'a CallContext>,
    },
    /// For [`super::Scope::LINE`].
    Line {
        /// `value` and `count`.
        level: &'a Level,
        /// `labels`.
        labels: &'a Labels,
    },
}

impl<'a> Inputs<'a> {
    /// An event of which no call is known.
    pub fn of(event: &'a Event) -> Self {
        Self::Event { event, call: None }
    }
}

/// Computes `program`.
pub(super) fn run<'a>(program: &'a Node, inputs: Inputs<'a>) -> Outcome<'a> {
    Run { inputs, steps_left: STEPS_MAX, locals: Vec::new() }.any(program)
}

struct Run<'a> {
    inputs: Inputs<'a>,
    steps_left: usize,
    locals: Vec<Value<'a>>,
}

impl<'a> Run<'a> {
    fn any(&mut self, node: &'a Node) -> Outcome<'a> {
        let at = node.at;
        self.spend(at, 1)?;
        match &node.op {
            Op::Bool(flag) => Ok(Value::Bool(*flag)),
            Op::Int(int) => Ok(Value::Int(*int)),
            Op::Double(double) => Ok(Value::Double(*double)),
            Op::Text(text) => Ok(Value::Text(Cow::Borrowed(text))),
            Op::Time(time) => Ok(Value::Time(*time)),
            Op::Span(span) => Ok(Value::Span(*span)),
            Op::List(items) => {
                let items = items.iter().map(|item| self.any(item)).collect::<Result<_, _>>()?;
                Ok(Value::List(items))
            }
            Op::Own(field) => own_field(self.inputs, *field).map_err(|name| missing(at, name)),
            Op::HasOwn(field) => Ok(Value::Bool(own_field(self.inputs, *field).is_ok())),
            Op::Payload | Op::Value | Op::Count | Op::Labels => {
                variable(self.inputs, &node.op).map_err(|name| missing(at, name))
            }
            Op::Local(level) => self.local(at, *level),
            Op::Field(of, name) => self.field(at, of, name)?.ok_or(missing(at, name)),
            Op::HasField(of, name) => Ok(Value::Bool(self.field(at, of, name)?.is_some())),
            Op::Index(parts) => self.index(at, parts),
            Op::Not(operand) => self.boolean("!", operand).map(|flag| Value::Bool(!flag)),
            Op::Negate(operand) => {
                let operand = self.any(operand)?;
                negate(at, &operand)
            }
            Op::And(operands) => self.logic(operands, "&&", false),
            Op::Or(operands) => self.logic(operands, "||", true),
            Op::If(parts) => {
                let [condition, yes, no] = parts.as_ref();
                if self.boolean("?", condition)? { self.any(yes) } else { self.any(no) }
            }
            Op::Binary(operator, operands) => self.binary(at, *operator, operands),
            Op::Call(function, args) => self.call(at, *function, args),
            Op::Matches(text, pattern) => match self.any(text)? {
                Value::Text(text) => {
                    // A pattern takes several times as long as a plain search.
                    self.spend(at, 8 * text_weight(&text))?;
                    Ok(Value::Bool(pattern.is_match(&text)))
                }
                other => Err(one_type(at, "matches", &other)),
            },
            Op::TimePart(part, of, zone) => {
                let of = self.any(of)?;
                functions::time_part(*part, &of, zone)
                    .map_err(|refusal| refused(at, "get…", &of, refusal))
            }
            Op::Macro(kind, parts) => self.looping(at, *kind, parts),
        }
    }

    fn spend(&mut self, at: u32, steps: usize) -> Result<(), Fault<'a>> {
        let left = self.steps_left.checked_sub(steps);
        self.steps_left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Fault { at, cause: Cause::TooMuchWork })
    }

    /// Spends what it takes to look at all of the values.
    fn look_at<'v>(
        &mut self,
        at: u32,
        values: impl IntoIterator<Item = &'v Value<'a>>,
    ) -> Result<(), Fault<'a>>
    where
        'a: 'v,
    {
        values.into_iter().try_for_each(|value| self.spend(at, value.weight(self.steps_left)))
    }

    fn local(&mut self, at: u32, level: usize) -> Outcome<'a> {
        // The checker gave out the level, so it is there; a text may be copied.
        let value = self.locals.get(level).cloned().unwrap_or(Value::Null);
        if let Value::Text(text) = &value {
            self.spend(at, text_weight(text))?;
        }
        Ok(value)
    }

    /// The member, `None` where the map has none.
    fn field(
        &mut self,
        at: u32,
        of: &'a Node,
        name: &'a str,
    ) -> Result<Option<Value<'a>>, Fault<'a>> {
        let of = self.any(of)?;
        if of.kind() == Kind::Map { Ok(of.member(name)) } else { Err(one_type(at, ".", &of)) }
    }

    fn index(&mut self, at: u32, [of, index]: &'a [Node; 2]) -> Outcome<'a> {
        let (of, index) = (self.any(of)?, self.any(index)?);
        let found = match (of.kind(), &index) {
            (Kind::Map, Value::Text(name)) => of.member(name),
            (Kind::List, Value::Int(at)) => {
                usize::try_from(*at).ok().and_then(|at| of.item(at)).filter(|item| !is_null(item))
            }
            _ => return Err(two_types(at, "[]", &of, &index)),
        };
        found.ok_or(Fault { at, cause: Cause::NoElement })
    }

    fn boolean(&mut self, operator: &'static str, node: &'a Node) -> Result<bool, Fault<'a>> {
        match self.any(node)? {
            Value::Bool(flag) => Ok(flag),
            other => Err(one_type(node.at, operator, &other)),
        }
    }

    /// `&&` and `||`: an operand that `decides` outweighs a fault of the other, on either side.
    fn logic(
        &mut self,
        [left, right]: &'a [Node; 2],
        operator: &'static str,
        decides: bool,
    ) -> Outcome<'a> {
        let left = self.boolean(operator, left);
        match left {
            Ok(flag) if flag == decides => return Ok(Value::Bool(decides)),
            Err(fault) if fault.cause == Cause::TooMuchWork => return Err(fault),
            _ => {}
        }
        match (left, self.boolean(operator, right)) {
            (_, Ok(flag)) if flag == decides => Ok(Value::Bool(decides)),
            (_, Err(fault)) if fault.cause == Cause::TooMuchWork => Err(fault),
            (Err(fault), _) | (_, Err(fault)) => Err(fault),
            (Ok(_), Ok(_)) => Ok(Value::Bool(!decides)),
        }
    }

    fn binary(&mut self, at: u32, operator: Binary, [left, right]: &'a [Node; 2]) -> Outcome<'a> {
        let (left, right) = (self.any(left)?, self.any(right)?);
        match operator {
            Binary::Equal | Binary::NotEqual => {
                self.look_at(at, [&left, &right])?;
                Ok(Value::Bool(left.equals(&right) == (operator == Binary::Equal)))
            }
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                self.look_at(at, [&left, &right])?;
                order(at, operator, &left, &right)
            }
            Binary::In => match right.kind() {
                Kind::List => {
                    self.look_at(at, [&left, &right])?;
                    let mut items = right.items().into_iter().flatten();
                    Ok(Value::Bool(items.any(|item| item.equals(&left))))
                }
                Kind::Map => match &left {
                    Value::Text(name) => Ok(Value::Bool(right.member(name).is_some())),
                    Value::Int(_) | Value::Double(_) | Value::Bool(_) => Ok(Value::Bool(false)),
                    _ => Err(two_types(at, "in", &left, &right)),
                },
                _ => Err(two_types(at, "in", &left, &right)),
            },
            _ => {
                if operator == Binary::Add {
                    self.look_at(at, [&left, &right])?;
                }
                arithmetic(at, operator, &left, &right)
            }
        }
    }

    fn call(&mut self, at: u32, function: Function, args: &'a [Node]) -> Outcome<'a> {
        let args = args.iter().map(|arg| self.any(arg)).collect::<Result<Vec<_>, _>>()?;
        self.look_at(at, &args)?;
        functions::call(function, &args).map_err(|refusal| {
            let subject = args.iter().find(|arg| arg.kind() != Kind::Text).or(args.first());
            refused(at, function.as_str(), subject.unwrap_or(&Value::Null), refusal)
        })
    }

    fn looping(&mut self, at: u32, kind: Macro, parts: &'a Loop) -> Outcome<'a> {
        let range = self.any(&parts.range)?;
        let Some(items) = range.items() else {
            return Err(one_type(at, kind.as_str(), &range));
        };
        let mut kept = Vec::new();
        let mut hits = 0_usize;
        let mut deferred = None;
        for item in items {
            self.locals.push(item.clone());
            let outcome = self.visit(kind, parts);
            self.locals.pop();
            match (kind, outcome) {
                (_, Err(fault)) if fault.cause == Cause::TooMuchWork => return Err(fault),
                // As with `||` and `&&`: a later element may decide in spite of a fault.
                (Macro::Exists | Macro::All, Err(fault)) => deferred = Some(fault),
                (_, Err(fault)) => return Err(fault),
                (Macro::Exists, Ok(Some(Value::Bool(true)))) => return Ok(Value::Bool(true)),
                (Macro::All, Ok(Some(Value::Bool(false)))) => return Ok(Value::Bool(false)),
                (Macro::ExistsOne, Ok(Some(Value::Bool(true)))) => hits += 1,
                (Macro::Filter, Ok(Some(Value::Bool(true)))) => kept.push(item),
                (Macro::Map, Ok(Some(value))) => kept.push(value),
                _ => {}
            }
        }
        match (kind, deferred) {
            (_, Some(fault)) => Err(fault),
            (Macro::Filter | Macro::Map, _) => Ok(Value::List(Rc::from(kept))),
            (Macro::Exists, _) => Ok(Value::Bool(false)),
            (Macro::All, _) => Ok(Value::Bool(true)),
            (Macro::ExistsOne, _) => Ok(Value::Bool(hits == 1)),
        }
    }

    /// What a macro's body says of the element that was pushed last; `None` where `map`'s condition excludes it.
    fn visit(&mut self, kind: Macro, parts: &'a Loop) -> Result<Option<Value<'a>>, Fault<'a>> {
        if let Some(only_if) = &parts.only_if
            && !self.boolean(kind.as_str(), only_if)?
        {
            return Ok(None);
        }
        if kind == Macro::Map {
            return self.any(&parts.body).map(Some);
        }
        self.boolean(kind.as_str(), &parts.body).map(|flag| Some(Value::Bool(flag)))
    }
}

/// A variable that is a value by itself, or its name where there is none. The checker has looked at the scope.
fn variable<'a>(inputs: Inputs<'a>, op: &Op) -> Result<Value<'a>, &'static str> {
    match (op, inputs) {
        (Op::Payload, Inputs::Event { event, .. }) => Ok(Value::of(&event.payload)),
        (Op::Payload, Inputs::Line { .. }) => Err("payload"),
        (Op::Count, Inputs::Line { level, .. }) => {
            Ok(Value::Int(i64::try_from(level.count).unwrap_or(i64::MAX)))
        }
        (Op::Count, Inputs::Event { .. }) => Err("count"),
        (Op::Labels, Inputs::Line { labels, .. }) => Ok(Value::Labels(labels)),
        (Op::Labels, Inputs::Event { .. }) => Err("labels"),
        (_, Inputs::Line { level, .. }) => level.value.and_then(double).ok_or("value"),
        (_, Inputs::Event { .. }) => Err("value"),
    }
}

fn own_field(inputs: Inputs<'_>, field: OwnField) -> Result<Value<'_>, &'static str> {
    match (field, inputs) {
        (OwnField::Event(field), Inputs::Event { event, .. }) => event_field(event, field),
        (OwnField::Call(field), Inputs::Event { call, .. }) => call_field(call, field),
        (_, Inputs::Line { .. }) => Err("event"),
    }
}

fn borrowed(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn double<'a>(amount: Decimal) -> Option<Value<'a>> {
    amount.to_f64().map(Value::Double)
}

/// A field of `event`, or its name where the event has none.
fn event_field(event: &Event, field: EventField) -> Result<Value<'_>, &'static str> {
    match field {
        EventField::Id => Ok(borrowed(event.id.as_str())),
        EventField::Account => Ok(borrowed(event.account.as_str())),
        EventField::Kind => Ok(borrowed(event.kind.as_str())),
        EventField::Type => Ok(borrowed(event.type_as_sent.as_str())),
        EventField::Product => Ok(borrowed(event::product(&event.kind))),
        EventField::Source => Ok(borrowed(event.source.as_str())),
        EventField::OccurredAt => event.occurred_at.map(Value::Time).ok_or("occurred_at"),
        EventField::ReceivedAt => Ok(Value::Time(event.received_at)),
        EventField::Attempt => {
            event.attempt.map(|attempt| Value::Int(i64::from(attempt))).ok_or("attempt")
        }
        EventField::Cost => event.cost.and_then(double).ok_or("cost"),
        EventField::Charge => event.charge.and_then(double).ok_or("charge"),
        EventField::Currency => event.currency.as_deref().map(borrowed).ok_or("currency"),
    }
}

/// A field of `call`, or its name where it is not known.
fn call_field(call: Option<&CallContext>, field: CallField) -> Result<Value<'_>, &'static str> {
    let text =
        |name, get: fn(&CallContext) -> Option<&str>| call.and_then(get).map(borrowed).ok_or(name);
    match field {
        CallField::From => text("from", |call| call.from.as_deref()),
        CallField::To => text("to", |call| call.to.as_deref()),
        CallField::Direction => text("direction", |call| call.direction.as_deref()),
        CallField::ConnectionId => text("connection_id", |call| call.connection_id.as_deref()),
        CallField::Country => text("country", |call| call.country.as_deref()),
        CallField::StartedAt => {
            call.and_then(|call| call.started_at).map(Value::Time).ok_or("started_at")
        }
        CallField::EndedAt => {
            call.and_then(|call| call.ended_at).map(Value::Time).ok_or("ended_at")
        }
    }
}
