//! What was recorded of an event when it was judged.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::store::{DeliveryState, EventRecord, EventState, JournalEntry, Judgement, Store};

/// Deliveries that are shown at most.
const DELIVERIES_MAX: usize = 50;
/// Lines of the story of each alert that are looked at, and of all of them that are shown, at most.
const STORY_MAX: usize = 50;

/// What was recorded of an event when it was judged.
#[derive(Debug, Serialize)]
pub(super) struct Then {
    pub(super) state: EventState,
    /// Why it could not be judged.
    pub(super) fault: Option<String>,
    /// What rules said; that one did not match is not recorded.
    pub(super) judgements: Vec<Judgement>,
    /// The deliveries that it caused.
    pub(super) deliveries: Vec<Caused>,
    /// What happened to its alerts since then, oldest first.
    pub(super) journal: Vec<JournalEntry>,
}

/// A delivery that the event caused.
#[derive(Debug, Serialize)]
pub(super) struct Caused {
    pub(super) id: String,
    pub(super) state: DeliveryState,
    pub(super) integration: String,
    pub(super) target: String,
    pub(super) queued_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) attempts: u32,
    /// Why the last attempt failed.
    pub(super) problem: String,
    /// Why it was notified.
    pub(super) reason: &'static str,
}

impl Then {
    pub(super) async fn of(store: &Store, record: &EventRecord) -> anyhow::Result<Self> {
        let mut deliveries = Vec::new();
        for caused in record.deliveries.iter().take(DELIVERIES_MAX) {
            let Some((delivery, _)) = store.delivery(&caused.id).await? else { continue };
            let failed = [delivery.reason.as_str(), delivery.detail.as_str()];
            let failed: Vec<&str> = failed.into_iter().filter(|text| !text.is_empty()).collect();
            deliveries.push(Caused {
                problem: failed.join(": "),
                reason: delivery.message.as_ref().map_or("", |message| message.reason.as_str()),
                id: delivery.id,
                state: delivery.state,
                integration: delivery.integration,
                target: delivery.target,
                queued_at: delivery.created_at,
                finished_at: delivery.finished_at,
                attempts: delivery.attempts,
            });
        }
        let judgements = record.judgements.clone();
        let alerts: BTreeSet<String> =
            judgements.iter().filter_map(|judged| judged.fingerprint.clone()).collect();
        let mut journal = Vec::new();
        for alert in alerts {
            journal.extend(store.journal(alert, STORY_MAX).await?.into_iter().rev());
        }
        journal.retain(|entry| entry.at >= record.stored.event.received_at);
        journal.sort_by_key(|entry| entry.at);
        journal.truncate(STORY_MAX);
        Ok(Self {
            state: record.state,
            fault: record.fault.clone(),
            judgements,
            deliveries,
            journal,
        })
    }
}
