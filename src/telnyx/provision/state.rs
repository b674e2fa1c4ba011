//! What Telnyx has of notifications, read and understood as far as it is needed here.
//!
//! Read leniently: an id may be text or a number, a status may be any word, a list that is missing is empty. What has no
//! id is left out and counted.

use std::collections::BTreeMap;

use serde_json::Value;

use super::lists::{PAGE_ITEMS, PAGES_MAX};
use crate::telnyx::{ApiError, Client, Endpoint, ListEnd, Page};

/// The channel type that we use.
pub(super) const WEBHOOK: &str = "webhook";

/// What Telnyx has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// What it can notify of, by event and name.
    pub conditions: Vec<Condition>,
    /// Who is notified; the oldest first.
    pub profiles: Vec<Profile>,
    /// Where to; the oldest first.
    pub channels: Vec<Channel>,
    /// Of what.
    pub settings: Vec<Setting>,
    /// Entries without an id.
    pub unreadable: usize,
}

/// One thing that Telnyx can notify of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// Its id.
    pub id: String,
    /// Event and condition in Telnyx's words, such as `Number Order: completed`.
    pub title: String,
    /// Whether both are switched on at Telnyx.
    pub enabled: bool,
    /// `webhook`, `email`, `sms`, `voice`.
    pub channels: Vec<String>,
    /// Names of the parameters that a setting must have.
    pub needs: Vec<String>,
}

/// Somebody who is notified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made, as Telnyx writes it.
    pub created_at: String,
}

/// A way to notify.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// Its id.
    pub id: String,
    /// The profile that it belongs to.
    pub profile: String,
    /// `webhook`, `email`, `sms`, `voice`.
    pub kind: String,
    /// Address or number.
    pub destination: String,
    /// When it was made, as Telnyx writes it.
    pub created_at: String,
}

/// That somebody is notified of something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    /// Its id.
    pub id: String,
    /// Of what.
    pub condition: String,
    /// Who.
    pub profile: String,
    /// How, where Telnyx says.
    pub channel: Option<String>,
    /// `enabled`, `enable-pending`, `delete-pending` and others; sometimes misspelt.
    pub status: String,
}

impl Setting {
    /// Whether it is on its way out, or out.
    pub(super) fn is_ending(&self) -> bool {
        self.status.starts_with("delete")
    }
}

