//! Sends in flight: claimed by a process, then taken by a peer or not, then recorded; in any order, and late.

use super::*;
use crate::dispatch::Composed;

/// No send begins later than this after its claim, in seconds.
const BEGINS_S: u64 = 20;

/// A claimed delivery on its way.
#[derive(Debug)]
pub(super) struct Flight {
    /// Whose it is.
    pub(super) node: usize,
    /// The configuration that it was claimed by.
    policy: usize,
    composed: Composed,
    arrived: Arrived,
    /// What the peer did; `None` before it was sent.
    answer: Option<Answer>,
}

impl Sim<'_> {
    /// Claims one of the deliveries that are due, as soon as the configuration in force was applied.
    pub(super) fn claim(&mut self) {
        let (policy, now) = (self.model.policy(), self.now());
        let disk = &mut self.model.world.disk;
        let in_force = disk.rows.get(&(Space::Engine, "in_force".to_owned()));
        let in_force: Option<Value> =
            in_force.map(|row| serde_json::from_slice(row).expect("JSON"));
        if in_force.is_none_or(|row| row["config"] != *policy.config_hash) {
            return;
        }
        let due = (0..).zip(&disk.outbox).filter(|(_, kept)| kept.is_open() && kept.due_at <= now);
        let due: Vec<i64> = due.map(|(n, _)| n).collect();
        if due.is_empty() {
            return;
        }
        let n = due[self.rng.usize(0..due.len())];
        let new = disk.outbox[usize::try_from(n).expect("a place")].new.clone();
        let Some(composed) = disk.claim(policy, n, now) else {
            self.show("nothing is left to say");
            return;
        };
        let notification = &composed.notification;
        let arrived = Arrived {
            at: now,
            target: new.target,
            receiver: new.receiver,
            key: notification.key.clone(),
            message: notification.message.clone(),
        };
        self.show(&format!(
            "delivery {n} to {}: {:?}, {}",
            arrived.target.integration,
            arrived.message.reason,
            promises::content(&arrived, promises::peer_kind(policy, &arrived))
        ));
        self.assert_is_to_be_heard(&arrived);
        self.assert_same_content_has_one_key(n, &arrived);
        let node = self.rng.usize(0..self.nodes.len());
        self.flights.push(Flight {
            node,
            policy: self.model.policy,
            composed,
            arrived,
            answer: None,
        });
    }

    /// One of the sends goes on.
    pub(super) fn go_on(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let n = self.rng.usize(0..self.flights.len());
        let mut flight = self.flights.swap_remove(n);
        let policy = &self.model.policies[flight.policy];
        let now = self.now();
        if let Some(answer) = flight.answer {
            let disk = &mut self.model.world.disk;
            let is_heeded = disk.settle(policy, &flight.composed, answer, now);
            let key = (flight.arrived.message.group_key.clone(), flight.arrived.target.clone());
            if answer == Answer::Taken && is_heeded {
                let kind = promises::peer_kind(policy, &flight.arrived);
                let said = promises::content(&flight.arrived, kind);
                self.told.insert(key, (flight.arrived.key.clone(), said));
            }
            self.show(&format!("delivery {}: {answer:?}", flight.composed.n));
            return;
        }
        if clock::add(flight.arrived.at, Duration::from_secs(BEGINS_S)) < now {
            return;
        }
        let (_, integration) =
            policy.integration(&flight.arrived.target.integration).expect("it was claimed");
        let answer = self.model.answers[slot(integration)];
        if answer.is_none_or(Answer::arrives) {
            flight.arrived.at = now;
            self.model.peers.take(&flight.arrived, integration.channel.peer_kind());
        }
        // Without an answer it is cut off: nothing more is heard of it.
        flight.answer = answer;
        self.flights.extend(answer.map(|_| flight));
    }
}
