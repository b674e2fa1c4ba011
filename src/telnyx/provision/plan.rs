//! What is to be done, as a value: from what Telnyx has and what is wanted. Pure.
//!
//! Ours are the profiles with exactly our name, in them the webhook channels to exactly our address, and the settings
//! of such a profile that go to such a channel, to none, or to one that is gone. All else is somebody else's.

use serde::Serialize;
use serde_json::Value;

use super::state::{Channel, Condition, Profile, Setting, State, WEBHOOK};
use super::webhook_settings::Kind;
use super::{Destination, WebhookSetting, WrongId};

/// Said where Telnyx has notifications of a low balance: most accounts get them by e-mail at best.
const BALANCE_IS_READ: &str = "A low balance needs no setting: tollbell reads the balance itself.";

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredState {
    /// Where Telnyx is to send.
    pub url: String,
    /// That it no longer does.
    pub delete: bool,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Where Telnyx sends.
    pub url: String,
    /// Each thing that is looked at, and what becomes of it.
    pub items: Vec<Item>,
    /// What the user should know, one sentence each.
    pub notes: Vec<String>,
    /// The profile that what is made belongs to; `None` when it is made, too.
    #[serde(skip)]
    pub(super) profile: Option<String>,
    /// The channel that settings go to; `None` when it is made, too.
    #[serde(skip)]
    pub(super) channel: Option<String>,
}

/// One thing at Telnyx, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// What becomes of it.
    pub action: Action,
    /// What it is.
    #[serde(flatten)]
    pub object: Object,
    /// Its name for people.
    pub name: String,
    /// Its id, once it has one.
    pub id: Option<String>,
    /// Why, or in which state it is.
    pub note: Option<String>,
}

/// What becomes of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is there and stays.
    Keep,
    /// It cannot be made, or is not ours to take away.
    Skip,
    /// It is taken away.
    Delete,
    /// It is switched on.
    Enable,
}

impl Action {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Keep => "keep",
            Self::Skip => "skip",
            Self::Delete => "delete",
            Self::Enable => "enable",
        }
    }

    /// Whether it changes something at Telnyx.
    pub fn changes(self) -> bool {
        matches!(self, Self::Create | Self::Delete | Self::Enable)
    }
}

/// What a thing is, with what it takes to make it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum Object {
    /// A notification profile.
    Profile,
    /// A notification channel.
    Channel,
    /// A notification setting.
    Setting {
        /// Of what it notifies.
        condition_id: String,
    },
    /// The costs of calls in webhooks.
    CallCost {
        /// Of what.
        kind: Kind,
        /// What is sent to switch them on.
        #[serde(skip)]
        body: Value,
    },
}

impl Object {
    /// Its word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Channel => "channel",
            Self::Setting { .. } => "setting",
            Self::CallCost { .. } => "call cost",
        }
    }
}

impl Plan {
    /// What changes something.
    pub fn steps(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.action.changes())
    }

    fn push(&mut self, action: Action, object: Object, name: &str, id: Option<&str>, note: &str) {
        let note = Some(note.to_owned()).filter(|note| !note.is_empty());
        let id = id.map(str::to_owned);
        self.items.push(Item { action, object, name: name.to_owned(), id, note });
    }
}

/// The name of our profile. There is no other record of what is ours.
pub fn profile_name(url: &str) -> String {
    format!("tollbell {url}")
}

/// What is to be done so that `desired` holds.
pub fn plan(state: &State, desired: &DesiredState) -> Plan {
    let mut made = Plan { url: desired.url.clone(), ..Plan::default() };
    if desired.delete {
        delete(&mut made, state);
    } else {
        provide(&mut made, state);
    }
    if state.unreadable > 0 {
        let entries = if state.unreadable == 1 { "entry has" } else { "entries have" };
        made.notes
            .push(format!("{} {entries} no id and could not be looked at.", state.unreadable));
    }
    made
}

/// The profiles with our name, the oldest first.
fn our_profiles<'a>(state: &'a State, url: &str) -> Vec<&'a Profile> {
    let name = profile_name(url);
    state.profiles.iter().filter(|profile| profile.name == name).collect()
}

