//! The outbox in memory: deliveries are claimed, composed and settled as the store and the lanes do it, from what is on
//! disk and from nothing else.

mod world;

use std::sync::Arc;

use super::*;
use crate::alerts::{ActiveSilences, Group, LogEntry, Member, Message, TargetId};
use crate::dispatch::{self, Composed};
use crate::notify::{Outcome, Reason as Refusal};
use crate::store::{
    Claimed, Delivery, DeliveryState, DueDelivery, EndedDelivery, KnownGroup, Next, member_key,
};

/// How long a claim holds, in seconds.
pub(super) const LEASE_S: i64 = 40;

/// A delivery as it is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) new: NewDelivery,
    pub(super) state: DeliveryState,
    pub(super) due_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
    attempts: u32,
    noted: bool,
    message: Option<Message>,
    digest: Option<Vec<u8>>,
    revision: u32,
    cut_off: bool,
}

impl Kept {
    fn new(new: NewDelivery) -> Self {
        Self {
            due_at: new.opened_at,
            state: DeliveryState::Pending,
            finished_at: None,
            attempts: 0,
            noted: false,
            message: None,
            digest: None,
            revision: 0,
            cut_off: false,
            new,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.finished_at.is_none()
    }

    fn is_for(&self, other: &NewDelivery) -> bool {
        (&self.new.group_key, &self.new.target) == (&other.group_key, &other.target)
    }

    fn delivery(&self) -> Delivery {
        Delivery {
            id: self.new.id.clone(),
            integration: self.new.target.integration.clone(),
            receiver: self.new.receiver.clone(),
            target: self.new.target.target.clone(),
            group_key: self.new.group_key.clone(),
            state: self.state,
            attempts: self.attempts,
            created_at: self.new.opened_at,
            not_before: self.due_at,
            finished_at: self.finished_at,
            reason: String::new(),
            detail: String::new(),
            fallback_of: None,
            alertname: None,
            maybe_repeated: self.cut_off,
            paused_until: None,
            paused_reason: None,
            message: self.message.clone(),
        }
    }
}

/// What a peer did with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Took it.
    Taken,
    /// Is not ready: try again.
    Refused,
    /// Will never take it.
    Rejected,
    /// Took it, and the answer was lost.
    TakenUnanswered,
    /// Never saw it, and nobody knows.
    Lost,
}

impl Answer {
    pub(super) fn arrives(self) -> bool {
        matches!(self, Self::Taken | Self::TakenUnanswered)
    }
}

/// An attempt that reached its peer.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) at: Timestamp,
    pub(super) target: TargetId,
    pub(super) receiver: String,
    pub(super) key: String,
    pub(super) message: Message,
}

impl Disk {
    /// Opens a delivery, unless one is open for its group and target.
    pub(super) fn open(&mut self, new: NewDelivery) {
        let taken = self.outbox.iter().any(|kept| kept.is_open() && kept.is_for(&new));
        assert!(!taken, "a second open delivery: {new:#?}");
        self.outbox.push(Kept::new(new));
    }

    /// What was being sent when everything ended is due again.
    pub(super) fn release(&mut self) {
        for kept in &mut self.outbox {
            if kept.state == DeliveryState::Sending {
                kept.state = DeliveryState::Pending;
                (kept.due_at, kept.cut_off) = (kept.new.opened_at, true);
            }
        }
    }

    pub(super) fn note(&mut self, n: i64) {
        self.kept(n).noted = true;
    }

    fn kept(&mut self, n: i64) -> &mut Kept {
        &mut self.outbox[usize::try_from(n).expect("a place")]
    }

    pub(super) fn open_rows(&self) -> Vec<(String, TargetId, String)> {
        let open = self.outbox.iter().rev().filter(|kept| kept.is_open());
        let ended = self.outbox.iter().rev().filter(|kept| !kept.is_open() && !kept.noted);
        let row = |kept: &Kept| {
            (kept.new.group_key.clone(), kept.new.target.clone(), kept.new.id.clone())
        };
        open.chain(ended).map(row).collect()
    }

