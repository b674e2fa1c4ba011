//! One judged batch: all of it or nothing, once.

use super::*;

fn caused(id: &str, by: &[i64]) -> NewDelivery {
    NewDelivery { caused_by: by.to_vec(), ..queued(id, id, 0) }
}

async fn a_batch_is_committed_whole_and_once(store: &Store) {
    for id in ["a", "b", "c"] {
        store.record(event(id)).await.expect("records");
    }
    let changes = Changes {
        cursor: 2,
        judgements: vec![judgement(1, "fired", "f1"), judgement(2, "extended", "f1")],
        faulted: vec![(2, "too odd".to_owned())],
        alerts: vec![alert("f1", AlertState::Firing), alert("f2", AlertState::Resolved)],
        deliveries: vec![caused("d1", &[1]), caused("d2", &[1, 3, 77])],
        events: vec![event("own"), event("a")],
        ..Changes::default()
    };
    let committed = store.commit(changes.clone()).await.expect("commits");
    assert_eq!(committed, Committed { recorded: 1, opened: 2, calls_evicted: 0 });
    let resumed = store.resume().await.expect("reads");
    // The newest first.
    let open = ["d2", "d1"].map(|id| (id.to_owned(), slack(), id.to_owned())).to_vec();
    let alerts = vec![alert("f1", AlertState::Firing)];
    assert_eq!(resumed, Resumed { cursor: 2, alerts, open, ..Resumed::default() });

    let last = [(judgement(2, "extended", "f1"), event("b").received_at)];
    assert_eq!(store.last_judgements(None).await.expect("reads"), last);
    assert_eq!(store.last_judgements(Some(&last[0].0.rule)).await.expect("reads"), last);
    assert_eq!(store.last_judgements(Some("g/Other")).await.expect("reads"), []);
    let firing = alert("f1", AlertState::Firing);
    let name = firing.labels["alertname"].clone();
    assert_eq!(store.firing_of(&name, 9).await.expect("reads"), [firing]);
    assert_eq!(store.firing_of(&name, 0).await.expect("reads"), []);
    assert_eq!(store.firing_of("Other", 9).await.expect("reads"), []);

    // The same again, a part of it, or something older: refused, and nothing of it stays.
    let again =
        Changes { cursor: 3, alerts: vec![alert("f3", AlertState::Firing)], ..changes.clone() };
    let older = Changes { cursor: 1, ..Changes::default() };
    let partly = Changes { cursor: 3, faulted: vec![(2, String::new())], ..Changes::default() };
    for refused in [changes, again, older, partly] {
        assert!(matches!(store.commit(refused).await, Err(StoreError::Stale(2))));
    }
    let beyond = Changes { cursor: 99, ..Changes::default() };
    assert!(matches!(store.commit(beyond).await, Err(StoreError::Unstorable(_))));
    assert_eq!(store.resume().await.expect("reads"), resumed);

    // Time passes without events: the cursor stays, alerts change.
    let ended = Changes {
        cursor: 2,
        alerts: vec![alert("f1", AlertState::Expired)],
        deliveries: vec![caused("d1", &[1])],
        ..Changes::default()
    };
    assert_eq!(store.commit(ended).await.expect("commits"), Committed::default());
    assert_eq!(store.resume().await.expect("reads").alerts, []);
    assert_eq!(store.resume().await.expect("reads").cursor, 2);

    let record = store.event("c", None).await.expect("reads").expect("is there");
    assert_eq!(record.deliveries.len(), 1, "an event may cause what a later batch opens");
    let record = store.event("a", None).await.expect("reads").expect("is there");
    assert_eq!(record.stored, StoredEvent { seq: 1, event: event("a") });
    assert_eq!((record.state, record.payload_dropped), (EventState::Judged, false));
    assert_eq!(record.judgements, [judgement(1, "fired", "f1")]);
    let ids: Vec<_> = record.deliveries.iter().map(|caused| caused.id.as_str()).collect();
    assert_eq!(ids, ["d1", "d2"]);
    let record = store.event("b", None).await.expect("reads").expect("is there");
    assert_eq!((record.state, record.fault.as_deref()), (EventState::Faulted, Some("too odd")));
    assert_eq!(record.deliveries, []);
    assert_eq!(store.event("nobody", None).await.expect("reads"), None);
}

async fn what_an_event_charged_is_kept_on_it(store: &Store) {
    for id in ["a", "b", "c"] {
        store.record(event(id)).await.expect("records");
    }
    let charges = vec![(1, "0.1000".parse().expect("decimal")), (2, Decimal::new(-5, 2))];
    let changes = Changes { cursor: 2, charges, ..Changes::default() };
    store.commit(changes).await.expect("commits");
    for (id, expected) in [("a", Some("0.1000")), ("b", Some("-0.05")), ("c", None)] {
        let record = store.event(id, None).await.expect("reads").expect("is there");
        let charge = record.stored.event.charge.map(|charge| charge.to_string());
        assert_eq!(charge.as_deref(), expected, "{id}");
    }
    let again = Changes { cursor: 3, charges: vec![(2, Decimal::ONE)], ..Changes::default() };
    assert!(matches!(store.commit(again).await, Err(StoreError::Stale(2))));
    let record = store.event("b", None).await.expect("reads").expect("is there");
    assert_eq!(record.stored.event.charge, Some(Decimal::new(-5, 2)));
}

async fn an_event_is_found_by_its_account_too(store: &Store) {
    let other = Event { account: "other".to_owned(), kind: "fax.sent".to_owned(), ..event("a") };
    for event in [event("a"), other] {
        assert_eq!(store.record(event).await.expect("records"), Recorded::New);
    }
    for (account, expected) in
        [(None, Some(2)), (Some("default"), Some(1)), (Some("other"), Some(2)), (Some("x"), None)]
    {
        let found = store.event("a", account).await.expect("reads");
        assert_eq!(found.map(|record| record.stored.seq), expected, "{account:?}");
    }
}

async fn further_events_cause_a_delivery_that_is_open(store: &Store) {
    for id in ["a", "b", "c"] {
        store.record(event(id)).await.expect("records");
    }
    queue(store, [caused("d1", &[1])]).await;
    let causes = vec![("d1".to_owned(), vec![1, 2, 77])];
    store.commit(Changes { causes, ..Changes::default() }).await.expect("commits");
    for (id, expected) in [("a", 1), ("b", 1), ("c", 0)] {
        let record = store.event(id, None).await.expect("reads").expect("is there");
        assert_eq!(record.deliveries.len(), expected, "{id}");
    }
}

on_backends! {
    a_batch_is_committed_whole_and_once
    what_an_event_charged_is_kept_on_it
    an_event_is_found_by_its_account_too
    further_events_cause_a_delivery_that_is_open
}
