//! Values as the database has them.

use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// Reads a time as it is kept.
pub(super) fn time(micros: i64) -> Result<Timestamp, String> {
    Timestamp::from_microsecond(micros).map_err(|error| format!("time {micros}: {error}"))
}

/// A column; the error is one line for people.
pub(super) fn column<'row, T: FromSql<'row>>(row: &'row Row, index: usize) -> Result<T, String> {
    row.try_get(index).map_err(|error| error.to_string())
}

/// A time of a column.
pub(super) fn moment(row: &Row, index: usize) -> Result<Timestamp, String> {
    time(column(row, index)?)
}

/// A time of a column, where there is one.
pub(super) fn some_moment(row: &Row, index: usize) -> Result<Option<Timestamp>, String> {
    column::<Option<i64>>(row, index)?.map(time).transpose()
}

/// An amount of a column, where there is one.
pub(super) fn amount(row: &Row, index: usize) -> Result<Option<Decimal>, String> {
    let text: Option<&str> = column(row, index)?;
    text.map(|text| text.parse().map_err(|error| format!("amount {text}: {error}"))).transpose()
}

/// A count; never negative.
pub(super) fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}

/// A number that PostgreSQL keeps with a sign.
pub(super) fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A number of a column, which has a sign there.
pub(super) fn unsigned(row: &Row, index: usize) -> Result<u32, String> {
    Ok(u32::try_from(column::<i32>(row, index)?).unwrap_or(0))
}
