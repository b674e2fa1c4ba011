//! Body templates of `webhook_configs`: tried out at load, so that they cannot fail for the first time at night.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::section::Section;
use super::{Account, Context, files};
use crate::alerts::{Fingerprint, Message, MessageAlert, Reason, Status};
use crate::event::{Event, Source};
use crate::notify::{Parcel, webhook};
use crate::problem::{At, Problem};
use crate::rules::{Labels, RuleSpec};

/// A template that was read and is yet to be tried.
pub(super) struct Body {
    source: At<String>,
    /// The key that gave it, as a path.
    key: String,
    /// Whether it stands in a file of its own.
    of_file: bool,
}

/// The label and annotation names that an alert of this configuration may have.
pub(super) struct Names {
    labels: BTreeSet<String>,
    annotations: BTreeSet<String>,
}

impl Names {
    /// Collects them; tollbell's own labels are among them.
    pub(super) fn of(accounts: &[Account], rules: &[RuleSpec]) -> Self {
        let own = ["alertname", "account", "currency"].map(str::to_owned);
        let fixed = accounts.iter().flat_map(|account| account.labels.keys().cloned());
        let pairs = rules.iter().flat_map(|rule| rule.labels.iter().chain(&rule.by));
        let of_rules = pairs.map(|(name, _)| name.value.clone());
        let annotations = rules.iter().flat_map(|rule| &rule.annotations);
        Self {
            labels: own.into_iter().chain(fixed).chain(of_rules).collect(),
            annotations: annotations.map(|(name, _)| name.value.clone()).collect(),
        }
    }
}

/// Reads `body` or `body_file` of an entry.
pub(super) fn read(entry: &Section<'_>, context: Context<'_>) -> Option<Body> {
    let (key, of_file, source) = match (entry.text("body"), entry.text("body_file")) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            entry.error("body_file", "give body or body_file, not both");
            return None;
        }
        (Some(text), None) => ("body", false, text),
        (None, Some(path)) => match files::read(&context.base.join(&path.value)) {
            Ok(text) => ("body_file", true, At::new(text, path.position)),
            Err(message) => {
                entry.error("body_file", message);
                return None;
            }
        },
    };
    Some(Body { source, key: entry.at(key), of_file })
}

impl Body {
    /// The template.
    pub(super) fn source(&self) -> &str {
        &self.source.value
    }

    /// Renders it for an alert that has all known labels and annotations, and an event of which nothing is known.
    pub(super) fn try_out(&self, names: &Names, context: Context<'_>) {
        let Err(error) = webhook::render_body(self.source(), &sample(names)) else { return };
        let line = error.line.unwrap_or(1);
        let (place, message) = if self.of_file {
            let place = self.source.position.clone();
            (place, format!("line {line} of the file: {}", error.message))
        } else {
            (self.source.inside(line, 1), error.message)
        };
        context.problems.push(Problem::error(place, &*self.key, message));
    }
}

fn sample(names: &Names) -> Parcel {
    let at = Timestamp::UNIX_EPOCH;
    let fill = |names: &BTreeSet<String>| -> Labels {
        names.iter().map(|name| (name.clone(), "sample".to_owned())).collect()
    };
    let (labels, annotations) = (fill(&names.labels), fill(&names.annotations));
    let event = Event {
        id: "sample".to_owned(),
        account: "sample".to_owned(),
        kind: "sample".to_owned(),
        type_as_sent: String::new(),
        occurred_at: None,
        received_at: at,
        attempt: None,
        source: Source::Webhook,
        payload: Value::Null,
        cost: None,
        charge: None,
        currency: None,
        content_hashed: false,
    };
    let alert = MessageAlert {
        fingerprint: Fingerprint::of(&labels),
        status: Status::Firing,
        expired: false,
        labels: labels.clone(),
        annotations: annotations.clone(),
        starts_at: at,
        ends_at: Some(at),
        no_data: false,
        event: event.snapshot(),
    };
    let message = Message {
        receiver: "sample".to_owned(),
        status: Status::Firing,
        reason: Reason::First,
        group_key: "sample".to_owned(),
        group_labels: labels.clone(),
        common_labels: labels,
        common_annotations: annotations,
        alerts: vec![alert],
        truncated_alerts: 0,
        external_url: String::new(),
        created_at: at,
        fallback_for: None,
    };
    Parcel { key: "sample".to_owned(), target: String::new(), attempt: 1, now: at, message }
}
