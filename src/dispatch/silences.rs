//! The silences, read and compiled once for each of their versions.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::alerts::ActiveSilences;
use crate::store::{Store, StoreError};

/// The silences as they were read last. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Silences(Arc<ArcSwap<ActiveSilences>>);

impl Silences {
    /// The silences at this version or a later one. What is read is shared by all integrations.
    pub(super) async fn of(
        &self,
        store: &Store,
        version: u64,
    ) -> Result<Arc<ActiveSilences>, StoreError> {
        let known = self.0.load_full();
        if known.version() == version {
            return Ok(known);
        }
        let read = store.silences().await?;
        let compiled = Arc::new(ActiveSilences::new(read.version, read.silences));
        self.0.store(Arc::clone(&compiled));
        Ok(compiled)
    }
}
