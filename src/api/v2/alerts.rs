//! `GET /api/v2/alerts` and `/api/v2/alerts/groups`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::answers::{answer, refused, unavailable};
use super::params::Params;
use super::view::{AlertView, ReceiverView, Sight};
use crate::alerts::{Alert, Route, Suppression};
use crate::api::Deps;
use crate::rules::Labels;
use crate::store::AlertFilter;

/// Alerts that are read for one answer at most.
const ALERTS_MAX: usize = 200_000;

/// A group.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupView {
    alerts: Vec<AlertView>,
    labels: Labels,
    receiver: ReceiverView,
    route_labels: BTreeMap<String, String>,
}

/// Answers `GET /api/v2/alerts`: the alerts that fire, by fingerprint.
pub(super) async fn alerts(request: HttpRequest, deps: web::Data<Deps>) -> HttpResponse {
    listed(&request, &deps, |params, sight, alerts| {
        let mut shown: Vec<AlertView> =
            alerts.iter().filter_map(|alert| pass(params, sight, alert)).collect();
        let wanted = |alert: &AlertView| {
            alert.receivers.iter().any(|receiver| params.wants_receiver(&receiver.name))
        };
        shown.retain(wanted);
        shown.sort_by(|one, other| one.fingerprint.cmp(&other.fingerprint));
        answer(&shown)
    })
    .await
}

/// Answers `GET /api/v2/alerts/groups`: the same alerts in the groups that their routes make, whether notified yet or not.
pub(super) async fn groups(request: HttpRequest, deps: web::Data<Deps>) -> HttpResponse {
    listed(&request, &deps, |params, sight, alerts| answer(&grouped(params, sight, alerts))).await
}

async fn listed(
    request: &HttpRequest,
    deps: &Deps,
    show: impl FnOnce(&Params, &Sight<'_>, &[Alert]) -> HttpResponse,
) -> HttpResponse {
    let params = match Params::read(request) {
        Ok(params) => params,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
    };
    let filter = AlertFilter { firing_only: true, fingerprint: None, limit: ALERTS_MAX };
    let read = async { Ok((deps.store.alerts(filter).await?, deps.store.silences().await?)) };
    match read.await {
        Ok((alerts, silences)) => {
            let in_force = deps.in_force.load();
            let routing = &in_force.policy.routing;
            let sight = Sight::new(routing, &alerts, silences, deps.clock.now());
            show(&params, &sight, &alerts)
        }
        Err(error) => unavailable(&error),
    }
}

/// An alert as it is shown, if it is asked for.
fn pass(params: &Params, sight: &Sight<'_>, alert: &Alert) -> Option<AlertView> {
    if !params.filters.iter().all(|filter| filter.matches(&alert.labels)) {
        return None;
    }
    let view = sight.alert(alert);
    let status = &view.status;
    let passes = (params.active || status.state != "active")
        && (params.silenced || status.silenced_by.is_empty())
        && (params.inhibited || status.inhibited_by.is_empty());
    passes.then_some(view)
}

fn grouped(params: &Params, sight: &Sight<'_>, alerts: &[Alert]) -> Vec<GroupView> {
    // By route and by the labels that make the group.
    let mut groups: BTreeMap<(&str, Labels), (&Route, Vec<AlertView>)> = BTreeMap::new();
    for alert in alerts {
        let Some(view) = pass(params, sight, alert) else { continue };
        for route in sight.routing.route.take(&alert.labels) {
            let key = (route.id.as_str(), route.group_by.labels_of(&alert.labels));
            groups.entry(key).or_insert_with(|| (route, Vec::new())).1.push(view.clone());
        }
    }
    let mut shown: Vec<GroupView> = groups
        .into_iter()
        .filter(|(_, (route, _))| params.wants_receiver(&route.receiver))
        .filter_map(|((_, labels), (route, mut alerts))| {
            let muted_by = muted_by(sight, route);
            if !muted_by.is_empty() {
                if !params.muted {
                    return None;
                }
                for alert in &mut alerts {
                    alert.status.state = "suppressed";
                    alert.status.muted_by.clone_from(&muted_by);
                }
            }
            alerts.sort_by(|one, other| by_place(&one.labels, &other.labels));
            let receiver = ReceiverView::new(&route.receiver);
            Some(GroupView { alerts, labels, receiver, route_labels: BTreeMap::new() })
        })
        .collect();
    shown.sort_by(|one, other| {
        let names = || one.receiver.name.cmp(&other.receiver.name);
        before(&one.labels, &other.labels).then_with(names)
    });
    shown
}

/// The time intervals that keep a route from notifying now.
fn muted_by(sight: &Sight<'_>, route: &Route) -> Vec<String> {
    match sight.routing.muted(route, sight.now) {
        Some(Suppression::Inactive(_)) => route.active_time_intervals.clone(),
        Some(Suppression::Muted(name)) => vec![name],
        _ => Vec::new(),
    }
}

/// Alertmanager's order of alerts: by `job`, by `instance`, what lacks them last; then by all labels.
fn by_place(one: &Labels, other: &Labels) -> Ordering {
    for name in ["job", "instance"] {
        let order = match (one.get(name), other.get(name)) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        if order.is_ne() {
            return order;
        }
    }
    before(one, other)
}

/// Alertmanager's order of label sets: fewer labels first, then by the values in the order of the names.
fn before(one: &Labels, other: &Labels) -> Ordering {
    let by_count = one.len().cmp(&other.len());
    by_count.then_with(|| {
        let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
        names.sort_unstable();
        for name in names {
            let order = match (one.get(name), other.get(name)) {
                (Some(one), Some(other)) => one.cmp(other),
                (None, _) => Ordering::Less,
                (_, None) => Ordering::Greater,
            };
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn label_sets_stand_in_alertmanagers_order() {
        let sorted = ["", "a=1", "a=2", "b=1", "a=1 b=2", "a=1 c=1", "b=0 c=0"];
        // A set that lacks the first name in which two differ comes first.
        let expected = ["", "b=1", "a=1", "a=2", "b=0 c=0", "a=1 c=1", "a=1 b=2"];
        let mut sets = sorted.map(labels);
        sets.sort_by(before);
        assert_eq!(sets, expected.map(labels));
    }

    #[test]
    fn alerts_of_a_group_stand_by_job_and_instance_first() {
        let mut sets = ["z=1", "instance=a z=1", "job=b", "job=a x=1 y=2 z=3"].map(labels);
        sets.sort_by(by_place);
        assert_eq!(sets, ["job=a x=1 y=2 z=3", "job=b", "instance=a z=1", "z=1"].map(labels));
    }
}
