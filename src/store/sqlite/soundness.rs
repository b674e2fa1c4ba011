//! Whether what is stored is sound, by SQLite's own words and by ours.

use async_trait::async_trait;
use rusqlite::Connection;

use super::Sqlite;
use super::failure::Failure;
use crate::store::{Books, Owners, StoreError, operations};

/// Flaws that are listed of each kind at most.
const FLAWS_MAX: usize = 100;

/// Rows that something else must be there for: what is counted, and how.
const STRAYS: [(&str, &str); 4] = [
    (
        "ids that are known of events that are gone",
        "SELECT count(*) FROM dedupe WHERE seq NOT IN (SELECT seq FROM inbox)",
    ),
    (
        "events that are not known by their ids",
        "SELECT count(*) FROM inbox WHERE content_hashed = 0 AND NOT EXISTS \
         (SELECT 1 FROM dedupe WHERE dedupe.id = inbox.id AND dedupe.account = inbox.account)",
    ),
    (
        "counts of alerts that are wrong",
        "SELECT count(*) FROM alert_counts AS kept FULL JOIN \
         (SELECT alertname, state, count(*) AS count FROM alerts GROUP BY alertname, state) AS found \
         USING (alertname, state) WHERE coalesce(kept.count, 0) <> coalesce(found.count, 0)",
    ),
    (
        "counts of deliveries that are wrong",
        "SELECT count(*) FROM delivery_counts AS kept FULL JOIN \
         (SELECT receiver, state, count(*) AS count FROM deliveries WHERE finished_at IS NOT NULL \
          GROUP BY receiver, state) AS found \
         USING (receiver, state) WHERE coalesce(kept.count, 0) <> coalesce(found.count, 0)",
    ),
];

#[async_trait]
impl operations::Soundness for Sqlite {
    async fn flaws(&self) -> Result<Vec<String>, StoreError> {
        self.read(|conn| {
            let tx = conn.unchecked_transaction()?;
            let mut flaws = integrity(&tx)?;
            // Of a file that is broken nothing else can be believed.
            if flaws.is_empty() {
                flaws.extend(references(&tx)?);
                for (what, sql) in STRAYS {
                    let count: i64 = tx.query_row(sql, (), |row| row.get(0))?;
                    flaws.extend((count > 0).then(|| format!("{count} {what}")));
                }
            }
            Ok(flaws)
        })
        .await
    }

    async fn books(&self) -> Result<Books, StoreError> {
        self.read(|conn| {
            let tx = conn.unchecked_transaction()?;
            let mut books = Books::default();
            let mut charges =
                tx.prepare("SELECT account, product, currency, amount FROM ledger")?;
            let mut found = charges.query(())?;
            while let Some(row) = found.next()? {
                let key = (row.get(0)?, row.get(1)?, row.get(2)?);
                books.add_charge(key, &row.get::<_, String>(3)?)?;
            }
            let mut totals = tx.prepare("SELECT value FROM state WHERE space = 'spend'")?;
            let mut found = totals.query(())?;
            while let Some(row) = found.next()? {
                books.add_total(&row.get::<_, Vec<u8>>(0)?)?;
            }
            books.is_whole = tx.query_row(
                "SELECT (SELECT count(*) FROM inbox) = \
                 coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'inbox'), 0)",
                (),
                |row| row.get(0),
            )?;
            Ok(books)
        })
        .await
    }

    async fn owners(&self) -> Result<Owners, StoreError> {
        self.read(|conn| {
            let tx = conn.unchecked_transaction()?;
            let all = |sql: &str| -> Result<_, Failure> {
                let mut statement = tx.prepare(sql)?;
                let found = statement.query_map((), |row| row.get(0))?;
                Ok(found.collect::<Result<_, _>>()?)
            };
            Ok(Owners {
                rules: all("SELECT substr(key, 1, instr(key, char(10)) - 1) FROM state \
                     WHERE space = 'series' UNION \
                     SELECT json_extract(CAST(alert AS TEXT), '$.rule') FROM alerts \
                     WHERE state = 'firing'")?,
                integrations: all("SELECT integration FROM deliveries WHERE finished_at IS NULL \
                     UNION SELECT integration FROM notification_log")?,
            })
        })
        .await
    }
}

/// What SQLite says of the file and its indices.
fn integrity(conn: &Connection) -> Result<Vec<String>, Failure> {
    let mut statement = conn.prepare(&format!("PRAGMA integrity_check({FLAWS_MAX})"))?;
    let lines: Vec<String> =
        statement.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(if lines == ["ok"] { Vec::new() } else { lines })
}

/// Rows that refer to rows that are not there.
fn references(conn: &Connection) -> Result<Vec<String>, Failure> {
    let mut statement = conn.prepare(
        "SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2",
    )?;
    let lines = statement.query_map((), |row| {
        let (table, parent, count): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("{count} rows of {table} refer to rows of {parent} that are not there"))
    })?;
    Ok(lines.collect::<Result<_, _>>()?)
}
