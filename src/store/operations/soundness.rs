//! The operations that look whether what is stored is sound.

use async_trait::async_trait;

use crate::store::{Books, Owners, StoreError};

/// Whether what is stored is sound. Each looks at one moment, however long it takes, and holds nobody up.
#[async_trait]
pub trait Soundness {
    /// What is wrong with the database by its own words, and with the rows that hang on others; one line each, none when
    /// all is well.
    async fn flaws(&self) -> Result<Vec<String>, StoreError>;

    /// The ledger beside the totals.
    async fn books(&self) -> Result<Books, StoreError>;

    /// What rows belong to.
    async fn owners(&self) -> Result<Owners, StoreError>;
}
