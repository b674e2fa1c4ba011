//! CEL's syntax: from text to a tree, with the place of each part.
//!
//! A parser of our own, for CEL's grammar is small and what a general one does with a hostile text is not: this one
//! has bounds on length, parts and depth built in, needs little stack, says what is wrong by construction rather than in
//! a grammar's terms, and keeps the digits of a number as they were written. Its trees are compared with those of the
//! crate `cel` by what they compute, in the tests of [`super::expression`].
//!
//! <https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax>

mod lexer;
mod literal;
mod parser;

use rust_decimal::Decimal;

use super::program::Binary;

pub(super) use lexer::closing;
pub(super) use parser::parse;

/// Longest source, in bytes.
pub(super) const SOURCE_BYTES_MAX: usize = 1024;
/// Deepest nesting of brackets and conditionals together. CEL asks for 32 brackets at least.
pub(super) const NESTING_MAX: usize = 40;
/// Most words, numbers, operators and brackets.
pub(super) const TOKENS_MAX: usize = 400;

/// A part of an expression as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expr {
    /// Byte offset of what it is known by: an operator, the name of a field or function, a bracket, a literal.
    pub(super) at: usize,
    /// Byte offset where it begins.
    pub(super) start: usize,
    pub(super) kind: ExprKind,
}

/// What an [`Expr`] is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ExprKind {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    /// With the digits as written, where they are a decimal number that can be kept exactly.
    Double(f64, Option<Decimal>),
    String(String),
    Bytes(Vec<u8>),
    /// A variable; whether a dot before it says that no macro's variable is meant.
    Ident(String, bool),
    Select(Box<Expr>, String),
    Index(Box<[Expr; 2]>),
    /// The target, the name and the arguments.
    Call(Option<Box<Expr>>, String, Vec<Expr>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    /// Two operands or more.
    And(Vec<Expr>),
    /// Two operands or more.
    Or(Vec<Expr>),
    Binary(Binary, Box<[Expr; 2]>),
    If(Box<[Expr; 3]>),
}
