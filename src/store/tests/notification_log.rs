//! The notification log, what is owed by it, and the deliveries that the engine is to take note of.

use super::*;

fn fingerprint(one: &str) -> Fingerprint {
    Fingerprint::from(one.to_owned())
}

/// Claims the only delivery that is due, with this content and this entry while it is unanswered.
async fn claim_unanswered(store: &Store, minutes: i64, revision: u32, unanswered: &LogEntry) {
    let due = store.due("slack", at(minutes), 10).await.expect("reads");
    assert_eq!(due.deliveries.len(), 1);
    let content = content(&message("a"), revision);
    let sent = Claimed::Sent { content, unanswered: Some(unanswered.clone()) };
    let deliveries = vec![(due.deliveries[0].n, sent)];
    let claim = Claim { deliveries, ..request(minutes, &due) };
    assert_eq!(store.claim(claim).await.expect("claims").len(), 1);
}

async fn deliver(store: &Store, id: &str, number: u32, entry: &LogEntry) -> Settled {
    let entry = Some(entry.clone());
    let settlement = Settlement { entry, ..settlement(id, number, Next::Delivered) };
    store.settle(settlement).await.expect("settles")
}

/// The log's only entry, of a group and Slack.
async fn logged(store: &Store, group: &str) -> Option<LogEntry> {
    let mut log = store.resume().await.expect("reads").log;
    assert!(log.len() <= 1, "{log:?}");
    let (key, target, entry) = log.pop()?;
    assert_eq!((key.as_str(), target), (group, slack()));
    Some(entry)
}

async fn a_success_is_logged_and_a_failure_is_not(store: &Store) {
    let entry = |minutes| told(minutes, &[("f1", 1)]);
    for (id, next) in [("a1", Next::RetryAt(at(9))), ("a1", Next::Dead)] {
        queue(store, [queued(id, "a", 0)]).await;
        let number = kept(store, id).await.attempts + 1;
        assert_eq!(claim(store, 9).await, [id]);
        let settlement = Settlement { entry: Some(entry(1)), ..settlement(id, number, next) };
        assert_eq!(store.settle(settlement).await.expect("settles"), Settled::Applied);
        assert_eq!(logged(store, "a").await, None, "{next:?}");
    }
    queue(store, [queued("a2", "a", 0)]).await;
    assert_eq!(claim(store, 0).await, ["a2"]);
    assert_eq!(deliver(store, "a2", 1, &entry(2)).await, Settled::Applied);
    assert_eq!(logged(store, "a").await, Some(entry(2)));
    store.close().await.expect("closes");
}

async fn an_older_attempt_that_is_answered_late_does_not_write_over_a_newer_one(store: &Store) {
    let entry = |minutes| told(minutes, &[("f1", 1)]);
    queue(store, [queued("a1", "a", 0)]).await;
    assert_eq!(claim(store, 0).await, ["a1"]);
    assert_eq!(claim(store, 5).await, ["a1"], "the lease is over");
    settle(store, "a1", 2, Next::Dead).await;
    queue(store, [queued("a2", "a", 6)]).await;
    assert_eq!(claim(store, 6).await, ["a2"]);
    // The first delivery arrived after all: that is news, for nothing newer did.
    assert_eq!(deliver(store, "a1", 1, &entry(7)).await, Settled::Applied);
    assert_eq!(logged(store, "a").await, Some(entry(7)));
    assert_eq!(states(store).await, "a1 delivered, a2 sending");
    assert_eq!(deliver(store, "a2", 1, &entry(8)).await, Settled::Applied);
    assert_eq!(deliver(store, "a1", 2, &entry(9)).await, Settled::Stale);
    assert_eq!(logged(store, "a").await, Some(entry(8)));
}

