//! Whether what is stored is sound. That PostgreSQL's own files are whole is for its tools to say (`pg_amcheck`).

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use super::Postgres;
use super::failure::Failure;
use super::link::Lent;
use super::sql::params;
use super::values::column;
use crate::store::{Books, Owners, StoreError, operations};

/// How long one look at a whole table may take.
const LOOK_MAX: Duration = Duration::from_mins(30);

/// Rows that something else must be there for: what is counted, and how.
const STRAYS: [(&str, &str); 8] = [
    (
        "ids that are known of events that are gone",
        "SELECT count(*) FROM ~dedupe AS row WHERE NOT EXISTS \
         (SELECT 1 FROM ~inbox AS event WHERE event.seq = row.seq)",
    ),
    (
        "events that are not known by their ids",
        "SELECT count(*) FROM ~inbox AS row WHERE NOT row.content_hashed AND NOT EXISTS \
         (SELECT 1 FROM ~dedupe AS known WHERE known.id = row.id AND known.account = row.account)",
    ),
    (
        "judgements of events that are gone",
        "SELECT count(*) FROM ~judgements AS row WHERE NOT EXISTS \
         (SELECT 1 FROM ~inbox AS event WHERE event.seq = row.seq)",
    ),
    (
        "charges of events that are gone",
        "SELECT count(*) FROM ~charges AS row WHERE NOT EXISTS \
         (SELECT 1 FROM ~inbox AS event WHERE event.seq = row.seq)",
    ),
    (
        "causes by events that are gone",
        "SELECT count(*) FROM ~caused AS row WHERE NOT EXISTS \
         (SELECT 1 FROM ~inbox AS event WHERE event.seq = row.seq)",
    ),
    (
        "faults of events that are gone",
        "SELECT count(*) FROM ~faulted AS row WHERE NOT EXISTS \
         (SELECT 1 FROM ~inbox AS event WHERE event.seq = row.seq)",
    ),
    (
        "counts of alerts that are wrong",
        "SELECT count(*) FROM ~alert_counts AS kept FULL JOIN \
         (SELECT alertname, state, count(*) AS count FROM ~alerts GROUP BY alertname, state) AS found \
         USING (alertname, state) WHERE coalesce(kept.count, 0) <> coalesce(found.count, 0)",
    ),
    (
        "counts of deliveries that are wrong",
        "SELECT count(*) FROM \
         (SELECT receiver, state, sum(count) AS count FROM ~delivery_counts GROUP BY receiver, state) AS kept \
         FULL JOIN \
         (SELECT receiver, state, count(*) AS count FROM ~deliveries WHERE finished_at IS NOT NULL \
          GROUP BY receiver, state) AS found \
         USING (receiver, state) WHERE coalesce(kept.count, 0) <> coalesce(found.count, 0)",
    ),
];

impl Postgres {
    /// A transaction that looks at one moment, however long it takes.
    async fn look(&self) -> Result<Lent<'_>, Failure> {
        let mut tx = self.link.begin_reading().await?;
        tx.is_given(LOOK_MAX);
        tx.batch("SET LOCAL statement_timeout = 0").await?;
        Ok(tx)
    }
}

#[async_trait]
impl operations::Soundness for Postgres {
    async fn flaws(&self) -> Result<Vec<String>, StoreError> {
        let tx = self.look().await?;
        let mut flaws = Vec::new();
        for (what, sql) in STRAYS {
            let row = tx.first(sql, params![]).await?;
            let count = row.map_or(Ok(0), |row| column::<i64>(&row, 0));
            let count = count.map_err(Failure::unstorable)?;
            flaws.extend((count > 0).then(|| format!("{count} {what}")));
        }
        tx.commit().await?;
        Ok(flaws)
    }

    async fn books(&self) -> Result<Books, StoreError> {
        let tx = self.look().await?;
        let mut books = Books::default();
        // Sums of `numeric` are exact.
        let sql = "SELECT account, product, currency, sum(amount::numeric)::text FROM ~ledger \
             GROUP BY account, product, currency";
        for row in tx.query(sql, params![]).await? {
            let text = |n| column::<String>(&row, n).map_err(Failure::unstorable);
            books.add_charge((text(0)?, text(1)?, text(2)?), &text(3)?)?;
        }
        let sql = "SELECT value FROM ~state WHERE space = 'spend'";
        for row in tx.query(sql, params![]).await? {
            books.add_total(column(&row, 0).map_err(Failure::unstorable)?)?;
        }
        let sql = "SELECT (SELECT count(*) FROM ~inbox WHERE seq <= \
               (SELECT value FROM ~meta WHERE key = 'cursor')) = \
             (SELECT value FROM ~meta WHERE key = 'judged')";
        let row = tx.first(sql, params![]).await?;
        let whole = row.map_or(Ok(None), |row| column::<Option<bool>>(&row, 0));
        books.is_whole = whole.map_err(Failure::unstorable)?.unwrap_or(false);
        tx.commit().await?;
        Ok(books)
    }

    async fn owners(&self) -> Result<Owners, StoreError> {
        let tx = self.look().await?;
        let rules = "SELECT split_part(key, E'\\n', 1) FROM ~state WHERE space = 'series' UNION \
             SELECT convert_from(alert, 'UTF8')::json ->> 'rule' FROM ~alerts WHERE state = 'firing'";
        let integrations = "SELECT integration FROM ~deliveries WHERE finished_at IS NULL UNION \
             SELECT integration FROM ~notification_log";
        let owners =
            Owners { rules: all(&tx, rules).await?, integrations: all(&tx, integrations).await? };
        tx.commit().await?;
        Ok(owners)
    }
}

async fn all(tx: &Lent<'_>, sql: &str) -> Result<BTreeSet<String>, Failure> {
    let found = tx.query(sql, params![]).await?;
    let names: Result<_, String> = found.iter().map(|row| column(row, 0)).collect();
    names.map_err(Failure::unstorable)
}
