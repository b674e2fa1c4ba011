//! The check of calls: functions, methods and the macros that loop.

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::checker::{CheckedPart, Checker, node};
use super::functions::{self, FUNCTIONS, Signature, Style, TIME_PARTS};
use super::program::{Function, IsNew, Loop, Macro, Node, Op, Pattern, TimePart};
use super::suggest::did_you_mean;
use super::syntax::{Expr, ExprKind};
use super::time;
use super::types::Type;
use super::values::Value;
use crate::diagnostic::TextDiagnostic;
use crate::re2;

/// How many macros (`exists`, `map`, …) may stand inside one another.
const MACROS_MAX: usize = 4;

/// The function that remembers.
const IS_NEW: &str = "is_new";
const IS_NEW_EXAMPLE: &str = "is_new(call.country, duration('30d'))";
/// How often `is_new` may stand in an expression.
pub const NEWS_MAX: usize = 4;
/// Within which times a value may be new.
const IS_NEW_WITHIN: [SignedDuration; 2] =
    [SignedDuration::from_hours(1), SignedDuration::from_hours(366 * 24)];

const MACRO_EXAMPLE: &str = "payload.items.exists(item, item.x > 1)";
const MACROS: &[(&str, Macro)] = &[
    ("all", Macro::All),
    ("exists", Macro::Exists),
    ("exists_one", Macro::ExistsOne),
    ("existsOne", Macro::ExistsOne),
    ("filter", Macro::Filter),
    ("map", Macro::Map),
    ("transformList", Macro::TransformList),
    ("transformMap", Macro::TransformMap),
];

impl Checker {
    /// `name(args)` or `target.name(args)`; `at` is where the name stands.
    pub(super) fn function(
        &mut self,
        at: usize,
        name: &str,
        target: Option<&Expr>,
        args: &[Expr],
    ) -> CheckedPart {
        if let (Some(range), Some((_, kind))) = (target, find(MACROS, name)) {
            return self.looping(at, *kind, range, args);
        }
        if name == "matches" {
            let all: Vec<&Expr> = target.into_iter().chain(args).collect();
            return self.matches(at, &all);
        }
        if name == IS_NEW && target.is_none() {
            return self.is_new(at, args);
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
            return Err(TextDiagnostic::new(at, format!("`{name}` is not called like this"))
                .hint(format!("write {right}{name}(…)")));
        }
        let expected = known.takes.len() - usize::from(style == Style::Method);
        if args.len() != expected {
            return Err(count_problem(at, name, &expected.to_string(), args.len()));
        }
        let mut nodes = Vec::with_capacity(known.takes.len());
        for (arg, takes) in target.into_iter().chain(args).zip(known.takes) {
            let (arg_node, of) = self.any(arg)?;
            if !of.may_be(takes) {
                let message = format!("`{name}` does not take {}", of.as_str());
                return Err(TextDiagnostic::new(arg.start, message));
            }
            nodes.push(arg_node);
        }
        literal_time(at, known, &nodes)
            .unwrap_or_else(|| Ok((node(at, Op::Call(known.function, nodes)), known.gives)))
    }

