//! What differs between kinds of receiver: each kind implements [`ChannelKind`] in its own folder.

use std::pin::Pin;
use std::time::Duration;

use super::notification::Notification;
use super::outcome::{NotifyError, Sent};
use super::templates::MessageTemplates;
use crate::alerts::PeerKind;

/// Alerts in one message to people at most.
const MESSAGE_ALERTS_MAX: usize = 500;

/// One exchange with the peer.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Sent> + Send + 'a>>;

/// Bounds of an integration that its transport keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// On one whole send.
    pub timeout: Duration,
    /// Connections at most: those in use, and those that are kept for the next send.
    pub connections: usize,
    /// How often a peer that forgets is refreshed.
    pub resend: Option<Duration>,
}

/// A kind of receiver, by its settings.
pub trait ChannelKind {
    /// The word used in metrics and ids.
    fn kind(&self) -> &'static str;

    /// What the peer makes of a notification.
    fn peer_kind(&self) -> PeerKind;

    /// Alerts of one message at most; how many were left out is said.
    fn alerts_max(&self) -> usize {
        MESSAGE_ALERTS_MAX
    }

    /// Whether its notifications are to carry charts. What carries none must say the same in words.
    fn takes_charts(&self) -> bool {
        false
    }

    /// The separately settled targets of one message: each mail recipient, or the one URL (empty text).
    fn targets(&self) -> Vec<String> {
        vec![String::new()]
    }

    /// What is kept between sends: TLS, clients, pools, templates. Reads `ca_file` but no secret, and connects to nobody.
    fn transport(
        &self,
        limits: Limits,
        templates: &MessageTemplates,
    ) -> Result<Box<dyn Transport>, NotifyError>;

    /// What would be sent, for people to look at: subject and text of a mail, JSON or body of a post. Pure.
    fn preview(
        &self,
        notification: &Notification,
        templates: &MessageTemplates,
    ) -> Result<String, NotifyError>;
}

/// Hands notifications to a peer.
pub trait Transport: std::fmt::Debug + Send + Sync {
    /// Sends one.
    fn send<'a>(&'a self, notification: &'a Notification) -> Sending<'a>;
}
