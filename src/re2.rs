//! RE2's regular expressions, by which CEL's `matches` and the matchers of Prometheus and Alertmanager are defined, in the
//! terms of the crate `regex`.
//!
//! The two are kin, and differ where it is not seen: here `\d`, `\w`, `\s` and `\b` know all of Unicode, `&&`, `--` and
//! `~~` within a class are set operators and a class may hold another, `\<` is the beginning of a word, `(?x)` ignores
//! white space and `a**` is taken. In RE2 the first are ASCII, the next plain characters, the last errors. So a
//! pattern is read by RE2's rules and written anew, with nothing left to be read in two ways.
//!
//! <https://github.com/google/re2/wiki/Syntax>

use std::fmt::Write as _;

use regex::bytes::{Regex, RegexBuilder};

/// Longest pattern of a matcher, in bytes.
const ANCHORED_BYTES_MAX: usize = 1024;
/// Size of a compiled pattern, in bytes: `\w{1000}{1000}` is short, too.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Most repetitions that a pattern may ask for, as in RE2.
const REPEAT_MAX: u32 = 1000;

const DIGITS: &str = "0-9";
const WORDS: &str = "0-9A-Za-z_";
const SPACES: &str = r"\t\n\x0C\r ";

/// Compiles a pattern, or says what is wrong with it.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = Translation { rest: pattern, out: String::new() }.all()?;
    RegexBuilder::new(&translated)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| message(&error))
}

/// Compiles a pattern that has to match the whole of a text.
pub(crate) fn anchored(pattern: &str) -> Result<regex::Regex, String> {
    if pattern.len() > ANCHORED_BYTES_MAX {
        return Err(format!("pattern longer than {ANCHORED_BYTES_MAX} bytes"));
    }
    let bad = |why: String| format!("bad regular expression: {why}");
    let translated = Translation { rest: pattern, out: String::new() }.all().map_err(bad)?;
    regex::RegexBuilder::new(&format!("^(?:{translated})$"))
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| bad(message(&error)))
}

/// The crate's text is several lines with a drawing; the last line says what it is.
fn message(error: &regex::Error) -> String {
    let words = error.to_string();
    words.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

struct Translation<'p> {
    rest: &'p str,
    out: String,
}

