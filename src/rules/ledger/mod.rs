//! The charge ledger: what money was really spent, each charge once.
//!
//! Pure. The engine brings the entries that a batch of events needs, and keeps what changed. The same charge may be
//! reported again, corrected, or reported late; whatever the order, the changes of one entry add up to its amount.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call_context::{CallContext, call_key, id};
use super::judge::happened_at;
use crate::event::{self, Event, Source, amount, small_id};

/// The currency of amounts that name none, in an account that has none.
const UNKNOWN: &str = "unknown";
/// Kind of the event by which a detail record of Telnyx tells a charge.
const RECONCILED: &str = "charge.reconciled";

/// Identity of a charge within an account: `call:<leg>`, `session:<id>` of what AI cost in a call, `message:<id>`, or
/// `message:<id>:<recipient>` of a group message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LedgerKey {
    /// The account.
    pub account: String,
    /// What was charged.
    pub key: String,
}

/// One charge, as the ledger knows it now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Identity.
    pub key: LedgerKey,
    /// The amount last reported, by the events' own times.
    pub amount: Decimal,
    /// ISO 4217 code, or `unknown`.
    pub currency: String,
    /// Product, as [`crate::event::product`] says.
    pub product: String,
    /// Kind of the event that reported it.
    pub kind: String,
    /// When it was charged: the time of the first event that reported it.
    pub at: Timestamp,
    /// The time of the event that reported `amount`; what an older one says comes too late.
    pub reported_at: Timestamp,
    /// When an event last touched it, by our clock.
    pub updated_at: Timestamp,
    /// The call's context, or the message's numbers; as far as known.
    pub call: CallContext,
}

/// What an event did to the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Booked {
    /// The entry as it is now.
    pub entry: Entry,
    /// What the event changed: 0 for a repeat, negative for a correction. It is `event.charge`, unless the event
    /// [`is_reconciled`].
    pub charge: Decimal,
}

/// Whether events of a kind book charges.
pub fn books(kind: &str) -> bool {
    let kinds = ["call.cost", "call.analyzed", "message.finalized", "message.received", RECONCILED];
    kinds.contains(&kind)
}

/// The charge that an event speaks of; `None` for kinds that book nothing.
///
/// `message.sent` shows the charge that `message.finalized` books, and books nothing itself. A `call.cost` without a leg
/// is known by its `call_control_id`; without any id it cannot be counted once, and is not counted. A `call.analyzed` tells
/// the cost of a whole session, and may come for several of its legs. A reconciled charge names its key.
pub fn ledger_key(event: &Event) -> Option<LedgerKey> {
    let key = match event.kind.as_str() {
        "call.cost" => format!("call:{}", call_key(event)?.leg),
        "call.analyzed" => {
            let names = ["call_session_id", "conversation_id", "call_leg_id", "call_control_id"];
            let session = names.into_iter().find_map(|name| id(&event.payload, name))?;
            format!("session:{}", small_id(session))
        }
        "message.finalized" | "message.received" => message_key(&event.payload)?,
        RECONCILED if is_reconciled(event) => {
            let key = id(&event.payload, "key")?;
            product_of(key)?;
            key.to_owned()
        }
        _ => return None,
    };
    Some(LedgerKey { account: event.account.clone(), key })
}

/// The key of a message; of one to a group its recipient is a part, where the event is of one recipient alone.
///
/// Telnyx reports and charges a group message for each recipient; whether each report has an id of its own is not said.
/// With the recipient in the key both hold. An inbound one is one charge, whoever else got it.
fn message_key(payload: &Value) -> Option<String> {
    let message = small_id(id(payload, "id")?);
    let is_group = id(payload, "group_message_id").is_some();
    let is_inbound =
        payload.get("direction").and_then(Value::as_str).is_some_and(|it| it.starts_with("in"));
    let recipients = payload.get("to").and_then(Value::as_array).map(Vec::as_slice);
    let recipient = match recipients {
        Some([only]) if is_group && !is_inbound => id(only, "phone_number"),
        _ => None,
    };
    Some(match recipient {
        Some(recipient) => format!("message:{message}:{recipient}"),
        None => format!("message:{message}"),
    })
}

/// Whether the event tells a charge that was read from Telnyx's detail records.
///
/// It books, and enters no window: what is learned hours later is not being spent now. Only what was read by API counts as
/// such, never a webhook of that name.
pub fn is_reconciled(event: &Event) -> bool {
    event.kind == RECONCILED && event.source == Source::Backfill
}

