//! What the engine keeps for itself, what is known of money and calls, silences, and the story of alerts.

use super::*;

async fn rows_come_back_and_go(store: &Store) {
    let every = Space::ALL.map(|space| row(space, "b", Some(space.as_str().as_bytes())));
    let mut rows = every.to_vec();
    rows.push(row(Space::Series, "a", Some(&[0, 255])));
    rows.push(row(Space::Group, "", Some(&[])));
    commit(store, Changes { rows, ..Changes::default() }).await;
    let series = store.rows(Space::Series, 9).await.expect("reads");
    let expected =
        [row(Space::Series, "a", Some(&[0, 255])), row(Space::Series, "b", Some(b"series"))];
    assert_eq!(series, expected);
    assert_eq!(store.rows(Space::Series, 1).await.expect("reads"), expected[..1]);
    assert_eq!(store.resume().await.expect("reads").rows.len(), Space::ALL.len() + 2);

    // The last word on a row holds; one that was never there can go.
    let rows = vec![
        row(Space::Series, "a", None),
        row(Space::Series, "nobody", None),
        row(Space::Series, "b", None),
        row(Space::Series, "b", Some(b"new")),
        row(Space::Metric, "b", Some(b"x")),
        row(Space::Metric, "b", None),
    ];
    commit(store, Changes { rows, ..Changes::default() }).await;
    let series = store.rows(Space::Series, 9).await.expect("reads");
    assert_eq!(series, [row(Space::Series, "b", Some(b"new"))]);
    assert_eq!(store.rows(Space::Metric, 9).await.expect("reads"), []);
    let kept = store.resume().await.expect("reads").rows;
    assert!(kept.iter().all(|row| row.value.is_some()));
    assert_eq!(kept.len(), Space::ALL.len());
}

async fn series_are_found_by_rule_and_fingerprint(store: &Store) {
    let digits = |n: usize| format!("{n:016x}");
    let mut rows: Vec<Row> =
        (0..5).map(|n| row(Space::Series, &format!("g/A\n{}", digits(n)), Some(b"a"))).collect();
    rows.push(row(Space::Series, &format!("g/AB\n{}", digits(1)), Some(b"b")));
    commit(store, Changes { rows: rows.clone(), ..Changes::default() }).await;
    let asked = [1, 3, 9].map(|n| Fingerprint::from(digits(n)));
    let found = store.series("g/A", &asked, 6, 99).await.expect("reads");
    assert_eq!(found, [rows[1].clone(), rows[3].clone()]);
    assert_eq!(store.series("g/A", &asked, 5, 99).await.expect("reads"), rows[..5]);
    assert_eq!(store.series("g/A", &asked, 5, 2).await.expect("reads"), rows[..2]);
    assert_eq!(store.series("g", &asked, 1, 99).await.expect("reads"), []);
    assert_eq!(store.resume_but(&[Space::Series]).await.expect("reads").rows, []);
    assert_eq!(store.resume().await.expect("reads").rows.len(), 6);
}

async fn charges_and_calls_are_known_by_their_keys(store: &Store) {
    let bare = Entry {
        key: LedgerKey { account: "default".to_owned(), key: "message:m".to_owned() },
        call: CallContext::default(),
        ..entry("", "-12345678901234567890.10", 0)
    };
    let other_account = Entry {
        key: LedgerKey { account: "other".to_owned(), ..entry("x", "1", 0).key },
        ..entry("x", "2.50", 0)
    };
    let ledger = vec![entry("x", "1.50", 0), entry("y", "1", 0), bare.clone(), other_account];
    let calls = vec![
        (leg("x"), context(), at(0)),
        (leg("z"), CallContext::default(), at(0)),
        (CallKey { account: "other".to_owned(), ..leg("y") }, context(), at(0)),
    ];
    commit(store, Changes { ledger, calls, ..Changes::default() }).await;

    let asked = vec![bare.key.clone(), bare.key.clone(), entry("none", "0", 0).key];
    let known = store.known(asked, vec![leg("x"), leg("x"), leg("y")]).await.expect("reads");
    // The charges of the calls come unasked, each once.
    let expected = [entry("x", "1.50", 0), entry("y", "1", 0), bare];
    assert_eq!(known.entries, expected);
    assert_eq!(known.entries[0].amount.to_string(), "1.50");
    assert_eq!(known.calls, [(leg("x"), context())]);
    assert_eq!(store.known(vec![], vec![]).await.expect("reads"), Known::default());

    // Replaced by key, all of it.
    let corrected = Entry {
        currency: "EUR".to_owned(),
        product: "fax".to_owned(),
        kind: "fax.sent".to_owned(),
        updated_at: at(9),
        reported_at: at(8),
        call: CallContext { to: None, started_at: None, ..context() },
        ..entry("x", "1.25", 5)
    };
    let joined = CallContext { ended_at: None, ..context() };
    let changes = Changes {
        ledger: vec![entry("x", "7", 1), corrected.clone()],
        calls: vec![(leg("x"), joined.clone(), at(9))],
        ..Changes::default()
    };
    commit(store, changes).await;
    let known = store.known(vec![corrected.key.clone()], vec![leg("x")]).await.expect("reads");
    assert_eq!(known, Known { entries: vec![corrected], calls: vec![(leg("x"), joined)] });
}

