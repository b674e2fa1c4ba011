//! Label matchers: `severity="critical"`, `team=~"billing|finance"`.

use std::fmt::{self, Write as _};
use std::ops::Range;

use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::re2;
use crate::rules::Labels;

/// The longer ones first: `=` is the beginning of `=~`.
const OPERATORS: [MatchOp; 4] =
    [MatchOp::Matches, MatchOp::NotMatches, MatchOp::NotEqual, MatchOp::Equal];
/// What is said of half a pair of braces: mostly it belongs to a pattern.
const ONE_BRACE: &str =
    "one brace without the other: put a value that begins or ends with a brace in double quotes";

/// A condition on one label. A label that is not there has the empty value, as in Alertmanager.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    /// The anchored pattern of `=~` and `!~`.
    pattern: Option<Regex>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Matches,
    /// `!~`, anchored at both ends
    NotMatches,
}

impl MatchOp {
    /// The operator as written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
        }
    }
}

/// Why a text is no matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MatcherError {
    /// Character in the text, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

impl Matcher {
    /// Reads one matcher as it is kept and shown; see [`Matcher::parse_list`].
    pub fn parse(text: &str) -> Result<Self, MatcherError> {
        let mut list = Self::parse_list(text)?;
        match (list.pop(), list.len()) {
            (Some(one), 0) => Ok(one),
            _ => Err(MatcherError {
                column: 1,
                message:
                    "more than one matcher: give each by itself, or put a value with a comma in \
                          double quotes"
                        .to_owned(),
            }),
        }
    }

    /// Reads matchers as Alertmanager does: `name op value`, separated by commas, in braces or not; at least one.
    ///
    /// A value may stand in double quotes. `\"`, `\\` and `\n` are escapes, in quotes and outside; any other backslash
    /// stands for itself. Where Alertmanager takes what nobody means (one brace, no matcher at all) or means a label that
    /// no alert can have, it is an error. `docs/alertmanager.md` lists these.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, MatcherError> {
        let list = List::new(text)?;
        let tokens = list.tokens();
        if tokens.is_empty() {
            return Err(list.error(0, "no matcher in it, and every alert would match"));
        }
        let matchers = tokens.into_iter().map(|token| list.matcher(token));
        matchers.collect()
    }

    /// Makes a matcher; fails on a bad regular expression.
    pub fn new(name: &str, op: MatchOp, value: String) -> Result<Self, String> {
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Matches | MatchOp::NotMatches => Some(re2::anchored(&value)?),
        };
        Ok(Self { name: name.to_owned(), op, value, pattern })
    }

    /// Whether the labels satisfy it.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        let hit =
            self.pattern.as_ref().map_or(value == self.value, |pattern| pattern.is_match(value));
        match self.op {
            MatchOp::Equal | MatchOp::Matches => hit,
            MatchOp::NotEqual | MatchOp::NotMatches => !hit,
        }
    }

    /// The anchored pattern of `=~` and `!~`.
    pub fn pattern(&self) -> Option<&Regex> {
        self.pattern.as_ref()
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What it compares with: a text, or the pattern as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The label it looks at.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// As it is written: [`Matcher::parse`] reads the same matcher back.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}\"", self.name, self.op.as_str())?;
        // What `unquote` takes back, and nothing else: it is also how matchers are kept.
        for c in self.value.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// Whether Prometheus takes this as a label name.
pub(crate) fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A text of matchers, without its braces.
struct List<'t> {
    text: &'t str,
    /// Where the matchers begin and end, in bytes.
    inner: Range<usize>,
    /// A label name stands in quotes: then Alertmanager reads all of the text by other rules.
    quoted_names: bool,
}

impl<'t> List<'t> {
    fn new(text: &'t str) -> Result<Self, MatcherError> {
        let trimmed = text.trim_matches(is_space);
        let start = text.len() - text.trim_start_matches(is_space).len();
        let end = start + trimmed.len();
        let whole = Self { text, inner: start..end, quoted_names: false };
        let inner = match (trimmed.starts_with('{'), trimmed.ends_with('}')) {
            (true, true) if trimmed.len() > 1 => start + 1..end - 1,
            (false, false) => start..end,
            (true, _) => return Err(whole.error(start, ONE_BRACE)),
            (false, true) => return Err(whole.error(end - 1, ONE_BRACE)),
        };
        let list = Self { inner, ..whole };
        let quoted_names =
            list.tokens().into_iter().any(|token| list.of(token).trim_start().starts_with('"'));
        Ok(Self { quoted_names, ..list })
    }

