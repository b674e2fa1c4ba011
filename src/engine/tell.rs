//! Groups at work: which alerts are told together, when, and what goes into the outbox.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::policy::Policy;
use super::state::State;
use super::step::Batch;
use super::timers::Due;
use crate::alerts::{
    Alert, AlertState, Fingerprint, Group, Inhibitor, Message, MessageAlert, Notice, Route, Status,
    Suppression, Teller, Withdrawn,
};
use crate::clock;
use crate::notify::{Integration, Receiver};
use crate::rules::Labels;
use crate::store::{NewDelivery, delivery_id};

/// Alerts in one message at most; how many were left out is said.
const MESSAGE_ALERTS_MAX: usize = 500;

impl Policy {
    /// The route with this identity.
    pub(super) fn route_by_id(&self, id: &str) -> Option<&Route> {
        self.route.find(id)
    }
}

/// Identity of the group that an alert with these labels has in a route.
pub(super) fn group_key(route: &Route, labels: &Labels) -> (String, Labels) {
    let group_labels = route.group_by.labels_of(labels);
    (format!("{}/{}", route.id, Fingerprint::of(&group_labels)), group_labels)
}

impl Batch<'_> {
    /// Tells the groups that an alert belongs to, each route's that takes it.
    pub(super) fn tell_groups(&mut self, alert: &Alert, cause: Option<i64>, at: Timestamp) {
        let policy = self.policy;
        for route in policy.route.take(&alert.labels) {
            self.tell_group(route, alert, cause, at);
        }
    }

    fn tell_group(&mut self, route: &Route, alert: &Alert, cause: Option<i64>, at: Timestamp) {
        let (key, labels) = group_key(route, &alert.labels);
        let mut group = self
            .state
            .groups
            .remove(&key)
            .unwrap_or_else(|| Group::new(key, route.id.clone(), labels, at));
        let knowers =
            if alert.is_firing() { Vec::new() } else { group.knowers(&alert.fingerprint) };
        let lost = group.note(alert, cause, &route.timing, at);
        self.withdraw_end(&group, knowers, alert, at);
        self.judged.report.crowded_out += lost;
        self.keep_group(group, route, at, false);
    }

    /// Keeps a group with its deadline, or forgets it when nothing is left of it. A deadline that has passed counts as
    /// `at`: what is told now is told now. After a flush it is not due again at once.
    pub(super) fn keep_group(&mut self, group: Group, route: &Route, at: Timestamp, flushed: bool) {
        let key = group.key.clone();
        if group.is_over() {
            self.state.put_group(key, None);
            return;
        }
        let deadline = group.deadline(&route.timing);
        self.state.put_group(key.clone(), Some(group));
        if flushed {
            self.due_after(Due::Group(key), deadline, at);
        } else {
            self.state.timers.set(Due::Group(key), deadline.map(|deadline| deadline.max(at)));
        }
    }

    /// Tells what is due of groups.
    pub(super) fn flush(&mut self, keys: &[String], at: Timestamp) {
        let policy = self.policy;
        let State { alerts, silences, groups, .. } = &mut *self.state;
        let inhibitor = Inhibitor::new(&policy.inhibit_rules, alerts.values());
        let suppressed = |alert: &Alert| {
            if let Some(source) = inhibitor.inhibited_by(alert) {
                return Some(Suppression::Inhibited(source));
            }
            let silence =
                silences.silences.iter().find(|silence| silence.silences(&alert.labels, at));
            silence.map(|silence| Suppression::Silenced(silence.id.clone()))
        };
        let firing = |fingerprint: &Fingerprint| alerts.get(fingerprint);
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(route) = groups.get(key).and_then(|group| policy.route_by_id(&group.route))
            else {
                continue;
            };
            let Some(receiver) = policy.receivers.get(&route.receiver) else { continue };
            let Some(mut group) = groups.remove(key) else { continue };
            let tellers: Vec<Teller<'_>> = receiver.integrations.iter().map(teller).collect();
            let muted = policy.muted(route, at);
            let flushed =
                group.flush(&route.timing, &tellers, &firing, &suppressed, muted.as_ref(), at);
            all.push((group, route, receiver, flushed));
        }
        for (group, route, receiver, flushed) in all {
            for (fingerprint, suppression) in &flushed.suppressed {
                let detail = explain(suppression);
                self.journal(fingerprint, &group.key, "suppressed", &detail, at);
            }
            self.judged.report.quieted.extend(flushed.suppressed);
            self.withdraw(&group, &flushed.withdrawn);
            for notice in &flushed.notices {
                self.queue(&group, receiver, notice, at);
            }
            self.keep_group(group, route, at, true);
        }
    }

    /// Puts one notice into the outbox, for each target of its integration.
    fn queue(&mut self, group: &Group, receiver: &Receiver, notice: &Notice, at: Timestamp) {
        let Some(integration) =
            receiver.integrations.iter().find(|integration| integration.id == notice.integration)
        else {
            return;
        };
        let message = message(self.policy, receiver, group, notice, self.now);
        if !integration.tells(&message) {
            let ended = notice.alerts.iter().filter(|alert| !alert.is_firing());
            let withdrawn = ended.map(|alert| Withdrawn {
                integration: integration.id.clone(),
                fingerprint: alert.fingerprint.clone(),
                ended: Some(alert.clone()),
            });
            self.withdraw(group, &withdrawn.collect::<Vec<_>>());
            return;
        }
        let detail = format!(
            "{} by {}: {}",
            receiver.name,
            integration.channel.kind(),
            notice.reason.as_str()
        );
        for alert in &notice.alerts {
            self.journal(&alert.fingerprint, &group.key, "notified", &detail, at);
        }
        // Not the places in the inbox alone: another database may hold other events there. Not without them: a group
        // that is over at once is born again by the next event, which may have come in the same instant.
        let flush = format!("{} {} {:?}", group.born_at, group.flushes, notice.causes);
        for target in integration.channel.targets() {
            let reason = notice.reason.as_str();
            self.judged.changes.deliveries.push(NewDelivery {
                id: delivery_id(&[&flush, &group.key, &integration.id, &target, reason]),
                integration: integration.id.clone(),
                receiver: receiver.name.clone(),
                target,
                group_key: group.key.clone(),
                created_at: self.now,
                fallback_at: receiver
                    .fallback
                    .as_ref()
                    .map(|_| clock::add(self.now, receiver.fallback_after)),
                fallback_of: None,
                caused_by: notice.causes.clone(),
                message: message.clone(),
            });
        }
    }

    /// Fits the groups to routes that may be new: each alert that fires or is still to be told as ended is in the groups of
    /// the routes that take it now, and in no other. Who was told stays with the group.
    pub(super) fn fit_groups(&mut self) {
        let policy = self.policy;
        let mut astray: Vec<Alert> = Vec::new();
        for key in self.state.groups.keys().cloned().collect::<Vec<_>>() {
            let Some(mut group) = self.state.groups.get(&key).cloned() else { continue };
            let Some(route) = policy.route_by_id(&group.route) else {
                astray.extend(group.members.values().filter_map(ended));
                self.withdraw_strays(&group, &group.members.keys().cloned().collect());
                self.state.put_group(key, None);
                continue;
            };
            let (before, mut strays) = (group.clone(), BTreeSet::new());
            group.members.retain(|fingerprint, member| {
                let alert = member.ended.as_deref().or_else(|| self.state.alerts.get(fingerprint));
                let belongs =
                    alert.is_some_and(|alert| belongs(policy, route, &alert.labels, &key));
                if !belongs {
                    astray.extend(ended(member));
                    strays.insert(fingerprint.clone());
                }
                belongs
            });
            self.withdraw_strays(&before, &strays);
            let knows_all = policy.receivers.get(&route.receiver).is_some_and(|receiver| {
                receiver.integrations.iter().all(|one| group.told.contains_key(&one.id))
            });
            if group.flushed_at.is_some() && !knows_all {
                group.recheck(&route.timing, self.now);
            }
            if group == before {
                self.state.timers.set(Due::Group(key), group.deadline(&route.timing));
            } else {
                self.keep_group(group, route, self.now, false);
            }
        }
        let firing: Vec<Alert> = self.state.alerts.values().cloned().collect();
        for alert in firing.into_iter().chain(astray) {
            for route in policy.route.take(&alert.labels) {
                let (key, _) = group_key(route, &alert.labels);
                let group = self.state.groups.get(&key);
                if group.is_none_or(|group| !group.members.contains_key(&alert.fingerprint)) {
                    self.tell_group(route, &alert, None, self.now);
                }
            }
        }
    }
}

