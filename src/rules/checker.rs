//! The check of an expression at load, and its translation into a [`Node`] that can run.
//!
//! The parser gives a tree of names and calls; here each name, function, number of arguments and type is looked
//! up, as far as types are declared. The payload is dynamic: what it holds is known when an event comes.

use super::program::{Node, Op, OwnField};
use super::suggest::did_you_mean;
use super::syntax::{Expr, ExprKind};
use super::types::{self, Type};
use crate::diagnostic::TextDiagnostic;

/// Longest way from an expression's root to a leaf, in parts: what runs it recurses as deep.
const DEPTH_MAX: usize = 120;

/// A checked part and what is known of its value.
pub(super) type CheckedPart = Result<(Node, Type), TextDiagnostic>;

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
pub(super) fn check(scope: Scope, expression: &Expr) -> Result<(Node, Type, Uses), TextDiagnostic> {
    let mut checker =
        Checker { scope, locals: Vec::new(), macros: 0, depth: 0, uses: Uses::default() };
    let (node, of) = checker.any(expression)?;
    Ok((node, of, checker.uses))
}

/// What the check knows at the part it is at.
pub(super) struct Checker {
    pub(super) scope: Scope,
    /// Names of the variables of the macros around, the outermost first.
    pub(super) locals: Vec<String>,
    /// How many macros are around.
    pub(super) macros: usize,
    depth: usize,
    /// What was met so far.
    uses: Uses,
}

