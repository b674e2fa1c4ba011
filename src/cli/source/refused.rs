//! Why a silence is not made or changed.

use crate::api::silences;

/// Why a silence is not made or changed.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Refused {
    /// There can be no such silence.
    #[error("{0}")]
    Unfit(String),
    /// It cannot be done now.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl From<silences::Refused> for Refused {
    fn from(refused: silences::Refused) -> Self {
        match refused {
            silences::Refused::Unfit(error) => Self::Unfit(error.to_string()),
            silences::Refused::Unknown | silences::Refused::Store(_) => {
                Self::Failed(refused.into())
            }
        }
    }
}
