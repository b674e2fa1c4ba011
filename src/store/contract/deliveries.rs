//! Deliveries: claimed, settled, given back, given up.

use super::*;

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
    let (old, _) = store.delivery("a1").await.expect("reads").expect("is there");
    assert_eq!(old.detail, "superseded by a newer message of its group");
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
    let (old, attempts) = store.delivery("a2").await.expect("reads").expect("is there");
    assert_eq!((&*old.reason, attempts.len()), ("replaced", 1), "what failed is in the attempts");
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
        let rung =
            store.trigger_fallback("a".to_owned(), vec![copy(id, "a")]).await.expect("rings");
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
    assert!(!store.trigger_fallback("b".to_owned(), vec![copy("fb2", "b")]).await.expect("rings"));

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

fn alert_named(name: &str) -> MessageAlert {
    let alert = queued("x", "x", 0).message.alerts.remove(0);
    let labels = [("team", "billing"), ("severity", name)];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    MessageAlert { fingerprint: Fingerprint::from(name.to_owned()), labels, ..alert }
}

/// A message that these fire.
fn firing(id: &str, lane: &str, minutes: i64, names: &[&str]) -> NewDelivery {
    let mut new = queued(id, lane, minutes);
    new.message.alerts = names.iter().map(|name| alert_named(name)).collect();
    new
}

/// What a delivery says: `a b -c`, and why it ended.
async fn says(store: &Store, id: &str) -> String {
    let (found, _) = store.delivery(id).await.expect("reads").expect("is there");
    let name = |alert: &MessageAlert| {
        format!("{}{} ", if alert.status == Status::Firing { "" } else { "-" }, alert.fingerprint)
    };
    let said: String = found.message.alerts.iter().map(name).collect();
    format!("{said}{} {}", found.state.as_str(), found.reason)
}

async fn what_waits_is_corrected_and_what_is_being_sent_for_its_next_attempt(store: &Store) {
    queue(store, [firing("sent", "a", 0, &["f", "g"]), firing("other", "b", 1, &["f"])]).await;
    assert_eq!(claim_some(store, 0, 1).await, ["sent"]);
    let ended = MessageAlert { status: Status::Resolved, ..alert_named("g") };
    let withdraw = |after, gone: &[&str], ended: &[MessageAlert]| Withdrawal {
        integration: "slack".to_owned(),
        target: queued("x", "a", 0).target,
        group_key: "a".to_owned(),
        at: at(3),
        after,
        gone: gone.iter().map(|name| Fingerprint::from((*name).to_owned())).collect(),
        ended: ended.to_vec(),
        unwanted: vec![],
    };
    // In the order of the batch: the last one comes too late.
    let changes = Changes {
        deliveries: vec![
            firing("one", "a", 2, &["f", "g", "h"]),
            firing("two", "a", 2, &["f"]),
            firing("new", "a", 2, &["f"]),
        ],
        withdrawals: vec![withdraw(1, &["f"], &[]), withdraw(2, &["f"], &[ended])],
        ..Changes::default()
    };
    store.commit(changes).await.expect("commits");
    assert_eq!(says(store, "sent").await, "-g sending ", "what is under way goes on");
    assert_eq!(says(store, "one").await, "h -g pending ");
    assert_eq!(says(store, "two").await, "f superseded withdrawn");
    assert_eq!(says(store, "new").await, "f pending ");
    assert_eq!(says(store, "other").await, "f pending ", "another lane");
    let changes =
        Changes { withdrawals: vec![withdraw(0, &["f", "h"], &[])], ..Changes::default() };
    store.commit(changes).await.expect("commits");
    assert_eq!(says(store, "one").await, "-g pending ");
    assert_eq!(says(store, "new").await, "f superseded withdrawn");
    assert_eq!(settle(store, "sent", 1, Next::Delivered).await, Settled::Applied);
    assert_eq!(claim(store, 9).await, ["other", "one"]);
    assert_eq!(store.next_due("slack").await.expect("reads"), Some(at(14)), "the lease's end");
}

async fn an_end_that_is_not_wanted_is_told_to_those_who_heard_of_no_beginning(store: &Store) {
    let unwanted = |minute: i64| {
        let ended = MessageAlert { status: Status::Resolved, ..alert_named("f") };
        vec![MessageAlert { starts_at: at(minute), ..ended }]
    };
    let withdraw = |lane: &str, began: i64| Withdrawal {
        integration: "slack".to_owned(),
        target: "hook".to_owned(),
        group_key: lane.to_owned(),
        at: at(9),
        after: 0,
        gone: [].into(),
        ended: vec![],
        unwanted: unwanted(began),
    };
    queue(store, [firing("heard", "a", 2, &["f"]), firing("before", "b", 2, &["g"])]).await;
    for id in claim_some(store, 2, 2).await {
        assert_eq!(settle(store, &id, 1, Next::Delivered).await, Settled::Applied);
    }
    queue(store, [firing("repeat", "a", 4, &["f"]), firing("first", "b", 4, &["f"])]).await;
    let withdrawals = vec![withdraw("a", 1), withdraw("b", 3)];
    store.commit(Changes { withdrawals, ..Changes::default() }).await.expect("commits");
    assert_eq!(says(store, "repeat").await, "f superseded withdrawn");
    assert_eq!(says(store, "first").await, "-f pending ");
}

