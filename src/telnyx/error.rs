//! What can go wrong between us and Telnyx's API.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::endpoint::Endpoint;
use crate::text::one_line;

/// Error items of one answer that are kept.
const ITEMS_MAX: usize = 5;
/// Longest code and title of an error item, in characters.
const ITEM_CHARACTERS: usize = 120;

/// Why a call gave no answer that can be used. Holds no key, and of Telnyx's words only codes and titles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Telnyx said no.
    #[error("{endpoint}: status {status}{}{}", Items(items), Asked(*after))]
    Refused {
        /// Name of the endpoint.
        endpoint: &'static str,
        /// The status.
        status: u16,
        /// What it said of the reasons.
        items: Vec<ErrorItem>,
        /// How long it asks us to wait, where it does.
        after: Option<Duration>,
    },
    /// No whole answer in time.
    #[error("{endpoint}: no answer in time")]
    Timeout {
        /// Name of the endpoint.
        endpoint: &'static str,
    },
    /// There is no connection, or it broke.
    #[error("{endpoint}: {detail}")]
    Connect {
        /// Name of the endpoint.
        endpoint: &'static str,
        /// One line, without the address.
        detail: String,
    },
    /// The answer is not what the endpoint answers with.
    #[error("{endpoint}: the answer cannot be read: {detail}")]
    Unreadable {
        /// Name of the endpoint.
        endpoint: &'static str,
        /// One line, without values of the answer.
        detail: String,
    },
    /// There is no such call: an id that cannot stand in an address.
    #[error("{endpoint}: cannot be asked: {detail}")]
    Unsendable {
        /// Name of the endpoint.
        endpoint: &'static str,
        /// One line, without the id.
        detail: String,
    },
    /// The API key cannot be read from its file, or cannot be a key.
    #[error("the API key cannot be used: {detail}")]
    Key {
        /// One line.
        detail: String,
    },
}

/// One of the `errors` of an answer. Source: api-error-codes page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorItem {
    /// Code, such as `10009`; text, also where Telnyx sends a number.
    pub code: String,
    /// Title, such as `Authentication failed`.
    pub title: String,
}

impl ApiError {
    /// One word for metrics and events: `auth`, `rate_limited`, `server`, `client`, `timeout`, `connect`, `unreadable`
    /// or `key`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused { status: 401 | 403, .. } => "auth",
            Self::Refused { status: 429, .. } => "rate_limited",
            Self::Refused { status: 500.., .. } => "server",
            Self::Refused { .. } | Self::Unsendable { .. } => "client",
            Self::Timeout { .. } => "timeout",
            Self::Connect { .. } => "connect",
            Self::Unreadable { .. } => "unreadable",
            Self::Key { .. } => "key",
        }
    }

    /// The status of the answer, where there was one that says no.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The first error item, where Telnyx gave one.
    pub fn item(&self) -> Option<&ErrorItem> {
        match self {
            Self::Refused { items, .. } => items.first(),
            _ => None,
        }
    }
}

/// ` (10009 Authentication failed)`.
struct Items<'a>(&'a [ErrorItem]);

impl fmt::Display for Items<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said: Vec<String> =
            self.0.iter().map(|item| format!("{} {}", item.code, item.title)).collect();
        let said: Vec<&str> = said.iter().map(|item| item.trim()).collect();
        match said.join("; ").as_str() {
            "" => Ok(()),
            said => write!(f, " ({said})"),
        }
    }
}

/// `; asks to wait 500 s`, where that is longer than we wait.
struct Asked(Option<Duration>);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.filter(|after| *after > WAIT_MAX) {
            // Rounded up: a second too long is no harm.
            Some(after) => {
                let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
                write!(f, "; asks to wait {seconds} s")
            }
            None => Ok(()),
        }
    }
}

/// Reads `{"errors": [{"code", "title", …}]}`; `secret` never appears in what is given.
pub(super) fn items(body: &Value, secret: &str) -> Vec<ErrorItem> {
    let text = |item: &Value, key: &str| match item.get(key) {
        Some(Value::String(text)) => one_line(&text.replace(secret, "***"), ITEM_CHARACTERS),
        Some(Value::Number(number)) => one_line(&number.to_string(), ITEM_CHARACTERS),
        _ => String::new(),
    };
    let found = body.get("errors").and_then(Value::as_array).into_iter().flatten();
    found
        .map(|item| ErrorItem { code: text(item, "code"), title: text(item, "title") })
        .filter(|item| !(item.code.is_empty() && item.title.is_empty()))
        .take(ITEMS_MAX)
        .collect()
}

