//! Rows read and changed one by one.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::copy::{self, Values};
use super::failure::Failure;
use super::link::Lent;
use super::sql::{Parameter, params, text};
use super::values::column;
use super::{Postgres, judged};
use crate::store::StoreError;
use crate::store::copy::{Cell, Cells, Table};
use crate::store::forget::{Change, Rowwise};

#[async_trait]
impl Rowwise for Postgres {
    async fn page(
        &self,
        table: &'static Table,
        after: Option<Cells>,
        limit: usize,
    ) -> Result<Vec<Cells>, StoreError> {
        let tx = self.link.begin_reading().await?;
        let page = copy::page(&tx, table, after, limit).await?;
        tx.commit().await?;
        Ok(page)
    }

    async fn change(
        &self,
        table: &'static Table,
        changes: Vec<(Cells, Change)>,
    ) -> Result<usize, StoreError> {
        let tx = self.link.begin().await?;
        let mut changed = 0;
        for (key, one) in &changes {
            changed += change(&tx, table, key, one).await?;
        }
        if table.name == "calls" {
            let gone = i64::try_from(changed).unwrap_or(i64::MAX);
            let counted = "UPDATE ~meta SET value = value - $1 WHERE key = 'calls'";
            tx.execute(counted, params![gone]).await?;
        }
        tx.commit().await?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    async fn judged_until(&self) -> Result<i64, StoreError> {
        let tx = self.link.begin_reading().await?;
        let cursor = judged::cursor(&tx).await?;
        tx.commit().await?;
        Ok(cursor)
    }

    async fn held(&self, alerts: BTreeSet<String>) -> Result<BTreeSet<String>, StoreError> {
        let asked: Vec<_> = alerts.iter().map(|alert| text(alert)).collect();
        let members = "SELECT DISTINCT right(key, 16) FROM ~state \
             WHERE space = 'member' AND right(key, 16) = ANY ($1)";
        let found = self.link.query(members, params![asked]).await?;
        let held: Result<_, String> = found.iter().map(|row| column(row, 0)).collect();
        Ok(held.map_err(Failure::unstorable)?)
    }
}

/// What keeps a row as it is.
fn unless_in_use(table: &Table) -> &'static str {
    match table.name {
        "inbox" => "AND seq <= (SELECT value FROM ~meta WHERE key = 'cursor')",
        "deliveries" => "AND finished_at IS NOT NULL",
        "contents" => {
            "AND EXISTS (SELECT 1 FROM ~deliveries AS ended WHERE ended.n = delivery \
             AND ended.finished_at IS NOT NULL)"
        }
        "alerts" => "AND state <> 'firing'",
        _ => "",
    }
}

async fn change(
    tx: &Lent<'_>,
    table: &Table,
    key: &[Cell],
    change: &Change,
) -> Result<u64, Failure> {
    let mut values: Vec<Values> = Vec::new();
    let mut assigned = |place: usize, cell: &Cell| {
        let (name, kind) = table.columns.get(place)?;
        values.push(Values::one(*kind, cell));
        Some(format!("{name} = ${}", values.len()))
    };
    let (set, same): (Vec<String>, Vec<String>) = match change {
        Change::Delete => (Vec::new(), Vec::new()),
        Change::Set(columns) => (
            columns.iter().filter_map(|it| assigned(it.place, &it.new)).collect(),
            columns.iter().filter_map(|it| assigned(it.place, &it.old)).collect(),
        ),
    };
    let of_key: Vec<String> =
        key.iter().enumerate().filter_map(|(place, cell)| assigned(place, cell)).collect();
    let (name, of_key, unused) = (table.name, of_key.join(" AND "), unless_in_use(table));
    let sql = match change {
        Change::Delete => format!("DELETE FROM ~{name} WHERE {of_key} {unused}"),
        Change::Set(_) => {
            let (set, same) = (set.join(", "), same.join(" AND "));
            format!("UPDATE ~{name} SET {set} WHERE {same} AND {of_key} {unused}")
        }
    };
    let parameters: Vec<Parameter<'_>> = values.iter().map(Values::alone).collect();
    tx.execute(&sql, &parameters).await
}