    /// The parts between commas that stand outside of quotes; a last comma may have nothing behind it.
    fn tokens(&self) -> Vec<Range<usize>> {
        let (mut tokens, mut start) = (Vec::new(), self.inner.start);
        let (mut quoted, mut escaped) = (false, false);
        for (at, c) in self.of(self.inner.clone()).char_indices() {
            let at = self.inner.start + at;
            match c {
                ',' if !quoted => {
                    tokens.push(start..at);
                    start = at + 1;
                }
                '"' if !escaped => quoted = !quoted,
                _ => {}
            }
            escaped = c == '\\' && !escaped;
        }
        if !self.of(start..self.inner.end).trim_matches(is_space).is_empty() {
            tokens.push(start..self.inner.end);
        }
        tokens
    }

    fn of(&self, range: Range<usize>) -> &'t str {
        self.text.get(range).unwrap_or_default()
    }

    /// An error at a byte of the text.
    fn error(&self, at: usize, message: impl Into<String>) -> MatcherError {
        let before = self.text.get(..at).unwrap_or(self.text).chars().count();
        let column = u32::try_from(before).map_or(u32::MAX, |chars| chars.saturating_add(1));
        MatcherError { column, message: message.into() }
    }

    fn matcher(&self, token: Range<usize>) -> Result<Matcher, MatcherError> {
        let text = self.of(token.clone());
        let start = token.start + (text.len() - text.trim_start_matches(is_space).len());
        let (name, rest) = self.name(start, token.end)?;
        let rest = rest + self.spaces(rest..token.end);
        let behind = self.of(rest..token.end);
        let found = OPERATORS.into_iter().find(|op| behind.starts_with(op.as_str()));
        let Some(op) = found else {
            return Err(self.error(rest, "expected one of = != =~ !~ after the label name"));
        };
        let value_at = rest + op.as_str().len();
        let value_at = value_at + self.spaces(value_at..token.end);
        let value = self.of(value_at..token.end).trim_end_matches(is_space);
        let value = self.value(value).map_err(|message| self.error(value_at, message))?;
        Matcher::new(name, op, value).map_err(|message| self.error(value_at, message))
    }

    /// The label name at `start`, and where it ends.
    fn name(&self, start: usize, end: usize) -> Result<(&'t str, usize), MatcherError> {
        let text = self.of(start..end);
        let (name, after) = if let Some(inner) = text.strip_prefix('"') {
            let close =
                inner.find('"').ok_or_else(|| self.error(start, "the closing quote is missing"))?;
            (inner.get(..close).unwrap_or_default(), start + close + 2)
        } else {
            let length =
                text.find(|c: char| is_space(c) || "=!,{}\"'`~".contains(c)).unwrap_or(text.len());
            (text.get(..length).unwrap_or_default(), start + length)
        };
        if is_label_name(name) {
            Ok((name, after))
        } else {
            Err(self.error(start, "expected a label name: letters, digits and _, no digit first"))
        }
    }

    fn spaces(&self, range: Range<usize>) -> usize {
        let text = self.of(range);
        text.len() - text.trim_start_matches(is_space).len()
    }

    /// A value, without its quotes and escapes.
    fn value(&self, text: &str) -> Result<String, &'static str> {
        let inner = text.strip_prefix('"');
        if inner.is_none() && text.starts_with(['\'', '`']) {
            return Err("Alertmanager takes this quote for a part of the value: use double quotes");
        }
        if inner.is_none() && text.trim() != text {
            return Err("white space that is not ASCII: put the value in double quotes");
        }
        let mut value = String::with_capacity(text.len());
        let mut chars = inner.unwrap_or(text).chars();
        while let Some(c) = chars.next() {
            match c {
                '"' if inner.is_none() => {
                    return Err("a quote in the middle of a value: put the whole value in quotes");
                }
                '"' if chars.as_str().is_empty() => return Ok(value),
                '"' => return Err("text after the closing quote"),
                '\\' => match chars.next() {
                    Some('n') => value.push('\n'),
                    Some(c @ ('"' | '\\')) => value.push(c),
                    Some(_) if self.quoted_names => {
                        return Err(
                            "beside a label name in quotes Alertmanager reads this escape in another way: \
                                    write label names without quotes",
                        );
                    }
                    // A pattern such as "\d+" is what people write.
                    Some(c) => value.extend(['\\', c]),
                    None if inner.is_none() => value.push('\\'),
                    None => break,
                },
                c => value.push(c),
            }
        }
        if inner.is_some() { Err("the closing quote is missing") } else { Ok(value) }
    }
}

