//! One CEL expression: bounded, checked and compiled at load, run at each event.
//!
//! Parsed by [`super::syntax`], checked by [`super::checker`], run by [`super::eval`]. Promises: no source aborts the
//! process or panics, no run takes more than a few milliseconds, and what is wrong is said with its place and without a
//! payload value.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use super::checker::{self, Scope, Uses};
use super::eval;
use super::inputs::Inputs;
use super::number;
use super::operate::{Cause, Fault};
use super::program::Node;
use super::types::Type;
use super::values::{self, Value, ValueKind};
use super::{Failure, FailureReason, syntax};
use crate::diagnostic::{At, Diagnostic, Position, TextDiagnostic, line_and_column};

/// Bytes of the hash at the end of a label value that was cut.
const LABEL_HASH_BYTES: usize = 8;
/// Longest label value, in bytes; more is cut.
pub(super) const LABEL_BYTES_MAX: usize = 1024;

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Expression {
    program: Arc<Program>,
    origin: Position,
}

/// What an expression has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Want {
    /// `bool`, for `when`.
    Bool,
    /// `string`, `int`, `double` or `bool`, for a label value.
    Label,
    /// `int`, `double` or decimal text, for a value.
    Number,
}

impl Expression {
    /// Compiles and checks an expression; the problem has the place and no key.
    pub fn compile(source: &At<String>, scope: Scope, want: Want) -> Result<Self, Diagnostic> {
        let program = Program::new(&source.value, scope, want);
        Self::from_program(source, program.map(Arc::new))
    }

    /// Takes a program that was made of the same source; what is wrong with it gets this place.
    pub(super) fn from_program(
        source: &At<String>,
        program: Result<Arc<Program>, TextDiagnostic>,
    ) -> Result<Self, Diagnostic> {
        match program {
            Ok(program) => Ok(Self { program, origin: source.position.clone() }),
            Err(problem) => Err(problem.inside(source)),
        }
    }

    /// Whether it holds.
    pub fn holds(&self, inputs: Inputs<'_>) -> Result<bool, Failure> {
        match self.run(inputs)? {
            Value::Bool(flag) => Ok(flag),
            other => Err(self.wrong_result(&other)),
        }
    }

    /// The value as a label; `None` when a field that it needs is missing.
    pub fn label(&self, inputs: Inputs<'_>) -> Result<Option<String>, Failure> {
        match self.bounded_text(inputs) {
            Err(failure) if failure.reason == FailureReason::MissingField => Ok(None),
            text => text,
        }
    }

    /// The value as a text of bounded length; `None` when it is null.
    pub fn text(&self, inputs: Inputs<'_>) -> Result<Option<String>, Failure> {
        if number::is_null(&self.program.root, inputs) {
            return Ok(None);
        }
        self.bounded_text(inputs)
    }

    fn bounded_text(&self, inputs: Inputs<'_>) -> Result<Option<String>, Failure> {
        let mut text = match self.run(inputs)? {
            Value::Null => return Ok(None),
            Value::String(text) => text.into_owned(),
            other => match values::as_label(&other) {
                Some(text) => text.into_owned(),
                None => return Err(self.wrong_result(&other)),
            },
        };
        if text.len() > LABEL_BYTES_MAX {
            // Two long values that begin alike stay two alerts.
            let hash = Sha256::digest(&text);
            text.truncate(text.floor_char_boundary(LABEL_BYTES_MAX - 2 * LABEL_HASH_BYTES - 1));
            text.push('~');
            for byte in hash.iter().take(LABEL_HASH_BYTES) {
                write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            }
        }
        Ok(Some(text))
    }

    /// The value as an exact number; `None` when it is null. What stands in the event is read from its source text,
    /// what is computed is a double and becomes the shortest decimal that reads back as the same double.
    pub fn number(&self, inputs: Inputs<'_>) -> Result<Option<Decimal>, Failure> {
        number::run(&self.program.root, inputs, self.program.want.as_str())
            .map_err(|fault| self.failure(fault))
    }

    /// What it looks at.
    pub(super) fn uses(&self) -> Uses {
        self.program.uses
    }

    /// As written.
    pub(super) fn source(&self) -> &str {
        &self.program.source
    }

    /// Where it stands.
    pub(super) fn origin(&self) -> &Position {
        &self.origin
    }

    /// Its checked form.
    pub(super) fn root(&self) -> &Node {
        &self.program.root
    }

    fn run<'a>(&'a self, inputs: Inputs<'a>) -> Result<Value<'a>, Failure> {
        eval::run(&self.program.root, inputs).map_err(|fault| self.failure(fault))
    }

    fn failure(&self, Fault { at, cause }: Fault<'_>) -> Failure {
        let source = At::new(self.program.source.as_ref(), self.origin.clone());
        let (line, column) = line_and_column(source.value, at as usize);
        Failure {
            reason: cause.reason(),
            detail: format!("{}: {cause}", source.inside(line, column)),
        }
    }

    fn wrong_result(&self, value: &Value<'_>) -> Failure {
        let cause = match value.kind() {
            ValueKind::Null => Cause::Null,
            kind => Cause::Result(self.program.want.as_str(), kind),
        };
        self.failure(Fault { at: self.program.root.at, cause })
    }
}

impl Want {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Label => "string, number or bool",
            Self::Number => "a number or decimal text",
        }
    }
}

