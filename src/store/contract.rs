//! What every backend must do: functions over a [`Store`], run for each backend.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::alerts::{Alert, AlertState, Fingerprint, Message, MessageAlert, Reason, Status};
use crate::event::Source;
use crate::rules::Labels;

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

fn judgement(seq: i64, outcome: &str, fingerprint: &str) -> Judgement {
    Judgement {
        seq,
        rule: "balance/LowBalance".to_owned(),
        outcome: outcome.to_owned(),
        fingerprint: Some(fingerprint.to_owned()),
        detail: "value 3".to_owned(),
        config: "abc".to_owned(),
    }
}

fn alert(fingerprint: &str, state: AlertState) -> Alert {
    Alert {
        fingerprint: Fingerprint::from(fingerprint.to_owned()),
        rule: "balance/LowBalance".to_owned(),
        labels: [("alertname".to_owned(), "LowBalance".to_owned())].into(),
        annotations: Labels::new(),
        state,
        starts_at: at(0),
        ends_at: Some(at(60)),
        updated_at: at(0),
        value: None,
        notify_expired: false,
        event: json!({"cost": "1.10"}),
    }
}

pub(super) fn queued(id: &str, lane: &str, minutes: i64) -> NewDelivery {
    NewDelivery {
        id: id.to_owned(),
        integration: "slack".to_owned(),
        receiver: "oncall".to_owned(),
        target: "hook".to_owned(),
        group_key: lane.to_owned(),
        created_at: at(minutes),
        fallback_at: None,
        fallback_of: None,
        caused_by: Vec::new(),
        message: Message {
            receiver: "oncall".to_owned(),
            status: Status::Firing,
            reason: Reason::First,
            group_key: lane.to_owned(),
            group_labels: Labels::new(),
            common_labels: Labels::new(),
            common_annotations: Labels::new(),
            alerts: vec![MessageAlert {
                fingerprint: Fingerprint::from("f1".to_owned()),
                status: Status::Firing,
                expired: false,
                no_data: false,
                labels: Labels::new(),
                annotations: Labels::new(),
                starts_at: at(0),
                ends_at: Some(at(60)),
                event: serde_json::from_str(r#"{"cost": 0.10}"#).expect("json"),
            }],
            truncated_alerts: 0,
            external_url: String::new(),
            created_at: at(minutes),
            fallback_for: None,
        },
    }
}

/// Queues deliveries as the engine does, the cursor where it is.
pub(super) async fn queue(store: &Store, deliveries: impl Into<Vec<NewDelivery>>) {
    let cursor = store.resume().await.expect("reads").cursor;
    let changes = Changes { cursor, deliveries: deliveries.into(), ..Changes::default() };
    store.commit(changes).await.expect("commits");
}

/// A claim with a lease of five minutes.
pub(super) fn request(minutes: i64, limit: usize) -> Claim<'static> {
    Claim { integration: "slack", now: at(minutes), lease: Duration::from_mins(5), limit }
}

async fn claim_some(store: &Store, minutes: i64, limit: usize) -> Vec<String> {
    let claimed = store.claim(request(minutes, limit)).await.expect("claims");
    assert!(claimed.iter().all(|delivery| delivery.state == DeliveryState::Sending));
    ids(&claimed)
}

async fn claim(store: &Store, minutes: i64) -> Vec<String> {
    claim_some(store, minutes, 10).await
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.id.clone()).collect()
}

fn no_ids() -> [&'static str; 0] {
    []
}

pub(super) fn settlement(id: &str, number: u32, next: Next) -> Settlement {
    let (outcome, reason) = match next {
        Next::Delivered => ("delivered", ""),
        Next::RetryAt(_) => ("retry", "timeout"),
        Next::Dead => ("rejected", "clientError"),
    };
    let attempt = Attempt {
        number,
        finished_at: at(0),
        outcome: outcome.to_owned(),
        reason: reason.to_owned(),
        detail: String::new(),
    };
    Settlement {
        id: id.to_owned(),
        attempt,
        next,
        maybe_taken: false,
        fallbacks: vec![],
        events: vec![],
    }
}

async fn settle(store: &Store, id: &str, number: u32, next: Next) -> Settled {
    store.settle(settlement(id, number, next)).await.expect("settles")
}

