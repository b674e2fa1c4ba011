//! What a step writes down: what rules said, what happened to alerts, what tollbell raises about itself.

use std::sync::Arc;

use jiff::Timestamp;

use super::report::Changed;
use super::step::{At, Batch, clip};
use crate::alerts::{Alert, AlertState, Fingerprint, Transition};
use crate::event::Event;
use crate::store::{JournalEntry, Judgement};

/// Seconds in which the same trouble is raised once.
const RAISED_EVERY_SECS: i64 = 300;

impl Batch<'_> {
    /// Counts what a rule said, and keeps it so that it can be asked afterwards.
    pub(super) fn record(
        &mut self,
        at: &At<'_>,
        rule: &Arc<str>,
        outcome: &'static str,
        fingerprint: Option<&Fingerprint>,
        detail: &str,
    ) {
        self.judged.report.count(rule, outcome);
        self.judged.changes.judgements.push(Judgement {
            seq: at.seq,
            rule: rule.to_string(),
            outcome: outcome.to_owned(),
            fingerprint: fingerprint.map(ToString::to_string),
            detail: clip(detail),
            config: self.policy.config_hash.clone(),
        });
    }

    /// Writes the journal of an alert and the log's line.
    pub(super) fn note(
        &mut self,
        alert: &Alert,
        transition: Transition,
        cause: Option<&At<'_>>,
        at: Timestamp,
    ) {
        let outcome = match transition {
            Transition::Fired | Transition::FiredAndEnded => "fired",
            _ => alert.state.as_str(),
        };
        let (kind, event) =
            cause.map_or_else(Default::default, |at| (at.event.kind.clone(), at.event.id.clone()));
        self.journal(&alert.fingerprint, "", outcome, &describe(alert), at);
        self.judged.report.changed.push(Changed {
            account: alert.labels.get("account").cloned().unwrap_or_default(),
            kind,
            event,
            rule: alert.rule.clone(),
            outcome,
        });
    }

    /// Keeps a line of an alert's story.
    pub(super) fn journal(
        &mut self,
        fingerprint: &Fingerprint,
        group_key: &str,
        what: &str,
        detail: &str,
        at: Timestamp,
    ) {
        self.judged.changes.journal.push(JournalEntry {
            at,
            fingerprint: fingerprint.to_string(),
            group_key: group_key.to_owned(),
            what: what.to_owned(),
            detail: clip(detail),
        });
    }

    /// Raises an event unless the same was raised within [`RAISED_EVERY_SECS`]: its id is that of the time, which the inbox
    /// takes once.
    pub(super) fn raise_once(
        &mut self,
        kind: &str,
        of: &str,
        account: &str,
        payload: serde_json::Value,
        at: Timestamp,
    ) {
        let id = format!("{kind}:{of}:{}", at.as_second().div_euclid(RAISED_EVERY_SECS));
        let events = &mut self.judged.changes.events;
        if !events.iter().any(|event| event.id == id && event.account == account) {
            events.push(Event::tollbell(kind, account, id, at, payload));
        }
    }
}

pub(super) fn describe(alert: &Alert) -> String {
    let labels: Vec<String> =
        alert.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let value = alert.value.map_or_else(String::new, |value| format!(" value {value}"));
    let until = alert
        .ends_at
        .filter(|_| alert.state == AlertState::Firing)
        .map_or_else(String::new, |at| format!(" until {at}"));
    format!("{{{}}}{value}{until}", labels.join(", "))
}
