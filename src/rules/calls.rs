//! The check of calls: functions, methods and the macros that loop.

use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use jiff::tz::TimeZone;
use regex::RegexBuilder;

use super::checker::{Checked, Checker, Flaw, node};
use super::functions::{self, FUNCTIONS, Signature, Style, TIME_PARTS};
use super::program::{Function, Loop, Macro, Node, Op, TimePart};
use super::suggest::did_you_mean;
use super::types::Type;
use super::values::Value;

/// How many macros (`exists`, `map`, …) may stand inside one another.
const MACROS_MAX: usize = 2;
/// Size of a compiled pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

const MACROS: &[(&str, Macro)] = &[
    ("all", Macro::All),
    ("exists", Macro::Exists),
    ("exists_one", Macro::ExistsOne),
    ("existsOne", Macro::ExistsOne),
    ("filter", Macro::Filter),
    ("map", Macro::Map),
];

impl Checker<'_> {
    /// `name(args)` or `target.name(args)`; `bracket` is where its opening bracket stands.
    pub(super) fn function(
        &mut self,
        bracket: usize,
        name: &str,
        target: Option<&IdedExpr>,
        args: &[IdedExpr],
    ) -> Checked {
        let at = self.name_offset(bracket, name);
        if let (Some(range), Some((_, kind))) = (target, find(MACROS, name)) {
            return self.looping(at, *kind, range, args);
        }
        if name == "matches" {
            let all: Vec<&IdedExpr> = target.into_iter().chain(args).collect();
            return self.matches(at, &all);
        }
        if let (Some(of), Some((_, part))) = (target, find(TIME_PARTS, name)) {
            return self.time_part(at, name, *part, of, args);
        }
        let style = if target.is_some() { Style::Method } else { Style::Global };
        let Some(known) = FUNCTIONS.iter().find(|known| known.function.as_str() == name) else {
            return Err(unknown(at, name));
        };
        if known.style != Style::Both && known.style != style {
            let right = if style == Style::Global { "x." } else { "" };
            return Err(Flaw::new(at, format!("`{name}` is not called like this"))
                .hint(format!("write {right}{name}(…)")));
        }
        let expected = known.takes.len() - usize::from(style == Style::Method);
        if args.len() != expected {
            return Err(count_flaw(at, name, &expected.to_string(), args.len()));
        }
        let mut nodes = Vec::with_capacity(known.takes.len());
        for (arg, takes) in target.into_iter().chain(args).zip(known.takes) {
            let (arg_node, of) = self.any(arg)?;
            if !of.may_be(takes) {
                let message = format!("`{name}` does not take {}", of.as_str());
                return Err(Flaw::new(self.start(arg), message));
            }
            nodes.push(arg_node);
        }
        literal_time(at, known, &nodes)
            .unwrap_or_else(|| Ok((node(at, Op::Call(known.function, nodes)), known.gives)))
    }

    fn looping(&mut self, at: usize, kind: Macro, range: &IdedExpr, args: &[IdedExpr]) -> Checked {
        let (variable, only_if, body) = match args {
            [variable, body] => (variable, None, body),
            [variable, only_if, body] if kind == Macro::Map => (variable, Some(only_if), body),
            _ => {
                let message = "a macro takes a name and an expression";
                return Err(Flaw::new(at, message).hint("payload.items.exists(item, item.x > 1)"));
            }
        };
        let name_at = self.offset(variable.id);
        let Expr::Ident(name) = &variable.expr else {
            return Err(Flaw::new(name_at, "a macro's first argument is a name of your choice")
                .hint("payload.items.exists(item, item.x > 1)"));
        };
        if self.scope.variables.contains(&name.as_str()) || self.locals.contains(name) {
            return Err(Flaw::new(name_at, format!("`{name}` already means something")));
        }
        if self.locals.len() >= MACROS_MAX {
            let message = format!("macros inside one another more than {MACROS_MAX} deep");
            return Err(Flaw::new(at, message));
        }
        let range_at = self.start(range);
        let (range, of) = self.any(range)?;
        if !of.may_be(&[Type::List, Type::Map]) {
            return Err(Flaw::new(range_at, format!("{} has no elements", of.as_str())));
        }
        self.locals.push(name.clone());
        let only_if = only_if.map(|only_if| self.boolean(only_if)).transpose()?;
        let body = match kind {
            Macro::Map => self.any(body)?.0,
            _ => self.boolean(body)?,
        };
        self.locals.pop();
        let of = if matches!(kind, Macro::Map | Macro::Filter) { Type::List } else { Type::Bool };
        Ok((node(at, Op::Macro(kind, Box::new(Loop { range, only_if, body }))), of))
    }

    /// `text.matches('pattern')`. The pattern is a literal, so that it is compiled once and its size is bounded.
    fn matches(&mut self, at: usize, args: &[&IdedExpr]) -> Checked {
        let [text, pattern] = args else {
            return Err(count_flaw(at, "matches", "1", args.len().saturating_sub(1)));
        };
        let text_at = self.start(text);
        let (text, of) = self.any(text)?;
        if !of.may_be(&[Type::Text]) {
            return Err(Flaw::new(text_at, format!("`matches` does not take {}", of.as_str())));
        }
        let pattern_at = self.start(pattern);
        let Expr::Literal(LiteralValue::String(pattern)) = &pattern.expr else {
            return Err(Flaw::new(
                pattern_at,
                "the pattern of `matches` has to be a text in quotes",
            ));
        };
        let regex = RegexBuilder::new(pattern.inner())
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|error| Flaw::new(pattern_at, pattern_message(&error)))?;
        Ok((node(at, Op::Matches(Box::new(text), Box::new(regex))), Type::Bool))
    }

    /// `event.received_at.getHours('Europe/Berlin')`
    fn time_part(
        &mut self,
        at: usize,
        name: &str,
        part: TimePart,
        of: &IdedExpr,
        args: &[IdedExpr],
    ) -> Checked {
        let spans = matches!(
            part,
            TimePart::Hours | TimePart::Minutes | TimePart::Seconds | TimePart::Milliseconds
        );
        let takes: &[Type] =
            if spans && args.is_empty() { &[Type::Time, Type::Span] } else { &[Type::Time] };
        let (value, value_type) = self.any(of)?;
        if !value_type.may_be(takes) {
            let message = format!("`{name}` does not take {}", value_type.as_str());
            return Err(Flaw::new(self.start(of), message));
        }
        let zone = match args {
            [] => TimeZone::UTC,
            [zone] => {
                let zone_at = self.start(zone);
                let Expr::Literal(LiteralValue::String(zone)) = &zone.expr else {
                    return Err(Flaw::new(zone_at, "the time zone has to be a text in quotes"));
                };
                let zone = zone.inner();
                functions::time_zone(zone).ok_or_else(|| {
                    Flaw::new(zone_at, format!("unknown time zone `{zone}`"))
                        .hint("a name such as Europe/Berlin, or an offset such as -05:00")
                })?
            }
            _ => return Err(count_flaw(at, name, "at most 1", args.len())),
        };
        Ok((node(at, Op::TimePart(part, Box::new(value), zone)), Type::Int))
    }
}

