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
mod claims;
mod deliveries;
mod events;
mod feed;
mod forget;
mod notification_log;
mod postgres;
mod receiver_pauses;
mod samples;
mod state;
mod upkeep;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::json;

pub(in crate::store) use self::postgres::{cluster, open_postgres, postgres_settings};
pub(super) use self::samples::*;
use super::*;
use crate::alerts::{
    Alert, AlertState, Fingerprint, Group, LogEntry, Matcher, Message, Reason, Silence, Status,
    TargetId, message_alert,
};
use crate::event::{Event, PayloadPolicy, Source};
use crate::rules::{CallContext, CallKey, Entry, Labels, LedgerKey};

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
