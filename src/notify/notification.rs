//! One message on its way to one target.

use std::fmt::Write as _;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::alerts::Message;
use crate::chart::Picture;

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
    /// Charts for those who want some: see [`ChannelKind::takes_charts`](super::ChannelKind::takes_charts).
    pub charts: Vec<Picture>,
}

impl Notification {
    /// The identity of a chart as an image of a mail: the same whenever the key is.
    pub(super) fn chart_id(&self, n: usize) -> String {
        format!("chart-{n}-{}@tollbell.invalid", digest(&self.key))
    }
}

/// 32 hexadecimal digits that stand for a text.
pub(super) fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(16).fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("writing to a string cannot fail");
        digits
    })
}