/// Longest wait before an attempt; when Telnyx asks for more, the call fails and its error says how long.
pub(super) const WAIT_MAX: Duration = Duration::from_mins(1);

pub(super) fn unreadable(endpoint: &Endpoint, detail: &str) -> ApiError {
    ApiError::Unreadable { endpoint: endpoint.name, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(body: &Value) -> Vec<(String, String)> {
        items(body, "KEY0-secret").into_iter().map(|item| (item.code, item.title)).collect()
    }

    #[test]
    fn error_items_are_read_whatever_their_types() {
        let body = json!({"errors": [
            {"code": "10011", "title": "Too many requests", "detail": "not kept", "source": {"pointer": "/base"}},
            {"code": 10015, "title": "Bad\r\n\u{202e}request"},
            {"code": "75499"},
            {"title": "Only a title"},
            {"code": null, "title": ["no text"]},
            "no object",
            null,
            {},
        ]});
        let expected = [
            ("10011", "Too many requests"),
            ("10015", "Bad request"),
            ("75499", ""),
            ("", "Only a title"),
        ];
        assert_eq!(said(&body), expected.map(|(code, title)| (code.to_owned(), title.to_owned())));
        for body in [
            json!({}),
            json!([]),
            json!(null),
            json!({"errors": {}}),
            json!({"errors": "Unauthorized"}),
            json!({"error": "Unauthorized"}),
        ] {
            assert_eq!(said(&body), [], "{body}");
        }
    }

    #[test]
    fn error_items_are_few_short_and_hold_no_key() {
        let item = json!({"code": "1", "title": "x".repeat(10_000)});
        let found = said(&json!({"errors": vec![item; 100]}));
        assert_eq!(found.len(), ITEMS_MAX);
        assert!(found.iter().all(|(_, title)| title.chars().count() <= ITEM_CHARACTERS));
        // Where it is cut, a part of the key could be left.
        let title = format!("{}KEY0-secret is not valid", "x".repeat(ITEM_CHARACTERS - 5));
        let found = said(&json!({"errors": [{"code": "KEY0-secret", "title": title}]}));
        let [(code, title)] = found.as_slice() else { panic!("{found:?}") };
        assert!(code == "***" && !title.contains("KEY0"), "{code} {title}");
    }

    #[test]
    fn a_wait_that_is_too_long_for_us_is_told() {
        for (millis, expected) in [
            (60_000, "invoices: status 429"),
            (60_001, "invoices: status 429; asks to wait 61 s"),
            (500_000, "invoices: status 429; asks to wait 500 s"),
        ] {
            let after = Some(Duration::from_millis(millis));
            let endpoint = "invoices";
            let error = ApiError::Refused { endpoint, status: 429, items: Vec::new(), after };
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn an_error_reads_as_one_line_and_has_one_word() {
        let endpoint = "invoices";
        let detail = || "why".to_owned();
        let refused = |status, items| ApiError::Refused { endpoint, status, items, after: None };
        let item = |code: &str, title: &str| ErrorItem { code: code.into(), title: title.into() };
        for (error, text, reason, status) in [
            (refused(404, Vec::new()), "invoices: status 404", "client", Some(404)),
            (
                refused(403, vec![item("10010", "Authorization failed"), item("", "And more")]),
                "invoices: status 403 (10010 Authorization failed; And more)",
                "auth",
                Some(403),
            ),
            (
                refused(429, vec![item("10011", "")]),
                "invoices: status 429 (10011)",
                "rate_limited",
                Some(429),
            ),
            (refused(503, Vec::new()), "invoices: status 503", "server", Some(503)),
            (ApiError::Timeout { endpoint }, "invoices: no answer in time", "timeout", None),
            (ApiError::Connect { endpoint, detail: detail() }, "invoices: why", "connect", None),
            (
                ApiError::Unreadable { endpoint, detail: detail() },
                "invoices: the answer cannot be read: why",
                "unreadable",
                None,
            ),
            (
                ApiError::Unsendable { endpoint, detail: detail() },
                "invoices: cannot be asked: why",
                "client",
                None,
            ),
            (ApiError::Key { detail: detail() }, "the API key cannot be used: why", "key", None),
        ] {
            assert_eq!(error.to_string(), text);
            assert_eq!((error.reason(), error.status()), (reason, status), "{text}");
        }
    }
}