/// Our channels in a profile, the oldest first.
fn our_channels<'a>(state: &'a State, profile: &str, url: &str) -> Vec<&'a Channel> {
    let ours = |it: &&Channel| it.profile == profile && it.kind == WEBHOOK && it.destination == url;
    state.channels.iter().filter(ours).collect()
}

fn provide(plan: &mut Plan, state: &State) {
    let (url, name) = (plan.url.clone(), profile_name(&plan.url));
    let profiles = our_profiles(state, &url);
    let profile = profiles.first().map(|profile| profile.id.as_str());
    let what = |there: Option<&str>| if there.is_some() { Action::Keep } else { Action::Create };
    plan.push(what(profile), Object::Profile, &name, profile, "");
    let channels = profile.map(|id| our_channels(state, id, &url)).unwrap_or_default();
    let channel = channels.first().map(|channel| channel.id.as_str());
    plan.push(what(channel), Object::Channel, &format!("webhook to {url}"), channel, "");
    let listed = |id: &str| state.channels.iter().any(|channel| channel.id == id);
    let (mut skipped, mut lost) = (Vec::new(), 0);
    for condition in &state.conditions {
        let of_it: Vec<&Setting> = state
            .settings
            .iter()
            .filter(|it| it.condition == condition.id && Some(it.profile.as_str()) == profile)
            .collect();
        let to_us = |it: &&&Setting| {
            it.channel.as_ref().is_none_or(|id| channels.iter().any(|channel| channel.id == *id))
        };
        let object = Object::Setting { condition_id: condition.id.clone() };
        if let Some(there) = of_it.iter().filter(to_us).find(|it| !it.is_ending()) {
            let status = if there.status == "enabled" { "" } else { there.status.as_str() };
            plan.push(Action::Keep, object, &condition.title, Some(&there.id), status);
            continue;
        }
        let gone = |it: &&&Setting| it.channel.as_ref().is_some_and(|id| !listed(id));
        lost += of_it.iter().filter(gone).filter(|it| !it.is_ending()).count();
        if let Some(why) = obstacle(condition) {
            skipped.push((object, condition, why));
        } else {
            let ending = of_it.iter().any(|it| it.is_ending());
            let note = if ending { "the one before is being deleted" } else { "" };
            plan.push(Action::Create, object, &condition.title, None, note);
        }
    }
    for (object, condition, why) in skipped {
        plan.push(Action::Skip, object, &condition.title, None, &why);
    }
    (plan.profile, plan.channel) = (profile.map(str::to_owned), channel.map(str::to_owned));
    several(plan, profiles.len(), "profiles have our name");
    several(plan, channels.len(), "channels of our profile lead here");
    if state.conditions.iter().any(is_about_money) {
        plan.notes.push(BALANCE_IS_READ.to_owned());
    }
    if lost > 0 {
        plan.notes.push(format!(
            "{lost} of our settings lead to a channel that is gone; --delete takes them away."
        ));
    }
}

fn several(plan: &mut Plan, count: usize, what: &str) {
    if count > 1 {
        plan.notes.push(format!(
            "{count} {what}: the oldest is used. Run --delete, then this again, and there is one."
        ));
    }
}

/// Whether a condition is about what tollbell polls. Source: Low Balance, Low Available Credit in Telnyx's portal.
fn is_about_money(condition: &Condition) -> bool {
    let title = condition.title.to_lowercase();
    title.contains("low balance") || title.contains("available credit")
}

/// Why no setting can be made for a condition.
fn obstacle(condition: &Condition) -> Option<String> {
    if !condition.enabled {
        return Some("switched off at Telnyx".to_owned());
    }
    if condition.channels.iter().any(|channel| channel == WEBHOOK) {
        let needs = condition.needs.join(" and ");
        return (!needs.is_empty()).then(|| format!("needs {needs}"));
    }
    let names: Vec<&str> = condition
        .channels
        .iter()
        .map(|channel| if channel == "email" { "e-mail" } else { channel.as_str() })
        .collect();
    Some(match names.as_slice() {
        [] => "by no channel that Telnyx names".to_owned(),
        names => format!("by {} only", names.join(" and ")),
    })
}

