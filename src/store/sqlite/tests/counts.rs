//! Counts that triggers keep, when they are wrong.

use super::*;
use crate::store::Soundness as _;
use crate::store::tests::some_of_all_that_is_counted;

#[tokio::test]
async fn a_count_that_is_wrong_is_found() {
    for (sql, flaw) in [
        ("UPDATE alert_counts SET count = count + 1", "counts of alerts that are wrong"),
        ("DELETE FROM alert_counts", "counts of alerts that are wrong"),
        ("UPDATE alert_counts SET count = 0", "counts of alerts that are wrong"),
        ("INSERT INTO alert_counts VALUES ('x', 'firing', 1)", "counts of alerts that are wrong"),
        ("UPDATE delivery_counts SET count = count + 1", "counts of deliveries that are wrong"),
        ("DELETE FROM delivery_counts", "counts of deliveries that are wrong"),
        ("UPDATE delivery_counts SET count = 0", "counts of deliveries that are wrong"),
        (
            "INSERT INTO delivery_counts VALUES ('x', 'dead', 1)",
            "counts of deliveries that are wrong",
        ),
    ] {
        let directory = tempfile::tempdir().expect("temp dir");
        let store = open(&settings(&directory)).await;
        some_of_all_that_is_counted(&store).await;
        assert_eq!(sqlite(&store).flaws().await.expect("looks"), Vec::<String>::new());
        sqlite(&store).write(move |tx, _| Ok(tx.execute(sql, ())?)).await.expect("spoils");
        let wrong = if sql == "UPDATE alert_counts SET count = count + 1" { 2 } else { 1 };
        let found = sqlite(&store).flaws().await.expect("looks");
        assert_eq!(found, [format!("{wrong} {flaw}")], "{sql}");
        store.close().await.expect("closes");
    }
}
