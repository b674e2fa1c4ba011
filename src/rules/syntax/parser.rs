//! The parser: recursive only where brackets and conditionals nest, which is bounded.

use super::lexer::{self, Token, TokenKind};
use super::{Expr, ExprKind, NESTING_MAX, SOURCE_BYTES_MAX, TOKENS_MAX, literal};
use crate::diagnostic::TextDiagnostic;
use crate::rules::program::Binary;

type ParsedExpr = Result<Expr, TextDiagnostic>;

/// Words that CEL keeps for itself; they may be names of fields and methods.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];
/// Words that are never a name.
const KEYWORDS: &[&str] = &["false", "in", "null", "true"];

/// An operator between two operands: its level, and what it does where that is not `&&` or `||`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InfixOperator {
    Or,
    And,
    Other(Binary),
}

impl InfixOperator {
    fn of(token: Token<'_>) -> Option<Self> {
        Some(match (token.kind, token.text) {
            (TokenKind::Word, "in") => Self::Other(Binary::In),
            (TokenKind::Sign, "||") => Self::Or,
            (TokenKind::Sign, "&&") => Self::And,
            (TokenKind::Sign, sign) => Self::Other(match sign {
                "==" => Binary::Equal,
                "!=" => Binary::NotEqual,
                "<" => Binary::Less,
                "<=" => Binary::LessOrEqual,
                ">" => Binary::Greater,
                ">=" => Binary::GreaterOrEqual,
                "+" => Binary::Add,
                "-" => Binary::Subtract,
                "*" => Binary::Multiply,
                "/" => Binary::Divide,
                "%" => Binary::Remainder,
                _ => return None,
            }),
            _ => return None,
        })
    }

    /// How tightly it binds.
    fn level(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Other(Binary::Add | Binary::Subtract) => 4,
            Self::Other(Binary::Multiply | Binary::Divide | Binary::Remainder) => 5,
            Self::Other(_) => 3,
        }
    }
}

/// Parses an expression.
pub(in crate::rules) fn parse(source: &str) -> ParsedExpr {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("expression longer than {SOURCE_BYTES_MAX} bytes");
        return Err(TextDiagnostic::new(0, message));
    }
    let mut parser = Parser { source, token: lexer::next(source, 0), tokens: 1, nesting: 0 };
    let expression = parser.expression()?;
    match parser.token.kind {
        TokenKind::End => Ok(expression),
        _ => Err(parser.unexpected()),
    }
}

struct Parser<'s> {
    source: &'s str,
    /// The next token.
    token: Token<'s>,
    /// Tokens so far.
    tokens: usize,
    /// Brackets and conditionals that are open.
    nesting: usize,
}

impl<'s> Parser<'s> {
    /// `condition ? yes : no`, or what is in its place.
    fn expression(&mut self) -> ParsedExpr {
        let condition = self.operation(1)?;
        let at = self.token.at;
        if !self.eat("?")? {
            return Ok(condition);
        }
        self.enter(at)?;
        let yes = self.operation(1)?;
        self.expect(":")?;
        let no = self.expression()?;
        self.nesting -= 1;
        let start = condition.start;
        Ok(Expr { at, start, kind: ExprKind::If(Box::new([condition, yes, no])) })
    }

    /// Operands and the operators between them that bind as tightly as `level`, or more.
    fn operation(&mut self, level: u8) -> ParsedExpr {
        let mut left = self.unary()?;
        while let Some(operator) =
            InfixOperator::of(self.token).filter(|next| next.level() >= level)
        {
            let at = self.advance()?.at;
            let right = self.operation(operator.level() + 1)?;
            let start = left.start;
            let kind = match operator {
                InfixOperator::Other(binary) => ExprKind::Binary(binary, Box::new([left, right])),
                // One part with all operands, however many: as CEL sees it, none of them is deeper than the others.
                InfixOperator::And => ExprKind::And(self.operands(operator, left, right)?),
                InfixOperator::Or => ExprKind::Or(self.operands(operator, left, right)?),
            };
            left = Expr { at, start, kind };
        }
        Ok(left)
    }

