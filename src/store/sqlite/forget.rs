//! Rows read and changed one by one.

use std::collections::BTreeSet;

use async_trait::async_trait;
use rusqlite::{Connection, params_from_iter};

use super::failure::Failure;
use super::{Sqlite, copy, judged};
use crate::store::StoreError;
use crate::store::copy::{Cell, Cells, Table};
use crate::store::forget::{Change, Rowwise};

#[async_trait]
impl Rowwise for Sqlite {
    async fn page(
        &self,
        table: &'static Table,
        after: Option<Cells>,
        limit: usize,
    ) -> Result<Vec<Cells>, StoreError> {
        self.read(move |conn| copy::page(conn, table, after.as_deref(), limit)).await
    }

    async fn change(
        &self,
        table: &'static Table,
        changes: Vec<(Cells, Change)>,
    ) -> Result<usize, StoreError> {
        self.write(move |tx, _| {
            let mut changed = 0;
            for (key, one) in &changes {
                changed += change(tx, table, key, one)?;
            }
            Ok(changed)
        })
        .await
    }

    async fn judged_until(&self) -> Result<i64, StoreError> {
        self.read(judged::cursor).await
    }

    async fn held(&self, alerts: BTreeSet<String>) -> Result<BTreeSet<String>, StoreError> {
        self.read(move |conn| {
            let members = "SELECT substr(key, -16) FROM state WHERE space = 'member'";
            let mut statement = conn.prepare_cached(members)?;
            let mut found = statement.query(())?;
            let mut held = BTreeSet::new();
            while let Some(row) = found.next()? {
                held.extend(alerts.get(&row.get::<_, String>(0)?).cloned());
            }
            Ok(held)
        })
        .await
    }
}

/// What keeps a row as it is.
fn unless_in_use(table: &Table) -> &'static str {
    match table.name {
        "inbox" => "AND seq <= (SELECT value FROM meta WHERE key = 'cursor')",
        "deliveries" | "contents" => "AND finished_at IS NOT NULL",
        "alerts" => "AND state <> 'firing'",
        _ => "",
    }
}

fn change(tx: &Connection, table: &Table, key: &[Cell], change: &Change) -> Result<usize, Failure> {
    let unused = unless_in_use(table);
    let names = table.columns.iter().map(|(name, _)| match (table.name, *name) {
        ("attempts", "number") => "n",
        (_, name) => name,
    });
    let names: Vec<&str> = names.collect();
    let of_key: Vec<String> =
        names.iter().take(table.key).map(|name| format!("{name} = ?")).collect();
    let of_key = of_key.join(" AND ");
    let name = table.name;
    let (sql, values): (String, Vec<&Cell>) = match change {
        // What a delivery has said goes with the last one that says it.
        Change::Delete if name == "contents" => {
            (format!("UPDATE deliveries SET content = NULL WHERE n = ? {unused}"), Vec::new())
        }
        Change::Delete => (format!("DELETE FROM {name} WHERE {of_key} {unused}"), Vec::new()),
        Change::Set(columns) => {
            let each: Vec<String> = columns
                .iter()
                .filter_map(|column| names.get(column.place).map(|name| format!("{name} = ?")))
                .collect();
            let (set, same) = (each.join(", "), each.join(" AND "));
            let sql = format!("UPDATE {name} SET {set} WHERE {same} AND {of_key} {unused}");
            let (new, old) = (columns.iter().map(|it| &it.new), columns.iter().map(|it| &it.old));
            (sql, new.chain(old).collect())
        }
    };
    let values = values.into_iter().chain(key);
    Ok(tx.prepare_cached(&sql)?.execute(params_from_iter(values))?)
}