/// `timestamp('…')` and `duration('…')` of a literal are computed at load, so that a wrong one is found.
fn literal_time(at: usize, known: &Signature, args: &[Node]) -> Option<Checked> {
    let [Node { op: Op::Text(text), at: text_at }] = args else {
        return None;
    };
    if !matches!(known.function, Function::ToTime | Function::ToSpan) {
        return None;
    }
    Some(match functions::call(known.function, &[Value::Text(text.as_ref().into())]) {
        Ok(Value::Time(time)) => Ok((node(at, Op::Time(time)), Type::Time)),
        Ok(Value::Span(span)) => Ok((node(at, Op::Span(span)), Type::Span)),
        _ => {
            let hint = match known.function {
                Function::ToTime => "timestamp('2026-01-31T12:00:00Z')",
                _ => "duration('1h30m')",
            };
            let message = format!("not a {}: `{text}`", known.function.as_str());
            Err(Flaw::new(*text_at as usize, message).hint(hint))
        }
    })
}

fn find<'t, T>(table: &'t [(&str, T)], name: &str) -> Option<&'t (&'t str, T)> {
    table.iter().find(|(known, _)| *known == name)
}

fn unknown(at: usize, name: &str) -> Flaw {
    let names = FUNCTIONS
        .iter()
        .map(|known| known.function.as_str())
        .chain(MACROS.iter().map(|(known, _)| *known))
        .chain(TIME_PARTS.iter().map(|(known, _)| *known))
        .chain(["has", "matches"]);
    let flaw = Flaw::new(at, format!("unknown function `{name}`"));
    match did_you_mean(name, names) {
        Some(hint) => flaw.hint(hint),
        None => flaw,
    }
}

fn count_flaw(at: usize, name: &str, expected: &str, found: usize) -> Flaw {
    Flaw::new(at, format!("`{name}` takes {expected} arguments, not {found}"))
}

/// The crate's text is several lines with a drawing; the last line says what it is.
fn pattern_message(error: &regex::Error) -> String {
    let words = error.to_string();
    let last = words.lines().last().unwrap_or_default();
    format!("bad pattern: {}", last.trim_start_matches("error: "))
}
