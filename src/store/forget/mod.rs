//! Taking a phone number out of everything that is stored, while others may serve.
//!
//! Rows are looked at in the order of their keys, a page at a time; what is to change is decided here ([`decide`], pure) and
//! written in short transactions. What is in use stays: an event that waits to be judged, a delivery that is open, an alert
//! that fires, and what the engine goes on from.

mod number;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::Value;

pub use self::number::PhoneNumber;
use super::copy::{Cell, Cells, TABLES, Table};
use super::{Store, StoreError};

/// Rows that are looked at in one go.
const PAGE_ROWS: usize = 500;
/// Rows that are changed in one transaction at most.
const CHANGE_ROWS: usize = 100;

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Columns get other values, by their places.
    Set(Vec<(usize, Cell)>),
    /// It goes.
    Delete,
}

/// A backend whose rows can be read and changed one by one, while others use it.
#[async_trait]
pub(super) trait Rowwise: Send + Sync {
    /// The next rows behind a key, in its order.
    async fn page(
        &self,
        table: &'static Table,
        after: Option<Cells>,
        limit: usize,
    ) -> Result<Vec<Cells>, StoreError>;

    /// Changes rows by their keys, unless they are in use by now; gives how many it changed.
    async fn change(
        &self,
        table: &'static Table,
        changes: Vec<(Cells, Change)>,
    ) -> Result<usize, StoreError>;

    /// The last event that was judged.
    async fn judged_until(&self) -> Result<i64, StoreError>;
}

/// What was done to the rows of a table that hold the number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Rows without it now.
    pub erased: usize,
    /// Rows that hold it still, because they are in use.
    pub kept: usize,
}

/// What is decided of a row.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// It does not hold the number.
    Without,
    Change(Change),
    /// It is in use.
    Keep,
}

/// What the decision about a row depends on beside the row.
struct Context<'n> {
    number: &'n PhoneNumber,
    /// The last event that was judged.
    judged: i64,
    /// Deliveries that have not ended.
    open: BTreeSet<i64>,
    /// Stands in keys where the number was: another one each time, so that no two keys become one.
    mark: String,
}

impl Store {
    /// Takes a number out of what is stored; only looks where it is `dry`. Gives what was done by table, where there was
    /// something.
    pub async fn forget(
        &self,
        number: &PhoneNumber,
        dry: bool,
    ) -> Result<BTreeMap<&'static str, Forgotten>, StoreError> {
        let rows = self.rowwise();
        let mut context = Context {
            number,
            judged: rows.judged_until().await?,
            open: BTreeSet::new(),
            mark: format!("forgotten-{}", uuid::Uuid::new_v4().simple()),
        };
        let mut done: BTreeMap<&'static str, Forgotten> = BTreeMap::new();
        for &table in TABLES {
            let mut after = None;
            loop {
                let page = rows.page(table, after, PAGE_ROWS).await?;
                let Some(last) = page.last() else { break };
                after = Some(table.key_of(last));
                let mut changes = Vec::new();
                for row in &page {
                    context.learn(table, row);
                    match decide(table, row, &context) {
                        Decision::Without => {}
                        Decision::Change(change) => changes.push((table.key_of(row), change)),
                        Decision::Keep => done.entry(table.name).or_default().kept += 1,
                    }
                }
                for some in changes.chunks(CHANGE_ROWS) {
                    let changed =
                        if dry { some.len() } else { rows.change(table, some.to_vec()).await? };
                    let of_table = done.entry(table.name).or_default();
                    of_table.erased += changed;
                    of_table.kept += some.len() - changed;
                }
            }
        }
        Ok(done)
    }

    fn rowwise(&self) -> &dyn Rowwise {
        match (self.sqlite(), self.postgres()) {
            (Some(sqlite), _) => sqlite,
            (None, Some(postgres)) => postgres,
            (None, None) => unreachable!("there is no third backend"),
        }
    }
}

impl Context<'_> {
    /// Takes note of a delivery that is open: what it says is in another table.
    fn learn(&mut self, table: &Table, row: &[Cell]) {
        if table.name == "deliveries"
            && cell(table, row, "finished_at") == &Cell::Null
            && let Cell::Int(n) = cell(table, row, "n")
        {
            self.open.insert(*n);
        }
    }
}

fn cell<'r>(table: &Table, row: &'r [Cell], name: &str) -> &'r Cell {
    let place = table.columns.iter().position(|(column, _)| *column == name);
    place.and_then(|place| row.get(place)).unwrap_or(&Cell::Null)
}

