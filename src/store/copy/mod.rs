//! Moving a store from one database to another of the other kind, while nobody serves from either.
//!
//! Rows go over in the order of their keys, a page and a transaction at a time; the place up to where a table was copied is
//! committed with its rows, in a table `copying` of the target. So a copy that is cut off goes on where it was. As long as that
//! table is there the target is [`OpenError::Unfinished`] to everybody else. At the end everything is counted on both
//! sides, and the ledger and the totals are summed up, exactly.

mod end;
mod tables;

use std::collections::BTreeMap;
use std::fmt;

use rust_decimal::Decimal;
use serde_json::Value;

pub(super) use self::end::{Counters, End, META, PAGE_BYTES_MAX, WIDE_ROWS};
pub(super) use self::tables::{CONTENTS, Cell, Cells, Kind, LEDGER, STATE, TABLES, Table};
use super::open::{OpenError, Place};
use super::postgres::PostgresEnd;
use super::sqlite::SqliteEnd;
use super::{Space, StoreError};
use crate::rules::SpendRow;

/// Rows that are copied in one transaction at most.
const PAGE_ROWS: usize = 500;
/// The row of `copying` that says where the rows come from.
const FROM: &str = "/from";
/// The row of `copying` that says how the source was when the copy was begun.
const BEGUN: &str = "/begun";
/// The row of `copying` that says whose copy it is.
const TOKEN: &str = "/token";

/// Up to where a table was copied, and how many rows that were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Reached {
    key: Option<Cells>,
    rows: u64,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress {
    /// The table at hand; `None` while everything is verified.
    pub table: Option<&'static str>,
    /// Its rows that were copied.
    pub rows: u64,
    /// How many it has.
    pub of: u64,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Whether it went on where one before was cut off.
    pub resumed: bool,
    /// The rows of each table.
    pub tables: Vec<(&'static str, u64)>,
    /// What was charged, by account and currency: the sum of the ledger, and that of the totals.
    pub sums: BTreeMap<(String, String), (Decimal, Decimal)>,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the databases cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// One of the databases refuses.
    #[error("{place}: {error}")]
    Store {
        /// Which.
        place: String,
        /// What it said.
        error: StoreError,
    },
    /// Somebody serves from one of them.
    #[error("{place} is in use: {why}; stop every tollbell first")]
    InUse {
        /// Which.
        place: String,
        /// By whom.
        why: String,
    },
    /// The target has rows that do not come from a copy.
    #[error("{place} is not empty: its table {table} has rows")]
    NotEmpty {
        /// The target.
        place: String,
        /// The table.
        table: &'static str,
    },
    /// The target holds an unfinished copy of another source.
    #[error("{place} holds an unfinished copy of {from}; finish that one, or delete it")]
    OtherSource {
        /// The target.
        place: String,
        /// The source of that copy.
        from: String,
    },
    /// The source was used since the copy was begun.
    #[error(
        "{from} was used since the copy into {place} was begun: delete the target, and begin anew"
    )]
    Changed {
        /// The source.
        from: String,
        /// The target.
        place: String,
    },
    /// The two are not the same in the end.
    #[error("the copy differs from its source, and is not finished: {0}")]
    Differs(String),
}

/// Copies everything of one store into another, which must be empty or hold an unfinished copy of the same.
pub async fn copy_store(
    from: &Place,
    to: &Place,
    mut progress: impl FnMut(CopyProgress),
) -> Result<Copied, CopyError> {
    let source = Side::source(from).await?;
    let target = Side::target(to).await?;
    let counters = source.done(source.end.counters().await)?;
    let (resumed, token) = target.begin(&source.name, &format!("{counters:?}")).await?;
    let mut tables = Vec::new();
    for &table in TABLES {
        let rows = copy_table(&source, &target, table, &token, &mut progress).await?;
        tables.push((table.name, rows));
    }
    target.done(target.end.settle(counters.clone()).await)?;
    progress(CopyProgress { table: None, rows: 0, of: 0 });
    let sums = verify(&source, &target).await?;
    source.require_unused().await?;
    target.require_unused().await?;
    // Somebody may have come and gone meanwhile.
    if source.done(source.end.counters().await)? != counters {
        return Err(CopyError::Changed { from: source.name, place: target.name });
    }
    target.done(target.end.finish().await)?;
    Ok(Copied { resumed, tables, sums })
}

/// One of the two databases, with its name for people.
struct Side {
    name: String,
    end: Box<dyn End>,
}

