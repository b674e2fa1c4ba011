//! How much of a list is read.

/// Items that are asked for at once.
pub(super) const PAGE_ITEMS: u32 = 100;
/// Pages of one list that are read at most.
pub(super) const PAGES_MAX: u32 = 50;
