//! Why what is asked for is not done.

use crate::api::{pauses, silences, spend};

/// Why what is asked for is not done.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Refused {
    /// It cannot be, as it is asked for.
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

impl From<spend::Refused> for Refused {
    fn from(refused: spend::Refused) -> Self {
        match refused {
            spend::Refused::Store(error) => Self::Failed(error.into()),
            unfit => Self::Unfit(unfit.to_string()),
        }
    }
}

impl From<pauses::Refused> for Refused {
    fn from(refused: pauses::Refused) -> Self {
        match refused {
            pauses::Refused::Store(error) => Self::Failed(error.into()),
            pauses::Refused::Unfit(unfit) => Self::Unfit(unfit),
        }
    }
}