impl Side {
    /// What exists already, and that nobody else may change while it is open.
    async fn source(place: &Place) -> Result<Self, CopyError> {
        let (name, end): (String, Box<dyn End>) = match place {
            Place::Sqlite(path) => {
                let end = SqliteEnd::source(path).await?;
                // Whoever goes on may stand in another folder.
                let path = path.canonicalize().unwrap_or_else(|_gone| path.clone());
                (path.display().to_string(), Box::new(end))
            }
            Place::Postgres(address) => {
                (address.to_string(), Box::new(PostgresEnd::source(address).await?))
            }
        };
        let side = Self { name, end };
        side.require_unused().await?;
        if side.done(side.end.is_unfinished().await)? {
            return Err(OpenError::Unfinished(side.name).into());
        }
        Ok(side)
    }

    /// What is made, and brought up to date, where it is not.
    async fn target(place: &Place) -> Result<Self, CopyError> {
        let end: Box<dyn End> = match place {
            Place::Sqlite(path) => Box::new(SqliteEnd::target(path).await?),
            Place::Postgres(address) => Box::new(PostgresEnd::target(address).await?),
        };
        let side = Self { name: place.to_string(), end };
        side.require_unused().await?;
        Ok(side)
    }

    fn done<T>(&self, result: Result<T, StoreError>) -> Result<T, CopyError> {
        result.map_err(|error| CopyError::Store { place: self.name.clone(), error })
    }

    async fn require_unused(&self) -> Result<(), CopyError> {
        match self.done(self.end.in_use().await)? {
            Some(why) => Err(CopyError::InUse { place: self.name.clone(), why }),
            None => Ok(()),
        }
    }

    /// Begins a copy, or goes on with one of the same source that is as it was then: who serves counts on, and sweeps. Gives whether it goes on, and the token of this one: one that
    /// begins later takes over.
    async fn begin(&self, from: &str, state: &str) -> Result<(bool, String), CopyError> {
        let resumed = self.done(self.end.is_unfinished().await)?;
        if resumed {
            let marks = self.done(self.end.marks().await)?;
            // One that was cut off before it said so has copied nothing.
            if let Some(known) = marks.get(FROM).filter(|known| *known != from) {
                let (place, from) = (self.name.clone(), known.clone());
                return Err(CopyError::OtherSource { place, from });
            }
            if marks.get(BEGUN).is_some_and(|known| known != state) {
                let (place, from) = (self.name.clone(), from.to_owned());
                return Err(CopyError::Changed { from, place });
            }
        } else {
            for &table in TABLES {
                let first = self.done(self.end.page(table, None, 1).await)?;
                if !first.is_empty() {
                    let place = self.name.clone();
                    return Err(CopyError::NotEmpty { place, table: table.name });
                }
            }
            self.done(self.end.mark().await)?;
        }
        let token = uuid::Uuid::new_v4().to_string();
        self.done(self.end.set_mark(FROM, from.to_owned()).await)?;
        self.done(self.end.set_mark(BEGUN, state.to_owned()).await)?;
        self.done(self.end.set_mark(TOKEN, token.clone()).await)?;
        Ok((resumed, token))
    }
}

/// Copies what is left of a table; gives how many rows it has.
async fn copy_table(
    source: &Side,
    target: &Side,
    table: &'static Table,
    token: &str,
    progress: &mut impl FnMut(CopyProgress),
) -> Result<u64, CopyError> {
    let of = source.done(source.end.count(table).await)?;
    let marks = target.done(target.end.marks().await)?;
    let mut reached = marks.get(table.name).map(|text| Reached::read(text)).unwrap_or_default();
    loop {
        progress(CopyProgress { table: Some(table.name), rows: reached.rows, of });
        let page = source.end.page(table, reached.key.clone(), PAGE_ROWS).await;
        let page = source.done(page)?;
        let Some(last) = page.last() else { return Ok(reached.rows) };
        let rows = reached.rows.saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX));
        reached = Reached { key: Some(table.key_of(last)), rows };
        let marks = target.done(target.end.marks().await)?;
        if marks.get(TOKEN).is_none_or(|now| now != token) {
            let why = "another copy into it has begun".to_owned();
            return Err(CopyError::InUse { place: target.name.clone(), why });
        }
        target.done(target.end.put(table, page, reached.to_string()).await)?;
    }
}

