//! What the rules make of one event, as the API answers it and the command line prints it.

use std::sync::Arc;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use utoipa::ToSchema;

use super::{InForce, aside};
use crate::engine::{self, Explanation, Policy, Question, State, Then};
use crate::event::{Event, Source};
use crate::notify::MessageTemplates;
use crate::store::{EventRecord, EventState, Store, StoreError};

/// Said of an event whose payload is gone.
const DROPPED: &str = "Its payload was dropped once it was judged (store.payload: none).";
/// Said of an event that is not judged yet.
pub const WAITS: &str = "It waits to be judged: this is what would come of it.";

/// What the rules make of one event.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = EventExplained)]
pub struct Report {
    /// The event.
    #[schema(inline)]
    pub event: About,
    /// Hash of the configuration that is asked today.
    pub config: String,
    /// The time now.
    pub now: Timestamp,
    /// What is to be known before reading on; whole sentences.
    pub notes: Vec<String>,
    /// What was recorded when it was judged; null before that.
    pub then: Option<Then>,
    /// What today's rules say, with the value of each part of their expressions; null when they cannot be asked.
    #[schema(value_type = Option<Object>)]
    pub today: Option<Explanation>,
    /// Whether `today` is about an event that was judged before.
    #[serde(skip)]
    pub judged: bool,
    /// Whether only some rules are shown.
    #[serde(skip)]
    pub some: bool,
    /// Whether rules that do not name the kind are listed as text.
    #[serde(skip)]
    pub all: bool,
}

/// An event, without its payload.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct About {
    /// Identity within the account.
    pub id: String,
    /// The account.
    pub account: String,
    /// Dotted kind.
    pub kind: String,
    /// Who vouches for it.
    pub source: Source,
    /// When it happened, by the sender's word.
    pub occurred_at: Option<Timestamp>,
    /// When it was taken in.
    pub received_at: Timestamp,
    /// The amount as reported on it.
    pub cost: Option<Decimal>,
    /// The amount's currency.
    pub currency: Option<String>,
}

impl About {
    /// Of an event.
    pub fn of(event: &Event) -> Self {
        Self {
            id: event.id.clone(),
            account: event.account.clone(),
            kind: event.kind.clone(),
            source: event.source,
            occurred_at: event.occurred_at,
            received_at: event.received_at,
            cost: event.cost,
            currency: event.currency.clone(),
        }
    }
}

/// What is asked, and of which configuration.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What is judged by.
    pub policy: Arc<Policy>,
    /// The texts of messages.
    pub templates: MessageTemplates,
    /// Only rules whose names match, with `*` globs.
    pub rule: Option<String>,
    /// As if nothing had happened before: no alerts, series, groups or silences.
    pub no_state: bool,
    /// The time now.
    pub now: Timestamp,
}

impl Asked {
    /// Of the configuration in force, by all of its rules, on the state as it is kept.
    pub fn of(in_force: &InForce, now: Timestamp) -> Self {
        let (policy, templates) = (Arc::clone(&in_force.policy), in_force.templates.clone());
        Self { policy, templates, rule: None, no_state: false, now }
    }
}

/// What a configuration makes of an event, by the state as it is kept, and what is to be known before reading on. `None`
/// without a payload.
pub async fn today(
    store: &Store,
    asked: Asked,
    record: &EventRecord,
) -> Result<(Option<Explanation>, Vec<String>), StoreError> {
    if record.payload_dropped {
        return Ok((None, vec![DROPPED.to_owned()]));
    }
    let (store, stored) = (store.clone(), record.stored.clone());
    let judged = record.state != EventState::Waiting;
    // All groups and metrics are read back, and every rule that names the kind is asked.
    aside(move || {
        let Asked { policy, templates, rule, no_state, now } = &asked;
        let only = rule.as_deref();
        let question = Question { stored: &stored, judged, only, templates, now: *now };
        let (state, broken) = if *no_state {
            (State::default(), Vec::new())
        } else {
            Handle::current().block_on(engine::kept_state(&store, policy, &question))?
        };
        let notes = broken.into_iter().map(|detail| format!("Cannot be read back: {detail}."));
        Ok((Some(engine::explain(state, policy, &question)), notes.collect()))
    })
    .await?
}

/// Explains the newest event with this id, of one account only where it is named; `None` when there is none.
pub async fn stored(
    store: &Store,
    asked: Asked,
    id: &str,
    account: Option<&str>,
) -> Result<Option<Report>, StoreError> {
    let Some(record) = store.event(id, account).await? else { return Ok(None) };
    let (config, now) = (asked.policy.config_hash.clone(), asked.now);
    let (some, no_state) = (asked.rule.is_some(), asked.no_state);
    let judged = record.state != EventState::Waiting;
    let then = if judged { Some(Then::of(store, &record).await?) } else { None };
    let (today, mut notes) = today(store, asked, &record).await?;
    if !judged {
        notes.push(WAITS.to_owned());
    }
    if no_state && today.is_some() {
        notes.push("Today's rules are asked on an empty state.".to_owned());
    }
    Ok(Some(Report {
        event: About::of(&record.stored.event),
        config,
        now,
        notes,
        then,
        today,
        judged,
        some,
        all: false,
    }))
}