impl Translation<'_> {
    fn all(mut self) -> Result<String, String> {
        // Whether a repetition is what stands just before, which RE2 does not repeat.
        let mut is_repeated = false;
        while let Some(next) = self.next() {
            let was_repeated = std::mem::take(&mut is_repeated);
            match next {
                '*' | '+' | '?' => {
                    is_repeated = self.repeated(&next.to_string(), was_repeated)?;
                }
                '{' => match self.repetition() {
                    Some(repetition) => {
                        let repetition = repetition?;
                        is_repeated = self.repeated(&repetition, was_repeated)?;
                    }
                    None => self.literal('{'),
                },
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '.' | '^' | '$' | '|' | ')' => self.out.push(next),
                other => self.literal(other),
            }
        }
        Ok(self.out)
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = self.rest.get(next.len_utf8()..).unwrap_or_default();
        Some(next)
    }

    fn eat(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What stands before the next `end`, which is taken too.
    fn until(&mut self, end: char) -> Option<&str> {
        let (inner, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(inner)
    }

    /// One character that means itself, outside of a class or within.
    fn literal(&mut self, character: char) {
        if character.is_ascii_alphanumeric() || !character.is_ascii() {
            self.out.push(character);
        } else {
            write!(self.out, "\\x{:02X}", u32::from(character))
                .expect("writing to a string cannot fail");
        }
    }

    fn repeated(&mut self, operator: &str, was_repeated: bool) -> Result<bool, String> {
        if was_repeated {
            return Err(format!("a repetition cannot be repeated: `{operator}`"));
        }
        self.out.push_str(operator);
        if self.eat("?") {
            self.out.push('?');
        }
        Ok(true)
    }

    /// `{2}`, `{2,}` or `{2,5}`, of which the first brace was taken; `None` where it is a plain brace.
    fn repetition(&mut self) -> Option<Result<String, String>> {
        let (inner, rest) = self.rest.split_once('}')?;
        let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(least) || !(most.is_empty() || is_number(most)) {
            return None;
        }
        self.rest = rest;
        let is_small = |text: &str| text.parse::<u32>().is_ok_and(|number| number <= REPEAT_MAX);
        Some(if is_small(least) && (most.is_empty() || is_small(most)) {
            Ok(format!("{{{inner}}}"))
        } else {
            Err(format!("more than {REPEAT_MAX} repetitions"))
        })
    }

    /// A group, of which the bracket was taken.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if !self.eat("?") {
            return Ok(());
        }
        self.out.push('?');
        if self.eat("P<") || self.eat("<") {
            let name = self.until('>').unwrap_or_default().to_owned();
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_name) {
                return Err("a group's name has letters, digits and `_`".to_owned());
            }
            write!(self.out, "P<{name}>").expect("writing to a string cannot fail");
            return Ok(());
        }
        while let Some(flag) = self.next() {
            match flag {
                'i' | 'm' | 's' | 'U' | '-' => self.out.push(flag),
                ':' | ')' => {
                    self.out.push(flag);
                    return Ok(());
                }
                _ => break,
            }
        }
        Err("after `(?` stand flags of i, m, s and U".to_owned())
    }

    /// An escape outside of a class, of which the backslash was taken.
    fn escape(&mut self) -> Result<(), String> {
        let set = |inner: &str, is_negated: bool| {
            format!("[{}{inner}]", if is_negated { "^" } else { "" })
        };
        match self.rest.chars().next() {
            Some('A') => self.out.push_str(r"\A"),
            Some('z') => self.out.push_str(r"\z"),
            Some('b') => self.out.push_str(r"(?-u:\b)"),
            Some('B') => self.out.push_str(r"(?-u:\B)"),
            Some('Q') => {
                self.next();
                let (text, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                text.chars().for_each(|character| self.literal(character));
                return Ok(());
            }
            Some('C') => return Err("`\\C` would match a part of a character".to_owned()),
            Some(letter) => {
                let Some(inner) = perl(letter) else {
                    return self.character_or_property();
                };
                self.out.push_str(&set(inner, letter.is_ascii_uppercase()));
            }
            None => return Err("a backslash at the end".to_owned()),
        }
        self.next();
        Ok(())
    }

    /// An escape that is the same within a class and outside of it.
    fn character_or_property(&mut self) -> Result<(), String> {
        if self.rest.starts_with(['p', 'P']) {
            return self.property();
        }
        let character = self.character()?;
        self.literal(character);
        Ok(())
    }

    /// `\pL`, `\p{Greek}`, `\p{^Greek}` or `\P{Greek}`
    fn property(&mut self) -> Result<(), String> {
        let wrong = || "after `\\p` stands a letter, or a name in braces".to_owned();
        let mut is_negated = self.next() == Some('P');
        let name = if self.eat("{") {
            is_negated ^= self.eat("^");
            self.until('}').ok_or_else(wrong)?.to_owned()
        } else {
            self.next().ok_or_else(wrong)?.to_string()
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphabetic() || c == '_') {
            return Err(wrong());
        }
        let letter = if is_negated { 'P' } else { 'p' };
        // RE2's name for everything.
        let name = if name == "Any" { "any" } else { &name };
        write!(self.out, "\\{letter}{{{name}}}").expect("writing to a string cannot fail");
        Ok(())
    }

    /// The character behind a backslash that was taken.
    fn character(&mut self) -> Result<char, String> {
        let letter = self.next().ok_or("a backslash at the end")?;
        let wrong = || format!("`\\{letter}` is no escape");
        let digits = |rest: &str, most: usize, base: u32| {
            rest.chars().take(most).take_while(|c| c.is_digit(base)).count()
        };
        let (code, length) = match letter {
            'a' => return Ok('\u{7}'),
            'f' => return Ok('\u{c}'),
            't' => return Ok('\t'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            'v' => return Ok('\u{b}'),
            'x' if self.eat("{") => {
                let hex = self.until('}').unwrap_or_default();
                let is_hex = !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit());
                (is_hex.then(|| u32::from_str_radix(hex, 16).ok()).flatten(), 0)
            }
            'x' => (
                self.rest
                    .get(..2)
                    .filter(|hex| digits(hex, 2, 16) == 2)
                    .and_then(|hex| u32::from_str_radix(hex, 16).ok()),
                2,
            ),
            // One digit alone would be what a group has matched, which RE2 does not look back at.
            '0'..='7' => {
                let more = digits(self.rest, 2, 8);
                if letter != '0' && more == 0 {
                    return Err(wrong());
                }
                let octal = format!("{letter}{}", self.rest.get(..more).unwrap_or_default());
                (u32::from_str_radix(&octal, 8).ok(), more)
            }
            _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => return Ok(letter),
            _ => (None, 0),
        };
        self.rest = self.rest.get(length..).unwrap_or_default();
        code.and_then(char::from_u32).ok_or_else(wrong)
    }

    /// A class, of which the bracket was taken.
    fn class(&mut self) -> Result<(), String> {
        let unclosed = || "a class is never closed".to_owned();
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        let mut is_first = true;
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            if self.rest.starts_with("[:") && self.rest.contains(":]") {
                self.posix()?;
                continue;
            }
            if let Some(escape) = self.rest.strip_prefix('\\') {
                let letter = escape.chars().next().ok_or_else(unclosed)?;
                if let Some(inner) = perl(letter) {
                    self.rest = escape.get(1..).unwrap_or_default();
                    if letter.is_ascii_uppercase() {
                        write!(self.out, "[^{inner}]").expect("writing to a string cannot fail");
                    } else {
                        self.out.push_str(inner);
                    }
                    continue;
                }
                if matches!(letter, 'p' | 'P') {
                    self.rest = escape;
                    self.property()?;
                    continue;
                }
            }
            let low = self.class_character().ok_or_else(unclosed)??;
            self.literal(low);
            let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            if is_range && self.rest.len() > 1 {
                self.next();
                let high = self.class_character().ok_or_else(unclosed)??;
                if high < low {
                    return Err(format!("the range `{low}-{high}` is upside down"));
                }
                self.out.push('-');
                self.literal(high);
            }
        }
        self.next().ok_or_else(unclosed)?;
        self.out.push(']');
        Ok(())
    }

    fn class_character(&mut self) -> Option<Result<char, String>> {
        match self.next()? {
            '\\' => Some(self.character()),
            other => Some(Ok(other)),
        }
    }

    /// `[:alpha:]` or `[:^alpha:]` within a class.
    fn posix(&mut self) -> Result<(), String> {
        const NAMES: &[&str] = &[
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print",
            "punct", "space", "upper", "word", "xdigit",
        ];
        let (class, rest) = self.rest.split_once(":]").unwrap_or_default();
        let name = class.trim_start_matches("[:");
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(format!("unknown class `{class}:]`"));
        }
        write!(self.out, "[:{name}:]").expect("writing to a string cannot fail");
        self.rest = rest;
        Ok(())
    }
}

