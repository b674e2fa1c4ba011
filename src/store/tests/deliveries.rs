//! Deliveries: claimed, settled, given back, given up.

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
        let filter = DeliveryFilter { state: Some(state), limit: 9, receiver: None };
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

async fn a_fallback_is_triggered_once(store: &Store) {
    let with = |id: &str, minutes, fallback| NewDelivery {
        fallback_at: Some(at(fallback)),
        ..queued(id, id, minutes)
    };
    let fallback = |id: &str, of: &str, group: &str| NewDelivery {
        target: TargetId::new("mail", "x@"),
        fallback_of: Some(of.to_owned()),
        ..queued(id, group, 5)
    };
    queue(store, [with("a", 0, 5), with("b", 0, 6), with("c", 0, 7), queued("d", "d", 0)]).await;
    let due = async |minutes| ids(&store.fallback_due(at(minutes), 10).await.expect("reads"));
    assert_eq!(due(4).await, no_ids());
    assert_eq!(due(6).await, ["a", "b"]);
    let trigger = async |id: &str, fallbacks: Vec<NewDelivery>| {
        store.trigger_fallback(id.to_owned(), fallbacks).await.expect("triggers")
    };
    assert!(trigger("a", vec![fallback("fa", "a", "a")]).await);
    assert!(!trigger("a", vec![fallback("fa2", "a", "a")]).await);
    assert!(!trigger("nobody", vec![fallback("fn", "nobody", "n")]).await);
    assert_eq!(due(6).await, ["b"]);

    // A dead delivery triggers it with its settlement; what was triggered before stays at one.
    assert_eq!(claim(store, 0).await, ["a", "b", "c", "d"]);
    for (id, of) in [("a", "fa3"), ("b", "fb")] {
        let fallbacks = vec![fallback(of, id, id)];
        let settlement = Settlement { fallbacks, ..settlement(id, 1, Next::Dead) };
        assert_eq!(store.settle(settlement).await.expect("settles"), Settled::Applied);
    }
    assert_eq!(due(6).await, no_ids());
    let all = DeliveryFilter { limit: 100, ..DeliveryFilter::default() };
    let all = store.deliveries(all).await.expect("reads");
    let opened: Vec<_> =
        all.iter().filter(|d| d.fallback_of.is_some()).map(|d| d.id.as_str()).collect();
    assert_eq!(opened, ["fb", "fa"]);
    assert!(!trigger("b", vec![fallback("fb2", "b", "b")]).await, "it has ended");
    // Of what waits for the fallback it is known for whom it stands in, and whether that one was reached.
    let originals = async || {
        let due = store.due("mail", at(9), 10).await.expect("reads").deliveries;
        due.into_iter().map(|due| due.original.expect("an original").1).collect::<Vec<_>>()
    };
    assert_eq!(originals().await, [false, false]);
    settle(store, "a", 1, Next::Delivered).await;
    assert_eq!(originals().await, [true, false]);
}

async fn targets_of_a_receiver_that_fail_together_trigger_its_fallback_once(store: &Store) {
    let mail = |id: &str, minutes| NewDelivery {
        target: TargetId::new("slack", id),
        fallback_at: Some(at(5)),
        ..queued(id, "g", minutes)
    };
    let fallback = |id: &str, of: &str| NewDelivery {
        target: TargetId::new("mail", "x@"),
        fallback_of: Some(of.to_owned()),
        ..queued(id, "g", 5)
    };
    queue(store, [mail("a", 0), mail("b", 0)]).await;
    for (of, id, expected) in [("a", "fa", true), ("b", "fb", false)] {
        let fallbacks = vec![fallback(id, of)];
        let triggered = store.trigger_fallback(of.to_owned(), fallbacks).await.expect("triggers");
        assert_eq!(triggered, expected, "{of}");
    }
    for id in claim(store, 5).await {
        settle(store, &id, 1, Next::Delivered).await;
    }
    // The next story is another.
    queue(store, [mail("c", 9)]).await;
    let fallbacks = vec![fallback("fc", "c")];
    assert!(
        !store.trigger_fallback("c".to_owned(), fallbacks).await.expect("triggers"),
        "one is open"
    );
}