    /// The two operands, and those that follow after the same operator.
    fn operands(
        &mut self,
        operator: InfixOperator,
        left: Expr,
        right: Expr,
    ) -> Result<Vec<Expr>, TextDiagnostic> {
        let mut operands = vec![left, right];
        while InfixOperator::of(self.token) == Some(operator) {
            self.advance()?;
            operands.push(self.operation(operator.level() + 1)?);
        }
        Ok(operands)
    }

    fn unary(&mut self) -> ParsedExpr {
        let mut signs = Vec::new();
        while self.token.kind == TokenKind::Sign && matches!(self.token.text, "!" | "-") {
            signs.push(self.advance()?);
        }
        let is_number = matches!(self.token.kind, TokenKind::Whole | TokenKind::Fraction);
        let minus = signs.last().filter(|sign| is_number && sign.text == "-").map(|sign| sign.at);
        if minus.is_some() {
            signs.pop();
        }
        let mut operand = self.member(minus)?;
        for sign in signs.into_iter().rev() {
            let operand_box = Box::new(operand);
            let kind = match sign.text {
                "!" => ExprKind::Not(operand_box),
                _ => ExprKind::Negate(operand_box),
            };
            operand = Expr { at: sign.at, start: sign.at, kind };
        }
        Ok(operand)
    }

    /// A value with the fields, indexes and methods behind it; `minus` is the place of a number's sign.
    fn member(&mut self, minus: Option<usize>) -> ParsedExpr {
        let mut operand = self.primary(minus)?;
        loop {
            let (at, start) = (self.token.at, operand.start);
            operand = if self.eat(".")? {
                self.select(operand, at)?
            } else if self.eat("[")? {
                self.enter(at)?;
                if self.token.text == "?" {
                    return Err(unsupported(self.token.at, "[?"));
                }
                let index = self.expression()?;
                self.expect("]")?;
                self.nesting -= 1;
                Expr { at, start, kind: ExprKind::Index(Box::new([operand, index])) }
            } else if self.token.text == "{" && is_name(&operand) {
                return Err(TextDiagnostic::new(at, "no value here is a message")
                    .hint("a map is written {\"name\": value}"));
            } else {
                return Ok(operand);
            };
        }
    }

    /// What stands behind a dot.
    fn select(&mut self, of: Expr, dot: usize) -> ParsedExpr {
        if self.token.text == "?" {
            return Err(unsupported(dot, ".?"));
        }
        let name = self.advance_if(|token| match token.kind {
            TokenKind::Word => !KEYWORDS.contains(&token.text),
            kind => kind == TokenKind::Escaped,
        })?;
        let (at, start) = (name.at, of.start);
        if name.kind == TokenKind::Escaped {
            let field = name.text.trim_matches('`').to_owned();
            return Ok(Expr { at, start, kind: ExprKind::Select(Box::new(of), field) });
        }
        let field = name.text.to_owned();
        let kind = if self.token.text == "(" {
            ExprKind::Call(Some(Box::new(of)), field, self.arguments()?)
        } else {
            ExprKind::Select(Box::new(of), field)
        };
        Ok(Expr { at, start, kind })
    }

    fn primary(&mut self, minus: Option<usize>) -> ParsedExpr {
        let token = self.token;
        let (at, start) = (minus.unwrap_or(token.at), minus.unwrap_or(token.at));
        let kind = match (token.kind, token.text) {
            (TokenKind::Whole | TokenKind::Fraction | TokenKind::Quoted, _) => {
                self.advance()?;
                let value = literal::value(token, minus.is_some());
                value.map_err(|message| TextDiagnostic::new(at, message))?
            }
            (TokenKind::Word, "true" | "false") => ExprKind::Bool(self.advance()?.text == "true"),
            (TokenKind::Word, "null") => {
                self.advance()?;
                ExprKind::Null
            }
            (TokenKind::Word, "in") => return Err(self.unexpected()),
            (TokenKind::Word, _) => self.name(false)?,
            (TokenKind::Sign, ".") => {
                self.advance()?;
                self.name(true)?
            }
            (TokenKind::Sign, "(") => {
                self.advance()?;
                self.enter(at)?;
                let inner = self.expression()?;
                self.expect(")")?;
                self.nesting -= 1;
                return Ok(Expr { start, ..inner });
            }
            (TokenKind::Sign, "[") => ExprKind::List(self.sequence("]", Self::element)?),
            (TokenKind::Sign, "{") => ExprKind::Map(self.sequence("}", Self::entry)?),
            _ => return Err(self.unexpected()),
        };
        Ok(Expr { at, start, kind })
    }

