//! The operations around judging: what the engine reads and commits, and what people ask of it.

use async_trait::async_trait;

use crate::alerts::{Alert, Fingerprint, Silence};
use crate::rules::{CallKey, Entry, LedgerKey};
use crate::store::{
    AlertFilter, Changes, ChargeFilter, Committed, JournalEntry, Known, Resumed, Row, Silences,
    Space, StoreError,
};

/// What the engine goes on from, and what it commits.
#[async_trait]
pub trait Judging {
    /// What the engine goes on from at start.
    async fn resume(&self) -> Result<Resumed, StoreError> {
        self.resume_but(&[]).await
    }

    /// As [`Judging::resume`], without the rows of some kinds: there may be a hundred thousand series, and who asks about one
    /// event needs few.
    async fn resume_but(&self, without: &'static [Space]) -> Result<Resumed, StoreError>;

    /// The place of the newest event that was ever stored; 0 before the first.
    async fn newest_seq(&self) -> Result<i64, StoreError>;

    /// Commits one judged batch, all or nothing. The cursor never goes back: [`StoreError::Stale`] when the batch
    /// holds anything that is judged already. With [`PayloadPolicy::None`] the payloads of the batch are dropped.
    async fn commit(&self, changes: Changes) -> Result<Committed, StoreError>;
}

/// Alerts for people who ask.
#[async_trait]
pub trait Alerts {
    /// Alerts, firing ones first (by fingerprint), then the latest ended; `limit` at most.
    async fn alerts(&self, filter: AlertFilter) -> Result<Vec<Alert>, StoreError>;
}

/// The engine's rows for people who ask.
#[async_trait]
pub trait Rows {
    /// The engine's rows of one kind, in the order of their keys, `limit` at most; for people and programs that ask.
    async fn rows(&self, space: Space, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// Series of a rule: those with these fingerprints, or all (`limit` at most) when it has `all_from` or more.
    async fn series(
        &self,
        rule: &str,
        fingerprints: &[Fingerprint],
        all_from: usize,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;
}

/// The charge ledger and the call context.
#[async_trait]
pub trait Ledger {
    /// What the ledger and the call context hold of these keys, and the charges of these calls, for what is learned of
    /// a call late completes its charge. As many keys as one batch of events has.
    async fn known(&self, ledger: Vec<LedgerKey>, calls: Vec<CallKey>)
    -> Result<Known, StoreError>;

    /// Charges of a range of time, in the order of time and key.
    async fn charges(&self, filter: ChargeFilter) -> Result<Vec<Entry>, StoreError>;
}

/// Silences.
#[async_trait]
pub trait SilenceList {
    /// The silences' version alone, cheaper than all of them.
    async fn silences_version(&self) -> Result<u64, StoreError>;

    /// All silences.
    async fn silences(&self) -> Result<Silences, StoreError>;

    /// Makes a silence, or changes the one of the same id. Once it is answered, nothing more is claimed that was composed
    /// without it ([`Claim::silences`]). There is a bound on how many are kept:
    /// [`StoreError::Unstorable`] beyond it.
    async fn put_silence(&self, silence: Silence) -> Result<(), StoreError>;
}

/// The story of each alert.
#[async_trait]
pub trait Journal {
    /// The story of one alert, newest first; `limit` at most.
    async fn journal(
        &self,
        fingerprint: String,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError>;
}
