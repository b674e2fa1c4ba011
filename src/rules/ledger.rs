//! The charge ledger and the call context: what money was really spent, and on which call.
//!
//! Pure. The engine brings the entries that a batch of events needs, and keeps what changed.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::event::Event;

/// Identity of a charge within an account: `call:<leg>` or `message:<id>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LedgerKey {
    /// The account.
    pub account: String,
    /// What was charged.
    pub key: String,
}

/// Identity of a call leg within an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallKey {
    /// The account.
    pub account: String,
    /// `call_leg_id`.
    pub leg: String,
}

/// One charge, as the ledger knows it now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Identity.
    pub key: LedgerKey,
    /// The amount last reported.
    pub amount: Decimal,
    /// ISO 4217 code, or `unknown`.
    pub currency: String,
    /// Product, as [`crate::event::product`] says.
    pub product: String,
    /// Kind of the event that reported it.
    pub kind: String,
    /// When it was charged, by the first event's own time.
    pub at: Timestamp,
    /// When an event last touched it.
    pub updated_at: Timestamp,
    /// The call's context, or the message's numbers; as far as known.
    pub call: CallContext,
}

/// What is known of a call leg from its events; all optional, since they come in any order or not at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallContext {
    /// Calling number or address.
    pub from: Option<String>,
    /// Called number or address.
    pub to: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// Connection.
    pub connection_id: Option<String>,
    /// ISO 3166 code of the far end, where its number tells.
    pub country: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What an event did to the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Booked {
    /// The entry as it is now.
    pub entry: Entry,
    /// What the event changed: `event.charge`. 0 for a repeat, negative for a correction.
    pub charge: Decimal,
}

/// The charge that an event speaks of; `None` for kinds that book nothing.
pub fn ledger_key(event: &Event) -> Option<LedgerKey> {
    let _ = event;
    unimplemented!()
}

/// The call leg that an event speaks of, whether it tells about the call or costs it.
pub fn call_key(event: &Event) -> Option<CallKey> {
    let _ = event;
    unimplemented!()
}

/// ISO 3166 code of the far end's number: the called one of an outbound call, the calling one of an inbound.
pub fn far_country(
    direction: Option<&str>,
    from: Option<&str>,
    to: Option<&str>,
) -> Option<String> {
    let _ = (direction, from, to);
    unimplemented!()
}

impl Entry {
    /// Books what an event reports; `None` when it reports no amount (null never erases a known one), or one in another
    /// currency than the entry's.
    pub fn book(
        current: Option<&Self>,
        key: &LedgerKey,
        event: &Event,
        call: &CallContext,
    ) -> Option<Booked> {
        let _ = (current, key, event, call);
        unimplemented!()
    }
}

impl CallContext {
    /// What is known after this event too; `None` when it tells nothing new. Earlier events fill gaps, never overwrite.
    pub fn join(&self, event: &Event) -> Option<Self> {
        let _ = event;
        unimplemented!()
    }
}