async fn silences_are_made_and_changed(store: &Store) {
    assert_eq!(store.silences().await.expect("reads"), Silences::default());
    let versions = async || {
        let version = store.silences_version().await.expect("reads");
        assert_eq!(store.silences().await.expect("reads").version, version);
        assert_eq!(store.resume().await.expect("reads").silences.version, version);
        version
    };
    let mut seen = vec![versions().await];
    for new in [silence("late", 5, 60), silence("early", 0, 60), silence("late", 5, 30)] {
        store.put_silence(new).await.expect("keeps");
        seen.push(versions().await);
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    let kept = store.silences().await.expect("reads").silences;
    assert_eq!(kept, [silence("early", 0, 60), silence("late", 5, 30)]);
    assert_eq!(store.resume().await.expect("reads").silences.silences, kept);
}

async fn the_story_of_an_alert_is_told_newest_first(store: &Store) {
    let journal = vec![line("f1", "fired", 0), line("f2", "fired", 0), line("f1", "notified", 0)];
    commit(store, Changes { journal, ..Changes::default() }).await;
    let journal = vec![line("f1", "resolved", -1)];
    commit(store, Changes { journal, ..Changes::default() }).await;
    let told = store.journal("f1".to_owned(), 9).await.expect("reads");
    assert_eq!(
        told,
        [line("f1", "resolved", -1), line("f1", "notified", 0), line("f1", "fired", 0)]
    );
    assert_eq!(store.journal("f1".to_owned(), 2).await.expect("reads"), told[..2]);
    assert_eq!(store.journal("nobody".to_owned(), 2).await.expect("reads"), []);
}

async fn alerts_are_listed_firing_ones_first(store: &Store) {
    let ended = |fingerprint: &str, state, minutes| Alert {
        ends_at: Some(at(minutes)),
        ..alert(fingerprint, state)
    };
    let endless = Alert {
        ends_at: None,
        value: Some(Decimal::new(30, 1)),
        ..alert("f2", AlertState::Firing)
    };
    let alerts = vec![
        ended("e1", AlertState::Resolved, 3),
        ended("e2", AlertState::NoData, 9),
        ended("e3", AlertState::RuleRemoved, 6),
        endless.clone(),
        alert("f1", AlertState::Firing),
    ];
    commit(store, Changes { alerts, ..Changes::default() }).await;
    let list = async |firing_only, fingerprint: Option<&str>, limit| {
        let fingerprint = fingerprint.map(str::to_owned);
        let filter = AlertFilter { firing_only, fingerprint, limit };
        let alerts = store.alerts(filter).await.expect("reads");
        let ids: Vec<_> = alerts.iter().map(|a| a.fingerprint.as_str().to_owned()).collect();
        ids.join(" ")
    };
    for (firing_only, fingerprint, limit, expected) in [
        (false, None, 9, "f1 f2 e2 e3 e1"),
        (false, None, 3, "f1 f2 e2"),
        (false, None, 1, "f1"),
        (false, None, 0, ""),
        (true, None, 9, "f1 f2"),
        (false, Some("e3"), 9, "e3"),
        (true, Some("e3"), 9, ""),
        (true, Some("f2"), 9, "f2"),
        (false, Some("f"), 9, ""),
    ] {
        let found = list(firing_only, fingerprint, limit).await;
        assert_eq!(found, expected, "{firing_only} {fingerprint:?} {limit}");
    }
    let filter = AlertFilter { fingerprint: Some("f2".to_owned()), limit: 1, firing_only: true };
    assert_eq!(store.alerts(filter).await.expect("reads"), [endless]);
}

async fn what_goes_on_is_read_without_what_is_not_shown(store: &Store) {
    let mut rows = group_rows("x/1", &[(&"a".repeat(16), 1, false), (&"b".repeat(16), 2, true)]);
    rows.extend(group_rows("y/1", &[(&"a".repeat(16), 1, false)]));
    // Nobody can read these back; a member of no group.
    rows.push(row(Space::Group, "z/1", Some(b"?")));
    rows.push(row(Space::Member, "gone\nf", Some(b"{}")));
    rows.extend(Space::ALL.map(|space| row(space, "b", Some(b"bytes"))));
    let alerts = vec![alert("f1", AlertState::Firing), alert("f2", AlertState::Resolved)];
    let deliveries = vec![queued("d1", "x/1", 0)];
    commit(store, Changes { alerts, deliveries, rows, ..Changes::default() }).await;
    store.put_silence(silence("s", 0, 60)).await.expect("keeps");
    let standing = store.standing().await.expect("reads");
    let groups: Vec<_> =
        standing.groups.iter().map(|one| (one.key.as_str(), one.members.len())).collect();
    assert_eq!(groups, [("x/1", 2), ("y/1", 1)]);
    let resumed = store.resume().await.expect("reads");
    assert_eq!((standing.alerts.len(), standing.open.len()), (1, 1));
    assert_eq!(standing.alerts, resumed.alerts);
    assert_eq!((standing.silences, standing.open), (resumed.silences, resumed.open));
}

on_backends! {
    what_goes_on_is_read_without_what_is_not_shown
    rows_come_back_and_go
    series_are_found_by_rule_and_fingerprint
    charges_and_calls_are_known_by_their_keys
    silences_are_made_and_changed
    the_story_of_an_alert_is_told_newest_first
    alerts_are_listed_firing_ones_first
}