    fn looping(&mut self, at: usize, kind: Macro, range: &Expr, args: &[Expr]) -> CheckedPart {
        let transforms = matches!(kind, Macro::TransformList | Macro::TransformMap);
        let (names, only_if, body): (&[Expr], _, _) = match args {
            [name, body] if !transforms => (std::slice::from_ref(name), None, body),
            [name, only_if, body] if kind == Macro::Map => {
                (std::slice::from_ref(name), Some(only_if), body)
            }
            [names @ .., body]
                if names.len() == 2 && !matches!(kind, Macro::Map | Macro::Filter) =>
            {
                (names, None, body)
            }
            [names @ .., only_if, body] if names.len() == 2 && transforms => {
                (names, Some(only_if), body)
            }
            _ => {
                let message = "a macro takes a name and an expression";
                return Err(TextDiagnostic::new(at, message).hint(MACRO_EXAMPLE));
            }
        };
        let names = names.iter().map(|name| self.local_name(name));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        if let [first, second] = names.as_slice()
            && first == second
        {
            let second_at = args.get(1).map_or(at, |second| second.at);
            let message = format!("`{second}` already means something");
            return Err(TextDiagnostic::new(second_at, message));
        }
        if self.macros >= MACROS_MAX {
            let message = format!("macros inside one another more than {MACROS_MAX} deep");
            return Err(TextDiagnostic::new(at, message));
        }
        let range_at = range.start;
        let (range, of) = self.any(range)?;
        if !of.may_be(&[Type::List, Type::Map]) {
            return Err(TextDiagnostic::new(range_at, format!("{} has no elements", of.as_str())));
        }
        let outer = self.locals.len();
        let is_keyed = names.len() == 2;
        self.locals.extend(names);
        self.macros += 1;
        let only_if = only_if.map(|only_if| self.boolean(only_if)).transpose()?;
        let body = match kind {
            Macro::Map | Macro::TransformList | Macro::TransformMap => self.any(body)?.0,
            _ => self.boolean(body)?,
        };
        self.macros -= 1;
        self.locals.truncate(outer);
        let of = match kind {
            Macro::Map | Macro::Filter | Macro::TransformList => Type::List,
            Macro::TransformMap => Type::Map,
            Macro::All | Macro::Exists | Macro::ExistsOne => Type::Bool,
        };
        let parts = Loop { range, is_keyed, only_if, body };
        Ok((node(at, Op::Macro(kind, Box::new(parts))), of))
    }

    /// A name that a macro gives to what it visits. It may be that of a macro around, which it hides.
    fn local_name(&self, name: &Expr) -> Result<String, TextDiagnostic> {
        let ExprKind::Ident(text, false) = &name.kind else {
            let message = "a macro's first argument is a name of your choice";
            return Err(TextDiagnostic::new(name.at, message).hint(MACRO_EXAMPLE));
        };
        if self.scope.variables.contains(&text.as_str()) {
            let message = format!("`{text}` already means something");
            return Err(TextDiagnostic::new(name.at, message));
        }
        Ok(text.clone())
    }

    /// `text.matches('pattern')`. The pattern is a literal, so that it is compiled once and its size is bounded.
    fn matches(&mut self, at: usize, args: &[&Expr]) -> CheckedPart {
        let [text, pattern] = args else {
            return Err(count_problem(at, "matches", "1", args.len().saturating_sub(1)));
        };
        let text_at = text.start;
        let (text, of) = self.any(text)?;
        if !of.may_be(&[Type::String]) {
            let message = format!("`matches` does not take {}", of.as_str());
            return Err(TextDiagnostic::new(text_at, message));
        }
        let ExprKind::String(source) = &pattern.kind else {
            let message = "the pattern of `matches` has to be a text in quotes";
            return Err(TextDiagnostic::new(pattern.start, message));
        };
        let regex = re2::compile(source).map_err(|message| {
            TextDiagnostic::new(pattern.start, format!("bad pattern: {message}"))
        })?;
        let pattern = Pattern { source: source.as_str().into(), regex };
        Ok((node(at, Op::Matches(Box::new(text), Box::new(pattern))), Type::Bool))
    }

    /// `is_new(call.country, duration('30d'))`
    fn is_new(&mut self, at: usize, args: &[Expr]) -> CheckedPart {
        let wrong =
            |at: usize, message: &str| Err(TextDiagnostic::new(at, message).hint(IS_NEW_EXAMPLE));
        if !self.scope.remembers {
            return wrong(at, "`is_new` is there in the `when` of rules only");
        }
        let [of, within] = args else {
            return Err(count_problem(at, IS_NEW, "2", args.len()));
        };
        if self.macros > 0 || self.uses.news >= NEWS_MAX {
            return wrong(at, "`is_new` does not stand in a macro, and at most 4 times in a rule");
        }
        let (site, of_at) = (self.uses.news, of.start);
        self.uses.news += 1;
        let (of, kind) = self.any(of)?;
        if self.uses.news > site + 1 {
            return wrong(at, "`is_new` does not stand in another");
        }
        if !kind.may_be(&[Type::String, Type::Int, Type::Uint, Type::Double, Type::Bool]) {
            let message = format!("`{IS_NEW}` does not take {}", kind.as_str());
            return Err(TextDiagnostic::new(of_at, message));
        }
        let within_at = within.start;
        let Some(within) = literal_duration(within) else {
            return wrong(within_at, "expected duration('…') with a text in quotes");
        };
        if !(IS_NEW_WITHIN[0]..=IS_NEW_WITHIN[1]).contains(&within) {
            return wrong(within_at, "must be between 1h and 366d");
        }
        Ok((node(at, Op::IsNew(Box::new(IsNew { site, of, within }))), Type::Bool))
    }

