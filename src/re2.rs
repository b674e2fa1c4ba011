//! Patterns in RE2's syntax, as Prometheus and Alertmanager take them (Go's package `regexp`).
//!
//! The crate `regex` takes nearly the same words and gives some another meaning: `\d`, `\w`, `\s` and `\b` know all of
//! Unicode there, classes can be nested and have operators (`&&`, `--`, `~~`), `\<` is the start of a word, and
//! `{,2}` counts. [`translate`] rewrites a pattern so that it means what RE2 means; what RE2 does not have is left for
//! the crate to refuse.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes.
pub(crate) const PATTERN_BYTES_MAX: usize = 1024;
/// What a compiled pattern may take, in bytes: `\w{1000}{1000}` is short, too.
const PATTERN_COMPILED_MAX: usize = 1 << 20;

/// Compiles a pattern that has to match the whole text.
pub(crate) fn anchored(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("pattern longer than {PATTERN_BYTES_MAX} bytes"));
    }
    let mut builder = RegexBuilder::new(&format!("^(?:{})$", translate(pattern)));
    builder.size_limit(PATTERN_COMPILED_MAX).build().map_err(|error| {
        // The crate's text is several lines with a drawing; the last line says what it is.
        let words = error.to_string();
        let last = words.lines().last().unwrap_or_default();
        format!("bad regular expression: {}", last.trim_start_matches("error: "))
    })
}

/// The same pattern in the words of the crate `regex`.
pub(crate) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => escape(&mut rest, &mut out),
            '[' => class(&mut rest, &mut out),
            '{' if !counts(rest.clone()) => out.push_str(r"\{"),
            c => out.push(c),
        }
    }
    out
}

type Rest<'a> = Peekable<Chars<'a>>;

/// What stands behind a backslash, outside of a class.
fn escape(rest: &mut Rest<'_>, out: &mut String) {
    match rest.next() {
        None => out.push('\\'),
        Some('Q') => literal(rest, out),
        Some('d') => out.push_str("[0-9]"),
        Some('D') => out.push_str("[^0-9]"),
        Some('w') => out.push_str("[0-9A-Za-z_]"),
        Some('W') => out.push_str("[^0-9A-Za-z_]"),
        Some('s') => out.push_str(r"[\t\n\x0C\r ]"),
        Some('S') => out.push_str(r"[^\t\n\x0C\r ]"),
        Some('b') => out.push_str(r"(?-u:\b)"),
        Some('B') => out.push_str(r"(?-u:\B)"),
        Some(c) if c.is_ascii_punctuation() => plain(c, out),
        Some(c) => named_escape(c, rest, out),
    }
}

/// `\pL`, `\p{Greek}`, `\x41`, `\x{41}`, `\n`: the same in both; what one of them does not have is refused.
fn named_escape(c: char, rest: &mut Rest<'_>, out: &mut String) {
    out.extend(['\\', c]);
    if matches!(c, 'p' | 'P' | 'x') && rest.peek() == Some(&'{') {
        for c in rest.by_ref() {
            out.push(c);
            if c == '}' {
                return;
            }
        }
    }
}

/// `\Q…\E`: what stands between is meant literally, without an end all that follows.
fn literal(rest: &mut Rest<'_>, out: &mut String) {
    while let Some(c) = rest.next() {
        if c == '\\' && rest.next_if_eq(&'E').is_some() {
            return;
        }
        plain(c, out);
    }
}

/// One character that stands for itself, in a class and outside.
fn plain(c: char, out: &mut String) {
    // `\<` and `\>` are the ends of a word.
    if c.is_ascii_punctuation() && !matches!(c, '_' | '<' | '>') {
        out.push('\\');
    }
    out.push(c);
}

/// Whether `{` is followed by `2}`, `2,}` or `2,3}`; anything else makes it a plain character.
fn counts(mut rest: Rest<'_>) -> bool {
    let digits =
        |rest: &mut Rest<'_>| std::iter::from_fn(|| rest.next_if(char::is_ascii_digit)).count();
    if digits(&mut rest) == 0 {
        return false;
    }
    if rest.next_if_eq(&',').is_some() {
        digits(&mut rest);
    }
    rest.next() == Some('}')
}

/// A class behind its `[`: characters, ranges, escapes and `[:names:]`; nothing is nested, there are no operators.
fn class(rest: &mut Rest<'_>, out: &mut String) {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        let Some(c) = rest.next() else { return };
        match c {
            ']' if !first => {
                out.push(']');
                return;
            }
            '[' if rest.peek() == Some(&':') && named(rest, out) => {}
            '\\' => class_escape(rest, out),
            c => range(c, rest, out),
        }
        first = false;
    }
}

/// `[:alpha:]`, of which the bracket is read already; nothing is taken where it is none.
fn named(rest: &mut Rest<'_>, out: &mut String) -> bool {
    let mut ahead = rest.clone();
    ahead.next();
    let mut name = String::from("[:");
    while let Some(c) = ahead.next_if(|c| c.is_ascii_lowercase() || *c == '^') {
        name.push(c);
    }
    if ahead.next() != Some(':') || ahead.next() != Some(']') {
        return false;
    }
    out.push_str(&name);
    out.push_str(":]");
    *rest = ahead;
    true
}