fn delete(plan: &mut Plan, state: &State) {
    let (url, name) = (plan.url.clone(), profile_name(&plan.url));
    let (mut channels, mut profiles) = (Vec::new(), Vec::new());
    for profile in our_profiles(state, &url) {
        let ours = our_channels(state, &profile.id, &url);
        let is_ours = |id: &str| ours.iter().any(|channel| channel.id == id);
        let listed = |id: &str| state.channels.iter().any(|channel| channel.id == id);
        let mut foreign =
            state.channels.iter().filter(|it| it.profile == profile.id && !is_ours(&it.id)).count();
        for setting in state.settings.iter().filter(|it| it.profile == profile.id) {
            let condition_id = setting.condition.clone();
            let titled = state.conditions.iter().find(|it| it.id == condition_id);
            let title = titled.map_or(condition_id.clone(), |it| it.title.clone());
            let object = Object::Setting { condition_id };
            if setting.channel.as_ref().is_some_and(|id| !is_ours(id) && listed(id)) {
                foreign += 1;
                plan.push(Action::Skip, object, &title, Some(&setting.id), "not ours");
            } else if !setting.is_ending() {
                plan.push(Action::Delete, object, &title, Some(&setting.id), "");
            }
        }
        channels.extend(ours.iter().map(|channel| channel.id.as_str()));
        profiles.push((profile.id.as_str(), foreign));
    }
    for id in channels {
        plan.push(Action::Delete, Object::Channel, &format!("webhook to {url}"), Some(id), "");
    }
    for (id, foreign) in profiles {
        let (action, note) = match foreign {
            0 => (Action::Delete, ""),
            _ => (Action::Skip, "holds what tollbell did not make"),
        };
        plan.push(action, Object::Profile, &name, Some(id), note);
    }
}

