//! One matcher of a query, as Alertmanager reads it: by the words of its classic syntax, else with a name in UTF-8.
//!
//! Unlike the matchers of a configuration ([`Matcher::parse_list`]) it is exactly one: no braces, no commas between.

use crate::alerts::{MatchOp, Matcher, is_label_name};

/// The longer ones first: `=` is the beginning of `=~`.
const OPERATORS: [MatchOp; 4] =
    [MatchOp::Matches, MatchOp::NotMatches, MatchOp::NotEqual, MatchOp::Equal];
/// Longest matcher of a query, in bytes.
const BYTES_MAX: usize = 4096;
/// What ends a name or a value that stands outside of quotes, where names are UTF-8.
const RESERVED: &str = "{}!=~,\\\"'`";

/// Reads one matcher; the error is a sentence.
pub(super) fn parse(text: &str) -> Result<Matcher, String> {
    if text.len() > BYTES_MAX {
        return Err(format!("a matcher is longer than {BYTES_MAX} bytes"));
    }
    let classic = classic(text);
    let (name, op, value) = match classic {
        Ok(read) => read,
        Err(why) => utf8(text).ok_or(why)?,
    };
    Matcher::new(&name, op, value).map_err(|why| format!("bad matcher format: {text}: {why}"))
}

type Parts = (String, MatchOp, String);

fn classic(text: &str) -> Result<Parts, String> {
    let bad = || format!("bad matcher format: {text}");
    let text = text.trim_matches(is_space);
    let length = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let (name, rest) = text.split_at_checked(length.ok_or_else(bad)?).ok_or_else(bad)?;
    if !is_label_name(&name.replace(':', "_")) {
        return Err(bad());
    }
    let (op, raw) = operator(rest.trim_start_matches(is_space)).ok_or_else(bad)?;
    let value = value(raw.trim_matches(is_space))
        .ok_or_else(|| format!("matcher value contains unescaped double quote: {raw}"))?;
    Ok((name.to_owned(), op, value))
}

fn operator(text: &str) -> Option<(MatchOp, &str)> {
    OPERATORS.into_iter().find_map(|op| Some((op, text.strip_prefix(op.as_str())?)))
}

/// A value in quotes or without; `None` where a quote stands alone.
fn value(raw: &str) -> Option<String> {
    let inner = raw.strip_prefix('"');
    let mut value = String::with_capacity(raw.len());
    let mut chars = inner.unwrap_or(raw).chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return (inner.is_some() && chars.as_str().is_empty()).then_some(value),
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(c @ ('"' | '\\')) => value.push(c),
                // A backslash before anything else stands for itself.
                Some(c) => value.extend(['\\', c]),
                None => value.push('\\'),
            },
            c => value.push(c),
        }
    }
    inner.is_none().then_some(value)
}

/// With a name of any letters, bare or in quotes.
fn utf8(text: &str) -> Option<Parts> {
    let (name, rest) = word(text.trim())?;
    let (op, raw) = operator(rest.trim_start())?;
    let (value, rest) = word(raw.trim_start())?;
    (!name.is_empty() && rest.trim().is_empty()).then_some((name, op, value))
}

/// A word at the beginning of a text, bare or in quotes, and what is behind it.
fn word(text: &str) -> Option<(String, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c.is_whitespace() || RESERVED.contains(c));
        let (word, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
        return (!word.is_empty()).then(|| (word.to_owned(), rest));
    };
    let mut word = String::new();
    let mut chars = inner.chars();
    loop {
        match chars.next()? {
            '"' => return Some((word, chars.as_str())),
            '\\' => word.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                c @ ('"' | '\\' | '\'') => c,
                _ => return None,
            }),
            c => word.push(c),
        }
    }
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_matcher_is_read_as_alertmanager_reads_it() {
        for (text, expected) in [
            ("a=b", Some(r#"a="b""#)),
            (r#"a="b""#, Some(r#"a="b""#)),
            ("  a  =~  \"b.*\" ", Some(r#"a=~"b.*""#)),
            ("a!=b", Some(r#"a!="b""#)),
            ("a!~b", Some(r#"a!~"b""#)),
            ("a=", Some(r#"a="""#)),
            ("a:b=c", Some(r#"a:b="c""#)),
            ("a='b'", Some(r#"a="'b'""#)),
            ("a=b,c=d", Some(r#"a="b,c=d""#)),
            ("a=~x{2}", Some(r#"a=~"x{2}""#)),
            ("a==b", Some(r#"a="=b""#)),
            (r#"a="x\"y\\z\nw\d""#, Some("a=\"x\\\"y\\\\z\\nw\\\\d\"")),
            (r"a=x\", Some(r#"a="x\\""#)),
            ("föö=bar", Some(r#"föö="bar""#)),
            (r#""a b"="c d""#, Some(r#"a b="c d""#)),
            ("", None),
            ("a", None),
            ("=x", None),
            ("1a=b x", None),
            ("a~=b", None),
            (r#"{a="b"}"#, None),
            (r#"a="b"#, None),
            (r#"a=b""#, None),
            (r#"a="b",c="d""#, None),
            (r#"a="b" c"#, None),
            (r#"a=~"(""#, None),
            (r#""a=b"#, None),
        ] {
            let read = parse(text);
            let shown = read.as_ref().map(ToString::to_string).ok();
            assert_eq!(shown.as_deref(), expected, "{text}: {read:?}");
        }
    }
}