impl Reached {
    fn read(text: &str) -> Self {
        let Ok(Value::Array(mut parts)) = serde_json::from_str(text) else {
            return Self::default();
        };
        let rows = parts.pop().and_then(|rows| rows.as_u64()).unwrap_or(0);
        let cell = |part: Value| match part {
            Value::String(text) => Cell::Text(text),
            other => other.as_i64().map_or(Cell::Null, Cell::Int),
        };
        Self { key: Some(parts.into_iter().map(cell).collect()), rows }
    }
}

/// As it is kept: the cells of the key, then the number of rows.
impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |cell: &Cell| match cell {
            Cell::Int(number) => Value::from(*number),
            Cell::Text(text) => Value::from(text.as_str()),
            Cell::Null | Cell::Bytes(_) => Value::Null,
        };
        let mut parts: Vec<Value> = self.key.iter().flatten().map(cell).collect();
        parts.push(Value::from(self.rows));
        Value::Array(parts).fmt(f)
    }
}

/// Sums by account and currency.
type Sums = BTreeMap<(String, String), (Decimal, Decimal)>;

/// That both sides have the same number of rows everywhere, and the same sums.
async fn verify(source: &Side, target: &Side) -> Result<Sums, CopyError> {
    let mut differences = Vec::new();
    for &table in TABLES {
        let had = source.done(source.end.count(table).await)?;
        let has = target.done(target.end.count(table).await)?;
        if had != has {
            differences.push(format!("{} has {has} of {had} rows", table.name));
        }
    }
    let (had, has) = (sums(source).await?, sums(target).await?);
    for (key, sum) in &had {
        let other = has.get(key).copied().unwrap_or_default();
        if other != *sum {
            let ((account, currency), (ledger, totals)) = (key, sum);
            differences.push(format!(
                "account {account} in {currency}: ledger {} of {ledger}, totals {} of {totals}",
                other.0, other.1
            ));
        }
    }
    if had.len() != has.len() {
        differences.push(format!("{} sums of {}", has.len(), had.len()));
    }
    if differences.is_empty() { Ok(had) } else { Err(CopyError::Differs(differences.join("; "))) }
}

/// The sums of one side.
async fn sums(side: &Side) -> Result<Sums, CopyError> {
    let mut sums = Sums::new();
    let too_much = |what: String| {
        let error = StoreError::Unstorable(format!("{what} cannot be summed up"));
        CopyError::Store { place: side.name.clone(), error }
    };
    let mut after = None;
    loop {
        let page = side.done(side.end.page(LEDGER, after, PAGE_ROWS).await)?;
        let Some(last) = page.last() else { break };
        after = Some(LEDGER.key_of(last));
        for row in &page {
            let [account, _key, amount, currency, ..] = row.as_slice() else { continue };
            let key = (account.text().to_owned(), currency.text().to_owned());
            let sum = sums.entry(key).or_default();
            let amount = amount.text().parse::<Decimal>().ok();
            sum.0 = amount
                .and_then(|amount| sum.0.checked_add(amount))
                .ok_or_else(|| too_much("the ledger".to_owned()))?;
        }
    }
    let first = vec![Cell::Text(Space::Spend.as_str().to_owned()), Cell::Text(String::new())];
    let mut after = Some(first);
    loop {
        let page = side.done(side.end.page(STATE, after, PAGE_ROWS).await)?;
        let Some(last) = page.last() else { return Ok(sums) };
        after = Some(STATE.key_of(last));
        for row in &page {
            let [space, key, Cell::Bytes(value)] = row.as_slice() else { continue };
            if space.text() != Space::Spend.as_str() {
                return Ok(sums);
            }
            let total = serde_json::from_slice::<SpendRow>(value).ok();
            let total = total.ok_or_else(|| too_much(format!("the total {}", key.text())))?;
            let sum = sums.entry((total.account, total.currency)).or_default();
            sum.1 = total
                .added
                .checked_sub(total.corrected)
                .and_then(|total| sum.1.checked_add(total))
                .ok_or_else(|| too_much("the totals".to_owned()))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_table_is_is_read_as_it_was_written() {
        for key in [
            vec![Cell::Int(-7)],
            vec![Cell::Text("a\0\"b".to_owned()), Cell::Text(String::new())],
            vec![Cell::Int(i64::MAX), Cell::Text("ü".to_owned())],
        ] {
            let reached = Reached { key: Some(key), rows: 12 };
            let text = reached.to_string();
            assert!(!text.contains('\0'), "PostgreSQL could not keep {text}");
            assert_eq!(Reached::read(&text), reached);
        }
    }
}
