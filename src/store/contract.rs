//! What every backend must do: functions over a [`Store`], run for each backend.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::clock;
use crate::event::Source;

/// Minutes after some moment.
pub(super) fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).expect("in range")
}

pub(super) fn event(id: &str) -> Event {
    Event {
        id: id.to_owned(),
        account: "default".to_owned(),
        kind: "call.cost".to_owned(),
        type_as_sent: "call_cost".to_owned(),
        occurred_at: Some(at(-1)),
        received_at: at(0),
        attempt: Some(1),
        source: Source::Webhook,
        payload: serde_json::from_str(
            r#"{"cost": 0.1000, "big": 12345678901234567890.10, "nul": "a\u0000b"}"#,
        )
        .expect("json"),
        cost: Some("0.1000".parse().expect("decimal")),
        charge: None,
        currency: Some("USD".to_owned()),
        content_hashed: false,
    }
}

pub(super) fn settings(directory: &tempfile::TempDir) -> Settings {
    Settings {
        path: directory.path().join("data/tollbell.db"),
        retention: Duration::from_hours(30 * 24),
        payload: PayloadPolicy::Redacted,
    }
}

pub(super) async fn open(settings: &Settings) -> Store {
    Store::open(settings, Box::new(|_| ())).await.expect("opens")
}

async fn inbox(store: &Store) -> Vec<(i64, String)> {
    let events = store.inbox_after(0, 1000).await.expect("reads");
    events.into_iter().map(|event| event.expect("readable")).map(|e| (e.seq, e.event.id)).collect()
}

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
        (named(30 * DAY), Recorded::New),
        (named(30 * DAY), Recorded::Duplicate),
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

async fn a_closed_store_says_so(store: &Store) {
    store.record(event("a")).await.expect("records");
    store.close().await.expect("closes");
    assert!(matches!(store.record(event("b")).await, Err(StoreError::Closed)));
    assert!(matches!(store.inbox_after(0, 1).await, Err(StoreError::Closed)));
    assert!(matches!(store.close().await, Err(StoreError::Closed)));
}

/// Runs contract functions, each on a store of its own.
macro_rules! on_sqlite {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let directory = tempfile::tempdir().expect("temp dir");
                let store = super::open(&super::settings(&directory)).await;
                super::$name(&store).await;
            })*
        }
    };
}

on_sqlite! {
    an_event_comes_back_as_it_went_in
    an_event_is_kept_once_within_its_window
    a_closed_store_says_so
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    store.record(event("a")).await.expect("records");
    assert!(matches!(Store::open(&settings, Box::new(|_| ())).await, Err(OpenError::Locked(_))));
    store.close().await.expect("closes");
    let store = open(&settings).await;
    assert_eq!(store.record(event("a")).await.expect("records"), Recorded::Duplicate);
    assert_eq!(inbox(&store).await, [(1, "a".to_owned())]);
    let _ = clock::add(at(0), Duration::ZERO);
}
