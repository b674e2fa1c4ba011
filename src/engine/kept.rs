//! The state as it is kept, for whoever asks about one event beside the worker.

use super::explain::{Question, SeriesAsked, series_asked};
use super::policy::Policy;
use super::state::State;
use crate::rules;
use crate::store::{Space, Store, StoreError};

/// Series of a rule beyond its limit that are looked at: those that came when the limit was higher.
const SERIES_BEYOND_MAX: usize = 10_000;

/// What is kept, as far as [`super::explain`] needs it to answer a question.
///
/// Beside it what cannot be read back, one line each. There may be a hundred thousand series, and one event needs few: only those are read.
pub async fn kept_state(
    store: &Store,
    policy: &Policy,
    question: &Question<'_>,
) -> Result<(State, Vec<String>), StoreError> {
    let event = &question.stored.event;
    let (mut state, mut broken) = State::resume(store.resume_but(&[Space::Series]).await?);
    let charges = rules::ledger_key(event).into_iter().collect();
    state.load_known(store.known(charges, rules::call_keys(event)).await?);
    for SeriesAsked { rule, fingerprints, max } in series_asked(&state, policy, question) {
        let limit = max.saturating_add(SERIES_BEYOND_MAX);
        broken.extend(state.take_rows(&store.series(&rule, &fingerprints, max, limit).await?));
    }
    Ok((state, broken))
}
