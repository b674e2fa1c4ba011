//! What the configuration says of it.

use std::collections::BTreeMap;

use crate::http::Via;
use crate::secret::Secret;

/// The settings of a `slack_configs` entry.
#[derive(Debug, Clone)]
pub struct SlackSettings {
    /// The incoming webhook; a secret.
    pub api_url: Secret,
    /// Channel; legacy webhooks only.
    pub channel: Option<String>,
    /// Severity, in small letters, to the mentions at the head of its firing alerts, as Slack reads them.
    pub mention: BTreeMap<String, String>,
    /// The way there.
    pub via: Via,
}

/// What calls somebody in a message of Slack: `here`, `channel` and `everyone`, with or without `@`, or the id of a user or a
/// group, plain or as Slack writes it, `<@U012AB3CD>` and `<!subteam^S012AB3CD>`
/// (<https://docs.slack.dev/messaging/formatting-message-text>). `None` for anything else.
pub fn mention(word: &str) -> Option<String> {
    let all = word.strip_prefix("<!").and_then(|rest| rest.strip_suffix('>')).unwrap_or(word);
    let all = all.strip_prefix('@').unwrap_or(all);
    if ["here", "channel", "everyone"].contains(&all) {
        return Some(format!("<!{all}>"));
    }
    let bare = |start: &str| word.strip_prefix(start).and_then(|rest| rest.strip_suffix('>'));
    let id = bare("<@").or_else(|| bare("<!subteam^")).unwrap_or(word);
    let is_id =
        id.len() >= 3 && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    match id.bytes().next() {
        Some(b'U' | b'W') if is_id => Some(format!("<@{id}>")),
        Some(b'S') if is_id => Some(format!("<!subteam^{id}>")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::mention;

    #[test]
    fn only_what_calls_somebody_is_a_mention() {
        for (word, expected) in [
            ("here", Some("<!here>")),
            ("@channel", Some("<!channel>")),
            ("<!everyone>", Some("<!everyone>")),
            ("<@U012AB3CD>", Some("<@U012AB3CD>")),
            ("W012AB3CD", Some("<@W012AB3CD>")),
            ("<!subteam^S012AB3CD>", Some("<!subteam^S012AB3CD>")),
            ("@ada", None),
            ("<@u012>", None),
            ("<https://example.com>", None),
            ("C012AB3CD", None),
        ] {
            assert_eq!(mention(word).as_deref(), expected, "{word}");
        }
    }
}
