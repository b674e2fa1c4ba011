//! What comes from beside the webhooks, and charges by time.

use super::*;
use crate::rules::LedgerKey;

on_backends! {
    a_feed_is_kept_as_one
    readings_come_oldest_first_and_the_last_of_each_account_is_known
    the_currency_of_the_last_reading_is_known
    charges_are_read_in_pages_by_time
    charges_are_summed_up_by_hour_and_readings_thinned_until_a_time
}

fn decimal(text: &str) -> Decimal {
    text.parse().expect("decimal")
}

fn reading(account: &str, minute: i64, balance: &str) -> Reading {
    Reading {
        account: account.to_owned(),
        at: at(minute),
        currency: Some("USD".to_owned()),
        balance: Some(decimal(balance)),
        available_credit: Some(decimal("-0.10")),
        credit_limit: None,
        pending: Some(decimal("0.00")),
        burn_per_hour: None,
        hours_left: Some(decimal("7.5")),
    }
}

async fn a_feed_is_kept_as_one(store: &Store) {
    let mut seen = store.recorded();
    assert_eq!(store.place("default", "backfill").await.expect("reads"), None);
    let place = |value: &[u8]| Checkpoint {
        account: "default".to_owned(),
        source: "backfill",
        value: value.to_owned(),
    };
    let feed = Feed {
        events: vec![event("a"), event("b"), event("a")],
        reading: Some(reading("default", 1, "10.00")),
        checkpoint: Some(place(b"one")),
    };
    let recorded = store.feed(feed.clone()).await.expect("feeds");
    assert_eq!(recorded, [Recorded::New, Recorded::New, Recorded::Duplicate]);
    // The signal may come just behind the answer.
    seen.changed().await.expect("open");
    // Again, as after a crash: nothing is doubled.
    let again = Feed { checkpoint: Some(place(b"two")), ..feed };
    assert_eq!(store.feed(again).await.expect("feeds"), [Recorded::Duplicate; 3]);
    assert_eq!(inbox(store).await.len(), 2);
    assert_eq!(store.place("default", "backfill").await.expect("reads"), Some(b"two".to_vec()));
    assert_eq!(store.place("other", "backfill").await.expect("reads"), None);
    assert_eq!(store.readings("default", at(0), None, 10).await.expect("reads").len(), 1);
}

async fn readings_come_oldest_first_and_the_last_of_each_account_is_known(store: &Store) {
    let readings = [
        reading("one", 1, "10.00"),
        reading("one", 2, "9.50"),
        reading("one", 3, "9.0"),
        reading("two", 2, "-1"),
    ];
    for reading in &readings {
        let feed = Feed { reading: Some(reading.clone()), ..Feed::default() };
        store.feed(feed).await.expect("feeds");
    }
    let [first, second, third, other] = &readings;
    let read = async |since: i64, limit: usize| {
        store.readings("one", at(since), None, limit).await.expect("reads")
    };
    assert_eq!(read(0, 10).await, [first.clone(), second.clone(), third.clone()]);
    assert_eq!(read(2, 10).await, [second.clone(), third.clone()]);
    assert_eq!(read(0, 1).await, std::slice::from_ref(third));
    let before = store.readings("one", at(0), Some(at(3)), 1).await.expect("reads");
    assert_eq!(before, std::slice::from_ref(second));
    let last = store.last_readings().await.expect("reads");
    assert_eq!(last, [third.clone(), other.clone()]);

    assert_eq!(sweep(store, 31 * 24 * 60, 3).await.readings, 4);
    assert_eq!(store.last_readings().await.expect("reads"), []);
}

async fn the_currency_of_the_last_reading_is_known(store: &Store) {
    let known = store.currencies().clone();
    assert_eq!(known.of("one"), None);
    for (minute, currency, expected) in [
        (1, None, None),
        (2, Some("EUR"), Some("EUR")),
        (3, Some("USD"), Some("USD")),
        (4, None, Some("USD")),
    ] {
        let currency = currency.map(str::to_owned);
        let reading = Reading { currency, ..reading("one", minute, "1.00") };
        let feed = Feed { reading: Some(reading), ..Feed::default() };
        store.feed(feed).await.expect("feeds");
        assert_eq!(known.of("one").as_deref(), expected);
    }
    assert_eq!(known.of("two"), None);
}

