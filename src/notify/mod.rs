//! Renders a [`Message`] for one channel and hands it to the outside world.
//!
//! Receives a message and one target; promises an [`Outcome`] within the integration's `timeout`, whatever the
//! peer does. Never retries by itself, never knows where deliveries are kept.
//!
//! Each channel has the same shape: settings in, [`Notifier::new`] builds what is kept between sends, a pure `render`,
//! then the exchange. What people are told, and in which order, is decided once for all channels in [`view`].

pub mod email;
pub mod slack;
pub mod webhook;
pub mod pagerduty;
pub mod alertmanager;
pub mod http;
mod templates;
mod smtp;
mod view;
mod facts;
mod heading;
mod plain;
mod slack_answer;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod documented;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;

pub use self::templates::MessageTemplates;
use crate::alerts::{Message, PeerKind, Scope, Target, TargetId};
use crate::template::TemplateError;

/// Alerts in one message to people at most.
const MESSAGE_ALERTS_MAX: usize = 500;

/// Someone to tell, by one or more transports.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Name, as routes use it.
    pub name: String,
    /// The transports.
    pub integrations: Vec<Integration>,
    /// Rung when a delivery to this one dies, meets an authentication error, or takes too long.
    pub fallback: Option<String>,
    /// How long is too long.
    pub fallback_after: Duration,
}

/// One transport to tell a receiver.
#[derive(Debug, Clone)]
pub struct Integration {
    /// Stable identity across reloads: receiver, kind, and `name` or a hash of the non-secret target.
    pub id: String,
    /// The receiver it belongs to.
    pub receiver: String,
    /// How.
    pub channel: Channel,
    /// Whether ends are notified, too.
    pub send_resolved: bool,
    /// Where the peer forgets what is not told again: how often it is refreshed, beside the notifications.
    pub resend: Option<Duration>,
    /// Bound on one whole send, connect to last byte.
    pub timeout: Duration,
    /// When to try again and when to stop.
    pub retry: RetryPolicy,
    /// How fast.
    pub rate_limit: RateLimit,
    /// Sends in flight at once.
    pub concurrency: usize,
}

impl Integration {
    /// Its targets, as the comparison with the notification log must know them.
    pub fn as_targets(&self, scope: Scope) -> Vec<Target> {
        let targets = self.channel.targets().into_iter().map(|target| Target {
            id: TargetId::new(self.id.clone(), target),
            kind: self.channel.peer_kind(),
            scope,
            send_resolved: self.send_resolved,
            interval: self.resend,
            max_age: self.retry.max_age,
            alerts_max: self.channel.alerts_max(),
            elsewhere: BTreeSet::new(),
        });
        targets.collect()
    }
}

/// The settings of each kind of channel.
#[derive(Debug, Clone)]
pub enum Channel {
    /// SMTP.
    Email(email::EmailSettings),
    /// Slack incoming webhook.
    Slack(slack::Settings),
    /// Any HTTP endpoint.
    Webhook(webhook::Settings),
    /// PagerDuty's Events API v2.
    PagerDuty(pagerduty::Settings),
    /// Another Alertmanager.
    Alertmanager(alertmanager::Settings),
}

