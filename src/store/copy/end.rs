//! What a database must do to be one of the two sides of a copy.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::tables::{Cells, Table};
use crate::store::StoreError;

/// Bytes that are copied in one transaction at most, plus one row; of PostgreSQL's, [`WIDE_ROWS`] bound them.
pub(in crate::store) const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Rows that are read at once at most where each may be as large as the body of a webhook.
pub(in crate::store) const WIDE_ROWS: usize = 64;

/// Single values of a store that go over as they are.
pub(in crate::store) const META: [&str; 3] = ["cursor", "silences", "swept"];

/// What a store counts on from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct Counters {
    /// Those of [`META`] that are there.
    pub(in crate::store) meta: Vec<(String, i64)>,
    /// How many events were judged in all.
    pub(in crate::store) judged: i64,
    /// The last number that was given, by table: a number is never given twice, even when its row is gone.
    pub(in crate::store) last: Vec<(&'static str, i64)>,
}

/// A database on either side of a copy.
#[async_trait]
pub(in crate::store) trait End: Send + Sync {
    /// Why it is in use by others; `None` when it is not.
    async fn in_use(&self) -> Result<Option<String>, StoreError>;

    /// The next rows behind a key, in its order; none when there are no more.
    async fn page(
        &self,
        table: &'static Table,
        after: Option<Cells>,
        limit: usize,
    ) -> Result<Vec<Cells>, StoreError>;

    async fn count(&self, table: &'static Table) -> Result<u64, StoreError>;

    async fn counters(&self) -> Result<Counters, StoreError>;

    /// Whether a copy into it has begun and not ended.
    async fn is_unfinished(&self) -> Result<bool, StoreError>;

    /// Makes the table `copying`, which it must not have yet.
    async fn mark(&self) -> Result<(), StoreError>;

    /// The rows of the table `copying`.
    async fn marks(&self) -> Result<BTreeMap<String, String>, StoreError>;

    /// Sets a row of the table `copying`.
    async fn set_mark(&self, name: &str, value: String) -> Result<(), StoreError>;

    /// Adds rows, and notes in `copying` up to where, all or nothing.
    async fn put(
        &self,
        table: &'static Table,
        rows: Vec<Cells>,
        reached: String,
    ) -> Result<(), StoreError>;

    /// Sets what is counted on from, and counts anew what is derived.
    async fn settle(&self, counters: Counters) -> Result<(), StoreError>;

    /// Drops the table `copying`.
    async fn finish(&self) -> Result<(), StoreError>;
}