/// Why what Telnyx has is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It did not tell.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It is more than is read.
    #[error("{0}: more than {max} entries, so what is there is not known", max = PAGE_ITEMS * PAGES_MAX)]
    TooMany(&'static str),
    /// Telnyx does not say clearly that it is all.
    #[error("{0}: Telnyx says that there is more than it gave, so what is there is not known")]
    Partial(&'static str),
}

impl ReadError {
    /// What is wrong with a list that ended so; `None` when it is whole.
    pub(super) fn of_end(end: ListEnd, list: &'static str) -> Option<Self> {
        match end {
            ListEnd::Whole => None,
            ListEnd::Cut => Some(Self::TooMany(list)),
            ListEnd::Partial => Some(Self::Partial(list)),
        }
    }
}

/// Reads it; `progress` hears of each page, with the name of its list.
pub async fn read_state(
    client: &Client,
    progress: &mut dyn FnMut(&'static str, &Page),
) -> Result<State, ReadError> {
    let mut lists = Vec::new();
    for endpoint in [
        Endpoint::NOTIFICATION_EVENTS,
        Endpoint::NOTIFICATION_EVENT_CONDITIONS,
        Endpoint::NOTIFICATION_PROFILES,
        Endpoint::NOTIFICATION_CHANNELS,
        Endpoint::NOTIFICATION_SETTINGS,
    ] {
        lists.push(all(client, &endpoint, progress).await?);
    }
    let mut lists = lists.iter().map(Vec::as_slice);
    let mut next = || lists.next().unwrap_or_default();
    Ok(understand(next(), next(), next(), next(), next()))
}

async fn all(
    client: &Client,
    endpoint: &Endpoint,
    progress: &mut dyn FnMut(&'static str, &Page),
) -> Result<Vec<Value>, ReadError> {
    let told = |page: &Page| progress(endpoint.name, page);
    let (items, end) = client.list(endpoint, &[], PAGE_ITEMS, PAGES_MAX, told).await?;
    ReadError::of_end(end, endpoint.name).map_or(Ok(items), Err)
}

fn understand(
    events: &[Value],
    conditions: &[Value],
    profiles: &[Value],
    channels: &[Value],
    settings: &[Value],
) -> State {
    let mut unreadable = 0;
    let events: BTreeMap<String, &Value> = with_ids(events, &mut unreadable).into_iter().collect();
    let mut state = State::default();
    for (id, item) in with_ids(conditions, &mut unreadable) {
        state.conditions.push(condition(id, item, &events));
    }
    for (id, item) in with_ids(profiles, &mut unreadable) {
        let (name, created_at) = (text(item, "name"), text(item, "created_at"));
        state.profiles.push(Profile { id, name, created_at });
    }
    for (id, item) in with_ids(channels, &mut unreadable) {
        state.channels.push(Channel {
            id,
            profile: text(item, "notification_profile_id"),
            kind: text(item, "channel_type_id"),
            destination: text(item, "channel_destination"),
            created_at: text(item, "created_at"),
        });
    }
    for (id, item) in with_ids(settings, &mut unreadable) {
        let channel = text(item, "notification_channel_id");
        state.settings.push(Setting {
            id,
            condition: text(item, "notification_event_condition_id"),
            profile: text(item, "notification_profile_id"),
            channel: Some(channel).filter(|channel| !channel.is_empty()),
            status: text(item, "status"),
        });
    }
    state.unreadable = unreadable;
    state.conditions.sort_by(|a, b| (&a.title, &a.id).cmp(&(&b.title, &b.id)));
    state.profiles.sort_by(|a, b| (&a.created_at, &a.id).cmp(&(&b.created_at, &b.id)));
    state.channels.sort_by(|a, b| (&a.created_at, &a.id).cmp(&(&b.created_at, &b.id)));
    state
}

fn condition(id: String, item: &Value, events: &BTreeMap<String, &Value>) -> Condition {
    let event = events.get(&text(item, "notification_event_id"));
    let named = [event.map(|event| text(event, "name")).unwrap_or_default(), text(item, "name")];
    let mut named: Vec<String> = named.into_iter().filter(|name| !name.is_empty()).collect();
    named.dedup();
    let on = |item: &Value| item.get("enabled").and_then(Value::as_bool) != Some(false);
    let list = |key| item.get(key).and_then(Value::as_array).into_iter().flatten();
    let needed = |it: &&Value| it.get("optional").and_then(Value::as_bool) == Some(false);
    Condition {
        title: if named.is_empty() { id.clone() } else { named.join(": ") },
        enabled: on(item) && event.is_none_or(|event| on(event)),
        channels: list("supported_channels").filter_map(Value::as_str).map(str::to_owned).collect(),
        needs: list("parameters").filter(needed).map(|it| text(it, "name")).collect(),
        id,
    }
}

fn with_ids<'a>(items: &'a [Value], without: &mut usize) -> Vec<(String, &'a Value)> {
    let found: Vec<(String, &Value)> = items
        .iter()
        .map(|item| (text(item, "id"), item))
        .filter(|(id, _)| !id.is_empty())
        .collect();
    *without += items.len() - found.len();
    found
}

/// A text, or a number in its own digits; anything else is the empty text.
pub(super) fn text(item: &Value, key: &str) -> String {
    match item.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_read_leniently() {
        let state = understand(
            &[
                json!({"id": "e1", "name": "Port Out", "enabled": true}),
                json!({"id": "e2", "name": "Old", "enabled": false}),
                json!({"name": "no id"}),
            ],
            &[
                json!({"id": "c2", "name": "Port Out", "notification_event_id": "e1", "supported_channels": ["webhook", 7]}),
                json!({"id": 1, "notification_event_id": "e2", "enabled": true}),
                json!({"id": "c3", "parameters": [{"name": "phone_number", "optional": false}, {"name": "x", "optional": true}, {"name": "y"}], "supported_channels": null}),
                json!("nothing"),
            ],
            &[
                json!({"id": "p2", "name": "b", "created_at": "2026-02-01"}),
                json!({"id": "p1", "created_at": "2026-01-01"}),
            ],
            &[
                json!({"id": "k", "channel_type_id": "webhook", "channel_destination": "https://a", "notification_profile_id": "p1"}),
            ],
            &[
                json!({"id": "s", "notification_channel_id": null, "status": "enable-submtited"}),
                json!({"id": "t", "status": "delete-pending", "notification_channel_id": "k"}),
            ],
        );
        assert_eq!(state.unreadable, 2);
        let conditions: Vec<_> = state
            .conditions
            .iter()
            .map(|it| {
                (
                    it.id.as_str(),
                    it.title.as_str(),
                    it.enabled,
                    it.channels.join(","),
                    it.needs.join(","),
                )
            })
            .collect();
        assert_eq!(
            conditions,
            [
                ("1", "Old", false, String::new(), String::new()),
                ("c2", "Port Out", true, "webhook".to_owned(), String::new()),
                ("c3", "c3", true, String::new(), "phone_number".to_owned()),
            ]
        );
        assert_eq!(
            state.profiles.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(),
            ["p1", "p2"]
        );
        let settings: Vec<_> =
            state.settings.iter().map(|it| (it.channel.as_deref(), it.is_ending())).collect();
        assert_eq!(settings, [(None, false), (Some("k"), true)]);
    }
}
