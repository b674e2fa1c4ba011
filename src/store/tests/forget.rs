//! What a number is taken out of, and what keeps it while it is in use.

use std::collections::BTreeMap;

use super::super::copy::{Cell, TABLES};
use super::super::forget::{Change, NewCell};
use super::*;
use crate::rules::{
    Aggregate, Data, NewValue, Observed, Over, PackedLabels, Series, Shape, Window,
};

const NUMBER: &str = "+15550100100";
const DAY: i64 = 24 * 60;

async fn forget(store: &Store, minutes: i64) -> BTreeMap<&'static str, Forgotten> {
    let number = PhoneNumber::parse(NUMBER).expect("parses");
    let dry = store.forget(&number, at(minutes), true).await.expect("looks");
    let done = store.forget(&number, at(minutes), false).await.expect("forgets");
    assert_eq!(dry, done);
    done
}

fn one(erased: usize, kept: usize) -> Forgotten {
    Forgotten { erased, kept }
}

/// An alert that has ended, with the number in a label.
fn called(fingerprint: &str) -> Alert {
    let mut alert = alert(fingerprint, AlertState::Resolved);
    alert.labels.insert("caller".to_owned(), NUMBER.to_owned());
    alert
}

async fn callers(store: &Store) -> Vec<String> {
    let all = AlertFilter { limit: 9, ..AlertFilter::default() };
    let mut alerts = store.alerts(all).await.expect("reads");
    alerts.sort_by_key(|alert| alert.fingerprint.to_string());
    alerts.iter().map(|alert| alert.labels.get("caller").cloned().unwrap_or_default()).collect()
}

async fn an_ended_alert_that_a_group_holds_keeps_its_number(store: &Store) {
    let (held, free) = ("c".repeat(16), "d".repeat(16));
    let member = |value| row(Space::Member, &format!("g\n{held}"), value);
    let (alerts, rows) = (vec![called(&held), called(&free)], vec![member(Some(b"{}"))]);
    commit(store, Changes { alerts, rows, ..Changes::default() }).await;
    assert_eq!(forget(store, 0).await, [("alerts", one(1, 1))].into());
    assert_eq!(callers(store).await, [NUMBER, "[forgotten]"]);
    assert_eq!(forget(store, 0).await, [("alerts", one(0, 1))].into());
    commit(store, Changes { rows: vec![member(None)], ..Changes::default() }).await;
    assert_eq!(forget(store, 0).await, [("alerts", one(1, 0))].into());
    assert_eq!(callers(store).await, ["[forgotten]", "[forgotten]"]);
    assert_eq!(forget(store, 0).await, BTreeMap::new());
}

/// It has fired and ended again since, say.
async fn what_has_changed_since_it_was_read_is_left(store: &Store) {
    commit(store, Changes { alerts: vec![called("a")], ..Changes::default() }).await;
    let table = TABLES.iter().find(|table| table.name == "alerts").expect("is there");
    let rowwise = store.rowwise();
    let read = rowwise.page(table, None, 1).await.expect("reads").remove(0);
    let (key, old) = (table.key_of(&read), read.last().expect("the alert").clone());
    let later = Alert { updated_at: at(5), ..called("a") };
    commit(store, Changes { alerts: vec![later], ..Changes::default() }).await;
    let write = async |old| {
        let new = NewCell { place: 4, old, new: Cell::Bytes(b"{}".to_vec()) };
        let changes = vec![(key.clone(), Change::Set(vec![new]))];
        rowwise.change(table, changes).await.expect("writes")
    };
    assert_eq!(write(old).await, 0);
    assert_eq!(callers(store).await, [NUMBER]);
    let read = rowwise.page(table, None, 1).await.expect("reads").remove(0);
    assert_eq!(write(read.last().expect("the alert").clone()).await, 1);
}

/// A repeat and a detail record find it by its key.
async fn a_charge_that_may_be_told_again_keeps_its_key(store: &Store) {
    let key = LedgerKey { account: "default".to_owned(), key: format!("message:m:{NUMBER}") };
    let call = CallContext { to: Some(NUMBER.to_owned()), ..CallContext::default() };
    let charge = Entry { key: key.clone(), call, ..entry("", "0.10", 0) };
    commit(store, Changes { ledger: vec![charge.clone()], ..Changes::default() }).await;
    let known = async || store.known(vec![key.clone()], vec![]).await.expect("reads").entries;
    assert_eq!(forget(store, 30 * DAY - 1).await, [("ledger", one(0, 1))].into());
    assert_eq!(known().await, [Entry { call: CallContext::default(), ..charge }]);
    assert_eq!(forget(store, 30 * DAY - 1).await, [("ledger", one(0, 1))].into());
    assert_eq!(forget(store, 30 * DAY).await, [("ledger", one(1, 0))].into());
    assert_eq!(known().await, []);
    assert_eq!(forget(store, 30 * DAY).await, BTreeMap::new());
}

/// By its hash, which names the account.
async fn what_rules_have_seen_of_it_goes(store: &Store) {
    store.record(event("a")).await.expect("records");
    let key = |value: &str| {
        let value = NewValue { site: 1, account: "default", value };
        format!("g/New\n{:016x}", value.hash())
    };
    let seen = |value: &str| row(Space::Seen, &key(value), Some(b"1700000000"));
    let values = [NUMBER, "15550100100", "+15550100101"];
    let rows = values.map(seen).into();
    commit(store, Changes { rows, ..Changes::default() }).await;
    assert_eq!(forget(store, 0).await, [("state", one(2, 0))].into());
    let left = store.resume().await.expect("reads").rows;
    assert_eq!(left, [seen("+15550100101")]);
    assert_eq!(forget(store, 0).await, BTreeMap::new());
}

async fn a_series_that_counts_it_is_named(store: &Store) {
    let over = Over::Sliding(Duration::from_hours(1));
    let mut window = Window::new();
    let shape = Shape::Window { over: over.clone(), aggregate: Aggregate::Distinct };
    let labels = PackedLabels::from(&Labels::default());
    let mut series = Series::new(&"g/Many".into(), &"d".into(), labels, &shape, at(0));
    for (value, kept) in [("+15550100101", 0), (NUMBER, 1)] {
        let value = Observed::Text(value.to_owned());
        window.add(&over, Aggregate::Distinct, &value, at(0), at(0));
        series.data = Data::Window(window.clone());
        let value = serde_json::to_vec(&series).expect("writes");
        let rows = vec![row(Space::Series, "g/Many\nf", Some(&value))];
        commit(store, Changes { rows, ..Changes::default() }).await;
        let named = forget(store, 0).await;
        assert_eq!(named.get("state").map_or(0, |of| of.kept), kept);
    }
}

on_backends! {
    an_ended_alert_that_a_group_holds_keeps_its_number
    what_has_changed_since_it_was_read_is_left
    a_charge_that_may_be_told_again_keeps_its_key
    what_rules_have_seen_of_it_goes
    a_series_that_counts_it_is_named
}