/// A checked expression without its place in a file, to be shared by rules that say the same.
#[derive(Debug)]
pub(super) struct Program {
    source: Box<str>,
    root: Node,
    want: Want,
    uses: Uses,
}

impl Program {
    pub(super) fn new(source: &str, scope: Scope, want: Want) -> Result<Self, TextDiagnostic> {
        let (root, of, uses) = checker::check(scope, &syntax::parse(source)?)?;
        let takes: &[Type] = match want {
            Want::Bool => &[Type::Bool],
            Want::Label => {
                &[Type::String, Type::Int, Type::Uint, Type::Double, Type::Bool, Type::Null]
            }
            Want::Number => &[Type::Int, Type::Uint, Type::Double, Type::Null],
        };
        if of.may_be(takes) {
            return Ok(Self { source: source.into(), root, want, uses });
        }
        let message = format!("expected {}, found {}", want.as_str(), of.as_str());
        let problem = TextDiagnostic::new(0, message);
        Err(match (want, of) {
            (Want::Label, Type::Timestamp | Type::Duration | Type::Bytes) => {
                problem.hint("write string(…)")
            }
            (Want::Number, Type::String) => problem.hint("write num(…)"),
            (Want::Number, Type::Timestamp | Type::Duration) => {
                problem.hint("write double(int(…))")
            }
            _ => problem,
        })
    }
}

