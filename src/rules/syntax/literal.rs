//! What literals stand for.

use rust_decimal::Decimal;

use super::ExprKind;
use super::lexer::{Token, TokenKind};
use crate::rules::number;

/// The value of a literal's token, or what is wrong with it.
pub(super) fn value(token: Token<'_>, is_negative: bool) -> Result<ExprKind, String> {
    match token.kind {
        TokenKind::Whole => whole(token.text, is_negative),
        TokenKind::Fraction => fraction(token.text, is_negative),
        _ => quoted(token.text),
    }
}

fn whole(text: &str, is_negative: bool) -> Result<ExprKind, String> {
    let (digits, is_unsigned) = match text.strip_suffix(['u', 'U']) {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i128::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let magnitude = magnitude.unwrap_or(i128::MAX);
    if is_unsigned && is_negative {
        return Err("invalid uint literal".to_owned());
    }
    if is_unsigned {
        return u64::try_from(magnitude)
            .map(ExprKind::Uint)
            .map_err(|_range| "invalid uint literal".to_owned());
    }
    let int = if is_negative { -magnitude } else { magnitude };
    i64::try_from(int).map(ExprKind::Int).map_err(|_range| "invalid int literal".to_owned())
}

fn fraction(text: &str, is_negative: bool) -> Result<ExprKind, String> {
    let text = if is_negative { format!("-{text}") } else { text.to_owned() };
    let double = text.parse::<f64>().ok().filter(|double| double.is_finite());
    let double = double.ok_or_else(|| "invalid double literal".to_owned())?;
    // A decimal zero has no sign; and what is beyond every amount is a float, as in all of CEL.
    let is_kept = |exact: &Decimal| !exact.is_zero() && number::in_bounds(exact);
    let exact = number::decimal(&text).filter(is_kept);
    Ok(ExprKind::Double(double, exact))
}

fn quoted(text: &str) -> Result<ExprKind, String> {
    let start = text.find(['"', '\'']).unwrap_or(0);
    let (prefix, body) = text.split_at_checked(start).unwrap_or(("", text));
    let is_bytes = prefix.contains(['b', 'B']);
    let is_raw = prefix.contains(['r', 'R']);
    let is_triple = body.len() >= 6 && (body.starts_with("\"\"\"") || body.starts_with("'''"));
    let fence = if is_triple { 3 } else { 1 };
    let inner = body.get(fence..body.len().saturating_sub(fence)).unwrap_or_default();
    let bytes = if is_raw { inner.as_bytes().to_vec() } else { unescaped(inner, is_bytes)? };
    if is_bytes {
        return Ok(ExprKind::Bytes(bytes));
    }
    String::from_utf8(bytes).map(ExprKind::String).map_err(|_utf8| "invalid escape".to_owned())
}

/// The text behind the escapes. In bytes `\x` and octal escapes are bytes, in a text they are code points.
fn unescaped(text: &str, is_bytes: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.extend_from_slice(plain.as_bytes());
        let mut chars = escape.chars().skip(1);
        let letter = chars.next().unwrap_or_default();
        let simple = match letter {
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            '\\' | '?' | '"' | '\'' | '`' => Some(letter),
            _ => None,
        };
        // Where the digits begin, how many there are, and their base.
        let (from, count, base) = match letter {
            _ if simple.is_some() => (2, 0, 16),
            'x' | 'X' => (2, 2, 16),
            'u' if !is_bytes => (2, 4, 16),
            'U' if !is_bytes => (2, 8, 16),
            '0'..='3' => (1, 3, 8),
            _ => return Err(format!("unknown escape `\\{letter}`")),
        };
        let digits = escape.get(from..from + count);
        let wrong = || format!("`\\{letter}` needs {count} digits");
        if let Some(simple) = simple {
            out.extend_from_slice(simple.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            let digits = digits.filter(|digits| digits.chars().all(|c| c.is_digit(base)));
            let code = digits.and_then(|digits| u32::from_str_radix(digits, base).ok());
            let code = code.ok_or_else(wrong)?;
            match (is_bytes, u8::try_from(code), char::from_u32(code)) {
                (true, Ok(byte), _) => out.push(byte),
                (false, _, Some(c)) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                _ => return Err(format!("`\\{letter}` names no character")),
            }
        }
        rest = escape.get(from + count..).unwrap_or_default();
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}
