//! The ledger against detail records.
