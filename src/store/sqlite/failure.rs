//! What went wrong within an operation, and what it means for the batch and the connection.

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// Why an operation failed.
#[derive(Debug)]
pub(super) enum Failure {
    Sql(rusqlite::Error),
    Other(StoreError),
}

impl Failure {
    /// A value that can never be stored, or a row that cannot be read back.
    pub(super) fn unstorable(reason: impl Into<String>) -> Self {
        Self::Other(StoreError::Unstorable(reason.into()))
    }

    /// A column of another type than expected.
    pub(super) fn column(error: rusqlite::types::FromSqlError) -> Self {
        Self::Sql(error.into())
    }

    pub(super) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Other(StoreError::Unavailable(reason.into()))
    }

    /// Whether it is the operation's own fault, so that others in its batch may go on.
    pub(super) fn is_own_fault(&self) -> bool {
        match self {
            Self::Other(error) => {
                !matches!(error, StoreError::Unavailable(_) | StoreError::Corrupt(_))
            }
            Self::Sql(rusqlite::Error::SqliteFailure(error, _)) => matches!(
                error.code,
                ErrorCode::TooBig
                    | ErrorCode::ConstraintViolation
                    | ErrorCode::TypeMismatch
                    | ErrorCode::ParameterOutOfRange
            ),
            Self::Sql(_) => true,
        }
    }

    /// Whether the connection can be used on: it is neither broken nor opened read-only.
    pub(super) fn spares_connection(&self) -> bool {
        match self {
            Self::Sql(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ),
            Self::Other(_) => false,
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
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
            Failure::Sql(error) if own_fault => Self::Unstorable(error.to_string()),
            Failure::Sql(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                ) =>
            {
                Self::Corrupt(error.to_string())
            }
            Failure::Sql(error) => Self::Unavailable(error.to_string()),
        }
    }
}
