//! The values of what comes from beside the webhooks: a feed, a reading, a checkpoint; and which charges to read.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Event;
use crate::rules::LedgerKey;

/// What a source beside the webhooks brings: a poller, a back-fill. Committed as one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Feed {
    /// Events; those that are here already are left out.
    pub events: Vec<Event>,
    /// A reading of a balance.
    pub reading: Option<Reading>,
    /// Where the source goes on from.
    pub checkpoint: Option<Checkpoint>,
}

/// Where a source goes on from. The store keeps its bytes and does not look inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The account.
    pub account: String,
    /// The source's own name, such as `backfill`.
    pub source: &'static str,
    /// What it goes on from.
    pub value: Vec<u8>,
}

/// A balance as it was read. Amounts are exact, and `None` where Telnyx did not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reading {
    /// The account.
    pub account: String,
    /// When it was read.
    pub at: Timestamp,
    /// ISO 4217 code of all amounts.
    pub currency: Option<String>,
    /// What is there.
    pub balance: Option<Decimal>,
    /// Balance and credit limit together.
    pub available_credit: Option<Decimal>,
    /// How far the balance may go below zero.
    pub credit_limit: Option<Decimal>,
    /// Not booked yet.
    pub pending: Option<Decimal>,
    /// What the balance loses in an hour, by the readings before.
    pub burn_per_hour: Option<Decimal>,
    /// Hours until nothing is left at that pace.
    pub hours_left: Option<Decimal>,
}

impl Reading {
    /// What may still be spent: available credit, else balance and credit limit, else the balance.
    pub fn left(&self) -> Option<Decimal> {
        let with_limit = || self.balance?.checked_add(self.credit_limit.unwrap_or_default());
        self.available_credit.or_else(with_limit)
    }
}

/// Which charges to read from the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct ChargeFilter {
    /// Only of this account.
    pub account: Option<String>,
    /// Charged at this time or later.
    pub from: Timestamp,
    /// Charged before this time.
    pub to: Timestamp,
    /// Behind this charge, in the order of time and key.
    pub after: Option<(Timestamp, LedgerKey)>,
    /// How many at most.
    pub limit: usize,
}