fn ended(member: &crate::alerts::Member) -> Option<Alert> {
    member.ended.as_deref().cloned()
}

/// Whether the route still takes an alert with these labels, into the group with this key.
fn belongs(policy: &Policy, route: &Route, labels: &Labels, key: &str) -> bool {
    policy.route.take(labels).iter().any(|taken| taken.id == route.id)
        && group_key(route, labels).0 == key
}

fn teller(integration: &Integration) -> Teller<'_> {
    Teller {
        id: &integration.id,
        send_resolved: integration.send_resolved,
        every: integration.resend,
    }
}

/// What kept an alert quiet, for people.
fn explain(suppression: &Suppression) -> String {
    match suppression {
        Suppression::Inhibited(source) => format!("inhibited by alert {source}"),
        Suppression::Inactive(names) => format!("outside of active time interval {names}"),
        Suppression::Muted(name) => format!("muted by time interval {name}"),
        Suppression::Silenced(id) => format!("silenced by {id}"),
    }
}

/// The message of a notice.
pub(super) fn message(
    policy: &Policy,
    receiver: &Receiver,
    group: &Group,
    notice: &Notice,
    now: Timestamp,
) -> Message {
    let firing = notice.alerts.iter().any(Alert::is_firing);
    let kept = notice.alerts.len().min(MESSAGE_ALERTS_MAX);
    Message {
        receiver: receiver.name.clone(),
        status: if firing { Status::Firing } else { Status::Resolved },
        reason: notice.reason,
        group_key: group.key.clone(),
        group_labels: group.labels.clone(),
        common_labels: common(&notice.alerts, |alert| &alert.labels),
        common_annotations: common(&notice.alerts, |alert| &alert.annotations),
        alerts: notice.alerts.iter().take(kept).map(message_alert).collect(),
        truncated_alerts: notice.alerts.len() - kept,
        external_url: policy.external_url.clone(),
        created_at: now,
        fallback_for: None,
    }
}

pub(super) fn message_alert(alert: &Alert) -> MessageAlert {
    MessageAlert {
        fingerprint: alert.fingerprint.clone(),
        status: if alert.is_firing() { Status::Firing } else { Status::Resolved },
        expired: alert.state == AlertState::Expired,
        no_data: alert.state == AlertState::NoData,
        missed: alert.missed,
        value: alert.value,
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at: alert.starts_at,
        ends_at: alert.ends_at,
        event: alert.event.clone(),
    }
}

/// The pairs that all alerts share.
fn common(alerts: &[Alert], of: impl Fn(&Alert) -> &Labels) -> Labels {
    let mut common = alerts.first().map(&of).cloned().unwrap_or_default();
    common.retain(|name, value| alerts.iter().all(|alert| of(alert).get(name) == Some(value)));
    common
}
