mod ai;
mod reconciled;

use proptest::prelude::*;
use serde_json::json;

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
        // Of a group each recipient is charged.
        (
            "message.finalized",
            json!({"id": "m", "group_message_id": "g", "direction": "outbound", "to": [{"phone_number": "+13125550001"}]}),
            Some("message:m:+13125550001"),
        ),
        (
            "message.finalized",
            json!({"id": "m", "group_message_id": "g", "to": [{"phone_number": "+13125550001"}, {"phone_number": "+13125550002"}]}),
            Some("message:m"),
        ),
        (
            "message.finalized",
            json!({"id": "m", "group_message_id": null, "to": [{"phone_number": "+13125550001"}]}),
            Some("message:m"),
        ),
        (
            "message.received",
            json!({"id": "m", "group_message_id": "g", "direction": "inbound", "to": [{"phone_number": "+13125550001"}]}),
            Some("message:m"),
        ),
        // The AI's cost is of a session, whichever of its legs tells it.
        ("call.analyzed", json!({"call_session_id": "S", "call_leg_id": "l"}), Some("session:S")),
        (
            "call.analyzed",
            json!({"call_session_id": "", "conversation_id": "c"}),
            Some("session:c"),
        ),
        ("call.analyzed", json!({"call_leg_id": "l"}), Some("session:l")),
        ("call.analyzed", json!({}), None),
        // Shows the charge that message.finalized books.
        ("message.sent", json!({"id": "m"}), None),
        ("message.echo", json!({"id": "m"}), None),
        ("message.legacy", json!({"id": "m"}), None),
        ("call.hangup", json!({"call_leg_id": "l"}), None),
        ("fax.delivered", json!({"id": "f"}), None),
    ] {
        let key = ledger_key(&event(kind, payload.clone()));
        assert!(key.is_none() || books(kind), "{kind}");
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
            let [kept, unit] = entry.as_ref().map_or(["-".to_owned(), "-".to_owned()], |entry| {
                [entry.amount.to_string(), entry.currency.clone()]
            });
            assert_eq!([&*charge, &*kept, &*unit], *expected, "story {n}, step {step}");
        }
    }
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
