//! The `heartbeats` section.

use secrecy::ExposeSecret as _;

use super::section::Section;
use super::server::http_url;
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
    sections.iter().filter_map(|section| heartbeat(section, context)).collect()
}

fn heartbeat(section: &Section<'_>, context: Context<'_>) -> Option<Heartbeat> {
    let interval = section.duration("interval");
    let found = files::needed_secret(section, "url", context)?;
    if let Err(message) = http_url(found.text.expose_secret()) {
        section.error(&found.key, message);
        return None;
    }
    Some(Heartbeat { url: found.secret, interval })
}
