//! What every backend must do: functions over a [`Store`], run for each backend.

/// Runs contract functions, each on a store of its own.
macro_rules! on_backends {
    ($($name:ident)*) => {
        mod postgres {
            use crate::store::tests as contract;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&contract::open_postgres().await).await;
            })*
        }

        mod sqlite {
            use crate::store::tests as contract;

            $(#[tokio::test]
            async fn $name() {
                let directory = tempfile::tempdir().expect("temp dir");
                let store = contract::open(&contract::settings(&directory)).await;
                super::$name(&store).await;
            })*
        }
    };
}

mod audit;
mod batch;
mod deliveries;
mod events;
mod feed;
mod forget;
mod notification_log;
mod postgres;
mod state;
mod upkeep;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::json;
use sha2::{Digest as _, Sha256};

pub(in crate::store) use self::postgres::{cluster, open_postgres, postgres_settings};
use super::*;
use crate::alerts::{
    Alert, AlertState, Fingerprint, Group, LogEntry, Matcher, Message, Reason, Silence, Status,
    TargetId, message_alert,
};
use crate::event::{Event, PayloadPolicy, Source};
use crate::rules::{CallContext, CallKey, Entry, Labels, LedgerKey};

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

pub(super) async fn inbox(store: &Store) -> Vec<(i64, String)> {
    let events = store.inbox_after(0, 1000).await.expect("reads");
    events.into_iter().map(|event| event.expect("readable")).map(|e| (e.seq, e.event.id)).collect()
}

pub(super) fn judgement(seq: i64, outcome: &str, fingerprint: &str) -> Judgement {
    Judgement {
        seq,
        rule: "balance/LowBalance".to_owned(),
        outcome: outcome.to_owned(),
        fingerprint: Some(fingerprint.to_owned()),
        detail: "value 3".to_owned(),
        config: "abc".to_owned(),
    }
}

pub(super) fn alert(fingerprint: &str, state: AlertState) -> Alert {
    Alert {
        fingerprint: Fingerprint::from(fingerprint.to_owned()),
        rule: "balance/LowBalance".to_owned(),
        labels: [("alertname".to_owned(), "LowBalance".to_owned())].into(),
        annotations: Labels::new(),
        state,
        starts_at: at(0),
        ends_at: Some(at(60)),
        updated_at: at(0),
        event_at: None,
        missed: false,
        usual: None,
        value: None,
        notify_expired: false,
        event: json!({"cost": "1.10"}).into(),
    }
}

/// A delivery of a group to the one target of Slack.
pub(super) fn queued(id: &str, group: &str, minutes: i64) -> NewDelivery {
    NewDelivery {
        id: id.to_owned(),
        target: slack(),
        receiver: "oncall".to_owned(),
        group_key: group.to_owned(),
        opened_at: at(minutes),
        fallback_at: None,
        fallback_of: None,
        caused_by: Vec::new(),
    }
}

pub(super) fn slack() -> TargetId {
    TargetId::new("slack", "hook")
}

/// What is composed for a group.
pub(super) fn message(group: &str) -> Message {
    Message {
        receiver: "oncall".to_owned(),
        status: Status::Firing,
        reason: Reason::First,
        reopens: false,
        group_key: group.to_owned(),
        group_labels: Labels::new(),
        common_labels: Labels::new(),
        common_annotations: Labels::new(),
        alerts: vec![message_alert(&alert("f1", AlertState::Firing))],
        truncated_alerts: 0,
        external_url: String::new(),
        created_at: at(0),
        fallback_for: None,
    }
}

/// A message as it is claimed.
pub(super) fn content(message: &Message, revision: u32) -> Content {
    let message = serde_json::to_vec(message).expect("json");
    let digest = Sha256::digest(&message).to_vec();
    Content { revision, digest, message, why: Reason::First.as_str() }
}

/// An entry of the notification log: when, and which alerts its target knows as firing.
pub(super) fn told(minutes: i64, firing: &[(&str, u64)]) -> LogEntry {
    let firing = firing.iter().map(|(one, life)| (Fingerprint::from((*one).to_owned()), *life));
    LogEntry { notified_at: Some(at(minutes)), firing: firing.collect(), ..LogEntry::default() }
}

