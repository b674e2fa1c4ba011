//! What Slack's answers mean.

use serde_json::Value;

use crate::notify::http::{self, Answer};
use crate::notify::{Outcome, Reason};

/// What an answer of Slack's, or of one that speaks like it, means.
pub(super) fn classify(answer: &Answer) -> Outcome {
    let said = word(&answer.body);
    let status = answer.status;
    let retry = |reason, after| Outcome::Retry {
        reason,
        after,
        lasting: None,
        maybe_taken: false,
        peer_works: false,
        detail: format!("status {}: {said}", status.as_u16()),
    };
    if status.is_success() {
        return match said.as_str() {
            // An empty body is what some gateways make of `ok`; Mattermost and Rocket.Chat have their own words.
            "ok" | "" if !unknown_page(&answer.body) => Outcome::Delivered,
            // Half a word says nothing, above all not that the message is bad.
            word if word.is_empty() || !answer.whole => Outcome::Retry {
                reason: Reason::Other,
                after: None,
                lasting: None,
                // It says yes, and the rest of it is missing or another's.
                maybe_taken: true,
                peer_works: false,
                detail: format!("status {}, but the body is not Slack's", status.as_u16()),
            },
            "ratelimited" | "rate_limited" | "message_limit_exceeded" => {
                retry(Reason::RateLimited, answer.after)
            }
            "internal_error" | "fatal_error" => retry(Reason::ServerError, answer.after),
            word if revoked(word) => retry(Reason::AuthError, answer.after),
            _ => rejected(answer, &said),
        };
    }
    match said.as_str() {
        word if revoked(word) && status.is_client_error() => retry(Reason::AuthError, answer.after),
        // A 403 for what was posted, not for who posts it.
        "action_prohibited" | "posting_to_general_channel_denied" | "restricted_action" => {
            rejected(answer, &said)
        }
        _ => http::classify(answer, &said),
    }
}

/// Whether it is the form of the message that Slack does not take: blocks or attachments, not the text.
pub(super) fn refuses_form(answer: &Answer) -> bool {
    let said = word(&answer.body);
    ["invalid_blocks", "invalid_attachments"].iter().any(|refused| said.starts_with(refused))
}

fn rejected(answer: &Answer, said: &str) -> Outcome {
    let detail = format!("status {}: {said}", answer.status.as_u16());
    Outcome::Rejected { reason: Reason::ClientError, detail }
}

/// Words for an address that is dead or was never alive.
fn revoked(word: &str) -> bool {
    matches!(
        word,
        "no_service"
            | "no_service_id"
            | "no_active_hooks"
            | "invalid_token"
            | "invalid_auth"
            | "not_authed"
            | "token_revoked"
            | "token_expired"
            | "account_inactive"
    )
}

/// The one word of an answer, from plain text or from `{"ok": …, "error": …}`; empty when it is anything else.
fn word(body: &str) -> String {
    let body = body.trim();
    let json = serde_json::from_str::<Value>(body).ok().filter(Value::is_object);
    let word = match &json {
        Some(json) if json["ok"] == true || json["success"] == true => "ok",
        Some(json) => json["error"].as_str().unwrap_or_default(),
        None => body,
    };
    let plain = word.len() <= 64 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if plain { word.to_owned() } else { String::new() }
}

/// Whether a body says something that is no word of Slack's, as a sign-in page does.
fn unknown_page(body: &str) -> bool {
    !body.trim().is_empty() && word(body).is_empty()
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::notify::tests::samples;

    #[test]
    fn an_answer_means_one_thing() {
        let (delivered, rejected) = ("delivered", "rejected clientError");
        for (status, body, expected) in [
            (200, "ok", delivered),
            (200, " ok\n", delivered),
            (200, "", delivered),
            (204, "", delivered),
            (200, r#"{"ok": true}"#, delivered),
            (200, r#"{"success": true}"#, delivered),
            (200, r#"{"ok": false, "error": "ratelimited"}"#, "retry rateLimited"),
            (200, r#"{"ok": false, "error": "fatal_error"}"#, "retry serverError"),
            (200, r#"{"ok": false, "error": "invalid_blocks"}"#, rejected),
            (200, r#"{"ok": false, "error": "invalid_auth"}"#, "retry authError"),
            (200, "<html>Sign in to the guest network</html>", "retry other"),
            (200, r#"{"ok": false}"#, "retry other"),
            (302, "", "retry clientError"),
            (400, "invalid_payload", rejected),
            (400, "no_text", rejected),
            (401, "", "retry authError"),
            (403, "invalid_token", "retry authError"),
            (403, "action_prohibited", rejected),
            (403, "<html>", "retry authError"),
            (404, "no_service", "retry authError"),
            (404, "channel_not_found", "retry clientError"),
            (410, "channel_is_archived", "retry clientError"),
            (429, "", "retry rateLimited"),
            (500, "rollup_error", "retry serverError"),
            (503, "no_service", "retry serverError"),
        ] {
            let status = StatusCode::from_u16(status).expect("status");
            let answer = Answer { status, after: None, body: body.to_owned(), whole: true };
            assert_eq!(samples::told(&classify(&answer)), expected, "{status} {body}");
        }
    }
}
