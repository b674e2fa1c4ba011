//! Figures, retention, a clock that is set, signals, the end.

use super::*;

async fn figures_are_told(store: &Store) {
    assert_eq!(store.stats().await.expect("reads"), Stats::default());
    for id in ["a", "b", "c"] {
        store.record(event(id)).await.expect("records");
    }
    queue(store, ["d1", "d2", "d3", "d4"].map(|id| queued(id, id, 0))).await;
    assert_eq!(claim_some(store, 0, 3).await, ["d1", "d2", "d3"]);
    settle(store, "d1", 1, Next::Dead).await;
    settle(store, "d2", 1, Next::Delivered).await;
    let alerts = vec![alert("f1", AlertState::Firing), alert("f2", AlertState::Resolved)];
    store.commit(Changes { cursor: 1, alerts, ..Changes::default() }).await.expect("commits");
    let stats = store.stats().await.expect("reads");
    assert_eq!((stats.events_total, stats.inbox_lag_events), (3, 2));
    assert_eq!(stats.oldest_waiting, Some(at(0)));
    let counted = async || {
        let stats = store.stats().await.expect("reads");
        DeliveryState::ALL.map(|state| stats.deliveries_in(state))
    };
    assert_eq!(counted().await, [1, 1, 1, 0, 1]);
    settle(store, "d1", 1, Next::Delivered).await;
    assert_eq!(counted().await, [1, 1, 2, 0, 0], "it arrived after all");
    settle(store, "d3", 1, Next::Dead).await;
    assert_eq!(store.retry(Retry::All, at(9)).await.expect("retries").count, 2);
    assert_eq!(counted().await, [2, 0, 2, 0, 0]);
    let count = |state: &str| AlertCount {
        alertname: "LowBalance".to_owned(),
        state: state.to_owned(),
        count: 1,
    };
    assert_eq!(stats.alerts, [count("firing"), count("resolved")]);

    // Alerts that move are counted where they stand now; those that were swept no more.
    let other = Alert {
        labels: [("alertname".to_owned(), "Other".to_owned())].into(),
        ..alert("f3", AlertState::NoData)
    };
    let alerts = vec![
        alert("f1", AlertState::NoData),
        alert("f2", AlertState::RuleRemoved),
        alert("f2", AlertState::RuleRemoved),
        alert("f4", AlertState::NoData),
        other,
    ];
    store.commit(Changes { cursor: 1, alerts, ..Changes::default() }).await.expect("commits");
    let told = async || {
        let alerts = store.stats().await.expect("reads").alerts;
        let told: Vec<_> =
            alerts.iter().map(|a| format!("{} {} {}", a.alertname, a.state, a.count)).collect();
        told.join(", ")
    };
    assert_eq!(told().await, "LowBalance no_data 2, LowBalance rule_removed 1, Other no_data 1");
    store
        .commit(Changes { cursor: 1, noted: vec![1, 2], ..Changes::default() })
        .await
        .expect("commits");
    sweep(store, 60 * 24 * 60, 10).await;
    assert_eq!(told().await, "");
    assert_eq!(counted().await, [2, 0, 0, 0, 0]);
    store.probe().await.expect("writes");
}

