//! The comparison: which charges the records tell otherwise than the ledger, and what both come to.
//!
//! Pure. Receives what was read of both for one range of time. Promises that a charge is only ever named by a key that a
//! record carries: the id of a message, or a call leg that an event has told of. What is uncertain is told in sums alone:
//! a call's records are parts of what it costs, so they never lower a charge; a message with a carrier's fee is added with its
//! fee, as a webhook tells it, and never corrected. Currencies are never added.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::record::{COUNTED, RECORD_TYPES, Record, UNKNOWN};
use crate::event::{Event, Source};
use crate::rules::Entry;

/// Charges that one comparison books at most; what is beyond shows in the sums.
pub(super) const BOOKED_MAX: usize = 1_000;
/// Lines of product and currency that one comparison tells at most. Accounts have one currency.
const LINES_MAX: usize = 20;

/// From this time on, until before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Range {
    fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

/// What was read of both sides. Both hold more than the range, so that what lies at its edges is seen as a whole.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) account: &'a str,
    pub(super) range: Range,
    pub(super) records: Vec<Record>,
    /// The record types of which all was read.
    pub(super) whole: BTreeSet<&'static str>,
    /// Charges of the ledger by their key.
    pub(super) entries: BTreeMap<String, Entry>,
    /// Whether those of the range are all there.
    pub(super) ledger_whole: bool,
    /// Call legs that events have told of.
    pub(super) legs: BTreeSet<String>,
    pub(super) now: Timestamp,
}

/// What a comparison found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Compared {
    /// Charges to book, then one line for each product and currency.
    pub(super) events: Vec<Event>,
    /// Records in the range.
    pub(super) records: usize,
    /// Charges that are booked.
    pub(super) booked: usize,
    /// Charges that differ and are not booked.
    pub(super) unbooked: usize,
    /// Records that say nothing; they are in no line.
    pub(super) void: usize,
}

/// One product in one currency.
#[derive(Debug, Default)]
struct Line {
    ledger: Decimal,
    telnyx: Decimal,
    records: usize,
    charges: usize,
    unmatched: usize,
    unknown: usize,
    booked: usize,
    unbooked: usize,
}

/// What the records of one charge come to, beside the ledger.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// The same.
    Agrees,
    /// Another amount, or none in the ledger, and it is certain.
    Book(Decimal),
    /// Another amount, and it is not certain.
    Differs,
    /// Telnyx does not say the amount.
    Unknown,
}

/// Compares.
pub(super) fn compare(ground: &Ground<'_>) -> Compared {
    let mut seen = BTreeSet::new();
    let groups = groups(&ground.records);
    let mut charges: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
    let mut lines: BTreeMap<(&str, &str), Line> = BTreeMap::new();
    let mut compared = Compared::default();
    for record in &ground.records {
        if record.is_void() {
            compared.void += 1;
            continue;
        }
        // The records of a group message share its id.
        let to = record.message.as_ref().and(record.to.as_ref());
        if record.id.as_ref().is_some_and(|id| !seen.insert((record.of.word, id, to))) {
            continue;
        }
        match ground.key_of(record, &groups) {
            Some(key) => charges.entry(key).or_default().push(record),
            None if ground.is_of_range(record.at) => {
                let line = lines.entry((record.of.product, &record.currency)).or_default();
                line.unmatched += 1;
                line.take(record);
            }
            None => {}
        }
    }
    for (key, records) in &charges {
        if !ground.is_of_range(begun(records)) {
            continue;
        }
        let Some(first) = records.first() else { continue };
        let entry = ground.entries.get(key);
        let verdict = ground.verdict(entry, records);
        if let (Verdict::Agrees, Some(entry)) = (&verdict, entry) {
            let line = lines.entry((first.of.product, &entry.currency)).or_default();
            line.records += records.len();
            line.telnyx = line.telnyx.saturating_add(entry.amount);
            continue;
        }
        for record in records {
            lines.entry((record.of.product, &record.currency)).or_default().take(record);
        }
        let line = lines.entry((first.of.product, &first.currency)).or_default();
        match verdict {
            Verdict::Book(amount) if compared.events.len() < BOOKED_MAX => {
                line.booked += 1;
                compared.events.push(ground.charge(key, records, amount));
            }
            Verdict::Book(_) | Verdict::Differs => line.unbooked += 1,
            Verdict::Agrees | Verdict::Unknown => {}
        }
    }
    for (key, entry) in &ground.entries {
        let begun = match charges.get(key) {
            Some(records) => begun(records),
            None => Some(entry.call.started_at.unwrap_or(entry.at)),
        };
        if ground.is_of_range(begun) {
            let line = lines.entry((&entry.product, &entry.currency)).or_default();
            line.charges += 1;
            line.ledger = line.ledger.saturating_add(entry.amount);
        }
    }
    compared.booked = compared.events.len();
    compared.records = lines.values().map(|line| line.records).sum();
    compared.unbooked = lines.values().map(|line| line.unbooked).sum();
    let lines = lines.iter().take(LINES_MAX);
    compared
        .events
        .extend(lines.map(|((product, currency), line)| ground.line(product, currency, line)));
    compared
}

