//! Charges that the detail records have and no event told.

use super::*;

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
        (json!("message:m:+13125550001"), true),
        (json!("session:s"), true),
        (json!("session:"), false),
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