async fn the_old_is_swept_and_the_open_is_not(store: &Store) {
    const MONTH: i64 = 30 * 24 * 60;
    for (id, minutes) in [("a", 0), ("b", 1), ("c", 2)] {
        let event = Event { received_at: at(minutes), ..event(id) };
        store.record(event).await.expect("records");
    }
    queue(store, ["d1", "d2", "d3"].map(|id| queued(id, id, 0))).await;
    assert_eq!(claim_some(store, 0, 2).await, ["d1", "d2"]);
    settle(store, "d1", 1, Next::Delivered).await;
    assert_eq!(store.swept_as_of().await.expect("reads"), Some(at(2)), "the newest that is stored");
    let changes = Changes {
        cursor: 2,
        judgements: vec![judgement(1, "fired", "f1")],
        faulted: vec![(2, "odd".to_owned())],
        alerts: vec![alert("f1", AlertState::Firing), alert("f2", AlertState::Resolved)],
        ..Changes::default()
    };
    store.commit(changes).await.expect("commits");
    let sweep = async |minutes, limit| sweep(store, minutes, limit).await;
    assert_eq!(sweep(MONTH - 1, 10).await, Swept::default());
    let first = Swept { events: 2, alerts: 1, ..Swept::default() };
    assert_eq!(
        sweep(MONTH * 2, 1).await,
        first,
        "the engine has not taken note of a delivery's end"
    );
    commit(store, Changes { noted: vec![1], ..Changes::default() }).await;
    let expected = Swept { deliveries: 1, ..Swept::default() };
    assert_eq!(sweep(MONTH * 2, 1).await, expected);
    assert_eq!(store.swept_as_of().await.expect("reads"), Some(at(MONTH * 2)));
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

async fn each_kind_of_row_is_swept_in_its_own_time(store: &Store) {
    const DAY: i64 = 24 * 60;
    let changes = Changes {
        ledger: vec![entry("a", "1", 0), Entry { updated_at: at(5), ..entry("b", "1", 0) }],
        calls: vec![(leg("a"), context(), at(0)), (leg("b"), context(), at(5))],
        journal: vec![line("f", "fired", 0), line("f", "resolved", 5)],
        rows: vec![row(Space::Series, "s", Some(b"x"))],
        ..Changes::default()
    };
    store.commit(changes).await.expect("commits");
    for (id, until) in [("a", 0), ("b", 5), ("c", 90 * DAY)] {
        store.put_silence(silence(id, -9, until)).await.expect("keeps");
    }
    let version = store.silences_version().await.expect("reads");
    let sweep = async |minutes, limit| sweep(store, minutes, limit).await;
    let none = Swept::default();
    assert_eq!(sweep(7 * DAY - 1, 9).await, none);
    assert_eq!(sweep(7 * DAY, 9).await, Swept { calls: 1, ..none });
    assert_eq!(store.known(vec![], vec![leg("a"), leg("b")]).await.expect("reads").calls.len(), 1);
    assert_eq!(sweep(30 * DAY - 1, 9).await, Swept { calls: 1, ..none });
    let first = Swept { ledger: 1, silences: 1, journal: 1, ..none };
    assert_eq!(sweep(30 * DAY, 9).await, first);
    assert_eq!(sweep(40 * DAY, 1).await, first);
    assert_eq!(sweep(40 * DAY, 1).await, none);
    let silences = store.silences().await.expect("reads");
    assert_eq!((silences.version, silences.silences.len()), (version, 1));
    assert_eq!(store.rows(Space::Series, 9).await.expect("reads").len(), 1);
}

async fn an_alert_that_a_group_holds_is_not_swept(store: &Store) {
    const MONTH: i64 = 30 * 24 * 60;
    let held = "c".repeat(16);
    let ended = [alert(&held, AlertState::Resolved), alert(&"d".repeat(16), AlertState::Resolved)];
    let member = row(Space::Member, &format!("g\n{held}"), Some(b"{}"));
    let changes = Changes { alerts: ended.into(), rows: vec![member], ..Changes::default() };
    commit(store, changes).await;
    let kept = async || {
        let all = AlertFilter { limit: 9, ..AlertFilter::default() };
        let kept = store.alerts(all).await.expect("reads");
        kept.into_iter().map(|alert| alert.fingerprint.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(sweep(store, MONTH * 2, 10).await.alerts, 1);
    assert_eq!(kept().await, std::slice::from_ref(&held));
    let gone = row(Space::Member, &format!("g\n{held}"), None);
    commit(store, Changes { rows: vec![gone], ..Changes::default() }).await;
    assert_eq!(sweep(store, MONTH * 2, 10).await.alerts, 1);
    assert!(kept().await.is_empty());
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

async fn what_is_open_moves_along_with_a_clock_that_is_set(store: &Store) {
    let with = |id: &str| NewDelivery { fallback_at: Some(at(5)), ..queued(id, id, 0) };
    queue(store, [with("a"), with("b"), with("c")]).await;
    assert_eq!(claim_some(store, 0, 2).await, ["a", "b"]);
    settle(store, "a", 1, Next::RetryAt(at(2))).await;
    settle(store, "b", 1, Next::Delivered).await;
    let back = SignedDuration::from_hours(-1);
    store.shift_deliveries(back, at(-60), at(-58)).await.expect("shifts");
    let (a, b) = (kept(store, "a").await, kept(store, "b").await);
    assert_eq!((a.created_at, a.not_before), (at(-60), at(-58)));
    assert_eq!((b.created_at, b.finished_at), (at(0), Some(at(0))), "what has ended stays");
    assert_eq!(claim(store, -60).await, ["c"]);
    let due = store.fallback_due(at(-55), 9).await.expect("reads");
    assert_eq!(ids(&due), ["a", "c"]);
}

async fn what_another_clock_opened_ahead_of_ours_is_pulled_in_with_what_it_waits_for(
    store: &Store,
) {
    let with = |id: &str, from: i64| NewDelivery {
        fallback_at: Some(at(from + 5)),
        ..queued(id, id, from)
    };
    queue(
        store,
        [with("now", 0), with("ahead", 3_600), with("tried", 7_200), with("ended", 7_200)],
    )
    .await;
    assert_eq!(claim(store, 7_200).await.len(), 4);
    settle(store, "now", 1, Next::RetryAt(at(2))).await;
    settle(store, "ahead", 1, Next::RetryAt(at(3_600))).await;
    settle(store, "tried", 1, Next::RetryAt(at(7_300))).await;
    settle(store, "ended", 1, Next::Delivered).await;
    assert_eq!(store.pull_in_deliveries(at(60), at(0)).await.expect("pulls"), 2);
    for (id, created, due) in [("now", 0, 2), ("ahead", 0, 0), ("tried", 0, 100)] {
        let kept = kept(store, id).await;
        assert_eq!((kept.created_at, kept.not_before), (at(created), at(due)), "{id}");
    }
    assert_eq!(kept(store, "ended").await.created_at, at(7_200));
    let due = store.fallback_due(at(5), 9).await.expect("reads");
    assert_eq!(ids(&due), ["now", "ahead", "tried"]);
    assert_eq!(store.pull_in_deliveries(at(60), at(0)).await.expect("pulls"), 0);
}

async fn what_the_clock_that_was_set_has_written_itself_stays(store: &Store) {
    let with = |id: &str, from: i64| NewDelivery {
        fallback_at: Some(at(from + 5)),
        ..queued(id, id, from)
    };
    queue(store, [with("old", 0), with("tried", 0)]).await;
    for (by, now) in [(60, 60), (-120, -60)] {
        // Within the second in which nobody had noticed.
        let new = format!("new{now}");
        queue(store, [with(&new, now)]).await;
        let mut claimed = claim(store, now).await;
        claimed.retain(|id| id != "tried");
        store.release(claimed).await.expect("releases");
        let attempt = kept(store, "tried").await.attempts;
        settle(store, "tried", attempt, Next::RetryAt(at(now + 3))).await;
        let step = SignedDuration::from_mins(by);
        store.shift_deliveries(step, at(now - 1), at(now)).await.expect("shifts");
        let old = kept(store, "old").await;
        assert_eq!((old.created_at, old.not_before), (at(now), at(now)));
        let new = kept(store, &new).await;
        assert_eq!((new.created_at, new.not_before), (at(now), at(now)), "{by}");
        let tried = kept(store, "tried").await;
        assert_eq!(tried.created_at, at(now));
        assert!(tried.not_before <= at(now + 3), "no later than was said: {}", tried.not_before);
    }
}

on_backends! {
    figures_are_told
    the_old_is_swept_and_the_open_is_not
    each_kind_of_row_is_swept_in_its_own_time
    an_alert_that_a_group_holds_is_not_swept
    who_waits_is_told_of_commits
    a_closed_store_says_so
    what_is_open_moves_along_with_a_clock_that_is_set
    what_another_clock_opened_ahead_of_ours_is_pulled_in_with_what_it_waits_for
    what_the_clock_that_was_set_has_written_itself_stays
}