impl Line {
    fn take(&mut self, record: &Record) {
        self.records += 1;
        match record.charged() {
            Some(cost) => self.telnyx = self.telnyx.saturating_add(cost),
            None => self.unknown += 1,
        }
    }
}

/// Messages with records of several recipients.
fn groups(records: &[Record]) -> BTreeSet<&str> {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    let named = records.iter().filter_map(|it| Some((it.message.as_deref()?, it.to.as_deref()?)));
    named
        .filter(|(message, to)| *first.entry(message).or_insert(to) != *to)
        .map(|it| it.0)
        .collect()
}

/// When the first of a charge's records begins.
fn begun(records: &[&Record]) -> Option<Timestamp> {
    records.iter().filter_map(|record| record.at).min()
}

impl Ground<'_> {
    /// A record without a time was asked for by it, so it counts.
    fn is_of_range(&self, at: Option<Timestamp>) -> bool {
        at.is_none_or(|at| self.range.contains(at))
    }

    /// The key of the ledger that a record carries; `None` where that is not certain.
    ///
    /// Where there is no charge yet, only a leg can name one: the ledger prefers it, so a charge under another name would be
    /// counted again when its event comes. A message to a group is known by its recipient as well.
    fn key_of(&self, record: &Record, groups: &BTreeSet<&str>) -> Option<String> {
        if let Some(message) = &record.message {
            let mut keys = record.message_keys();
            let (one, of_recipient) = (keys.next()?, keys.next());
            let is_group = groups.contains(message.as_str());
            let is_booked = of_recipient.as_ref().is_some_and(|key| self.entries.contains_key(key));
            return of_recipient.filter(|_| is_group || is_booked).or(Some(one));
        }
        let booked: BTreeSet<String> = record
            .legs
            .iter()
            .chain(&record.controls)
            .map(|name| format!("call:{name}"))
            .filter(|key| self.entries.contains_key(key))
            .collect();
        let known = || {
            let known: BTreeSet<&String> =
                record.legs.iter().filter(|leg| self.legs.contains(*leg)).collect();
            known.into_iter().map(|leg| format!("call:{leg}")).collect()
        };
        let keys: BTreeSet<String> = if booked.is_empty() { known() } else { booked };
        // Of two it is not certain which.
        if keys.len() == 1 { keys.into_iter().next() } else { None }
    }

    fn is_whole(&self, product: &str) -> bool {
        RECORD_TYPES
            .iter()
            .filter(|of| of.product == product && of.is_essential)
            .all(|of| self.whole.contains(of.word))
    }

    fn verdict(&self, entry: Option<&Entry>, records: &[&Record]) -> Verdict {
        let Some(first) = records.first() else { return Verdict::Unknown };
        let sum = |of: fn(&Record) -> Option<Decimal>| {
            records.iter().try_fold(Decimal::ZERO, |total, record| {
                (record.currency == first.currency).then_some(total)?.checked_add(of(record)?)
            })
        };
        let (total, charged) = (sum(|record| record.cost), sum(Record::charged));
        let (Some(total), Some(charged)) = (total, charged) else { return Verdict::Unknown };
        let is_call = first.of.product == "voice";
        // Of a call whose parts were not all read, nothing can be said.
        // Nor is money that Telnyx would owe a charge.
        let is_certain = begun(records).is_some()
            && (!is_call || self.is_whole("voice"))
            && total >= Decimal::ZERO;
        let Some(entry) = entry else {
            return match () {
                () if charged.is_zero() => Verdict::Agrees,
                () if is_certain => Verdict::Book(charged),
                () => Verdict::Differs,
            };
        };
        let is_same = [total, charged].contains(&entry.amount);
        let is_other_currency = entry.currency != first.currency;
        if is_same
            && (!is_other_currency
                || [&entry.currency, &first.currency].contains(&&UNKNOWN.to_owned()))
        {
            return Verdict::Agrees;
        }
        let is_correction = if is_call { total > entry.amount } else { first.fee.is_none() };
        if is_certain && is_correction && !is_other_currency {
            Verdict::Book(total)
        } else {
            Verdict::Differs
        }
    }

    /// The event that books a charge. Its id says what it changes from what to what: told again, it is the same event.
    fn charge(&self, key: &str, records: &[&Record], amount: Decimal) -> Event {
        let before = self.entries.get(key).map(|entry| entry.amount.to_string());
        let currency = records.first().map_or(UNKNOWN, |record| &record.currency);
        let said =
            |of: fn(&Record) -> Option<&String>| records.iter().find_map(|record| of(record));
        let types: BTreeSet<&str> = records.iter().map(|record| record.of.word).collect();
        let payload = json!({
            "key": key,
            "product": records.first().map(|record| record.of.product),
            "record_type": Vec::from_iter(types).join(", "),
            "amount": amount.to_string(),
            "currency": currency,
            "ledger_amount": before,
            "direction": said(|record| record.direction.as_ref()),
            "from": said(|record| record.from.as_ref()),
            "to": said(|record| record.to.as_ref()),
            "connection_id": said(|record| record.connection_id.as_ref()),
        });
        let was = before.as_deref().unwrap_or("none");
        let id = format!("charge.reconciled:{key}:{was}:{amount}:{currency}");
        let mut event = self.event("charge.reconciled", id, currency, payload);
        event.cost = Some(amount);
        event.occurred_at = begun(records);
        event
    }

    fn line(&self, product: &str, currency: &str, line: &Line) -> Event {
        let Range { from, to } = self.range;
        let is_partial = !(self.ledger_whole && self.is_whole(product));
        let difference = line.telnyx.saturating_sub(line.ledger);
        let payload = json!({
            "from": from.to_string(),
            "to": to.to_string(),
            "product": product,
            // Whether events tell what it costs, so that the ledger can have it.
            "counted": COUNTED.contains(&product),
            "currency": currency,
            "ledger_amount": text(line.ledger),
            "telnyx_amount": text(line.telnyx),
            // A part beside a whole says nothing.
            "difference": (!is_partial).then(|| text(difference)),
            "records": line.records,
            "charges": line.charges,
            "booked": line.booked,
            "unbooked": line.unbooked,
            "unmatched": line.unmatched,
            "unknown": line.unknown,
            "partial": is_partial,
        });
        let id = format!("spend.reconciled:{from}:{to}:{product}:{currency}");
        self.event("spend.reconciled", id, currency, payload)
    }

    fn event(&self, kind: &str, id: String, currency: &str, payload: Value) -> Event {
        let mut event = Event::tollbell(kind, self.account, id, self.now, payload);
        event.source = Source::Backfill;
        event.currency = (currency != UNKNOWN).then(|| currency.to_owned());
        event
    }
}

/// `0`, not `0.0000`, where there is nothing.
fn text(amount: Decimal) -> String {
    if amount.is_zero() { "0".to_owned() } else { amount.to_string() }
}

#[cfg(test)]
mod tests;