/// Costs of calls switched on for exactly these.
pub fn enable_call_cost(places: &[WebhookSetting], ids: &[String]) -> Result<Plan, Vec<WrongId>> {
    let (mut made, mut wrong) = (Plan::default(), Vec::new());
    for id in ids {
        let named: Vec<&WebhookSetting> = places.iter().filter(|place| place.id == *id).collect();
        let able = named.iter().find_map(|place| Some((place, place.enable.as_ref()?)));
        let Some((place, body)) = able else {
            wrong.push(WrongId { id: id.clone(), kind: named.first().map(|place| place.kind) });
            continue;
        };
        if made.items.iter().any(|item| item.id.as_ref() == Some(id)) {
            continue;
        }
        let on = place.call_cost == Some(true);
        let action = if on { Action::Keep } else { Action::Enable };
        let elsewhere = place.webhook != Destination::Here;
        let note: Vec<String> = [
            Some(format!("{} {id}", place.kind.label())),
            on.then(|| "on already".to_owned()),
            elsewhere.then(|| format!("sends to {}", place.webhook)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let object = Object::CallCost { kind: place.kind, body: body.clone() };
        made.push(action, object, &place.name, Some(id), &note.join(", "));
    }
    if wrong.is_empty() { Ok(made) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::json;

    use super::*;

    const URL: &str = "https://hooks.example.com/webhooks/telnyx";

    fn condition(id: &str, title: &str, channels: &[&str], needs: &[&str]) -> Condition {
        let all = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let (id, title) = (id.to_owned(), title.to_owned());
        Condition { id, title, enabled: true, channels: all(channels), needs: all(needs) }
    }

    fn profile(id: &str, url: &str) -> Profile {
        Profile { id: id.into(), name: profile_name(url), created_at: String::new() }
    }

    fn channel(id: &str, profile: &str, kind: &str, destination: &str) -> Channel {
        let (id, profile, kind) = (id.into(), profile.into(), kind.into());
        Channel { id, profile, kind, destination: destination.into(), created_at: String::new() }
    }

    fn setting(id: &str, condition: &str, at: &str, channel: &str, status: &str) -> Setting {
        Setting {
            id: id.into(),
            condition: condition.into(),
            profile: at.into(),
            channel: Some(channel.to_owned()).filter(|channel| !channel.is_empty()),
            status: status.into(),
        }
    }

    /// Two things that can be brought here, and each obstacle.
    fn fresh() -> State {
        State {
            conditions: vec![
                condition("c1", "Number Order: completed", &["webhook"], &[]),
                condition("c2", "Port Out: changed", &["email", "webhook"], &[]),
                condition("c3", "Emergency: dialed", &["webhook", "sms"], &["phone_number"]),
                condition("c4", "Low Balance: below", &["email"], &[]),
                condition("c5", "Silent", &[], &[]),
                Condition { enabled: false, ..condition("c6", "Retired", &["webhook"], &[]) },
            ],
            ..State::default()
        }
    }

    /// Each item on a line, then the notes.
    fn shown(state: &State, delete: bool) -> String {
        let plan = plan(state, &DesiredState { url: URL.to_owned(), delete });
        let mut text = String::new();
        for item in &plan.items {
            let (action, object) = (item.action.as_str(), item.object.as_str());
            let (id, note) = (item.id.as_deref().unwrap_or("-"), item.note.as_deref());
            let name = item.name.replace(URL, "URL");
            writeln!(text, "{action} {object} {id} {name} ({})", note.unwrap_or_default()).unwrap();
        }
        plan.notes.iter().for_each(|note| writeln!(text, "{note}").unwrap());
        text
    }

    #[test]
    fn a_fresh_account_gets_all_that_can_come_by_webhook() {
        insta::assert_snapshot!(shown(&fresh(), false), @r"
        create profile - tollbell URL ()
        create channel - webhook to URL ()
        create setting - Number Order: completed ()
        create setting - Port Out: changed ()
        skip setting - Emergency: dialed (needs phone_number)
        skip setting - Low Balance: below (by e-mail only)
        skip setting - Silent (by no channel that Telnyx names)
        skip setting - Retired (switched off at Telnyx)
        A low balance needs no setting: tollbell reads the balance itself.
        ");
        assert_eq!(shown(&fresh(), true), "");
    }

    #[test]
    fn what_is_there_is_kept_and_the_rest_is_made() {
        let mut state = fresh();
        state.profiles = vec![profile("px", "https://other.example.com"), profile("p1", URL)];
        state.channels = vec![
            channel("kx", "px", WEBHOOK, URL),
            channel("ke", "p1", "email", "ops@example.com"),
            channel("k1", "p1", WEBHOOK, URL),
        ];
        // Asked for of another channel of ours, of somebody else's profile, and on its way out.
        state.settings = vec![
            setting("s1", "c1", "p1", "k1", "enable-submtited"),
            setting("sx", "c2", "px", "kx", "enabled"),
            setting("se", "c2", "p1", "ke", "enabled"),
            setting("sd", "c2", "p1", "k1", "delete-pending"),
            setting("s3", "c3", "p1", "", "enabled"),
        ];
        insta::assert_snapshot!(shown(&state, false), @r"
        keep profile p1 tollbell URL ()
        keep channel k1 webhook to URL ()
        keep setting s1 Number Order: completed (enable-submtited)
        create setting - Port Out: changed (the one before is being deleted)
        keep setting s3 Emergency: dialed ()
        skip setting - Low Balance: below (by e-mail only)
        skip setting - Silent (by no channel that Telnyx names)
        skip setting - Retired (switched off at Telnyx)
        A low balance needs no setting: tollbell reads the balance itself.
        ");
    }

    #[test]
    fn only_what_is_ours_is_deleted_and_settings_first() {
        let mut state = fresh();
        state.profiles = vec![profile("px", "https://other.example.com"), profile("p1", URL)];
        state.channels = vec![channel("kx", "px", WEBHOOK, URL), channel("k1", "p1", WEBHOOK, URL)];
        state.settings = vec![
            setting("sx", "c1", "px", "kx", "enabled"),
            setting("s1", "c1", "p1", "k1", "enabled"),
            setting("s2", "c2", "p1", "", "enable-pending"),
            setting("sd", "c2", "p1", "k1", "deleted"),
            setting("sl", "gone", "p1", "no longer there", "enabled"),
        ];
        insta::assert_snapshot!(shown(&state, true), @r"
        delete setting s1 Number Order: completed ()
        delete setting s2 Port Out: changed ()
        delete setting sl gone ()
        delete channel k1 webhook to URL ()
        delete profile p1 tollbell URL ()
        ");
        // Somebody else has put a channel of his own into our profile.
        state.channels.push(channel("ke", "p1", "email", "ops@example.com"));
        state.settings.push(setting("se", "c2", "p1", "ke", "enabled"));
        insta::assert_snapshot!(shown(&state, true), @r"
        delete setting s1 Number Order: completed ()
        delete setting s2 Port Out: changed ()
        delete setting sl gone ()
        skip setting se Port Out: changed (not ours)
        delete channel k1 webhook to URL ()
        skip profile p1 tollbell URL (holds what tollbell did not make)
        ");
    }

    #[test]
    fn a_race_and_a_channel_that_is_gone_are_said() {
        let mut state = fresh();
        state.profiles = vec![profile("p1", URL), profile("p2", URL)];
        state.channels = ["k1", "k2"].map(|id| channel(id, "p1", WEBHOOK, URL)).to_vec();
        state.channels.push(channel("k3", "p2", WEBHOOK, URL));
        state.settings = vec![
            setting("s1", "c1", "p1", "k2", "enabled"),
            setting("s2", "c2", "p1", "gone", "enabled"),
        ];
        state.unreadable = 1;
        insta::assert_snapshot!(shown(&state, false), @r"
        keep profile p1 tollbell URL ()
        keep channel k1 webhook to URL ()
        keep setting s1 Number Order: completed ()
        create setting - Port Out: changed ()
        skip setting - Emergency: dialed (needs phone_number)
        skip setting - Low Balance: below (by e-mail only)
        skip setting - Silent (by no channel that Telnyx names)
        skip setting - Retired (switched off at Telnyx)
        2 profiles have our name: the oldest is used. Run --delete, then this again, and there is one.
        2 channels of our profile lead here: the oldest is used. Run --delete, then this again, and there is one.
        A low balance needs no setting: tollbell reads the balance itself.
        1 of our settings lead to a channel that is gone; --delete takes them away.
        1 entry has no id and could not be looked at.
        ");
        insta::assert_snapshot!(shown(&state, true), @r"
        delete setting s1 Number Order: completed ()
        delete setting s2 Port Out: changed ()
        delete channel k1 webhook to URL ()
        delete channel k2 webhook to URL ()
        delete channel k3 webhook to URL ()
        delete profile p1 tollbell URL ()
        delete profile p2 tollbell URL ()
        1 entry has no id and could not be looked at.
        ");
    }

    #[test]
    fn costs_are_switched_on_for_exactly_these() {
        let place = |kind: Kind, id: &str, call_cost| WebhookSetting {
            kind,
            id: id.to_owned(),
            name: format!("name of {id}"),
            webhook: if id == "2" { Destination::None } else { Destination::Here },
            failover: Destination::None,
            call_cost,
            webhook_api_version: None,
            enable: kind.has_call_cost().then(|| json!({"call_cost_in_webhooks": true})),
        };
        let places = [
            place(Kind::CallControlApplication, "1", Some(false)),
            place(Kind::FqdnConnection, "2", None),
            place(Kind::IpConnection, "3", Some(true)),
            place(Kind::IpConnection, "4", Some(false)),
            place(Kind::MessagingProfile, "m", None),
        ];
        let ids = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
        let plan = enable_call_cost(&places, &ids(&["2", "1", "3", "1"])).unwrap();
        let items: Vec<_> = plan
            .items
            .iter()
            .map(|item| (item.action.as_str(), item.name.as_str(), item.note.as_deref().unwrap()))
            .collect();
        assert_eq!(
            items,
            [
                ("enable", "name of 2", "FQDN connection 2, sends to nowhere"),
                ("enable", "name of 1", "Voice API app 1"),
                ("keep", "name of 3", "IP connection 3, on already"),
            ]
        );
        let wrong = enable_call_cost(&places, &ids(&["1", "m", "5"])).unwrap_err();
        let wrong: Vec<_> = wrong.iter().map(|it| (it.id.as_str(), it.kind)).collect();
        assert_eq!(wrong, [("m", Some(Kind::MessagingProfile)), ("5", None)]);
    }
}