async fn an_attempt_without_an_answer_is_logged_at_the_claim(store: &Store) {
    let unanswered = LogEntry { maybe: [(fingerprint("f1"), 3)].into(), ..LogEntry::default() };
    queue(store, [queued("a1", "a", 0)]).await;
    claim_unanswered(store, 0, 0, &unanswered).await;
    assert_eq!(logged(store, "a").await, Some(unanswered.clone()));
    settle(store, "a1", 1, Next::RetryAt(at(1))).await;
    assert_eq!(logged(store, "a").await, Some(unanswered.clone()), "a refusal changes nothing");
    let closed = LogEntry { maybe_closed: true, ..unanswered };
    claim_unanswered(store, 1, 1, &closed).await;
    // The answer of the first attempt says nothing of the second one, which said something else.
    assert_eq!(deliver(store, "a1", 1, &told(2, &[("f1", 3)])).await, Settled::Applied);
    assert_eq!(logged(store, "a").await, Some(closed));
    assert_eq!(deliver(store, "a1", 2, &told(3, &[])).await, Settled::Stale, "it has ended");
    assert_eq!(logged(store, "a").await, Some(told(3, &[])), "but it was answered");
}

async fn who_took_an_earlier_attempt_has_taken_the_same_content_of_a_later_one(store: &Store) {
    let unanswered = LogEntry { maybe: [(fingerprint("f1"), 3)].into(), ..LogEntry::default() };
    queue(store, [queued("a1", "a", 0)]).await;
    claim_unanswered(store, 0, 0, &unanswered).await;
    claim_unanswered(store, 5, 0, &unanswered).await;
    assert_eq!(deliver(store, "a1", 1, &told(6, &[("f1", 3)])).await, Settled::Applied);
    assert_eq!(logged(store, "a").await, Some(told(6, &[("f1", 3)])));
}

async fn what_a_late_success_writes_into_the_log_is_to_be_noted(store: &Store) {
    queue(store, [queued("a1", "a", 0)]).await;
    assert_eq!(claim(store, 0).await, ["a1"]);
    assert_eq!(claim(store, 5).await, ["a1"], "the lease is over");
    deliver(store, "a1", 1, &told(6, &[("f1", 1)])).await;
    commit(store, Changes { noted: vec![1], ..Changes::default() }).await;
    assert_eq!(deliver(store, "a1", 2, &told(7, &[("f1", 1)])).await, Settled::Stale);
    let ended = store.batch_after(0, 10, 0).await.expect("reads").ended;
    let entries: Vec<_> = ended.into_iter().map(|ended| (ended.n, ended.entry)).collect();
    assert_eq!(entries, [(1, Some(told(7, &[("f1", 1)])))]);
}

async fn entries_go_with_their_group(store: &Store) {
    let mail = |to: &str, id: &str, group: &str| NewDelivery {
        target: TargetId::new("slack", to),
        ..queued(id, group, 0)
    };
    queue(store, [mail("x", "a1", "a"), mail("y", "a2", "a"), mail("x", "b", "b")]).await;
    for id in claim(store, 0).await {
        deliver(store, &id, 1, &told(0, &[("f1", 1)])).await;
    }
    assert_eq!(store.resume().await.expect("reads").log.len(), 3);
    let forgotten = vec!["a".to_owned(), "nobody".to_owned()];
    commit(store, Changes { forgotten, ..Changes::default() }).await;
    let left: Vec<_> = store.resume().await.expect("reads").log;
    assert_eq!(left.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>(), ["b"]);
}