/// The rows of a group with members, each with its life and whether it is over.
pub(super) fn group_rows(key: &str, members: &[(&str, u64, bool)]) -> Vec<Row> {
    let group = Group::new(key.to_owned(), "route".to_owned(), Labels::new(), at(0));
    let value = serde_json::to_vec(&group).expect("json");
    let mut rows = vec![row(Space::Group, key, Some(&value))];
    for (fingerprint, life, over) in members {
        let member = json!({"life": life, "first_life": life, "changed_at": at(0), "over": over});
        let key = member_key(key, &Fingerprint::from((*fingerprint).to_owned()));
        rows.push(row(Space::Member, &key, Some(member.to_string().as_bytes())));
    }
    rows
}

/// The leg's charge, at its fullest.
pub(super) fn entry(leg: &str, amount: &str, minutes: i64) -> Entry {
    Entry {
        key: LedgerKey { account: "default".to_owned(), key: format!("call:{leg}") },
        amount: amount.parse().expect("decimal"),
        currency: "USD".to_owned(),
        product: "voice".to_owned(),
        kind: "call.cost".to_owned(),
        at: at(minutes),
        updated_at: at(minutes),
        reported_at: at(minutes),
        call: context(),
    }
}

pub(super) fn context() -> CallContext {
    CallContext {
        from: Some("+15550100".to_owned()),
        to: Some("+445550100".to_owned()),
        direction: Some("outbound".to_owned()),
        connection_id: Some("7".to_owned()),
        country: Some("GB".to_owned()),
        started_at: Some(at(-2)),
        ended_at: Some(at(-1)),
    }
}

pub(super) fn leg(leg: &str) -> CallKey {
    CallKey { account: "default".to_owned(), leg: leg.to_owned() }
}

pub(super) fn row(space: Space, key: &str, value: Option<&[u8]>) -> Row {
    Row { space, key: key.to_owned(), value: value.map(<[u8]>::to_vec) }
}

pub(super) fn line(fingerprint: &str, what: &str, minutes: i64) -> JournalEntry {
    JournalEntry {
        at: at(minutes),
        fingerprint: fingerprint.to_owned(),
        group_key: "g".to_owned(),
        what: what.to_owned(),
        detail: "value 3".to_owned(),
    }
}

pub(super) fn silence(id: &str, from: i64, until: i64) -> Silence {
    Silence {
        id: id.to_owned(),
        matchers: ["team=\"billing\"", "severity=~\"a|b\""]
            .map(|text| Matcher::parse(text).expect("parses"))
            .into(),
        starts_at: at(from),
        ends_at: at(until),
        created_by: "somebody".to_owned(),
        comment: "\u{2026} \"quoted\"".to_owned(),
        created_at: at(from),
        updated_at: at(from),
    }
}

/// What judging the first event may change, all of it.
pub(super) fn full_batch() -> Changes {
    Changes {
        cursor: 1,
        judgements: vec![judgement(1, "fired", "f1")],
        alerts: vec![alert("f1", AlertState::Firing)],
        deliveries: vec![NewDelivery { caused_by: vec![1], ..queued("d1", "lane", 0) }],
        rows: vec![row(Space::Series, "s", Some(b"bytes"))],
        ledger: vec![entry("leg", "0.1000", 0)],
        calls: vec![(leg("leg"), context(), at(0))],
        charges: vec![(1, "0.1000".parse().expect("decimal"))],
        journal: vec![line("f1", "fired", 0)],
        ..Changes::default()
    }
}

/// An alert and a delivery that has ended: what triggers count, and what they have counted down to nothing.
pub(super) async fn some_of_all_that_is_counted(store: &Store) {
    queue(store, [queued("d1", "g", 0)]).await;
    assert_eq!(claim(store, 0).await, ["d1"]);
    settle(store, "d1", 1, Next::Delivered).await;
    for state in [AlertState::Firing, AlertState::Resolved] {
        commit(store, Changes { alerts: vec![alert("f", state)], ..Changes::default() }).await;
    }
}

/// What is known of the leg of [`full_batch`].
pub(super) async fn known(store: &Store) -> Known {
    store.known(vec![], vec![leg("leg")]).await.expect("reads")
}

/// Opens deliveries as the engine does, the cursor where it is.
pub(super) async fn queue(store: &Store, deliveries: impl Into<Vec<NewDelivery>>) -> usize {
    let changes = Changes { deliveries: deliveries.into(), ..Changes::default() };
    commit(store, changes).await.opened
}

