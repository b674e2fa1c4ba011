//! The check of an expression at load, and its translation into a [`Node`] that can run.
//!
//! The parser gives a tree of names and calls; here each name, function, number of arguments and type is looked
//! up, as far as types are declared. The payload is dynamic: what it holds is known when an event comes.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators};

use super::expression::place;
use super::operators::binary;
use super::program::{Node, Op, OwnField};
use super::suggest::did_you_mean;
use super::types::{self, Type};
use crate::diagnostic::{At, Diagnostic};

/// Longest way from an expression's root to a leaf, in parts: what runs it recurses as deep.
const DEPTH_MAX: usize = 120;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    /// Byte offset in the source.
    pub(super) at: usize,
    /// What is wrong.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
}

impl Flaw {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The problem at its place in a file; without a key.
    pub(super) fn problem(self, source: &At<String>) -> Diagnostic {
        let (line, column) = place(&source.value, self.at);
        let problem = Diagnostic::error(source.inside(line, column), "", self.message);
        match self.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

/// A checked part and what is known of its value.
pub(super) type Checked = Result<(Node, Type), Flaw>;

/// What an expression may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The variables.
    pub(super) variables: &'static [&'static str],
}

impl Scope {
    /// What `when`, `by` and `value` see.
    pub const EVENT: Self = Self { variables: &["event", "payload", "call"] };
    /// What `fire` and `clear` see.
    pub const LINE: Self = Self { variables: &["value", "count", "labels"] };
}

/// What an expression looks at, as far as it matters to who asks it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Uses {
    /// `event.cost` or `event.charge`.
    pub(super) money: bool,
    /// `labels`.
    pub(super) labels: bool,
}

/// Checks a parsed expression and translates it; says also what is known of its value, and what it looks at.
pub(super) fn check(
    source: &str,
    info: &SourceInfo,
    scope: Scope,
    expression: &IdedExpr,
) -> Result<(Node, Type, Uses), Flaw> {
    let locals = Vec::new();
    let mut checker = Checker { source, info, scope, locals, depth: 0, uses: Uses::default() };
    let (node, of) = checker.any(expression)?;
    Ok((node, of, checker.uses))
}

/// What the check knows at the part it is at.
pub(super) struct Checker<'s> {
    source: &'s str,
    info: &'s SourceInfo,
    pub(super) scope: Scope,
    /// Names of the variables of the macros around, the outermost first.
    pub(super) locals: Vec<String>,
    depth: usize,
    /// What was met so far.
    uses: Uses,
}