/// The product of a reconciled charge, by its key; `None` when it is no key of the ledger.
fn product_of(key: &str) -> Option<&'static str> {
    match key.split_once(':')? {
        (_, "") => None,
        ("call", _) => Some("voice"),
        ("message", _) => Some("messaging"),
        ("session", _) => Some("ai"),
        _ => None,
    }
}

impl Entry {
    /// Books what an event reports; `None` when it reports no amount (null never erases a known one), or one in another
    /// currency than the entry's.
    ///
    /// - The last report by the events' own times counts, of two at the same time the one that came later. An older one
    ///   that comes late changes nothing and charges 0.
    /// - An entry whose currency is `unknown` takes over the currency of an event that reports the same amount: the money
    ///   was counted under `unknown`, is not counted again, and what corrects it later counts under the new one. With
    ///   another amount the two cannot be told from each other's currency, and the event is not booked.
    /// - A reconciled charge counts only on the entry that it was compared with, or where there was none and still is none;
    ///   if the entry has changed meanwhile, it is not booked. What it corrects is as of when it was read, so that an older
    ///   event that comes once more does not undo it; what it adds is as of when it was charged, so that any event wins.
    /// - `call` is what is known of the call; a message names its numbers itself.
    pub fn book(
        current: Option<&Self>,
        key: &LedgerKey,
        event: &Event,
        call: &CallContext,
    ) -> Option<Booked> {
        let mut report = Self::reported(key, event, call)?;
        if is_reconciled(event) {
            let compared = event.payload.get("ledger_amount").and_then(amount);
            if compared != current.map(|entry| entry.amount) {
                return None;
            }
            product_of(&key.key)?.clone_into(&mut report.product);
            if current.is_some() {
                report.reported_at = event.received_at;
            }
        }
        let Some(current) = current else {
            return Some(Booked { charge: report.amount, entry: report });
        };
        let currency = current.agreed(&report)?;
        let is_late = report.reported_at < current.reported_at;
        let (last, charge) = if is_late {
            (current, Decimal::ZERO)
        } else {
            (&report, difference(report.amount, current.amount))
        };
        let entry = Self {
            key: current.key.clone(),
            amount: last.amount,
            currency: currency.to_owned(),
            product: current.product.clone(),
            kind: last.kind.clone(),
            at: current.at.min(report.at),
            reported_at: last.reported_at,
            updated_at: current.updated_at.max(report.updated_at),
            call: current.call.merge(&report.call),
        };
        Some(Booked { entry, charge })
    }

    /// The entry once its call is known; `None` when that tells nothing new. No money moves.
    pub fn complete(&self, call: &CallContext) -> Option<Self> {
        let call = self.call.merge(call);
        (call != self.call).then(|| Self { call, ..self.clone() })
    }

    /// The entry as one event alone would make it.
    fn reported(key: &LedgerKey, event: &Event, call: &CallContext) -> Option<Self> {
        let at = happened_at(event);
        Some(Self {
            key: key.clone(),
            amount: event.cost?,
            currency: event.currency.clone().unwrap_or_else(|| UNKNOWN.to_owned()),
            product: event::product(&event.kind).to_owned(),
            kind: event.kind.clone(),
            at,
            reported_at: at,
            updated_at: event.received_at,
            call: match event.kind.as_str() {
                "call.cost" => call.merge(&CallContext::of_cost(event)),
                "call.analyzed" => {
                    call.merge(&CallContext::of_message(event)).merge(&CallContext::of_cost(event))
                }
                RECONCILED => CallContext::of_message(event).merge(&CallContext::of_cost(event)),
                _ => CallContext::of_message(event),
            },
        })
    }

    /// The currency of both; `None` when they may differ.
    fn agreed<'a>(&'a self, report: &'a Self) -> Option<&'a str> {
        let (ours, theirs) = (self.currency.as_str(), report.currency.as_str());
        let is_repeat = self.amount == report.amount;
        match (ours, theirs) {
            _ if ours == theirs => Some(ours),
            (UNKNOWN, _) if is_repeat => Some(theirs),
            (_, UNKNOWN) if is_repeat => Some(ours),
            _ => None,
        }
    }
}

/// `0`, not `0.0000`, where nothing changed.
fn difference(now: Decimal, before: Decimal) -> Decimal {
    if now == before { Decimal::ZERO } else { now - before }
}

#[cfg(test)]
mod tests;
