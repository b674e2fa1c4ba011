//! The `heartbeats` section.

use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::section::Section;
use super::server::target_url;
use super::{Context, files};
use crate::heartbeat::Heartbeat;

/// Heartbeats at most.
const HEARTBEATS_MAX: usize = 20;

/// Reads `heartbeats`.
pub(super) fn read(root: &Section<'_>, context: Context<'_>) -> Vec<Heartbeat> {
    let sections = root.sections("heartbeats");
    if sections.len() > HEARTBEATS_MAX {
        root.error("heartbeats", format!("more than {HEARTBEATS_MAX} heartbeats"));
    }
    let mut seen = Vec::new();
    sections.iter().filter_map(|section| heartbeat(section, context, &mut seen)).collect()
}

/// `seen` are the addresses before it.
fn heartbeat(
    section: &Section<'_>,
    context: Context<'_>,
    seen: &mut Vec<Url>,
) -> Option<Heartbeat> {
    let interval = section.duration("interval");
    let found = files::needed_secret(section, "url", context)?;
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
    Some(Heartbeat { url: found.secret, interval })
}