async fn ended_deliveries_are_given_until_they_are_noted(store: &Store) {
    queue(store, ["a", "b", "c", "d"].map(|id| queued(id, id, 0))).await;
    assert_eq!(claim(store, 0).await.len(), 4);
    let ended = async || store.batch_after(0, 10, 0).await.expect("reads").ended;
    assert_eq!(ended().await, []);
    let entry = told(0, &[("f1", 1)]);
    settle(store, "b", 1, Next::Dead).await;
    deliver(store, "a", 1, &entry).await;
    settle(store, "c", 1, Next::RetryAt(at(0))).await;
    let found = ended().await;
    let a = EndedDelivery {
        n: 1,
        id: "a".to_owned(),
        group_key: "a".to_owned(),
        target: slack(),
        state: DeliveryState::Delivered,
        finished_at: at(0),
        entry: Some(entry.clone()),
    };
    assert_eq!(found[0], a);
    assert_eq!((found.len(), found[1].state, &found[1].entry), (2, DeliveryState::Dead, &None));
    let open = async || {
        let open = store.resume().await.expect("reads").open;
        let mut open: Vec<_> = open.into_iter().map(|(.., id)| id).collect();
        open.sort();
        open
    };
    assert_eq!(open().await, ["a", "b", "c", "d"], "as good as open until it is noted");
    commit(store, Changes { noted: vec![1, 2, 99], ..Changes::default() }).await;
    assert_eq!(ended().await, []);
    assert_eq!(open().await, ["c", "d"]);

    // It ended another way after all, or waits again and ends again: that is noted anew.
    assert_eq!(deliver(store, "b", 1, &entry).await, Settled::Applied);
    let late = ended().await;
    assert_eq!((late.len(), late[0].n, late[0].state), (1, 2, DeliveryState::Delivered));
    settle(store, "d", 1, Next::Dead).await;
    commit(store, Changes { noted: vec![2, 4], ..Changes::default() }).await;
    assert_eq!(store.retry(Retry::All, at(1)).await.expect("retries").count, 2);
    assert_eq!(ended().await, []);
    let due = store.due("slack", at(1), 10).await.expect("reads");
    let superseded = due.deliveries.iter().filter(|due| due.delivery.id == "d");
    let superseded = superseded.map(|due| (due.n, Claimed::Superseded(String::new()))).collect();
    store.claim(Claim { deliveries: superseded, ..request(1, &due) }).await.expect("claims");
    let again = ended().await;
    assert_eq!((again.len(), again[0].n, again[0].state), (1, 4, DeliveryState::Superseded));
}

async fn what_is_open_is_given_before_what_ended_and_the_newest_first(store: &Store) {
    // Given up, noted, and known late to have arrived, while later ones of the same target ended, or are open.
    queue(store, ["z1", "a", "b"].map(|id| queued(id, id, 0))).await;
    assert_eq!(claim(store, 0).await.len(), 3);
    settle(store, "z1", 1, Next::Dead).await;
    commit(store, Changes { noted: vec![1], ..Changes::default() }).await;
    queue(store, [queued("y2", "z1", 1)]).await;
    assert_eq!(claim(store, 1).await, ["y2"]);
    settle(store, "y2", 1, Next::Dead).await;
    deliver(store, "z1", 1, &told(1, &[("f1", 1)])).await;
    let open = async || {
        let open = store.resume().await.expect("reads").open;
        open.into_iter().map(|(.., id)| id).collect::<Vec<_>>()
    };
    assert_eq!(open().await, ["b", "a", "y2", "z1"]);
    queue(store, [queued("x3", "z1", 2)]).await;
    assert_eq!(open().await, ["x3", "b", "a", "y2", "z1"]);
}

async fn ended_deliveries_are_given_in_bounded_numbers(store: &Store) {
    let names: Vec<String> = (0..300).map(|n| format!("d{n:03}")).collect();
    queue(store, names.iter().map(|id| queued(id, id, 0)).collect::<Vec<_>>()).await;
    store.dead_letter_orphans(vec![], at(0)).await.expect("ends");
    let mut seen = 0;
    loop {
        let ended = store.batch_after(0, 10, 0).await.expect("reads").ended;
        if ended.is_empty() {
            break;
        }
        assert!(ended.len() < names.len() && ended.is_sorted_by_key(|ended| ended.n));
        seen += ended.len();
        let noted = ended.iter().map(|ended| ended.n).collect();
        commit(store, Changes { noted, ..Changes::default() }).await;
    }
    assert_eq!(seen, names.len());
}

