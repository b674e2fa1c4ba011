//! The plans of what is asked often, or of a table that grows: each uses the index that was made for it.

use super::super::{claims, deliveries, journal, notification_log, outcomes};
use super::*;
use crate::store::{DeliveryFilter, DeliveryState};

/// The lines of a statement's plan.
async fn plan(store: &Store, sql: &str) -> Vec<String> {
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let plan = sqlite(store).read(move |conn| {
        let mut statement = conn.prepare(&sql)?;
        let mut rows = statement.raw_query();
        let mut plan = Vec::new();
        while let Some(row) = rows.next()? {
            plan.push(row.get::<_, String>(3)?);
        }
        Ok(plan)
    });
    plan.await.expect("a plan")
}

#[tokio::test]
async fn what_is_asked_often_is_found_by_its_index() {
    let directory = tempfile::tempdir().expect("temp dir");
    let store = open(&settings(&directory)).await;
    let list = |state, receiver: Option<&str>| {
        let receiver = receiver.map(str::to_owned);
        deliveries::list_sql(&DeliveryFilter { state, receiver, before: None, limit: 50 })
    };
    // Lists of the few that are open or dead come in another order than their index.
    let sorted = [
        list(Some(DeliveryState::Dead), None),
        list(Some(DeliveryState::Pending), None),
        list(Some(DeliveryState::Sending), Some("ops")),
    ];
    for (sql, index) in [
        (claims::due_sql(), "deliveries_due"),
        (claims::next_due_sql(), "deliveries_due"),
        (notification_log::UNNOTED.to_owned(), "deliveries_unnoted"),
        (outcomes::fallback_due_sql(), "deliveries_fallback"),
        (outcomes::HAS_HEARD.to_owned(), "deliveries_to_fallbacks"),
        (journal::SAID.to_owned(), "journal_of_alert"),
        (list(None, Some("ops")), "deliveries_receiver"),
        (list(Some(DeliveryState::Delivered), Some("ops")), "deliveries_receiver"),
        (list(Some(DeliveryState::Superseded), Some("ops")), "deliveries_receiver"),
        (list(None, None), "PRIMARY"),
        (list(Some(DeliveryState::Delivered), None), "PRIMARY"),
        (list(Some(DeliveryState::Superseded), None), "PRIMARY"),
        (list(Some(DeliveryState::Dead), Some("ops")), "deliveries_dead"),
        (list(Some(DeliveryState::Dead), None), "deliveries_dead"),
        (list(Some(DeliveryState::Pending), None), "deliveries_due"),
        (list(Some(DeliveryState::Sending), Some("ops")), "deliveries_due"),
    ] {
        let plan = plan(&store, &sql).await;
        // Of indices that hold what is open or dead alone, all may be looked at.
        let by_index = plan.iter().any(|line| {
            line.split_whitespace().any(|word| word == index)
                && (line.starts_with("SEARCH") || line.starts_with("SCAN"))
        });
        assert!(by_index, "{index}: {plan:#?}");
        let whole = |line: &&String| line.starts_with("SCAN deliveries") && !line.contains("INDEX");
        assert_eq!(plan.iter().find(whole), None, "{sql}");
        let sorts = plan.iter().any(|line| line.contains("TEMP B-TREE"));
        assert_eq!(sorts, sorted.contains(&sql), "{sql}: {plan:#?}");
    }
    store.close().await.expect("closes");
}
