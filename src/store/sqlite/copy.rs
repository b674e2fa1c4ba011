//! A file as one of the two sides of a copy.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params_from_iter};

use super::connection::{self, Purpose};
use super::failure::Failure;
use super::{blocking, lock, migrations, prepare, refused, rows, sync_directories};
use crate::store::copy::{
    CONTENTS, Cell, Cells, Counters, End, META, PAGE_BYTES_MAX, TABLES, Table,
};
use crate::store::{OpenError, StoreError};

/// Tables whose numbers are never given twice.
const NUMBERED: [&str; 3] = ["inbox", "deliveries", "audit"];

/// A database that nobody else serves from while this is there.
pub(in crate::store) struct SqliteEnd {
    conn: Arc<Mutex<Connection>>,
    _lock: [File; 2],
}

impl SqliteEnd {
    /// Opens an existing database; nobody writes into it until this is gone.
    pub(in crate::store) async fn source(path: &Path) -> Result<Self, OpenError> {
        let path = path.to_owned();
        blocking(path.clone(), move || {
            let path = path.canonicalize().map_err(|_missing| OpenError::Missing(path))?;
            let lock = lock(&path)?;
            let failed = |failure: Failure| refused(&path, failure.into());
            let conn = connection::writer(&path, Purpose::Attach).map_err(failed)?;
            migrations::require_version(&conn).map_err(|mismatch| refused(&path, mismatch))?;
            conn.execute_batch("BEGIN IMMEDIATE").map_err(|error| failed(error.into()))?;
            Ok(Self { conn: Arc::new(Mutex::new(conn)), _lock: lock })
        })
        .await
    }

    /// Opens a database that a copy goes into; makes it where it is not there.
    pub(in crate::store) async fn target(path: &Path) -> Result<Self, OpenError> {
        let path = path.to_owned();
        blocking(path.clone(), move || {
            let path = prepare(&path)?;
            let lock = lock(&path)?;
            let mut conn = connection::writer(&path, Purpose::Create)
                .map_err(|failure| refused(&path, failure.into()))?;
            migrations::bring_up(&mut conn).map_err(|mismatch| refused(&path, mismatch))?;
            sync_directories(&path);
            Ok(Self { conn: Arc::new(Mutex::new(conn)), _lock: lock })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let conn = Arc::clone(&self.conn);
        let work = move || work(&mut conn.lock().unwrap_or_else(PoisonError::into_inner));
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => Ok(done?),
            Err(panic) => Err(StoreError::Unavailable(panic.to_string())),
        }
    }
}

#[async_trait]
impl End for SqliteEnd {
    /// The lock says it all.
    async fn in_use(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn page(
        &self,
        table: &'static Table,
        after: Option<Cells>,
        limit: usize,
    ) -> Result<Vec<Cells>, StoreError> {
        self.run(move |conn| page(conn, table, after.as_deref(), limit)).await
    }

    async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        self.run(|conn| {
            let sql = format!("SELECT count(*) FROM {}", relation(table));
            let count: i64 = conn.query_row(&sql, (), |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
        .await
    }

    async fn counters(&self) -> Result<Counters, StoreError> {
        self.run(|conn| {
            let mut counters = Counters::default();
            let mut value = conn.prepare("SELECT value FROM meta WHERE key = ?1")?;
            for key in META {
                let found: Option<i64> = value.query_row([key], |row| row.get(0)).optional()?;
                counters.meta.extend(found.map(|found| (key.to_owned(), found)));
            }
            // Places are given one after the other: up to the cursor all were judged.
            counters.judged = value.query_row(["cursor"], |row| row.get(0))?;
            let mut last = conn.prepare("SELECT seq FROM sqlite_sequence WHERE name = ?1")?;
            for table in NUMBERED {
                let found: Option<i64> = last.query_row([table], |row| row.get(0)).optional()?;
                counters.last.extend(found.map(|found| (table, found)));
            }
            let journal = "SELECT coalesce(max(n), 0) FROM journal";
            counters.last.push(("journal", conn.query_row(journal, (), |row| row.get(0))?));
            Ok(counters)
        })
        .await
    }

    async fn is_unfinished(&self) -> Result<bool, StoreError> {
        self.run(|conn| Ok(migrations::is_unfinished(conn)?)).await
    }

    async fn mark(&self) -> Result<(), StoreError> {
        self.run(|conn| {
            let sql = "CREATE TABLE copying (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT";
            Ok(conn.execute_batch(sql)?)
        })
        .await
    }

    async fn marks(&self) -> Result<BTreeMap<String, String>, StoreError> {
        self.run(|conn| {
            let mut found = conn.prepare_cached("SELECT name, value FROM copying")?;
            let found = found.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn set_mark(&self, name: &str, value: String) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.run(move |conn| set_mark(conn, &name, &value)).await
    }

    async fn put(
        &self,
        table: &'static Table,
        rows: Vec<Cells>,
        reached: String,
    ) -> Result<(), StoreError> {
        self.run(move |conn| {
            let tx = conn.transaction()?;
            for row in &rows {
                insert(&tx, table, row)?;
            }
            set_mark(&tx, table.name, &reached)?;
            tx.commit()?;
            // Checkpoints are ours to time.
            Ok(conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))?)
        })
        .await
    }

    async fn settle(&self, counters: Counters) -> Result<(), StoreError> {
        self.run(move |conn| {
            let tx = conn.transaction()?;
            for (key, value) in &counters.meta {
                tx.execute(
                    "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
                    (key, value),
                )?;
            }
            for (table, last) in counters.last.iter().filter(|(table, _)| NUMBERED.contains(table))
            {
                tx.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table])?;
                let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";
                tx.execute(sql, (table, last))?;
            }
            tx.execute_batch(
                "DELETE FROM delivery_counts; \
                 INSERT INTO delivery_counts SELECT receiver, state, count(*) FROM deliveries \
                 WHERE finished_at IS NOT NULL GROUP BY receiver, state",
            )?;
            Ok(tx.commit()?)
        })
        .await
    }

    async fn finish(&self) -> Result<(), StoreError> {
        self.run(|conn| {
            conn.execute_batch("DROP TABLE copying")?;
            Ok(conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?)
        })
        .await
    }
}

fn set_mark(conn: &Connection, name: &str, value: &str) -> Result<(), Failure> {
    let sql = "INSERT OR REPLACE INTO copying (name, value) VALUES (?1, ?2)";
    conn.prepare_cached(sql)?.execute((name, value))?;
    Ok(())
}

/// Where the rows of a table are, with the columns that every backend has.
fn relation(table: &Table) -> &'static str {
    match table.name {
        "dedupe" => {
            "(SELECT id, account, seq, until, coalesce((SELECT content_hashed FROM inbox \
             WHERE inbox.seq = dedupe.seq), 0) AS hashed FROM dedupe)"
        }
        "contents" => {
            "(SELECT deliveries.n AS delivery, digest, message FROM deliveries \
             JOIN contents ON contents.n = deliveries.content)"
        }
        "attempts" => {
            "(SELECT delivery, n AS number, finished_at, outcome, reason, detail FROM attempts)"
        }
        // Of the list, whose names are its own.
        other => TABLES.iter().find(|it| it.name == other).map_or("", |it| it.name),
    }
}

/// The next rows behind a key, in its order.
pub(super) fn page(
    conn: &Connection,
    table: &Table,
    after: Option<&[Cell]>,
    limit: usize,
) -> Result<Vec<Cells>, Failure> {
    let (names, key) = (table.names(), table.key_names());
    let behind = match (after, table.key) {
        (None, _) => String::new(),
        (Some(_), 1) => format!("WHERE {key} > ?"),
        (Some(_), columns) => format!("WHERE ({key}) > ({})", places(columns)),
    };
    let relation = relation(table);
    let sql =
        format!("SELECT {names} FROM {relation} {behind} ORDER BY {key} LIMIT {}", rows(limit));
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(after.into_iter().flatten()))?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let cells = cells(row, table.columns.len())?;
        bytes += cells.iter().map(Cell::bytes).sum::<usize>();
        page.push(cells);
        if bytes >= PAGE_BYTES_MAX {
            break;
        }
    }
    Ok(page)
}

