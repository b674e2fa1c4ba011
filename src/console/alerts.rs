//! The alerts, grouped as they are notified.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::Serialize;

use super::page::State;
use super::situation::{AlertRow, EndedRow, Situation, ended_row, group_name, group_words};
use super::visit::{Trouble, Visit, show};
use super::words::count_text;
use crate::alerts::{Alert, Group, Matcher};
use crate::api::aside;
use crate::store::AlertFilter;

/// Groups that are shown at most, and alerts of each.
const GROUPS_MAX: usize = 200;
const ALERTS_MAX: usize = 50;
/// Ended alerts that are looked at, and shown, at most.
const ENDED_LOOK: usize = 2_000;
const ENDED_MAX: usize = 50;

/// Which alerts to show: the word in the address, and for people.
const STATES: [(&str, &str); 5] = [
    ("firing", "firing"),
    ("notified", "firing, notified"),
    ("quiet", "firing, silenced or suppressed"),
    ("ended", "ended"),
    ("all", "all"),
];

#[derive(Debug, Serialize)]
struct View {
    answer: String,
    beside: String,
    filter: String,
    state: &'static str,
    states: [(&'static str, &'static str); 5],
    receiver: String,
    receivers: Vec<String>,
    filtered: bool,
    wrong: String,
    groups: Vec<GroupView>,
    none: String,
    ended: Vec<EndedRow>,
}

#[derive(Debug, Serialize)]
struct GroupView {
    name: String,
    words: String,
    muted: Option<State>,
    alerts: Vec<AlertRow>,
    more: String,
}

/// What the address asks for.
#[derive(Debug)]
struct Asked {
    matchers: Vec<Matcher>,
    filter: String,
    state: &'static str,
    receiver: String,
    wrong: String,
}

impl Asked {
    fn of(visit: &Visit) -> Self {
        let mut asked = Self {
            matchers: Vec::new(),
            filter: String::new(),
            state: "firing",
            receiver: String::new(),
            wrong: String::new(),
        };
        let mut filters: Vec<String> = Vec::new();
        for (name, value) in visit.query() {
            match name.as_str() {
                // As in Alertmanager's API it may come several times.
                "filter" if !value.trim().is_empty() => filters.push(value),
                "state" => {
                    let known = STATES.iter().find(|(word, _)| *word == value);
                    asked.state = known.map_or("firing", |(word, _)| word);
                }
                "receiver" => asked.receiver = value,
                _ => {}
            }
        }
        asked.filter = filters.join(", ");
        for filter in filters {
            match Matcher::parse_list(&filter) {
                Ok(matchers) => asked.matchers.extend(matchers),
                Err(error) => {
                    asked.wrong = format!("Character {}: {error}", error.column);
                }
            }
        }
        asked
    }

    fn fits(&self, alert: &Alert) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(&alert.labels))
    }

    /// Whether an alert is asked for as one of this group.
    fn wants(&self, situation: &Situation, group: &Group, alert: &Alert) -> bool {
        let route = situation.policy.routing.route.find(&group.route);
        let receiver = route.map_or("", |route| route.receiver.as_str());
        let by_receiver = self.receiver.is_empty() || self.receiver == receiver;
        by_receiver
            && match self.state {
                "notified" => situation.quiet(alert).is_none(),
                "quiet" => situation.quiet(alert).is_some(),
                _ => true,
            }
    }

    fn is_filtered(&self) -> bool {
        !self.filter.is_empty() || self.state != "firing" || !self.receiver.is_empty()
    }
}

/// `GET /alerts`
pub(super) async fn get(visit: Visit) -> Result<HttpResponse, Trouble> {
    let asked = Asked::of(&visit);
    let situation = Situation::of(&visit).await?;
    let ended = if matches!(asked.state, "ended" | "all") {
        let filter = AlertFilter {
            firing_only: false,
            fingerprint: None,
            limit: situation.alerts.len() + ENDED_LOOK,
        };
        visit.store().alerts(filter).await?
    } else {
        Vec::new()
    };
    let ended = ended.iter().filter(|alert| !alert.is_firing() && asked.fits(alert));
    let ended = ended.take(ENDED_MAX).map(|alert| ended_row(alert, visit.now())).collect();
    let view = aside(move || view(&situation, asked, ended)).await?;
    let page = visit.page("/alerts", view.answer.clone()).await?.live();
    show("alerts.html", page, view)
}

fn view(situation: &Situation, asked: Asked, ended: Vec<EndedRow>) -> View {
    let (firing, quiet) = (situation.alerts.len(), situation.quiet_count());
    let mut groups: Vec<(&Group, Vec<&Alert>)> = Vec::new();
    if asked.state != "ended" && asked.wrong.is_empty() {
        // Alerts are in order of urgency; so are the groups, by their first one.
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for alert in situation.alerts.iter().filter(|alert| asked.fits(alert)) {
            for group in situation.groups_of(&alert.fingerprint) {
                if !asked.wants(situation, group, alert) {
                    continue;
                }
                let place = *places.entry(&group.key).or_insert(groups.len());
                match groups.get_mut(place) {
                    Some((_, alerts)) => alerts.push(alert),
                    None => groups.push((group, vec![alert])),
                }
            }
        }
    }
    let left_out = groups.len().saturating_sub(GROUPS_MAX);
    groups.truncate(GROUPS_MAX);
    let answer = match (firing, quiet) {
        (0, _) => "Nothing fires".to_owned(),
        (1, 0) => "1 alert fires".to_owned(),
        (1, _) => "1 alert fires, and is kept quiet".to_owned(),
        (many, 0) => format!("{many} alerts fire"),
        (many, quiet) => format!("{many} alerts fire, {quiet} of them are kept quiet"),
    };
    let beside = match left_out {
        0 => "Grouped as they are notified.".to_owned(),
        more => format!(
            "Grouped as they are notified. {} more: matchers find them.",
            count_text(more, "group", "groups")
        ),
    };
    View {
        answer,
        beside,
        filtered: asked.is_filtered(),
        none: none(firing, &asked),
        filter: asked.filter,
        state: asked.state,
        states: STATES,
        receivers: situation.policy.receivers.keys().cloned().collect(),
        receiver: asked.receiver,
        wrong: asked.wrong,
        groups: groups
            .into_iter()
            .map(|(group, alerts)| group_view(situation, group, &alerts))
            .collect(),
        ended,
    }
}

fn none(firing: usize, asked: &Asked) -> String {
    match (firing, asked.state) {
        (_, "ended") => "Of alerts that fire nothing is shown.".to_owned(),
        (0, _) => "Nothing fires.".to_owned(),
        _ => format!("{} fire; none of them fits.", count_text(firing, "alert", "alerts")),
    }
}

fn group_view(situation: &Situation, group: &Group, alerts: &[&Alert]) -> GroupView {
    let route = situation.policy.routing.route.find(&group.route);
    let muted = route.and_then(|route| situation.policy.routing.muted(route, situation.now));
    let muted = muted.map(|why| {
        let (mut state, detail) = situation.suppression(&why);
        state.word = format!("{} {detail}", state.word);
        state
    });
    let more = alerts.len().saturating_sub(ALERTS_MAX);
    GroupView {
        name: group_name(group),
        words: group_words(situation, group),
        muted,
        alerts: alerts.iter().take(ALERTS_MAX).map(|alert| situation.row(alert)).collect(),
        more: if more > 0 { format!("{more} more: matchers find them") } else { String::new() },
    }
}