/// What stands in the class that a letter after a backslash means; of a capital what does not.
fn perl(letter: char) -> Option<&'static str> {
    match letter {
        'd' | 'D' => Some(DIGITS),
        'w' | 'W' => Some(WORDS),
        's' | 'S' => Some(SPACES),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_re2() {
        for (pattern, yes, no) in [
            (r"^\d+$", "0123", "٣"),
            (r"^\w$", "_", "é"),
            (r"^\W$", "é", "w"),
            (r"^\s$", "\t", "\u{a0}"),
            (r"^\s$", "\u{c}", "\u{b}"),
            (r"\bab\b", "éabé", "xab"),
            (r"^a\Bb$", "ab", "a b"),
            ("^[a&&b]+$", "a&b", "c"),
            ("^[+--b]+$", "+,-b", "c"),
            ("^[a~~b]+$", "~", "c"),
            ("^[[a]$", "[", "]"),
            ("^[]a]$", "]", "b"),
            ("^[^]a]$", "b", "]"),
            ("^[a-]$", "-", "b"),
            ("^[-a]$", "-", "b"),
            (r"^[\d\-x]$", "-", "٣"),
            (r"^[^\D]$", "7", "x"),
            (r"^[\s\S]$", "\n", "ab"),
            ("^[[:alpha:][:^space:]]$", "1", " "),
            (r"^\<a\>$", "<a>", "a"),
            ("^a{,2}$", "a{,2}", "aa"),
            ("^{a}$", "{a}", "a"),
            ("^a{2}$", "aa", "a{2}"),
            (r"^\Qa.b\E.$", "a.bc", "axbc"),
            (r"^\101\x41\x{1F600}$", "AA\u{1F600}", "A"),
            (r"^\p{Greek}\pL\p{^Greek}\P{L}$", "αβb1", "aβb1"),
            ("(?i)^ä(?-i)b$", "Äb", "ÄB"),
            ("(?s)^.$", "\n", ""),
            ("^.$", "é", "\n"),
            ("^a$", "a", "a\n"),
            ("(?P<x>a)(?:b)(?<y>c)", "abc", "ab"),
            ("^ #$", " #", "#"),
            ("^a*?b+?$", "aab", "a"),
            ("", "", "\u{0}never"),
        ] {
            let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert!(regex.is_match(yes.as_bytes()), "{pattern} {yes}");
            assert!(pattern.is_empty() || !regex.is_match(no.as_bytes()), "{pattern} {no}");
        }
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for pattern in [
            "a**",
            "a+*",
            "a{2}{3}",
            "a*+",
            "*a",
            "(",
            ")",
            "[a",
            "[]",
            "(?x)a",
            "(?u)a",
            "(?=a)",
            "(?<!a)",
            r"\1",
            r"(a)\1",
            r"\Z",
            r"\G",
            r"\8",
            r"\y",
            r"[\b]",
            "[b-a]",
            "[[:nope:]]",
            r"\p{Nope}",
            r"\C",
            "a{1001}",
            r"\xZ",
            "\\",
            r"[a-\d]",
            "[a--b]",
            "[a--b]",
        ] {
            compile(pattern).expect_err(pattern);
        }
    }

    #[test]
    fn a_matchers_pattern_means_what_it_means_in_go() {
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
    fn what_a_matcher_may_not_have_is_refused() {
        for pattern in [r"(a)\1", "(?=a)", "a**b(", r"\h", "[a", "[b-a]", r"[a-\d]", r"\"] {
            anchored(pattern).expect_err(pattern);
        }
    }
}