async fn what_is_due_comes_with_all_that_it_is_composed_of(store: &Store) {
    let mut rows = group_rows("g", &[("firing", 2, false), ("over", 1, true), ("lost", 1, false)]);
    // Its key begins as the other's does.
    rows.extend(group_rows("g\u{b}", &[("other", 1, false)]));
    let alerts = ["firing", "gone", "other"].map(|one| alert(one, AlertState::Firing));
    let over = Alert { ends_at: Some(at(-1)), ..alert("over", AlertState::Resolved) };
    let changes = Changes {
        rows,
        alerts: alerts.into_iter().chain([over.clone()]).collect(),
        deliveries: vec![queued("a", "g", 0), queued("none", "none", 0)],
        ..Changes::default()
    };
    commit(store, changes).await;
    let entry = told(0, &[("firing", 1), ("gone", 1)]);
    assert_eq!(claim(store, 0).await, ["a", "none"]);
    deliver(store, "a", 1, &entry).await;
    queue(store, [queued("b", "g", 9)]).await;
    let due = store.due("slack", at(9), 10).await.expect("reads").deliveries;
    let [none, b] = &due[..] else { panic!("two are due: {due:?}") };
    let group = b.group.as_ref().expect("a group");
    let names: Vec<_> = group.members.keys().map(Fingerprint::as_str).collect();
    assert_eq!(names, ["firing", "lost", "over"]);
    let member = &group.members[&fingerprint("over")];
    assert_eq!((member.over, member.ended.as_deref()), (true, Some(&over)));
    assert_eq!(group.members[&fingerprint("firing")].life, 2);
    let names: Vec<_> = b.alerts.keys().map(Fingerprint::as_str).collect();
    assert_eq!(names, ["firing", "gone"], "what fires, and what the target knows");
    assert_eq!((&b.entry, &b.original), (&Some(entry), &None));
    // Of a group that is over there is what was said last.
    assert_eq!((&none.group, &none.entry), (&None, &None));
    assert_eq!(none.delivery.message, Some(message("none")));

    // And of what somebody wants to be tried again, as its alerts are now, though the group holds them no more.
    assert!(claim(store, 9).await.contains(&"b".to_owned()));
    settle(store, "b", 1, Next::Dead).await;
    let said = message("g").alerts.into_iter().map(|alert| alert.fingerprint).next();
    let said = said.expect("it speaks of an alert");
    let over = alert(said.as_str(), AlertState::Resolved);
    commit(store, Changes { alerts: vec![over.clone()], ..Changes::default() }).await;
    assert_eq!(store.retry(Retry::One("b".to_owned()), at(10)).await.expect("retries").count, 1);
    let due = store.due("slack", at(10), 10).await.expect("reads").deliveries;
    let b = due.iter().find(|due| due.delivery.id == "b").expect("it is due");
    assert!(b.by_hand && b.group.is_some());
    assert_eq!(b.alerts.get(&said).map(|alert| alert.state), Some(AlertState::Resolved));
}

async fn what_was_notified_is_in_the_journal_with_its_outcome(store: &Store) {
    queue(store, [queued("a", "a", 0)]).await;
    queue(store, [NewDelivery { target: TargetId::new("slack", "y"), ..queued("b", "a", 0) }])
        .await;
    assert_eq!(claim(store, 0).await, ["a", "b"]);
    let notified = JournalEntry { what: "notified".to_owned(), ..line("f1", "notified", 0) };
    for id in ["a", "b"] {
        let journal = vec![notified.clone()];
        let settlement = Settlement { journal, ..settlement(id, 1, Next::Delivered) };
        assert_eq!(store.settle(settlement.clone()).await.expect("settles"), Settled::Applied);
        assert_eq!(store.settle(settlement).await.expect("settles"), Settled::Stale);
    }
    let told = store.journal("f1".to_owned(), 9).await.expect("reads");
    assert_eq!(told, std::slice::from_ref(&notified), "once for the targets of an integration");
    queue(store, [queued("c", "a", 1)]).await;
    assert_eq!(claim(store, 1).await, ["c"]);
    let journal = vec![JournalEntry { at: at(1), ..notified }];
    let settlement = Settlement { journal, ..settlement("c", 1, Next::Delivered) };
    store.settle(settlement).await.expect("settles");
    assert_eq!(store.journal("f1".to_owned(), 9).await.expect("reads").len(), 2);
}