    /// A variable or the call of a function.
    fn name(&mut self, is_rooted: bool) -> Result<ExprKind, TextDiagnostic> {
        let name = self
            .advance_if(|token| token.kind == TokenKind::Word && !KEYWORDS.contains(&token.text))?;
        if RESERVED.contains(&name.text) {
            let message = format!("reserved identifier: {}", name.text);
            return Err(TextDiagnostic::new(name.at, message));
        }
        if self.token.text == "(" {
            return Ok(ExprKind::Call(None, name.text.to_owned(), self.arguments()?));
        }
        Ok(ExprKind::Ident(name.text.to_owned(), is_rooted))
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, TextDiagnostic> {
        let open = self.token.at;
        self.advance()?;
        self.enter(open)?;
        let mut arguments = Vec::new();
        if self.token.text != ")" {
            arguments.push(self.expression()?);
            while self.eat(",")? {
                arguments.push(self.expression()?);
            }
        }
        self.expect(")")?;
        self.nesting -= 1;
        Ok(arguments)
    }

    /// What stands between brackets with commas in between, and perhaps one at the end.
    fn sequence<T>(
        &mut self,
        close: &'static str,
        item: fn(&mut Self) -> Result<T, TextDiagnostic>,
    ) -> Result<Vec<T>, TextDiagnostic> {
        let open = self.advance()?.at;
        self.enter(open)?;
        let mut items = Vec::new();
        while self.token.text != close {
            if self.token.text == "?" {
                return Err(unsupported(self.token.at, "?"));
            }
            items.push(item(self)?);
            if !self.eat(",")? {
                break;
            }
        }
        self.expect(close)?;
        self.nesting -= 1;
        Ok(items)
    }

    fn element(&mut self) -> ParsedExpr {
        self.expression()
    }

    fn entry(&mut self) -> Result<(Expr, Expr), TextDiagnostic> {
        let key = self.expression()?;
        self.expect(":")?;
        Ok((key, self.expression()?))
    }

    /// Takes the next token.
    fn advance(&mut self) -> Result<Token<'s>, TextDiagnostic> {
        let taken = self.token;
        self.token = lexer::next(self.source, taken.at + taken.text.len());
        self.tokens += usize::from(self.token.kind != TokenKind::End);
        if self.tokens > TOKENS_MAX {
            let message = format!("more than {TOKENS_MAX} parts in one expression");
            return Err(TextDiagnostic::new(self.token.at, message));
        }
        Ok(taken)
    }

