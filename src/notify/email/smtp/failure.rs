//! What is sent, and why one step of a session failed.

use super::wire::{Reply, WireError};

/// Why one step of a session failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no reply.
    Wire(WireError),
    /// The server says no.
    Refused(Reply),
    /// AUTH was answered with this code. What was said may repeat the credentials.
    Auth(u16),
    /// AUTH by the mechanism that is set is not offered.
    NoMechanism(String),
    /// The address needs SMTPUTF8, and the server has none.
    NoUtf8,
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// A mail with one recipient. The addresses are as they go over the wire.
#[derive(Debug)]
pub(in crate::notify::email) struct Envelope<'a> {
    pub(in crate::notify::email) from: &'a str,
    pub(in crate::notify::email) to: &'a str,
    pub(in crate::notify::email) bytes: &'a [u8],
}
