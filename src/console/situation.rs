//! What fires now, in which groups, who knows of it, and what keeps it quiet.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tokio::runtime::Handle;

use super::page::State;
use super::thresholds;
use super::visit::Visit;
use super::words::{Stamp, Tone, headline, label, short, span_text, value_text};
use crate::alerts::{
    Alert, AlertState, Fingerprint, Group, LogEntry, Scope, Silence, Suppression, TargetId,
    severity_rank,
};
use crate::api::aside;
use crate::engine::Policy;
use crate::rules::Labels;
use crate::store::{Standing, StoreError};

/// Labels that stand in places of their own.
const SHOWN_ELSEWHERE: [&str; 4] = ["alertname", "account", "severity", "currency"];

/// What is going on.
#[derive(Debug)]
pub(super) struct Situation {
    pub(super) now: Timestamp,
    pub(super) policy: Arc<Policy>,
    /// What fires: the most severe first, then the newest.
    pub(super) alerts: Vec<Alert>,
    /// The groups with their members.
    pub(super) groups: Vec<Group>,
    pub(super) silences: Vec<Silence>,
    /// What targets were last told, by group.
    pub(super) log: BTreeMap<String, Vec<(TargetId, LogEntry)>>,
    /// To whom something is on its way, by group.
    pub(super) open: BTreeMap<String, Vec<TargetId>>,
    /// Groups that hold an alert, by place.
    holding: BTreeMap<Fingerprint, Vec<usize>>,
}

/// One alert of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct AlertRow {
    severity: State,
    pub(super) headline: String,
    pub(super) fingerprint: String,
    name: String,
    labels: String,
    account: String,
    value: String,
    threshold: String,
    lasts: Stamp,
    notified: State,
    notified_more: String,
    pub(super) quiet: bool,
}

/// One alert that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct EndedRow {
    state: State,
    headline: String,
    fingerprint: String,
    name: String,
    labels: String,
    account: String,
    lasts: Stamp,
    ended: Stamp,
}

impl Situation {
    pub(super) async fn of(visit: &Visit) -> Result<Self, StoreError> {
        let (store, policy, now) = (visit.store().clone(), visit.policy(), visit.now());
        aside(move || {
            let standing = Handle::current().block_on(store.standing())?;
            Ok(Self::new(standing, policy, now))
        })
        .await?
    }

    fn new(standing: Standing, policy: Arc<Policy>, now: Timestamp) -> Self {
        let Standing { mut alerts, groups, silences, log: entries, open: deliveries } = standing;
        alerts.sort_by_key(|alert| Reverse((severity_rank(&alert.labels), alert.starts_at)));
        let mut holding: BTreeMap<Fingerprint, Vec<usize>> = BTreeMap::new();
        for (place, group) in groups.iter().enumerate() {
            for member in group.members.keys() {
                holding.entry(member.clone()).or_default().push(place);
            }
        }
        let mut log: BTreeMap<String, Vec<(TargetId, LogEntry)>> = BTreeMap::new();
        for (group, target, entry) in entries {
            log.entry(group).or_default().push((target, entry));
        }
        let mut open: BTreeMap<String, Vec<TargetId>> = BTreeMap::new();
        for (group, target, _) in deliveries {
            open.entry(group).or_default().push(target);
        }
        let silences = silences.silences;
        Self { now, policy, alerts, groups, silences, log, open, holding }
    }

    /// The groups that hold an alert.
    pub(super) fn groups_of(&self, alert: &Fingerprint) -> impl Iterator<Item = &Group> {
        self.holding.get(alert).into_iter().flatten().filter_map(|place| self.groups.get(*place))
    }

    /// Everybody who hears of a group by its route's receiver.
    pub(super) fn targets(&self, group: &Group) -> BTreeSet<TargetId> {
        let route = self.policy.routing.route.find(&group.route);
        let receiver = route.and_then(|route| self.policy.receivers.get(&route.receiver));
        let integrations = receiver.into_iter().flat_map(|receiver| &receiver.integrations);
        integrations.flat_map(|one| one.as_targets(Scope::All)).map(|target| target.id).collect()
    }

