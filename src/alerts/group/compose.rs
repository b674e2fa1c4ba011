//! The message of what is owed, and what the notification log says once it is delivered.

use std::cmp::Reverse;

use super::look::{Listed, Look, Owed, PeerKind, Scope, Target};
use super::owed::has_left;
use crate::alerts::{
    Alert, AlertState, Fingerprint, Lives, LogEntry, Message, MessageAlert, Reason, Status, Timing,
    severity_rank,
};
use crate::rules::Labels;

/// What a message says besides its alerts.
#[derive(Debug, Clone, Default)]
pub struct Envelope<'a> {
    /// The receiver it goes to.
    pub receiver: &'a str,
    /// Where links point; empty for none.
    pub external_url: &'a str,
    /// When the delivery was opened.
    pub opened_at: jiff::Timestamp,
    /// The receiver that could not be reached, when this is for its fallback.
    pub fallback_for: Option<&'a str>,
}

/// A message, and what its target knows of the group then.
#[derive(Debug, Clone, PartialEq)]
pub struct Composed {
    /// The message.
    pub message: Message,
    /// The entry of the notification log once this was delivered.
    pub delivered: LogEntry,
    /// The entry while this attempt is unanswered; `None` where it does not matter.
    pub unanswered: Option<LogEntry>,
}

impl Look<'_> {
    /// Composes what a target is owed now; `None` when nothing is left to say. `lost` gives alerts that the group has no
    /// more, as they are kept.
    pub fn compose(
        &self,
        target: &Target,
        entry: Option<&LogEntry>,
        timing: &Timing,
        envelope: &Envelope<'_>,
        lost: &dyn Fn(&Fingerprint) -> Option<Alert>,
    ) -> Option<Composed> {
        let owed = self.owed_now(target, entry, timing)?;
        let gone: Vec<Alert> = owed.gone.iter().filter_map(lost).collect();
        let message = self.message(target, &owed, &gone, envelope, entry);
        let stands_in = target.scope == Scope::Ends && entry.is_some_and(|entry| entry.fallback);
        let fallback = envelope.fallback_for.is_some() || stands_in;
        let delivered = LogEntry { fallback, ..self.delivered(target, entry, &owed) };
        let unanswered = target.kind.keeps_state().then(|| unanswered(entry, &owed, &delivered));
        Some(Composed { message, delivered, unanswered })
    }

    /// What the target knows of the group once it was notified of what it is owed now; `None` when that is nothing.
    pub fn delivered_now(
        &self,
        target: &Target,
        entry: Option<&LogEntry>,
        timing: &Timing,
    ) -> Option<LogEntry> {
        let owed = self.owed_now(target, entry, timing)?;
        Some(self.delivered(target, entry, &owed))
    }

    /// What a target is owed, or its repeat when that is due.
    fn owed_now(
        &self,
        target: &Target,
        entry: Option<&LogEntry>,
        timing: &Timing,
    ) -> Option<Owed<'_>> {
        match self.owed(target, entry) {
            Some(owed) => Some(owed),
            None => Some(self.due(target, entry, timing).filter(|due| due.at <= self.now)?.owed),
        }
    }

    fn message(
        &self,
        target: &Target,
        owed: &Owed<'_>,
        gone: &[Alert],
        envelope: &Envelope<'_>,
        entry: Option<&LogEntry>,
    ) -> Message {
        let mut firing = owed.firing.clone();
        if firing.len() + owed.ended.len() > target.alerts_max {
            firing.sort_by_key(|one| Reverse(severity_rank(&one.alert.labels)));
        }
        let heard = firing.iter().chain(&owed.ended).map(|one| {
            let unheard = one.member.over && one.quiet.is_none() && !was_notified(one, entry);
            MessageAlert { unheard, ..message_alert(one.alert) }
        });
        let mut alerts: Vec<MessageAlert> = heard.chain(gone.iter().map(ended_now)).collect();
        let truncated_alerts = alerts.len().saturating_sub(target.alerts_max);
        alerts.truncate(target.alerts_max);
        let all = || firing.iter().chain(&owed.ended).map(|one| one.alert).chain(gone);
        Message {
            receiver: envelope.receiver.to_owned(),
            status: if firing.is_empty() { Status::Resolved } else { Status::Firing },
            reason: owed.reason,
            reopens: owed.reopens,
            group_key: self.group.key.clone(),
            group_labels: self.group.labels.clone(),
            common_labels: common(all(), |alert| &alert.labels),
            common_annotations: common(all(), |alert| &alert.annotations),
            alerts,
            truncated_alerts,
            external_url: envelope.external_url.to_owned(),
            created_at: envelope.opened_at,
            fallback_for: envelope.fallback_for.map(str::to_owned),
        }
    }

    /// What fires and is not quiet, for a peer that forgets what is not sent again; `None` when nothing does.
    pub fn refresh(&self, target: &Target, envelope: &Envelope<'_>) -> Option<Message> {
        let owed = self.firing(self.now);
        (!owed.firing.is_empty()).then(|| self.message(target, &owed, &[], envelope, None))
    }

    /// The entry once this was delivered. People then know as firing just what the message says: an alert that is silenced
    /// meanwhile is new to them afterwards. A peer that keeps state goes on to know what is quiet and fires.
    fn delivered(&self, target: &Target, entry: Option<&LogEntry>, owed: &Owed<'_>) -> LogEntry {
        let (mut firing, mut maybe) = (lives(&owed.firing), Lives::new());
        match target.kind {
            PeerKind::People => {}
            PeerKind::Incident if owed.reason == Reason::AllResolved => {}
            PeerKind::Alerts if has_left(target, entry) => {}
            PeerKind::Incident | PeerKind::Alerts => {
                let quiet = self.listed().iter().filter(|one| !one.member.over);
                for (one, entry) in quiet.filter_map(|one| Some((one, entry?))) {
                    let fingerprint = &one.alert.fingerprint;
                    let of = |lives: &Lives| {
                        lives
                            .get(fingerprint)
                            .copied()
                            .filter(|life| *life >= one.member.first_life)
                    };
                    if let Some(life) = of(&entry.firing) {
                        firing.entry(fingerprint.clone()).or_insert(life);
                    }
                    // That this arrived says nothing of whether an attempt before it did, which named others.
                    if let Some(life) = of(&entry.maybe)
                        && firing.get(fingerprint) < Some(&life)
                    {
                        maybe.insert(fingerprint.clone(), life);
                    }
                }
            }
        }
        if target.kind == PeerKind::Incident && owed.reason != Reason::AllResolved {
            // What was over before it could be notified has opened an incident all the same: it is to be resolved next.
            let unheard = owed.ended.iter().filter(|one| !was_notified(one, entry));
            firing.extend(unheard.map(|one| (one.alert.fingerprint.clone(), one.member.life)));
        }
        let mut resolved = lives(&owed.ended);
        for (fingerprint, life) in entry.into_iter().flat_map(|entry| &entry.resolved) {
            if self.group.members.get(fingerprint).is_some_and(|member| member.over) {
                resolved.entry(fingerprint.clone()).or_insert(*life);
            }
        }
        // Whoever knows an alert and is not to hear of its end needs to hear nothing more of it; with this message it would
        // be forgotten that it was known, and the end would be news.
        let silent = self.listed().iter().filter(|one| one.member.over && was_notified(one, entry));
        for one in silent {
            resolved.entry(one.alert.fingerprint.clone()).or_insert(one.member.life);
        }
        LogEntry { notified_at: Some(self.now), firing, resolved, maybe, ..LogEntry::default() }
    }
}

