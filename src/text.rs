//! Text from strangers made fit to show: labels, annotations and event fields may hold anything.

use crate::template::truncate;

/// One line of at most `characters`: control characters and line breaks become spaces, runs of white space one
/// space, characters that reorder or hide text are dropped.
pub(crate) fn one_line(text: &str, characters: usize) -> String {
    let bounded = bounded(text, characters);
    let mut line = String::with_capacity(bounded.len());
    for word in bounded.split(|c: char| c.is_whitespace() || c.is_control()) {
        let word: String = word.chars().filter(|c| !is_hidden(*c)).collect();
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    truncate(&line, characters)
}

/// As [`one_line`], but line breaks stay; empty lines do not repeat.
pub(crate) fn lines(text: &str, characters: usize) -> String {
    let bounded = bounded(text, characters);
    let mut kept: Vec<String> = Vec::new();
    for line in bounded.split(['\n', '\r', '\u{2028}', '\u{2029}']) {
        let line = one_line(line, characters);
        if !(line.is_empty() && kept.last().is_none_or(String::is_empty)) {
            kept.push(line);
        }
    }
    truncate(kept.join("\n").trim_end(), characters)
}

/// The part of a huge text that could still be shown, so that the work on it has a bound.
fn bounded(text: &str, characters: usize) -> &str {
    let bytes = text.floor_char_boundary(characters.saturating_mul(16));
    text.get(..bytes).unwrap_or(text)
}

/// Characters that change how their neighbours are read, or are not seen at all: bidirectional overrides and
/// isolates, byte order mark, tag characters.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// An `http` or `https` address with a host, normalised; anything else is no link.
///
/// The normal form holds no white space, quote or angle bracket, so it can stand in an attribute or in `<…>`.
pub(crate) fn link(text: &str) -> Option<String> {
    /// Slack's bound on a button's address; mail clients have none.
    const LINK_BYTES_MAX: usize = 3_000;
    let url = reqwest::Url::parse(text.trim()).ok()?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none();
    let clean = String::from(url).replace(['<', '>', '"', '\'', '|', '`'], "");
    (fits && clean.len() <= LINK_BYTES_MAX).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_what_is_hidden_goes() {
        for (text, expected) in [
            ("a\r\nBcc: x@y", "a Bcc: x@y"),
            ("  a \t b\u{0}c ", "a b c"),
            ("a\u{202e}b\u{2066}c\u{feff}", "abc"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("abcdefghijkl", "abcdefghi…"),
            ("مرحبا", "مرحبا"),
        ] {
            assert_eq!(one_line(text, 10), expected, "{text:?}");
        }
        assert_eq!(lines("\n\na\r\n\r\n\r\nb\n ", 10), "a\n\nb");
    }

    #[test]
    fn only_web_addresses_are_links() {
        for (text, expected) in [
            ("https://example.com/a b", Some("https://example.com/a%20b")),
            (" http://example.com:80 ", Some("http://example.com/")),
            ("https://example.com/?q=<'\">|x", Some("https://example.com/?q=%3C%27%22%3Ex")),
            ("javascript:alert(1)", None),
            ("https://user:pass@example.com/", None),
            ("see the wiki", None),
            ("", None),
        ] {
            assert_eq!(link(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(link(&format!("https://example.com/{}", "a".repeat(3_000))), None);
    }
}
