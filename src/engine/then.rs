//! What was recorded of an event when it was judged.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::{
    DeliveryState, EventRecord, EventState, JournalEntry, Judgement, Store, StoreError,
};

/// Deliveries that are shown at most.
const DELIVERIES_MAX: usize = 50;
/// Lines of the story of each alert that are looked at, and of all of them that are shown, at most.
const STORY_MAX: usize = 50;

/// What was recorded of an event when it was judged.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Then {
    /// Where it stands.
    pub state: EventState,
    /// Why it could not be judged.
    pub fault: Option<String>,
    /// What rules said; that one did not match is not recorded.
    pub judgements: Vec<Judgement>,
    /// The deliveries that it caused.
    pub deliveries: Vec<Caused>,
    /// What happened to its alerts since then, oldest first.
    #[schema(value_type = Vec<Object>)]
    pub journal: Vec<JournalEntry>,
}

/// A delivery that the event caused.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Caused {
    /// The delivery.
    pub id: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// The integration's id.
    pub integration: String,
    /// The target within the integration.
    pub target: String,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When it reached its end.
    pub finished_at: Option<Timestamp>,
    /// Attempts begun.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub problem: String,
    /// Why it was notified.
    pub reason: Cow<'static, str>,
}

impl Then {
    /// Reads it.
    pub async fn of(store: &Store, record: &EventRecord) -> Result<Self, StoreError> {
        let mut deliveries = Vec::new();
        for caused in record.deliveries.iter().take(DELIVERIES_MAX) {
            let Some((delivery, _)) = store.delivery(&caused.id).await? else { continue };
            let failed = [delivery.reason.as_str(), delivery.detail.as_str()];
            let failed: Vec<&str> = failed.into_iter().filter(|text| !text.is_empty()).collect();
            deliveries.push(Caused {
                problem: failed.join(": "),
                reason: delivery
                    .message
                    .as_ref()
                    .map_or("", |message| message.reason.as_str())
                    .into(),
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
