//! `tollbell spend`, `invoices`, `usage` and `accounts`.