    /// The silence that keeps an alert quiet now; of several the one that lasts longest.
    pub(super) fn silence(&self, alert: &Alert) -> Option<&Silence> {
        let hold = self.silences.iter().filter(|one| one.silences(&alert.labels, self.now));
        hold.max_by_key(|silence| silence.ends_at)
    }

    /// What keeps an alert quiet in all of its groups, in words: the state, and why.
    pub(super) fn quiet(&self, alert: &Alert) -> Option<(State, String)> {
        if let Some(silence) = self.silence(alert) {
            let until = Stamp::at(silence.ends_at, self.now);
            let by = format!("by {} until {}", silence.created_by, until.text());
            return Some((State::quiet("mute", "silenced"), by));
        }
        let mut why = None;
        for group in self.groups_of(&alert.fingerprint) {
            // Which silences hold is known better than from the last look.
            let kept = group.members.get(&alert.fingerprint)?.suppressed.as_ref();
            why = Some(kept.filter(|why| !matches!(why, Suppression::Silenced(_)))?);
        }
        Some(self.suppression(why?))
    }

    /// A suppression in words.
    pub(super) fn suppression(&self, why: &Suppression) -> (State, String) {
        match why {
            Suppression::Inhibited(source) => {
                let source = self.alerts.iter().find(|alert| alert.fingerprint == *source);
                let name =
                    source.map_or("an alert that ended", |it| label(&it.labels, "alertname"));
                (State::quiet("mute", "inhibited"), format!("by {name}"))
            }
            Suppression::Muted(name) => (State::quiet("mute", "muted"), format!("during {name}")),
            Suppression::Inactive(names) => {
                (State::quiet("mute", "muted"), format!("outside {names}"))
            }
            Suppression::Silenced(id) => {
                (State::quiet("mute", "silenced"), format!("by silence {}", short(id)))
            }
        }
    }

    /// How many targets know an alert as firing, how many there are, how many are on their way.
    pub(super) fn known(&self, alert: &Alert) -> (usize, usize, usize) {
        let (mut all, mut know, mut coming) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for group in self.groups_of(&alert.fingerprint) {
            all.extend(self.targets(group));
            let entries = self.log.get(&group.key).into_iter().flatten();
            let fires = |entry: &LogEntry| entry.firing.contains_key(&alert.fingerprint);
            know.extend(entries.filter(|(_, entry)| fires(entry)).map(|(id, _)| id.clone()));
            coming.extend(self.open.get(&group.key).into_iter().flatten().cloned());
        }
        all.extend(know.iter().cloned());
        let coming = coming.difference(&know).count();
        (know.len(), all.len(), coming)
    }

    fn notified(&self, alert: &Alert) -> (State, String, bool) {
        if let Some((state, why)) = self.quiet(alert) {
            return (state, why, true);
        }
        let (know, all, coming) = self.known(alert);
        let reached = format!("{know} of {all} reached");
        match (know, all, coming) {
            (_, 0, _) => (State::quiet("dot", "no receiver"), String::new(), false),
            (0, _, 0) => (State::new("", "wait", "not yet notified"), String::new(), false),
            (0, ..) => (State::new("", "wait", "being notified"), reached, false),
            (know, all, _) if know >= all => (State::new("", "bell", "notified"), reached, false),
            _ => (State::new("warning", "bell", "notified in part"), reached, false),
        }
    }

    /// An alert as a row of a list.
    pub(super) fn row(&self, alert: &Alert) -> AlertRow {
        let of = self.policy.rules.rule(&alert.rule);
        let (unit, threshold) = of.map_or_else(Default::default, |of| {
            let unit = thresholds::unit(of, &alert.labels);
            let fires = thresholds::limits(of, &unit).into_iter().find(|limit| limit.fires);
            (unit, fires.map(|limit| limit.words).unwrap_or_default())
        });
        let hours = of.is_some_and(thresholds::is_hours);
        let value = alert
            .value
            .map(|value| value_text(value, &unit))
            .map(|value| if hours { format!("{value} h") } else { value });
        let (notified, notified_more, quiet) = self.notified(alert);
        let mut severity = severity(&alert.labels);
        if quiet {
            // Colour says that somebody is to act on it.
            severity.tone = "quiet";
        }
        AlertRow {
            severity,
            headline: headline(alert),
            fingerprint: alert.fingerprint.to_string(),
            name: label(&alert.labels, "alertname").to_owned(),
            labels: other_labels(&alert.labels),
            account: label(&alert.labels, "account").to_owned(),
            value: value.unwrap_or_default(),
            threshold,
            lasts: Stamp::since(alert.starts_at, self.now),
            notified,
            notified_more,
            quiet,
        }
    }

