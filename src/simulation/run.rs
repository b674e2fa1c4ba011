//! Runs one case.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::case::{Body, Case, EventSpec, SilenceSpec, Step};
use super::check::{self, Mismatch};
use super::world::World;
use crate::alerts::{Silence, SilenceDraft};
use crate::clock;
use crate::diagnostic::{Diagnostic, Position};
use crate::engine::Policy;
use crate::event::{self, Event, Incoming, PayloadPolicy, Source};
use crate::notify::MessageTemplates;

/// The account that is meant where there are several and a case names none.
const DEFAULT_ACCOUNT: &str = "default";

/// What cases are run against.
#[derive(Debug)]
pub struct Stage {
    /// What is judged by.
    pub policy: Policy,
    /// The accounts, at least one.
    pub accounts: Vec<Account>,
    /// How much of a payload is stored.
    pub payload: PayloadPolicy,
    /// The texts of messages.
    pub templates: MessageTemplates,
}

/// An account, as far as events must know it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Name.
    pub name: String,
    /// ISO 4217 code, where an event names none.
    pub currency: Option<String>,
}

/// A case that does not hold: its first step that does not.
#[derive(Debug)]
pub struct Failure {
    /// Where the step, or what it expects, stands.
    pub place: Position,
    /// The time of the step from the start of the case.
    pub at: Duration,
    /// The time then.
    pub now: Timestamp,
    /// What is different.
    pub mismatches: Vec<Mismatch>,
}

impl Stage {
    fn account(&self, spec: &EventSpec) -> Result<&Account, Diagnostic> {
        let wanted = spec.account.as_ref();
        if wanted.is_none() && self.accounts.len() == 1 {
            return self.accounts.first().ok_or_else(|| no_account(&spec.place, DEFAULT_ACCOUNT));
        }
        let (name, place) = wanted
            .map_or((DEFAULT_ACCOUNT, &spec.place), |wanted| (&*wanted.value, &wanted.position));
        let found = self.accounts.iter().find(|account| account.name == name);
        found.ok_or_else(|| no_account(place, name))
    }

    /// What a case asks for that is not there.
    pub fn check(&self, case: &Case) -> Vec<Diagnostic> {
        let events = case.steps.iter().filter_map(|step| step.event.as_ref());
        events.filter_map(|event| self.account(event).err()).collect()
    }
}

fn no_account(place: &Position, name: &str) -> Diagnostic {
    let name: String = name.chars().take(64).collect();
    Diagnostic::error(place.clone(), "", format!("no account has the name {name:?}"))
        .hint("give account, one of the configuration's")
}

/// Runs a case that [`Stage::check`] finds nothing wrong with, up to the first step that does not hold.
pub fn run(stage: &Stage, case: &Case) -> Result<(), Failure> {
    let mut world = World::new(&stage.policy, case.start);
    for (n, step) in case.steps.iter().enumerate() {
        let failed = |place: &Position, now: Timestamp, mismatches: Vec<Mismatch>| Failure {
            place: place.clone(),
            at: step.at,
            now,
            mismatches,
        };
        world.advance(clock::add(case.start, step.at));
        if let Some(silence) = &step.silence {
            let made = silence_of(silence, world.now());
            let made = made.map_err(|why| failed(&silence.place, world.now(), vec![why]))?;
            world.silence(made);
        }
        if let Some(event) = &step.event {
            feed(stage, &mut world, n, step, event)
                .map_err(|why| failed(&event.place, world.now(), vec![why]))?;
        }
        if let Some(expect) = &step.expect {
            let mismatches = check::look(&stage.templates, &mut world, expect);
            if !mismatches.is_empty() {
                return Err(failed(&expect.place, world.now(), mismatches));
            }
        }
    }
    Ok(())
}

fn silence_of(spec: &SilenceSpec, now: Timestamp) -> Result<Silence, Mismatch> {
    let draft = SilenceDraft {
        matchers: spec.matchers.clone(),
        starts_at: now,
        ends_at: clock::add(now, spec.lasts),
        created_by: "case".to_owned(),
        comment: "case".to_owned(),
    };
    let made = Silence::new(draft, now);
    made.map_err(|error| Mismatch { what: "silence", lines: vec![error.to_string()] })
}

/// Feeds the event of the `n`-th step, as often as it comes.
fn feed(
    stage: &Stage,
    world: &mut World<'_>,
    n: usize,
    step: &Step,
    spec: &EventSpec,
) -> Result<(), Mismatch> {
    let start = world.now();
    let wrong = |line: String| Mismatch { what: "event", lines: vec![line] };
    let Ok(account) = stage.account(spec) else {
        return Err(wrong("it names no account of the configuration".to_owned()));
    };
    let repeat = &spec.repeat;
    for turn in 0..repeat.times {
        let at = clock::add(start, repeat.every.saturating_mul(turn));
        let mut event = event_of(stage, account, spec, n, at);
        for field in repeat.vary.iter().filter(|_| repeat.times > 1) {
            if !field.vary(&mut event, turn + 1) {
                let line = "repeat.vary names a field that is no text of the payload".to_owned();
                return Err(Mismatch { what: "event", lines: vec![line] });
            }
        }
        world.feed(event);
    }
    debug_assert!(world.now() == clock::add(start, step.end().saturating_sub(step.at)));
    Ok(())
}

/// The event as intake would make it of what came at `at`.
fn event_of(stage: &Stage, account: &Account, spec: &EventSpec, n: usize, at: Timestamp) -> Event {
    let body = match &spec.body {
        Body::Whole(bytes) => bytes.clone(),
        Body::Parts { kind, id, occurred_at, payload } => {
            let id = id.clone().unwrap_or_else(|| format!("event-{n}"));
            let data = json!({
                "record_type": "event",
                "event_type": kind,
                "id": id,
                "occurred_at": occurred_at.unwrap_or(at),
                "payload": payload,
            });
            json!({ "data": data }).to_string().into_bytes()
        }
    };
    // What tollbell itself makes is not masked.
    let is_own = match spec.source {
        Source::Webhook => false,
        Source::Poller | Source::Tollbell => true,
        Source::Backfill => {
            matches!(&spec.body, Body::Parts { kind, .. } if kind.ends_with(".reconciled"))
        }
    };
    let mut event = event::parse(&Incoming {
        account: &account.name,
        default_currency: account.currency.as_deref(),
        content_type: None,
        body: &body,
        received_at: at,
        policy: if is_own { PayloadPolicy::Full } else { stage.payload },
    });
    event.source = spec.source;
    event
}
