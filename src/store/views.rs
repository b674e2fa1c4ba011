//! The values of the operations that pages ask with: what goes on, sums, pauses.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::{Row, Silences, Space};
use crate::alerts::{Alert, Fingerprint, Group, LogEntry, Member, TargetId};
use crate::spend::Sum;

/// What goes on, as of one moment: what fires, in which groups, who knows of it, and what keeps it quiet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// The alerts that fire.
    pub alerts: Vec<Alert>,
    /// The groups with their members, by their keys; [`Member::ended`] is not read.
    pub groups: Vec<Group>,
    /// The silences.
    pub silences: Silences,
    /// The notification log: group, target, entry.
    pub log: Vec<(String, TargetId, LogEntry)>,
    /// As [`Resumed::open`](super::Resumed::open).
    pub open: Vec<(String, TargetId, String)>,
}

/// The spaces that [`groups`] reads.
pub(super) const GROUP_SPACES: [Space; 2] = [Space::Group, Space::Member];

/// Groups with their members, of their rows. What cannot be read back counts as none: the engine has said so already.
pub(super) fn groups(rows: Vec<Row>) -> Vec<Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut members: Vec<(String, Fingerprint, Member)> = Vec::new();
    for Row { space, key, value } in rows {
        let value = value.unwrap_or_default();
        match space {
            Space::Group => {
                if let Ok(group) = serde_json::from_slice::<Group>(&value) {
                    groups.insert(group.key.clone(), group);
                }
            }
            Space::Member => {
                if let Some((group, of)) = key.rsplit_once('\n')
                    && let Ok(member) = serde_json::from_slice(&value)
                {
                    members.push((group.to_owned(), Fingerprint::from(of.to_owned()), member));
                }
            }
            _ => {}
        }
    }
    for (group, of, member) in members {
        if let Some(group) = groups.get_mut(&group) {
            group.members.insert(of, member);
        }
    }
    groups.into_values().collect()
}

/// What one account spent on one group in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// The account.
    pub account: String,
    /// ISO 4217 code, or `unknown`.
    pub currency: String,
    /// The group; `None` of what the ledger does not know.
    pub group: Option<String>,
    /// How much, in how many charges.
    pub sum: Sum,
}

/// A receiver that somebody has paused: nothing is sent to it until the pause ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiverPause {
    /// The receiver's name.
    pub receiver: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// Who paused it: the name of a principal, such as `token` or `local`.
    pub who: String,
    /// Why; one line.
    pub comment: String,
}

/// Whose charges are summed up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpendFilter {
    /// The account.
    pub account: String,
    /// ISO 4217 code, or `unknown`.
    pub currency: String,
    /// Of this product only.
    pub product: Option<String>,
}

/// The microseconds of an hour.
pub(super) const HOUR: i64 = 3_600_000_000;

/// An integration that is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The integration's id.
    pub integration: String,
    /// Until when.
    pub until: Timestamp,
    /// Why: the reason of the failure that paused it.
    pub reason: String,
}
