//! Explains a stored event by the rules in force; for the API and the console.

use jiff::Timestamp;

use super::Deps;
use crate::engine::{self, Explanation, Question, SeriesAsked, State};
use crate::rules;
use crate::store::{EventRecord, EventState, StoreError};

/// How many series of a rule beyond its limit are looked at: those that came when the limit was higher.
const SERIES_BEYOND_MAX: usize = 10_000;

/// A stored event, explained.
#[derive(Debug)]
pub struct Explained {
    /// The event as it is stored, with what was recorded when it was judged.
    pub record: EventRecord,
    /// Hash of the configuration that explains.
    pub config: String,
    /// When it is explained.
    pub now: Timestamp,
    /// What is to be known about the explanation.
    pub notes: Vec<String>,
    /// Whether it was judged before.
    pub judged: bool,
    /// What today's rules say; `None` when its payload was dropped.
    pub today: Option<Explanation>,
}

/// Explains the newest event with this id, of one account only where it is named; `None` when there is none. `rule` limits
/// it to rules whose names match, with `*` globs.
pub async fn stored(
    deps: &Deps,
    id: &str,
    account: Option<&str>,
    rule: Option<&str>,
) -> Result<Option<Explained>, StoreError> {
    let Some(record) = deps.store.event(id, account).await? else { return Ok(None) };
    let in_force = deps.in_force.load_full();
    let (policy, now) = (&in_force.policy, deps.clock.now());
    let judged = record.state != EventState::Waiting;
    let mut notes = Vec::new();
    if !judged {
        notes.push("It waits to be judged: this is what would come of it.".to_owned());
    }
    if record.payload_dropped {
        notes.push("Its payload was dropped once it was judged (store.payload: none).".to_owned());
    }
    let (mut state, mut broken) = State::resume(deps.store.resume_without_series().await?);
    let event = &record.stored.event;
    let charges = rules::ledger_key(event).into_iter().collect();
    state.load_known(deps.store.known(charges, rules::call_keys(event)).await?);
    let stored = &record.stored;
    let templates = &in_force.templates;
    let question = Question { stored, judged, only: rule, templates, now };
    for SeriesAsked { rule, fingerprints, max } in engine::series_asked(&state, policy, &question) {
        let limit = max.saturating_add(SERIES_BEYOND_MAX);
        let rows = deps.store.series(&rule, &fingerprints, max, limit).await?;
        broken.extend(state.take_rows(&rows));
    }
    notes.extend(broken.into_iter().map(|detail| format!("Cannot be read back: {detail}.")));
    let today = (!record.payload_dropped).then(|| engine::explain(state, policy, &question));
    let config = policy.config_hash.clone();
    Ok(Some(Explained { record, config, now, notes, judged, today }))
}