impl Channel {
    /// The word used in metrics and ids.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Slack(_) => "slack",
            Self::Webhook(_) => "webhook",
            Self::PagerDuty(_) => "pagerduty",
            Self::Alertmanager(_) => "alertmanager",
        }
    }

    /// What the peer makes of a notification.
    pub fn peer_kind(&self) -> PeerKind {
        match self {
            Self::Email(_) | Self::Slack(_) | Self::Webhook(_) => PeerKind::People,
            Self::PagerDuty(_) => PeerKind::Incident,
            Self::Alertmanager(_) => PeerKind::Alerts,
        }
    }

    /// Alerts of one message at most; how many were left out is said. An Alertmanager hears of all, in requests of a bounded
    /// size.
    fn alerts_max(&self) -> usize {
        match self {
            Self::Email(_) | Self::Slack(_) | Self::PagerDuty(_) => MESSAGE_ALERTS_MAX,
            Self::Webhook(settings) => settings.max_alerts,
            Self::Alertmanager(_) => usize::MAX,
        }
    }

    /// The separately settled targets of one message: each mail recipient, or the one URL (empty text).
    pub fn targets(&self) -> Vec<String> {
        match self {
            Self::Email(settings) => settings.to.clone(),
            Self::Slack(_) | Self::Webhook(_) | Self::PagerDuty(_) | Self::Alertmanager(_) => {
                vec![String::new()]
            }
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

/// One message on its transport to one target.
#[derive(Debug, Clone)]
pub struct Notification {
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
        /// Not before this much later, by the peer's word (capped at an hour); then the whole integration waits.
        after: Option<Duration>,
        /// Only for so long after the delivery was opened, where that is less than the retry policy gives: the peer refuses
        /// as one does that is being replaced.
        lasting: Option<Duration>,
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

/// Hands messages to one integration's peer. Built once for each [`Integration`]; holds its clients and pools.
#[derive(Debug)]
pub struct Notifier {
    timeout: Duration,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Email(email::Mailer),
    Slack(slack::Poster),
    Webhook(webhook::Poster),
    PagerDuty(pagerduty::Poster),
    Alertmanager(alertmanager::Poster),
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

impl Notifier {
    /// Builds what one integration keeps between sends: TLS, clients, pools, templates. Reads `ca_file` but no secret,
    /// and connects to nobody.
    pub fn new(
        integration: &Integration,
        templates: &MessageTemplates,
    ) -> Result<Self, NotifyError> {
        let Integration { timeout, concurrency, .. } = *integration;
        let transport = match &integration.channel {
            Channel::Email(settings) => {
                Transport::Email(email::Mailer::new(settings, timeout, concurrency, templates)?)
            }
            Channel::Slack(settings) => {
                Transport::Slack(slack::Poster::new(settings, timeout, concurrency, templates)?)
            }
            Channel::Webhook(settings) => {
                Transport::Webhook(webhook::Poster::new(settings, timeout, concurrency)?)
            }
            Channel::PagerDuty(settings) => Transport::PagerDuty(pagerduty::Poster::new(
                settings,
                timeout,
                concurrency,
                templates,
            )?),
            Channel::Alertmanager(settings) => {
                let resend = integration.resend.unwrap_or(alertmanager::RESEND_DEFAULT);
                Transport::Alertmanager(alertmanager::Poster::new(
                    settings,
                    timeout,
                    concurrency,
                    resend,
                )?)
            }
        };
        Ok(Self { timeout, transport })
    }

    /// Sends one notification, within the integration's `timeout`. Never panics: a fault of ours is an outcome, too.
    pub async fn send(&self, notification: &Notification) -> Sent {
        let exchange = async {
            match &self.transport {
                Transport::Email(mailer) => mailer.send(notification).await,
                Transport::Slack(poster) => poster.send(notification).await,
                Transport::Webhook(poster) => poster.send(notification).await,
                Transport::PagerDuty(poster) => poster.send(notification).await,
                Transport::Alertmanager(poster) => poster.send(notification).await,
            }
        };
        let bounded = tokio::time::timeout(self.timeout, AssertUnwindSafe(exchange).catch_unwind());
        let (reason, detail) = match bounded.await {
            Ok(Ok(sent)) => return sent,
            Ok(Err(_panic)) => (Reason::Other, "internal error while sending"),
            Err(_elapsed) => (Reason::Timeout, "no answer in time; it may have been taken"),
        };
        let outcome = Outcome::Retry {
            reason,
            after: None,
            lasting: None,
            peer_works: false,
            detail: detail.to_owned(),
        };
        Sent { outcome, template_failed: false }
    }
}

/// What a channel would send, for people to look at: subject and text of a mail, JSON or body of a post. Pure.
pub fn preview(
    channel: &Channel,
    notification: &Notification,
    templates: &MessageTemplates,
) -> Result<String, NotifyError> {
    match channel {
        Channel::Email(settings) => {
            let rendered = email::render(settings, notification, templates)?;
            Ok(format!("Subject: {}\n\n{}", rendered.subject, rendered.text))
        }
        Channel::Slack(settings) => {
            Ok(format!("{:#}", slack::render(settings, notification, templates).payload))
        }
        Channel::Webhook(settings) => {
            let rendered =
                webhook::render(settings, notification).map_err(NotifyError::Template)?;
            Ok(rendered.body)
        }
        Channel::PagerDuty(settings) => {
            Ok(format!("{:#}", pagerduty::render(settings, notification, templates).event))
        }
        Channel::Alertmanager(_) => {
            Ok(format!("{:#}", alertmanager::render(notification, alertmanager::RESEND_DEFAULT)))
        }
    }
}
