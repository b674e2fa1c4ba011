mod lines;

use super::*;
use crate::rules::{CallContext, LedgerKey};

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + minutes * 60).expect("time")
}

fn decimal(text: &str) -> Decimal {
    text.parse().expect("decimal")
}

/// Messages, call control, SIP trunking.
fn record(of: usize, json: &Value) -> Record {
    Record::read(&RECORD_TYPES[of], json, None)
}

/// A message of a minute.
fn message(id: &str, cost: &str, minute: i64) -> Record {
    record(
        0,
        &json!({"uuid": id, "cost": cost, "currency": "USD", "created_at": at(minute).to_string()}),
    )
}

/// One part of a call: 1 is call control, 2 SIP trunking.
fn part(of: usize, leg: &str, cost: &str, minute: i64) -> Record {
    let id = if of == 1 { "telnyx_leg_id" } else { "id" };
    record(
        of,
        &json!({id: leg, "cost": cost, "currency": "USD", "started_at": at(minute).to_string(), "direction": "outbound",
            "cli": "+12025550131", "cld": "+37126123456"}),
    )
}

fn entry(key: &str, amount: &str, minute: i64) -> Entry {
    let product = if key.starts_with("call:") { "voice" } else { "messaging" };
    Entry {
        key: LedgerKey { account: "main".to_owned(), key: key.to_owned() },
        amount: decimal(amount),
        currency: "USD".to_owned(),
        product: product.to_owned(),
        kind: "call.cost".to_owned(),
        at: at(minute),
        reported_at: at(minute),
        updated_at: at(minute),
        call: CallContext::default(),
    }
}

/// An hour, of which all was read.
fn ground(records: Vec<Record>, entries: Vec<Entry>, legs: &[&str]) -> Ground<'static> {
    Ground {
        account: "main",
        range: Range { from: at(0), to: at(60) },
        records,
        whole: RECORD_TYPES.iter().map(|of| of.word).collect(),
        entries: entries.into_iter().map(|entry| (entry.key.key.clone(), entry)).collect(),
        ledger_whole: true,
        legs: legs.iter().map(|leg| (*leg).to_owned()).collect(),
        now: at(120),
    }
}

/// `key before -> amount` of what is booked.
fn booked(compared: &Compared) -> Vec<String> {
    let charges = compared.events.iter().filter(|event| event.kind == "charge.reconciled");
    charges
        .map(|event| {
            let said = |name: &str| event.payload[name].as_str().unwrap_or("none").to_owned();
            assert_eq!(event.source, Source::Backfill);
            assert_eq!(event.cost.map(|cost| cost.to_string()), Some(said("amount")));
            assert_eq!(event.charge, None);
            format!("{} {} -> {}", said("key"), said("ledger_amount"), said("amount"))
        })
        .collect()
}

/// `product currency ledger telnyx difference` of each line.
fn lines(compared: &Compared) -> Vec<String> {
    let lines = compared.events.iter().filter(|event| event.kind == "spend.reconciled");
    lines
        .map(|event| {
            assert_eq!((event.cost, event.source), (None, Source::Backfill));
            let names = ["product", "currency", "ledger_amount", "telnyx_amount", "difference"];
            names.map(|name| event.payload[name].as_str().unwrap_or("null")).join(" ")
        })
        .collect()
}

/// A number of the only line.
fn count(compared: &Compared, name: &str) -> u64 {
    let line = compared.events.last().expect("a line");
    line.payload[name].as_u64().expect("a number")
}

#[test]
fn messages_are_added_and_corrected() {
    let records = vec![
        message("same", "0.0050", 1),
        message("missing", "0.0040", 2),
        message("less", "0.0030", 3),
        message("more", "0.0090", 4),
    ];
    let entries = vec![
        entry("message:same", "0.005", 1),
        entry("message:less", "0.0051", 3),
        entry("message:more", "0.0051", 4),
        entry("message:ours", "0.0100", 5),
    ];
    let compared = compare(&ground(records, entries, &[]));
    assert_eq!(
        booked(&compared),
        [
            "message:less 0.0051 -> 0.0030",
            "message:missing none -> 0.0040",
            "message:more 0.0051 -> 0.0090",
        ]
    );
    assert_eq!(lines(&compared), ["messaging USD 0.0252 0.0210 -0.0042"]);
    let numbers = ["records", "charges", "booked", "unbooked", "unmatched", "unknown"];
    assert_eq!(numbers.map(|name| count(&compared, name)), [4, 4, 3, 0, 0, 0]);
    assert_eq!((compared.records, compared.booked, compared.unbooked), (4, 3, 0));
    let missing = compared.events.get(1).expect("an event");
    assert_eq!(missing.id, "charge.reconciled:message:missing:none:0.0040:USD");
    assert_eq!((missing.occurred_at, missing.received_at), (Some(at(2)), at(120)));
    assert_eq!(missing.payload["product"], "messaging");
}

