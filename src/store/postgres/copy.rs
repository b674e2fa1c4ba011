//! A database of PostgreSQL's as one of the two sides of a copy.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::failure::Failure;
use super::link::{Lent, Link};
use super::sql::{Parameter, Typed, params, text};
use super::values::column;
use super::{Address, migrations, refused};
use crate::store::copy::{Cell, Cells, Counters, End, Kind, META, Table, WIDE_ROWS};
use crate::store::values::rows;
use crate::store::{OpenError, StoreError};

/// How long a step may take: some count a whole table.
const STEP_MAX: Duration = Duration::from_mins(30);

/// Since when nobody must have been seen who serves.
const SEEN_WITHIN: &str = "10 seconds";

/// What draws the numbers of a table.
const SEQUENCES: [(&str, &str); 4] = [
    ("inbox", "~inbox_seq"),
    ("deliveries", "~deliveries_n_seq"),
    ("journal", "~journal_n_seq"),
    ("audit", "~audit_n_seq"),
];

/// A database that nobody serves from.
pub(in crate::store) struct PostgresEnd {
    link: Link,
}

impl PostgresEnd {
    /// Opens an existing database.
    pub(in crate::store) async fn source(address: &Address) -> Result<Self, OpenError> {
        let link = Link::new(address, 1)?;
        let current = migrations::require_version(&link, &address.schema).await;
        current.map_err(|mismatch| refused(address, mismatch))?;
        Ok(Self { link })
    }

    /// Opens a database that a copy goes into; makes the tables where they are not there.
    pub(in crate::store) async fn target(address: &Address) -> Result<Self, OpenError> {
        let link = Link::new(address, 1)?;
        let migrated = migrations::bring_up(&link, &address.schema).await;
        migrated.map_err(|mismatch| refused(address, mismatch))?;
        Ok(Self { link })
    }

    /// A transaction with time for a whole table.
    async fn begin(&self) -> Result<Lent<'_>, Failure> {
        let mut tx = self.link.begin().await?;
        tx.is_given(STEP_MAX);
        tx.batch("SET LOCAL statement_timeout = 0").await?;
        Ok(tx)
    }

    /// The one number that a statement gives.
    async fn number(&self, sql: &str) -> Result<i64, Failure> {
        let tx = self.begin().await?;
        let row = tx.first(sql, params![]).await?;
        let number = row.map_or(Ok(0), |row| column(&row, 0)).map_err(Failure::unstorable)?;
        tx.commit().await?;
        Ok(number)
    }
}

#[async_trait]
impl End for PostgresEnd {
    async fn in_use(&self) -> Result<Option<String>, StoreError> {
        let sql = format!(
            "SELECT name FROM ~replicas WHERE seen_at > clock_timestamp() - interval '{SEEN_WITHIN}' \
             UNION ALL SELECT holder FROM ~leases WHERE expires_at > clock_timestamp() LIMIT 1"
        );
        let found = self.link.query(&sql, params![]).await?;
        let name = found.first().map(|row| column::<String>(row, 0)).transpose();
        let name = name.map_err(Failure::unstorable)?;
        Ok(name.map(|name| format!("the replica {name} serves from it, or did {SEEN_WITHIN} ago")))
    }

    async fn page(
        &self,
        table: &'static Table,
        after: Option<Cells>,
        limit: usize,
    ) -> Result<Vec<Cells>, StoreError> {
        let tx = self.begin().await?;
        let page = page(&tx, table, after, limit).await?;
        tx.commit().await?;
        Ok(page)
    }

    async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        let count = self.number(&format!("SELECT count(*) FROM ~{}", table.name)).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn counters(&self) -> Result<Counters, StoreError> {
        let mut counters = Counters::default();
        let tx = self.begin().await?;
        for row in tx.query("SELECT key, value FROM ~meta ORDER BY key", params![]).await? {
            let key: String = column(&row, 0).map_err(Failure::unstorable)?;
            let value: i64 = column(&row, 1).map_err(Failure::unstorable)?;
            if key == "judged" {
                counters.judged = value;
            } else if META.contains(&key.as_str()) {
                counters.meta.push((key, value));
            }
        }
        tx.commit().await?;
        for (table, sequence) in SEQUENCES {
            let sql = format!(
                "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}"
            );
            counters.last.push((table, self.number(&sql).await?));
        }
        Ok(counters)
    }

