//! The values that a rule's `is_new` remember.

use super::eval;
use super::inputs::Inputs;
use super::program::{Node, Op};
use super::show::children;
use super::values::as_label;

/// The values of all `is_new` in an expression, as far as the event has them: by which of them, and as text.
pub(super) fn values(root: &Node, inputs: Inputs<'_>) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        open.extend(children(node));
        if let Op::IsNew(parts) = &node.op
            && let Ok(value) = eval::run(&parts.of, inputs)
            && let Some(text) = as_label(&value)
        {
            found.push((parts.site, text.into_owned()));
        }
    }
    found
}