/// `id state` of all deliveries, by id.
async fn states(store: &Store) -> String {
    let filter = DeliveryFilter { limit: 100, ..DeliveryFilter::default() };
    let deliveries = store.deliveries(filter).await.expect("reads");
    let mut states: Vec<_> =
        deliveries.iter().map(|d| format!("{} {}", d.id, d.state.as_str())).collect();
    states.sort();
    states.join(", ")
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

async fn a_batch_is_committed_whole_and_once(store: &Store) {
    for id in ["a", "b", "c"] {
        store.record(event(id)).await.expect("records");
    }
    let changes = Changes {
        cursor: 2,
        judgements: vec![judgement(1, "fired", "f1"), judgement(2, "extended", "f1")],
        faulted: vec![(2, "too odd".to_owned())],
        alerts: vec![alert("f1", AlertState::Firing), alert("f2", AlertState::Resolved)],
        deliveries: vec![queued("d1", "lane", 0), queued("d2", "other", 0)],
        events: vec![event("own"), event("a")],
        ..Changes::default()
    };
    let committed = store.commit(changes.clone()).await.expect("commits");
    assert_eq!(committed, Committed { recorded: 1, queued: 2 });
    let resumed = store.resume().await.expect("reads");
    assert_eq!(
        resumed,
        Resumed { cursor: 2, alerts: vec![alert("f1", AlertState::Firing)], ..Resumed::default() }
    );

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
        deliveries: vec![queued("d1", "lane", 0)],
        ..Changes::default()
    };
    assert_eq!(store.commit(ended).await.expect("commits"), Committed::default());
    assert_eq!(store.resume().await.expect("reads").alerts, []);
    assert_eq!(store.resume().await.expect("reads").cursor, 2);

    let record = store.event("a").await.expect("reads").expect("is there");
    assert_eq!(record.stored, StoredEvent { seq: 1, event: event("a") });
    assert_eq!((record.state, record.payload_dropped), (EventState::Judged, false));
    assert_eq!(record.judgements, [judgement(1, "fired", "f1")]);
    let ids: Vec<_> = record.deliveries.iter().map(|caused| caused.id.as_str()).collect();
    assert_eq!(ids, ["d1", "d2"]);
    let record = store.event("b").await.expect("reads").expect("is there");
    assert_eq!((record.state, record.fault.as_deref()), (EventState::Faulted, Some("too odd")));
    assert_eq!(record.deliveries, []);
    assert_eq!(store.event("nobody").await.expect("reads"), None);
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

async fn the_newest_of_a_lane_is_claimed_and_the_others_are_superseded(store: &Store) {
    queue(
        store,
        [queued("a1", "a", 0), queued("a2", "a", 1), queued("b1", "b", 2), queued("z", "z", 9)],
    )
    .await;
    assert_eq!(store.next_due("slack").await.expect("reads"), Some(at(0)));
    assert_eq!(store.next_due("nobody").await.expect("reads"), None);
    assert_eq!(claim(store, -1).await, no_ids());
    for state in DeliveryState::ALL {
        let filter = DeliveryFilter { state: Some(state), limit: 9, receiver: None };
        let expected = if state == DeliveryState::Pending { 4 } else { 0 };
        assert_eq!(store.deliveries(filter).await.expect("reads").len(), expected, "{state:?}");
    }
    assert_eq!(claim_some(store, 2, 1).await, ["a2"], "the lane that waits longest comes first");
    assert_eq!(claim(store, 2).await, ["b1"], "a lane in flight is left alone");
    assert_eq!(states(store).await, "a1 superseded, a2 sending, b1 sending, z pending");
    assert_eq!(store.next_due("slack").await.expect("reads"), Some(at(7)), "the end of a lease");

    // What joins a lane in flight waits for it.
    queue(store, [queued("a3", "a", 3)]).await;
    assert_eq!(claim(store, 3).await, no_ids());
    assert_eq!(settle(store, "a2", 1, Next::RetryAt(at(5))).await, Settled::Applied);
    assert_eq!(claim(store, 4).await, no_ids(), "the pause holds for the newer one, too");
    assert_eq!(claim(store, 5).await, ["a3"]);
    assert_eq!(settle(store, "a3", 1, Next::Delivered).await, Settled::Applied);
    let expected = "a1 superseded, a2 superseded, a3 delivered, b1 sending, z pending";
    assert_eq!(states(store).await, expected);
}

async fn a_lease_that_ran_out_is_claimed_again_and_late_words_change_little(store: &Store) {
    queue(store, [queued("a", "a", 0)]).await;
    assert_eq!(claim(store, 0).await, ["a"]);
    assert_eq!(claim(store, 4).await, no_ids());
    let again = store.claim(request(5, 10)).await.expect("claims");
    assert_eq!((again[0].attempts, again[0].maybe_repeated), (2, true));
    for next in [Next::Dead, Next::RetryAt(at(9))] {
        assert_eq!(settle(store, "a", 1, next).await, Settled::Stale);
    }
    assert_eq!(states(store).await, "a sending");
    // The first attempt got through after all.
    assert_eq!(settle(store, "a", 1, Next::Delivered).await, Settled::Applied);
    for next in [Next::Dead, Next::RetryAt(at(9)), Next::Delivered] {
        assert_eq!(settle(store, "a", 2, next).await, Settled::Stale);
    }
    assert_eq!(states(store).await, "a delivered");
    let (_, attempts) = store.delivery("a").await.expect("reads").expect("is there");
    assert_eq!(
        attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(),
        [1, 1, 1, 2, 2, 2]
    );
    assert_eq!(settle(store, "nobody", 1, Next::Delivered).await, Settled::Stale);
}

async fn attempts_are_kept_within_a_bound(store: &Store) {
    queue(store, [queued("a", "a", 0)]).await;
    for number in 1..=60 {
        assert_eq!(claim(store, 0).await, ["a"]);
        assert_eq!(settle(store, "a", number, Next::RetryAt(at(0))).await, Settled::Applied);
    }
    let (delivery, attempts) = store.delivery("a").await.expect("reads").expect("is there");
    assert_eq!((delivery.attempts, delivery.reason.as_str()), (60, "timeout"));
    let numbers: Vec<_> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, (11..=60).collect::<Vec<_>>());
}