async fn what_is_withdrawn_while_it_is_sent_is_not_tried_again(store: &Store) {
    let lanes = ["retried", "taken", "released"];
    queue(store, lanes.map(|lane| firing(lane, lane, 0, &["f"]))).await;
    assert_eq!(claim(store, 0).await.len(), 3);
    let withdrawals = lanes.map(|lane| Withdrawal {
        integration: "slack".to_owned(),
        target: "hook".to_owned(),
        group_key: lane.to_owned(),
        at: at(1),
        after: 0,
        gone: [Fingerprint::from("f".to_owned())].into(),
        ended: vec![],
        unwanted: vec![],
    });
    let changes = Changes { withdrawals: withdrawals.into(), ..Changes::default() };
    store.commit(changes).await.expect("commits");
    assert_eq!(states(store).await, "released sending, retried sending, taken sending");
    assert_eq!(settle(store, "retried", 1, Next::RetryAt(at(2))).await, Settled::Applied);
    assert_eq!(settle(store, "taken", 1, Next::Delivered).await, Settled::Applied);
    store.release(vec!["released".to_owned()]).await.expect("releases");
    assert_eq!(claim(store, 9).await, no_ids());
    assert_eq!(says(store, "retried").await, "f superseded withdrawn");
    assert_eq!(says(store, "taken").await, "f delivered ");
    assert_eq!(says(store, "released").await, "f superseded withdrawn");
    assert_eq!(store.next_due("slack").await.expect("reads"), None);
}

async fn what_is_silenced_is_not_claimed_and_its_group_hears_of_that(store: &Store) {
    queue(
        store,
        [
            firing("early", "c", 0, &["a"]),
            firing("none", "a", 1, &["a"]),
            firing("some", "b", 2, &["a", "c"]),
        ],
    )
    .await;
    store.put_silence(silence("s", 5, 9)).await.expect("puts");
    assert_eq!(claim_some(store, 4, 1).await, ["early"], "it has not begun");
    assert_eq!(claim(store, 5).await, ["some"]);
    assert_eq!(says(store, "none").await, "a superseded withdrawn");
    let told = store.batch_after(0, 10, 0).await.expect("reads").events;
    let payloads: Vec<_> = told
        .into_iter()
        .map(|one| one.expect("readable").event)
        .map(|event| (event.kind, event.payload))
        .collect();
    assert_eq!(payloads.len(), 2, "{payloads:?}");
    for (kind, payload) in &payloads {
        assert_eq!(kind, "tollbell.notice_withheld");
        assert_eq!(
            (&payload["integration"], &payload["fingerprints"]),
            (&json!("slack"), &json!(["a"]))
        );
    }
    assert_eq!(says(store, "some").await, "c sending ");
    // Once it is over, what comes is told.
    queue(store, [firing("late", "d", 6, &["a"])]).await;
    assert_eq!(claim(store, 9).await, ["late", "early"]);
}

async fn deliveries_of_strangers_are_buried(store: &Store) {
    let known = NewDelivery { integration: "mail".to_owned(), ..queued("m", "m", 0) };
    queue(store, [queued("a", "a", 0), queued("b", "b", 0), known]).await;
    assert_eq!(claim_some(store, 0, 1).await, ["a"]);
    assert_eq!(store.dead_letter_orphans(vec!["mail".to_owned()], at(1)).await.expect("buries"), 2);
    assert_eq!(store.dead_letter_orphans(vec!["mail".to_owned()], at(1)).await.expect("buries"), 0);
    assert_eq!(states(store).await, "a dead, b dead, m pending");
    let (buried, _) = store.delivery("a").await.expect("reads").expect("is there");
    assert_eq!((buried.reason.as_str(), buried.finished_at), ("receiver removed", Some(at(1))));
    assert_eq!(store.next_due("slack").await.expect("reads"), None);
}

on_sqlite! {
    the_newest_of_a_lane_is_claimed_and_the_others_are_superseded
    a_lease_that_ran_out_is_claimed_again_and_late_words_change_little
    attempts_are_kept_within_a_bound
    what_is_given_back_waits_again
    a_fallback_is_rung_once
    the_dead_are_listed_and_retried
    what_waits_is_corrected_and_what_is_being_sent_for_its_next_attempt
    an_end_that_is_not_wanted_is_told_to_those_who_heard_of_no_beginning
    what_is_withdrawn_while_it_is_sent_is_not_tried_again
    what_is_silenced_is_not_claimed_and_its_group_hears_of_that
    deliveries_of_strangers_are_buried
}