    async fn is_unfinished(&self) -> Result<bool, StoreError> {
        let tx = self.link.begin_reading().await?;
        let found = migrations::is_unfinished(&tx).await?;
        tx.commit().await?;
        Ok(found)
    }

    async fn mark(&self) -> Result<(), StoreError> {
        let tx = self.link.begin().await?;
        let sql = "CREATE TABLE ~copying (name text PRIMARY KEY, value text NOT NULL)";
        tx.batch(sql).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn marks(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let found = self.link.query("SELECT name, value FROM ~copying", params![]).await?;
        let pair = |row: &Row| -> Result<_, String> { Ok((column(row, 0)?, column(row, 1)?)) };
        let marks: Result<_, String> = found.iter().map(pair).collect();
        Ok(marks.map_err(Failure::unstorable)?)
    }

    async fn set_mark(&self, name: &str, value: String) -> Result<(), StoreError> {
        let tx = self.link.begin().await?;
        set_mark(&tx, name, &value).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn put(
        &self,
        table: &'static Table,
        rows: Vec<Cells>,
        reached: String,
    ) -> Result<(), StoreError> {
        let columns: Vec<Values> = table
            .columns
            .iter()
            .enumerate()
            .map(|(n, (_, kind))| Values::of(*kind, rows.iter().filter_map(|row| row.get(n))))
            .collect();
        let parameters: Vec<Parameter<'_>> = columns.iter().map(Values::parameter).collect();
        let arrays: Vec<String> = (1..=parameters.len()).map(|n| format!("${n}")).collect();
        // A number that PostgreSQL would draw is given.
        let sql = format!(
            "INSERT INTO ~{} ({}) OVERRIDING SYSTEM VALUE SELECT * FROM unnest({})",
            table.name,
            table.names(),
            arrays.join(", ")
        );
        let tx = self.begin().await?;
        tx.execute(&sql, &parameters).await?;
        set_mark(&tx, table.name, &reached).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn settle(&self, counters: Counters) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let set = "INSERT INTO ~meta (key, value) VALUES ($1, $2) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        let judged = ("judged".to_owned(), counters.judged);
        for (key, value) in counters.meta.into_iter().chain([judged]) {
            tx.execute(set, params![key, value]).await?;
        }
        for (table, last) in counters.last {
            let Some((_, sequence)) = SEQUENCES.iter().find(|(name, _)| *name == table) else {
                continue;
            };
            let sql = format!("SELECT setval('{sequence}', greatest($1, 1), $1 > 0)");
            tx.query(&sql, params![last]).await?;
        }
        tx.batch(
            "UPDATE ~meta SET value = (SELECT count(*) FROM ~calls) WHERE key = 'calls'; \
             DELETE FROM ~delivery_counts; \
             INSERT INTO ~delivery_counts SELECT receiver, state, count(*) FROM ~deliveries \
             WHERE finished_at IS NOT NULL GROUP BY receiver, state",
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn finish(&self) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        tx.batch("DROP TABLE ~copying").await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The next rows behind a key, in its order.
pub(super) async fn page(
    tx: &Lent<'_>,
    table: &Table,
    after: Option<Cells>,
    limit: usize,
) -> Result<Vec<Cells>, Failure> {
    let limit = if table.is_wide() { limit.min(WIDE_ROWS) } else { limit };
    let (names, key) = (table.names(), table.key_names());
    let behind = if after.is_some() {
        let places: Vec<String> = (1..=table.key).map(|n| format!("${n}")).collect();
        format!("WHERE ({key}) > ({})", places.join(", "))
    } else {
        String::new()
    };
    let sql = format!(
        "SELECT {names} FROM {} AS kept {behind} ORDER BY {key} LIMIT {}",
        relation(table),
        rows(limit)
    );
    let columns: Vec<Values> = after
        .iter()
        .flat_map(|after| after.iter().zip(table.columns))
        .map(|(cell, (_, kind))| Values::one(*kind, cell))
        .collect();
    let parameters: Vec<Parameter<'_>> = columns.iter().map(Values::alone).collect();
    let found = tx.query(&sql, &parameters).await?;
    let read: Result<Vec<Cells>, String> = found.iter().map(|row| cells(row, table)).collect();
    read.map_err(Failure::unstorable)
}

async fn set_mark(tx: &Lent<'_>, name: &str, value: &str) -> Result<(), Failure> {
    let sql = "INSERT INTO ~copying (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    tx.execute(sql, params![name, value]).await?;
    Ok(())
}

/// Where the rows of a table are, with the columns that every backend has.
fn relation(table: &Table) -> String {
    if table.name != "inbox" {
        return format!("~{}", table.name);
    }
    let charge =
        "coalesce((SELECT charge FROM ~charges WHERE charges.seq = inbox.seq), charge) AS charge";
    format!("(SELECT {} FROM ~inbox AS inbox)", table.names().replace("charge", charge))
}

fn cells(row: &Row, table: &Table) -> Result<Cells, String> {
    let cell = |(n, (_, kind)): (usize, &(&str, Kind))| -> Result<Cell, String> {
        let found = match kind {
            Kind::Big => column::<Option<i64>>(row, n)?.map(Cell::Int),
            Kind::Small => column::<Option<i32>>(row, n)?.map(|it| Cell::Int(it.into())),
            Kind::Flag => column::<Option<bool>>(row, n)?.map(|it| Cell::Int(it.into())),
            Kind::Text => column::<Option<String>>(row, n)?.map(Cell::Text),
            Kind::Bytes => column::<Option<Vec<u8>>>(row, n)?.map(Cell::Bytes),
        };
        Ok(found.unwrap_or(Cell::Null))
    };
    table.columns.iter().enumerate().map(cell).collect()
}

/// The values of a column.
pub(super) enum Values {
    Big(Vec<Option<i64>>),
    Small(Vec<Option<i32>>),
    Flag(Vec<Option<bool>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Values {
    fn of<'c>(kind: Kind, cells: impl Iterator<Item = &'c Cell>) -> Self {
        let number = |cell: &Cell| if let Cell::Int(number) = cell { Some(*number) } else { None };
        let small = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
        match kind {
            Kind::Big => Self::Big(cells.map(number).collect()),
            Kind::Small => Self::Small(cells.map(|cell| number(cell).map(small)).collect()),
            Kind::Flag => Self::Flag(cells.map(|cell| number(cell).map(|it| it != 0)).collect()),
            Kind::Text => {
                let words = |cell: &Cell| match cell {
                    Cell::Text(words) => Some(text(words).into_owned()),
                    Cell::Null | Cell::Int(_) | Cell::Bytes(_) => None,
                };
                Self::Text(cells.map(words).collect())
            }
            Kind::Bytes => {
                let bytes = |cell: &Cell| match cell {
                    Cell::Bytes(bytes) => Some(bytes.clone()),
                    Cell::Null | Cell::Int(_) | Cell::Text(_) => None,
                };
                Self::Bytes(cells.map(bytes).collect())
            }
        }
    }

    /// One value.
    pub(super) fn one(kind: Kind, cell: &Cell) -> Self {
        Self::of(kind, std::iter::once(cell))
    }

    /// All of them, as an array.
    fn parameter(&self) -> Parameter<'_> {
        match self {
            Self::Big(values) => values.parameter(),
            Self::Small(values) => values.parameter(),
            Self::Flag(values) => values.parameter(),
            Self::Text(values) => values.parameter(),
            Self::Bytes(values) => values.parameter(),
        }
    }

    /// The only one.
    pub(super) fn alone(&self) -> Parameter<'_> {
        match self {
            Self::Big(values) => values.first().map_or(NONE.parameter(), Typed::parameter),
            Self::Small(values) => values.first().map_or(NONE.parameter(), Typed::parameter),
            Self::Flag(values) => values.first().map_or(NONE.parameter(), Typed::parameter),
            Self::Text(values) => values.first().map_or(NONE.parameter(), Typed::parameter),
            Self::Bytes(values) => values.first().map_or(NONE.parameter(), Typed::parameter),
        }
    }
}

/// What stands where there is no value.
const NONE: &Option<i64> = &None;