async fn groups_that_a_target_knows_are_read_in_pages(store: &Store) {
    let mut rows = Vec::new();
    for key in ["a", "b", "c", "d", "e"] {
        rows.extend(group_rows(key, &[("f1", 1, false)]));
    }
    let alerts = vec![alert("f1", AlertState::Firing), alert("f2", AlertState::Resolved)];
    commit(store, Changes { alerts, rows, ..Changes::default() }).await;
    queue(store, ["a", "b", "c", "d", "e", "f"].map(|id| queued(id, id, 0))).await;
    for id in claim(store, 0).await {
        let firing: &[_] = if id == "b" { &[] } else { &[("f1", 1), ("f2", 1)] };
        deliver(store, &id, 1, &told(0, firing)).await;
    }
    queue(store, [queued("d2", "d", 1)]).await;
    let (mut keys, mut after, mut pages) = (Vec::new(), Some(String::new()), 0);
    while let Some(from) = after {
        let (known, next) = store.known_groups("slack", &from, 2).await.expect("reads");
        for group in known {
            assert_eq!(group.alerts.len(), 1, "those that fire");
            assert_eq!((group.entry.firing.len(), group.group.members.len()), (2, 1));
            keys.push(group.group.key);
        }
        (after, pages) = (next, pages + 1);
    }
    // Not of whom it knows none, has a delivery open, or is over.
    assert_eq!(keys, ["a", "c", "e"]);
    assert!((3..=4).contains(&pages), "{pages}");
    assert_eq!(store.known_groups("mail", "", 2).await.expect("reads"), (vec![], None));
}

async fn the_groups_of_an_alert_are_found_by_members_and_by_what_was_told(store: &Store) {
    let one = |digit: &str| digit.repeat(16);
    let (held, known, other) = (one("a"), one("b"), one("c"));
    let mut rows = group_rows("x/1", &[(&held, 1, false)]);
    rows.extend(group_rows("y/1", &[(&other, 1, false)]));
    commit(store, Changes { rows, ..Changes::default() }).await;
    queue(store, [queued("a", "y/1", 0)]).await;
    assert_eq!(claim(store, 0).await, ["a"]);
    let resolved =
        LogEntry { resolved: [(fingerprint(&other), 1)].into(), ..told(0, &[(&known, 1)]) };
    deliver(store, "a", 1, &resolved).await;
    for (asked, expected) in [(&held, &["x/1"][..]), (&known, &["y/1"]), (&other, &["y/1"])] {
        let found = store.groups_of(&fingerprint(asked)).await.expect("reads");
        let keys: Vec<_> = found.iter().map(|record| record.group.key.as_str()).collect();
        assert_eq!(keys, expected);
        let log = if expected == ["y/1"] { vec![(slack(), resolved.clone())] } else { vec![] };
        assert_eq!(found[0].log, log);
    }
    assert_eq!(store.groups_of(&fingerprint(&one("d"))).await.expect("reads"), []);
}

on_backends! {
    a_success_is_logged_and_a_failure_is_not
    an_older_attempt_that_is_answered_late_does_not_write_over_a_newer_one
    an_attempt_without_an_answer_is_logged_at_the_claim
    who_took_an_earlier_attempt_has_taken_the_same_content_of_a_later_one
    what_a_late_success_writes_into_the_log_is_to_be_noted
    entries_go_with_their_group
    ended_deliveries_are_given_until_they_are_noted
    what_is_open_is_given_before_what_ended_and_the_newest_first
    ended_deliveries_are_given_in_bounded_numbers
    what_is_due_comes_with_all_that_it_is_composed_of
    what_was_notified_is_in_the_journal_with_its_outcome
    groups_that_a_target_knows_are_read_in_pages
    the_groups_of_an_alert_are_found_by_members_and_by_what_was_told
}
