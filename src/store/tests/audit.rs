//! The audit log.

use super::*;

fn entry(action: &str, minutes: i64) -> AuditEntry {
    AuditEntry {
        at: at(minutes),
        who: "token".to_owned(),
        from: Some([127, 0, 0, 1].into()),
        action: action.to_owned(),
        subject: "3f2a9c1e".to_owned(),
        detail: "alertname=\"LowBalance\"".to_owned(),
    }
}

async fn what_was_changed_is_listed_newest_first(store: &Store) {
    let list = async |action: Option<&str>, before, limit| {
        let filter = AuditFilter { action: action.map(str::to_owned), before, limit };
        store.audit(filter).await.expect("reads")
    };
    assert_eq!(list(None, None, 9).await, []);
    let odd = AuditEntry { from: None, detail: "two\nlines".to_owned(), ..entry("a", 2) };
    for entry in [entry("a", 0), entry("b", 1), odd] {
        store.append_audit(entry).await.expect("appends");
    }
    let all = list(None, None, 9).await;
    assert_eq!(all.iter().map(|one| one.entry.at).collect::<Vec<_>>(), [at(2), at(1), at(0)]);
    assert_eq!(all[2].entry, entry("a", 0));
    assert_eq!((all[0].entry.from, all[0].entry.detail.as_str()), (None, "two lines"));
    assert_eq!(list(None, Some(all[0].n), 1).await, all[1..2]);
    assert_eq!(list(Some("a"), Some(all[0].n), 9).await, all[2..]);

    let long = AuditEntry { detail: "é".repeat(AUDIT_TEXT_CHARS_MAX + 1), ..entry("c", 3) };
    store.append_audit(long).await.expect("appends");
    let kept = &list(Some("c"), None, 1).await[0].entry.detail;
    assert_eq!(kept.chars().count(), AUDIT_TEXT_CHARS_MAX);
}

async fn the_audit_log_is_swept_by_the_retention(store: &Store) {
    const MONTH: i64 = 30 * 24 * 60;
    for minutes in 0..3 {
        store.append_audit(entry("a", minutes)).await.expect("appends");
    }
    assert_eq!(sweep(store, MONTH - 1, 9).await.audit, 0);
    assert_eq!(sweep(store, MONTH + 1, 9).await.audit, 2);
    let left = store.audit(AuditFilter { limit: 9, ..AuditFilter::default() }).await;
    assert_eq!(left.expect("reads").len(), 1);
}

on_backends! {
    what_was_changed_is_listed_newest_first
    the_audit_log_is_swept_by_the_retention
}