    /// Ended deliveries that the engine has not taken note of.
    pub(super) fn unnoted(&self) -> Vec<EndedDelivery> {
        let ended = |(n, kept): (i64, &Kept)| {
            let finished_at = kept.finished_at.filter(|_| !kept.noted)?;
            let key = (kept.new.group_key.clone(), kept.new.target.clone());
            Some(EndedDelivery {
                n,
                id: kept.new.id.clone(),
                state: kept.state,
                finished_at,
                entry: self.log.get(&key).cloned(),
                group_key: key.0,
                target: key.1,
            })
        };
        (0..).zip(&self.outbox).filter_map(ended).collect()
    }

    fn alert(&self, fingerprint: &Fingerprint) -> Option<Alert> {
        let json = self.alerts.get(fingerprint)?;
        Some(serde_json::from_slice(json).expect("an alert"))
    }

    /// A group with its members.
    pub(super) fn group(&self, key: &str) -> Option<Group> {
        let json = self.rows.get(&(Space::Group, key.to_owned()))?;
        let mut group: Group = serde_json::from_slice(json).expect("a group");
        let first = member_key(key, &Fingerprint::from(String::new()));
        for ((_, row), json) in self.rows.iter().filter(|((space, _), _)| *space == Space::Member) {
            let Some(fingerprint) = row.strip_prefix(&first) else { continue };
            let fingerprint = Fingerprint::from(fingerprint.to_owned());
            let mut member: Member = serde_json::from_slice(json).expect("a member");
            if member.over {
                member.ended = self.alert(&fingerprint).map(Arc::new);
            }
            group.members.insert(fingerprint, member);
        }
        Some(group)
    }

    /// The groups of which the integrations of a kind know something, unless a delivery is open; with the integration.
    pub(super) fn known_groups(&self, kind: &str) -> Vec<(String, KnownGroup)> {
        let part = format!("/{kind}/");
        let entries = self.log.iter().filter(|((_, target), entry)| {
            target.integration.contains(&part) && !entry.firing.is_empty()
        });
        let known = entries.filter_map(|((key, target), entry)| {
            let is_open = |kept: &Kept| {
                kept.is_open() && kept.new.group_key == *key && kept.new.target == *target
            };
            if self.outbox.iter().any(is_open) {
                return None;
            }
            let alerts =
                entry.firing.keys().filter_map(|one| Some((one.clone(), self.alert(one)?)));
            let (alerts, entry) = (alerts.collect(), entry.clone());
            Some((
                target.integration.clone(),
                KnownGroup { group: self.group(key)?, alerts, entry },
            ))
        });
        known.collect()
    }

    fn due(&self, n: i64, kept: &Kept) -> DueDelivery {
        let key = (kept.new.group_key.clone(), kept.new.target.clone());
        let (group, entry) = (self.group(&key.0), self.log.get(&key).cloned());
        let firing = group.iter().flat_map(|group| &group.members);
        let firing = firing.filter(|(_, member)| !member.over).map(|(one, _)| one.clone());
        let known = entry.iter().flat_map(LogEntry::maybe_known).map(|(one, _)| one.clone());
        let alerts =
            firing.chain(known).filter_map(|one| Some((one.clone(), Arc::new(self.alert(&one)?))));
        DueDelivery {
            n,
            delivery: kept.delivery(),
            cut_off: kept.cut_off || kept.state == DeliveryState::Sending,
            digest: kept.digest.clone(),
            revision: kept.revision,
            by_hand: false,
            original: None,
            alerts: alerts.collect(),
            group: group.map(Arc::new),
            entry,
        }
    }

    /// The silences, compiled.
    pub(super) fn active_silences(&self) -> ActiveSilences {
        ActiveSilences::new(self.silences.version, self.silences.silences.clone())
    }

