//! The values of the operations that pages of figures ask with: sums, pauses.

use jiff::Timestamp;

use crate::spend::Sum;

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
