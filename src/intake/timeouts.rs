//! How long the listener waits.

use std::time::Duration;

/// How long the listener waits for its clients and for the store.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the whole head of a request.
    pub head: Duration,
    /// For the next piece of a body.
    pub body_idle: Duration,
    /// For the whole body.
    pub body: Duration,
    /// For the next request on a connection.
    pub idle: Duration,
    /// For room in memory, which only large bodies need.
    pub room: Duration,
    /// For the event's commit. Telnyx itself waits two seconds for the reply.
    pub record: Duration,
    /// For a client to read its reply and close, where the connection cannot go on.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            body_idle: Duration::from_secs(5),
            body: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            room: Duration::from_millis(1500),
            record: Duration::from_millis(1500),
            linger: Duration::from_secs(2),
        }
    }
}

impl Timeouts {
    /// Longest time from the first byte of a request to its answer.
    pub(super) fn request(&self) -> Duration {
        self.head + self.body + self.room + self.record
    }
}
