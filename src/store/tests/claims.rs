//! Deliveries: opened, claimed, settled, given back.

use super::*;

async fn one_delivery_is_open_for_a_group_and_target(store: &Store) {
    let mail = |id: &str, to: &str| NewDelivery {
        target: TargetId::new("mail", to),
        ..queued(id, "a", 0)
    };
    let opened = [queued("a1", "a", 3), queued("a2", "a", 4), queued("b1", "b", 2)];
    assert_eq!(queue(store, opened).await, 2);
    assert_eq!(queue(store, [queued("b2", "b", 2), queued("a1", "c", 2)]).await, 0);
    assert_eq!(queue(store, [mail("m1", "x@"), mail("m2", "y@"), mail("m3", "x@")]).await, 2);
    assert_eq!(states(store).await, "a1 pending, b1 pending, m1 pending, m2 pending");
    for state in DeliveryState::ALL {
        let filter = DeliveryFilter { state: Some(state), limit: 9, ..DeliveryFilter::default() };
        let expected = if state == DeliveryState::Pending { 4 } else { 0 };
        assert_eq!(store.deliveries(filter).await.expect("reads").len(), expected, "{state:?}");
    }

    assert_eq!(store.next_due("slack").await.expect("reads"), Some(at(2)));
    assert_eq!(store.next_due("nobody").await.expect("reads"), None);
    assert_eq!(claim(store, 1).await, no_ids());
    assert_eq!(claim_some(store, 5, 1).await, ["b1"], "the one that is due longest comes first");
    assert_eq!(claim(store, 5).await, ["a1"], "what is being sent is left alone");
    assert_eq!(store.next_due("slack").await.expect("reads"), Some(at(10)), "the lease's end");
    assert_eq!(queue(store, [queued("a3", "a", 5)]).await, 0, "while it is sent, too");
    assert_eq!(settle(store, "a1", 1, Next::RetryAt(at(8))).await, Settled::Applied);
    assert_eq!(store.next_due("slack").await.expect("reads"), Some(at(8)));
    assert_eq!(claim(store, 7).await, no_ids());
    assert_eq!(claim(store, 8).await, ["a1"]);

    // However it ended, the next one may be opened.
    for (id, next) in [("a1", Next::Delivered), ("b1", Next::Dead)] {
        let number = kept(store, id).await.attempts;
        assert_eq!(settle(store, id, number, next).await, Settled::Applied);
    }
    assert_eq!(store.next_due("slack").await.expect("reads"), None);
    assert_eq!(queue(store, [queued("a4", "a", 9), queued("b4", "b", 9)]).await, 2);
}

async fn two_that_look_at_once_claim_each_delivery_once(store: &Store) {
    queue(store, [queued("a", "a", 0), queued("b", "b", 0)]).await;
    let due = store.due("slack", at(0), 10).await.expect("reads");
    let both = [store.claim(request(0, &due)).await, store.claim(request(0, &due)).await];
    let counts = both.map(|claimed| claimed.expect("claims").len());
    assert_eq!(counts, [2, 0]);
    assert_eq!(kept(store, "a").await.attempts, 1);
    // Neither ends what the other one sends.
    let n = due.deliveries[0].n;
    let deliveries =
        vec![(n, Claimed::Superseded(String::new())), (n, Claimed::Dead(String::new()))];
    let claim = Claim { deliveries, ..request(0, &due) };
    assert!(store.claim(claim).await.expect("claims").is_empty());
    assert_eq!(states(store).await, "a sending, b sending");
}

async fn nothing_is_claimed_that_was_composed_under_other_silences(store: &Store) {
    queue(store, [queued("a", "a", 0), queued("b", "b", 0)]).await;
    let due = store.due("slack", at(0), 10).await.expect("reads");
    store.put_silence(silence("s", 0, 60)).await.expect("keeps");
    assert!(matches!(store.claim(request(0, &due)).await, Err(StoreError::Stale(_))));
    assert_eq!(states(store).await, "a pending, b pending");
    assert_eq!(kept(store, "a").await.message, None);
    assert_eq!(claim(store, 0).await, ["a", "b"]);
}

async fn what_has_nothing_left_to_say_or_cannot_be_sent_ends(store: &Store) {
    queue(store, [queued("a", "a", 0), queued("b", "b", 0), queued("c", "c", 0)]).await;
    let due = store.due("slack", at(1), 10).await.expect("reads");
    let ends = [
        Claimed::Superseded("what it would have said is over".to_owned()),
        Claimed::Dead("its target is not configured any more".to_owned()),
    ];
    let deliveries = due.deliveries.iter().map(|due| due.n).zip(ends).collect();
    let claim = Claim { deliveries, ..request(1, &due) };
    assert_eq!(store.claim(claim).await.expect("claims").len(), 2);
    assert_eq!(states(store).await, "a superseded, b dead, c pending");
    let a = kept(store, "a").await;
    assert_eq!((&*a.reason, &*a.detail), ("settled", "what it would have said is over"));
    assert_eq!((a.finished_at, a.attempts, a.message), (Some(at(1)), 0, None));
    assert_eq!(kept(store, "b").await.detail, "its target is not configured any more");
}

