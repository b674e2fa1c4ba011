//! What the rules make of one event, as the API answers it and the command line prints it.

use std::sync::Arc;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use tokio::runtime::Handle;
use utoipa::ToSchema;

use super::{Deps, InForce, aside};
use crate::engine::{self, Explanation, Question, Then};
use crate::event::{Event, Source};
use crate::store::{EventRecord, EventState, Store, StoreError};

/// Said of an event whose payload is gone.
pub const DROPPED: &str = "Its payload was dropped once it was judged (store.payload: none).";
/// Said of an event that is not judged yet.
pub const WAITS: &str = "It waits to be judged: this is what would come of it.";

/// What the rules make of one event.
#[derive(Debug, Serialize, ToSchema)]
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
#[derive(Debug, Serialize, ToSchema)]
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

/// What the configuration in force makes of an event, by the state as it is kept, and what is to be known before reading on.
/// `None` without a payload. `rule` is as in [`stored`].
pub async fn today(
    store: &Store,
    in_force: &Arc<InForce>,
    record: &EventRecord,
    rule: Option<&str>,
    now: Timestamp,
) -> Result<(Option<Explanation>, Vec<String>), StoreError> {
    if record.payload_dropped {
        return Ok((None, vec![DROPPED.to_owned()]));
    }
    let (store, in_force) = (store.clone(), Arc::clone(in_force));
    let (stored, judged) = (record.stored.clone(), record.state != EventState::Waiting);
    let rule = rule.map(str::to_owned);
    // All groups and metrics are read back, and every rule that names the kind is asked.
    aside(move || {
        let InForce { policy, templates, .. } = &*in_force;
        let question = Question { stored: &stored, judged, only: rule.as_deref(), templates, now };
        let kept = engine::kept_state(&store, policy, &question);
        let (state, broken) = Handle::current().block_on(kept)?;
        let notes = broken.into_iter().map(|detail| format!("Cannot be read back: {detail}."));
        Ok((Some(engine::explain(state, policy, &question)), notes.collect()))
    })
    .await?
}

/// Explains the newest event with this id, of one account only where it is named; `None` when there is none. `rule` limits
/// it to rules whose names match, with `*` globs.
pub(super) async fn stored(
    deps: &Deps,
    id: &str,
    account: Option<&str>,
    rule: Option<&str>,
) -> Result<Option<Report>, StoreError> {
    let Some(record) = deps.store.event(id, account).await? else { return Ok(None) };
    let in_force = deps.in_force.load_full();
    let now = deps.clock.now();
    let judged = record.state != EventState::Waiting;
    let then = if judged { Some(Then::of(&deps.store, &record).await?) } else { None };
    let (today, mut notes) = today(&deps.store, &in_force, &record, rule, now).await?;
    if !judged {
        notes.push(WAITS.to_owned());
    }
    Ok(Some(Report {
        event: About::of(&record.stored.event),
        config: in_force.policy.config_hash.clone(),
        now,
        notes,
        then,
        today,
        judged,
        some: rule.is_some(),
        all: false,
    }))
}