async fn what_is_given_back_waits_again(store: &Store) {
    queue(store, [queued("a", "a", 0), queued("b", "b", 0)]).await;
    assert_eq!(claim(store, 0).await, ["a", "b"]);
    store.release(vec!["a".to_owned(), "nobody".to_owned()]).await.expect("releases");
    let a = store.delivery("a").await.expect("reads").expect("is there").0;
    assert_eq!((a.state, a.attempts, a.maybe_repeated), (DeliveryState::Pending, 0, false));
    let resent = store.release_all().await.expect("releases");
    let b = || ("slack".to_owned(), "oncall".to_owned());
    assert_eq!(resent, [Resent { integration: b().0, receiver: b().1, count: 1 }]);
    assert_eq!(store.release_all().await.expect("releases"), []);
    let claimed = store.claim(request(0, 10)).await.expect("claims");
    let again: Vec<_> =
        claimed.iter().map(|d| (d.id.as_str(), d.attempts, d.maybe_repeated)).collect();
    assert_eq!(again, [("a", 1, false), ("b", 2, true)]);
}

async fn a_fallback_is_rung_once(store: &Store) {
    let with = |id: &str, lane: &str, minutes, fallback| NewDelivery {
        fallback_at: Some(at(fallback)),
        ..queued(id, lane, minutes)
    };
    let copy = |id: &str, of: &str| NewDelivery {
        integration: "mail".to_owned(),
        fallback_of: Some(of.to_owned()),
        ..queued(id, "fallback", 5)
    };
    queue(
        store,
        [with("a", "a", 0, 5), with("b", "b", 0, 6), with("c1", "c", 0, 7), queued("d", "d", 0)],
    )
    .await;
    let due = async |minutes| ids(&store.fallback_due(at(minutes), 10).await.expect("reads"));
    assert_eq!(due(4).await, no_ids());
    assert_eq!(due(6).await, ["a", "b"]);
    for (expected, id) in [(true, "fa"), (false, "fa2")] {
        let rung = store.ring_fallback("a".to_owned(), vec![copy(id, "a")]).await.expect("rings");
        assert_eq!(rung, expected);
    }
    assert_eq!(due(6).await, ["b"]);

    // A dead delivery rings it with its settlement; what was rung before stays at one copy.
    assert_eq!(claim(store, 0).await, ["a", "b", "c1", "d"]);
    for (id, copy_id, expected) in [("a", "fa3", Settled::Applied), ("b", "fb", Settled::Rang)] {
        let fallbacks = vec![copy(copy_id, id)];
        let settlement = Settlement { fallbacks, ..settlement(id, 1, Next::Dead) };
        assert_eq!(store.settle(settlement).await.expect("settles"), expected);
    }
    assert_eq!(due(6).await, no_ids());
    let all = store
        .deliveries(DeliveryFilter { limit: 100, ..DeliveryFilter::default() })
        .await
        .expect("reads");
    let copies: Vec<_> =
        all.iter().filter(|d| d.fallback_of.is_some()).map(|d| d.id.as_str()).collect();
    assert_eq!(copies, ["fb", "fa"]);
    assert!(!store.ring_fallback("b".to_owned(), vec![copy("fb2", "b")]).await.expect("rings"));

    // Newer messages do not put it off.
    settle(store, "c1", 1, Next::RetryAt(at(1))).await;
    queue(store, [with("c2", "c", 6, 12)]).await;
    assert_eq!(claim(store, 6).await, ["c2", "d"]);
    assert_eq!(due(7).await, ["c2"]);
}

