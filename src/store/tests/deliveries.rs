//! Deliveries: fallbacks, lists, what is given up, cancelled, or tried again by hand.

use super::*;

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

async fn deliveries_are_listed_in_pages(store: &Store) {
    queue(store, ["a", "b", "c", "d"].map(|id| queued(id, id, 0))).await;
    let page = async |before: Option<&str>, receiver: Option<&str>| {
        let (before, receiver) = (before.map(str::to_owned), receiver.map(str::to_owned));
        let filter = DeliveryFilter { state: None, receiver, before, limit: 2 };
        ids(&store.deliveries(filter).await.expect("reads"))
    };
    let receiver = queued("a", "a", 0).receiver;
    for receiver in [None, Some(receiver.as_str())] {
        assert_eq!(page(None, receiver).await, ["d", "c"]);
        assert_eq!(page(Some("c"), receiver).await, ["b", "a"]);
        assert_eq!(page(Some("a"), receiver).await, no_ids());
        assert_eq!(page(Some("gone"), receiver).await, no_ids());
    }
}

async fn what_waits_is_cancelled_and_nothing_else(store: &Store) {
    queue(store, [queued("a", "a", 0)]).await;
    let cancel = async |id: &str, attempts: u32| {
        let why = "cancelled by ada".to_owned();
        store.cancel(id.to_owned(), attempts, why, at(5)).await.expect("cancels")
    };
    assert!(!cancel("a", 1).await, "it was not tried once");
    assert!(!cancel("b", 0).await, "there is none");
    assert_eq!(claim(store, 0).await, ["a"]);
    assert!(!cancel("a", 1).await, "it is being sent");
    settle(store, "a", 1, Next::RetryAt(at(9))).await;
    assert!(cancel("a", 1).await);
    let found = kept(store, "a").await;
    assert_eq!((found.state, found.finished_at), (DeliveryState::Dead, Some(at(5))));
    assert_eq!((found.reason.as_str(), found.detail.as_str()), ("cancelled", "cancelled by ada"));
    assert_eq!(claim(store, 99).await, no_ids());
    let ended = store.batch_after(0, 1, 0).await.expect("reads").ended;
    assert_eq!(ended.iter().map(|one| one.state).collect::<Vec<_>>(), [DeliveryState::Dead]);
    assert!(!cancel("a", 1).await, "it has ended");
    assert_eq!(store.retry(Retry::One("a".to_owned()), at(10)).await.expect("retries").count, 1);
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
        let filter =
            DeliveryFilter { state: Some(DeliveryState::Dead), receiver, before: None, limit: 10 };
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
    assert_eq!(retry(Retry::Receiver("y".to_owned())).await, 1, "it waits");
    assert_eq!(retry(Retry::Receiver("nobody".to_owned())).await, 0);
    assert_eq!(retry(Retry::All).await, 3, "two are dead, one waits");
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
    let expected = Retried { count: 2, open: 1, notified: 1, ..Retried::default() };
    assert_eq!(retry(Retry::All).await, expected, "the newest of each target, and what is open");
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

async fn a_pause_is_seen_on_the_deliveries_of_its_integration(store: &Store) {
    let mail = NewDelivery { target: TargetId::new("mail", "x@"), ..queued("m", "m", 0) };
    queue(store, [queued("a", "a", 3), mail]).await;
    let seen = async |id: &str, now| {
        let delivery = kept(store, id).await;
        let next = delivery.next_try(at(now));
        (delivery.paused_until.zip(delivery.paused_reason), next)
    };
    assert_eq!(seen("a", 0).await, (None, Some(at(3))));
    for until in [1, 9] {
        let pause = Some((at(until), "rateLimited".to_owned()));
        store.set_pause("slack", pause.clone()).await.expect("notes");
        assert_eq!(seen("a", 0).await, (pause, Some(at(until.max(3)))));
    }
    assert_eq!(seen("a", 20).await.1, Some(at(20)), "never in the past");
    assert_eq!(seen("m", 5).await, (None, Some(at(5))));
    store.set_pause("slack", None).await.expect("notes");
    assert_eq!(seen("a", 0).await, (None, Some(at(3))));
    // Whoever kept the pause in memory is gone.
    store.set_pause("slack", Some((at(9), "timeout".to_owned()))).await.expect("notes");
    store.release_all().await.expect("releases");
    assert_eq!(seen("a", 0).await, (None, Some(at(3))));
    assert_eq!(claim(store, 3).await, ["a"]);
    settle(store, "a", 1, Next::Delivered).await;
    assert_eq!(seen("a", 4).await.1, None);
}

async fn who_asks_for_it_ends_a_pause_and_what_waits_is_due(store: &Store) {
    let mail = NewDelivery { target: TargetId::new("mail", "x@"), ..queued("m", "m", 0) };
    queue(store, [queued("a", "a", 0), queued("b", "b", 0), mail]).await;
    assert_eq!(claim(store, 0).await, ["a", "b"]);
    let pause = || Some((at(3600), "rateLimited".to_owned()));
    let paused = async || {
        let pauses = store.pauses(at(1)).await.expect("reads");
        pauses.into_iter().map(|pause| pause.integration).collect::<Vec<_>>()
    };
    for id in ["a", "b"] {
        settle(store, id, 1, Next::RetryAt(at(3600))).await;
    }
    store.set_pause("slack", pause()).await.expect("notes");
    store.set_pause("mail", pause()).await.expect("notes");
    let retried = store.retry(Retry::One("a".to_owned()), at(1)).await.expect("retries");
    assert_eq!(retried, Retried { count: 1, ..Retried::default() });
    assert_eq!(paused().await, ["mail"]);
    assert_eq!(kept(store, "a").await.created_at, at(0), "its age counts on");
    assert_eq!(claim(store, 1).await, ["a", "b"], "what waits for it is due");
    // One that is sent, delivered or superseded is left alone.
    store.set_pause("slack", pause()).await.expect("notes");
    settle(store, "a", 2, Next::Delivered).await;
    for id in ["a", "b"] {
        let retried = store.retry(Retry::One(id.to_owned()), at(2)).await.expect("retries");
        assert_eq!(retried, Retried::default(), "{id}");
    }
    assert_eq!(paused().await, ["mail", "slack"]);
    settle(store, "b", 2, Next::RetryAt(at(3600))).await;
    store.lift_pause("slack", at(3)).await.expect("lifts");
    assert_eq!(
        (paused().await, claim(store, 3).await),
        (vec!["mail".to_owned()], vec!["b".to_owned()])
    );
    // A dead one that is tried again does not wait for the pause, either.
    settle(store, "b", 3, Next::Dead).await;
    store.set_pause("slack", pause()).await.expect("notes");
    store.retry(Retry::One("b".to_owned()), at(4)).await.expect("retries");
    assert_eq!(
        (paused().await, claim(store, 4).await),
        (vec!["mail".to_owned()], vec!["b".to_owned()])
    );
    // Nor do those of a receiver, or all.
    let receiver = kept(store, "b").await.receiver;
    for (second, selection, all) in [(5, Retry::Receiver(receiver), false), (6, Retry::All, true)] {
        settle(store, "b", second - 1, Next::RetryAt(at(3600))).await;
        store.set_pause("slack", pause()).await.expect("notes");
        let retried = store.retry(selection, at(second.into())).await.expect("retries");
        let is_mail = kept(store, "m").await.receiver == kept(store, "b").await.receiver;
        assert_eq!(retried.count, if all || is_mail { 2 } else { 1 });
        assert!(!paused().await.contains(&"slack".to_owned()));
        assert_eq!(claim(store, second.into()).await, ["b"]);
    }
    assert_eq!(paused().await, no_ids());
}

on_backends! {
    a_fallback_is_triggered_once
    targets_of_a_receiver_that_fail_together_trigger_its_fallback_once
    a_fallback_with_a_delivery_of_its_own_hears_all_with_that_one
    the_alerts_of_a_delivery_are_named_before_its_first_attempt
    deliveries_are_listed_in_pages
    what_waits_is_cancelled_and_nothing_else
    the_dead_are_listed_and_retried
    the_dead_of_a_target_that_is_owed_or_was_told_later_stay_dead
    deliveries_of_orphans_are_dead
    a_pause_is_seen_on_the_deliveries_of_its_integration
    who_asks_for_it_ends_a_pause_and_what_waits_is_due
}