/// What Alertmanager's expressions call white space.
fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_operator_compares_as_in_alertmanager() {
        let labels = labels(&[("severity", "critical"), ("team", "finance")]);
        for (text, want) in [
            (r#"severity="critical""#, true),
            ("severity=critical", true),
            (r#" severity = "warning" "#, false),
            (r#"severity!="warning""#, true),
            (r#"team=~"billing|finance""#, true),
            (r#"team=~"fin""#, false),
            (r#"team!~"fin""#, true),
            (r#"missing="""#, true),
            (r#"missing!="""#, false),
            (r#"missing=~".+""#, false),
            (r#"team=~"f\w+""#, true),
        ] {
            assert_eq!(Matcher::parse(text).expect(text).matches(&labels), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_matcher_is_read_back_as_it_was_written(value in any::<String>()) {
            let matcher = Matcher::new("a", MatchOp::NotEqual, value).expect("no pattern");
            prop_assert_eq!(Matcher::parse(&matcher.to_string()), Ok(matcher));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            for matcher in Matcher::parse_list(&text).unwrap_or_default() {
                prop_assert_eq!(Matcher::parse(&matcher.to_string()), Ok(matcher));
            }
        }
    }

    /// The matchers of a text as they are kept.
    fn list(text: &str) -> Result<Vec<String>, String> {
        let list = Matcher::parse_list(text).map_err(|error| error.to_string())?;
        Ok(list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_text_of_matchers_is_read_as_alertmanager_reads_it() {
        for (text, want) in [
            ("severity=critical,team=voice", &[r#"severity="critical""#, r#"team="voice""#][..]),
            (r#"{a="b", c=~"d"}"#, &[r#"a="b""#, r#"c=~"d""#]),
            (r#" { a = "b" , c != d , } "#, &[r#"a="b""#, r#"c!="d""#]),
            ("a=b,", &[r#"a="b""#]),
            (r#"a="b,c",d=e"#, &[r#"a="b,c""#, r#"d="e""#]),
            (r#"a="{b}",d="}""#, &[r#"a="{b}""#, r#"d="}""#]),
            ("{a=~x{2}}", &[r#"a=~"x{2}""#]),
            ("{a=b}}", &[r#"a="b}""#]),
            ("a=b c", &[r#"a="b c""#]),
            ("a==b", &[r#"a="=b""#]),
            ("a=~~~", &[r#"a=~"~~""#]),
            ("a=!b", &[r#"a="!b""#]),
            ("a=", &[r#"a="""#]),
            (r#"a="""#, &[r#"a="""#]),
            (r"a=b\n", &["a=\"b\\n\""]),
            (r#"a=\""#, &[r#"a="\"""#]),
            (r"a=\\b\c\", &[r#"a="\\b\\c\\""#]),
            (r#"a="\d\"\\""#, &[r#"a="\\d\"\\""#]),
            (r#"a="\xf0""#, &[r#"a="\\xf0""#]),
            (r#""a"="b", c=d"#, &[r#"a="b""#, r#"c="d""#]),
            ("a=\u{1f642}", &["a=\"\u{1f642}\""]),
            ("a=\"b\nc\"", &["a=\"b\\nc\""]),
        ] {
            let want: Vec<String> = want.iter().map(ToString::to_string).collect();
            assert_eq!(list(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_nobody_means_is_refused_where_alertmanager_takes_it() {
        for (text, words) in [
            ("", "no matcher"),
            ("{}", "no matcher"),
            ("{a=b", "one brace"),
            ("a=~b{2}", "one brace"),
            ("}", "one brace"),
            (r#"a="}"#, "one brace"),
            (",", "label name"),
            ("a=b,,c=d", "label name"),
            ("a=~b{1,2}c", "label name"),
            ("a='b'", "double quotes"),
            ("a=`b`", "double quotes"),
            ("a=b\u{a0}", "white space"),
            ("a-b=c", "label name"),
            ("a:b=c", "label name"),
            ("\u{1f642}=c", "label name"),
            (r#""a-b"=c"#, "label name"),
            (r#""a=b"#, "closing quote"),
            (r#""a"="\t""#, "without quotes"),
            (r#""{a=b}""#, "label name"),
            (r#"a=b"c"#, "in the middle"),
            (r#"a=b\\""#, "in the middle"),
            ("a!b", "expected one of"),
            ("a", "expected one of"),
        ] {
            let error = list(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_short_pattern_that_takes_much_memory_is_refused() {
        for (pattern, fits) in
            [("x{1000}", true), (r"\p{L}{1,20}", true), (r"\p{L}{100}{100}", false)]
        {
            let made = Matcher::new("a", MatchOp::Matches, pattern.to_owned());
            assert_eq!(made.is_ok(), fits, "{pattern}: {made:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_column() {
        for (text, column, words) in [
            ("severity", 9, "expected one of"),
            ("9x=1", 1, "label name"),
            (r#"a="b"#, 3, "closing quote"),
            (r#"a="b"c"#, 3, "after the closing quote"),
            (r#"a=~"(""#, 4, "regular expression"),
            ("", 1, "no matcher"),
            ("a=b, 9x=c", 6, "label name"),
            ("{a=b, c=d\"}", 9, "in the middle"),
            (" {é=b}", 3, "label name"),
        ] {
            let error = Matcher::parse(text).expect_err(text);
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(words), "{text}: {error}");
        }
    }
}