async fn the_dead_are_listed_and_retried(store: &Store) {
    let to = |id: &str, receiver: &str| NewDelivery {
        receiver: receiver.to_owned(),
        ..queued(id, id, 0)
    };
    queue(
        store,
        [to("0123456789a", "x"), to("0123456789b", "x"), to("0123c", "y"), to("0123d", "y")],
    )
    .await;
    for id in claim(store, 0).await {
        let next = if id == "0123d" { Next::Delivered } else { Next::Dead };
        settle(store, &id, 1, next).await;
    }
    let dead = async |receiver: Option<&str>| {
        let receiver = receiver.map(str::to_owned);
        let filter = DeliveryFilter { state: Some(DeliveryState::Dead), receiver, limit: 10 };
        ids(&store.deliveries(filter).await.expect("reads"))
    };
    assert_eq!(dead(None).await, ["0123c", "0123456789b", "0123456789a"]);
    assert_eq!(dead(Some("x")).await, ["0123456789b", "0123456789a"]);
    for (prefix, found) in [
        ("0123456789", None),
        ("01234567", None),
        ("0123456789b", Some("0123456789b")),
        ("0123", None),
    ] {
        let delivery = store.delivery(prefix).await.expect("reads");
        assert_eq!(delivery.map(|(d, _)| d.id).as_deref(), found, "{prefix}");
    }
    let retry = async |selection| store.retry(selection, at(9)).await.expect("retries");
    assert_eq!(retry(Retry::One("0123d".to_owned())).await, 0, "it was delivered");
    assert_eq!(retry(Retry::One("0123c".to_owned())).await, 1);
    assert_eq!(retry(Retry::Receiver("y".to_owned())).await, 0);
    assert_eq!(retry(Retry::All).await, 2);
    assert_eq!(claim(store, 8).await, no_ids());
    let again = store.claim(request(9, 10)).await.expect("claims");
    assert_eq!(again.len(), 3);
    assert!(again.iter().all(|d| (d.created_at, d.attempts, d.finished_at) == (at(9), 2, None)));
    assert!(store.delivery("01234567").await.expect("reads").is_none());
}

async fn deliveries_of_strangers_are_buried(store: &Store) {
    let known = NewDelivery { integration: "mail".to_owned(), ..queued("m", "m", 0) };
    queue(store, [queued("a", "a", 0), queued("b", "b", 0), known]).await;
    assert_eq!(claim_some(store, 0, 1).await, ["a"]);
    assert_eq!(store.bury_strangers(vec!["mail".to_owned()], at(1)).await.expect("buries"), 2);
    assert_eq!(store.bury_strangers(vec!["mail".to_owned()], at(1)).await.expect("buries"), 0);
    assert_eq!(states(store).await, "a dead, b dead, m pending");
    let (buried, _) = store.delivery("a").await.expect("reads").expect("is there");
    assert_eq!((buried.reason.as_str(), buried.finished_at), ("receiver removed", Some(at(1))));
    assert_eq!(store.next_due("slack").await.expect("reads"), None);
}

