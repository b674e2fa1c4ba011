//! The charge ledger: what money was really spent, each charge once.
//!
//! Pure. The engine brings the entries that a batch of events needs, and keeps what changed. The same charge may be
//! reported again, corrected, or reported late; whatever the order, the changes of one entry add up to its amount.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::call_context::{CallContext, call_key, id};
use super::judge::happened_at;
use crate::event::{self, Event, Source, amount, small_id};

/// The currency of amounts that name none, in an account that has none.
const UNKNOWN: &str = "unknown";
/// Kind of the event by which a detail record of Telnyx tells a charge.
const RECONCILED: &str = "charge.reconciled";

/// Identity of a charge within an account: `call:<leg>` or `message:<id>`.
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

/// The charge that an event speaks of; `None` for kinds that book nothing.
///
/// `message.sent` shows the charge that `message.finalized` books, and books nothing itself. A `call.cost` without a leg
/// is known by its `call_control_id`; without any id it cannot be counted once, and is not counted. A reconciled charge
/// names its key.
pub fn ledger_key(event: &Event) -> Option<LedgerKey> {
    let key = match event.kind.as_str() {
        "call.cost" => format!("call:{}", call_key(event)?.leg),
        "message.finalized" | "message.received" => {
            format!("message:{}", small_id(id(&event.payload, "id")?))
        }
        RECONCILED if is_reconciled(event) => {
            let key = id(&event.payload, "key")?;
            product_of(key)?;
            key.to_owned()
        }
        _ => return None,
    };
    Some(LedgerKey { account: event.account.clone(), key })
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
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + second).expect("time")
    }

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("decimal")
    }

    fn event(kind: &str, payload: Value) -> Event {
        Event::tollbell(kind, "main", "e-1".to_owned(), at(0), payload)
    }

    /// A `call.cost` of one leg: amount, currency, second.
    fn report(amount: Option<&str>, currency: Option<&str>, second: i64) -> Event {
        let mut event = event("call.cost", json!({"call_leg_id": "leg", "connection_id": "c-1"}));
        event.cost = amount.map(decimal);
        event.currency = currency.map(str::to_owned);
        event.occurred_at = Some(at(second));
        event.received_at = at(10_000);
        event
    }

    fn book(current: Option<&Entry>, event: &Event) -> Option<Booked> {
        let key = ledger_key(event).expect("a charge");
        Entry::book(current, &key, event, &CallContext::default())
    }

    #[test]
    fn only_charges_have_a_key() {
        for (kind, payload, expected) in [
            ("call.cost", json!({"call_leg_id": "l", "call_control_id": "c"}), Some("call:l")),
            ("call.cost", json!({"call_control_id": "c"}), Some("call:c")),
            ("call.cost", json!({"call_session_id": "s"}), None),
            ("message.finalized", json!({"id": "m", "direction": "outbound"}), Some("message:m")),
            ("message.received", json!({"id": "m", "direction": "inbound"}), Some("message:m")),
            ("message.received", json!({"id": ""}), None),
            // Shows the charge that message.finalized books.
            ("message.sent", json!({"id": "m"}), None),
            ("message.echo", json!({"id": "m"}), None),
            ("message.legacy", json!({"id": "m"}), None),
            ("call.hangup", json!({"call_leg_id": "l"}), None),
            ("fax.delivered", json!({"id": "f"}), None),
        ] {
            let key = ledger_key(&event(kind, payload.clone()));
            assert_eq!(key.as_ref().map(|key| key.key.as_str()), expected, "{kind} {payload}");
            assert!(key.is_none_or(|key| key.account == "main"));
        }
    }

    /// Amount, currency, second; then charge (`-` is not booked), amount and currency of the entry.
    type Step = (Option<&'static str>, Option<&'static str>, i64, [&'static str; 3]);

    #[test]
    fn money_is_counted_once() {
        let usd = Some("USD");
        let stories: &[&[Step]] = &[
            // A repeat, spelled with other digits.
            &[
                (Some("0.0106"), usd, 1, ["0.0106", "0.0106", "USD"]),
                (Some("0.01060"), usd, 2, ["0", "0.01060", "USD"]),
            ],
            // Corrections, both transports.
            &[
                (Some("1.00"), usd, 1, ["1.00", "1.00", "USD"]),
                (Some("0.40"), usd, 2, ["-0.60", "0.40", "USD"]),
                (Some("0"), usd, 3, ["-0.40", "0", "USD"]),
                (Some("2"), usd, 4, ["2", "2", "USD"]),
            ],
            // Null never erases.
            &[
                (None, usd, 1, ["-", "-", "-"]),
                (Some("0.5"), usd, 2, ["0.5", "0.5", "USD"]),
                (None, usd, 3, ["-", "0.5", "USD"]),
                (Some("0.5"), usd, 4, ["0", "0.5", "USD"]),
            ],
            // An older report comes late; of the same time the later one to come counts.
            &[
                (Some("2"), usd, 5, ["2", "2", "USD"]),
                (Some("1"), usd, 4, ["0", "2", "USD"]),
                (Some("3"), usd, 5, ["1", "3", "USD"]),
            ],
            // Currencies are never mixed.
            &[
                (Some("1"), usd, 1, ["1", "1", "USD"]),
                (Some("1"), Some("EUR"), 2, ["-", "1", "USD"]),
                (Some("1"), None, 3, ["0", "1", "USD"]),
                (Some("2"), None, 4, ["-", "1", "USD"]),
            ],
            // An unknown currency becomes known with the same amount only.
            &[
                (Some("1"), None, 1, ["1", "1", "unknown"]),
                (Some("2"), None, 2, ["1", "2", "unknown"]),
                (Some("3"), usd, 3, ["-", "2", "unknown"]),
                (Some("2.0"), usd, 4, ["0", "2.0", "USD"]),
                (Some("1.5"), usd, 5, ["-0.5", "1.5", "USD"]),
            ],
            // A busy leg costs nothing, and that is known.
            &[(Some("0.0000"), usd, 1, ["0.0000", "0.0000", "USD"])],
        ];
        for (n, story) in stories.iter().enumerate() {
            let mut entry: Option<Entry> = None;
            for (step, (amount, currency, second, expected)) in story.iter().enumerate() {
                let booked = book(entry.as_ref(), &report(*amount, *currency, *second));
                let charge = booked.as_ref().map_or("-".to_owned(), |it| it.charge.to_string());
                entry = booked.map(|it| it.entry).or(entry);
                let [kept, unit] =
                    entry.as_ref().map_or(["-".to_owned(), "-".to_owned()], |entry| {
                        [entry.amount.to_string(), entry.currency.clone()]
                    });
                assert_eq!([&*charge, &*kept, &*unit], *expected, "story {n}, step {step}");
            }
        }
    }

    /// What a detail record told of a leg: amount, what the ledger had, second of the record; read at 20,000.
    fn reconciled(amount: &str, before: Option<&str>, second: i64) -> Event {
        let payload = json!({
            "key": "call:leg", "record_type": "call-control", "amount": amount, "currency": "USD",
            "ledger_amount": before, "direction": "outbound", "from": "+12025550131", "to": "+37126123456",
            "connection_id": "c-2",
        });
        let mut event = event(RECONCILED, payload);
        event.source = Source::Backfill;
        event.cost = Some(decimal(amount));
        event.currency = Some("USD".to_owned());
        event.occurred_at = Some(at(second));
        event.received_at = at(20_000);
        event
    }

    #[test]
    fn only_what_was_read_by_api_is_reconciled() {
        let mut event = reconciled("1", None, 1);
        for (source, expected) in [
            (Source::Backfill, true),
            (Source::Webhook, false),
            (Source::Poller, false),
            (Source::Tollbell, false),
        ] {
            event.source = source;
            assert_eq!(ledger_key(&event).is_some(), expected, "{source}");
            assert_eq!(is_reconciled(&event), expected, "{source}");
        }
        event.source = Source::Backfill;
        for (key, expected) in [
            (json!("call:l"), true),
            (json!("message:m"), true),
            (json!("message:"), false),
            (json!("fax:f"), false),
            (json!("leg"), false),
            (json!(7), false),
            (Value::Null, false),
        ] {
            event.payload["key"] = key.clone();
            assert_eq!(ledger_key(&event).is_some(), expected, "{key}");
        }
    }

    #[test]
    fn a_reconciled_charge_is_booked_once_and_gives_way_to_the_event() {
        let usd = Some("USD");
        let entry = book(None, &reconciled("1.20", None, 5)).expect("booked").entry;
        assert_eq!((entry.product.as_str(), entry.kind.as_str()), ("voice", RECONCILED));
        assert_eq!((entry.at, entry.reported_at), (at(5), at(5)));
        assert_eq!(entry.call.country.as_deref(), Some("LV"));
        assert_eq!(entry.call.connection_id.as_deref(), Some("c-2"));
        // Once more: the entry is not the one it was compared with.
        assert_eq!(book(Some(&entry), &reconciled("1.20", None, 5)), None);
        // The event of the same charge, with the same amount and with another.
        let same = book(Some(&entry), &report(Some("1.2"), usd, 6)).expect("booked");
        assert_eq!((same.charge, same.entry.kind.as_str()), (Decimal::ZERO, "call.cost"));
        let more = book(Some(&entry), &report(Some("1.5"), usd, 6)).expect("booked");
        assert_eq!((more.charge, more.entry.amount), (decimal("0.30"), decimal("1.5")));
        assert_eq!(more.entry.product, "voice");
    }

    #[test]
    fn a_correction_counts_on_the_entry_that_it_was_compared_with() {
        let usd = Some("USD");
        let first = book(None, &report(Some("1.00"), usd, 50)).expect("booked").entry;
        // Compared with nothing, or with another amount: an event has come between.
        assert_eq!(book(Some(&first), &reconciled("2", None, 5)), None);
        assert_eq!(book(Some(&first), &reconciled("2", Some("0.90"), 5)), None);
        assert_eq!(book(None, &reconciled("2", Some("1.00"), 5)), None);
        let Booked { entry, charge } =
            book(Some(&first), &reconciled("1.20", Some("1.0"), 5)).expect("booked");
        assert_eq!((charge, entry.amount), (decimal("0.20"), decimal("1.20")));
        assert_eq!((entry.at, entry.reported_at), (at(5), at(20_000)));
        // The event that it corrects, once more; then a newer one.
        let late = book(Some(&entry), &report(Some("1.00"), usd, 50)).expect("booked");
        assert_eq!((late.charge, late.entry.amount), (Decimal::ZERO, decimal("1.20")));
        let mut newer = report(Some("1.10"), usd, 20_001);
        newer.received_at = at(20_002);
        assert_eq!(book(Some(&entry), &newer).expect("booked").charge, decimal("-0.10"));
        // Currencies are never mixed, and no amount is no amount.
        let mut euro = reconciled("3", Some("1.00"), 5);
        euro.currency = Some("EUR".to_owned());
        assert_eq!(book(Some(&first), &euro), None);
        let mut unknown = reconciled("3", Some("1.00"), 5);
        unknown.cost = None;
        assert_eq!(book(Some(&first), &unknown), None);
    }

    #[test]
    fn an_entry_tells_where_it_came_from() {
        let mut first = report(Some("1"), Some("USD"), 5);
        first.received_at = at(7);
        let known = CallContext { from: Some("+12025550131".to_owned()), ..CallContext::default() };
        let key = ledger_key(&first).expect("key");
        let entry = Entry::book(None, &key, &first, &known).expect("booked").entry;
        assert_eq!((entry.at, entry.reported_at, entry.updated_at), (at(5), at(5), at(7)));
        assert_eq!((entry.product.as_str(), entry.kind.as_str()), ("voice", "call.cost"));
        assert_eq!(entry.call.from, known.from);
        assert_eq!(entry.call.connection_id.as_deref(), Some("c-1"));
        let mut late = report(Some("9"), Some("USD"), 3);
        late.received_at = at(9);
        let entry = book(Some(&entry), &late).expect("booked").entry;
        assert_eq!((entry.at, entry.reported_at, entry.updated_at), (at(3), at(5), at(9)));
        assert_eq!(entry.amount, decimal("1"));
        assert_eq!(entry.call.from, known.from, "what is known stays");
        // A time well ahead of our clock is not believed: else nothing could ever correct it.
        let mut ahead = report(Some("2"), Some("USD"), 1_000_000);
        ahead.received_at = at(11);
        let entry = book(Some(&entry), &ahead).expect("booked").entry;
        assert_eq!(entry.reported_at, at(11));
    }

    #[test]
    fn a_call_that_becomes_known_completes_the_entry() {
        let entry = book(None, &report(Some("1"), Some("USD"), 5)).expect("booked").entry;
        assert_eq!(entry.complete(&CallContext::default()), None);
        let call = CallContext {
            from: Some("+12025550131".to_owned()),
            to: Some("+37126123456".to_owned()),
            direction: Some("outbound".to_owned()),
            ..CallContext::default()
        };
        let complete = entry.complete(&call).expect("more is known");
        assert_eq!(complete.call.country.as_deref(), Some("LV"));
        assert_eq!(complete.call.connection_id.as_deref(), Some("c-1"));
        assert_eq!(Entry { call: entry.call.clone(), ..complete.clone() }, entry, "no money moves");
        assert_eq!(complete.complete(&call), None);
    }

    #[test]
    fn a_message_names_its_numbers() {
        let numbers = |numbers: &[&str]| -> Value {
            numbers.iter().map(|number| json!({"phone_number": number})).collect()
        };
        for (kind, payload, expected) in [
            (
                "message.finalized",
                json!({"id": "m", "direction": "outbound", "from": {"phone_number": "+13125550001"},
                    "to": numbers(&["+37126123456", "+14165550131"])}),
                [Some("+13125550001"), Some("+37126123456"), Some("outbound"), Some("LV")],
            ),
            (
                "message.received",
                json!({"id": "m", "direction": "inbound", "from": "+14165550131", "to": "+13125550001"}),
                [Some("+14165550131"), Some("+13125550001"), Some("inbound"), Some("CA")],
            ),
            (
                "message.finalized",
                json!({"id": "m", "direction": "outbound", "from": {"agent_id": "a"}, "to": numbers(&["33333"])}),
                [Some("a"), Some("33333"), Some("outbound"), None],
            ),
            ("message.finalized", json!({"id": "m"}), [None; 4]),
        ] {
            let mut event = event(kind, payload);
            event.cost = Some(decimal("0.0051"));
            let call = book(None, &event).expect("booked").entry.call;
            let known = [&call.from, &call.to, &call.direction, &call.country];
            assert_eq!(known.map(|it| it.as_deref()), expected, "{kind}");
        }
    }

    #[test]
    fn what_telnyx_sends_is_booked_and_its_call_is_found() {
        use crate::event::{Incoming, PayloadPolicy, parse};
        use crate::rules::call_keys;
        let read = |body: &str| {
            parse(&Incoming {
                account: "main",
                default_currency: None,
                content_type: None,
                body: body.as_bytes(),
                received_at: at(0),
                policy: PayloadPolicy::Redacted,
            })
        };
        let told = |body: &str| CallContext::default().join(&read(body)).expect("tells of a call");
        let cost = read(
            r#"{"data":{"event_type":"call.cost","id":"e-1","payload":{"call_leg_id":"leg","call_control_id":"v3:c",
            "total_cost":"0.0106","cost_parts":[{"cost":"0.0106","currency":"USD"}]}}}"#,
        );
        // v1, flat; and TeXML, which knows the call by its control id only.
        let v1 = r#"{"record_type":"event","event_type":"call_answered","created_at":"2026-08-21T10:00:00Z","payload":
            {"call_leg_id":"leg","from":"+35319605860","to":"+37126123456","direction":"outgoing"}}"#;
        let texml = "AccountSid=a&CallSid=v3%3Ac&CallStatus=completed&From=%2B35319605860&To=%2B37126123456\
            &Direction=outbound-api&EndTime=2024-01-15T10%3A31%3A00Z";
        let keys = call_keys(&cost);
        for (n, body) in [v1, texml].into_iter().enumerate() {
            assert_eq!(call_key(&read(body)).as_ref(), keys.get(n), "{body}");
            let entry = Entry::book(None, &ledger_key(&cost).expect("key"), &cost, &told(body));
            let entry = entry.expect("booked").entry;
            assert_eq!(entry.key.key, "call:leg");
            assert_eq!((entry.amount, entry.currency.as_str()), (decimal("0.0106"), "USD"));
            assert_eq!(entry.call.country.as_deref(), Some("LV"), "{body}");
        }
        // The older spec has numbers and no wrapper; an error has no amount.
        let legacy = read(
            r#"{"event_type":"call.cost","id":"e-2","payload":{"call_leg_id":"leg","status":"valid",
            "total_cost":0.01,"cost_parts":[{"currency":"USD"}]}}"#,
        );
        let before = book(None, &cost).expect("booked").entry;
        assert_eq!(book(Some(&before), &legacy).expect("booked").charge, decimal("-0.0006"));
        let error = read(
            r#"{"data":{"event_type":"call.cost","id":"e-3","payload":{"call_leg_id":"leg","status":"error",
            "total_cost":null,"cost_parts":[]}}}"#,
        );
        assert_eq!(book(Some(&before), &error), None);
    }

    #[test]
    fn entries_survive_being_kept() {
        let entry = book(None, &report(Some("0.0106"), Some("USD"), 5)).expect("booked").entry;
        let kept = serde_json::to_string(&entry).expect("written");
        assert!(kept.contains("\"0.0106\""), "exact: {kept}");
        assert_eq!(serde_json::from_str::<Entry>(&kept).expect("read"), entry);
    }

    proptest! {
        /// Repeats, corrections, nulls and late reports, in any order and of several charges.
        #[test]
        fn charges_add_up_to_the_last_known_amount(
            reports in prop::collection::vec(
                (0..3_u8, prop::option::of((-10_000..1_000_000_i64, 0..6_u32)), 0..8_i64), 0..40)
        ) {
            for leg in 0..3 {
                let mut entry: Option<Entry> = None;
                let mut sum = Decimal::ZERO;
                let mut last: Option<(i64, Decimal)> = None;
                for (_, amount, second) in reports.iter().filter(|(of, ..)| *of == leg) {
                    let mut event = report(None, Some("USD"), *second);
                    event.cost = amount.map(|(digits, scale)| Decimal::new(digits, scale));
                    match (book(entry.as_ref(), &event), event.cost) {
                        (Some(booked), Some(cost)) => {
                            sum += booked.charge;
                            entry = Some(booked.entry);
                            if last.is_none_or(|(at, _)| at <= *second) {
                                last = Some((*second, cost));
                            }
                        }
                        (None, None) => {}
                        (booked, cost) => prop_assert!(false, "{booked:?} for {cost:?}"),
                    }
                }
                prop_assert_eq!(entry.map(|entry| entry.amount), last.map(|(_, amount)| amount));
                prop_assert_eq!(sum, last.map_or(Decimal::ZERO, |(_, amount)| amount));
            }
        }

        /// Where no two reports are of the same time, the order in which they come does not matter.
        #[test]
        fn the_order_of_arrival_does_not_matter(
            (reports, shuffled) in prop::collection::btree_map(0..50_i64, -1000..1000_i64, 1..8)
                .prop_flat_map(|reports| {
                    let reports: Vec<_> = reports.into_iter().collect();
                    (Just(reports.clone()), Just(reports).prop_shuffle())
                })
        ) {
            let end = |reports: &[(i64, i64)]| reports.iter().fold(None, |entry: Option<Entry>, (second, amount)| {
                let mut event = report(None, Some("USD"), *second);
                event.cost = Some(Decimal::new(*amount, 2));
                book(entry.as_ref(), &event).map(|it| it.entry)
            });
            prop_assert_eq!(end(&reports), end(&shuffled));
        }
    }
}