impl Cause<'_> {
    fn reason(self) -> FailureReason {
        match self {
            Self::NoField(_) | Self::NoElement | Self::Null => FailureReason::MissingField,
            Self::OneType(..)
            | Self::TwoTypes(..)
            | Self::Content(_)
            | Self::Result(..)
            | Self::NoDecimal => FailureReason::Type,
            Self::SameKey | Self::DivisionByZero | Self::Overflow | Self::TooMuchWork => {
                FailureReason::Other
            }
        }
    }
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoField(name) => write!(f, "no field `{name}`"),
            Self::NoElement => f.write_str("no element at this index"),
            Self::Null => f.write_str("a value is null"),
            Self::OneType(".", kind) => write!(f, "{} has no fields", kind.as_str()),
            Self::OneType(name, kind) => write!(f, "`{name}` does not take {}", kind.as_str()),
            Self::TwoTypes(name, a, b) => {
                write!(f, "`{name}` does not take {} and {}", a.as_str(), b.as_str())
            }
            Self::Content(name) => write!(f, "`{name}` cannot read this value"),
            Self::Result(want, kind) => write!(f, "expected {want}, found {}", kind.as_str()),
            Self::NoDecimal => f.write_str("no decimal number that can be kept exactly"),
            Self::SameKey => f.write_str("a map has a key twice"),
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::Overflow => f.write_str("a result is out of range"),
            Self::TooMuchWork => f.write_str("too much work for one event"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::event::Event;

    fn compile(source: &str, want: Want) -> Result<Expression, Diagnostic> {
        let at = At::new(source.to_owned(), Position::new("rules.yaml", 10, 20));
        Expression::compile(&at, Scope::EVENT, want)
    }

    fn event(payload: Json) -> Event {
        let at = "2026-01-31T22:30:05.250Z".parse().expect("a time");
        let mut event = Event::tollbell("call.cost", "main", "e1".to_owned(), at, payload);
        event.cost = Some("0.0106".parse().expect("a decimal"));
        event
    }

    /// A number of more digits than a float has.
    fn number(text: &str) -> Json {
        serde_json::from_str(text).expect("json")
    }

    fn payload() -> Json {
        json!({
            "status": "success", "total_cost": "0.0106", "n": 7, "d": 2.5, "big": 1_000_000, "flag": true,
            "none": null, "a-b": "dash", "list": [1, 2, 3], "names": ["ann", "bob"], "holes": [null, 4],
            "parts": [{"call_part": "sip", "cost": "0.0050"}, {"call_part": "rec", "cost": "0.0018"}],
            "m": {"x": 1, "y": null}, "at": "2026-01-31T00:00:00Z",
            "long": number("1234567890123456.78"), "minus": number("-1e999"),
            "huge": number("12345678901234567890"), "huger": number("12345678901234567891"),
        })
    }

    /// `true`, `false`, or the reason and the words of the failure.
    fn run(source: &str) -> String {
        let expression = compile(source, Want::Bool).unwrap_or_else(|p| panic!("{source}: {p}"));
        let event = event(payload());
        match expression.holds(Inputs::of(&event)) {
            Ok(flag) => flag.to_string(),
            Err(Failure { reason, detail }) => format!("{} {detail}", reason.as_str()),
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn expressions_that_hold() {
        for source in [
            "true",
            "event.kind == 'call.cost' && event.product == \"voice\" && event.account != ''",
            "event.source == 'tollbell' && event.type == event.kind",
            "event.cost > 0.01 && event.cost <= 0.0106 && has(event.cost)",
            "event.occurred_at == timestamp('2026-01-31T22:30:05.25Z')",
            "event.received_at - event.occurred_at < duration('1h30m')",
            "event.occurred_at + duration('2h') > timestamp('2026-02-01T00:30:00Z')",
            "event.occurred_at.getFullYear() == 2026 && event.occurred_at.getMonth() == 0",
            "event.occurred_at.getHours() == 22 && event.occurred_at.getHours('Europe/Berlin') == 23",
            "event.occurred_at.getHours('-05:30') == 17 && event.occurred_at.getDayOfWeek() == 6",
            "event.occurred_at.getDate() == 31 && event.occurred_at.getDayOfMonth() == 30",
            "event.occurred_at.getMilliseconds() == 250 && duration('90m').getMinutes() == 90",
            "timestamp(payload.at).getDayOfYear() == 30 && int(event.occurred_at) > 1700000000",
            "payload.n == 7 && payload.n == 7.0 && payload.n < 7.5 && payload.d > 2 && 2 in payload.list",
            "payload.n + 1 == 8 && payload.n / 2 == 3 && payload.n % 4 == 3 && -payload.n == -7",
            "payload.d * 2.0 == 5.0 && payload.status + '!' == 'success!' && 1 - 2 == -1",
            "num(payload.total_cost) == 0.0106 && num(payload.n) == 7.0 && num('-12.50') < 0.0",
            "payload['a-b'] == 'dash' && payload[payload.status + ''] == 1 || true",
            "payload.list[0] == 1 && payload.parts[1].call_part == 'rec' && payload.list == [1, 2.0, 3]",
            "has(payload.status) && !has(payload.nope) && !has(payload.none) && !has(payload.m.y)",
            "has(payload['a-b']) && 'x' in payload.m && !('y' in payload.m) && !('q' in payload)",
            "payload.status in ['success', 'error'] && !(payload.n in []) && payload.m == payload.m",
            "payload.status.startsWith('suc') && payload.status.endsWith('ess') && payload.status.contains('cc')",
            "payload.status.matches('^s[a-z]+$') && matches(payload.status, 'u.c') && size(payload.list) == 3",
            "payload.status.size() == 7 && size('öl') == 2 && size(payload.m) == 1 && payload.names.size() == 2",
            "payload.status.prefix(4) == 'succ' && prefix('öl', 1) == 'ö' && prefix('öl', 9) == 'öl'",
            "prefix(payload.status + '!', 8) == 'success!' && ''.prefix(3) == '' && 'a'.prefix(0) == ''",
            "payload.parts.exists(p, p.call_part == 'sip' && num(p.cost) >= 0.005)",
            "payload.parts.all(p, num(p.cost) < 1.0) && payload.list.exists_one(x, x > 2)",
            "payload.list.filter(x, x > 1).map(x, x * 2) == [4, 6] && payload.m.exists(key, key == 'x')",
            "payload.list.map(x, x > 1, x * 10) == [20, 30] && [1] + payload.list == [1, 1, 2, 3]",
            "payload.parts.exists(p, payload.names.all(n, n != p.call_part))",
            "payload.holes.exists(x, x == 4) && size(payload.holes) == 2",
            "(payload.flag ? payload.n : 0) == 7 && (payload.n > 9 ? 'a' : 'b') == 'b'",
            "string(payload.n) == '7' && string(2.5) == '2.5' && string(true) == 'true' && int('12') == 12",
            "string(event.occurred_at) == '2026-01-31T22:30:05.25Z' && string(duration('1h')) == '3600s'",
            "double(payload.n) == 7.0 && int(2.9) == 2 && bool('true') && double('1e3') == 1000.0",
            // Faults that `||`, `&&` and the macros absorb.
            "payload.nope == 1 || true",
            "true || payload.nope == 1",
            "!(payload.nope == 1 && false)",
            "!(false && payload.nope > 1)",
            "payload.list.exists(x, x == 3 || x.nope)",
            "!payload.list.all(x, x == 1 ? x.nope : false)",
            // Null, types, unsigned numbers, bytes and maps.
            "payload.nope == null && payload.none == null && payload.n != null && payload.m.y == null",
            "null == null && payload.holes[0] == null && payload.nope.x == null && !(payload.n == null)",
            "payload.holes.exists(x, x == null) && null in payload.holes && !(null in payload.list)",
            "type(payload.n) == int && type(1.5) == double && type(1u) == uint && type(b'') == bytes",
            "type([null][0]) == null_type && type(type(1)) == type && type(event.cost) == double && int != uint",
            "type(event.occurred_at) == google.protobuf.Timestamp && type(payload.m) == map && type([]) == list",
            "payload.n == 7u && 7u in payload.list.map(x, x + 6) && 2u * 3u == 6u && uint(payload.n) > 6u",
            "b'ab' + b'c' == bytes('abc') && string(b'abc') == 'abc' && size(b'é') == 2 && b'a' < b'b'",
            "{'a': 1, 2: 'b'}[2u] == 'b' && {'a': 1}.a == 1 && 'a' in {'a': 1} && {'a': 1} == {'a': 1.0}",
            "{'x': 1} == payload.m && size({}) == 0 && {true: 1}[true] == 1 && has({'a': 1}.a)",
            "payload.list[1.0] == 2 && payload.list[1u] == 2 && dyn(payload.n) == 7 && payload.`a-b` == 'dash'",
            "payload.list.exists(i, x, i == 1 && x == 2) && payload.m.all(key, x, key == 'x' && x == 1)",
            "payload.list.transformList(i, x, i + x) == [1, 3, 5] && payload.names.existsOne(i, n, i == 0)",
            "payload.m.transformMap(k, v, v + 1) == {'x': 2} && [4].transformMap(i, x, x == 4, x) == {0: 4}",
            "payload.list.exists(map, map == 2) && payload.list.all(size, size(payload.list) >= size)",
            "payload.list.exists(x, payload.names.exists(x, x == 'bob')) && .payload.n == 7",
            // Numbers as they were written, not as the nearest float.
            "payload.long > 1234567890123456.7 && payload.long == 1234567890123456.78 && payload.huge != payload.huger",
            "num(' 7.10 ') == 7.1 && num(payload.total_cost) == 0.0106 && event.cost == 0.0106 && event.cost < 0.01060000000000001",
            "payload.huge == 12345678901234567890.0 && payload.minus < -1e308 && string(payload.huge) == '12345678901234567890'",
            "string(6.02214e23) == '6.02214e+23' && string(2.50) == '2.5' && string(1e-9 * 1.0) == '1e-9'",
            // Times.
            "timestamp('9999-12-31T23:59:59Z') > event.occurred_at && int(timestamp('1969-12-31T23:59:59.5Z')) == -1",
            "duration('1.5h30m') == duration('2h') && duration('0') < duration('.5s') && string(duration('-1.25s')) == '-1.25s'",
            "duration('1.234s').getMilliseconds() == 234 && duration('1.234s').getSeconds() == 1",
            "// a comment\n  payload.n == 7 // another",
            "payload.\nn == 7",
        ] {
            assert_eq!(run(source), "true", "{source}");
        }
    }

    #[test]
    fn faults_name_the_place_and_no_value() {
        for (source, want) in [
            ("payload.nope == 1", "missing_field rules.yaml:10:28: no field `nope`"),
            ("payload.none == 1", "missing_field rules.yaml:10:28: no field `none`"),
            ("payload.m.y > 1", "missing_field rules.yaml:10:30: no field `y`"),
            ("has(payload.nope.x)", "missing_field rules.yaml:10:32: no field `nope`"),
            ("payload.list[9] == 1", "missing_field rules.yaml:10:32: no element at this index"),
            ("payload.holes[0] == 1", "missing_field rules.yaml:10:33: no element at this index"),
            (
                "payload[payload.status] == 1",
                "missing_field rules.yaml:10:27: no element at this index",
            ),
            ("num(payload.nope) > 1.0", "missing_field rules.yaml:10:32: no field `nope`"),
            ("payload.holes.all(x, x > 1)", "missing_field rules.yaml:10:43: a value is null"),
            ("payload.status > 5", "type rules.yaml:10:35: `>` does not take string and int"),
            (
                "payload.n + payload.d > 1.0",
                "type rules.yaml:10:30: `+` does not take int and double",
            ),
            ("payload.status", "type rules.yaml:10:28: expected bool, found string"),
            ("payload.n.x == 1", "type rules.yaml:10:30: int has no fields"),
            ("num(payload.status) > 1.0", "type rules.yaml:10:20: `num` cannot read this value"),
            ("num(payload.flag) > 1.0", "type rules.yaml:10:20: `num` does not take bool"),
            ("num('1e3') > 1.0", "type rules.yaml:10:20: `num` cannot read this value"),
            ("int(payload.status) > 1", "type rules.yaml:10:20: `int` cannot read this value"),
            (
                "payload.status.prefix(-1) == ''",
                "type rules.yaml:10:35: `prefix` cannot read this value",
            ),
            ("prefix(payload.n, 2) == '7'", "type rules.yaml:10:20: `prefix` does not take int"),
            ("!payload.status", "type rules.yaml:10:29: `!` does not take string"),
            ("payload.n && true", "type rules.yaml:10:28: `&&` does not take int"),
            ("payload.status.exists(x, x)", "type rules.yaml:10:35: `exists` does not take string"),
            ("{payload.n: 1, 7: 2} == {}", "other rules.yaml:10:20: a map has a key twice"),
            ("{payload.d: 1} == {}", "type rules.yaml:10:20: `{}` does not take double"),
            ("{'a': 1}.b == 1", "missing_field rules.yaml:10:29: no field `b`"),
            ("payload.list[1.5] == 1", "missing_field rules.yaml:10:32: no element at this index"),
            (
                "payload.n == 7 ? payload.none < 1 : true",
                "missing_field rules.yaml:10:45: no field `none`",
            ),
            ("1u - 2u == 0u", "other rules.yaml:10:23: a result is out of range"),
            (
                "timestamp('0001-01-01T00:00:00Z') - duration('1ns') < event.occurred_at",
                "other rules.yaml:10:54: a result is out of range",
            ),
            ("payload.n / 0 == 1", "other rules.yaml:10:30: division by zero"),
            (
                "payload.n * 9223372036854775807 > 0",
                "other rules.yaml:10:30: a result is out of range",
            ),
            (
                "event.kind == 'x' ||\n payload.nope",
                "missing_field rules.yaml:11:29: no field `nope`",
            ),
        ] {
            assert_eq!(run(source), want, "{source}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn what_can_be_wrong_before_any_event_is_found_with_its_place() {
        for (source, column, message, hint) in [
            // names
            ("evnt.kind == 'x'", 1, "unknown variable `evnt`", "did you mean `event`?"),
            (
                "true && value > 1",
                9,
                "unknown variable `value`",
                "known here: event, payload, call",
            ),
            ("call.form == 'x'", 6, "`call` has no field `form`", "did you mean `from`?"),
            (
                "call == 'x'",
                1,
                "`call` is not a value by itself",
                "name one of its fields: `call.from`",
            ),
            ("call.started_at > 5", 17, "`>` cannot compare timestamp with int", ""),
            ("event.knd == 'x'", 7, "`event` has no field `knd`", "did you mean `kind`?"),
            ("event . kin == 'x'", 9, "`event` has no field `kin`", "did you mean `kind`?"),
            ("event['kid'] == 'x'", 7, "`event` has no field `kid`", "did you mean `kind`?"),
            (
                "event == event",
                1,
                "`event` is not a value by itself",
                "name one of its fields: `event.kind`",
            ),
            ("event.kind.x == 'x'", 12, "string has no field `x`", ""),
            ("payload.list.exists(event, true)", 21, "`event` already means something", ""),
            // functions
            ("siz(payload) > 1", 1, "unknown function `siz`", "did you mean `size`?"),
            (
                "payload.x.startswith('a')",
                11,
                "unknown function `startswith`",
                "did you mean `startsWith`?",
            ),
            ("optional.of(1) == 1", 10, "unknown function `of`", ""),
            ("size() > 1", 1, "`size` takes 1 arguments, not 0", ""),
            ("event.kind.prefix() == ''", 12, "`prefix` takes 1 arguments, not 0", ""),
            ("prefix(event.attempt, 1) == ''", 8, "`prefix` does not take int", ""),
            ("event.kind.prefix('1') == ''", 19, "`prefix` does not take string", ""),
            ("event.kind.contains('a', 'b')", 12, "`contains` takes 1 arguments, not 2", ""),
            (
                "contains(event.kind, 'a')",
                1,
                "`contains` is not called like this",
                "write x.contains(…)",
            ),
            ("has(event)", 4, "has() takes a field", "has(payload.status)"),
            (
                "payload.x.matches(payload.y)",
                19,
                "the pattern of `matches` has to be a text in quotes",
                "",
            ),
            ("payload.x.matches('(')", 19, "bad pattern: unclosed group", ""),
            (
                "payload.x.matches('(?:\\\\w{1000}){100}')",
                19,
                "bad pattern: Compiled regex exceeds size limit of 1048576 bytes.",
                "",
            ),
            (
                "payload.list.exists(x)",
                14,
                "a macro takes a name and an expression",
                "payload.items.exists(item, item.x > 1)",
            ),
            (
                "event.received_at.getHours('Mars/Base') == 1",
                28,
                "unknown time zone `Mars/Base`",
                "a name such as Europe/Berlin, or an offset such as -05:00",
            ),
            (
                "event.received_at > timestamp('tomorrow')",
                31,
                "not a timestamp: `tomorrow`",
                "timestamp('2026-01-31T12:00:00Z')",
            ),
            (
                "event.received_at - event.received_at > duration('1 parsec')",
                50,
                "not a duration: `1 parsec`",
                "duration('1h30m')",
            ),
            // types
            ("event.kind > 5", 12, "`>` cannot compare string with int", ""),
            ("event.kind == 5", 12, "`==` cannot compare string with int", ""),
            ("event.kind in ['a', 5]", 21, "`==` cannot compare string with int", ""),
            ("5 in event.kind", 3, "`in` looks in a list or a map, not in string", ""),
            ("event.attempt + 'x' == 'y'", 15, "`+` does not take int and string", ""),
            (
                "event.cost * 2 > 1.0",
                12,
                "`*` does not take double and int",
                "CEL does not mix int, uint and double: write 2.0 for 2, or double(…)",
            ),
            (
                "event.occurred_at + event.received_at > 1",
                19,
                "`+` does not take timestamp and timestamp",
                "",
            ),
            ("event.kind && true", 1, "expected bool, found string", ""),
            ("!event.attempt", 2, "expected bool, found int", ""),
            ("-event.kind == 'x'", 1, "`-` does not take string", ""),
            ("event.kind", 1, "expected bool, found string", ""),
            ("size(payload)", 1, "expected bool, found int", ""),
            ("1 + 1", 1, "expected bool, found int", ""),
            ("size(event.attempt) > 1", 6, "`size` does not take int", ""),
            ("event.kind[0] == 'c'", 11, "string cannot be indexed by int", ""),
            ("event.kind.all(x, true)", 1, "string has no elements", ""),
            ("(event.kind == 'a' ? 1 : 'b') == 1", 20, "`?` gives either int or string", ""),
            ("payload.x < null", 11, "`<` cannot compare dynamic with null", ""),
            (
                "payload.x == 1u && 1u + 1 == 2u",
                23,
                "`+` does not take uint and int",
                "CEL does not mix int, uint and double: write 2.0 for 2, or double(…)",
            ),
            (
                "payload.x == a.B{c: 1}",
                17,
                "no value here is a message",
                "a map is written {\"name\": value}",
            ),
            ("payload.x == {1.5: 1}", 15, "double cannot be a key", ""),
            (
                "payload.m.exists(k, v, w, true)",
                11,
                "a macro takes a name and an expression",
                "payload.items.exists(item, item.x > 1)",
            ),
            ("payload.m.exists(k, k, true)", 21, "`k` already means something", ""),
            (
                "payload.x.matches('a**')",
                19,
                "bad pattern: a repetition cannot be repeated: `*`",
                "",
            ),
            // amounts as text
            (
                "payload.total_cost > 50.0",
                20,
                "`>` on `payload.total_cost`, which Telnyx sends as decimal text",
                "write num(payload.total_cost)",
            ),
            (
                "5 == payload.cost.amount",
                3,
                "`==` on `payload.cost.amount`, which Telnyx sends as decimal text",
                "write num(payload.cost.amount)",
            ),
            (
                "payload.total_cost * 2.0 > num('1')",
                20,
                "`*` on `payload.total_cost`, which Telnyx sends as decimal text",
                "write num(payload.total_cost)",
            ),
            (
                "payload.current_cost > payload.configured_limit",
                22,
                "`>` on `payload.current_cost`, which Telnyx sends as decimal text",
                "write num(payload.current_cost)",
            ),
            (
                "payload['balance'] < 1",
                20,
                "`<` on `…`, which Telnyx sends as decimal text",
                "write num(…)",
            ),
            (
                "payload.total_cost in [1, 2]",
                24,
                "`==` on `payload.total_cost`, which Telnyx sends as decimal text",
                "write num(payload.total_cost)",
            ),
            // syntax
            ("", 1, "the expression ends too early", ""),
            ("payload.x >", 12, "the expression ends too early", ""),
            ("payload.x = 1", 11, "unexpected `=`", "compare with =="),
            ("true and false", 6, "unexpected `and`", "write &&"),
            ("event.kind == 'abc", 15, "unexpected `'abc`", "is the closing quote missing?"),
            ("size('é') == 1 #", 16, "unexpected `#`", ""),
            ("f(1,,2)", 5, "unexpected `,`", ""),
            ("99999999999999999999 > 1", 1, "invalid int literal", ""),
            ("if == 1", 1, "reserved identifier: if", ""),
            ("payload.?x == 1", 8, "unsupported syntax '.?'", "test with has(…)"),
        ] {
            let problem = compile(source, Want::Bool).expect_err(source);
            let position = problem.position.clone().expect("a place");
            assert_eq!((position.line, position.column), (10, 19 + column), "{source}: {problem}");
            assert_eq!(problem.message, message, "{source}");
            assert_eq!(problem.hint.as_deref().unwrap_or_default(), hint, "{source}");
        }
        let problem = compile("true &&\n  event.knd == 'x'", Want::Bool).expect_err("a typo");
        assert_eq!(problem.position, Some(Position::new("rules.yaml", 11, 28)));
    }

    #[test]
    fn labels_are_text_of_bounded_length() {
        let long = "ö".repeat(2 * LABEL_BYTES_MAX);
        let event = event(
            json!({"s": "x", "n": 7, "d": 0.5, "b": false, "l": [1], "none": null, "long": long,
                "id": number("12345678901234567890"), "e": number("1E+5"), "tail": number("2.50"),
                "far": number("1234567890123456789012345678901234567890")}),
        );
        let label =
            |source: &str| compile(source, Want::Label).map(|e| e.label(Inputs::of(&event)));
        for (source, want) in [
            ("payload.s", Some("x")),
            ("payload.n", Some("7")),
            ("payload.d", Some("0.5")),
            ("payload.b", Some("false")),
            ("payload.none", None),
            ("payload.nope.x", None),
            ("has(payload.x) ? payload.x : 'none'", Some("none")),
            ("string(event.cost)", Some("0.0106")),
            ("payload.id", Some("12345678901234567890")),
            ("payload.far", Some("1234567890123456789012345678901234567890")),
            ("payload.e", Some("100000")),
            ("payload.tail", Some("2.5")),
            ("has(payload.x) ? payload.x : null", None),
        ] {
            let got = label(source).expect(source).expect(source);
            assert_eq!(got.as_deref(), want, "{source}");
        }
        let got = label("payload.long").expect("compiles").expect("a text").expect("there");
        assert!((LABEL_BYTES_MAX - 1..=LABEL_BYTES_MAX).contains(&got.len()));
        assert_ne!(got, label("payload.long + 'x'").unwrap().unwrap().unwrap());
        let failure = label("payload.l").expect("compiles").expect_err("a list");
        assert_eq!(failure.reason, FailureReason::Type);
        for source in ["[1]", "event.occurred_at", "payload"] {
            label(source).expect_err(source);
        }
    }

    /// Runs where a worker of the async runtime would: with 2 MiB of stack.
    fn on_small_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().stack_size(2 << 20);
            builder.spawn_scoped(scope, work).expect("starts").join().expect("does not panic")
        })
    }

    fn compile_and_run(source: &str, event: &Event) {
        if let Ok(expression) = compile(source, Want::Bool) {
            drop(expression.holds(Inputs::of(event)));
        }
        if let Ok(expression) = compile(source, Want::Label) {
            drop(expression.label(Inputs::of(event)));
        }
    }

    #[test]
    fn no_shape_aborts_the_process() {
        let event = event(payload());
        let shapes: &[&(dyn Fn(usize) -> String + Sync)] = &[
            &|n| vec!["1"; n].join("+"),
            &|n| vec!["payload.n"; n].join(" - "),
            &|n| vec!["payload.flag"; n].join("&&"),
            &|n| vec!["true"; n].join("||"),
            &|n| vec!["1"; n].join("<"),
            &|n| format!("{}true", "!".repeat(n)),
            &|n| format!("{}1", "-".repeat(n)),
            &|n| format!("{}1", "- ".repeat(n)),
            &|n| format!("{}1", "!-".repeat(n)),
            &|n| format!("{}true", "true?true:".repeat(n)),
            &|n| format!("{}true{}", "true?".repeat(n), ":true".repeat(n)),
            &|n| "[".repeat(n),
            &|n| format!("{}{}", "[".repeat(n), "]".repeat(n)),
            &|n| format!("{}1{}", "(".repeat(n), ")".repeat(n)),
            &|n| "(".repeat(n),
            &|n| "{".repeat(n),
            &|n| format!("{}1{}", "{1:".repeat(n), "}".repeat(n)),
            &|n| format!("payload{}", "[0]".repeat(n)),
            &|n| format!("{}0{}", "payload[".repeat(n), "]".repeat(n)),
            &|n| format!("payload{}", ".a".repeat(n)),
            &|n| format!("payload{}", ".size()".repeat(n)),
            &|n| format!("{}1{}", "size(".repeat(n), ")".repeat(n)),
            &|n| format!("payload.list{}", ".map(x,[x,x])".repeat(n)),
            &|n| format!("payload.names{}.size()>0", ".map(x,x+x)".repeat(n)),
            &|n| format!("{}true{}", "payload.list.all(x,".repeat(n), ")".repeat(n)),
            &|n| format!("[{}]", vec!["1"; n].join(",")),
            &|n| format!("{}b{{", "a.".repeat(n)),
            &|n| ")".repeat(n),
            &|n| "'".repeat(n),
            &|n| "\\".repeat(n),
            &|n| format!("payload.status.matches('{}')", "(".repeat(n)),
            &|n| format!("payload.status.matches('{}')", "a{99}".repeat(n)),
        ];
        on_small_stack(|| {
            for shape in shapes {
                for n in [1, 20, 24, 25, 90, 119, 121, 199, 1000, 1024] {
                    let mut source = shape(n);
                    source.truncate(syntax::SOURCE_BYTES_MAX);
                    compile_and_run(&source, &event);
                    compile_and_run(&format!("{source} == {source}"), &event);
                }
            }
        });
    }

    #[test]
    fn no_run_takes_long() {
        let list: Vec<u32> = (0..50_000).collect();
        let text = "a".repeat(500_000);
        let big = event(json!({"a": list, "b": list, "t": text, "s": [text]}));
        for source in [
            "payload.a.exists(x, payload.b.exists(y, x + y < 0))",
            "payload.a.all(x, x in payload.b)",
            "payload.a.all(x, payload.b == payload.a)",
            "payload.a.map(x, payload.t + payload.t).size() > 0",
            "payload.a.all(x, !payload.t.contains('b'))",
            "payload.a.all(x, !payload.t.matches('(a*)*b'))",
            "payload.s.map(x,x+x).map(x,x+x).map(x,x+x).map(x,x+x).map(x,x+x).map(x,x+x).size() > 1",
            "[[payload.a]].map(x,[x,x]).map(x,[x,x]).map(x,[x,x]).map(x,[x,x]).map(x,[x,x]) == [1]",
        ] {
            let expression =
                compile(source, Want::Bool).unwrap_or_else(|p| panic!("{source}: {p}"));
            let failure = expression.holds(Inputs::of(&big)).expect_err(source);
            assert!(
                failure.detail.ends_with("too much work for one event"),
                "{source}: {failure:?}"
            );
        }
        // Nothing absorbs it.
        let source = "payload.a.all(x, x in payload.b) || true";
        let expression = compile(source, Want::Bool).expect("compiles");
        expression.holds(Inputs::of(&big)).expect_err("too much");
    }

    /// Pieces of expressions, for random sequences.
    const TOKENS: &[&str] = &[
        "payload",
        "event",
        ".kind",
        ".n",
        ".list",
        "x",
        "1",
        "-1",
        "2.5",
        "'a'",
        "\"",
        "'",
        "true",
        "null",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        "?",
        ":",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "in",
        ".",
        ".exists(x,",
        ".map(x,",
        "size(",
        "num(",
        "has(",
        "//",
        "\n",
        " ",
        "b'a'",
        "1u",
        "`a`",
        "\\",
        "é",
        "0x1F",
        "1e9",
    ];

    fn config(cases: u32) -> ProptestConfig {
        ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
    }

    proptest! {
        #![proptest_config(config(300))]

        #[test]
        fn no_text_panics(source in "\\PC{0,120}") {
            compile_and_run(&source, &event(payload()));
        }

        #[test]
        fn no_sequence_of_tokens_panics(
            tokens in proptest::collection::vec(proptest::sample::select(TOKENS), 0..60),
        ) {
            let event = event(payload());
            on_small_stack(|| compile_and_run(&tokens.concat(), &event));
        }
    }

    /// Expressions of all operators over a payload of all types; many of them are wrong.
    fn arbitrary() -> impl Strategy<Value = String> {
        let leaf = proptest::sample::select(vec![
            "0",
            "1",
            "7",
            "-3",
            "2.5",
            "0.0",
            "'a'",
            "'7'",
            "''",
            "true",
            "false",
            "[1, 2.5]",
            "[]",
            "payload.n",
            "payload.d",
            "payload.status",
            "payload.flag",
            "payload.list",
            "payload.names",
            "payload.m",
            "payload.nope",
            "payload.m.x",
            "payload.list[1]",
            "event.kind",
            "event.occurred_at",
            "duration('90m')",
            "timestamp('2026-01-31T22:00:00Z')",
            "has(payload.n)",
            "has(payload.nope)",
        ]);
        leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
            let binary = proptest::sample::select(vec![
                "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in",
            ]);
            let function =
                proptest::sample::select(vec!["size", "int", "double", "string", "!", "-"]);
            let method = proptest::sample::select(vec!["contains", "startsWith", "endsWith"]);
            let part = proptest::sample::select(vec![
                "getHours",
                "getDayOfYear",
                "getMinutes",
                "getMonth",
            ]);
            let looping =
                proptest::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
            let body = proptest::sample::select(vec![
                "x > 1",
                "x == 'ann'",
                "x",
                "x + 1 > 2",
                "x.nope || x > 1",
            ]);
            prop_oneof![
                (inner.clone(), binary, inner.clone())
                    .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
                (function, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
                (inner.clone(), method, inner.clone())
                    .prop_map(|(a, m, b)| format!("{a}.{m}({b})")),
                (inner.clone(), part).prop_map(|(a, part)| format!("{a}.{part}()")),
                (inner.clone(), looping, body).prop_map(|(a, m, b)| format!("{a}.{m}(x, {b})")),
                (inner.clone(), inner.clone(), inner)
                    .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            ]
        })
    }

    fn to_cel(json: &Json) -> cel::Value {
        match Value::of(json) {
            Value::Bool(flag) => flag.into(),
            Value::Int(int) => int.into(),
            Value::String(text) => text.into_owned().into(),
            value if value.double().is_some() => value.double().unwrap_or_default().into(),
            _ => match json {
                Json::Array(items) => items.iter().map(to_cel).collect::<Vec<_>>().into(),
                Json::Object(members) => members
                    .iter()
                    .filter(|(_, member)| !member.is_null())
                    .map(|(name, member)| (name.clone(), to_cel(member)))
                    .collect::<std::collections::HashMap<_, _>>()
                    .into(),
                _ => cel::Value::Null,
            },
        }
    }

    fn show(value: &Value<'_>) -> String {
        if let Some(double) = value.double() {
            return format!("{double:?}");
        }
        match value {
            Value::List(_) | Value::Json(Json::Array(_)) => {
                let items: Vec<_> = value.items().into_iter().flatten().map(|v| show(&v)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Int(int) => int.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::String(text) => format!("{text:?}"),
            Value::Timestamp(timestamp) => crate::rules::time::timestamp_text(*timestamp),
            Value::Duration(duration) => format!("{}ms", duration.as_millis()),
            other if other.kind() == ValueKind::Map => "map".to_owned(),
            other => other.kind().as_str().to_owned(),
        }
    }

    fn show_cel(value: &cel::Value) -> String {
        match value {
            cel::Value::Float(double) => format!("{double:?}"),
            cel::Value::List(items) => {
                format!("[{}]", items.iter().map(show_cel).collect::<Vec<_>>().join(", "))
            }
            cel::Value::Map(_) => "map".to_owned(),
            cel::Value::Int(int) => int.to_string(),
            cel::Value::Bool(flag) => flag.to_string(),
            cel::Value::String(text) => format!("{text:?}"),
            cel::Value::Timestamp(time) => jiff::Timestamp::from_nanosecond(i128::from(
                time.timestamp_nanos_opt().expect("near"),
            ))
            .expect("in range")
            .to_string(),
            cel::Value::Duration(span) => format!("{}ms", span.num_milliseconds()),
            other => format!("{other:?}"),
        }
    }

    proptest! {
        #![proptest_config(config(1500))]

        /// What passes our check computes the same here and in the crate that parsed it.
        #[test]
        fn runs_agree_with_the_cel_crate(source in arbitrary()) {
            let program = Program::new(&source, Scope::EVENT, Want::Bool);
            let program = program.or_else(|_| Program::new(&source, Scope::EVENT, Want::Label));
            let Ok(program) = program else { return Ok(()) };
            let event = event(payload());
            let ours = eval::run(&program.root, Inputs::of(&event));
            let theirs = cel::Program::compile(&source).expect("parses");
            let mut context = cel::Context::default();
            context.add_variable_from_value("payload", to_cel(&event.payload));
            let time = event.occurred_at.expect("there").to_string();
            context.add_variable_from_value("event", std::collections::HashMap::from([
                ("kind", cel::Value::from(event.kind.clone())),
                ("occurred_at", cel::Program::compile(&format!("timestamp('{time}')"))
                    .expect("parses").execute(&cel::Context::default()).expect("a time")),
            ]));
            match (ours, theirs.execute(&context)) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(show(&ours), show_cel(&theirs), "{}", source),
                (Err(_), Err(_)) => {}
                // A list or a map is no key of a map: not in it, as cel-go has it, where the crate knows no overload.
                (Ok(ours), Err(error)) if format!("{error:?}").contains("\"@in\"") => {
                    prop_assert_eq!(show(&ours), "false", "{}", source);
                }
                (ours, theirs) => prop_assert!(false, "{}: {:?} {:?}", source, ours, theirs),
            }
        }
    }
}
