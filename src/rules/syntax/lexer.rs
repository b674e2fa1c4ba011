//! The tokens of CEL.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// The end of the source.
    End,
    /// A name or keyword.
    Word,
    /// A field's name between backticks.
    Escaped,
    /// A whole number; those with a `u` are unsigned.
    Whole,
    /// A number with a fraction or an exponent.
    Fraction,
    /// A text or bytes in quotes, with their prefix.
    Quoted,
    /// A text whose closing quote is missing, up to the end of the line.
    Unclosed,
    /// An operator, a bracket, or a character that has no meaning.
    Sign,
}

/// A token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'s> {
    pub(super) kind: TokenKind,
    /// Byte offset in the source.
    pub(super) at: usize,
    /// As written.
    pub(super) text: &'s str,
}

/// Signs of two characters.
const PAIRS: &[&str] = &["==", "!=", "<=", ">=", "&&", "||"];

/// The token at or after `from`.
pub(super) fn next(source: &str, from: usize) -> Token<'_> {
    let at = from + blank_len(source.get(from..).unwrap_or_default());
    let rest = source.get(at..).unwrap_or_default();
    let (kind, length) = match rest.chars().next() {
        None => (TokenKind::End, 0),
        Some(first) => token(rest, first),
    };
    Token { kind, at, text: rest.get(..length).unwrap_or(rest) }
}

/// Length of the white space and comments that `rest` starts with.
fn blank_len(rest: &str) -> usize {
    let mut blank = 0;
    loop {
        let text = rest.get(blank..).unwrap_or_default();
        let inked = text.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        blank += text.len() - inked.len();
        if !inked.starts_with("//") {
            return blank;
        }
        blank += inked.find('\n').unwrap_or(inked.len());
    }
}

fn token(rest: &str, first: char) -> (TokenKind, usize) {
    if let Some(quoted) = quoted(rest) {
        return quoted;
    }
    let second_is_digit = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    match first {
        'a'..='z' | 'A'..='Z' | '_' => (TokenKind::Word, word_len(rest)),
        '0'..='9' => number(rest),
        '.' if second_is_digit => number(rest),
        '`' => {
            let is_part = |c: char| c.is_ascii_alphanumeric() || "_.-/ ".contains(c);
            let inner = rest.get(1..).unwrap_or_default();
            let length = inner.find(|c| !is_part(c)).unwrap_or(inner.len());
            let is_closed = inner.get(length..).is_some_and(|end| end.starts_with('`'));
            if length > 0 && is_closed {
                (TokenKind::Escaped, length + 2)
            } else {
                (TokenKind::Sign, 1)
            }
        }
        _ if PAIRS.iter().any(|pair| rest.starts_with(pair)) => (TokenKind::Sign, 2),
        // A whole word of another script reads better in a message than its first letter.
        c if c.is_alphanumeric() => {
            (TokenKind::Sign, rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len()))
        }
        c => (TokenKind::Sign, c.len_utf8()),
    }
}

