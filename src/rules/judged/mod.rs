//! The part of a rule that says what is judged, from as written to ready; each kind of rule in its own way.

use std::fmt::Write as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::diagnostic::{At, Diagnostic, Position};
use crate::rules::aggregate;
use crate::rules::checker::Scope;
use crate::rules::compile::Compiler;
use crate::rules::rule::{RuleKind, Valued, Watch};
use crate::rules::window::{Aggregate, Over};
use crate::rules::{KindSpec, LineSpec, RuleSpec, Shape, Want};

/// Bytes of the hash that [`crate::rules::RuleRef::digest`] shows.
const DIGEST_BYTES: usize = 8;

impl Compiler {
    /// What is told of an event, and of its series.
    pub(in crate::rules) fn judged(&mut self, name: &str, spec: &RuleSpec) -> Option<RuleKind> {
        let at = &spec.alert.position;
        let watch = match &spec.kind {
            KindSpec::Event { active_for, notify_expired, resolve_on } => {
                self.lasting(at, name, "active_for", Some(*active_for));
                let resolve_when = resolve_on.as_ref().and_then(|resolve| resolve.when.as_ref());
                let key = format!("{name}.resolve_on.when");
                let resolve_when = self.event_expression(resolve_when, &key, Want::Bool);
                let (active_for, notify_expired) = (*active_for, *notify_expired);
                return Some(RuleKind::Event { active_for, notify_expired, resolve_when });
            }
            KindSpec::Gauge { value, line, stale_after } => {
                self.lasting(at, name, "stale_after", *stale_after);
                let key = format!("{name}.value");
                let value = self.event_expression(Some(value), &key, Want::Number);
                let shape = Shape::Gauge { stale_after: *stale_after };
                let watch = value.map(|value| Watch::new(shape, Valued::Number(value)));
                self.line(name, watch, line)?
            }
            KindSpec::Window { over, value, line } => {
                let span = if let Over::Sliding(span) = over { Some(*span) } else { None };
                self.lasting(at, name, "over", span);
                let watch = self.window(name, over, value);
                self.line(name, watch, line)?
            }
            KindSpec::Absence { absent_for, active_time_intervals, hold } => {
                self.lasting(at, name, "absent_for", Some(*absent_for));
                if let Some((label, _)) = spec.by.first() {
                    let message = "an absence rule has one series for each account";
                    let key = format!("{name}.by");
                    self.problems.push(
                        Diagnostic::error(label.position.clone(), key, message)
                            .hint("leave out by"),
                    );
                }
                let shape = Shape::Absence { absent_for: *absent_for };
                let mut watch = Watch::new(shape, Valued::Event);
                watch.hold = *hold;
                watch.active_time_intervals.clone_from(active_time_intervals);
                watch
            }
        };
        Some(RuleKind::Series(Box::new(watch)))
    }

    fn window(&mut self, name: &str, over: &Over, value: &At<String>) -> Option<Watch> {
        let key = format!("{name}.value");
        let (aggregate, inner) = match aggregate::parse(&value.value) {
            Ok(parsed) => parsed,
            Err(problem) => {
                self.problems.push(Diagnostic { key, ..problem.inside(value) });
                return None;
            }
        };
        let inner = inner.map(|inner| At::new(inner, value.position.clone()));
        let want = if aggregate == Aggregate::Distinct { Want::Label } else { Want::Number };
        let valued = match (self.event_expression(inner.as_ref(), &key, want), want) {
            (Some(value), Want::Label) => Valued::Text(value),
            (Some(value), _) => Valued::Number(value),
            (None, _) if inner.is_some() => return None,
            (None, _) => Valued::Event,
        };
        Some(Watch::new(Shape::Window { over: over.clone(), aggregate }, valued))
    }

    /// Adds when it fires and ends; what is wrong there is noted even if there is no watch.
    fn line(&mut self, name: &str, watch: Option<Watch>, line: &LineSpec) -> Option<Watch> {
        let mut term = |key: &str, source: Option<&At<String>>| {
            self.expression(source, &format!("{name}.{key}"), Scope::LINE, Want::Bool)
        };
        let fire = term("fire", Some(&line.fire));
        let clear = term("clear", line.clear.as_ref());
        let mut watch = watch?;
        (watch.fire, watch.clear, watch.hold) = (fire, clear, line.hold);
        Some(watch)
    }

    fn lasting(&mut self, at: &Position, name: &str, key: &str, span: Option<Duration>) {
        if span.is_some_and(|span| span.is_zero()) {
            let message = match key {
                "active_for" => "an alert has to last".to_owned(),
                key => format!("{key} has to be longer than 0"),
            };
            self.error(at, &format!("{name}.{key}"), message);
        }
    }
}

/// See [`crate::rules::RuleRef::digest`].
pub(in crate::rules) fn digest(spec: &RuleSpec) -> String {
    let mut parts: Vec<String> = vec![match &spec.kind {
        KindSpec::Event { .. } => "event".to_owned(),
        KindSpec::Gauge { value, .. } => format!("gauge {}", value.value),
        KindSpec::Window { over, value, .. } => {
            let over = match over {
                Over::Sliding(span) => format!("{}ms", span.as_millis()),
                Over::Calendar(period, zone) => {
                    format!("{period:?} {}", zone.iana_name().unwrap_or_default())
                }
            };
            format!("window {over} {}", value.value)
        }
        KindSpec::Absence { .. } => "absence".to_owned(),
    }];
    parts.push(spec.when.as_ref().map_or_else(String::new, |when| format!("when {}", when.value)));
    parts.extend(spec.on.iter().map(|kind| kind.value.clone()));
    parts.push("by".to_owned());
    parts.extend(spec.by.iter().flat_map(|(name, text)| [name.value.clone(), text.value.clone()]));
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(format!("{}:", part.len()));
        hash.update(part);
    }
    hash.finalize().iter().take(DIGEST_BYTES).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests;
