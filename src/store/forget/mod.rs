//! Taking a phone number out of everything that is stored, while others may serve.
//!
//! Rows are looked at in the order of their keys, a page at a time; what is to change is decided here ([`decide`], pure) and
//! written in short transactions, unless it has changed since. What is in use stays: an event that waits to be judged, a
//! delivery that is open, an alert that fires or that a group holds, the key of a charge that may be told again, and what the
//! engine goes on from.

mod number;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

pub use self::number::PhoneNumber;
use super::copy::{Cell, Cells, TABLES, Table};
use super::values::micros;
use super::{ENTRY_KEPT_MIN, Store, StoreError};
use crate::clock;

/// Rows that are looked at in one go.
const PAGE_ROWS: usize = 500;
/// Rows that are changed in one transaction at most.
const CHANGE_ROWS: usize = 100;

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Columns get other values, where all of them are still as they were read.
    Set(Vec<NewCell>),
    /// It goes.
    Delete,
}

/// Another value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewCell {
    /// The place of the column.
    pub(super) place: usize,
    /// As it was read.
    pub(super) old: Cell,
    pub(super) new: Cell,
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

    /// Changes rows by their keys, unless they are in use by now, or are others; gives how many it changed.
    async fn change(
        &self,
        table: &'static Table,
        changes: Vec<(Cells, Change)>,
    ) -> Result<usize, StoreError>;

    /// The last event that was judged.
    async fn judged_until(&self) -> Result<i64, StoreError>;

    /// Which of these alerts, by their fingerprints, a group holds.
    async fn held(&self, alerts: BTreeSet<String>) -> Result<BTreeSet<String>, StoreError>;
}

/// What was done to the rows of a table that hold the number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Rows without it now.
    pub erased: usize,
    /// Rows that hold it still, because they, or what holds it of them, are in use.
    pub kept: usize,
}

/// What is decided of a row.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// It does not hold the number.
    Without,
    /// `is_all`: it is without the number then.
    Change { change: Change, is_all: bool },
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
    /// Alerts that groups hold, of those that the number is to be taken out of: their end may have to be sent yet.
    held: BTreeSet<String>,
    /// A charge that an event has touched since, in microseconds, may be told again: by a repeat, or by a detail record.
    /// It is known by its key then, else it is booked twice.
    told_since: i64,
    /// Stands in keys where the number was: another one each time, so that no two keys become one.
    mark: String,
}

