//! The operations of the audit log.

use async_trait::async_trait;

use crate::store::{AuditEntry, AuditFilter, AuditRecord, StoreError};

/// Who changed what.
#[async_trait]
pub trait AuditLog {
    /// Appends an entry, each text within its bound. Answers after the commit.
    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StoreError>;

    /// The audit log, newest first.
    async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditRecord>, StoreError>;
}
