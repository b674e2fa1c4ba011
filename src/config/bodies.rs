//! Body templates of `webhook_configs`, and the messages that every template is tried with: tried out at load, so that they cannot fail for the first time at night.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::words::WebhookWords;
use super::{Account, Context};
use crate::alerts::{Fingerprint, Message, MessageAlert, Reason, Status};
use crate::diagnostic::{At, Diagnostic, Position};
use crate::event::{Event, Source};
use crate::notify::{Notification, webhook};
use crate::rules::{Labels, RuleSpec};
use crate::template::TemplateError;

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
pub(super) fn read(entry: &WebhookWords<'_>, context: Context<'_>) -> Option<Body> {
    let (key, of_file, source) = match (entry.body(), entry.body_file()) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            entry.error("body_file", "give body or body_file, not both");
            return None;
        }
        (Some(text), None) => ("body", false, text),
        (None, Some(path)) => match context.base.read(&context.base.join(&path.value)) {
            Ok(text) if text.trim().is_empty() => {
                entry.error("body_file", "the file is empty");
                return None;
            }
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

    /// Renders it for messages of every kind, of alerts that have all known labels and annotations and an event of
    /// which nothing is known.
    pub(super) fn try_out(&self, samples: &[Sample], context: Context<'_>) {
        let render =
            |notification: &Notification| webhook::render_body(self.source(), notification);
        let Some(Failure { error, message, warning }) = try_samples(samples, render) else {
            return;
        };
        let line = error.line.unwrap_or(1);
        let (place, message) = if self.of_file {
            (self.source.position.clone(), format!("line {line} of the file: {message}"))
        } else {
            (self.source.inside(line, 1), message)
        };
        context.diagnostics.push(diagnostic(place, &self.key, message, warning));
    }
}

/// A message that a template is tried with.
pub(super) struct Sample {
    /// How it differs from the usual; empty for the usual one.
    what: &'static str,
    /// Its alerts share nothing: templates may rely on what a group has in common, and are only warned.
    mixed: bool,
    notification: Notification,
}

/// What is wrong with a template.
pub(super) struct Failure {
    /// The first error.
    pub(super) error: TemplateError,
    /// The error, and for which message.
    pub(super) message: String,
    /// It works for most messages.
    pub(super) warning: bool,
}

/// Renders with each sample until one fails.
pub(super) fn try_samples(
    samples: &[Sample],
    render: impl Fn(&Notification) -> Result<String, TemplateError>,
) -> Option<Failure> {
    samples.iter().find_map(|sample| {
        let error = render(&sample.notification).err()?;
        let message = match sample.what {
            "" => error.message.clone(),
            what => format!("{}, in a message {what}", error.message),
        };
        let warning = sample.mixed && error.undefined;
        Some(Failure { error, message, warning })
    })
}

/// The problem of a template that fails.
pub(super) fn diagnostic(place: Position, key: &str, message: String, warning: bool) -> Diagnostic {
    if !warning {
        return Diagnostic::error(place, key, message);
    }
    let hint = "plain text goes out then; write {{ name | default('') }}, or use alerts[0]";
    Diagnostic::warning(place, key, message).hint(hint)
}

/// Messages of every kind.
pub(super) fn samples(names: &Names) -> Vec<Sample> {
    let usual = sample(names);
    let changed = |what, change: &dyn Fn(&mut Message)| {
        let mut notification = usual.clone();
        change(&mut notification.message);
        Sample { what, mixed: false, notification }
    };
    let over = |message: &mut Message, expired: bool, no_data: bool| {
        message.status = Status::Resolved;
        message.reason = Reason::AllResolved;
        for alert in &mut message.alerts {
            alert.status = Status::Resolved;
            (alert.expired, alert.no_data) = (expired, no_data);
        }
    };
    let several = |message: &mut Message| {
        let alert = message.alerts.first().cloned();
        message.alerts.extend(alert.iter().cloned().cycle().take(2));
        if let Some(last) = message.alerts.last_mut() {
            last.status = Status::Resolved;
        }
        message.truncated_alerts = 1;
    };
    let mut mixed = changed("whose alerts have nothing in common", &|message| {
        several(message);
        message.group_labels.clear();
        message.common_labels.clear();
        message.common_annotations.clear();
    });
    mixed.mixed = true;
    vec![
        Sample { what: "", mixed: false, notification: usual.clone() },
        changed("that resolves", &|message| over(message, false, false)),
        changed("that expires", &|message| over(message, true, false)),
        changed("that ends by no data", &|message| over(message, false, true)),
        changed("without an end", &|message| {
            for alert in &mut message.alerts {
                alert.ends_at = None;
            }
        }),
        changed("of several alerts", &several),
        changed("for a fallback", &|message| message.fallback_for = Some("sample".to_owned())),
        mixed,
    ]
}

fn sample(names: &Names) -> Notification {
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
        unheard: false,
        missed: false,
        usual: None,
        value: None,
        event: event.snapshot(),
    };
    let message = Message {
        receiver: "sample".to_owned(),
        status: Status::Firing,
        reason: Reason::First,
        reopens: false,
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
    Notification {
        key: "sample".to_owned(),
        target: String::new(),
        attempt: 1,
        now: at,
        message,
        charts: Vec::new(),
    }
}
