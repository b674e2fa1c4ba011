//! The first fill: rules that look at what is usual take in what was stored before they were there.
//!
//! A page at a time, while no event waits and no timer is due; until it is done nothing is called usual. How far it is goes
//! into the transaction of each page.

use std::sync::Arc;

use super::policy::Policy;
use super::state::State;
use super::step::{self, Judged, Kept};
use crate::alerts::Fingerprint;
use crate::rules::{self, CallContext};
use crate::store::Changes;

/// Takes in a page of events that were judged before, in order; an empty one means that there are no more. The state moves
/// along.
pub(super) fn fill(state: &mut State, policy: &Policy, page: &[Kept]) -> Judged {
    for stored in page.iter().flatten() {
        let event = &stored.event;
        let known = rules::call_keys(event);
        let known = known.iter().filter_map(|key| state.calls.get(key)).cloned();
        let call: Option<CallContext> = known.reduce(|one, other| one.merge(&other));
        for (of, fires, _) in policy.rules.naming(&event.kind) {
            if !fires || !state.pasts.is_to_fill(of.name(), stored.seq) {
                continue;
            }
            state.pasts.knows_since(of.name(), event.received_at);
            if of.remembers() {
                state.pasts.see(of, event, call.as_ref());
            }
            let Some(terms) = of.usual_terms() else { continue };
            let Some(observation) = of.observation(event, call.as_ref()) else { continue };
            let key = (Arc::clone(of.name()), Fingerprint::of(&observation.labels));
            let Some(mut past) = state.pasts.of(&key, of, event.received_at) else { continue };
            past.fill(terms, &observation);
            let changed = past.into_changed();
            state.pasts.note(&key, Some(changed));
        }
    }
    leave_out(state, page)
}

/// Goes on behind a page without what it holds.
pub(super) fn leave_out(state: &mut State, page: &[Kept]) -> Judged {
    state.pasts.filled(page.last().map(step::seq_of));
    let cursor = state.cursor;
    let (rows, _) = state.changed_rows();
    Judged { changes: Changes { cursor, rows, ..Changes::default() }, ..Judged::default() }
}
