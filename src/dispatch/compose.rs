//! What a delivery that is due says now, and under which key. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::alerts::{
    self, ActiveSilences, Alert, Envelope, Fingerprint, Lives, LogEntry, Look, Member, Message,
    PeerKind, Routing, Scope, Status, Suppression, Target, Timing,
};
use crate::notify::{Integration, Notification};
use crate::store::{Claimed, Content, Delivery, DueDelivery};

/// A delivery that is sent now.
#[derive(Debug, Clone)]
pub(crate) struct Composed {
    /// Its place among the deliveries.
    pub(crate) n: i64,
    /// The delivery, its attempt counted.
    pub(crate) delivery: Delivery,
    /// What it says, under which key: the same as long as the content is.
    pub(crate) notification: Notification,
    /// Which content that is: [`Content::revision`].
    pub(crate) revision: u32,
    /// Whether the peer may have seen just this already.
    pub(crate) repeats: bool,
    /// The target's entry of the notification log once it is delivered.
    pub(crate) entry: LogEntry,
    /// Alerts of which the journal says then that they were notified.
    pub(crate) news: BTreeSet<Fingerprint>,
}

/// Composes a delivery; what the claim is to write, and what is sent.
pub(crate) fn compose(
    due: DueDelivery,
    integration: &Integration,
    routing: &Routing,
    silences: &ActiveSilences,
    now: Timestamp,
) -> (i64, Claimed, Option<Composed>) {
    let n = due.n;
    let composing = Composing { due: &due, integration, routing, silences, now };
    match composing.message() {
        Ok(composed) => {
            let alerts::Composed { mut message, delivered, unanswered } = composed;
            // When it was opened is no news: whoever tries it again by hand opens it anew.
            let mut is_last = false;
            if let Some(last) = due.delivery.message.as_ref() {
                let opened_at = std::mem::replace(&mut message.created_at, last.created_at);
                is_last = without_nulls(&message) == without_nulls(last);
                if !is_last {
                    message.created_at = opened_at;
                }
            }
            let json = serde_json::to_vec(&message).unwrap_or_default();
            let digest = Sha256::digest(&json).to_vec();
            // An older version may have written the same with other bytes, and known fewer fields of events.
            let is_same = is_last || due.digest.as_ref().is_none_or(|last| *last == digest);
            let revision = due.revision + u32::from(!is_same);
            let key = match revision {
                0 => due.delivery.id.clone(),
                revision => format!("{}-{revision}", due.delivery.id),
            };
            let content = Content { revision, digest, message: json, why: message.reason.as_str() };
            let mut delivery = due.delivery;
            delivery.attempts += 1;
            let repeats = due.cut_off && is_same;
            let news = news(&message, due.entry.as_ref(), &delivered);
            let notification = Notification {
                key,
                target: delivery.target.clone(),
                attempt: delivery.attempts,
                now,
                message,
                charts: Vec::new(),
            };
            let sent =
                Composed { n, delivery, notification, revision, repeats, entry: delivered, news };
            (n, Claimed::Sent { content, unanswered }, Some(sent))
        }
        Err(Unsent::Superseded(why)) => (n, Claimed::Superseded(why), None),
        Err(Unsent::Dead(why)) => (n, Claimed::Dead(why), None),
    }
}

/// The alerts of which a message is news to its target. A repeat is news of all that fires, and what somebody asked for of
/// all that it speaks of.
fn news(
    message: &Message,
    before: Option<&LogEntry>,
    delivered: &LogEntry,
) -> BTreeSet<Fingerprint> {
    let is_new = |now: &Lives, before: Option<&Lives>| -> BTreeSet<Fingerprint> {
        let is_known = |one, life| before.is_some_and(|before| before.get(one) == Some(life));
        let new = now.iter().filter(|(one, life)| !is_known(*one, *life));
        new.map(|(one, _)| one.clone()).collect()
    };
    let repeats = message.reason == alerts::Reason::Repeat;
    let fired_before = before.filter(|_| !repeats).map(|before| &before.firing);
    let mut news = is_new(&delivered.firing, fired_before);
    news.extend(is_new(&delivered.resolved, before.map(|before| &before.resolved)));
    if news.is_empty() {
        news.extend(message.alerts.iter().map(|alert| alert.fingerprint.clone()));
    }
    news
}

/// A message whose events name only what they have.
fn without_nulls(message: &Message) -> Message {
    let mut message = message.clone();
    for alert in &mut message.alerts {
        strip(&mut alert.event);
    }
    message
}

fn strip(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.values_mut().for_each(strip);
        fields.retain(|_, value| !value.is_null());
    }
}

/// Why a delivery is not sent: one line.
enum Unsent {
    /// Nothing is left to say.
    Superseded(String),
    /// It cannot be sent.
    Dead(String),
}

struct Composing<'d> {
    due: &'d DueDelivery,
    integration: &'d Integration,
    routing: &'d Routing,
    silences: &'d ActiveSilences,
    now: Timestamp,
}

