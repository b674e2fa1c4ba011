//! Runs a checked expression against one event.
//!
//! Why not the interpreter of the crate `cel`: it has no limit on work, copies what it visits, and its errors
//! hold payload values but not the place in the source. This one counts each step and each stretch of text it
//! looks at, borrows from the event, and ends in a [`Fault`] that names a place and no value.
//! That both compute the same is tested in [`super::expression`].

use std::rc::Rc;
use std::sync::Arc;

use super::functions;
use super::inputs::{Inputs, own_field, variable};
use super::operate::{
    Cause, Computed, Fault, arithmetic, is_null, missing, negate, one_type, order, refused,
    two_types,
};
use super::program::{Binary, Function, Loop, Macro, Node, Op};
use super::values::{Value, ValueKind, text_weight};

/// Steps that one run may take: a few milliseconds.
const STEPS_MAX: usize = 100_000;

/// Computes `program`.
pub(super) fn run<'a>(program: &'a Node, inputs: Inputs<'a>) -> Computed<'a> {
    Evaluation { inputs, steps_left: STEPS_MAX, locals: Vec::new() }.any(program)
}

struct Evaluation<'a> {
    inputs: Inputs<'a>,
    steps_left: usize,
    locals: Vec<Value<'a>>,
}

impl<'a> Evaluation<'a> {
    fn any(&mut self, node: &'a Node) -> Computed<'a> {
        let at = node.at;
        self.spend(at, 1)?;
        match &node.op {
            Op::Null => Ok(Value::Null),
            Op::Bool(flag) => Ok(Value::Bool(*flag)),
            Op::Int(int) => Ok(Value::Int(*int)),
            Op::Uint(uint) => Ok(Value::Uint(*uint)),
            Op::Double(double) => Ok(Value::Double(*double)),
            Op::Decimal(decimal) => Ok(Value::Decimal(*decimal)),
            Op::String(text) => Ok(Value::text(text)),
            Op::Bytes(bytes) => Ok(Value::Bytes(Arc::clone(bytes))),
            Op::Type(kind) => Ok(Value::Type(*kind)),
            Op::Timestamp(timestamp) => Ok(Value::Timestamp(*timestamp)),
            Op::Duration(duration) => Ok(Value::Duration(*duration)),
            Op::List(items) => {
                let items = items.iter().map(|item| self.any(item)).collect::<Result<_, _>>()?;
                Ok(Value::List(items))
            }
            Op::Map(members) => self.map(at, members),
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
            Op::IsNull(operand) => self.is_null(operand),
            Op::And(operands) => self.logic(operands, "&&", false),
            Op::Or(operands) => self.logic(operands, "||", true),
            Op::If(parts) => {
                let [condition, yes, no] = parts.as_ref();
                if self.boolean("?", condition)? { self.any(yes) } else { self.any(no) }
            }
            Op::Binary(operator, operands) => self.binary(at, *operator, operands),
            Op::Call(function, args) => self.call(at, *function, args),
            Op::Matches(text, pattern) => match self.any(text)? {
                Value::String(text) => {
                    // A pattern takes several times as long as a plain search.
                    self.spend(at, 8 * text_weight(text.len()))?;
                    Ok(Value::Bool(pattern.regex.is_match(text.as_bytes())))
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

    fn local(&mut self, at: u32, level: usize) -> Computed<'a> {
        // The checker gave out the level, so it is there; a text may be copied.
        let value = self.locals.get(level).cloned().unwrap_or(Value::Null);
        if let Value::String(text) = &value {
            self.spend(at, text_weight(text.len()))?;
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
        if of.kind() == ValueKind::Map { Ok(of.member(name)) } else { Err(one_type(at, ".", &of)) }
    }

    fn map(&mut self, at: u32, members: &'a [[Node; 2]]) -> Computed<'a> {
        let mut map = Vec::<(Value<'a>, Value<'a>)>::with_capacity(members.len());
        for [key, value] in members {
            let key = self.any(key)?;
            let is_key = matches!(
                key.kind(),
                ValueKind::String | ValueKind::Int | ValueKind::Uint | ValueKind::Bool
            );
            if !is_key {
                return Err(one_type(at, "{}", &key));
            }
            self.look_at(at, map.iter().map(|(known, _)| known))?;
            if map.iter().any(|(known, _)| known.equals(&key)) {
                return Err(Fault { at, cause: Cause::SameKey });
            }
            map.push((key, self.any(value)?));
        }
        Ok(Value::Map(map.into()))
    }

    fn index(&mut self, at: u32, [of, index]: &'a [Node; 2]) -> Computed<'a> {
        let (of, index) = (self.any(of)?, self.any(index)?);
        let found = match (of.kind(), index.kind()) {
            (ValueKind::Map, ValueKind::String | ValueKind::Bool) => of.at_key(&index),
            (ValueKind::Map, kind) if kind.is_number() => {
                self.look_at(at, [&of])?;
                of.at_key(&index)
            }
            (ValueKind::List, kind) if kind.is_number() => {
                let place = whole_index(&index).and_then(|at| of.item(at));
                // Of an event null counts as missing; in a list of one's own it is what was written.
                place.filter(|item| !(is_null(item) && matches!(of, Value::Json(_))))
            }
            _ => return Err(two_types(at, "[]", &of, &index)),
        };
        found.ok_or(Fault { at, cause: Cause::NoElement })
    }

    /// Whether it is null; what is missing is.
    fn is_null(&mut self, operand: &'a Node) -> Computed<'a> {
        match self.any(operand) {
            Ok(value) => Ok(Value::Bool(is_null(&value))),
            Err(Fault { cause: Cause::NoField(_) | Cause::NoElement, .. }) => Ok(Value::Bool(true)),
            Err(fault) => Err(fault),
        }
    }

    fn boolean(&mut self, operator: &'static str, node: &'a Node) -> Result<bool, Fault<'a>> {
        match self.any(node)? {
            Value::Bool(flag) => Ok(flag),
            other => Err(one_type(node.at, operator, &other)),
        }
    }

    /// `&&` and `||`: an operand that `decides` outweighs a fault of the others, on either side.
    fn logic(
        &mut self,
        operands: &'a [Node],
        operator: &'static str,
        decides: bool,
    ) -> Computed<'a> {
        let mut first_fault = None;
        for operand in operands {
            match self.boolean(operator, operand) {
                Ok(flag) if flag == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(fault) if fault.cause == Cause::TooMuchWork => return Err(fault),
                Err(fault) => {
                    first_fault.get_or_insert(fault);
                }
            }
        }
        first_fault.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn binary(&mut self, at: u32, operator: Binary, [left, right]: &'a [Node; 2]) -> Computed<'a> {
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
                ValueKind::List => {
                    self.look_at(at, [&left, &right])?;
                    let mut items = right.items().into_iter().flatten();
                    Ok(Value::Bool(items.any(|item| item.equals(&left))))
                }
                ValueKind::Map => {
                    if left.kind().is_number() {
                        self.look_at(at, [&right])?;
                    }
                    Ok(Value::Bool(right.at_key(&left).is_some()))
                }
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

    fn call(&mut self, at: u32, function: Function, args: &'a [Node]) -> Computed<'a> {
        let args = args.iter().map(|arg| self.any(arg)).collect::<Result<Vec<_>, _>>()?;
        self.look_at(at, &args)?;
        functions::call(function, &args).map_err(|refusal| {
            let subject = args.iter().find(|arg| arg.kind() != ValueKind::String).or(args.first());
            refused(at, function.as_str(), subject.unwrap_or(&Value::Null), refusal)
        })
    }

    fn looping(&mut self, at: u32, kind: Macro, parts: &'a Loop) -> Computed<'a> {
        let range = self.any(&parts.range)?;
        let Some(items) = range.items() else {
            return Err(one_type(at, kind.as_str(), &range));
        };
        let mut found = LoopResult::default();
        for (number, item) in items.enumerate() {
            let outer = self.locals.len();
            if parts.is_keyed {
                let number = Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
                let is_map = range.kind() == ValueKind::Map;
                let value =
                    if is_map { range.at_key(&item).unwrap_or(Value::Null) } else { item.clone() };
                self.locals.push(if is_map { item.clone() } else { number });
                self.locals.push(value);
            } else {
                self.locals.push(item.clone());
            }
            let outcome = self.visit(kind, parts);
            self.locals.truncate(outer);
            match (kind, outcome) {
                (_, Err(fault)) if fault.cause == Cause::TooMuchWork => return Err(fault),
                // As with `||` and `&&`: a later element may decide in spite of a fault.
                (Macro::Exists | Macro::All, Err(fault)) => found.deferred = Some(fault),
                (_, Err(fault)) => return Err(fault),
                (Macro::Exists, Ok(Some(Value::Bool(true)))) => return Ok(Value::Bool(true)),
                (Macro::All, Ok(Some(Value::Bool(false)))) => return Ok(Value::Bool(false)),
                (Macro::ExistsOne, Ok(Some(Value::Bool(true)))) => found.hits += 1,
                (Macro::Filter, Ok(Some(Value::Bool(true)))) => found.kept.push(item),
                (Macro::Map | Macro::TransformList, Ok(Some(value))) => found.kept.push(value),
                (Macro::TransformMap, Ok(Some(value))) => {
                    let key = if range.kind() == ValueKind::Map {
                        item
                    } else {
                        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
                    };
                    found.members.push((key, value));
                }
                _ => {}
            }
        }
        found.result(kind)
    }

    /// What a macro's body says of the element that was pushed last; `None` where `map`'s condition excludes it.
    fn visit(&mut self, kind: Macro, parts: &'a Loop) -> Result<Option<Value<'a>>, Fault<'a>> {
        if let Some(only_if) = &parts.only_if
            && !self.boolean(kind.as_str(), only_if)?
        {
            return Ok(None);
        }
        if matches!(kind, Macro::Map | Macro::TransformList | Macro::TransformMap) {
            return self.any(&parts.body).map(Some);
        }
        self.boolean(kind.as_str(), &parts.body).map(|flag| Some(Value::Bool(flag)))
    }
}

/// What a macro has found so far.
#[derive(Default)]
struct LoopResult<'a> {
    kept: Vec<Value<'a>>,
    members: Vec<(Value<'a>, Value<'a>)>,
    hits: usize,
    deferred: Option<Fault<'a>>,
}

impl<'a> LoopResult<'a> {
    fn result(self, kind: Macro) -> Computed<'a> {
        match (kind, self.deferred) {
            (_, Some(fault)) => Err(fault),
            (Macro::Filter | Macro::Map | Macro::TransformList, _) => {
                Ok(Value::List(Rc::from(self.kept)))
            }
            (Macro::TransformMap, _) => Ok(Value::Map(Rc::from(self.members))),
            (Macro::Exists, _) => Ok(Value::Bool(false)),
            (Macro::All, _) => Ok(Value::Bool(true)),
            (Macro::ExistsOne, _) => Ok(Value::Bool(self.hits == 1)),
        }
    }
}

/// The place in a list that a number names.
fn whole_index(index: &Value<'_>) -> Option<usize> {
    match index {
        Value::Int(int) => usize::try_from(*int).ok(),
        Value::Uint(uint) => usize::try_from(*uint).ok(),
        _ => {
            /// Far more than any list has, and every whole number up to it is a double.
            const PLACE_MAX: f64 = 4_294_967_296.0;
            let double = index.double()?;
            let is_place = double.fract() == 0.0 && (0.0..PLACE_MAX).contains(&double);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range was checked"
            )]
            is_place.then_some(double as usize)
        }
    }
}