async fn a_fallback_with_a_delivery_of_its_own_hears_all_with_that_one(store: &Store) {
    let own = |id: &str, group: &str| NewDelivery {
        target: TargetId::new("mail", "x@"),
        ..queued(id, group, 0)
    };
    let fallback = |id: &str, of: &str| NewDelivery {
        fallback_of: Some(of.to_owned()),
        opened_at: at(5),
        ..own(id, of)
    };
    queue(store, [queued("a", "a", 0), own("ends", "a"), queued("b", "b", 0), own("sent", "b")])
        .await;
    let due = store.due("mail", at(0), 10).await.expect("reads");
    let sent: Vec<_> = request(0, &due).deliveries.into_iter().zip(&due.deliveries).collect();
    let sent = sent.into_iter().filter(|(_, due)| due.delivery.id == "sent").map(|(one, _)| one);
    let claim = Claim { deliveries: sent.collect(), ..request(0, &due) };
    assert_eq!(store.claim(claim).await.expect("claims").len(), 1);
    for id in ["a", "b"] {
        let fallbacks = vec![fallback(&format!("f{id}"), id)];
        assert!(store.trigger_fallback(id.to_owned(), fallbacks).await.expect("triggers"), "{id}");
    }
    assert_eq!(states(store).await, "a pending, b pending, ends pending, sent sending");
    for id in ["ends", "sent"] {
        let of = kept(store, id).await.fallback_of;
        assert_eq!(of.as_deref(), Some(if id == "ends" { "a" } else { "b" }));
    }
    // What was being sent then said less than is owed now.
    settle(store, "sent", 1, Next::Delivered).await;
    assert_eq!(kept(store, "sent").await.state, DeliveryState::Pending);
    let due = store.due("mail", at(5), 10).await.expect("reads");
    assert!(due.deliveries.iter().all(|due| due.original.is_some()), "{due:?}");
    assert_eq!(store.claim(request(5, &due)).await.expect("claims").len(), 2);
    for (id, number, of) in [("ends", 1, "a"), ("sent", 2, "b")] {
        let fallback_of = Some(of.to_owned());
        let settlement = Settlement { fallback_of, ..settlement(id, number, Next::Delivered) };
        store.settle(settlement).await.expect("settles");
    }
    assert_eq!(states(store).await, "a pending, b pending, ends delivered, sent delivered");
}

async fn the_alerts_of_a_delivery_are_named_before_its_first_attempt(store: &Store) {
    let (one, other) = ("e".repeat(16), "f".repeat(16));
    let named = |fingerprint: &str, name: &str| Alert {
        labels: [("alertname".to_owned(), name.to_owned())].into(),
        ..alert(fingerprint, AlertState::Firing)
    };
    let member =
        |group: &str, one: &str| row(Space::Member, &format!("{group}\n{one}"), Some(b"{}"));
    let changes = Changes {
        alerts: vec![named(&one, "Spend"), named(&other, "Fax")],
        rows: vec![member("a", &one), member("b", &one), member("b", &other)],
        deliveries: vec![queued("a", "a", 0), queued("b", "b", 0), queued("c", "c", 0)],
        ..Changes::default()
    };
    commit(store, changes).await;
    let filter = DeliveryFilter { limit: 9, ..DeliveryFilter::default() };
    let listed = store.deliveries(filter).await.expect("reads");
    let names: Vec<_> =
        listed.iter().map(|one| (one.id.as_str(), one.alertname.as_deref())).collect();
    assert_eq!(names, [("c", None), ("b", None), ("a", Some("Spend"))]);
    assert_eq!(kept(store, "a").await.alertname.as_deref(), Some("Spend"));
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
    let retry = async |selection| store.retry(selection, at(9)).await.expect("retries").count;
    assert_eq!(retry(Retry::One("0123d".to_owned())).await, 0, "it was delivered");
    assert_eq!(retry(Retry::One("0123c".to_owned())).await, 1);
    assert_eq!(retry(Retry::Receiver("y".to_owned())).await, 0);
    assert_eq!(retry(Retry::All).await, 2);
    assert_eq!(claim(store, 8).await, no_ids());
    let again = claim_due(store, 9, 10).await;
    assert_eq!(again.len(), 3);
    assert!(again.iter().all(|due| due.by_hand && due.delivery.message.is_some()));
    let again = again.iter().map(|due| &due.delivery);
    assert!(again.clone().all(|d| (d.created_at, d.attempts, d.finished_at) == (at(9), 1, None)));
    assert!(store.delivery("01234567").await.expect("reads").is_none());
}