impl Checker {
    /// Checks any expression.
    pub(super) fn any(&mut self, expression: &Expr) -> CheckedPart {
        let at = expression.at;
        if self.depth >= DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} operations in a row");
            return Err(TextDiagnostic::new(at, message)
                .hint("use && and ||, a list with `in`, or several rules"));
        }
        self.depth += 1;
        let checked = self.part(at, &expression.kind);
        self.depth -= 1;
        checked
    }

    fn part(&mut self, at: usize, kind: &ExprKind) -> CheckedPart {
        let (op, of) = match kind {
            ExprKind::Null => (Op::Null, Type::Null),
            ExprKind::Bool(flag) => (Op::Bool(*flag), Type::Bool),
            ExprKind::Int(int) => (Op::Int(*int), Type::Int),
            ExprKind::Uint(uint) => (Op::Uint(*uint), Type::Uint),
            ExprKind::Double(_, Some(exact)) => (Op::Decimal(*exact), Type::Double),
            ExprKind::Double(double, None) => (Op::Double(*double), Type::Double),
            ExprKind::String(text) => (Op::String(text.as_str().into()), Type::String),
            ExprKind::Bytes(bytes) => (Op::Bytes(bytes.as_slice().into()), Type::Bytes),
            ExprKind::List(items) => {
                let items = self.all(items)?.into_iter().map(|(item, _)| item).collect();
                (Op::List(items), Type::List)
            }
            ExprKind::Map(members) => {
                let members = members.iter().map(|(key, value)| self.entry(key, value));
                (Op::Map(members.collect::<Result<_, _>>()?), Type::Map)
            }
            ExprKind::And(operands) => (Op::And(self.booleans(operands)?), Type::Bool),
            ExprKind::Or(operands) => (Op::Or(self.booleans(operands)?), Type::Bool),
            ExprKind::Not(operand) => (Op::Not(Box::new(self.boolean(operand)?)), Type::Bool),
            ExprKind::Ident(name, is_rooted) => return self.variable(at, name, *is_rooted),
            ExprKind::Select(of, name) => return self.field(at, of, name),
            ExprKind::Index(parts) => return self.index(at, parts),
            ExprKind::Negate(operand) => return self.negate(at, operand),
            ExprKind::If(parts) => return self.conditional(at, parts),
            ExprKind::Binary(operator, parts) => return self.binary(at, *operator, parts),
            ExprKind::Call(None, name, args) if name == "has" => return self.has(at, args),
            ExprKind::Call(target, name, args) => {
                return self.function(at, name, target.as_deref(), args);
            }
        };
        Ok((node(at, op), of))
    }

    /// Checks each of several.
    pub(super) fn all(
        &mut self,
        expressions: &[Expr],
    ) -> Result<Vec<(Node, Type)>, TextDiagnostic> {
        expressions.iter().map(|expression| self.any(expression)).collect()
    }

    /// `key: value` of a map.
    fn entry(&mut self, key: &Expr, value: &Expr) -> Result<[Node; 2], TextDiagnostic> {
        let (key_node, of) = self.any(key)?;
        if !of.may_be(&[Type::String, Type::Int, Type::Uint, Type::Bool]) {
            return Err(TextDiagnostic::new(key.start, format!("{} cannot be a key", of.as_str())));
        }
        Ok([key_node, self.any(value)?.0])
    }

    fn variable(&mut self, at: usize, name: &str, is_rooted: bool) -> CheckedPart {
        let local = self.locals.iter().rposition(|local| local == name);
        if let Some(level) = local.filter(|_| !is_rooted) {
            return Ok((node(at, Op::Local(level)), Type::Dynamic));
        }
        match name {
            _ if !self.scope.variables.contains(&name) => {
                if let Some(kind) = types::named(name) {
                    return Ok((node(at, Op::Type(kind)), Type::Kind));
                }
                let known = self.scope.variables.iter().copied();
                let locals = self.locals.iter().map(String::as_str);
                let problem = TextDiagnostic::new(at, format!("unknown variable `{name}`"));
                Err(problem.hint(did_you_mean(name, known.clone().chain(locals)).unwrap_or_else(
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
                Err(TextDiagnostic::new(at, format!("`{name}` is not a value by itself"))
                    .hint(format!("name one of its fields: `{name}.{first}`")))
            }
        }
    }

    /// `operand.name`; `at` is the place of the name.
    fn field(&mut self, at: usize, operand: &Expr, name: &str) -> CheckedPart {
        if let Some(of) = self.own_field(at, operand, name) {
            return of.map(|(field, of)| (node(at, Op::Own(field)), of));
        }
        if let Some(kind) = path(operand).and_then(|path| types::named(&format!("{path}.{name}"))) {
            return Ok((node(at, Op::Type(kind)), Type::Kind));
        }
        let (operand, of) = self.any(operand)?;
        if !matches!(of, Type::Dynamic | Type::Amount | Type::Map) {
            return Err(TextDiagnostic::new(at, format!("{} has no field `{name}`", of.as_str())));
        }
        let of = match operand.op {
            Op::Labels => Type::String,
            Op::Map(_) => Type::Dynamic,
            _ => types::of_payload_field(name),
        };
        Ok((node(at, Op::Field(Box::new(operand), name.into())), of))
    }

    /// The field of `event` or `call` that this names, `None` when the operand is neither.
    fn own_field(
        &mut self,
        at: usize,
        operand: &Expr,
        name: &str,
    ) -> Option<Result<(OwnField, Type), TextDiagnostic>> {
        let ExprKind::Ident(variable, _) = &operand.kind else { return None };
        let fields = types::own_fields(variable)
            .filter(|_| self.scope.variables.contains(&variable.as_str()))?;
        let Some((_, field, of)) = fields.iter().find(|(known, ..)| *known == name) else {
            let names = fields.iter().map(|(known, ..)| *known);
            let problem = TextDiagnostic::new(at, format!("`{variable}` has no field `{name}`"));
            return Some(Err(problem.hint(did_you_mean(name, names.clone()).unwrap_or_else(
                || {
                    let names = names.collect::<Vec<_>>().join(", ");
                    format!("its fields: {names}; what Telnyx sent is in `payload`")
                },
            ))));
        };
        self.uses.money |= field.is_money();
        Some(Ok((*field, *of)))
    }

    /// Checks what has to be a condition.
    pub(super) fn boolean(&mut self, expression: &Expr) -> Result<Node, TextDiagnostic> {
        let (operand, of) = self.any(expression)?;
        if of.may_be(&[Type::Bool]) {
            Ok(operand)
        } else {
            let message = format!("expected bool, found {}", of.as_str());
            Err(TextDiagnostic::new(expression.start, message))
        }
    }

    fn booleans(&mut self, expressions: &[Expr]) -> Result<Vec<Node>, TextDiagnostic> {
        expressions.iter().map(|expression| self.boolean(expression)).collect()
    }

    fn index(&mut self, at: usize, [operand, index]: &[Expr; 2]) -> CheckedPart {
        let is_list = matches!(operand.kind, ExprKind::List(_));
        if let (ExprKind::String(name), false) = (&index.kind, is_list) {
            return self.field(index.at, operand, name);
        }
        let (operand, of) = self.any(operand)?;
        let (index, index_type) = self.any(index)?;
        // A double that is whole is an index like any other.
        let takes: &[Type] = match (of, &operand.op) {
            (Type::Map, Op::Payload | Op::Labels) => &[Type::String],
            (Type::Dynamic | Type::Amount | Type::Map, _) => {
                &[Type::Int, Type::Uint, Type::Double, Type::String, Type::Bool]
            }
            (Type::List, _) => &[Type::Int, Type::Uint, Type::Double],
            _ => &[],
        };
        if !index_type.may_be(takes) {
            let (of, by) = (of.as_str(), index_type.as_str());
            return Err(TextDiagnostic::new(at, format!("{of} cannot be indexed by {by}")));
        }
        Ok((node(at, Op::Index(Box::new([operand, index]))), Type::Dynamic))
    }

    fn has(&mut self, at: usize, args: &[Expr]) -> CheckedPart {
        let wrong = || {
            TextDiagnostic::new(at + "has".len(), "has() takes a field").hint("has(payload.status)")
        };
        let [of] = args else { return Err(wrong()) };
        let (operand, name, name_at) = match &of.kind {
            ExprKind::Select(operand, name) => (operand.as_ref(), name, of.at),
            ExprKind::Index(parts) => match parts.as_ref() {
                [operand, Expr { at, kind: ExprKind::String(name), .. }] => (operand, name, *at),
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        if let Some(field) = self.own_field(name_at, operand, name) {
            return field.map(|(field, _)| (node(at, Op::HasOwn(field)), Type::Bool));
        }
        let Op::Field(operand, name) = self.field(name_at, operand, name)?.0.op else {
            return Err(wrong());
        };
        Ok((node(at, Op::HasField(operand, name)), Type::Bool))
    }
}

/// A part of a program at an offset in the source, which is far below 4 GiB.
pub(super) fn node(at: usize, op: Op) -> Node {
    Node { at: u32::try_from(at).unwrap_or(u32::MAX), op }
}

/// `payload.cost.amount` as written, where it is such a chain.
pub(super) fn path(expression: &Expr) -> Option<String> {
    match &expression.kind {
        ExprKind::Ident(name, _) => Some(name.clone()),
        ExprKind::Select(of, field) => Some(format!("{}.{field}", path(of)?)),
        _ => None,
    }
}