    /// When the next repeat of a group is due, if it was notified.
    pub(super) fn repeats_at(&self, group: &Group) -> Option<Timestamp> {
        let last =
            self.log.get(&group.key)?.iter().filter_map(|(_, entry)| entry.notified_at).max();
        let route = self.policy.routing.route.find(&group.route)?;
        Some(crate::clock::add(last?, route.timing.repeat_interval))
    }

    /// How many of the alerts that fire are quiet.
    pub(super) fn quiet_count(&self) -> usize {
        self.alerts.iter().filter(|alert| self.quiet(alert).is_some()).count()
    }
}

/// The severity of an alert: its shape, its own word, its colour.
pub(super) fn severity(labels: &Labels) -> State {
    let word = match label(labels, "severity") {
        "" => "no severity",
        word => word,
    };
    match Tone::of(labels) {
        Tone::Critical => State::new("critical", "critical", word),
        Tone::Warning => State::new("warning", "warning", word),
        Tone::Info => State::new("", "info", word),
    }
}

/// How an alert ended.
pub(super) fn end(state: AlertState) -> State {
    match state {
        AlertState::Firing => State::new("critical", "bell", "firing"),
        AlertState::Resolved => State::good("resolved"),
        AlertState::Expired => State::quiet("wait", "expired"),
        AlertState::NoData => State::new("warning", "warning", "no data"),
        AlertState::RuleRemoved => State::quiet("no", "rule removed"),
    }
}

/// An alert that ended as a row of a list.
pub(super) fn ended_row(alert: &Alert, now: Timestamp) -> EndedRow {
    let ended = alert.ends_at.unwrap_or(alert.updated_at);
    EndedRow {
        state: end(alert.state),
        headline: headline(alert),
        fingerprint: alert.fingerprint.to_string(),
        name: label(&alert.labels, "alertname").to_owned(),
        labels: other_labels(&alert.labels),
        account: label(&alert.labels, "account").to_owned(),
        lasts: Stamp::since(alert.starts_at, ended),
        ended: Stamp::at(ended, now),
    }
}

/// The labels that have no place of their own: `country="SO" team="voice"`.
pub(super) fn other_labels(labels: &Labels) -> String {
    let others = labels.iter().filter(|(name, _)| !SHOWN_ELSEWHERE.contains(&name.as_str()));
    others.map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(" ")
}

/// What a group is called: by its labels.
pub(super) fn group_name(group: &Group) -> String {
    if group.labels.is_empty() {
        return "Everything of its route".to_owned();
    }
    let labels = group.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
    labels.collect::<Vec<_>>().join(" ")
}

/// When a group was last notified, and when it will be again.
pub(super) fn group_words(situation: &Situation, group: &Group) -> String {
    let now = situation.now;
    let route = situation.policy.routing.route.find(&group.route);
    let receiver = route.map_or("a receiver that is gone", |route| route.receiver.as_str());
    let entries = situation.log.get(&group.key).into_iter().flatten();
    let last = entries.filter_map(|(_, entry)| entry.notified_at).max();
    let to = format!("to {receiver}, by route {}", group.route);
    match (last, situation.repeats_at(group)) {
        (Some(last), Some(next)) if next > now => {
            let (ago, ahead) = (span_text(last, now), span_text(now, next));
            format!("{to} · notified {ago} ago, again in {ahead} if nothing changes")
        }
        (Some(last), _) => format!("{to} · notified {} ago", span_text(last, now)),
        (None, _) => format!("{to} · not yet notified"),
    }
}
