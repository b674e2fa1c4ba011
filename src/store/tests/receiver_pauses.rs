//! Receivers that somebody has paused.

use super::*;

fn pause(since: i64, until: i64, comment: &str) -> ReceiverPause {
    ReceiverPause {
        receiver: "oncall".to_owned(),
        since: at(since),
        until: at(until),
        who: "token".to_owned(),
        comment: comment.to_owned(),
    }
}

fn entry(action: &str) -> AuditEntry {
    AuditEntry {
        at: at(0),
        who: "token".to_owned(),
        from: None,
        action: action.to_owned(),
        subject: "oncall".to_owned(),
        detail: String::new(),
    }
}

async fn begin(store: &Store, pause: ReceiverPause) {
    store.pause_receiver(pause, entry("receiver.pause")).await.expect("pauses");
}

async fn actions(store: &Store) -> Vec<String> {
    let filter = AuditFilter { limit: 9, ..AuditFilter::default() };
    let found = store.audit(filter).await.expect("reads");
    found.into_iter().map(|one| one.entry.action).collect()
}

async fn what_is_owed_to_a_receiver_that_is_paused_waits_and_does_not_age(store: &Store) {
    let other = NewDelivery {
        target: TargetId::new("mail", "x@"),
        receiver: "other".to_owned(),
        ..queued("m", "m", 0)
    };
    queue(store, [queued("a", "a", 0), queued("b", "b", 2), other]).await;
    assert_eq!(claim(store, 0).await, ["a"]);
    settle(store, "a", 1, Next::RetryAt(at(3))).await;
    // One that was composed before is not claimed after.
    let due = store.due("slack", at(5), 10).await.expect("reads");
    assert_eq!(due.deliveries.len(), 2);
    begin(store, pause(5, 60, "the pager moves")).await;
    assert_eq!(store.claim(request(5, &due)).await.expect("claims"), Vec::<i64>::new());
    assert_eq!(claim(store, 50).await, no_ids());
    assert_eq!(store.next_due("slack").await.expect("reads"), None);
    assert_eq!(store.next_due("mail").await.expect("reads"), Some(at(0)), "of another receiver");
    // It is seen on the deliveries, over the pause of an integration.
    store.set_pause("slack", Some((at(9), "timeout".to_owned()))).await.expect("notes");
    let a = kept(store, "a").await;
    assert_eq!(a.paused_reason.as_deref(), Some("by token: the pager moves"));
    assert_eq!((a.paused_until, a.next_try(at(6))), (Some(at(60)), Some(at(60))));
    assert_eq!(kept(store, "m").await.paused_until, None);
    // A retry by hand does not end it, nor does a restart.
    let retried = store.retry(Retry::One("a".to_owned()), at(6)).await.expect("retries");
    assert_eq!((retried.count, claim(store, 50).await), (1, vec![]));
    store.release_all().await.expect("releases");
    assert_eq!(claim(store, 50).await, no_ids());
    // Changed: since when it holds stays.
    begin(store, pause(7, 90, "it takes longer")).await;
    let expected = pause(5, 90, "it takes longer");
    assert_eq!(store.receiver_pauses().await.expect("reads"), [expected]);
    let over = async |minutes| store.end_receiver_pauses(at(minutes)).await.expect("ends");
    assert_eq!(over(89).await, no_ids());
    assert_eq!(over(90).await, ["oncall"]);
    assert_eq!(over(91).await, no_ids());
    assert_eq!(store.receiver_pauses().await.expect("reads"), []);
    let a = kept(store, "a").await;
    assert_eq!((a.created_at, a.attempts, a.paused_until), (at(90), 1, None));
    let mut claimed = claim(store, 90).await;
    claimed.sort();
    assert_eq!(claimed, ["a", "b"]);
    assert_eq!(kept(store, "m").await.created_at, at(0));
    assert_eq!(actions(store).await, ["receiver.pause", "receiver.pause"]);
}

async fn who_resumes_a_receiver_ends_its_pause(store: &Store) {
    queue(store, [queued("a", "a", 0)]).await;
    let resume = async |minutes| {
        let entry = entry("receiver.resume");
        store.resume_receiver("oncall", at(minutes), entry).await.expect("resumes")
    };
    assert!(!resume(1).await, "it is not paused");
    assert_eq!(actions(store).await, no_ids());
    begin(store, pause(1, 60, "why")).await;
    assert_eq!(claim(store, 2).await, no_ids());
    assert!(resume(3).await);
    assert_eq!(kept(store, "a").await.created_at, at(3));
    assert_eq!(claim(store, 3).await, ["a"]);
    // What is being sent goes on, and what is said of it counts.
    begin(store, pause(4, 60, "again")).await;
    assert_eq!(settle(store, "a", 1, Next::Delivered).await, Settled::Applied);
    assert!(resume(5).await && !resume(6).await);
    let expected = ["receiver.resume", "receiver.pause", "receiver.resume", "receiver.pause"];
    assert_eq!(actions(store).await, expected);
}

on_backends! {
    what_is_owed_to_a_receiver_that_is_paused_waits_and_does_not_age
    who_resumes_a_receiver_ends_its_pause
}
