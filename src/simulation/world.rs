//! The engine with an inbox in memory and a time that the caller moves.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::alerts::{Alert, Fingerprint, Message, Reason, Silence, Status};
use crate::clock;
use crate::engine::{Policy, Report, State, compose, step};
use crate::event::Event;
use crate::rules::Labels;
use crate::store::{Changes, DeliveryState, EndedDelivery, NewDelivery, Silences, StoredEvent};

/// So long an id counts as the same event: the least retention that a configuration may have.
const ID_WINDOW: Duration = Duration::from_hours(7 * 24);
/// The same for a hash of the content.
const CONTENT_WINDOW: Duration = Duration::from_hours(1);

/// The engine at work on nothing but memory.
#[derive(Debug)]
pub struct World<'p> {
    policy: &'p Policy,
    state: State,
    now: Timestamp,
    /// The last place given in the inbox.
    seq: i64,
    /// Ids by account, and until when they count as the same event.
    seen: HashMap<(String, String), Timestamp>,
    happened: Happened,
    /// Deliveries so far.
    delivered: i64,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// It was judged.
    New,
    /// The same event came before; nothing changed.
    Duplicate,
}

/// What happened since it was last taken.
#[derive(Debug, Default)]
pub struct Happened {
    /// Notifications, in the order of time.
    pub notifications: Vec<SimulatedNotification>,
    /// What began to be kept quiet.
    pub quiet: Vec<Quiet>,
    /// What the rules said, by rule.
    pub tally: BTreeMap<String, Tally>,
}

/// One receiver, notified at one time, for one reason, of the same alerts, by however many integrations.
#[derive(Debug)]
pub struct SimulatedNotification {
    /// When.
    pub at: Timestamp,
    /// What; the message of the first integration.
    pub message: Message,
    /// The kinds of integration that it goes to.
    pub channels: BTreeSet<&'static str>,
    /// Id of the first of its deliveries.
    pub(super) id: String,
}

/// An alert that began to be kept quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    /// When.
    pub at: Timestamp,
    /// Its labels; empty when it is gone already.
    pub labels: Labels,
    /// The word of the reason, one of [`Quiet::WORDS`].
    pub by: &'static str,
}

impl Quiet {
    /// The words of the reasons.
    pub const WORDS: [&'static str; 4] = ["inhibited", "inactive", "muted", "silenced"];
}

/// How often a rule did what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that it judged.
    pub judged: u64,
    /// Of these, how often an expression could not be evaluated.
    pub failed: u64,
    /// Alerts that began.
    pub fired: u64,
    /// Alerts that ended, however.
    pub ended: u64,
}

impl<'p> World<'p> {
    /// An engine that has just been started for the first time.
    pub fn new(policy: &'p Policy, now: Timestamp) -> Self {
        let mut world = Self {
            policy,
            state: State::default(),
            now,
            seq: 0,
            seen: HashMap::new(),
            happened: Happened::default(),
            delivered: 0,
        };
        // Fits the state to the policy, as the worker's first turn does.
        let raised = world.step(&[]);
        world.take_in(raised);
        world.run_timers(now);
        world
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The alerts that fire.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.state.alerts()
    }

    /// What happened since this was last asked.
    pub fn take(&mut self) -> Happened {
        std::mem::take(&mut self.happened)
    }

    /// Moves the time; what falls due until then happens at its own time. Never goes back.
    pub fn advance(&mut self, until: Timestamp) {
        self.run_timers(until);
        self.now = self.now.max(until);
    }

    /// Silences alerts from now on.
    pub fn silence(&mut self, silence: Silence) {
        let version = self.state.silences().version() + 1;
        let silences = self.state.silences().all().iter().cloned().chain([silence]).collect();
        self.state.set_silences(Silences { version, silences }, self.now);
    }

    /// Takes an event in, unless the same came before, at its `received_at`: the time moves there.
    pub fn feed(&mut self, event: Event) -> Fed {
        self.advance(event.received_at);
        if !self.is_new(&event) {
            return Fed::Duplicate;
        }
        let seq = self.seq + 1;
        self.judge(&StoredEvent { seq, event });
        Fed::New
    }

    /// Judges an event that the store has kept: the store knew that it is no duplicate.
    pub fn refeed(&mut self, stored: &StoredEvent) {
        self.advance(stored.event.received_at);
        self.judge(stored);
    }

    /// Judges an event and those that tollbell raises meanwhile, then whatever is due at once.
    fn judge(&mut self, stored: &StoredEvent) {
        self.seq = self.seq.max(stored.seq);
        let raised = self.step(&[stored]);
        self.take_in(raised);
        self.run_timers(self.now);
    }

    /// Judges what tollbell raises: it goes through the inbox like any other event.
    fn take_in(&mut self, raised: Vec<Event>) {
        let mut waiting = VecDeque::from(raised);
        while let Some(event) = waiting.pop_front() {
            if self.is_new(&event) {
                self.seq += 1;
                waiting.extend(self.step(&[&StoredEvent { seq: self.seq, event }]));
            }
        }
    }

