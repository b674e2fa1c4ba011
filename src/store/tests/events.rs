//! Events: kept once, read in order, listed.

use super::*;

async fn an_event_comes_back_as_it_went_in(store: &Store) {
    let bare = Event {
        occurred_at: None,
        attempt: None,
        cost: None,
        currency: None,
        payload: json!(null),
        source: Source::Tollbell,
        ..event("b")
    };
    for event in [event("a"), bare.clone()] {
        assert_eq!(store.record(event).await.expect("records"), Recorded::New);
    }
    let events = store.inbox_after(0, 10).await.expect("reads");
    assert_eq!(events[0], Ok(StoredEvent { seq: 1, event: event("a") }));
    assert_eq!(events[1], Ok(StoredEvent { seq: 2, event: bare }));
    assert_eq!(store.inbox_after(1, 10).await.expect("reads"), events[1..]);
    assert_eq!(store.inbox_after(0, 1).await.expect("reads"), events[..1]);
    assert_eq!(store.inbox_after(2, 1).await.expect("reads"), []);
}

async fn an_event_is_kept_once_within_its_window(store: &Store) {
    const DAY: i64 = 24 * 60;
    let hashed =
        |minutes| Event { content_hashed: true, received_at: at(minutes), ..event("hash") };
    let named = |minutes| Event { received_at: at(minutes), ..event("named") };
    let other = |minutes| Event { account: "other".to_owned(), ..named(minutes) };
    let cases = [
        (named(0), Recorded::New),
        (named(0), Recorded::Duplicate),
        (other(0), Recorded::New),
        (named(30 * DAY - 1), Recorded::Duplicate),
        // As long as the event is kept, whatever a clock says.
        (named(40 * DAY), Recorded::Duplicate),
        (hashed(0), Recorded::New),
        (hashed(59), Recorded::Duplicate),
        (hashed(60), Recorded::New),
        (hashed(119), Recorded::Duplicate),
        (hashed(120), Recorded::New),
    ];
    for (event, expected) in cases {
        let case = (event.id.clone(), event.received_at);
        assert_eq!(store.record(event).await.expect("records"), expected, "{case:?}");
    }
}

async fn events_are_listed_by_kind_account_and_state(store: &Store) {
    for (id, kind, account) in [
        ("a", "call.cost", "one"),
        ("b", "call.hangup", "two"),
        ("c", "fax.sent", "one"),
        ("d", "call?cost", "one"),
    ] {
        let event = Event { kind: kind.to_owned(), account: account.to_owned(), ..event(id) };
        store.record(event).await.expect("records");
    }
    let faulted = vec![(2, "odd".to_owned())];
    store.commit(Changes { cursor: 2, faulted, ..Changes::default() }).await.expect("commits");
    let all = || EventFilter { limit: 10, ..EventFilter::default() };
    let kind = |kind: &str| EventFilter { kind: Some(kind.to_owned()), ..all() };
    let state = |state| EventFilter { state: Some(state), ..all() };
    let cases = [
        (all(), "dcba"),
        (EventFilter { limit: 2, ..all() }, "dc"),
        (kind("call.*"), "ba"),
        (kind("call?cost"), "d"),
        (kind("*cost"), "da"),
        (EventFilter { account: Some("one".to_owned()), ..kind("*.*") }, "ca"),
        (EventFilter { without_kind: Some("fax.sent".to_owned()), ..all() }, "dba"),
        (EventFilter { before: Some(4), ..all() }, "cba"),
        (EventFilter { before: Some(1), ..all() }, ""),
        (state(EventState::Waiting), "dc"),
        (state(EventState::Judged), "a"),
        (state(EventState::Faulted), "b"),
    ];
    for (filter, expected) in cases {
        let events = store.events(filter.clone()).await.expect("reads");
        let ids: String = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
        assert!(events.iter().all(|event| filter.state.is_none_or(|state| state == event.state)));
    }
}

async fn events_are_read_by_the_time_at_which_they_came(store: &Store) {
    for (id, minutes) in [("a", 0), ("b", 10), ("c", 5), ("d", 20)] {
        let event = Event { received_at: at(minutes), ..event(id) };
        store.record(event).await.expect("records");
    }
    for (from, to, after, limit, expected) in [
        (0, 99, 0, 10, "abcd"),
        (0, 20, 0, 10, "abc"),
        (5, 20, 0, 10, "bc"),
        (5, 20, 2, 10, "c"),
        (0, 99, 1, 2, "bc"),
        (30, 99, 0, 10, ""),
    ] {
        let events = store.events_between(at(from), at(to), after, limit).await.expect("reads");
        let ids: String = events.iter().flatten().map(|stored| stored.event.id.as_str()).collect();
        assert_eq!(ids, expected, "{from} {to} {after} {limit}");
    }
}

on_backends! {
    an_event_comes_back_as_it_went_in
    an_event_is_kept_once_within_its_window
    events_are_listed_by_kind_account_and_state
    events_are_read_by_the_time_at_which_they_came
}
