//! Taking a phone number out of everything that is stored, while others may serve.
//!
//! Rows are looked at in the order of their keys, a page at a time; what is to change is decided by [`decide()`], which is pure, and
//! written in short transactions, unless it has changed since. What is in use stays: an event that waits to be judged, a
//! delivery that is open, an alert that fires or that a group holds, the key of a charge that may be told again, and what the
//! engine goes on from.

mod decide;
mod number;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

pub(super) use self::decide::Change;
#[cfg(test)]
pub(super) use self::decide::NewCell;
use self::decide::{Context, Decision, decide, ended_alerts};
pub use self::number::PhoneNumber;
use super::copy::{Cells, STATE, TABLES, Table};
use super::values::micros;
use super::{ENTRY_KEPT_MIN, Store, StoreError};
use crate::clock;

/// Rows that are looked at in one go.
const PAGE_ROWS: usize = 500;
/// Rows that are changed in one transaction at most.
const CHANGE_ROWS: usize = 100;

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
            accounts: BTreeSet::new(),
            seen: BTreeSet::new(),
            told_since: micros(clock::sub(now, ENTRY_KEPT_MIN)),
            mark: format!("forgotten-{}", uuid::Uuid::new_v4().simple()),
        };
        let mut done: BTreeMap<&'static str, Forgotten> = BTreeMap::new();
        // What rules have seen is known by hashes with the account: the others say which there are.
        let others = TABLES.iter().copied().filter(|table| *table != STATE);
        for table in others.chain([STATE]) {
            if table == STATE {
                context.seen = context.hashes();
            }
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
