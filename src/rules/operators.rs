//! The check of operators: what they take, and the traps of amounts that Telnyx sends as text.

use super::checker::{CheckedPart, Checker, node, path};
use super::program::{Binary, Op};
use super::syntax::{Expr, ExprKind};
use super::types::{self, Type};
use crate::diagnostic::TextDiagnostic;

impl Checker {
    /// `-x`
    pub(super) fn negate(&mut self, at: usize, operand: &Expr) -> CheckedPart {
        let (inner, of) = self.any(operand)?;
        match of {
            Type::Amount => Err(amount_problem(at, "-", operand)),
            Type::Dynamic | Type::Int | Type::Double => {
                Ok((node(at, Op::Negate(Box::new(inner))), of))
            }
            _ => Err(TextDiagnostic::new(at, format!("`-` does not take {}", of.as_str()))),
        }
    }

    /// `condition ? yes : no`
    pub(super) fn conditional(
        &mut self,
        at: usize,
        [condition, yes, no]: &[Expr; 3],
    ) -> CheckedPart {
        let condition = self.boolean(condition)?;
        let (yes, yes_type) = self.any(yes)?;
        let (no, no_type) = self.any(no)?;
        let of = match (yes_type, no_type) {
            (a, b) if a == b => a,
            (a, b) if types::can_equal(a, b) && !(a.is_number() && b.is_number()) => Type::Dynamic,
            (a, b) => {
                let (a, b) = (a.as_str(), b.as_str());
                return Err(TextDiagnostic::new(at, format!("`?` gives either {a} or {b}")));
            }
        };
        Ok((node(at, Op::If(Box::new([condition, yes, no]))), of))
    }

    /// `left operator right`
    pub(super) fn binary(
        &mut self,
        at: usize,
        operator: Binary,
        [left, right]: &[Expr; 2],
    ) -> CheckedPart {
        let (left_node, left_type) = self.any(left)?;
        if let (Binary::In, ExprKind::List(list)) = (operator, &right.kind) {
            let items = self.all(list)?;
            for (item, of) in list.iter().zip(&items) {
                comparable(item.at, Binary::Equal, (left, left_type), (item, of.1))?;
            }
            let items = items.into_iter().map(|(item, _)| item).collect();
            let items = node(right.at, Op::List(items));
            return Ok((node(at, Op::Binary(operator, Box::new([left_node, items]))), Type::Bool));
        }
        let (right_node, right_type) = self.any(right)?;
        if matches!(operator, Binary::Equal | Binary::NotEqual)
            && (left_type == Type::Null || right_type == Type::Null)
        {
            let asked = if right_type == Type::Null { left_node } else { right_node };
            let is_null = node(at, Op::IsNull(Box::new(asked)));
            let op =
                if operator == Binary::Equal { is_null.op } else { Op::Not(Box::new(is_null)) };
            return Ok((node(at, op), Type::Bool));
        }
        let (l, r) = ((left, left_type), (right, right_type));
        let of = match operator {
            Binary::In if right_type.may_be(&[Type::List, Type::Map]) => Type::Bool,
            Binary::In => {
                let message =
                    format!("`in` looks in a list or a map, not in {}", right_type.as_str());
                return Err(TextDiagnostic::new(at, message));
            }
            Binary::Add
            | Binary::Subtract
            | Binary::Multiply
            | Binary::Divide
            | Binary::Remainder => arithmetic(at, operator, l, r)?,
            _ => {
                comparable(at, operator, l, r)?;
                Type::Bool
            }
        };
        Ok((node(at, Op::Binary(operator, Box::new([left_node, right_node]))), of))
    }
}

/// Refuses a comparison that can never hold or never be made.
fn comparable(
    at: usize,
    operator: Binary,
    left: (&Expr, Type),
    right: (&Expr, Type),
) -> Result<(), TextDiagnostic> {
    let by_order = !matches!(operator, Binary::Equal | Binary::NotEqual);
    let fits = if by_order { types::can_order } else { types::can_equal };
    if fits(left.1, right.1) {
        return Ok(());
    }
    match (left.1, right.1) {
        (Type::Amount, _) => Err(amount_problem(at, operator.as_str(), left.0)),
        (_, Type::Amount) => Err(amount_problem(at, operator.as_str(), right.0)),
        (a, b) => {
            let (a, b) = (a.as_str(), b.as_str());
            Err(TextDiagnostic::new(
                at,
                format!("`{}` cannot compare {a} with {b}", operator.as_str()),
            ))
        }
    }
}

fn arithmetic(
    at: usize,
    operator: Binary,
    (left, left_type): (&Expr, Type),
    (right, right_type): (&Expr, Type),
) -> Result<Type, TextDiagnostic> {
    match (operator, left_type, right_type) {
        (Binary::Add, Type::String, Type::Amount) | (Binary::Add, Type::Amount, Type::String) => {
            return Ok(Type::String);
        }
        (_, Type::Amount, _) => return Err(amount_problem(at, operator.as_str(), left)),
        (_, _, Type::Amount) => return Err(amount_problem(at, operator.as_str(), right)),
        _ => {}
    }
    types::arithmetic(operator, left_type, right_type).ok_or_else(|| {
        let (a, b) = (left_type.as_str(), right_type.as_str());
        let problem =
            TextDiagnostic::new(at, format!("`{}` does not take {a} and {b}", operator.as_str()));
        if left_type.is_number() && right_type.is_number() && operator != Binary::Remainder {
            problem.hint("CEL does not mix int, uint and double: write 2.0 for 2, or double(…)")
        } else {
            problem
        }
    })
}

/// Telnyx sends this field as text: what stands here would quietly be false, or fail at each event.
fn amount_problem(at: usize, operator: &str, amount: &Expr) -> TextDiagnostic {
    let path = path(amount).unwrap_or_else(|| "…".to_owned());
    TextDiagnostic::new(at, format!("`{operator}` on `{path}`, which Telnyx sends as decimal text"))
        .hint(format!("write num({path})"))
}
