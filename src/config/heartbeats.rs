//! The `heartbeats` section.

use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::server::target_url;
use super::words::{ConfigWords, HeartbeatWords};
use super::{Context, files};
use crate::heartbeat::Heartbeat;

/// Heartbeats at most.
const HEARTBEATS_MAX: usize = 20;

/// Reads `heartbeats`.
pub(super) fn read(root: &ConfigWords<'_>, context: Context<'_>) -> Vec<Heartbeat> {
    let sections = root.heartbeats();
    if sections.len() > HEARTBEATS_MAX {
        root.error("heartbeats", format!("more than {HEARTBEATS_MAX} heartbeats"));
    }
    let mut seen = Vec::new();
    sections.iter().filter_map(|section| heartbeat(section, context, &mut seen)).collect()
}

/// `seen` are the addresses before it.
fn heartbeat(
    section: &HeartbeatWords<'_>,
    context: Context<'_>,
    seen: &mut Vec<Url>,
) -> Option<Heartbeat> {
    let interval = section.interval();
    let found = files::needed_secret(section, "url", [section.url(), section.url_file()], context)?;
    let url = target_url(found.text.expose_secret(), context)
        .map_err(|message| section.error(&found.key, message))
        .ok()?;
    if seen.contains(&url) {
        section.warning(
            &found.key,
            "the same address twice: one heartbeat hides that the other is missing",
        );
    } else {
        seen.push(url);
    }
    Some(Heartbeat { url: found.secret, interval, proxy: context.proxy.cloned() })
}