    fn is_new(&mut self, event: &Event) -> bool {
        let window = if event.content_hashed { CONTENT_WINDOW } else { ID_WINDOW };
        let until = clock::add(event.received_at, window);
        let key = (event.account.clone(), event.id.clone());
        match self.seen.get_mut(&key) {
            Some(known) if *known > event.received_at => false,
            Some(known) => {
                *known = until;
                true
            }
            None => {
                self.seen.insert(key, until);
                true
            }
        }
    }

    /// Runs what is due by `until`, each at its own time.
    fn run_timers(&mut self, until: Timestamp) {
        while let Some(due) = self.state.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let raised = self.step(&[]);
            self.take_in(raised);
        }
    }

    /// One step of the engine, and the deliveries that it opens: each is composed and delivered at once. Gives the events
    /// that tollbell raises.
    fn step(&mut self, events: &[&StoredEvent]) -> Vec<Event> {
        let mut raised = Vec::new();
        let mut opened = self.step_once(events, &mut raised);
        while !opened.is_empty() {
            let ended = opened.into_iter().map(|delivery| self.deliver(delivery)).collect();
            self.state.set_ended_deliveries(ended);
            opened = self.step_once(&[], &mut raised);
        }
        raised
    }

    fn step_once(&mut self, events: &[&StoredEvent], raised: &mut Vec<Event>) -> Vec<NewDelivery> {
        let judged = step(&mut self.state, self.policy, events, self.now);
        let Changes { deliveries, alerts, events, .. } = judged.changes;
        self.note(&judged.report, &alerts);
        raised.extend(events);
        deliveries
    }

    fn deliver(&mut self, delivery: NewDelivery) -> EndedDelivery {
        let composed = compose(&self.state, self.policy, &delivery, self.now);
        self.delivered += 1;
        let state =
            if composed.is_some() { DeliveryState::Delivered } else { DeliveryState::Superseded };
        let ended = EndedDelivery {
            n: self.delivered,
            id: delivery.id.clone(),
            group_key: delivery.group_key.clone(),
            target: delivery.target.clone(),
            state,
            finished_at: self.now,
            entry: composed.as_ref().map(|composed| composed.delivered.clone()),
        };
        if let Some(composed) = composed {
            self.note_notification(delivery, composed.message);
        }
        ended
    }

    fn note(&mut self, report: &Report, changed: &[Alert]) {
        for (rule, outcome, count) in report.tally() {
            let tally = self.happened.tally.entry(rule.to_owned()).or_default();
            tally.judged += count;
            if !Tally::FINE.contains(&outcome) {
                tally.failed += count;
            }
        }
        for (rule, outcome) in report.changed() {
            let tally = self.happened.tally.entry(rule.to_owned()).or_default();
            *(if outcome == "fired" { &mut tally.fired } else { &mut tally.ended }) += 1;
        }
        for (fingerprint, suppression) in report.quieted() {
            let labels = self.labels(fingerprint, changed);
            self.happened.quiet.push(Quiet { at: self.now, labels, by: suppression.as_str() });
        }
    }

    fn labels(&self, of: &Fingerprint, changed: &[Alert]) -> Labels {
        let mut all = self.state.alerts().chain(changed);
        all.find(|alert| alert.fingerprint == *of)
            .map(|alert| alert.labels.clone())
            .unwrap_or_default()
    }

    fn note_notification(&mut self, delivery: NewDelivery, message: Message) {
        let NewDelivery { id, target, opened_at, .. } = delivery;
        let integrations = self.policy.receivers.get(&message.receiver);
        let integrations = integrations.iter().flat_map(|receiver| &receiver.integrations);
        let channel = integrations
            .filter(|one| one.id == target.integration)
            .map(|one| one.channel.kind())
            .next()
            .unwrap_or_default();
        let mut lately =
            self.happened.notifications.iter_mut().rev().take_while(|one| one.at == opened_at);
        if let Some(known) = lately.find(|one| identity(&one.message) == identity(&message)) {
            known.channels.insert(channel);
            return;
        }
        let channels = BTreeSet::from([channel]);
        self.happened.notifications.push(SimulatedNotification {
            at: opened_at,
            message,
            channels,
            id,
        });
    }
}

impl Tally {
    /// The outcomes of an evaluation that are no failure.
    const FINE: [&'static str; 7] =
        ["no_match", "fired", "extended", "resolved", "observed", "no_data", "late"];
}

/// What makes a message of several integrations one notification.
fn identity(message: &Message) -> (&str, &str, Reason, Vec<(&Fingerprint, Status)>) {
    let alerts = message.alerts.iter().map(|alert| (&alert.fingerprint, alert.status)).collect();
    (&message.receiver, &message.group_key, message.reason, alerts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::Suppression;

    #[test]
    fn the_words_of_quiet_are_those_of_the_reasons() {
        let text = String::new;
        let reasons = [
            Suppression::Inhibited(Fingerprint::from(text())),
            Suppression::Inactive(text()),
            Suppression::Muted(text()),
            Suppression::Silenced(text()),
        ];
        assert_eq!(reasons.each_ref().map(Suppression::as_str), Quiet::WORDS);
    }
}
