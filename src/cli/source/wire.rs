//! What the API answers, where it is not what the store gives.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alerts::{MatchOp, Matcher, Silence};
use crate::store::{Attempt, Delivery, Reading, ReceiverPause};

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// A list that comes whole.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
}

/// A delivery with its attempts.
#[derive(Debug, Deserialize)]
pub(super) struct DeliveryDetail {
    pub(super) delivery: Delivery,
    pub(super) attempts: Vec<Attempt>,
}

/// What the API says of an account's balance, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct AccountBalance {
    pub(super) last: Option<Reading>,
}

/// What the API says of a receiver, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct ReceiverOfApi {
    pub(super) paused: Option<ReceiverPause>,
}

/// The answer of a receiver that was resumed.
#[derive(Debug, Deserialize)]
pub(super) struct Resumed {
    pub(super) was_paused: bool,
}

/// What Alertmanager's API calls a silence.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SilenceOfApi {
    id: String,
    matchers: Vec<MatcherOfApi>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    updated_at: Timestamp,
    created_by: String,
    comment: String,
}

impl TryFrom<SilenceOfApi> for Silence {
    type Error = anyhow::Error;

    fn try_from(found: SilenceOfApi) -> anyhow::Result<Self> {
        Ok(Self {
            id: found.id,
            matchers: found
                .matchers
                .into_iter()
                .map(Matcher::try_from)
                .collect::<Result<_, _>>()?,
            starts_at: found.starts_at,
            ends_at: found.ends_at,
            created_by: found.created_by,
            comment: found.comment,
            // That API does not say when it was made.
            created_at: found.updated_at,
            updated_at: found.updated_at,
        })
    }
}

/// What Alertmanager's API calls a matcher.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MatcherOfApi {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl MatcherOfApi {
    pub(super) fn of(matcher: &Matcher) -> Self {
        Self {
            name: matcher.name().to_owned(),
            value: matcher.value().to_owned(),
            is_regex: matches!(matcher.op(), MatchOp::Matches | MatchOp::NotMatches),
            is_equal: matches!(matcher.op(), MatchOp::Equal | MatchOp::Matches),
        }
    }
}

impl TryFrom<MatcherOfApi> for Matcher {
    type Error = anyhow::Error;

    fn try_from(found: MatcherOfApi) -> anyhow::Result<Self> {
        let op = match (found.is_equal, found.is_regex) {
            (true, false) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Matches,
            (false, true) => MatchOp::NotMatches,
        };
        Self::new(&found.name, op, found.value).map_err(anyhow::Error::msg)
    }
}

/// The answer to a silence that was posted.
#[derive(Debug, Deserialize)]
pub(super) struct Made {
    #[serde(rename = "silenceID")]
    pub(super) silence_id: String,
}
