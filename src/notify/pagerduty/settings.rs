//! What the configuration says of it.

use std::collections::BTreeMap;

use crate::http::Via;
use crate::secret::Secret;

/// The settings of a `pagerduty_configs` entry.
#[derive(Debug, Clone)]
pub struct PagerDutySettings {
    /// Where events are posted to.
    pub url: Secret,
    /// Integration key; a secret.
    pub routing_key: Secret,
    /// What the values of the label `severity` mean, besides the usual words.
    pub severity: BTreeMap<String, Severity>,
    /// Who sends, as PagerDuty shows it.
    pub client: String,
    /// Where that leads; `server.external_url` when absent.
    pub client_url: Option<String>,
    /// The way there.
    pub via: Via,
}

/// PagerDuty's severities, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nobody is woken.
    Info,
    /// Also what has no known severity.
    Warning,
    /// High urgency.
    Error,
    /// High urgency.
    Critical,
}

impl Severity {
    /// Their words, the least first.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("info", Self::Info),
        ("warning", Self::Warning),
        ("error", Self::Error),
        ("critical", Self::Critical),
    ];

    /// The severity that PagerDuty calls so.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|(known, _)| *known == word).map(|(_, severity)| severity)
    }

    pub(super) fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, severity)| *severity == self)
            .map_or("warning", |(word, _)| *word)
    }
}
