//! A checked expression as text again, for people; spaces and brackets may differ from what was written.

use super::functions::{FUNCTIONS, Style, TIME_PARTS};
use super::program::{Function, Node, Op, OwnField};
use super::{time, types};

/// The parts that a part is made of; of a macro only what it goes through.
pub(super) fn children(node: &Node) -> Vec<&Node> {
    match &node.op {
        Op::List(items) | Op::Call(_, items) => items.iter().collect(),
        Op::Field(of, _)
        | Op::HasField(of, _)
        | Op::Not(of)
        | Op::IsNull(of)
        | Op::Negate(of)
        | Op::Matches(of, _)
        | Op::TimePart(_, of, _) => vec![of],
        Op::And(operands) | Op::Or(operands) => operands.iter().collect(),
        Op::Map(members) => members.iter().flatten().collect(),
        Op::Index(parts) | Op::Binary(_, parts) => parts.iter().collect(),
        Op::If(parts) => parts.iter().collect(),
        Op::Macro(_, parts) => vec![&parts.range],
        Op::Null
        | Op::Bool(_)
        | Op::Int(_)
        | Op::Uint(_)
        | Op::Double(_)
        | Op::Decimal(_)
        | Op::String(_)
        | Op::Bytes(_)
        | Op::Type(_)
        | Op::Timestamp(_)
        | Op::Duration(_)
        | Op::Own(_)
        | Op::HasOwn(_)
        | Op::Payload
        | Op::Value
        | Op::Count
        | Op::Labels
        | Op::Local(_) => Vec::new(),
    }
}

/// A part as text.
pub(super) fn source(node: &Node) -> String {
    match &node.op {
        Op::Null => "null".to_owned(),
        Op::Bool(flag) => flag.to_string(),
        Op::Int(int) => int.to_string(),
        Op::Uint(uint) => format!("{uint}u"),
        Op::Double(double) => format!("{double:?}"),
        // A whole one would be read as `int`.
        Op::Decimal(decimal) if decimal.scale() == 0 => format!("{decimal}.0"),
        Op::Decimal(decimal) => decimal.to_string(),
        Op::String(text) => format!("'{text}'"),
        Op::Bytes(bytes) => format!("b\"{}\"", bytes.escape_ascii()),
        Op::Type(kind) => kind.type_name().to_owned(),
        Op::Timestamp(timestamp) => format!("timestamp('{}')", time::timestamp_text(*timestamp)),
        Op::Duration(duration) => format!("duration('{}')", time::duration_text(*duration)),
        Op::Map(members) => {
            let one = |[key, value]: &[Node; 2]| format!("{}: {}", source(key), source(value));
            format!("{{{}}}", members.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        Op::IsNull(of) => format!("{} == null", operand(of)),
        Op::List(items) => format!("[{}]", all(items)),
        Op::Own(field) => own(*field),
        Op::HasOwn(field) => format!("has({})", own(*field)),
        Op::Payload => "payload".to_owned(),
        Op::Value => "value".to_owned(),
        Op::Count => "count".to_owned(),
        Op::Labels => "labels".to_owned(),
        // The name was not kept; only a macro's own parts can hold one, which are not shown.
        Op::Local(level) => format!("${level}"),
        Op::Field(of, name) => member(of, name),
        Op::HasField(of, name) => format!("has({})", member(of, name)),
        Op::Index(parts) => {
            let [of, index] = parts.as_ref();
            format!("{}[{}]", operand(of), source(index))
        }
        Op::Not(of) => match &of.op {
            Op::IsNull(of) => format!("{} != null", operand(of)),
            _ => format!("!{}", operand(of)),
        },
        Op::Negate(of) => format!("-{}", operand(of)),
        Op::And(parts) => infix("&&", parts),
        Op::Or(parts) => infix("||", parts),
        Op::Binary(operator, parts) => infix(operator.as_str(), parts.as_ref()),
        Op::If(parts) => {
            let [condition, yes, no] = parts.as_ref();
            format!("{} ? {} : {}", operand(condition), operand(yes), operand(no))
        }
        Op::Call(function, args) => call(*function, args),
        Op::Matches(of, pattern) => format!("{}.matches('{}')", operand(of), pattern.source),
        Op::TimePart(part, of, zone) => {
            let name =
                TIME_PARTS.iter().find(|(_, known)| known == part).map_or("", |known| known.0);
            let zone = zone.iana_name().filter(|zone| *zone != "UTC");
            let zone = zone.map_or_else(String::new, |zone| format!("'{zone}'"));
            format!("{}.{name}({zone})", operand(of))
        }
        Op::Macro(kind, parts) => format!("{}.{}(…)", operand(&parts.range), kind.as_str()),
    }
}

fn all(nodes: &[Node]) -> String {
    nodes.iter().map(source).collect::<Vec<_>>().join(", ")
}

/// In brackets, where another operator could take it apart.
fn operand(node: &Node) -> String {
    match &node.op {
        Op::And(_)
        | Op::Or(_)
        | Op::Binary(..)
        | Op::If(_)
        | Op::Not(_)
        | Op::Negate(_)
        | Op::IsNull(_) => {
            format!("({})", source(node))
        }
        _ => source(node),
    }
}

fn infix(operator: &str, operands: &[Node]) -> String {
    operands.iter().map(operand).collect::<Vec<_>>().join(&format!(" {operator} "))
}

fn member(of: &Node, name: &str) -> String {
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let of = operand(of);
    if is_word { format!("{of}.{name}") } else { format!("{of}['{name}']") }
}

fn call(function: Function, args: &[Node]) -> String {
    let style = FUNCTIONS.iter().find(|known| known.function == function).map(|known| known.style);
    match (style, args.split_first()) {
        (Some(Style::Method), Some((target, args))) => {
            format!("{}.{}({})", operand(target), function.as_str(), all(args))
        }
        _ => format!("{}({})", function.as_str(), all(args)),
    }
}

fn own(field: OwnField) -> String {
    let variable = match field {
        OwnField::Event(_) => "event",
        OwnField::Call(_) => "call",
    };
    let mut fields = types::own_fields(variable).into_iter().flatten();
    let name = fields.find(|(_, known, _)| *known == field).map_or("", |known| known.0);
    format!("{variable}.{name}")
}