async fn what_was_composed_is_kept_with_the_delivery(store: &Store) {
    let sent = async |minutes, of: &str, revision| {
        let due = store.due("slack", at(minutes), 10).await.expect("reads");
        let composed =
            || Claimed::Sent { content: content(&message(of), revision), unanswered: None };
        let deliveries = due.deliveries.iter().map(|due| (due.n, composed())).collect();
        store.claim(Claim { deliveries, ..request(minutes, &due) }).await.expect("claims");
        due.deliveries
    };
    queue(store, [queued("a", "a", 0), queued("b", "b", 0)]).await;
    assert_eq!(kept(store, "a").await.message, None);
    let before = sent(0, "shared", 0).await;
    assert!(before.iter().all(|due| (due.digest.as_ref(), due.revision) == (None, 0)));
    for id in ["a", "b"] {
        assert_eq!(kept(store, id).await.message, Some(message("shared")));
        settle(store, id, 1, Next::RetryAt(at(1))).await;
    }
    let before = sent(1, "other", 1).await;
    let digest = content(&message("shared"), 0).digest;
    assert!(before.iter().all(|due| due.digest.as_ref() == Some(&digest) && due.revision == 0));
    let again = sent(6, "other", 1).await;
    assert!(again.iter().all(|due| due.revision == 1 && due.cut_off));
    assert_eq!(kept(store, "b").await.message, Some(message("other")));
}

async fn a_lease_that_ran_out_is_claimed_again_and_late_words_change_little(store: &Store) {
    queue(store, [queued("a", "a", 0)]).await;
    let first = claim_due(store, 0, 1).await;
    assert_eq!((first[0].delivery.attempts, first[0].cut_off), (0, false));
    assert_eq!(claim(store, 4).await, no_ids());
    let again = claim_due(store, 5, 1).await;
    assert_eq!((again[0].delivery.attempts, again[0].cut_off), (1, true));
    assert!(kept(store, "a").await.maybe_repeated);
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
    let words: Vec<_> =
        attempts.iter().map(|attempt| (attempt.number, &*attempt.outcome)).collect();
    assert_eq!(words, [(1, "delivered"), (2, "delivered")], "the last word of each");
    assert_eq!(settle(store, "nobody", 1, Next::Delivered).await, Settled::Stale);
}

async fn an_attempt_that_may_have_arrived_makes_the_next_one_a_repeat(store: &Store) {
    queue(store, [queued("a", "a", 0)]).await;
    let next = async |minutes, number, maybe_taken| {
        let cut_off = claim_due(store, minutes, 1).await[0].cut_off;
        let next = Next::RetryAt(at(minutes));
        let settlement = Settlement { maybe_taken, ..settlement("a", number, next) };
        assert_eq!(store.settle(settlement).await.expect("settles"), Settled::Applied);
        cut_off
    };
    let cut_off = [next(0, 1, true).await, next(1, 2, false).await, next(2, 3, false).await];
    assert_eq!(cut_off, [false, true, false]);
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
    let a = kept(store, "a").await;
    assert_eq!((a.state, a.attempts, a.maybe_repeated), (DeliveryState::Pending, 0, false));
    let resent = store.release_all().await.expect("releases");
    let (integration, receiver) = ("slack".to_owned(), "oncall".to_owned());
    assert_eq!(resent, [Resent { integration, receiver, count: 1 }]);
    assert_eq!(store.release_all().await.expect("releases"), []);
    let again: Vec<_> = claim_due(store, 0, 10).await;
    let again: Vec<_> =
        again.iter().map(|due| (&*due.delivery.id, due.delivery.attempts, due.cut_off)).collect();
    assert_eq!(again, [("a", 0, false), ("b", 1, true)]);
}

on_backends! {
    one_delivery_is_open_for_a_group_and_target
    two_that_look_at_once_claim_each_delivery_once
    nothing_is_claimed_that_was_composed_under_other_silences
    what_has_nothing_left_to_say_or_cannot_be_sent_ends
    what_was_composed_is_kept_with_the_delivery
    a_lease_that_ran_out_is_claimed_again_and_late_words_change_little
    an_attempt_that_may_have_arrived_makes_the_next_one_a_repeat
    attempts_are_kept_within_a_bound
    what_is_given_back_waits_again
}
