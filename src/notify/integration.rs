//! Who is notified, and how.

use std::collections::BTreeSet;
use std::time::Duration;

use super::channel::Channel;
use crate::alerts::{Scope, Target, TargetId};

/// Someone to notify, by one or more transports.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Name, as routes use it.
    pub name: String,
    /// The transports.
    pub integrations: Vec<Integration>,
    /// Notified when a delivery to this one dies, meets an authentication error, or takes too long.
    pub fallback: Option<String>,
    /// How long is too long.
    pub fallback_after: Duration,
}

/// One way to notify a receiver.
#[derive(Debug, Clone)]
pub struct Integration {
    /// Stable identity across reloads: receiver, kind, and `name` or a hash of the non-secret target.
    pub id: String,
    /// The receiver it belongs to.
    pub receiver: String,
    /// How.
    pub channel: Channel,
    /// Whether ends are notified too.
    pub send_resolved: bool,
    /// Where the peer forgets what is not sent again: how often it is refreshed, beside the notifications.
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
