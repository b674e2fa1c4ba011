//! What becomes of a row that holds a number.

use std::collections::BTreeSet;

use serde_json::Value;

use super::number::{self, PhoneNumber};
use crate::rules::{NEWS_MAX, NewValue, Series};
use crate::store::Space;
use crate::store::copy::{Cell, Cells, Table};

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Change {
    /// Columns get other values, where all of them are still as they were read.
    Set(Vec<NewCell>),
    /// It goes.
    Delete,
}

/// Another value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct NewCell {
    /// The place of the column.
    pub(in crate::store) place: usize,
    /// As it was read.
    pub(in crate::store) old: Cell,
    pub(in crate::store) new: Cell,
}

/// What is decided of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It does not hold the number.
    Without,
    /// `is_all`: it is without the number then.
    Change { change: Change, is_all: bool },
    /// It is in use.
    Keep,
}

/// What the decision about a row depends on beside the row.
pub(super) struct Context<'n> {
    pub(super) number: &'n PhoneNumber,
    /// The last event that was judged.
    pub(super) judged: i64,
    /// Deliveries that have not ended.
    pub(super) open: BTreeSet<i64>,
    /// Alerts that groups hold, of those that the number is to be taken out of: their end may have to be sent yet.
    pub(super) held: BTreeSet<String>,
    /// Accounts that rows name.
    pub(super) accounts: BTreeSet<String>,
    /// What a value that is the number is known by where rules have seen it; see [`Context::hashes`].
    pub(super) seen: BTreeSet<String>,
    /// A charge that an event has touched since, in microseconds, may be told again: by a repeat, or by a detail record.
    /// It is known by its key then, else it is booked twice.
    pub(super) told_since: i64,
    /// Stands in keys where the number was: another one each time, so that no two keys become one.
    pub(super) mark: String,
}

impl Context<'_> {
    /// Takes note of an account, and of a delivery that is open: what it says is in another table.
    pub(super) fn learn(&mut self, table: &Table, row: &[Cell]) {
        if let Cell::Text(account) = cell(table, row, "account")
            && !self.accounts.contains(account)
        {
            self.accounts.insert(account.clone());
        }
        if table.name == "deliveries"
            && cell(table, row, "finished_at") == &Cell::Null
            && let Cell::Int(n) = cell(table, row, "n")
        {
            self.open.insert(*n);
        }
    }

    /// By which hashes rules know the number, as `is_new` keeps them: with each account, at each place in a rule.
    pub(super) fn hashes(&self) -> BTreeSet<String> {
        let mut hashes = BTreeSet::new();
        for account in &self.accounts {
            for value in &self.number.forms() {
                let known = (0..NEWS_MAX).map(|site| NewValue { site, account, value }.hash());
                hashes.extend(known.map(|hash| format!("{hash:016x}")));
            }
        }
        hashes
    }

    /// Whether a row of the engine's is one value that a rule has seen, and that is the number.
    fn is_seen(&self, table: &Table, row: &[Cell]) -> bool {
        let hash = cell(table, row, "key").text().rsplit_once('\n').map(|(_, hash)| hash);
        cell(table, row, "space").text() == Space::Seen.as_str()
            && hash.is_some_and(|hash| self.seen.contains(hash))
    }

    /// Whether a row of the engine's is a series that counts the number among its different values.
    fn is_counted(&self, table: &Table, row: &[Cell]) -> bool {
        let Cell::Bytes(value) = cell(table, row, "value") else { return false };
        cell(table, row, "space").text() == Space::Series.as_str()
            && serde_json::from_slice(value).is_ok_and(|series: Series| {
                self.number.forms().iter().any(|form| series.has_seen(form))
            })
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
pub(super) fn ended_alerts(
    table: &Table,
    page: &[Cells],
    number: &PhoneNumber,
) -> BTreeSet<String> {
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
pub(super) fn decide(table: &Table, row: &[Cell], context: &Context<'_>) -> Decision {
    let number = context.number;
    let holds = |cell: &Cell| holds(number, cell);
    if table.name == "state" && context.is_seen(table, row) {
        return Decision::Change { change: Change::Delete, is_all: true };
    }
    if table.name == "state" && context.is_counted(table, row) {
        return Decision::Keep;
    }
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
    use crate::store::copy::TABLES;

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
            accounts: BTreeSet::new(),
            seen: BTreeSet::from(["seen".to_owned()]),
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

    /// One column that gets another value, after which the row is without the number.
    fn change(place: usize, old: &Cell, new: Cell) -> Decision {
        let new = NewCell { place, old: old.clone(), new };
        Decision::Change { change: Change::Set(vec![new]), is_all: true }
    }

    const DELETED: Decision = Decision::Change { change: Change::Delete, is_all: true };

    fn payload() -> Cell {
        bytes("{\"from\":\"+15550100100\"}")
    }

    fn all_are_decided(
        rows: impl IntoIterator<Item = (&'static str, Vec<(&'static str, Cell)>, Decision)>,
    ) {
        for (table, cells, want) in rows {
            assert_eq!(decided(table, &cells), want, "{table} {cells:?}");
        }
    }

    #[test]
    fn events_that_wait_and_open_deliveries_stay_and_others_go() {
        let payload = payload();
        all_are_decided([
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
            ("contents", vec![("delivery", Cell::Int(4)), ("message", payload.clone())], DELETED),
        ]);
    }

    #[test]
    fn alerts_and_charges_that_are_in_use_stay_and_others_go() {
        let payload = payload();
        all_are_decided([
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
            ("calls", vec![("context", payload.clone())], DELETED),
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
            ("state", vec![("space", text("seen")), ("key", text("g/r\nseen"))], DELETED),
            (
                "state",
                vec![("space", text("seen")), ("key", text("g/r\nother"))],
                Decision::Without,
            ),
            (
                "state",
                vec![("space", text("usual")), ("key", text("g/r\nseen"))],
                Decision::Without,
            ),
            ("audit", vec![("detail", text(NUMBER))], Decision::Keep),
        ]);
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
