//! What `call.analyzed` tells beside `call.cost`.

use std::collections::BTreeMap;

use super::*;
use crate::event::{Incoming, PayloadPolicy, parse};

fn read(body: &str) -> Event {
    parse(&Incoming {
        account: "main",
        default_currency: None,
        content_type: None,
        body: body.as_bytes(),
        received_at: at(100),
        policy: PayloadPolicy::Redacted,
    })
}

fn cost() -> Event {
    read(
        r#"{"data":{"event_type":"call.cost","id":"e-1","payload":{"call_leg_id":"leg","call_session_id":"s",
        "total_cost":"0.0100","cost_parts":[{"call_part":"sip-trunking","cost":"0.0100","currency":"USD"}]}}}"#,
    )
}

fn analyzed(id: &str, leg: &str, second: i64, ai: &str) -> Event {
    read(&format!(
        r#"{{"data":{{"event_type":"call.analyzed","id":"{id}","occurred_at":"{}","payload":{{"call_leg_id":"{leg}",
        "call_session_id":"s","from":"+12025550131","to":"+37126123456","cost":{{"total":"9","currency":"USD",
        "breakdown":[{{"product":"siptrunking-cdrs","cost":"0.0100"}},{{"product":"ai-voice-assistant","cost":"{ai}"}},
        {{"product":"inference","cost":"0.0300"}}]}}}}}}}}"#,
        at(second)
    ))
}

/// Every order of so many.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![vec![]];
    for _ in 0..count {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                let left = (0..count).filter(|n| !order.contains(n)).collect::<Vec<_>>();
                left.into_iter().map(move |n| [order.clone(), vec![n]].concat())
            })
            .collect();
    }
    orders
}

/// What is left in the ledger, and what the charges add up to.
fn booked(events: &[&Event]) -> (Vec<Entry>, Decimal) {
    let mut ledger: BTreeMap<LedgerKey, Entry> = BTreeMap::new();
    let mut sum = Decimal::ZERO;
    for event in events {
        let key = ledger_key(event).expect("a key");
        if let Some(it) = Entry::book(ledger.get(&key), &key, event, &CallContext::default()) {
            sum += it.charge;
            ledger.insert(key, it.entry);
        }
    }
    (ledger.into_values().collect(), sum)
}

#[test]
fn what_ai_cost_is_added_to_what_the_calls_cost_in_every_order() {
    let nothing = read(
        r#"{"data":{"event_type":"call.analyzed","id":"e-9","payload":{"call_session_id":"s",
        "cost":"No cost data available."}}}"#,
    );
    assert_eq!(nothing.cost, None);
    let events = [
        cost(),
        analyzed("e-2", "leg", 10, "0.0900"),
        // The other leg of the session, later and with more.
        analyzed("e-3", "other", 20, "0.1000"),
        analyzed("e-4", "leg", 20, "0.1000"),
        nothing,
    ];
    let orders = orders(events.len());
    assert_eq!(orders.len(), 120);
    for order in orders {
        let events: Vec<&Event> = order.iter().map(|n| &events[*n]).collect();
        let (ledger, sum) = booked(&events);
        assert_eq!(sum, decimal("0.1400"), "{order:?}");
        let told: Vec<String> = ledger
            .iter()
            .map(|it| format!("{} {} {}", it.key.key, it.product, it.amount))
            .collect();
        assert_eq!(told, ["call:leg voice 0.0100", "session:s ai 0.1300"]);
        let call = &ledger.last().expect("an entry").call;
        assert_eq!(call.to.as_deref(), Some("+37126123456"));
    }
}
