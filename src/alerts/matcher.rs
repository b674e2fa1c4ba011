//! Label matchers: `severity="critical"`, `team=~"billing|finance"`.

use std::fmt::{self, Write as _};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::rules::Labels;

/// Longest pattern of a regular expression, in bytes.
const PATTERN_BYTES_MAX: usize = 1024;
/// What a compiled pattern may take, in bytes: `\w{1000}{1000}` is short, too.
const PATTERN_COMPILED_MAX: usize = 1 << 20;

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
    /// Reads `name op value`; the value may stand in double quotes, with `\"`, `\\` and `\n` inside.
    pub fn parse(text: &str) -> Result<Self, MatcherError> {
        let error = |at: usize, message: &str| MatcherError {
            column: u32::try_from(text.get(..at).unwrap_or(text).chars().count())
                .map_or(u32::MAX, |chars| chars.saturating_add(1)),
            message: message.to_owned(),
        };
        let op_at = text
            .find(['=', '!'])
            .ok_or_else(|| error(text.len(), "expected one of = != =~ !~ after the label name"))?;
        let (name, rest) = text.split_at(op_at);
        let name = name.trim();
        if !is_label_name(name) {
            return Err(error(0, "expected a label name: letters, digits and _, no digit first"));
        }
        let (op, value) = [
            ("=~", MatchOp::Matches),
            ("!~", MatchOp::NotMatches),
            ("!=", MatchOp::NotEqual),
            ("=", MatchOp::Equal),
        ]
        .into_iter()
        .find_map(|(word, op)| rest.strip_prefix(word).map(|value| (op, value)))
        .ok_or_else(|| error(op_at, "expected one of = != =~ !~"))?;
        let value_at = text.len() - value.trim_start().len();
        let value = unquote(value.trim()).map_err(|message| error(value_at, message))?;
        Self::new(name, op, value)
            .map_err(|message| MatcherError { message, ..error(value_at, "") })
    }

    /// Makes a matcher; fails on a bad regular expression.
    pub fn new(name: &str, op: MatchOp, value: String) -> Result<Self, String> {
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Matches | MatchOp::NotMatches if value.len() > PATTERN_BYTES_MAX => {
                return Err(format!("pattern longer than {PATTERN_BYTES_MAX} bytes"));
            }
            MatchOp::Matches | MatchOp::NotMatches => {
                let mut pattern = RegexBuilder::new(&format!("^(?:{value})$"));
                Some(pattern.size_limit(PATTERN_COMPILED_MAX).build().map_err(|error| {
                    // The crate's text is several lines with a drawing; the last line says what it is.
                    let words = error.to_string();
                    let last = words.lines().last().unwrap_or_default();
                    format!("bad regular expression: {}", last.trim_start_matches("error: "))
                })?)
            }
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

fn unquote(text: &str) -> Result<String, &'static str> {
    let Some(inner) = text.strip_prefix('"') else {
        return if text.contains('"') {
            Err("a quote in the middle of a value: put the whole value in quotes")
        } else {
            Ok(text.to_owned())
        };
    };
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    loop {
        match chars.next().ok_or("the closing quote is missing")? {
            '"' if chars.as_str().is_empty() => return Ok(value),
            '"' => return Err("text after the closing quote"),
            '\\' => match chars.next().ok_or("the closing quote is missing")? {
                'n' => value.push('\n'),
                c @ ('"' | '\\') => value.push(c),
                // A pattern such as "\d+" is what people write.
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
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
            if let Ok(matcher) = Matcher::parse(&text) {
                prop_assert_eq!(Matcher::parse(&matcher.to_string()), Ok(matcher));
            }
        }
    }

    #[test]
    fn a_short_pattern_that_takes_much_memory_is_refused() {
        for (pattern, fits) in [("x{1000}", true), (r"\p{L}{1,20}", true), (r"\w{100}{100}", false)]
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
            ("", 1, "expected one of"),
        ] {
            let error = Matcher::parse(text).expect_err(text);
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(words), "{text}: {error}");
        }
    }
}
