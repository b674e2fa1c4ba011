//! Silences: alerts that match are not told while one is active.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Matcher;
use crate::rules::Labels;

/// A silence as it is kept. Never deleted before the retention: an expired one stays to be asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Identity, a UUID.
    pub id: String,
    /// All must hold; at least one that does not match the empty label set.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when, exclusive.
    pub ends_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Where a silence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    /// Its time is to come.
    Pending,
    /// It holds.
    Active,
    /// Its time is over.
    Expired,
}

impl Silence {
    /// Where it stands at a time.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if now < self.starts_at {
            SilenceState::Pending
        } else if now < self.ends_at {
            SilenceState::Active
        } else {
            SilenceState::Expired
        }
    }

    /// Whether it keeps an alert with these labels quiet.
    pub fn silences(&self, labels: &Labels, now: Timestamp) -> bool {
        self.state(now) == SilenceState::Active
            && self.matchers.iter().all(|matcher| matcher.matches(labels))
    }
}