fn places(columns: usize) -> String {
    vec!["?"; columns].join(", ")
}

fn cells(row: &Row<'_>, columns: usize) -> Result<Cells, Failure> {
    let cell = |column| -> Result<Cell, Failure> {
        Ok(match row.get_ref(column)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(number) => Cell::Int(number),
            ValueRef::Text(_) => Cell::Text(row.get(column)?),
            ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
            ValueRef::Real(_) => return Err(Failure::unstorable("a number with a point")),
        })
    };
    (0..columns).map(cell).collect()
}

fn insert(tx: &Connection, table: &Table, row: &[Cell]) -> Result<(), Failure> {
    if *table == *CONTENTS {
        return insert_content(tx, row);
    }
    // What PostgreSQL knows of an event, or by its number, is known here by other columns.
    let (columns, row): (&[_], Vec<&Cell>) = match (table.name, row) {
        ("dedupe", [known @ .., _hashed]) => {
            (table.columns.get(..known.len()).unwrap_or_default(), known.iter().collect())
        }
        _ => (table.columns, row.iter().collect()),
    };
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut names = names.join(", ");
    let mut values = places(row.len());
    if table.name == "attempts" {
        names.push_str(", n");
        values.push_str(", ?2");
    }
    let sql = format!("INSERT INTO {} ({names}) VALUES ({values})", table.name);
    tx.prepare_cached(&sql)?.execute(params_from_iter(row))?;
    Ok(())
}

/// What several deliveries have said is kept once, as of the last of them.
fn insert_content(tx: &Connection, row: &[Cell]) -> Result<(), Failure> {
    let [delivery, digest, message] = row else {
        return Err(Failure::unstorable("a content has another shape"));
    };
    let n: i64 = tx
        .prepare_cached(
            "INSERT INTO contents (digest, composed_at, message) \
             VALUES (?1, (SELECT created_at FROM deliveries WHERE n = ?2), ?3) \
             ON CONFLICT (digest) DO UPDATE SET composed_at = max(composed_at, excluded.composed_at) \
             RETURNING n",
        )?
        .query_row((digest, delivery, message), |row| row.get(0))?;
    tx.prepare_cached("UPDATE deliveries SET content = ?1 WHERE n = ?2")?.execute((n, delivery))?;
    Ok(())
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Int(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}
