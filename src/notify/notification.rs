//! One message on its way to one target.

use jiff::Timestamp;

use crate::alerts::Message;

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
    /// What it says.
    pub message: Message,
}