/// Commits with the cursor where it is.
pub(super) async fn commit(store: &Store, changes: Changes) -> Committed {
    let cursor = store.resume().await.expect("reads").cursor;
    store.commit(Changes { cursor, ..changes }).await.expect("commits")
}

/// What is due, all of it as if composed anew, with a lease of five minutes.
pub(super) fn request(minutes: i64, due: &DueDeliveries) -> Claim {
    let sent = |due: &DueDelivery| Claimed::Sent {
        content: content(&message(&due.delivery.group_key), due.revision),
        unanswered: None,
    };
    let composed = due.deliveries.iter().map(|due| (due.n, sent(due)));
    let unreadable = due.unreadable.iter().map(|(n, why)| (*n, Claimed::Dead(why.clone())));
    Claim {
        integration: "slack".to_owned(),
        silences: due.silences,
        now: at(minutes),
        lease: Duration::from_mins(5),
        deliveries: composed.chain(unreadable).collect(),
    }
}

/// Claims what is due; gives it as it was found.
pub(super) async fn claim_due(store: &Store, minutes: i64, limit: usize) -> Vec<DueDelivery> {
    let due = store.due("slack", at(minutes), limit).await.expect("reads");
    let claimed = store.claim(request(minutes, &due)).await.expect("claims");
    let mut found = due.deliveries;
    found.retain(|due| claimed.contains(&due.n));
    found
}

pub(super) async fn claim_some(store: &Store, minutes: i64, limit: usize) -> Vec<String> {
    let claimed = claim_due(store, minutes, limit).await;
    claimed.into_iter().map(|due| due.delivery.id).collect()
}

pub(super) async fn claim(store: &Store, minutes: i64) -> Vec<String> {
    claim_some(store, minutes, 10).await
}

pub(super) fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.id.clone()).collect()
}

pub(super) async fn kept(store: &Store, id: &str) -> Delivery {
    store.delivery(id).await.expect("reads").expect("is there").0
}

pub(super) fn no_ids() -> [&'static str; 0] {
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
        revision: 0,
        next,
        maybe_taken: false,
        fallback_of: None,
        entry: None,
        journal: vec![],
        fallbacks: vec![],
        events: vec![],
    }
}

pub(super) async fn settle(store: &Store, id: &str, number: u32, next: Next) -> Settled {
    store.settle(settlement(id, number, next)).await.expect("settles")
}

/// Sweeps until nothing is left; one sweep stops when its limit or its time is over.
pub(super) async fn sweep(store: &Store, minutes: i64, limit: usize) -> Swept {
    let mut total = Swept::default();
    loop {
        let swept = store.sweep(at(minutes), limit).await.expect("sweeps");
        for (sum, count) in [
            (&mut total.events, swept.events),
            (&mut total.deliveries, swept.deliveries),
            (&mut total.alerts, swept.alerts),
            (&mut total.ledger, swept.ledger),
            (&mut total.calls, swept.calls),
            (&mut total.silences, swept.silences),
            (&mut total.journal, swept.journal),
            (&mut total.readings, swept.readings),
            (&mut total.audit, swept.audit),
        ] {
            assert!(count <= limit, "{swept:?}");
            *sum += count;
        }
        if !swept.more {
            return total;
        }
    }
}

/// `id state` of all deliveries, by id.
pub(super) async fn states(store: &Store) -> String {
    let filter = DeliveryFilter { limit: 100, ..DeliveryFilter::default() };
    let deliveries = store.deliveries(filter).await.expect("reads");
    let mut states: Vec<_> =
        deliveries.iter().map(|d| format!("{} {}", d.id, d.state.as_str())).collect();
    states.sort();
    states.join(", ")
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("temp dir");
    let settings = settings(&directory);
    let store = open(&settings).await;
    store.record(event("a")).await.expect("records");
    assert!(matches!(Store::open(&settings, Box::new(|_| ())).await, Err(OpenError::Locked(_))));
    let lock = format!("{}.lock", settings.path.display());
    std::fs::remove_file(lock).expect("a lock beside the database");
    assert!(matches!(Store::open(&settings, Box::new(|_| ())).await, Err(OpenError::Locked(_))));
    store.close().await.expect("closes");
    let store = open(&settings).await;
    assert_eq!(store.record(event("a")).await.expect("records"), Recorded::Duplicate);
    assert_eq!(inbox(&store).await, [(1, "a".to_owned())]);
}