impl Composing<'_> {
    fn message(&self) -> Result<alerts::Composed, Unsent> {
        let Self { due, integration, routing, now, .. } = *self;
        if due.original.as_ref().is_some_and(|(_, delivered)| *delivered) {
            return Err(Unsent::Superseded("the receiver was reached after all".to_owned()));
        }
        let group = due.group.as_deref();
        let route = group.and_then(|group| routing.route.find(&group.route));
        let is_of_route = route.is_some_and(|route| route.receiver == integration.receiver);
        let scope = if is_of_route || due.original.is_some() { Scope::All } else { Scope::Ends };
        let mut targets = integration.as_targets(scope);
        targets.retain(|target| target.id.target == due.delivery.target);
        let Some(target) = targets.first_mut() else {
            return Err(Unsent::Dead("its target is not configured any more".to_owned()));
        };
        let Some(group) = group else { return self.last("what it would have said is over") };
        if target.kind == PeerKind::Alerts {
            let kept = |one: &Fingerprint| due.alerts.get(one).map(Arc::as_ref);
            let receiver = &integration.receiver;
            target.elsewhere = routing.elsewhere(group, due.entry.as_ref(), receiver, &kept);
        }
        let muted = route.and_then(|route| routing.muted(route, now));
        let quiet = |alert: &Alert, member: &Member| {
            let inhibited = member.suppressed.clone();
            let inhibited = inhibited.filter(|why| matches!(why, Suppression::Inhibited(_)));
            alerts::quiet(alert, inhibited, muted.as_ref(), || silenced(self.silences, alert, now))
        };
        let firing = |fingerprint: &Fingerprint| due.alerts.get(fingerprint).map(Arc::as_ref);
        let look = Look::new(group, &firing, &quiet, now);
        let timing = route.map_or(Timing::NO_ROUTE, |route| route.timing);
        let composed =
            look.compose(target, due.entry.as_ref(), &timing, &self.envelope(), &|one| {
                due.alerts.get(one).map(|alert| Alert::clone(alert))
            });
        match composed {
            Some(composed) => Ok(composed),
            None if look.listed().iter().any(|listed| listed.quiet.is_some()) => {
                self.last("what it would have said is suppressed now")
            }
            None => self.last("what it would have said is over"),
        }
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            receiver: &self.integration.receiver,
            external_url: &self.routing.external_url,
            opened_at: self.due.delivery.created_at,
            fallback_for: self.due.original.as_ref().map(|(receiver, _)| receiver.as_str()),
        }
    }

    /// Nothing is owed any more. Whoever asked for the delivery to be tried again gets what it said last, brought up to
    /// date; unless that is silenced.
    fn last(&self, why: &str) -> Result<alerts::Composed, Unsent> {
        let superseded = || Err(Unsent::Superseded(why.to_owned()));
        let due = self.due;
        let Some(last) = due.delivery.message.as_ref().filter(|_| due.by_hand) else {
            return superseded();
        };
        let mut message = last.clone();
        for alert in &mut message.alerts {
            let now = due.alerts.get(&alert.fingerprint);
            if let Some(now) = now.filter(|now| !now.is_firing()) {
                *alert = alerts::message_alert(now);
            }
        }
        let fires = message.alerts.iter().any(|alert| alert.status == Status::Firing);
        message.status = if fires { Status::Firing } else { Status::Resolved };
        let silenced = message.alerts.iter().filter_map(|alert| due.alerts.get(&alert.fingerprint));
        if silenced.clone().any(|alert| silenced_by(self.silences, alert, self.now)) {
            return superseded();
        }
        let entry = due.entry.clone().unwrap_or_default();
        let delivered = LogEntry { notified_at: Some(self.now), ..entry };
        Ok(alerts::Composed { message, delivered, unanswered: None })
    }
}

fn silenced_by(silences: &ActiveSilences, alert: &Alert, now: Timestamp) -> bool {
    silenced(silences, alert, now).is_some()
}

/// The silence that keeps an alert quiet.
fn silenced(silences: &ActiveSilences, alert: &Alert, now: Timestamp) -> Option<Suppression> {
    let silence = silences.silencing(&alert.labels, now);
    silence.map(|silence| Suppression::Silenced(silence.id.clone()))
}

/// What an Alertmanager that forgets is sent again: the alerts of a group that it knows, that fire, and that are not
/// quiet.
pub(crate) fn refreshed(
    known: &crate::store::KnownGroup,
    integration: &Integration,
    routing: &Routing,
    silences: &ActiveSilences,
    now: Timestamp,
) -> Option<Message> {
    let route = routing.route.find(&known.group.route)?;
    let target: Target = integration.as_targets(Scope::All).into_iter().next()?;
    let muted = routing.muted(route, now);
    let quiet = |alert: &Alert, member: &Member| {
        let inhibited = member.suppressed.clone();
        let inhibited = inhibited.filter(|why| matches!(why, Suppression::Inhibited(_)));
        alerts::quiet(alert, inhibited, muted.as_ref(), || silenced(silences, alert, now))
    };
    let firing = |fingerprint: &Fingerprint| {
        let is_known = known.entry.firing.contains_key(fingerprint);
        known.alerts.get(fingerprint).filter(|_| is_known)
    };
    let look = Look::new(&known.group, &firing, &quiet, now);
    let envelope = Envelope {
        receiver: &integration.receiver,
        external_url: &routing.external_url,
        opened_at: now,
        fallback_for: None,
    };
    look.refresh(&target, &envelope)
}