/// What stands behind a backslash in a class.
fn class_escape(rest: &mut Rest<'_>, out: &mut String) {
    match rest.next() {
        None => out.push('\\'),
        Some('d') => out.push_str("0-9"),
        Some('w') => out.push_str("0-9A-Za-z_"),
        Some('s') => out.push_str(r"\t\n\x0C\r "),
        Some(c @ ('D' | 'W' | 'S')) => escape(&mut String::from(c).chars().peekable(), out),
        Some(c) if c.is_ascii_punctuation() => range(c, rest, out),
        Some(c) => named_escape(c, rest, out),
    }
}

/// A character of a class, and the end of the range that it begins, if it does.
fn range(first: char, rest: &mut Rest<'_>, out: &mut String) {
    plain(first, out);
    let mut ahead = rest.clone();
    if ahead.next() != Some('-') {
        return;
    }
    match ahead.next() {
        None | Some(']') => return,
        Some('\\') => {
            out.push('-');
            *rest = ahead;
            match rest.next() {
                Some(c) if c.is_ascii_punctuation() => plain(c, out),
                Some(c) => named_escape(c, rest, out),
                None => out.push('\\'),
            }
            return;
        }
        Some(last) => {
            out.push('-');
            plain(last, out);
        }
    }
    *rest = ahead;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_means_what_it_means_in_re2() {
        // The right-hand sides are those of Go 1.19, package regexp.
        for (pattern, hits, misses) in [
            (r"\d+", &["12"][..], &["٣", "1x"][..]),
            (r"\w+", &["a_1"], &["é", "a-"]),
            (r"\s", &[" ", "\t", "\n", "\x0C"], &["\u{a0}", "\x0B"]),
            (r"\S\D\W", &["\u{a0}a-", "éaé"], &["aab", " a-"]),
            (r"a\b.*", &["a b", "aé"], &["ab"]),
            (r"[\d,]+", &["1,2"], &["٣"]),
            (r"[\W]", &["é", "-"], &["a"]),
            (r"[a&&b]+", &["a&b"], &["c"]),
            (r"[a~~b]+", &["a~b"], &[]),
            (r"[+--]+", &["+,-"], &["."]),
            (r"[--a]+", &["-./A`a"], &["b", ","]),
            (r"[a[bc]", &["a", "[", "c"], &["[b"]),
            (r"[a[bc]]", &["a]", "[]", "b]"], &["a", "b"]),
            (r"[]a]+", &["]a"], &["b"]),
            (r"[^]a]", &["b"], &["]", "a"]),
            (r"[[:alpha:]_-]+", &["a_-"], &["1"]),
            (r"[[:^alpha:]]", &["1"], &["a"]),
            (r"[[:alpha]+", &["[:lph"], &["z"]),
            (r"[\]\[-]+", &["[]-"], &["a"]),
            (r"[\x41-\x43\x{e9}]+", &["ABCé"], &["D"]),
            (r"[a\-z]+", &["a-z"], &["b"]),
            (r"a\<b\>", &["a<b>"], &["ab"]),
            (r"a{,2}", &["a{,2}"], &["", "a", "aa"]),
            (r"a{x}", &["a{x}"], &["a"]),
            (r"a{2}", &["aa"], &["a{2}"]),
            (r"a{1,2}b{2,}", &["abb", "aabbbb"], &["aaabb"]),
            (r"a{", &["a{"], &["a"]),
            (r"\Qa.b\E.", &["a.bx"], &["axbx"]),
            (r"(?i)crit", &["CRIT", "crit"], &["crut"]),
            (r"a|b", &["a", "b"], &["ab"]),
            ("a$|^b", &["a", "b"], &["a\n"]),
            (r"\pL+\p{Greek}[\p{Greek}-]", &["éαα", "éα-"], &["1αα"]),
            (".", &["é"], &["\n"]),
        ] {
            let regex = anchored(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            for hit in hits {
                assert!(regex.is_match(hit), "{pattern} matches {hit:?}");
            }
            for miss in misses {
                assert!(!regex.is_match(miss), "{pattern} does not match {miss:?}");
            }
        }
    }

    #[test]
    fn what_re2_does_not_have_is_refused() {
        for pattern in [r"(a)\1", "(?=a)", "a**b(", r"\h", "[a", "[b-a]", r"[a-\d]", r"\"] {
            anchored(pattern).expect_err(pattern);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(pattern in "[a-c\\[\\]\\\\^:dwsbQE{},0-2&~.*|()?-]{0,12}") {
            drop(anchored(&pattern));
        }

        #[test]
        fn a_quoted_text_matches_itself(text in "[ -~]{0,12}") {
            prop_assume!(!text.contains('\\'));
            let pattern = format!("\\Q{text}\\E");
            prop_assert!(anchored(&pattern).expect("literal").is_match(&text));
        }
    }
}