impl Store {
    /// Takes a number out of what is stored; only looks where it is `dry`. Gives what was done by table, where there was
    /// something.
    pub async fn forget(
        &self,
        number: &PhoneNumber,
        now: Timestamp,
        dry: bool,
    ) -> Result<BTreeMap<&'static str, Forgotten>, StoreError> {
        let rows = self.rowwise();
        let mut context = Context {
            number,
            judged: rows.judged_until().await?,
            open: BTreeSet::new(),
            held: BTreeSet::new(),
            told_since: micros(clock::sub(now, ENTRY_KEPT_MIN)),
            mark: format!("forgotten-{}", uuid::Uuid::new_v4().simple()),
        };
        let mut done: BTreeMap<&'static str, Forgotten> = BTreeMap::new();
        for &table in TABLES {
            let mut after = None;
            loop {
                let page = rows.page(table, after, PAGE_ROWS).await?;
                let Some(last) = page.last() else { break };
                after = Some(table.key_of(last));
                let ended = ended_alerts(table, &page, number);
                if !ended.is_empty() {
                    // Asked after they were read: one that a group holds later has fired again, and is another row by then.
                    context.held = rows.held(ended).await?;
                }
                let (mut whole, mut in_part) = (Vec::new(), Vec::new());
                for row in &page {
                    context.learn(table, row);
                    match decide(table, row, &context) {
                        Decision::Without => {}
                        Decision::Change { change, is_all } => {
                            let changes = if is_all { &mut whole } else { &mut in_part };
                            changes.push((table.key_of(row), change));
                        }
                        Decision::Keep => done.entry(table.name).or_default().kept += 1,
                    }
                }
                let whole = whole.chunks(CHANGE_ROWS).map(|some| (some, true));
                for (some, is_all) in whole.chain(in_part.chunks(CHANGE_ROWS).map(|it| (it, false)))
                {
                    let changed =
                        if dry { some.len() } else { rows.change(table, some.to_vec()).await? };
                    let erased = if is_all { changed } else { 0 };
                    let of_table = done.entry(table.name).or_default();
                    of_table.erased += erased;
                    of_table.kept += some.len() - erased;
                }
            }
        }
        Ok(done)
    }

    pub(super) fn rowwise(&self) -> &dyn Rowwise {
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

/// Whether a value holds the number.
fn holds(number: &PhoneNumber, cell: &Cell) -> bool {
    match cell {
        Cell::Text(text) => number.is_in(text),
        Cell::Bytes(bytes) => number.is_in_bytes(bytes),
        Cell::Null | Cell::Int(_) => false,
    }
}

/// The alerts of a page that have ended and hold the number.
fn ended_alerts(table: &Table, page: &[Cells], number: &PhoneNumber) -> BTreeSet<String> {
    if table.name != "alerts" {
        return BTreeSet::new();
    }
    page.iter()
        .filter(|row| cell(table, row, "state").text() != "firing")
        .filter(|row| row.iter().any(|cell| holds(number, cell)))
        .map(|row| cell(table, row, "fingerprint").text().to_owned())
        .collect()
}

/// What becomes of a row.
fn decide(table: &Table, row: &[Cell], context: &Context<'_>) -> Decision {
    let number = context.number;
    let holds = |cell: &Cell| holds(number, cell);
    if !row.iter().any(holds) {
        return Decision::Without;
    }
    let int = |name| if let Cell::Int(int) = cell(table, row, name) { *int } else { 0 };
    match table.name {
        "inbox" if int("seq") > context.judged => Decision::Keep,
        "inbox" => set(table, row, number, |name, cell| {
            (name == "payload" && holds(cell)).then_some(Cell::Null)
        }),
        "judgements" | "faulted" | "attempts" | "journal" => {
            set(table, row, number, |_, cell| struck(number, cell))
        }
        "deliveries" if cell(table, row, "finished_at") == &Cell::Null => Decision::Keep,
        "deliveries" => set(table, row, number, |name, cell| {
            (name != "id").then(|| struck(number, cell)).flatten()
        }),
        "contents" if context.open.contains(&int("delivery")) => Decision::Keep,
        "contents" | "calls" => Decision::Change { change: Change::Delete, is_all: true },
        "alerts" if cell(table, row, "state").text() == "firing" => Decision::Keep,
        "alerts" if context.held.contains(cell(table, row, "fingerprint").text()) => Decision::Keep,
        "alerts" => set(table, row, number, |_, cell| struck(number, cell)),
        "ledger" => set(table, row, number, |name, cell| match name {
            "from_number" | "to_number" => holds(cell).then_some(Cell::Null),
            // The key of a message to a group.
            "key" if int("updated_at").max(int("at")) <= context.told_since => struck(number, cell)
                .map(|key| Cell::Text(key.text().replace(number::FORGOTTEN, &context.mark))),
            _ => None,
        }),
        // What the engine goes on from, what people have made, and who changed what.
        _ => Decision::Keep,
    }
}

/// Sets the columns for which there is a new value.
fn set(
    table: &Table,
    row: &[Cell],
    number: &PhoneNumber,
    new: impl Fn(&str, &Cell) -> Option<Cell>,
) -> Decision {
    let (mut changed, mut is_all) = (Vec::new(), true);
    for (place, ((name, _), old)) in table.columns.iter().zip(row).enumerate() {
        let new = new(name, old);
        is_all &= !holds(number, new.as_ref().unwrap_or(old));
        changed.extend(new.map(|new| NewCell { place, old: old.clone(), new }));
    }
    if changed.is_empty() {
        Decision::Keep
    } else {
        Decision::Change { change: Change::Set(changed), is_all }
    }
}

/// A value without the number; `None` where it stays as it is.
fn struck(number: &PhoneNumber, cell: &Cell) -> Option<Cell> {
    match cell {
        Cell::Text(text) => number.is_in(text).then(|| Cell::Text(number.strike(text))),
        Cell::Bytes(bytes) => {
            let value: Value = serde_json::from_slice(bytes).ok()?;
            let new = number.strike_json(value.clone());
            // By its value: written anew, the same may be other bytes.
            if new == value {
                return None;
            }
            serde_json::to_vec(&new).ok().map(Cell::Bytes)
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
            held: BTreeSet::from(["held".to_owned()]),
            told_since: 40,
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
        let change = |place, old: &Cell, new: Cell| Decision::Change {
            change: Change::Set(vec![NewCell { place, old: old.clone(), new }]),
            is_all: true,
        };
        let payload = bytes("{\"from\":\"+15550100100\"}");
        for (table, cells, want) in [
            (
                "inbox",
                vec![("seq", Cell::Int(7)), ("payload", payload.clone())],
                change(13, &payload, Cell::Null),
            ),
            ("inbox", vec![("seq", Cell::Int(8)), ("payload", payload.clone())], Decision::Keep),
            ("inbox", vec![("seq", Cell::Int(7)), ("payload", bytes("{}"))], Decision::Without),
            (
                "judgements",
                vec![("detail", text("from=+15550100100"))],
                change(5, &text("from=+15550100100"), text("from=[forgotten]")),
            ),
            ("deliveries", vec![("group_key", text("x+15550100100"))], Decision::Keep),
            (
                "deliveries",
                vec![("group_key", text("x+15550100100")), ("finished_at", Cell::Int(1))],
                change(5, &text("x+15550100100"), text("x[forgotten]")),
            ),
            (
                "contents",
                vec![("delivery", Cell::Int(3)), ("message", payload.clone())],
                Decision::Keep,
            ),
            (
                "contents",
                vec![("delivery", Cell::Int(4)), ("message", payload.clone())],
                Decision::Change { change: Change::Delete, is_all: true },
            ),
            ("alerts", vec![("state", text("firing")), ("alert", payload.clone())], Decision::Keep),
            (
                "alerts",
                vec![("state", text("resolved")), ("alert", payload.clone())],
                change(4, &payload, bytes("{\"from\":\"[forgotten]\"}")),
            ),
            (
                "alerts",
                vec![
                    ("fingerprint", text("held")),
                    ("state", text("resolved")),
                    ("alert", payload.clone()),
                ],
                Decision::Keep,
            ),
            (
                "calls",
                vec![("context", payload.clone())],
                Decision::Change { change: Change::Delete, is_all: true },
            ),
            ("ledger", vec![("to_number", text(NUMBER))], change(9, &text(NUMBER), Cell::Null)),
            (
                "ledger",
                vec![("key", text("message:m:+15550100100")), ("updated_at", Cell::Int(40))],
                change(1, &text("message:m:+15550100100"), text("message:m:forgotten-m")),
            ),
            (
                "ledger",
                vec![("key", text("message:m:+15550100100")), ("updated_at", Cell::Int(41))],
                Decision::Keep,
            ),
            ("state", vec![("value", payload.clone())], Decision::Keep),
            ("audit", vec![("detail", text(NUMBER))], Decision::Keep),
        ] {
            assert_eq!(decided(table, &cells), want, "{table} {cells:?}");
        }
    }

    #[test]
    fn a_row_that_holds_the_number_elsewhere_too_is_changed_and_still_holds_it() {
        let key = text("message:m:+15550100100");
        let cells = [("key", key), ("at", Cell::Int(41)), ("to_number", text(NUMBER))];
        let Decision::Change { change: Change::Set(set), is_all: false } =
            decided("ledger", &cells)
        else {
            panic!("the key stays");
        };
        assert_eq!(set, [NewCell { place: 9, old: text(NUMBER), new: Cell::Null }]);
    }

    #[test]
    fn json_is_compared_by_its_value() {
        // A number is not struck; that the text is written otherwise is no change.
        let cells = |alert| [("state", text("resolved")), ("alert", bytes(alert))];
        assert_eq!(decided("alerts", &cells("{ \"n\": 15550100100 }")), Decision::Keep);
        let set = decided("alerts", &cells("{ \"from\": \"+15550100100\" }"));
        assert!(matches!(set, Decision::Change { is_all: true, .. }), "{set:?}");
    }
}