#[test]
fn a_call_is_the_sum_of_its_parts_and_only_rises() {
    for (parts, ledger, expected) in [
        // Both parts and a third one that no record names: less than what the event told.
        (["0.0050", "0.0038"], Some("0.0106"), ""),
        (["0.0050", "0.0056"], Some("0.0106"), ""),
        (["0.0050", "0.0060"], Some("0.0106"), "call:leg 0.0106 -> 0.0110"),
        (["0.0050", "0.0038"], None, "call:leg none -> 0.0088"),
        (["0.0000", "0"], None, ""),
        (["0.0050", "?"], None, ""),
    ] {
        let records = vec![part(1, "leg", parts[0], 1), part(2, "leg", parts[1], 1)];
        let entries: Vec<Entry> =
            ledger.map(|amount| entry("call:leg", amount, 2)).into_iter().collect();
        let compared = compare(&ground(records, entries, &["leg"]));
        assert_eq!(booked(&compared).join(","), expected, "{parts:?} {ledger:?}");
    }
}

#[test]
fn a_key_is_never_guessed() {
    let control = |leg: Option<&str>, control: Option<&str>| {
        let json = json!({"telnyx_leg_id": leg, "call_control_id": control, "cost": "1", "currency": "USD",
            "started_at": at(1).to_string()});
        record(1, &json)
    };
    for (record, entries, legs, expected) in [
        // No event has told of the leg.
        (control(Some("leg"), None), vec![], vec![], ""),
        (control(Some("leg"), None), vec![], vec!["leg"], "call:leg none -> 1"),
        // The ledger would know it by its leg, which is not said.
        (control(None, Some("v3:c")), vec![], vec!["v3:c"], ""),
        (
            control(None, Some("v3:c")),
            vec![entry("call:v3:c", "0.5", 1)],
            vec![],
            "call:v3:c 0.5 -> 1",
        ),
        // It names two charges.
        (
            control(Some("leg"), Some("v3:c")),
            vec![entry("call:v3:c", "0.5", 1), entry("call:leg", "0.5", 1)],
            vec!["leg"],
            "",
        ),
    ] {
        let compared = compare(&ground(vec![record.clone()], entries, &legs));
        assert_eq!(booked(&compared).join(","), expected, "{record:?}");
    }
    let compared = compare(&ground(vec![part(2, "strange", "2", 1)], vec![], &[]));
    assert_eq!(lines(&compared), ["voice USD 0 2 2"]);
    assert_eq!(count(&compared, "unmatched"), 1);
}

#[test]
fn a_missed_message_is_booked_with_its_fee_and_one_with_a_fee_is_not_corrected() {
    let fee = |cost: &str| {
        let json = json!({"uuid": "m", "cost": cost, "carrier_fee": "0.003", "currency": "USD",
            "created_at": at(1).to_string()});
        record(0, &json)
    };
    for (cost, ledger, line, unbooked) in [
        ("0.004", "0.004", "messaging USD 0.004 0.004 0", 0),
        ("0.004", "0.007", "messaging USD 0.007 0.007 0", 0),
        ("0.004", "0.005", "messaging USD 0.005 0.007 0.002", 1),
    ] {
        let compared = compare(&ground(vec![fee(cost)], vec![entry("message:m", ledger, 1)], &[]));
        assert_eq!((booked(&compared).len(), lines(&compared)), (0, vec![line.to_owned()]));
        assert_eq!(count(&compared, "unbooked"), unbooked, "{line}");
    }
    let compared = compare(&ground(vec![fee("0.004")], vec![], &[]));
    assert_eq!(booked(&compared), ["message:m none -> 0.007"]);
    assert_eq!(lines(&compared), ["messaging USD 0 0.007 0.007"]);
}

