//! Problems of a configuration, each with its place in a file.
//!
//! Nothing here stops at the first problem: a checker collects them all, and the person fixes them in one go.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A place in a file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Position {
    /// Makes a position.
    pub fn new(file: impl Into<Arc<str>>, line: u32, column: u32) -> Self {
        Self { file: file.into(), line, column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value together with where it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands; for a quoted scalar, where its first character inside the quotes stands.
    pub position: Position,
}

impl<T> At<T> {
    /// Pairs a value with its place.
    pub fn new(value: T, position: Position) -> Self {
        Self { value, position }
    }

    /// Moves `line` lines and `column` characters (both from 1) into the value, for errors inside an expression.
    /// Every line of a block scalar begins in the column where its first one does.
    pub fn inside(&self, line: u32, column: u32) -> Position {
        let Position { file, line: base_line, column: base_column } = self.position.clone();
        Position {
            file,
            line: base_line + line.saturating_sub(1),
            column: base_column + column.saturating_sub(1),
        }
    }
}

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, and probably does not do what was meant.
    Warning,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether it stops the load.
    pub severity: Severity,
    /// Where; absent only for problems of no file (an unreadable directory, a missing variable of a flag).
    pub position: Option<Position>,
    /// The key it is about, as a path: `receivers[1].slack_configs[0].api_url`. May be empty.
    pub key: String,
    /// What is wrong: lower case, no trailing period, never a secret's value.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(position: Position, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            position: Some(position),
            key: key.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// A warning at a place.
    pub fn warning(position: Position, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(position, key, message) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A [`Diagnostic`] that is an error within one text, before it is known where that stands: an expression is checked
/// once, however many rules share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextDiagnostic {
    /// Byte offset in the text.
    pub offset: usize,
    /// See [`Diagnostic::message`].
    pub message: String,
    /// See [`Diagnostic::hint`].
    pub hint: Option<String>,
}

impl TextDiagnostic {
    /// An error at a place in the text.
    pub fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The error at its place in a file; without a key.
    pub fn inside(self, text: &At<String>) -> Diagnostic {
        let (line, column) = line_and_column(&text.value, self.offset);
        let hint = self.hint;
        Diagnostic { hint, ..Diagnostic::error(text.inside(line, column), "", self.message) }
    }
}

/// Line and column in characters, both from 1, of a byte offset.
pub fn line_and_column(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..text.floor_char_boundary(offset)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}
