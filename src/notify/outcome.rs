//! How a send ended, and why an integration cannot be used.

use std::time::Duration;

use crate::template::TemplateError;

/// How a send ended. A value, never a text to be searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The peer took it.
    Delivered,
    /// Worth trying again.
    Retry {
        /// Why.
        reason: Reason,
        /// Not before this much later, by the peer's word (capped at an hour); then the whole integration waits.
        after: Option<Duration>,
        /// Only for so long after the delivery was opened, where that is less than the retry policy gives: the peer refuses
        /// as one does that is being replaced.
        lasting: Option<Duration>,
        /// The peer may have taken it all the same: all of it was sent, and no answer came. The next attempt may be a repeat.
        maybe_taken: bool,
        /// The peer works, only this message has to wait: a full or greylisting mailbox. Others may go on.
        peer_works: bool,
        /// One line for people; no secret, no message text.
        detail: String,
    },
    /// Trying again would not help.
    Rejected {
        /// Why.
        reason: Reason,
        /// One line for people; no secret, no message text.
        detail: String,
    },
}

/// Result of a send, with what the fallback template did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// How it ended.
    pub outcome: Outcome,
    /// True when the template could not render and the plain fallback text went out in its place.
    pub template_failed: bool,
}

/// Why a send failed; the metric label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The peer says that we are wrong (4xx, 5yz).
    ClientError,
    /// The peer says that it is wrong (5xx, 4yz).
    ServerError,
    /// Credentials refused (401, 403, 535).
    AuthError,
    /// Too fast (429).
    RateLimited,
    /// A deadline passed.
    Timeout,
    /// No connection, or TLS failed.
    Connect,
    /// The message could not be rendered at all.
    Template,
    /// Anything else.
    Other,
}

impl Reason {
    /// All of them, for series that start at zero.
    pub const ALL: [Self; 8] = [
        Self::ClientError,
        Self::ServerError,
        Self::AuthError,
        Self::RateLimited,
        Self::Timeout,
        Self::Connect,
        Self::Template,
        Self::Other,
    ];

    /// The metric label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientError => "clientError",
            Self::ServerError => "serverError",
            Self::AuthError => "authError",
            Self::RateLimited => "rateLimited",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Template => "template",
            Self::Other => "other",
        }
    }
}

/// Why an integration cannot be used at all. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] crate::tls::TlsError),
    /// A template does not compile.
    #[error("the template does not compile")]
    Template(#[source] TemplateError),
    /// A sender address is malformed.
    #[error("{0:?} is no mail address")]
    Address(String),
    /// A header's name is malformed or not for the user to set, or its value is malformed.
    #[error("header {name:?} cannot be set")]
    Header {
        /// Its name.
        name: String,
    },
    /// The name for EHLO is malformed.
    #[error("{0:?} is no host name for EHLO")]
    Hello(String),
}
