//! Renders a [`Message`] for one channel and hands it to the outside world.
//!
//! Receives a message and one target; promises an [`Outcome`] within the integration's `timeout`, whatever the
//! peer does. Never retries by itself, never knows where deliveries are kept.

pub mod email;
pub mod slack;
pub mod webhook;
pub mod http;

use std::time::Duration;

use jiff::Timestamp;

use crate::alerts::Message;

/// Someone to tell, by one or more ways.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Name, as routes use it.
    pub name: String,
    /// The ways.
    pub integrations: Vec<Integration>,
    /// Rung when a delivery to this one dies, meets an authentication error, or takes too long.
    pub fallback: Option<String>,
    /// How long is too long.
    pub fallback_after: Duration,
}

/// One way to tell a receiver.
#[derive(Debug, Clone)]
pub struct Integration {
    /// Stable identity across reloads: receiver, kind, and `name` or a hash of the non-secret target.
    pub id: String,
    /// The receiver it belongs to.
    pub receiver: String,
    /// How.
    pub channel: Channel,
    /// Whether ends are told too.
    pub send_resolved: bool,
    /// Bound on one whole send, connect to last byte.
    pub timeout: Duration,
    /// When to try again and when to stop.
    pub retry: RetryPolicy,
    /// How fast.
    pub rate_limit: RateLimit,
    /// Sends in flight at once.
    pub concurrency: usize,
}

/// The settings of each kind of channel.
#[derive(Debug, Clone)]
pub enum Channel {
    /// SMTP.
    Email(email::Settings),
    /// Slack incoming webhook.
    Slack(slack::Settings),
    /// Any HTTP endpoint.
    Webhook(webhook::Settings),
}

impl Channel {
    /// The word used in metrics and ids.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Slack(_) => "slack",
            Self::Webhook(_) => "webhook",
        }
    }

    /// The separately settled targets of one message: each mail recipient, or the one URL (empty text).
    pub fn targets(&self) -> Vec<String> {
        match self {
            Self::Email(settings) => settings.to.clone(),
            Self::Slack(_) | Self::Webhook(_) => vec![String::new()],
        }
    }
}

/// When to try again (`retry:`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// A delivery older than this dies at its next failure.
    pub max_age: Duration,
    /// Upper bound of the first wait.
    pub initial_backoff: Duration,
    /// Upper bound of any wait.
    pub max_backoff: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_age: Duration::from_hours(24),
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_mins(5),
        }
    }
}

/// A token bucket (`rate_limit:`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Tokens that come back each second; above 0.
    pub per_second: f64,
    /// Tokens at most; at least 1.
    pub burst: u32,
}

/// One message on its way to one target.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Identity of the delivery: the same on every attempt, and the key by which a peer can tell a repeat.
    pub key: String,
    /// Which of [`Channel::targets`].
    pub target: String,
    /// Attempt, from 1.
    pub attempt: u32,
    /// The time now.
    pub now: Timestamp,
    /// What to tell.
    pub message: Message,
}

/// How a send ended. A value, never a text to be searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The peer took it.
    Delivered,
    /// Worth trying again.
    Retry {
        /// Why.
        reason: Reason,
        /// Not before this much later, by the peer's word (capped at an hour); then the whole receiver waits.
        after: Option<Duration>,
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
    /// A deadline passed; the message may have been taken.
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
