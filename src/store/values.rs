//! Values as databases have them.

use jiff::Timestamp;
use serde::Serialize;

use crate::store::StoreError;

/// Reads a time as it is kept.
pub(super) fn time(micros: i64) -> Result<Timestamp, String> {
    Timestamp::from_microsecond(micros).map_err(|error| format!("time {micros}: {error}"))
}

/// A limit for SQL.
pub(super) fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// JSON as it is kept: the bytes of its text.
pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Unstorable(error.to_string()))
}

/// A time as it is read back after it was kept.
pub(super) fn truncated(at: Timestamp) -> Timestamp {
    // Microseconds of a timestamp make a timestamp again.
    time(micros(at)).unwrap_or(at)
}

/// How a time is kept.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}
