//! What went wrong within an operation, and what it means for the connection and the caller.

use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// Why an operation failed.
#[derive(Debug)]
pub(super) enum Failure {
    Sql(tokio_postgres::Error),
    Other(StoreError),
}

impl Failure {
    /// A value that can never be stored, or a row that cannot be read back.
    pub(super) fn unstorable(reason: impl Into<String>) -> Self {
        Self::Other(StoreError::Unstorable(reason.into()))
    }

    pub(super) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Other(StoreError::Unavailable(reason.into()))
    }

    /// Whether it is the operation's own fault: tried again it would fail again.
    pub(super) fn is_own_fault(&self) -> bool {
        match self {
            Self::Other(error) => {
                !matches!(error, StoreError::Unavailable(_) | StoreError::Corrupt(_))
            }
            // Data exceptions and constraints; and a row of ours that cannot be read.
            Self::Sql(error) => match error.code() {
                Some(code) => matches!(code.code().get(..2), Some("22" | "23")),
                None => is_conversion(error),
            },
        }
    }

    /// Whether the database asks for the same once more: two transactions were in each other's way.
    pub(super) fn is_passing(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        let again = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
        error.code().is_some_and(|code| again.contains(code))
    }
}

/// Whether a value could not be converted; everything else without a code means that the connection is lost.
fn is_conversion(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.starts_with("error serializing parameter")
        || text.starts_with("error deserializing column")
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let own_fault = failure.is_own_fault();
        match failure {
            Failure::Other(error) => error,
            Failure::Sql(error) if own_fault => Self::Unstorable(describe(&error)),
            Failure::Sql(error)
                if matches!(
                    error.code(),
                    Some(&SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED)
                ) =>
            {
                Self::Corrupt(describe(&error))
            }
            Failure::Sql(error) => Self::Unavailable(describe(&error)),
        }
    }
}

/// The error in words. Without its detail, which may hold values.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        words = format!("{words}: {inner}");
        source = inner.source();
    }
    words
}
