//! One CEL expression: bounded, checked and compiled at load, run at each event.
//!
//! Parsing is the `cel` crate's; the check ([`super::checker`]) and the run ([`super::eval`]) are ours. Promises:
//! no source aborts the process or panics, no run takes more than a few milliseconds, and what is wrong is said
//! with its place and without a payload value.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use cel::{Env, ParseErrors};

use super::checker::{self, Flaw, Scope};
use super::eval::{self, Inputs};
use super::operate::{Cause, Fault};
use super::program::Node;
use super::scan;
use super::types::Type;
use super::values::{Kind, Value};
use super::{Failure, FailureReason};
use crate::problem::{At, Position, Problem};

/// Stack of the thread that parses, in bytes. What [`scan`] lets pass took less than a quarter of it in a build
/// without optimisation; only what is touched costs memory.
const STACK_BYTES: usize = 32 << 20;
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
}

impl Expression {
    /// Compiles and checks an expression; the problem has the place and no key.
    pub fn compile(source: &At<String>, scope: Scope, want: Want) -> Result<Self, Problem> {
        let program = on_large_stack(|| Program::new(&source.value, scope, want))
            .unwrap_or_else(|error| Err(Flaw::new(0, format!("cannot start a thread: {error}"))));
        Self::from_program(source, program.map(Arc::new))
    }

    /// Takes a program that was made of the same source; its flaw becomes a problem at this place.
    pub(super) fn from_program(
        source: &At<String>,
        program: Result<Arc<Program>, Flaw>,
    ) -> Result<Self, Problem> {
        match program {
            Ok(program) => Ok(Self { program, origin: source.position.clone() }),
            Err(flaw) => {
                let (line, column) = place(&source.value, flaw.at);
                let problem = Problem::error(source.inside(line, column), "", flaw.message);
                Err(match flaw.hint {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                })
            }
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
        let mut text = match self.run(inputs) {
            Ok(Value::Null) => return Ok(None),
            Ok(Value::Text(text)) => text.into_owned(),
            Ok(Value::Bool(flag)) => flag.to_string(),
            Ok(Value::Int(int)) => int.to_string(),
            Ok(Value::Double(double)) => double.to_string(),
            Ok(other) => return Err(self.wrong_result(&other)),
            Err(failure) if failure.reason == FailureReason::MissingField => return Ok(None),
            Err(failure) => return Err(failure),
        };
        text.truncate(text.floor_char_boundary(LABEL_BYTES_MAX));
        Ok(Some(text))
    }

    /// Whether it looks at `event.cost` or `event.charge`.
    pub(super) fn uses_money(&self) -> bool {
        self.program.uses_money
    }

    fn run<'a>(&'a self, inputs: Inputs<'a>) -> Result<Value<'a>, Failure> {
        eval::run(&self.program.root, inputs).map_err(|fault| self.failure(fault))
    }

    fn failure(&self, Fault { at, cause }: Fault<'_>) -> Failure {
        let source = At::new(self.program.source.as_ref(), self.origin.clone());
        let (line, column) = place(source.value, at as usize);
        Failure {
            reason: cause.reason(),
            detail: format!("{}: {cause}", source.inside(line, column)),
        }
    }

    fn wrong_result(&self, value: &Value<'_>) -> Failure {
        let cause = match value.kind() {
            Kind::Null => Cause::Null,
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
        }
    }
}

/// A checked expression without its place in a file, to be shared by rules that say the same.
#[derive(Debug)]
pub(super) struct Program {
    source: Box<str>,
    root: Node,
    want: Want,
    uses_money: bool,
}

impl Program {
    /// Compiles on the stack of the caller, see [`on_large_stack`].
    pub(super) fn new(source: &str, scope: Scope, want: Want) -> Result<Self, Flaw> {
        scan::check(source)?;
        let env = Env::default().with_optional_support(false);
        let parsed = catch_unwind(AssertUnwindSafe(|| {
            let parsed = env.compile(source).map_err(|errors| syntax_flaw(source, &errors))?;
            checker::check(source, parsed.source_info(), scope, parsed.expression())
        }));
        let (root, of, uses_money) =
            parsed.unwrap_or_else(|_| Err(Flaw::new(0, "not an expression")))?;
        let takes: &[Type] = match want {
            Want::Bool => &[Type::Bool],
            Want::Label => &[Type::Text, Type::Int, Type::Double, Type::Bool],
        };
        if of.may_be(takes) {
            return Ok(Self { source: source.into(), root, want, uses_money });
        }
        let flaw = Flaw::new(0, format!("expected {}, found {}", want.as_str(), of.as_str()));
        Err(match (want, of) {
            (Want::Label, Type::Time | Type::Span) => flaw.hint("write string(…)"),
            _ => flaw,
        })
    }
}

/// Runs `work` where the parser has room.
pub(super) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("rules-compile".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)?;
        worker.join().map_err(|_| std::io::Error::other("it panicked"))
    })
}

impl Cause<'_> {
    fn reason(self) -> FailureReason {
        match self {
            Self::NoField(_) | Self::NoElement | Self::Null => FailureReason::MissingField,
            Self::OneType(..) | Self::TwoTypes(..) | Self::Content(_) | Self::Result(..) => {
                FailureReason::Type
            }
            Self::DivisionByZero | Self::Overflow | Self::TooMuchWork => FailureReason::Other,
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
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::Overflow => f.write_str("a result is out of range"),
            Self::TooMuchWork => f.write_str("too much work for one event"),
        }
    }
}

/// The first of the parser's errors, in words for people who do not know its grammar.
fn syntax_flaw(source: &str, errors: &ParseErrors) -> Flaw {
    let Some(error) = errors.errors.first() else {
        return Flaw::new(0, "not an expression");
    };
    let at = offset(source, error.pos);
    let message = error.msg.trim_start_matches("Syntax error: ");
    // `extraneous input 'x' expecting {…}`: only the input is of use.
    let input = message
        .split_once('\'')
        .and_then(|(_, rest)| rest.split_once("' expecting").or_else(|| rest.rsplit_once('\'')))
        .map(|(input, _)| input);
    match (message.split(' ').next(), input) {
        (Some("mismatched" | "extraneous"), Some("<EOF>")) => {
            Flaw::new(at, "the expression ends too early")
        }
        (Some("mismatched" | "extraneous" | "token" | "no"), Some(input)) => {
            let flaw = Flaw::new(at, format!("unexpected `{}`", input.trim()));
            match input.trim() {
                "=" => flaw.hint("compare with =="),
                "and" | "AND" | "&" => flaw.hint("write &&"),
                "or" | "OR" | "|" => flaw.hint("write ||"),
                "not" | "NOT" => flaw.hint("write !"),
                text if text.starts_with(['"', '\'']) => flaw.hint("is the closing quote missing?"),
                _ => flaw,
            }
        }
        _ => Flaw::new(at, message.lines().next().unwrap_or_default().to_lowercase()),
    }
}

/// Line and column in characters, both from 1, of a byte offset.
pub(super) fn place(source: &str, at: usize) -> (u32, u32) {
    let before = source.get(..source.floor_char_boundary(at)).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

/// The byte offset of the parser's line and column, both from 1.
fn offset(source: &str, (line, column): (isize, isize)) -> usize {
    let from_1 = |number: isize| usize::try_from(number - 1).unwrap_or(0);
    let start: usize = source.split_inclusive('\n').take(from_1(line)).map(str::len).sum();
    let line = source.get(start..).unwrap_or_default();
    let within = line.char_indices().nth(from_1(column)).map_or(line.len(), |(at, _)| at);
    start + within
}
