//! Receivers that are alerting systems themselves: `pagerduty_configs` and `alertmanager_configs`.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;

use super::diagnostics::quote;
use super::receivers::{Identified, check_url, headers, target};
use super::words::{AlertmanagerWords, PagerDutyWords};
use super::{Context, files, server};
use crate::diagnostic::Diagnostic;
use crate::notify::{Channel, alertmanager, pagerduty};
use crate::secret::Secret;

/// Length of a routing key, in characters: PagerDuty's own.
const ROUTING_KEY_CHARS: usize = 32;
/// What is added to the address of an Alertmanager.
const ALERTS_PATH: &str = "/api/v2/alerts";

/// Reads one entry of `pagerduty_configs`.
pub(super) fn read_pagerduty(
    entry: &PagerDutyWords<'_>,
    context: Context<'_>,
) -> Option<Identified> {
    let found = files::needed_secret(
        entry,
        "routing_key",
        [entry.routing_key(), entry.routing_key_file()],
        context,
    );
    let url = entry.url().value;
    let parsed =
        server::target_url(&url, context).map_err(|message| entry.error("url", message)).ok();
    let client_url = entry.client_url().map(|url| url.value);
    if let Some(Err(message)) = client_url.as_deref().map(server::http_url) {
        entry.error("client_url", message);
    }
    let severity = severities(entry);
    let via = files::via(entry, entry.proxy_url(), context);
    let found = found?;
    if found.text.expose_secret().chars().count() != ROUTING_KEY_CHARS {
        let message = format!("a routing key of PagerDuty has {ROUTING_KEY_CHARS} characters");
        entry.warning(&found.key, message);
    }
    let settings = pagerduty::PagerDutySettings {
        url: Secret::inline(url),
        routing_key: found.secret,
        severity,
        client: entry.client().value,
        client_url,
        via,
    };
    let target = vec![found.place, parsed?.origin().ascii_serialization()];
    Some((Channel::PagerDuty(settings), target))
}

fn severities(entry: &PagerDutyWords<'_>) -> BTreeMap<String, pagerduty::Severity> {
    let mut severities = BTreeMap::new();
    for (label, word) in entry.severity() {
        if let Some(severity) = pagerduty::Severity::of_word(&word.value) {
            severities.insert(label.value, severity);
        } else {
            let path = format!("{}.{}", entry.at("severity"), quote(&label.value));
            let words = pagerduty::Severity::WORDS.map(|(word, _)| word).join(", ");
            let message = format!("expected one of {words}");
            entry.push(Diagnostic::error(word.position, path, message));
        }
    }
    severities
}

/// Reads one entry of `alertmanager_configs`.
pub(super) fn read_alertmanager(
    entry: &AlertmanagerWords<'_>,
    context: Context<'_>,
) -> Option<Identified> {
    let found = files::needed_secret(entry, "url", [entry.url(), entry.url_file()], context);
    let headers = headers(entry, entry.headers(), entry.header_files(), context);
    let via = files::via(entry, entry.proxy_url(), context);
    let found = found?;
    let url = check_url(entry, &found, context);
    if url.as_ref().is_some_and(|url| url.path().trim_end_matches('/').ends_with(ALERTS_PATH)) {
        entry.error(&found.key, format!("leave {ALERTS_PATH} away: it is added"));
    }
    if url.as_ref().is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
        entry.error(&found.key, "the URL must end with its path: no ? and no #");
    }
    let target = target(&found, url)?;
    let settings = alertmanager::AlertmanagerSettings { url: found.secret, headers, via };
    Some((Channel::Alertmanager(settings), vec![target]))
}
