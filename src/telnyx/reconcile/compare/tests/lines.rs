//! The lines: sums of the ledger and of Telnyx, side by side.

use super::*;

#[test]
fn what_agrees_makes_one_line_of_zero() {
    let compared = compare(&ground(
        vec![message("m", "0.0050", 1), message("m", "0.0050", 1)],
        vec![entry("message:m", "0.005", 1)],
        &[],
    ));
    assert_eq!(booked(&compared), [""; 0]);
    assert_eq!(lines(&compared), ["messaging USD 0.005 0.005 0"]);
    assert_eq!(count(&compared, "records"), 1, "a page that brings a record again");
    assert_eq!(compare(&ground(vec![], vec![], &[])), Compared::default());
}

#[test]
fn what_no_event_tells_is_a_sum_of_its_own() {
    let of = |word: &str| RECORD_TYPES.iter().position(|of| of.word == word).expect("a type");
    let cost = |word: &str, id: &str, cost: &str| {
        record(
            of(word),
            &json!({"id": id, "cost": cost, "currency": "USD", "created_at": at(1).to_string()}),
        )
    };
    let mut session = entry("session:s", "0.13", 1);
    session.product = "ai".to_owned();
    let records = vec![
        cost("ai-voice-assistant", "1", "0.10"),
        cost("inference", "1", "0.05"),
        cost("fax", "1", "0.007"),
        cost("recording", "1", "0.002"),
    ];
    let mut ground = ground(records, vec![session], &[]);
    // Types that a product can do without.
    for word in ["recording", "stt", "tts", "embedding", "inference-speech-to-text"] {
        ground.whole.remove(word);
    }
    let compared = compare(&ground);
    assert_eq!(booked(&compared), [""; 0]);
    assert_eq!(
        lines(&compared),
        ["ai USD 0.13 0.15 0.02", "fax USD 0 0.007 0.007", "voice USD 0 0.002 0.002"]
    );
    let counted: Vec<&Value> =
        compared.events.iter().map(|event| &event.payload["counted"]).collect();
    assert_eq!(counted, [&json!(true), &json!(false), &json!(true)]);
}

#[test]
fn currencies_are_never_added() {
    let euro = |id: &str, cost: Value| {
        record(
            0,
            &json!({"uuid": id, "cost": cost, "currency": "EUR", "created_at": at(1).to_string()}),
        )
    };
    let records = vec![
        message("a", "1", 1),
        euro("b", json!("2")),
        euro("c", json!(0.1)),
        euro("d", Value::Null),
    ];
    let compared = compare(&ground(records, vec![entry("message:b", "2", 1)], &[]));
    assert_eq!(booked(&compared), ["message:a none -> 1", "message:c none -> 0.1"]);
    assert_eq!(lines(&compared), ["messaging EUR 0 2.1 2.1", "messaging USD 2 1 -1"]);
    let euro = compared.events.get(2).expect("a line");
    assert_eq!(
        (euro.payload["unknown"].as_u64(), euro.payload["unbooked"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(euro.currency.as_deref(), Some("EUR"));
}

#[test]
fn an_unknown_currency_agrees_with_the_same_amount_only() {
    let unnamed = |cost: &str| {
        record(0, &json!({"uuid": "m", "cost": cost, "created_at": at(1).to_string()}))
    };
    let of =
        |cost: &str| compare(&ground(vec![unnamed(cost)], vec![entry("message:m", "1", 1)], &[]));
    assert_eq!(lines(&of("1.0")), ["messaging USD 1 1 0"]);
    let other = of("2");
    assert_eq!(booked(&other), [""; 0]);
    assert_eq!(lines(&other), ["messaging USD 1 0 -1", "messaging unknown 0 2 2"]);
    assert_eq!(other.events.last().expect("a line").currency, None);
}

#[test]
fn a_record_that_says_nothing_is_in_no_line() {
    let void = [json!(null), json!(5), json!("odd"), json!([]), json!({}), json!({"cost": null})];
    let mut records: Vec<Record> = void.iter().map(|json| record(0, json)).collect();
    let compared = compare(&ground(records.clone(), vec![], &[]));
    assert_eq!((compared.events.len(), compared.records, compared.void), (0, 0, void.len()));
    records.push(record(1, &json!({"cost": "0.25"})));
    let compared = compare(&ground(records, vec![], &[]));
    assert_eq!(lines(&compared), ["voice unknown 0 0.25 0.25"]);
    assert_eq!((compared.records, compared.void), (1, void.len()));
}
