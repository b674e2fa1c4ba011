//! Renders a [`Message`] for one channel and hands it to the outside world.
//!
//! Receives a message and one target; promises an [`Outcome`] within the integration's `timeout`, whatever the
//! peer does. Never retries by itself, never knows where deliveries are kept.
//!
//! Each channel has the same shape: settings in, [`Notifier::new`] builds what is kept between sends, a pure `render`,
//! then the exchange. What people read, and in which order, is decided once for all channels in [`view`].

pub mod email;
pub mod slack;
pub mod webhook;
pub mod pagerduty;
pub mod alertmanager;
pub mod http;
mod channel;
mod facts;
mod heading;
mod integration;
mod kind;
mod notification;
mod outcome;
mod plain;
mod status;
mod templates;
mod test_message;
mod view;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;

pub use self::channel::Channel;
pub use self::integration::{Integration, RateLimit, Receiver, RetryPolicy};
pub use self::kind::{ChannelKind, Limits, Sending, Transport};
pub use self::notification::Notification;
pub use self::outcome::{NotifyError, Outcome, Reason, Sent};
pub use self::templates::MessageTemplates;
pub use self::test_message::{TestAnswer, channel_name, send_test};

/// Hands messages to one integration's peer. Built once for each [`Integration`]; holds its clients and pools.
#[derive(Debug)]
pub struct Notifier {
    timeout: Duration,
    transport: Box<dyn Transport>,
}

impl Notifier {
    /// Builds what one integration keeps between sends: TLS, clients, pools, templates. Reads `ca_file` but no secret,
    /// and connects to nobody.
    pub fn new(
        integration: &Integration,
        templates: &MessageTemplates,
    ) -> Result<Self, NotifyError> {
        let Integration { timeout, concurrency: connections, resend, .. } = *integration;
        let limits = Limits { timeout, connections, resend };
        let transport = integration.channel.transport(limits, templates)?;
        Ok(Self { timeout, transport })
    }

    /// Sends one notification, within the integration's `timeout`. Never panics: a fault of ours is an outcome, too.
    pub async fn send(&self, notification: &Notification) -> Sent {
        let exchange = self.transport.send(notification);
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
            // In both cases nobody knows how far it had come.
            maybe_taken: true,
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
    channel.preview(notification, templates)
}
