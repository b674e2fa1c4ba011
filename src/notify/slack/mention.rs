//! Whom a message calls. Only the configuration can: text from events is escaped.

use super::SlackSettings;
use crate::alerts::{Status, severity_rank};
use crate::notify::Notification;

/// Whom a message calls: only while something fires, by the worst severity that does.
pub(super) fn called<'a>(
    settings: &'a SlackSettings,
    notification: &Notification,
) -> Option<&'a str> {
    let firing = notification.message.alerts.iter().filter(|it| it.status == Status::Firing);
    let worst = firing.map(|alert| &alert.labels).max_by_key(|labels| severity_rank(labels))?;
    let severity = worst.get("severity")?.to_lowercase();
    settings.mention.get(&severity).map(String::as_str)
}

/// What `mention` says for one severity: words with blanks between them, each of which calls somebody. `None` where one does
/// not, or there is none.
pub fn mentions(text: &str) -> Option<String> {
    let found: Option<Vec<String>> = text.split_whitespace().map(mention).collect();
    found.filter(|found| !found.is_empty()).map(|found| found.join(" "))
}

/// What calls somebody in a message of Slack: `here`, `channel` and `everyone`, with or without `@`, or the id of a user or a
/// group, plain or as Slack writes it, `<@U012AB3CD>` and `<!subteam^S012AB3CD>`
/// (<https://docs.slack.dev/messaging/formatting-message-text>). `None` for anything else.
fn mention(word: &str) -> Option<String> {
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
