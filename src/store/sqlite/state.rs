//! The engine's rows, the ledger, the call context, the silences and the journal.

use super::Sqlite;
use crate::alerts::{Alert, Silence};
use crate::rules::{CallKey, LedgerKey};
use crate::store::{AlertFilter, JournalEntry, Known, Row, Silences, Space, StoreError};

impl Sqlite {
    pub(in crate::store) async fn known(
        &self,
        ledger: Vec<LedgerKey>,
        calls: Vec<CallKey>,
    ) -> Result<Known, StoreError> {
        let _ = (ledger, calls);
        unimplemented!()
    }
    pub(in crate::store) async fn silences_version(&self) -> Result<u64, StoreError> {
        unimplemented!()
    }
    pub(in crate::store) async fn silences(&self) -> Result<Silences, StoreError> {
        unimplemented!()
    }
    pub(in crate::store) async fn put_silence(&self, silence: Silence) -> Result<(), StoreError> {
        let _ = silence;
        unimplemented!()
    }
    pub(in crate::store) async fn rows(
        &self,
        space: Space,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let _ = (space, limit);
        unimplemented!()
    }
    pub(in crate::store) async fn alerts(
        &self,
        filter: AlertFilter,
    ) -> Result<Vec<Alert>, StoreError> {
        let _ = filter;
        unimplemented!()
    }
    pub(in crate::store) async fn journal(
        &self,
        fingerprint: String,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let _ = (fingerprint, limit);
        unimplemented!()
    }
}
