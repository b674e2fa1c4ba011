//! What messages that wait are to say no more.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::alerts::{Fingerprint, MessageAlert};

/// What the waiting messages of one lane are to say no more. One that is being sent is not recalled; it
/// is corrected for its next attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Withdrawal {
    /// The integration's id.
    pub integration: String,
    /// The target within the integration.
    pub target: String,
    /// The group.
    pub group_key: String,
    /// When.
    pub at: Timestamp,
    /// How many of the same batch's deliveries were queued before it.
    pub after: usize,
    /// Alerts of which nothing is to be told any more.
    pub gone: BTreeSet<Fingerprint>,
    /// Alerts that are to be told as ended.
    pub ended: Vec<MessageAlert>,
    /// Alerts whose end is not told here to those who heard of them. Where no message of the lane was delivered since one
    /// began, nobody has: it is told as ended, for what happens once must not vanish. Else nothing more is told of it.
    pub unwanted: Vec<MessageAlert>,
}