async fn charges_are_summed_up_by_hour_and_readings_thinned_until_a_time(store: &Store) {
    let entry = |key: &str, minute: i64, amount: &str| Entry {
        key: LedgerKey { account: "one".to_owned(), key: key.to_owned() },
        at: at(minute),
        ..entry(key, amount, minute)
    };
    let of = |account: &str, one: Entry| Entry {
        key: LedgerKey { account: account.to_owned(), ..one.key.clone() },
        ..one
    };
    let charges = vec![
        entry("a", 60, "0.0106"),
        entry("b", 119, "1"),
        entry("c", 180, "0.20"),
        entry("d", 181, "-0.05"),
        entry("e", 240, "9"),
        Entry { currency: "EUR".to_owned(), ..entry("f", 60, "7") },
        Entry { product: "messaging".to_owned(), ..entry("g", 61, "3") },
        of("two", entry("h", 60, "5")),
    ];
    let first = charges[0].clone();
    let changes = Changes { ledger: charges, ..Changes::default() };
    commit(store, changes).await;
    let filter = |product: Option<&str>| SpendFilter {
        account: "one".to_owned(),
        currency: first.currency.clone(),
        product: product.map(str::to_owned),
    };
    let spent = async |product: Option<&str>, from: i64, to: i64| {
        store.spent_by_hour(&filter(product), at(from), at(to)).await.expect("reads")
    };
    let sums = |all: &[(i64, &str)]| -> Vec<_> {
        all.iter().map(|(minute, sum)| (at(*minute), decimal(sum))).collect()
    };
    assert_eq!(spent(Some(&first.product), 60, 240).await, sums(&[(60, "1.0106"), (180, "0.15")]));
    assert_eq!(spent(None, 60, 181).await, sums(&[(60, "4.0106"), (180, "0.20")]));
    assert_eq!(spent(Some("fax"), 0, 1_000).await, []);

    let [one, two, three] = [0, 10, 14].map(|minute| reading("one", minute, "1"));
    for reading in [&one, &two, &three] {
        let feed = Feed { reading: Some(reading.clone()), ..Feed::default() };
        store.feed(feed).await.expect("feeds");
    }
    let thinned = async |before: Option<i64>| {
        let step = Duration::from_mins(15);
        store.balances("one", at(0), before.map(at), step).await.expect("reads")
    };
    assert_eq!(thinned(None).await, [three]);
    assert_eq!(thinned(Some(14)).await, [two]);
    assert_eq!(thinned(Some(10)).await, [one]);
}

async fn charges_are_read_in_pages_by_time(store: &Store) {
    let entry = |account: &str, key: &str, minute: i64| Entry {
        key: LedgerKey { account: account.to_owned(), key: key.to_owned() },
        amount: decimal("0.0106"),
        currency: "USD".to_owned(),
        product: "voice".to_owned(),
        kind: "call.cost".to_owned(),
        at: at(minute),
        reported_at: at(minute),
        updated_at: at(minute),
        call: CallContext { country: Some("FR".to_owned()), ..CallContext::default() },
    };
    let ledger = vec![
        entry("one", "call:a", 1),
        entry("one", "call:b", 2),
        entry("two", "call:a", 2),
        entry("one", "call:c", 2),
        entry("one", "call:d", 3),
    ];
    store.record(event("e")).await.expect("records");
    let changes = Changes { cursor: 1, ledger, ..Changes::default() };
    commit(store, changes).await;
    let all = ChargeFilter { account: None, from: at(0), to: at(9), after: None, limit: 2 };
    let mut filter = all.clone();
    let mut found = Vec::new();
    loop {
        let page = store.charges(filter.clone()).await.expect("reads");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        filter.after = Some((last.at, last.key.clone()));
        found.extend(page);
    }
    let keys: Vec<(&str, &str)> =
        found.iter().map(|entry| (entry.key.account.as_str(), entry.key.key.as_str())).collect();
    let by_time = [
        ("one", "call:a"),
        ("one", "call:b"),
        ("one", "call:c"),
        ("two", "call:a"),
        ("one", "call:d"),
    ];
    assert_eq!(keys, by_time);
    assert_eq!(found[0], entry("one", "call:a", 1));
    let some = ChargeFilter { account: Some("one".to_owned()), from: at(2), to: at(3), ..all };
    let some = store.charges(ChargeFilter { limit: 9, ..some }).await.expect("reads");
    assert_eq!(some, [entry("one", "call:b", 2), entry("one", "call:c", 2)]);
}

#[tokio::test]
async fn currencies_are_known_again_after_a_restart() {
    let directory = tempfile::tempdir().expect("temp dir");
    let store = open(&settings(&directory)).await;
    let feed = Feed { reading: Some(reading("one", 1, "1.00")), ..Feed::default() };
    store.feed(feed).await.expect("feeds");
    store.close().await.expect("closes");
    drop(store);
    let store = open(&settings(&directory)).await;
    assert_eq!(store.currencies().of("one").as_deref(), Some("USD"));
}