/// The entry while an attempt is unanswered: what it says fires may be known, what it says is over may be closed.
fn unanswered(entry: Option<&LogEntry>, owed: &Owed<'_>, delivered: &LogEntry) -> LogEntry {
    let mut unanswered = entry.cloned().unwrap_or_default();
    unanswered.fallback = delivered.fallback;
    for (fingerprint, life) in &delivered.firing {
        if unanswered.firing.get(fingerprint) < Some(life) {
            unanswered.maybe.insert(fingerprint.clone(), *life);
        }
    }
    unanswered.maybe_closed |= owed.reason == Reason::AllResolved || owed.reopens;
    unanswered
}

/// Whether the target was notified, successfully, of a firing of the chain that lasts.
fn was_notified(one: &Listed<'_>, entry: Option<&LogEntry>) -> bool {
    let life = entry.and_then(|entry| entry.firing.get(&one.alert.fingerprint));
    life.is_some_and(|life| *life >= one.member.first_life)
}

fn lives(listed: &[&Listed<'_>]) -> Lives {
    listed.iter().map(|one| (one.alert.fingerprint.clone(), one.member.life)).collect()
}

/// An alert as messages carry it.
pub fn message_alert(alert: &Alert) -> MessageAlert {
    MessageAlert {
        fingerprint: alert.fingerprint.clone(),
        status: if alert.is_firing() { Status::Firing } else { Status::Resolved },
        expired: alert.state == AlertState::Expired,
        no_data: alert.state == AlertState::NoData,
        missed: alert.missed,
        unheard: false,
        value: alert.value,
        usual: alert.usual.clone(),
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at: alert.starts_at,
        ends_at: alert.ends_at,
        event: alert.event.full(),
    }
}

/// An alert that the group has no more, as over; one that fires elsewhere is over here.
fn ended_now(alert: &Alert) -> MessageAlert {
    let ends_at = alert.ends_at.filter(|_| !alert.is_firing());
    MessageAlert { status: Status::Resolved, ends_at, ..message_alert(alert) }
}

/// The pairs that all alerts share.
fn common<'a>(
    mut alerts: impl Iterator<Item = &'a Alert>,
    of: impl Fn(&'a Alert) -> &'a Labels,
) -> Labels {
    let mut common = alerts.next().map(&of).cloned().unwrap_or_default();
    for alert in alerts {
        let of = of(alert);
        common.retain(|name, value| of.get(name) == Some(value));
    }
    common
}
