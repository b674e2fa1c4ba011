//! What can go wrong between us and Telnyx's API.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::text::one_line;

/// Error items of one answer that are kept.
const ITEMS_MAX: usize = 5;
/// Longest code and title of an error item, in characters.
const ITEM_CHARACTERS: usize = 120;

/// Why a call gave no answer that can be used. Holds no key, and of Telnyx's words only codes and titles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Telnyx said no.
    #[error("{endpoint}: status {status}{}", Items(items))]
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
            Self::Refused { .. } => "client",
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
        match said.join("; ").trim() {
            "" => Ok(()),
            said => write!(f, " ({said})"),
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
