//! What integrations are told no more although it may still wait: alerts that ended without a notice, or were silenced.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::state::State;
use super::step::{At, Batch};
use super::tell::{message, message_alert};
use crate::alerts::{Alert, AlertState, Fingerprint, Group, Notice, Reason, Withdrawn};
use crate::event::Source;
use crate::notify::{Integration, Receiver};
use crate::store::Withdrawal;

/// What the store tells by when it claims: alerts of a message were silenced before it went out.
const WITHHELD: &str = "tollbell.notice_withheld";

impl Batch<'_> {
    /// Corrects what waits to be sent for a group, with the copies that wait at fallbacks.
    pub(super) fn withdraw(&mut self, group: &Group, withdrawn: &[Withdrawn]) {
        let policy = self.policy;
        let mut by_integration: BTreeMap<&str, Vec<&Withdrawn>> = BTreeMap::new();
        for one in withdrawn {
            by_integration.entry(&one.integration).or_default().push(one);
        }
        for (id, withdrawn) in by_integration {
            let found = policy.receivers.values().find_map(|receiver| {
                Some((receiver, receiver.integrations.iter().find(|one| one.id == id)?))
            });
            // The deliveries of an integration that is gone are buried.
            let Some((receiver, integration)) = found else { continue };
            let fallback = receiver.fallback.as_ref().and_then(|name| policy.receivers.get(name));
            let copies = fallback.into_iter().flat_map(|fallback| &fallback.integrations);
            for integration in [integration].into_iter().chain(copies) {
                self.correct(group, receiver, integration, &withdrawn);
            }
        }
    }

    fn correct(
        &mut self,
        group: &Group,
        receiver: &Receiver,
        integration: &Integration,
        withdrawn: &[&Withdrawn],
    ) {
        let (mut gone, mut ended, mut unwanted) = (BTreeSet::new(), Vec::new(), Vec::new());
        for one in withdrawn {
            match &one.ended {
                Some(alert) if self.tells_end(group, receiver, integration, alert) => {
                    ended.push(message_alert(alert));
                }
                Some(alert) => unwanted.push(message_alert(alert)),
                None => drop(gone.insert(one.fingerprint.clone())),
            }
        }
        let changes = &mut self.judged.changes;
        for target in integration.channel.targets() {
            changes.withdrawals.push(Withdrawal {
                integration: integration.id.clone(),
                target,
                group_key: group.key.clone(),
                at: self.now,
                after: changes.deliveries.len(),
                gone: gone.clone(),
                ended: ended.clone(),
                unwanted: unwanted.clone(),
            });
        }
    }

    /// Whether an integration tells that this ended.
    fn tells_end(
        &self,
        group: &Group,
        receiver: &Receiver,
        integration: &Integration,
        alert: &Alert,
    ) -> bool {
        let notice = Notice {
            integration: integration.id.clone(),
            reason: Reason::AllResolved,
            alerts: vec![alert.clone()],
            causes: Vec::new(),
        };
        integration.tells(&message(self.policy, receiver, group, &notice, self.now))
    }

    /// What a group forgot when it took note of an end: whoever knew the alert gets no notice. Of what is inhibited or
    /// silenced at that moment nothing more is told, as at a flush.
    pub(super) fn withdraw_end(
        &mut self,
        group: &Group,
        knowers: Vec<String>,
        alert: &Alert,
        at: Timestamp,
    ) {
        let fingerprint = &alert.fingerprint;
        let knows =
            |id: &String| group.told.get(id).is_some_and(|told| told.firing.contains(fingerprint));
        let forgot: Vec<String> = knowers.into_iter().filter(|id| !knows(id)).collect();
        if forgot.is_empty() {
            return;
        }
        let told = alert.state != AlertState::RuleRemoved && !self.is_quiet(alert, at);
        let ended = told.then(|| alert.clone());
        let forgot = forgot.into_iter().map(|integration| Withdrawn {
            integration,
            fingerprint: fingerprint.clone(),
            ended: ended.clone(),
        });
        self.withdraw(group, &forgot.collect::<Vec<_>>());
    }

    /// Whether another alert or a silence keeps an alert quiet; the time of day does not count. For one question the
    /// sources are not indexed.
    fn is_quiet(&self, alert: &Alert, at: Timestamp) -> bool {
        let State { alerts, silences, .. } = &*self.state;
        let mut rules =
            self.policy.inhibit_rules.iter().filter(|rule| rule.is_target(&alert.labels));
        silences.silences.iter().any(|silence| silence.silences(&alert.labels, at))
            || rules.any(|rule| {
                let mut firing = alerts.values().filter(|source| source.is_firing());
                firing.any(|source| rule.inhibits(&source.labels, &alert.labels))
            })
    }

    /// Alerts that the group of another route has now, or none: nothing more is told of them here.
    pub(super) fn withdraw_strays(&mut self, group: &Group, strays: &BTreeSet<Fingerprint>) {
        let known = group.told.iter().flat_map(|(id, told)| {
            told.firing.intersection(strays).map(|fingerprint| Withdrawn {
                integration: id.clone(),
                fingerprint: fingerprint.clone(),
                ended: None,
            })
        });
        self.withdraw(group, &known.collect::<Vec<_>>());
    }

    /// Takes note of what was silenced while it waited: to the integration it is new when the silence ends.
    pub(super) fn heed_withheld(&mut self, at: &At<'_>) {
        if at.event.kind != WITHHELD || at.event.source != Source::Tollbell {
            return;
        }
        let text = |name: &str| at.event.payload.get(name)?.as_str();
        let (Some(integration), Some(key)) = (text("integration"), text("group")) else { return };
        let policy = self.policy;
        let found = self.state.groups.get(key);
        let Some(route) = found.and_then(|group| policy.route_by_id(&group.route)) else { return };
        let Some(mut group) = self.state.groups.remove(key) else { return };
        let names = at.event.payload.get("fingerprints").and_then(|names| names.as_array());
        let withheld: Vec<Fingerprint> = group
            .members
            .keys()
            .filter(|known| {
                let name = known.to_string();
                names.is_some_and(|names| names.iter().any(|one| one.as_str() == Some(&name)))
            })
            .cloned()
            .collect();
        group.untell(integration, &withheld, &route.timing, at.time);
        self.keep_group(group, route, at.time, false);
    }
}