/// What becomes of a row.
fn decide(table: &Table, row: &[Cell], context: &Context<'_>) -> Decision {
    let number = context.number;
    let holds = |cell: &Cell| match cell {
        Cell::Text(text) => number.is_in(text),
        Cell::Bytes(bytes) => number.is_in_bytes(bytes),
        Cell::Null | Cell::Int(_) => false,
    };
    if !row.iter().any(holds) {
        return Decision::Without;
    }
    let int = |name| if let Cell::Int(int) = cell(table, row, name) { *int } else { 0 };
    match table.name {
        "inbox" if int("seq") > context.judged => Decision::Keep,
        "inbox" => {
            set(table, row, |name, cell| (name == "payload" && holds(cell)).then_some(Cell::Null))
        }
        "judgements" | "faulted" | "attempts" | "journal" => {
            set(table, row, |_, cell| struck(number, cell))
        }
        "deliveries" if cell(table, row, "finished_at") == &Cell::Null => Decision::Keep,
        "deliveries" => {
            set(table, row, |name, cell| (name != "id").then(|| struck(number, cell)).flatten())
        }
        "contents" if context.open.contains(&int("delivery")) => Decision::Keep,
        "contents" | "calls" => Decision::Change(Change::Delete),
        "alerts" if cell(table, row, "state").text() == "firing" => Decision::Keep,
        "alerts" => set(table, row, |_, cell| struck(number, cell)),
        "ledger" => set(table, row, |name, cell| match name {
            "from_number" | "to_number" => holds(cell).then_some(Cell::Null),
            // The key of a message to a group.
            "key" => struck(number, cell)
                .map(|key| Cell::Text(key.text().replace(number::FORGOTTEN, &context.mark))),
            _ => None,
        }),
        // What the engine goes on from, what people have made, and who changed what.
        _ => Decision::Keep,
    }
}

/// Sets the columns for which there is a new value.
fn set(table: &Table, row: &[Cell], new: impl Fn(&str, &Cell) -> Option<Cell>) -> Decision {
    let columns = table.columns.iter().zip(row).enumerate();
    let changed: Vec<(usize, Cell)> = columns
        .filter_map(|(place, ((name, _), cell))| new(name, cell).map(|cell| (place, cell)))
        .collect();
    if changed.is_empty() { Decision::Keep } else { Decision::Change(Change::Set(changed)) }
}

/// A value without the number; `None` where it was without it.
fn struck(number: &PhoneNumber, cell: &Cell) -> Option<Cell> {
    match cell {
        Cell::Text(text) => number.is_in(text).then(|| Cell::Text(number.strike(text))),
        Cell::Bytes(bytes) => {
            let value: Value = serde_json::from_slice(bytes).ok()?;
            let new = serde_json::to_vec(&number.strike_json(value)).ok()?;
            (new != *bytes).then_some(Cell::Bytes(new))
        }
        Cell::Null | Cell::Int(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "+15550100100";

    /// A row of a table, with some of its columns.
    fn row(table: &Table, cells: &[(&str, Cell)]) -> Cells {
        let of = |name: &str| cells.iter().find(|(column, _)| *column == name);
        table
            .columns
            .iter()
            .map(|(name, _)| of(name).map_or(Cell::Null, |(_, cell)| cell.clone()))
            .collect()
    }

    fn decided(name: &str, cells: &[(&str, Cell)]) -> Decision {
        let table = TABLES.iter().find(|table| table.name == name).expect(name);
        let number = PhoneNumber::parse(NUMBER).expect("parses");
        let context = Context {
            number: &number,
            judged: 7,
            open: BTreeSet::from([3]),
            mark: "forgotten-m".to_owned(),
        };
        decide(table, &row(table, cells), &context)
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    fn bytes(text: &str) -> Cell {
        Cell::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn what_is_in_use_stays_and_all_else_goes() {
        let change = |place, cell| Decision::Change(Change::Set(vec![(place, cell)]));
        let payload = bytes("{\"from\":\"+15550100100\"}");
        for (table, cells, want) in [
            (
                "inbox",
                vec![("seq", Cell::Int(7)), ("payload", payload.clone())],
                change(13, Cell::Null),
            ),
            ("inbox", vec![("seq", Cell::Int(8)), ("payload", payload.clone())], Decision::Keep),
            ("inbox", vec![("seq", Cell::Int(7)), ("payload", bytes("{}"))], Decision::Without),
            (
                "judgements",
                vec![("detail", text("from=+15550100100"))],
                change(5, text("from=[forgotten]")),
            ),
            ("deliveries", vec![("group_key", text("x+15550100100"))], Decision::Keep),
            (
                "deliveries",
                vec![("group_key", text("x+15550100100")), ("finished_at", Cell::Int(1))],
                change(5, text("x[forgotten]")),
            ),
            (
                "contents",
                vec![("delivery", Cell::Int(3)), ("message", payload.clone())],
                Decision::Keep,
            ),
            (
                "contents",
                vec![("delivery", Cell::Int(4)), ("message", payload.clone())],
                Decision::Change(Change::Delete),
            ),
            ("alerts", vec![("state", text("firing")), ("alert", payload.clone())], Decision::Keep),
            (
                "alerts",
                vec![("state", text("resolved")), ("alert", payload.clone())],
                change(4, bytes("{\"from\":\"[forgotten]\"}")),
            ),
            ("calls", vec![("context", payload.clone())], Decision::Change(Change::Delete)),
            ("ledger", vec![("to_number", text(NUMBER))], change(9, Cell::Null)),
            (
                "ledger",
                vec![("key", text("message:m:+15550100100"))],
                change(1, text("message:m:forgotten-m")),
            ),
            ("state", vec![("value", payload.clone())], Decision::Keep),
            ("audit", vec![("detail", text(NUMBER))], Decision::Keep),
        ] {
            assert_eq!(decided(table, &cells), want, "{table} {cells:?}");
        }
    }
}
