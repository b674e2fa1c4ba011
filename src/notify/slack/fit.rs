//! Text within the limits of Slack.

use crate::template::slack_escape;

/// Escaped text of at most `max` UTF-16 units, cut between characters, never within an escape.
pub(super) fn escaped(text: &str, max: usize) -> String {
    cut(&slack_escape(text), max)
}

/// The beginning of a text that is escaped already, likewise.
pub(super) fn cut(whole: &str, max: usize) -> String {
    if units(whole) <= max {
        return whole.to_owned();
    }
    let (mut cut, mut rest, mut used) = (String::new(), whole, 1);
    while let Some(first) = rest.chars().next() {
        // After escaping, each `&` begins an escape that ends with `;`.
        let length = match first {
            '&' => rest.find(';').map_or(1, |at| at + 1),
            // A link or a mention of a template's own: whole or not at all.
            '<' => rest.find('>').map_or(1, |at| at + 1),
            other => other.len_utf8(),
        };
        let Some((piece, tail)) = rest.split_at_checked(length) else { break };
        used += units(piece);
        if used > max {
            break;
        }
        cut.push_str(piece);
        rest = tail;
    }
    cut.push('…');
    cut
}

pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}