async fn figures_are_told(store: &Store) {
    assert_eq!(store.stats().await.expect("reads"), Stats::default());
    for id in ["a", "b", "c"] {
        store.record(event(id)).await.expect("records");
    }
    queue(store, [queued("d1", "a", 0), queued("d2", "a", 0), queued("d3", "b", 0)]).await;
    assert_eq!(claim_some(store, 0, 1).await, ["d2"]);
    let alerts = vec![alert("f1", AlertState::Firing), alert("f2", AlertState::Resolved)];
    store.commit(Changes { cursor: 1, alerts, ..Changes::default() }).await.expect("commits");
    let stats = store.stats().await.expect("reads");
    assert_eq!((stats.events_total, stats.inbox_lag_events), (3, 2));
    assert_eq!(stats.oldest_waiting, Some(at(0)));
    let counted = DeliveryState::ALL.map(|state| stats.deliveries_in(state));
    assert_eq!(counted, [1, 1, 0, 1, 0]);
    let count = |state: &str| AlertCount {
        alertname: "LowBalance".to_owned(),
        state: state.to_owned(),
        count: 1,
    };
    assert_eq!(stats.alerts, [count("firing"), count("resolved")]);
    store.probe().await.expect("writes");
}

async fn the_old_is_swept_and_the_open_is_not(store: &Store) {
    const MONTH: i64 = 30 * 24 * 60;
    for (id, minutes) in [("a", 0), ("b", 1), ("c", 2)] {
        let event = Event { received_at: at(minutes), ..event(id) };
        store.record(event).await.expect("records");
    }
    queue(store, [queued("d1", "a", 0), queued("d2", "a", 0), queued("d3", "b", 0)]).await;
    assert_eq!(claim_some(store, 0, 1).await, ["d2"]);
    let changes = Changes {
        cursor: 2,
        judgements: vec![judgement(1, "fired", "f1")],
        faulted: vec![(2, "odd".to_owned())],
        alerts: vec![alert("f1", AlertState::Firing), alert("f2", AlertState::Resolved)],
        ..Changes::default()
    };
    store.commit(changes).await.expect("commits");
    let sweep = async |minutes, limit| store.sweep(at(minutes), limit).await.expect("sweeps");
    assert_eq!(sweep(MONTH - 1, 10).await, Swept::default());
    let first = sweep(MONTH * 2, 1).await;
    assert_eq!(first, Swept { events: 1, deliveries: 1, alerts: 1, more: true });
    assert_eq!(sweep(MONTH * 2, 10).await, Swept { events: 1, ..Swept::default() });
    assert_eq!(sweep(MONTH * 2, 10).await, Swept::default());
    assert_eq!(inbox(store).await, [(3, "c".to_owned())]);
    assert_eq!(states(store).await, "d2 sending, d3 pending");
    assert_eq!(store.resume().await.expect("reads").alerts.len(), 1);
    assert_eq!(store.stats().await.expect("reads").inbox_lag_events, 1);

    // A place is never given twice, even when the inbox was emptied.
    store.commit(Changes { cursor: 3, ..Changes::default() }).await.expect("commits");
    assert_eq!(sweep(MONTH * 2, 10).await.events, 1);
    assert_eq!(inbox(store).await, []);
    assert_eq!(store.record(event("a")).await.expect("records"), Recorded::New);
    assert_eq!(inbox(store).await, [(4, "a".to_owned())]);
}

async fn who_waits_is_told_of_commits(store: &Store) {
    let (mut recorded, mut queued_up) = (store.recorded(), store.queued());
    store.record(event("a")).await.expect("records");
    recorded.changed().await.expect("told");
    store.record(event("a")).await.expect("records");
    store.probe().await.expect("writes");
    assert!(!recorded.has_changed().expect("open"));
    assert!(!queued_up.has_changed().expect("open"));
    queue(store, [queued("d", "d", 0)]).await;
    queued_up.changed().await.expect("told");
    assert_eq!(claim(store, 0).await, ["d"]);
    assert!(!recorded.has_changed().expect("open"));
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
    a_batch_is_committed_whole_and_once
    events_are_listed_by_kind_account_and_state
    the_newest_of_a_lane_is_claimed_and_the_others_are_superseded
    a_lease_that_ran_out_is_claimed_again_and_late_words_change_little
    attempts_are_kept_within_a_bound
    what_is_given_back_waits_again
    a_fallback_is_rung_once
    the_dead_are_listed_and_retried
    deliveries_of_strangers_are_buried
    figures_are_told
    the_old_is_swept_and_the_open_is_not
    who_waits_is_told_of_commits
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
}