    /// Claims a delivery that is due; `None` when there is nothing left to send.
    pub(super) fn claim(&mut self, policy: &Policy, n: i64, now: Timestamp) -> Option<Composed> {
        let kept = self.kept(n).clone();
        let Some((_, integration)) = policy.integration(&kept.new.target.integration) else {
            self.end(n, DeliveryState::Dead, now);
            return None;
        };
        let due = self.due(n, &kept);
        let silences = self.active_silences();
        let (_, claimed, composed) =
            dispatch::compose(due, integration, &policy.routing, &silences, now);
        match claimed {
            Claimed::Sent { content, unanswered } => {
                let kept = self.kept(n);
                kept.cut_off |= kept.state == DeliveryState::Sending;
                kept.state = DeliveryState::Sending;
                kept.due_at = now + jiff::SignedDuration::from_secs(LEASE_S);
                kept.attempts += 1;
                kept.revision = content.revision;
                kept.digest = Some(content.digest);
                kept.message =
                    composed.as_ref().map(|composed| composed.notification.message.clone());
                let key = (kept.new.group_key.clone(), kept.new.target.clone());
                let by = (n, kept.attempts);
                if let Some(entry) = unanswered {
                    self.put_log(&key, by, entry);
                }
            }
            Claimed::Superseded(_) => self.end(n, DeliveryState::Superseded, now),
            Claimed::Dead(_) => self.end(n, DeliveryState::Dead, now),
        }
        composed
    }

    fn end(&mut self, n: i64, state: DeliveryState, now: Timestamp) {
        let kept = self.kept(n);
        (kept.state, kept.finished_at, kept.noted) = (state, Some(now), false);
    }

    /// Records how an attempt ended; whether that moved the delivery. That a peer took it is believed at any time, any
    /// other word only of the attempt that is under way.
    pub(super) fn settle(
        &mut self,
        policy: &Policy,
        composed: &Composed,
        answer: Answer,
        now: Timestamp,
    ) -> bool {
        let n = composed.n;
        let outcome = match answer {
            Answer::Taken => Outcome::Delivered,
            Answer::Rejected => {
                Outcome::Rejected { reason: Refusal::ClientError, detail: String::new() }
            }
            Answer::Refused => Outcome::Retry {
                reason: Refusal::ClientError,
                detail: String::new(),
                after: None,
                lasting: Some(Duration::from_mins(10)),
                peer_works: false,
                maybe_taken: false,
            },
            Answer::TakenUnanswered | Answer::Lost => {
                let kept = self.kept(n);
                kept.cut_off |= kept.attempts == composed.delivery.attempts;
                Outcome::Retry {
                    reason: Refusal::Timeout,
                    detail: String::new(),
                    after: None,
                    lasting: None,
                    peer_works: false,
                    maybe_taken: true,
                }
            }
        };
        let integration = &composed.delivery.integration;
        let (_, integration) = policy.integration(integration).expect("it was sent by it");
        let next = dispatch::next(&composed.delivery, &integration.retry, &outcome, now, 0.5);
        let attempt = composed.delivery.attempts;
        let kept = self.kept(n);
        let is_under_way = kept.state == DeliveryState::Sending && kept.attempts == attempt;
        match next {
            Next::Delivered => {
                let key = (kept.new.group_key.clone(), kept.new.target.clone());
                let was_delivered = kept.state == DeliveryState::Delivered;
                // Who took the same content earlier has taken what the last attempt says.
                let is_same = kept.revision == composed.revision;
                let by = if is_same { attempt.max(kept.attempts) } else { attempt };
                kept.noted = false;
                let entry = LogEntry { notified_at: Some(now), ..composed.entry.clone() };
                self.put_log(&key, (n, by), entry);
                if was_delivered {
                    return false;
                }
                for fingerprint in &composed.news {
                    self.journal.push(JournalEntry {
                        at: now,
                        fingerprint: fingerprint.to_string(),
                        group_key: key.0.clone(),
                        what: "notified".to_owned(),
                        detail: composed.notification.message.reason.as_str().to_owned(),
                    });
                }
                self.end(n, DeliveryState::Delivered, now);
            }
            Next::RetryAt(_) | Next::Dead if !is_under_way => return false,
            Next::RetryAt(at) => {
                let kept = self.kept(n);
                (kept.state, kept.due_at) = (DeliveryState::Pending, at);
            }
            Next::Dead => self.end(n, DeliveryState::Dead, now),
        }
        true
    }

    /// Writes an entry of the notification log, unless a later attempt has written it.
    fn put_log(&mut self, key: &(String, TargetId), by: (i64, u32), entry: LogEntry) {
        if self.logged.get(key).is_none_or(|before| *before <= by) {
            self.logged.insert(key.clone(), by);
            self.log.insert(key.clone(), entry);
        }
    }
}
