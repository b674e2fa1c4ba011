//! What is asked, with all that the answer is made of.

use jiff::Timestamp;

use crate::engine::policy::Policy;
use crate::engine::state::State;
use crate::engine::step::Judged;
use crate::event::Event;
use crate::notify::MessageTemplates;
use crate::rules::CallContext;
use crate::store::StoredEvent;

/// A question with all that its answer is made of.
pub(super) struct Asked<'q> {
    pub(super) policy: &'q Policy,
    pub(super) question: &'q Question<'q>,
    pub(super) at: Timestamp,
    pub(super) event: Event,
    pub(super) call: Option<CallContext>,
    pub(super) before: State,
    pub(super) after: State,
    /// What judging the event did; nothing when it was judged before.
    pub(super) done: Judged,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The event; when it is new, its place in the inbox is behind the state's cursor.
    pub stored: &'q StoredEvent,
    /// Whether it was judged before: then nothing is added again.
    pub judged: bool,
    /// Only the rules whose names fit this; `*` stands for anything.
    pub only: Option<&'q str>,
    /// The texts of messages.
    pub templates: &'q MessageTemplates,
    /// The time now.
    pub now: Timestamp,
}
