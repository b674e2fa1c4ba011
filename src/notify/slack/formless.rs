//! The second try, after Slack refused the layout.

use serde_json::json;

use super::SlackSettings;
use super::fit::escaped;
use super::mention::called;
use crate::notify::{Notification, plain};

/// Text of such a message, in UTF-16 units; Slack advises 4,000 at most.
const PLAIN_MAX: usize = 3_000;

/// The message without any form.
pub(super) fn plain_payload(settings: &SlackSettings, notification: &Notification) -> String {
    let text = escaped(&plain::render(notification), PLAIN_MAX);
    let text = match called(settings, notification) {
        Some(called) => format!("{called} {text}"),
        None => text,
    };
    let mut payload = json!({"text": text, "unfurl_links": false, "unfurl_media": false});
    if let (Some(channel), Some(fields)) = (&settings.channel, payload.as_object_mut()) {
        fields.insert("channel".to_owned(), json!(channel));
    }
    payload.to_string()
}