impl Checker<'_> {
    /// Checks any expression.
    pub(super) fn any(&mut self, expression: &IdedExpr) -> Checked {
        let at = self.offset(expression.id);
        if self.depth >= DEPTH_MAX {
            return Err(Flaw::new(at, format!("more than {DEPTH_MAX} operations in a row"))
                .hint("use && and ||, a list with `in`, or several rules"));
        }
        self.depth += 1;
        let checked = match &expression.expr {
            Expr::Literal(literal) => literal_node(at, literal),
            Expr::Ident(name) => self.variable(at, name),
            Expr::Select(select) => self.select(at, select),
            Expr::Call(call) => self.call(at, call),
            Expr::List(list) => {
                let items = self.all(&list.elements)?;
                let items = items.into_iter().map(|(node, _)| node).collect();
                Ok((node(at, Op::List(items)), Type::List))
            }
            Expr::Map(_) | Expr::Struct(_) => {
                Err(Flaw::new(at, "maps cannot be made in an expression"))
            }
            Expr::Comprehension(_) | Expr::Unspecified => {
                Err(Flaw::new(at, "not an expression that can be computed"))
            }
        };
        self.depth -= 1;
        checked
    }

    /// Checks each of several.
    pub(super) fn all(&mut self, expressions: &[IdedExpr]) -> Result<Vec<(Node, Type)>, Flaw> {
        expressions.iter().map(|expression| self.any(expression)).collect()
    }

    fn variable(&mut self, at: usize, name: &str) -> Checked {
        if let Some(level) = self.locals.iter().rposition(|local| local == name) {
            return Ok((node(at, Op::Local(level)), Type::Dynamic));
        }
        match name {
            _ if !self.scope.variables.contains(&name) => {
                let known = self.scope.variables.iter().copied();
                let locals = self.locals.iter().map(String::as_str);
                let flaw = Flaw::new(at, format!("unknown variable `{name}`"));
                Err(flaw.hint(did_you_mean(name, known.clone().chain(locals)).unwrap_or_else(
                    || format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
                )))
            }
            "payload" => Ok((node(at, Op::Payload), Type::Map)),
            "value" => Ok((node(at, Op::Value), Type::Double)),
            "count" => Ok((node(at, Op::Count), Type::Int)),
            "labels" => {
                self.uses.labels = true;
                Ok((node(at, Op::Labels), Type::Map))
            }
            _ => {
                let first = types::own_fields(name).and_then(|fields| fields.first());
                let first =
                    if name == "event" { "kind" } else { first.map_or("", |field| field.0) };
                Err(Flaw::new(at, format!("`{name}` is not a value by itself"))
                    .hint(format!("name one of its fields: `{name}.{first}`")))
            }
        }
    }

    /// `operand.field`; the place of a flaw is the name behind the dot.
    fn select(&mut self, dot: usize, select: &SelectExpr) -> Checked {
        let at = self.source.get(dot..).and_then(|rest| rest.find(&select.field));
        self.field(dot + at.unwrap_or(0), &select.operand, &select.field)
    }

    fn field(&mut self, at: usize, operand: &IdedExpr, name: &str) -> Checked {
        if let Some(of) = self.own_field(at, operand, name) {
            return of.map(|(field, of)| (node(at, Op::Own(field)), of));
        }
        let (operand, of) = self.any(operand)?;
        if !matches!(of, Type::Dynamic | Type::Amount | Type::Map) {
            return Err(Flaw::new(at, format!("{} has no field `{name}`", of.as_str())));
        }
        let of = match operand.op {
            Op::Labels => Type::Text,
            _ => types::of_payload_field(name),
        };
        Ok((node(at, Op::Field(Box::new(operand), name.into())), of))
    }

    /// The field of `event` or `call` that this names, `None` when the operand is neither.
    fn own_field(
        &mut self,
        at: usize,
        operand: &IdedExpr,
        name: &str,
    ) -> Option<Result<(OwnField, Type), Flaw>> {
        let Expr::Ident(variable) = &operand.expr else { return None };
        let fields = types::own_fields(variable)
            .filter(|_| self.scope.variables.contains(&variable.as_str()))?;
        let Some((_, field, of)) = fields.iter().find(|(known, ..)| *known == name) else {
            let names = fields.iter().map(|(known, ..)| *known);
            let flaw = Flaw::new(at, format!("`{variable}` has no field `{name}`"));
            return Some(Err(flaw.hint(did_you_mean(name, names.clone()).unwrap_or_else(|| {
                let names = names.collect::<Vec<_>>().join(", ");
                format!("its fields: {names}; what Telnyx sent is in `payload`")
            }))));
        };
        self.uses.money |= field.is_money();
        Some(Ok((*field, *of)))
    }

    fn call(&mut self, at: usize, call: &CallExpr) -> Checked {
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_AND, None, [left, right]) => {
                let operands = [self.boolean(left)?, self.boolean(right)?];
                Ok((node(at, Op::And(Box::new(operands))), Type::Bool))
            }
            (operators::LOGICAL_OR, None, [left, right]) => {
                let operands = [self.boolean(left)?, self.boolean(right)?];
                Ok((node(at, Op::Or(Box::new(operands))), Type::Bool))
            }
            (operators::LOGICAL_NOT, None, [operand]) => {
                let operand = self.boolean(operand)?;
                Ok((node(at, Op::Not(Box::new(operand))), Type::Bool))
            }
            (operators::NEGATE, None, [operand]) => self.negate(at, operand),
            (operators::CONDITIONAL, None, [condition, yes, no]) => {
                self.conditional(at, condition, yes, no)
            }
            (operators::INDEX, None, [operand, index]) => self.index(at, operand, index),
            (operators::HAS, None, [of]) => self.has(at, of),
            (name, None, [left, right]) if binary(name).is_some() => {
                let operator = binary(name).expect("the guard says so");
                self.binary(at, operator, left, right)
            }
            (name, target, args) => self.function(at, name, target, args),
        }
    }

    /// Checks what has to be a condition.
    pub(super) fn boolean(&mut self, expression: &IdedExpr) -> Result<Node, Flaw> {
        let at = self.start(expression);
        let (operand, of) = self.any(expression)?;
        if of.may_be(&[Type::Bool]) {
            Ok(operand)
        } else {
            Err(Flaw::new(at, format!("expected bool, found {}", of.as_str())))
        }
    }

    fn index(&mut self, at: usize, operand: &IdedExpr, index: &IdedExpr) -> Checked {
        if let Expr::Literal(LiteralValue::String(name)) = &index.expr {
            let at = self.offset(index.id);
            return self.field(at, operand, name.inner());
        }
        let (operand, of) = self.any(operand)?;
        let (index, index_type) = self.any(index)?;
        let takes: &[Type] = match of {
            Type::Dynamic | Type::Amount => &[Type::Int, Type::Text],
            Type::List => &[Type::Int],
            Type::Map => &[Type::Text],
            _ => &[],
        };
        if !index_type.may_be(takes) {
            let (of, by) = (of.as_str(), index_type.as_str());
            return Err(Flaw::new(at, format!("{of} cannot be indexed by {by}")));
        }
        Ok((node(at, Op::Index(Box::new([operand, index]))), Type::Dynamic))
    }

    fn has(&mut self, at: usize, of: &IdedExpr) -> Checked {
        let (operand, name, name_at) = match &of.expr {
            Expr::Select(select) => (select.operand.as_ref(), select.field.as_str(), of.id),
            Expr::Call(CallExpr { func_name, target: None, args })
                if func_name == operators::INDEX =>
            {
                match args.as_slice() {
                    [operand, IdedExpr { id, expr: Expr::Literal(LiteralValue::String(name)) }] => {
                        (operand, name.inner(), *id)
                    }
                    _ => return Err(has_flaw(at)),
                }
            }
            _ => return Err(has_flaw(at)),
        };
        let name_at = self.offset(name_at);
        if let Some(field) = self.own_field(name_at, operand, name) {
            return field.map(|(field, _)| (node(at, Op::HasOwn(field)), Type::Bool));
        }
        let Op::Field(operand, name) = self.field(name_at, operand, name)?.0.op else {
            return Err(has_flaw(at));
        };
        Ok((node(at, Op::HasField(operand, name)), Type::Bool))
    }

    /// Byte offset of the token that the parser took a part by: an operator, a bracket, a dot or a word.
    pub(super) fn offset(&self, id: u64) -> usize {
        self.info.offset_for(id).map_or(0, |(start, _)| start as usize)
    }

    /// Byte offset of the name before a call's opening bracket.
    pub(super) fn name_offset(&self, bracket: usize, name: &str) -> usize {
        self.source.get(..bracket).and_then(|before| before.rfind(name)).unwrap_or(bracket)
    }

    /// Byte offset where a part begins.
    pub(super) fn start(&self, mut part: &IdedExpr) -> usize {
        loop {
            part = match &part.expr {
                Expr::Select(select) => &select.operand,
                Expr::Call(CallExpr { target: Some(target), .. }) => target,
                Expr::Call(CallExpr { func_name, args, .. }) => match args.first() {
                    Some(first) if func_name == operators::CONDITIONAL => first,
                    Some(first) if func_name == operators::INDEX => first,
                    Some(first) if args.len() == 2 && func_name.starts_with(['_', '@']) => first,
                    _ => return self.name_offset(self.offset(part.id), func_name),
                },
                _ => return self.offset(part.id),
            }
        }
    }
}