    /// `event.received_at.getHours('Europe/Berlin')`
    fn time_part(
        &mut self,
        at: usize,
        name: &str,
        part: TimePart,
        of: &Expr,
        args: &[Expr],
    ) -> CheckedPart {
        let parts_of_duration = matches!(
            part,
            TimePart::Hours | TimePart::Minutes | TimePart::Seconds | TimePart::Milliseconds
        );
        let takes: &[Type] = if parts_of_duration && args.is_empty() {
            &[Type::Timestamp, Type::Duration]
        } else {
            &[Type::Timestamp]
        };
        let (value, value_type) = self.any(of)?;
        if !value_type.may_be(takes) {
            let message = format!("`{name}` does not take {}", value_type.as_str());
            return Err(TextDiagnostic::new(of.start, message));
        }
        let zone = match args {
            [] => TimeZone::UTC,
            [zone] => {
                let zone_at = zone.start;
                let ExprKind::String(zone) = &zone.kind else {
                    return Err(TextDiagnostic::new(
                        zone_at,
                        "the time zone has to be a text in quotes",
                    ));
                };
                time::zone(zone).ok_or_else(|| {
                    TextDiagnostic::new(zone_at, format!("unknown time zone `{zone}`"))
                        .hint("a name such as Europe/Berlin, or an offset such as -05:00")
                })?
            }
            _ => return Err(count_problem(at, name, "at most 1", args.len())),
        };
        Ok((node(at, Op::TimePart(part, Box::new(value), zone)), Type::Int))
    }
}

/// A duration that is written out. CEL's know no days; here 30d and 4w are meant as in the configuration.
fn literal_duration(expression: &Expr) -> Option<SignedDuration> {
    let ExprKind::Call(None, name, args) = &expression.kind else { return None };
    let [Expr { kind: ExprKind::String(text), .. }] = args.as_slice() else { return None };
    let whole = |unit: char, hours: i64| {
        let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(hours).and_then(SignedDuration::try_from_hours)
    };
    let days = whole('d', 24).or_else(|| whole('w', 168));
    (name == "duration").then(|| days.or_else(|| time::duration(text)))?
}

/// `timestamp('…')` and `duration('…')` of a literal are computed at load, so that a wrong one is found.
fn literal_time(at: usize, known: &Signature, args: &[Node]) -> Option<CheckedPart> {
    let [Node { op: Op::String(text), at: text_at }] = args else {
        return None;
    };
    if !matches!(known.function, Function::ToTimestamp | Function::ToDuration) {
        return None;
    }
    Some(match functions::call(known.function, &[Value::text(text)]) {
        Ok(Value::Timestamp(timestamp)) => {
            Ok((node(at, Op::Timestamp(timestamp)), Type::Timestamp))
        }
        Ok(Value::Duration(duration)) => Ok((node(at, Op::Duration(duration)), Type::Duration)),
        _ => {
            let hint = match known.function {
                Function::ToTimestamp => "timestamp('2026-01-31T12:00:00Z')",
                _ => "duration('1h30m')",
            };
            let message = format!("not a {}: `{text}`", known.function.as_str());
            Err(TextDiagnostic::new(*text_at as usize, message).hint(hint))
        }
    })
}

fn find<'t, T>(table: &'t [(&str, T)], name: &str) -> Option<&'t (&'t str, T)> {
    table.iter().find(|(known, _)| *known == name)
}

fn unknown(at: usize, name: &str) -> TextDiagnostic {
    let names = FUNCTIONS
        .iter()
        .map(|known| known.function.as_str())
        .chain(MACROS.iter().map(|(known, _)| *known))
        .chain(TIME_PARTS.iter().map(|(known, _)| *known))
        .chain(["has", "matches", IS_NEW]);
    let problem = TextDiagnostic::new(at, format!("unknown function `{name}`"));
    match did_you_mean(name, names) {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

fn count_problem(at: usize, name: &str, expected: &str, found: usize) -> TextDiagnostic {
    TextDiagnostic::new(at, format!("`{name}` takes {expected} arguments, not {found}"))
}
