//! Alerts, groups and silences as Alertmanager shows them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::time::written;
use crate::alerts::{
    ActiveSilences, Alert, Inhibitor, MatchOp, Matcher, Routing, Silence, SilenceState,
};
use crate::clock;
use crate::rules::Labels;
use crate::store::Silences;

/// When an alert ends of which nobody knows, seen from now: Alertmanager's `resolve_timeout`.
const OPEN_END: std::time::Duration = std::time::Duration::from_mins(5);

/// An alert.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertView {
    annotations: Labels,
    ends_at: String,
    pub(super) fingerprint: String,
    pub(super) receivers: Vec<ReceiverView>,
    starts_at: String,
    pub(super) status: AlertStatus,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none", rename = "generatorURL")]
    generator_url: Option<String>,
    pub(super) labels: Labels,
}

/// Where an alert stands.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertStatus {
    pub(super) inhibited_by: Vec<String>,
    pub(super) silenced_by: Vec<String>,
    pub(super) muted_by: Vec<String>,
    pub(super) state: &'static str,
}

/// A receiver. Its labels are its name alone.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ReceiverView {
    pub(super) name: String,
    labels: BTreeMap<&'static str, String>,
}

impl ReceiverView {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), labels: [("name", name.to_owned())].into() }
    }
}

/// What the alerts that fire are seen by: all that is needed to say where each stands.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    pub(super) routing: &'a Routing,
    pub(super) now: Timestamp,
    silences: ActiveSilences,
    inhibitor: Inhibitor,
}

impl<'a> Sight<'a> {
    pub(super) fn new(
        routing: &'a Routing,
        alerts: &[Alert],
        silences: Silences,
        now: Timestamp,
    ) -> Self {
        let Silences { version, silences } = silences;
        let inhibitor = Inhibitor::new(&routing.inhibit_rules, alerts);
        Self { routing, now, silences: ActiveSilences::new(version, silences), inhibitor }
    }

    /// An alert as it is shown.
    pub(super) fn alert(&self, alert: &Alert) -> AlertView {
        let (silenced_by, inhibited_by) = (self.silenced_by(alert), self.inhibited_by(alert));
        let quiet = !silenced_by.is_empty() || !inhibited_by.is_empty();
        let state = if quiet { "suppressed" } else { "active" };
        let external_url = self.routing.external_url.as_str();
        let generator = || format!("{external_url}/alerts/{}", alert.fingerprint);
        let ends_at = alert.ends_at.filter(|end| *end > self.now);
        let routes = self.routing.route.take(&alert.labels);
        let filled = |labels: &Labels| -> Labels {
            let filled = labels.iter().filter(|(_, value)| !value.is_empty());
            filled.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        AlertView {
            annotations: alert.annotations.clone(),
            ends_at: written(ends_at.unwrap_or_else(|| clock::add(self.now, OPEN_END))),
            fingerprint: alert.fingerprint.to_string(),
            receivers: routes.iter().map(|route| ReceiverView::new(&route.receiver)).collect(),
            starts_at: written(alert.starts_at),
            status: AlertStatus { inhibited_by, silenced_by, muted_by: Vec::new(), state },
            updated_at: written(alert.updated_at),
            generator_url: (!external_url.is_empty()).then(generator),
            labels: filled(&alert.labels),
        }
    }

    fn silenced_by(&self, alert: &Alert) -> Vec<String> {
        let found = self.silences.all_silencing(&alert.labels, self.now);
        let mut ids: Vec<String> = found.map(|one| one.id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    fn inhibited_by(&self, alert: &Alert) -> Vec<String> {
        let by = self.inhibitor.inhibited_by(&self.routing.inhibit_rules, &alert.labels);
        by.iter().map(ToString::to_string).collect()
    }
}

/// A silence.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SilenceView<'a> {
    id: &'a str,
    status: SilenceStatus,
    updated_at: String,
    comment: &'a str,
    created_by: &'a str,
    ends_at: String,
    matchers: Vec<MatcherView<'a>>,
    starts_at: String,
}

#[derive(Debug, Serialize)]
struct SilenceStatus {
    state: SilenceState,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MatcherView<'a> {
    is_equal: bool,
    is_regex: bool,
    name: &'a str,
    value: &'a str,
}

impl<'a> SilenceView<'a> {
    pub(super) fn new(silence: &'a Silence, now: Timestamp) -> Self {
        Self {
            id: &silence.id,
            status: SilenceStatus { state: silence.state(now) },
            updated_at: written(silence.updated_at),
            comment: &silence.comment,
            created_by: &silence.created_by,
            ends_at: written(silence.ends_at),
            matchers: silence.matchers.iter().map(MatcherView::new).collect(),
            starts_at: written(silence.starts_at),
        }
    }
}

impl<'a> MatcherView<'a> {
    fn new(matcher: &'a Matcher) -> Self {
        Self {
            is_equal: matches!(matcher.op(), MatchOp::Equal | MatchOp::Matches),
            is_regex: matches!(matcher.op(), MatchOp::Matches | MatchOp::NotMatches),
            name: matcher.name(),
            value: matcher.value(),
        }
    }
}
