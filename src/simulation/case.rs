//! What a case says: events at times, and what is expected of them.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::alerts::Matcher;
use crate::diagnostic::{At, Position};
use crate::event::{Event, Source};
use crate::rules::Labels;

/// One case; it begins with nothing.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The time of step `at: 0s`.
    pub start: Timestamp,
    /// What happens, in the order of time.
    pub steps: Vec<Step>,
}

/// One step: the clock moves, then the silence, the event and the look, as far as there are any.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it stands.
    pub place: Position,
    /// When, from the start of the case.
    pub at: Duration,
    /// Alerts that are kept quiet from now on.
    pub silence: Option<SilenceSpec>,
    /// The event.
    pub event: Option<EventSpec>,
    /// What is looked at.
    pub expect: Option<Expect>,
}

impl Step {
    /// When its last event has come, from the start of the case.
    pub fn end(&self) -> Duration {
        let repeat = self.event.as_ref().map(|event| &event.repeat);
        let after =
            repeat.map_or(Duration::ZERO, |repeat| repeat.every.saturating_mul(repeat.times - 1));
        self.at.saturating_add(after)
    }
}

/// A silence that begins at its step.
#[derive(Debug, Clone)]
pub struct SilenceSpec {
    /// Where it stands.
    pub place: Position,
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// How long.
    pub lasts: Duration,
}

/// An event, and how often it comes.
#[derive(Debug, Clone)]
pub struct EventSpec {
    /// Where it stands.
    pub place: Position,
    /// The account's name, where the case gives one.
    pub account: Option<At<String>>,
    /// Who vouches for it.
    pub source: Source,
    /// What it says.
    pub body: Body,
    /// How often.
    pub repeat: Repeat,
}

/// What an event says.
#[derive(Debug, Clone)]
pub enum Body {
    /// In parts; the envelope is put around them.
    Parts {
        /// Dotted kind.
        kind: String,
        /// Identity; one of its own when absent.
        id: Option<String>,
        /// When it happened; the time of the step when absent.
        occurred_at: Option<Timestamp>,
        /// Its own data.
        payload: Value,
    },
    /// A whole webhook body.
    Whole(Vec<u8>),
}

/// How often an event comes.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// Times in all; at least 1.
    pub times: u32,
    /// From one to the next.
    pub every: Duration,
    /// What each has of its own.
    pub vary: Vec<Field>,
}

impl Repeat {
    /// It comes once.
    pub fn once() -> Self {
        Self { times: 1, every: Duration::ZERO, vary: Vec::new() }
    }
}

/// A text of an event that differs from repeat to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The event's id.
    Id,
    /// A field of the payload, by the keys that lead to it.
    Payload(Vec<String>),
}

impl Field {
    /// Reads `id` or `payload.a.b`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "id" {
            return Some(Self::Id);
        }
        let keys: Vec<String> =
            text.strip_prefix("payload.")?.split('.').map(str::to_owned).collect();
        keys.iter().all(|key| !key.is_empty()).then_some(Self::Payload(keys))
    }

    /// Makes it the `n`-th. False when the event has no such text.
    pub(super) fn vary(&self, event: &mut Event, n: u32) -> bool {
        let text = match self {
            Self::Id => &mut event.id,
            Self::Payload(keys) => {
                let mut at = Some(&mut event.payload);
                for key in keys {
                    at = at.and_then(|value| value.get_mut(key));
                }
                match at {
                    Some(Value::String(text)) => text,
                    _ => return false,
                }
            }
        };
        write!(text, "-{n}").is_ok()
    }
}

/// What is looked at. What is `None` is not.
#[derive(Debug, Clone)]
pub struct Expect {
    /// Where it stands.
    pub place: Position,
    /// Exactly these alerts fire: each by some of its labels.
    pub alerts: Option<Vec<Labels>>,
    /// Exactly these notifications since the last look.
    pub notified: Option<Vec<NotificationSpec>>,
    /// Exactly these alerts began to be kept quiet since the last look.
    pub suppressed: Option<Vec<QuietSpec>>,
}

impl Expect {
    /// Whether nothing is looked at.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_none() && self.notified.is_none() && self.suppressed.is_none()
    }
}

/// A notice, as far as the case describes it.
#[derive(Debug, Clone)]
pub struct NotificationSpec {
    /// Name of the receiver.
    pub receiver: Option<String>,
    /// Why it was told, verbatim.
    pub reason: Option<&'static str>,
    /// `firing` or `resolved`.
    pub status: Option<&'static str>,
    /// Exactly these alerts are in it: each by some of its labels.
    pub alerts: Option<Vec<Labels>>,
    /// A part of a mail's subject.
    pub subject: Option<String>,
    /// Parts of a mail's plain text.
    pub text: Vec<String>,
    /// The kinds of integration that it goes to, sorted.
    pub channels: Option<Vec<&'static str>>,
}

/// An alert that is kept quiet, and by what.
#[derive(Debug, Clone)]
pub struct QuietSpec {
    /// The word of the reason.
    pub by: &'static str,
    /// Some of its labels.
    pub labels: Labels,
}