async fn the_dead_of_a_target_that_is_owed_or_was_told_later_stay_dead(store: &Store) {
    for (id, group, next) in [
        ("a1", "a", Next::Dead),
        ("b1", "b", Next::Dead),
        ("b2", "b", Next::Delivered),
        ("c1", "c", Next::Dead),
        ("c2", "c", Next::Dead),
    ] {
        queue(store, [queued(id, group, 0)]).await;
        assert_eq!(claim(store, 0).await, [id]);
        settle(store, id, 1, next).await;
    }
    queue(store, [queued("a2", "a", 0)]).await;
    let retry = async |selection| store.retry(selection, at(9)).await.expect("retries");
    let left = |instead: &str| Retried { instead: Some(instead.to_owned()), ..Retried::default() };
    for (id, expected) in [
        ("a1", Retried { open: 1, ..left("a2") }),
        ("b1", Retried { notified: 1, ..left("b2") }),
        ("c1", Retried { newer: 1, ..left("c2") }),
    ] {
        assert_eq!(retry(Retry::One(id.to_owned())).await, expected);
    }
    let expected = Retried { count: 1, open: 1, notified: 1, ..Retried::default() };
    assert_eq!(retry(Retry::All).await, expected, "the newest of each target");
    let expected = "a1 dead, a2 pending, b1 dead, b2 delivered, c1 dead, c2 pending";
    assert_eq!(states(store).await, expected);
}

async fn deliveries_of_orphans_are_dead(store: &Store) {
    let known = NewDelivery { target: TargetId::new("mail", "m@"), ..queued("m", "m", 0) };
    queue(store, [queued("a", "a", 0), queued("b", "b", 0), known]).await;
    assert_eq!(claim_some(store, 0, 1).await, ["a"]);
    let orphans = async || store.dead_letter_orphans(vec!["mail".to_owned()], at(1)).await;
    assert_eq!(orphans().await.expect("ends"), 2);
    assert_eq!(orphans().await.expect("ends"), 0);
    assert_eq!(states(store).await, "a dead, b dead, m pending");
    let dead = kept(store, "a").await;
    assert_eq!((dead.reason.as_str(), dead.finished_at), ("receiver removed", Some(at(1))));
    assert_eq!(store.next_due("slack").await.expect("reads"), None);
    // What was being sent then may still arrive.
    let entry = told(1, &[("f1", 1)]);
    let late = Settlement { entry: Some(entry.clone()), ..settlement("a", 1, Next::Delivered) };
    assert_eq!(store.settle(late).await.expect("settles"), Settled::Applied);
    assert_eq!(states(store).await, "a delivered, b dead, m pending");
    assert_eq!(store.resume().await.expect("reads").log, [("a".to_owned(), slack(), entry)]);
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
    a_fallback_is_triggered_once
    targets_of_a_receiver_that_fail_together_trigger_its_fallback_once
    a_fallback_with_a_delivery_of_its_own_hears_all_with_that_one
    the_alerts_of_a_delivery_are_named_before_its_first_attempt
    the_dead_are_listed_and_retried
    the_dead_of_a_target_that_is_owed_or_was_told_later_stay_dead
    deliveries_of_orphans_are_dead
}