/// A part of a program at an offset in the source, which is far below 4 GiB.
pub(super) fn node(at: usize, op: Op) -> Node {
    Node { at: u32::try_from(at).unwrap_or(u32::MAX), op }
}

fn literal_node(at: usize, literal: &LiteralValue) -> Checked {
    let (op, of) = match literal {
        LiteralValue::Boolean(flag) => (Op::Bool(*flag.inner()), Type::Bool),
        LiteralValue::Int(int) => (Op::Int(*int.inner()), Type::Int),
        LiteralValue::Double(double) => (Op::Double(*double.inner()), Type::Double),
        LiteralValue::String(text) => (Op::Text(text.inner().into()), Type::Text),
        LiteralValue::Null => {
            return Err(Flaw::new(at, "null is never equal to a field: null counts as missing")
                .hint("test with has(…)"));
        }
        LiteralValue::UInt(_) => {
            return Err(Flaw::new(at, "no value here is unsigned").hint("leave out the `u`"));
        }
        LiteralValue::Bytes(_) => {
            return Err(Flaw::new(at, "no value here is bytes").hint("leave out the `b`"));
        }
    };
    Ok((node(at, op), of))
}

fn has_flaw(at: usize) -> Flaw {
    Flaw::new(at, "has() takes a field").hint("has(payload.status)")
}
