//! The check of operators: what they take, and the traps of amounts that Telnyx sends as text.

use cel::common::ast::{Expr, IdedExpr, operators};

use super::checker::{Checked, Checker, Flaw, node};
use super::program::{Binary, Op};
use super::types::{self, Type};

impl Checker<'_> {
    /// `-x`
    pub(super) fn negate(&mut self, at: usize, operand: &IdedExpr) -> Checked {
        let (inner, of) = self.any(operand)?;
        match of {
            Type::Amount => Err(amount_flaw(at, "-", operand)),
            Type::Dynamic | Type::Int | Type::Double => {
                Ok((node(at, Op::Negate(Box::new(inner))), of))
            }
            _ => Err(Flaw::new(at, format!("`-` does not take {}", of.as_str()))),
        }
    }

    /// `condition ? yes : no`
    pub(super) fn conditional(
        &mut self,
        at: usize,
        condition: &IdedExpr,
        yes: &IdedExpr,
        no: &IdedExpr,
    ) -> Checked {
        let condition = self.boolean(condition)?;
        let (yes, yes_type) = self.any(yes)?;
        let (no, no_type) = self.any(no)?;
        let of = match (yes_type, no_type) {
            (a, b) if a == b => a,
            (a, b) if types::can_equal(a, b) && !(a.is_number() && b.is_number()) => Type::Dynamic,
            (a, b) => {
                let (a, b) = (a.as_str(), b.as_str());
                return Err(Flaw::new(at, format!("`?` gives either {a} or {b}")));
            }
        };
        Ok((node(at, Op::If(Box::new([condition, yes, no]))), of))
    }

    /// `left operator right`
    pub(super) fn binary(
        &mut self,
        at: usize,
        operator: Binary,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Checked {
        let (left_node, left_type) = self.any(left)?;
        if let (Binary::In, Expr::List(list)) = (operator, &right.expr) {
            let items = self.all(&list.elements)?;
            for (item, of) in list.elements.iter().zip(&items) {
                comparable(self.offset(item.id), Binary::Equal, (left, left_type), (item, of.1))?;
            }
            let items = items.into_iter().map(|(item, _)| item).collect();
            let items = node(self.offset(right.id), Op::List(items));
            return Ok((node(at, Op::Binary(operator, Box::new([left_node, items]))), Type::Bool));
        }
        let (right_node, right_type) = self.any(right)?;
        let (l, r) = ((left, left_type), (right, right_type));
        let of = match operator {
            Binary::In if right_type.may_be(&[Type::List, Type::Map]) => Type::Bool,
            Binary::In => {
                let message =
                    format!("`in` looks in a list or a map, not in {}", right_type.as_str());
                return Err(Flaw::new(at, message));
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
    left: (&IdedExpr, Type),
    right: (&IdedExpr, Type),
) -> Result<(), Flaw> {
    let by_order = !matches!(operator, Binary::Equal | Binary::NotEqual);
    let fits = if by_order { types::can_order } else { types::can_equal };
    if fits(left.1, right.1) {
        return Ok(());
    }
    match (left.1, right.1) {
        (Type::Amount, _) => Err(amount_flaw(at, operator.as_str(), left.0)),
        (_, Type::Amount) => Err(amount_flaw(at, operator.as_str(), right.0)),
        (a, b) => {
            let (a, b) = (a.as_str(), b.as_str());
            Err(Flaw::new(at, format!("`{}` cannot compare {a} with {b}", operator.as_str())))
        }
    }
}

/// The operator by the parser's name for it.
pub(super) fn binary(name: &str) -> Option<Binary> {
    Some(match name {
        operators::ADD => Binary::Add,
        operators::SUBSTRACT => Binary::Subtract,
        operators::MULTIPLY => Binary::Multiply,
        operators::DIVIDE => Binary::Divide,
        operators::MODULO => Binary::Remainder,
        operators::EQUALS => Binary::Equal,
        operators::NOT_EQUALS => Binary::NotEqual,
        operators::LESS => Binary::Less,
        operators::LESS_EQUALS => Binary::LessOrEqual,
        operators::GREATER => Binary::Greater,
        operators::GREATER_EQUALS => Binary::GreaterOrEqual,
        operators::IN => Binary::In,
        _ => return None,
    })
}

fn arithmetic(
    at: usize,
    operator: Binary,
    (left, left_type): (&IdedExpr, Type),
    (right, right_type): (&IdedExpr, Type),
) -> Result<Type, Flaw> {
    match (operator, left_type, right_type) {
        (Binary::Add, Type::Text, Type::Amount) | (Binary::Add, Type::Amount, Type::Text) => {
            return Ok(Type::Text);
        }
        (_, Type::Amount, _) => return Err(amount_flaw(at, operator.as_str(), left)),
        (_, _, Type::Amount) => return Err(amount_flaw(at, operator.as_str(), right)),
        _ => {}
    }
    types::arithmetic(operator, left_type, right_type).ok_or_else(|| {
        let (a, b) = (left_type.as_str(), right_type.as_str());
        let flaw = Flaw::new(at, format!("`{}` does not take {a} and {b}", operator.as_str()));
        if left_type.is_number() && right_type.is_number() && operator != Binary::Remainder {
            flaw.hint("CEL does not mix int and double: write 2.0 for 2, or double(…)")
        } else {
            flaw
        }
    })
}

/// Telnyx sends this field as text: what stands here would quietly be false, or fail at each event.
fn amount_flaw(at: usize, operator: &str, amount: &IdedExpr) -> Flaw {
    let path = path(amount).unwrap_or_else(|| "…".to_owned());
    Flaw::new(at, format!("`{operator}` on `{path}`, which Telnyx sends as decimal text"))
        .hint(format!("write num({path})"))
}

/// `payload.cost.amount` as written, where it is such a chain.
fn path(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) => Some(format!("{}.{}", path(&select.operand)?, select.field)),
        _ => None,
    }
}
