//! A first look at an expression's text, before the parser sees it: length, depth and number of parts.
//!
//! The parser at hand recurses with large frames and would overflow its stack, which aborts the process; what
//! passes here fits the stack that [`super::expression`] parses on, with a wide margin.

use super::checker::Flaw;

/// Longest source, in bytes.
pub(super) const SOURCE_BYTES_MAX: usize = 1024;
/// Deepest nesting of brackets and conditionals together.
pub(super) const NESTING_MAX: usize = 24;
/// Most words, numbers, operators and brackets.
pub(super) const TOKENS_MAX: usize = 400;

/// Refuses what is too long or too deep. Texts in quotes and comments count as one token and none.
pub(super) fn check(source: &str) -> Result<(), Flaw> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(Flaw::new(0, format!("expression longer than {SOURCE_BYTES_MAX} bytes")));
    }
    let (mut tokens, mut brackets, mut conditionals) = (0_usize, 0_usize, 0_usize);
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let at = source.len() - rest.len();
        let taken = token_len(rest, first);
        match first {
            c if c.is_whitespace() => {}
            '/' if rest.starts_with("//") => {}
            _ => tokens += 1,
        }
        match first {
            '(' | '[' | '{' => brackets += 1,
            ')' | ']' | '}' => brackets = brackets.saturating_sub(1),
            '?' => conditionals += 1,
            _ => {}
        }
        if brackets + conditionals > NESTING_MAX {
            return Err(Flaw::new(at, format!("nested more than {NESTING_MAX} deep")));
        }
        if tokens > TOKENS_MAX {
            return Err(Flaw::new(at, format!("more than {TOKENS_MAX} parts in one expression")));
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(())
}

/// Where the bracket that opens at `open` is closed; `None` where it never is.
pub(super) fn closing(source: &str, open: usize) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, open);
    while let Some(first) = source.get(at..).and_then(|rest| rest.chars().next()) {
        match first {
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += token_len(source.get(at..).unwrap_or_default(), first);
    }
    None
}

/// Length in bytes of the token that `rest` starts with.
fn token_len(rest: &str, first: char) -> usize {
    let while_true = |want: fn(char) -> bool| rest.find(|c| !want(c)).unwrap_or(rest.len());
    match first {
        '"' | '\'' => text_len(rest, first),
        '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
        c if c.is_alphanumeric() || c == '_' => while_true(|c| c.is_alphanumeric() || c == '_'),
        c if c.is_whitespace() => while_true(char::is_whitespace),
        c => c.len_utf8(),
    }
}

/// Length of a quoted text. Prefixes such as `r` are counted as a word before it, and the escapes of a raw text
/// are taken as escapes: at worst a bracket inside of it counts.
fn text_len(rest: &str, quote: char) -> usize {
    let triple = [quote; 3].iter().collect::<String>();
    let fence = if rest.starts_with(&triple) { triple } else { quote.to_string() };
    let mut at = fence.len();
    while let Some(inner) = rest.get(at..) {
        if inner.starts_with(&fence) {
            return at + fence.len();
        }
        let mut chars = inner.chars();
        match chars.next() {
            Some('\\') => at += 1 + chars.next().map_or(0, char::len_utf8),
            Some(c) => at += c.len_utf8(),
            None => break,
        }
    }
    // No end: the rest may be anything, so it is looked at as if the quote were not there.
    quote.len_utf8()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_long_or_too_deep_is_refused() {
        let deep = "(".repeat(NESTING_MAX);
        for (source, want) in [
            (String::new(), None),
            ("a".repeat(SOURCE_BYTES_MAX), None),
            ("a".repeat(SOURCE_BYTES_MAX + 1), Some((0, "longer than 1024 bytes"))),
            (deep.clone(), None),
            (format!("{deep}("), Some((24, "nested more than 24 deep"))),
            (format!("{deep}a?"), Some((25, "nested more than 24 deep"))),
            (format!("'{deep}(' \"{deep}?\" '''{deep}''' // {deep}"), None),
            (format!("'{deep}("), Some((25, "nested"))),
            (format!("'\\'{deep}(' "), None),
            ("1+".repeat(200), None),
            (format!("{}1", "1+".repeat(200)), Some((400, "more than 400 parts"))),
        ] {
            match (check(&source), want) {
                (Ok(()), None) => {}
                (Err(flaw), Some((at, words))) => {
                    assert_eq!(flaw.at, at, "{source}: {}", flaw.message);
                    assert!(flaw.message.contains(words), "{source}: {}", flaw.message);
                }
                (got, want) => panic!("{source}: {got:?}, wanted {want:?}"),
            }
        }
    }
}