#[test]
fn a_group_message_has_a_charge_for_each_recipient() {
    let to = |to: &str, cost: &str| {
        let json = json!({"uuid": "m", "cost": cost, "currency": "USD", "cld": to, "created_at": at(1).to_string()});
        record(0, &json)
    };
    let records =
        || vec![to("+13125550001", "0.01"), to("+13125550002", "0.01"), to("+13125550002", "0.01")];
    let entries = vec![entry("message:m:+13125550001", "0.01", 1)];
    let compared = compare(&ground(records(), entries, &[]));
    assert_eq!(booked(&compared), ["message:m:+13125550002 none -> 0.01"]);
    assert_eq!(lines(&compared), ["messaging USD 0.01 0.02 0.01"]);
    // One that is alone is of a group where the ledger says so.
    let alone = compare(&ground(
        vec![to("+13125550001", "0.01")],
        vec![entry("message:m:+13125550001", "0.01", 1)],
        &[],
    ));
    assert_eq!((alone.booked, lines(&alone)), (0, vec!["messaging USD 0.01 0.01 0".to_owned()]));
}

#[test]
fn each_charge_is_compared_in_one_range_only() {
    // Begun before the range and told in it; begun in it and told behind it; parts on both sides of each edge.
    let records = vec![
        message("before", "5", -1),
        message("end", "1", 59),
        message("behind", "7", 60),
        part(1, "first", "5", -1),
        part(2, "first", "5", 0),
        part(1, "last", "1", 59),
        part(2, "last", "1", 60),
    ];
    let mut long = entry("call:long", "9", 30);
    long.call.started_at = Some(at(-50));
    let entries = vec![
        entry("message:before", "5", 1),
        entry("message:end", "1", 61),
        entry("call:first", "10", 2),
        entry("call:last", "2", 65),
        entry("message:other", "3", 70),
        long,
    ];
    let compared = compare(&ground(records, entries, &[]));
    assert_eq!(booked(&compared), [""; 0]);
    assert_eq!(lines(&compared), ["messaging USD 1 1 0", "voice USD 2 2 0"]);
}

#[test]
fn a_part_beside_a_whole_says_nothing() {
    let records = || vec![message("m", "1", 1), part(1, "leg", "2", 1)];
    for (missing, ledger_whole, expected) in [
        ("sip-trunking", true, ["messaging USD 0 1 1", "voice USD 0 2 null"]),
        ("messaging", true, ["messaging USD 0 1 null", "voice USD 0 2 2"]),
        ("", false, ["messaging USD 0 1 null", "voice USD 0 2 null"]),
    ] {
        let mut ground = ground(records(), vec![], &["leg"]);
        ground.whole.remove(missing);
        ground.ledger_whole = ledger_whole;
        let compared = compare(&ground);
        assert_eq!(lines(&compared), expected);
        // The other part of the call may be among those that were not read.
        let call = usize::from(missing != "sip-trunking");
        assert_eq!(booked(&compared).len(), 1 + call, "{missing}");
        let partial = compared.events.iter().filter(|event| event.payload["partial"] == true);
        assert_eq!(partial.count(), expected.iter().filter(|line| line.ends_with("null")).count());
    }
}

#[test]
fn what_is_booked_at_once_is_bounded() {
    let records = (0..BOOKED_MAX + 7).map(|n| message(&format!("m-{n}"), "1", 1)).collect();
    let compared = compare(&ground(records, vec![], &[]));
    assert_eq!((compared.booked, compared.unbooked), (BOOKED_MAX, 7));
    assert_eq!(compared.events.len(), BOOKED_MAX + 1);
    assert_eq!(lines(&compared), [format!("messaging USD 0 {0} {0}", BOOKED_MAX + 7)]);
}

#[test]
fn a_record_without_a_time_counts_and_is_not_booked() {
    let compared = compare(&ground(
        vec![record(0, &json!({"uuid": "m", "cost": "1", "currency": "USD"}))],
        vec![],
        &[],
    ));
    assert_eq!(
        (booked(&compared).len(), lines(&compared)),
        (0, vec!["messaging USD 0 1 1".to_owned()])
    );
    assert_eq!(count(&compared, "unbooked"), 1);
}

#[test]
fn a_uuid_in_capitals_is_the_same_message() {
    let id = "c9c0797e-901d-4349-a33c-c2c8f31a92c2";
    let entries = vec![entry(&format!("message:{id}"), "0.005", 1)];
    let compared = compare(&ground(vec![message(&id.to_uppercase(), "0.005", 1)], entries, &[]));
    assert_eq!((compared.booked, compared.unbooked), (0, 0));
    assert_eq!(lines(&compared), ["messaging USD 0.005 0.005 0"]);
}

#[test]
fn a_negative_amount_is_never_booked() {
    let records = vec![message("new", "-0.50", 1), message("known", "-0.50", 2)];
    let compared = compare(&ground(records, vec![entry("message:known", "0.005", 2)], &[]));
    assert_eq!((compared.booked, compared.unbooked), (0, 2));
    assert_eq!(lines(&compared), ["messaging USD 0.005 -1.00 -1.005"]);
}