    fn advance_if(&mut self, fits: fn(Token<'_>) -> bool) -> Result<Token<'s>, TextDiagnostic> {
        if fits(self.token) { self.advance() } else { Err(self.unexpected()) }
    }

    /// Takes the sign if it is next.
    fn eat(&mut self, sign: &str) -> Result<bool, TextDiagnostic> {
        let is_next = self.token.kind == TokenKind::Sign && self.token.text == sign;
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn expect(&mut self, sign: &str) -> Result<(), TextDiagnostic> {
        if self.eat(sign)? { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Goes one level deeper.
    fn enter(&mut self, at: usize) -> Result<(), TextDiagnostic> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(TextDiagnostic::new(at, format!("nested more than {NESTING_MAX} deep")));
        }
        Ok(())
    }

    /// The next token stands where it cannot.
    fn unexpected(&self) -> TextDiagnostic {
        let Token { kind, at, text } = self.token;
        if kind == TokenKind::End {
            return TextDiagnostic::new(at, "the expression ends too early");
        }
        let problem = TextDiagnostic::new(at, format!("unexpected `{text}`"));
        match text {
            "=" => problem.hint("compare with =="),
            "and" | "AND" | "&" => problem.hint("write &&"),
            "or" | "OR" | "|" => problem.hint("write ||"),
            "not" | "NOT" => problem.hint("write !"),
            _ if kind == TokenKind::Unclosed => problem.hint("is the closing quote missing?"),
            _ => problem,
        }
    }
}

fn unsupported(at: usize, sign: &str) -> TextDiagnostic {
    TextDiagnostic::new(at, format!("unsupported syntax '{sign}'")).hint("test with has(…)")
}

/// Whether it is a chain of names, as that of a message's type.
fn is_name(mut expression: &Expr) -> bool {
    loop {
        match &expression.kind {
            ExprKind::Ident(..) => return true,
            ExprKind::Select(of, _) => expression = of,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_long_or_too_deep_is_refused() {
        let deep = |n: usize| format!("{}1{}", "(".repeat(n), ")".repeat(n));
        let text = "(".repeat(NESTING_MAX + 1);
        for (source, want) in [
            (format!("'{}'", "a".repeat(SOURCE_BYTES_MAX - 2)), None),
            ("a".repeat(SOURCE_BYTES_MAX + 1), Some((0, "longer than 1024 bytes"))),
            (deep(NESTING_MAX), None),
            (deep(NESTING_MAX + 1), Some((NESTING_MAX, "nested more than 40 deep"))),
            (format!("{}1:1", "1?".repeat(NESTING_MAX + 1)), Some((1, "unexpected `?`"))),
            (format!("{}1", "1?1:".repeat(NESTING_MAX + 1)), Some((161, "nested more than 40"))),
            (format!("'{text}' == \"{text}\" // {text}"), None),
            (format!("{}1", "1+".repeat(199)), None),
            (format!("{}1", "1+".repeat(200)), Some((400, "more than 400 parts"))),
        ] {
            match (parse(&source), want) {
                (Ok(_), None) => {}
                (Err(problem), Some((at, words))) => {
                    assert!(problem.message.contains(words), "{source}: {}", problem.message);
                    assert!(problem.offset.abs_diff(at) <= 2, "{source}: {}", problem.offset);
                }
                (got, want) => panic!("{source}: {got:?}, wanted {want:?}"),
            }
        }
    }

    #[test]
    fn operators_bind_as_cel_says() {
        let places = regex::Regex::new(r"(at|start): \d+, ").expect("a pattern");
        for (source, same) in [
            ("1 + 2 * 3 == 7 && !true || false", "(((1 + (2 * 3)) == 7) && (!true)) || false"),
            ("1 - 2 - 3", "(1 - 2) - 3"),
            ("1 < 2 == true", "(1 < 2) == true"),
            ("true ? 1 : false ? 2 : 3", "true ? 1 : (false ? 2 : 3)"),
            ("-a.b[0].c()", "-(((a.b)[0]).c())"),
            ("1 in [1,] == true", "(1 in [1]) == true"),
        ] {
            let shape = |source: &str| {
                let text = format!("{:?}", parse(source).expect(source));
                places.replace_all(&text, "").into_owned()
            };
            assert_eq!(shape(source), shape(same), "{source}");
        }
    }

    #[test]
    fn literals_are_read_to_the_last_digit() {
        let kind = |source: &str| parse(source).map(|expression| expression.kind);
        let exact = |text: &str| text.parse().ok();
        for (source, want) in [
            ("-9223372036854775808", ExprKind::Int(i64::MIN)),
            ("-0x10", ExprKind::Int(-16)),
            ("18446744073709551615u", ExprKind::Uint(u64::MAX)),
            (
                "1234567890.123456",
                ExprKind::Double(1_234_567_890.123_456, exact("1234567890.123456")),
            ),
            ("-.5E1", ExprKind::Double(-5.0, exact("-5"))),
            ("1e300", ExprKind::Double(1e300, None)),
            (r"'\x41\u00e9\101\n\?'", ExprKind::String("A\u{e9}A\n?".to_owned())),
            (r"r'\x41'", ExprKind::String("\\x41".to_owned())),
            (r"b'\xff\377'", ExprKind::Bytes(vec![255, 255])),
        ] {
            assert_eq!(kind(source), Ok(want), "{source}");
        }
        for wrong in
            ["9223372036854775808", "-1u", "1e999", r"'\q'", r"'\ud800'", r"'\400'", r"b'\u0041'"]
        {
            kind(wrong).expect_err(wrong);
        }
    }
}