fn word_len(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

fn number(rest: &str) -> (TokenKind, usize) {
    let digits = |from: usize, is_digit: fn(&u8) -> bool| {
        rest.bytes().skip(from).take_while(is_digit).count()
    };
    let whole = |length: usize| {
        let unsigned = rest.get(length..).is_some_and(|rest| rest.starts_with(['u', 'U']));
        (TokenKind::Whole, length + usize::from(unsigned))
    };
    if rest.starts_with("0x") || rest.starts_with("0X") {
        let hex = digits(2, u8::is_ascii_hexdigit);
        if hex > 0 {
            return whole(2 + hex);
        }
    }
    let mut length = digits(0, u8::is_ascii_digit);
    let mut kind = TokenKind::Whole;
    if rest.get(length..).is_some_and(|rest| rest.starts_with('.')) {
        let fraction = digits(length + 1, u8::is_ascii_digit);
        if fraction > 0 {
            length += 1 + fraction;
            kind = TokenKind::Fraction;
        }
    }
    if rest.get(length..).is_some_and(|rest| rest.starts_with(['e', 'E'])) {
        let is_signed = rest.get(length + 1..).is_some_and(|rest| rest.starts_with(['+', '-']));
        let start = length + 1 + usize::from(is_signed);
        let exponent = digits(start, u8::is_ascii_digit);
        if exponent > 0 {
            length = start + exponent;
            kind = TokenKind::Fraction;
        }
    }
    if kind == TokenKind::Whole { whole(length) } else { (kind, length) }
}

/// A text in quotes and its length, `None` where none begins.
fn quoted(rest: &str) -> Option<(TokenKind, usize)> {
    let prefix = rest.find(['"', '\'']).filter(|at| *at <= 2)?;
    let is_raw = match rest.get(..prefix)? {
        "" | "b" | "B" => false,
        "r" | "R" | "br" | "bR" | "Br" | "BR" => true,
        _ => return None,
    };
    let body = rest.get(prefix..)?;
    let is_triple = body.starts_with("\"\"\"") || body.starts_with("'''");
    let fence = body.get(..if is_triple { 3 } else { 1 })?;
    let mut at = fence.len();
    while let Some(inner) = body.get(at..) {
        if inner.starts_with(fence) {
            return Some((TokenKind::Quoted, prefix + at + fence.len()));
        }
        let mut chars = inner.chars();
        match chars.next() {
            Some('\\') if !is_raw => at += 1 + chars.next().map_or(0, char::len_utf8),
            None | Some('\n' | '\r') if !is_triple => break,
            Some(c) => at += c.len_utf8(),
            None => break,
        }
    }
    Some((TokenKind::Unclosed, rest.find(['\n', '\r']).unwrap_or(rest.len())))
}

/// Where the bracket that opens at `open` is closed; `None` where it never is.
pub(in crate::rules) fn closing(source: &str, open: usize) -> Option<usize> {
    let (mut depth, mut from) = (0_usize, open);
    loop {
        let token = next(source, from);
        match (token.kind, token.text) {
            (TokenKind::End, _) => return None,
            (TokenKind::Sign, "(") => depth += 1,
            (TokenKind::Sign, ")") => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(token.at);
                }
            }
            _ => {}
        }
        from = token.at + token.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(source: &str) -> Vec<(TokenKind, &str)> {
        let (mut tokens, mut from) = (Vec::new(), 0);
        loop {
            let token = next(source, from);
            if token.kind == TokenKind::End {
                return tokens;
            }
            tokens.push((token.kind, token.text));
            from = token.at + token.text.len();
        }
    }

    #[test]
    fn a_source_falls_into_tokens() {
        use TokenKind::{Escaped, Fraction, Quoted, Sign, Unclosed, Whole, Word};
        for (source, want) in [
            (" a.b_1 // c\n", &[(Word, "a"), (Sign, "."), (Word, "b_1")][..]),
            (
                "1u 0x1Fu .5 1e9",
                &[(Whole, "1u"), (Whole, "0x1Fu"), (Fraction, ".5"), (Fraction, "1e9")],
            ),
            (
                "1.5e-3 1.e 2e",
                &[
                    (Fraction, "1.5e-3"),
                    (Whole, "1"),
                    (Sign, "."),
                    (Word, "e"),
                    (Whole, "2"),
                    (Word, "e"),
                ],
            ),
            ("a<=b&c", &[(Word, "a"), (Sign, "<="), (Word, "b"), (Sign, "&"), (Word, "c")]),
            (
                r"'a\'b' r'\' '''x'y'''",
                &[(Quoted, r"'a\'b'"), (Quoted, r"r'\'"), (Quoted, "'''x'y'''")],
            ),
            ("bR'x' rb'x'", &[(Quoted, "bR'x'"), (Word, "rb"), (Quoted, "'x'")]),
            ("'a\nb", &[(Unclosed, "'a"), (Word, "b")]),
            ("a.`b-c` `", &[(Word, "a"), (Sign, "."), (Escaped, "`b-c`"), (Sign, "`")]),
            ("größe", &[(Word, "gr"), (Sign, "öße")]),
        ] {
            assert_eq!(tokens(source), want, "{source}");
        }
    }

    #[test]
    fn a_bracket_is_closed_outside_of_texts() {
        assert_eq!(closing("f(a(')'), \")\") + 1", 1), Some(13));
        assert_eq!(closing("f(a()", 1), None);
    }
}
