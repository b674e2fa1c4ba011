//! Who does what only one of several processes does at a time.

use std::collections::BTreeSet;

/// What only one process does at a time. With SQLite that is the one that serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Judges events; asks Telnyx, sends heartbeats, removes what is old, and shows what the store knows in its metrics.
    Judge,
    /// Sends for an integration, by its id: so its rate limit and its concurrency hold.
    Send(String),
}

impl Role {
    /// The word by which it is kept.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Judge => "judge".to_owned(),
            Self::Send(integration) => format!("send:{integration}"),
        }
    }

    /// Reads [`Role::key`].
    pub(super) fn of_key(key: &str) -> Self {
        key.strip_prefix("send:").map_or(Self::Judge, |id| Self::Send(id.to_owned()))
    }
}

/// What a process can do, and by which configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Its name for people: the host and the process.
    pub name: String,
    /// Hash of its configuration.
    pub config: String,
    /// Whether it can judge.
    pub judges: bool,
    /// The integrations that it can send for.
    pub integrations: BTreeSet<String>,
}

/// A process that serves from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Identity, new with each start.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Hash of its configuration.
    pub config: String,
    /// Its version.
    pub version: String,
    /// Whether it judges.
    pub is_judge: bool,
    /// Whether it is the one that asks.
    pub is_self: bool,
}
