//! Alerts that an event ended: what happened before it begins nothing.

use jiff::Timestamp;

use super::{State, Touched};
use crate::alerts::Fingerprint;

/// Ends that are remembered at most.
const ENDED_MAX: usize = 10_000;
/// How many make room at once, those that happened longest ago first.
const ENDED_EVICTED: usize = 1_000;

impl State {
    /// Notes that an event that happened then ended an alert by `resolve_on`; of one without a time nothing can be said.
    pub(in crate::engine) fn note_end(
        &mut self,
        fingerprint: &Fingerprint,
        sent_at: Option<Timestamp>,
    ) {
        let Some(at) = sent_at else { return };
        if self.ended.len() >= ENDED_MAX && !self.ended.contains_key(fingerprint) {
            let mut oldest: Vec<(Timestamp, Fingerprint)> =
                self.ended.iter().map(|(fingerprint, at)| (*at, fingerprint.clone())).collect();
            oldest.sort_unstable();
            for (_, fingerprint) in oldest.into_iter().take(ENDED_EVICTED) {
                self.ended.remove(&fingerprint);
                self.touched.insert(Touched::Ended(fingerprint));
            }
        }
        let end = self.ended.entry(fingerprint.clone()).or_insert(at);
        *end = at.max(*end);
        self.touched.insert(Touched::Ended(fingerprint.clone()));
    }

    /// Whether an alert is known to have been ended by an event that happened after this.
    pub(in crate::engine) fn ended_after(
        &self,
        fingerprint: &Fingerprint,
        sent_at: Option<Timestamp>,
    ) -> bool {
        let end = self.ended.get(fingerprint);
        end.zip(sent_at).is_some_and(|(end, sent_at)| sent_at < *end)
    }
}
