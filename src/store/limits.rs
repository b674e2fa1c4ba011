//! Bounds that every backend keeps.

use std::time::Duration;

/// The shortest retention: so long is an event's id unique at least.
pub(super) const RETENTION_MIN: Duration = Duration::from_hours(7 * 24);

/// Silences that are kept, expired ones too: the engine asks each of them.
pub(super) const SILENCES_MAX: usize = 10_000;

/// Calls that are kept; beyond it, the ones learned of longest ago go.
pub(super) const CALLS_MAX: usize = 200_000;

/// How long a call is kept after something was last learned of it.
pub(super) const CALL_KEPT: Duration = Duration::from_hours(7 * 24);

/// How long a charge is kept at least after an event last touched it, so that a repeat is known as one.
pub(super) const ENTRY_KEPT_MIN: Duration = Duration::from_hours(30 * 24);

/// Attempts kept for each delivery; the oldest go first.
pub(super) const ATTEMPTS_KEPT: u32 = 50;

/// Dead deliveries tried again in one transaction.
pub(super) const RETRY_ROWS: usize = 500;

/// The shortest beginning of an id that stands for it, in bytes.
pub(super) const ID_PREFIX_MIN: usize = 8;

/// Events that a list looks at, from the newest back: it must end even when the filter matches nothing.
pub(super) const LOOK_BACK: i64 = 1_000_000;

/// Ended deliveries that the engine takes note of at a time.
pub(super) const ENDED_ROWS: usize = 256;

/// Why a delivery to an integration that is no longer configured is dead.
pub const RECEIVER_REMOVED: &str = "receiver removed";
/// Why a delivery was given up that somebody cancelled.
pub const CANCELLED: &str = "cancelled";

/// Lines of an alert's journal among which the same line is looked for.
pub(super) const SAME_LINES_MAX: usize = 16;
