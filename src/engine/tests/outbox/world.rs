//! What is due is sent, to peers that answer as a test says.

use super::*;
use crate::alerts::Status;

impl World {
    /// Sends what is due, each to a peer that answers as `answer` says; takes note of how it ended, and sends what that
    /// brings. Without an answer the attempt is cut off: nothing more is heard of it.
    pub(in crate::engine::tests) fn send(
        &mut self,
        policy: &Policy,
        now: Timestamp,
        answer: &mut dyn FnMut(&Arrived) -> Option<Answer>,
    ) {
        for _ in 0..50 {
            let sent = self.send_due(policy, now, answer);
            if sent == 0 && self.disk.unnoted().is_empty() {
                return;
            }
            self.step(policy, &[], now);
        }
        panic!("deliveries are opened without end: {:#?}", self.disk.outbox.last());
    }

    /// Sends what is due, once; how many that was.
    pub(in crate::engine::tests) fn send_due(
        &mut self,
        policy: &Policy,
        now: Timestamp,
        answer: &mut dyn FnMut(&Arrived) -> Option<Answer>,
    ) -> usize {
        let due = (0..).zip(&self.disk.outbox);
        let due = due.filter(|(_, kept)| kept.is_open() && kept.due_at <= now);
        let due: Vec<i64> = due.map(|(n, _)| n).collect();
        for n in &due {
            self.send_one(policy, *n, now, answer);
        }
        due.len()
    }

    fn send_one(
        &mut self,
        policy: &Policy,
        n: i64,
        now: Timestamp,
        answer: &mut dyn FnMut(&Arrived) -> Option<Answer>,
    ) {
        let Some(composed) = self.disk.claim(policy, n, now) else { return };
        let arrived = Arrived {
            at: now,
            target: self.disk.kept(n).new.target.clone(),
            receiver: composed.delivery.receiver.clone(),
            key: composed.notification.key.clone(),
            message: composed.notification.message.clone(),
        };
        let known = arrived.message.alerts.len() + arrived.message.truncated_alerts;
        assert!(known > 0 || arrived.message.status == Status::Resolved, "{arrived:?}");
        let answer = answer(&arrived);
        if answer.is_none_or(Answer::arrives) {
            self.arrived.push(arrived);
        }
        if let Some(answer) = answer {
            self.disk.settle(policy, &composed, answer, now);
        }
    }

    /// When something is due: of the engine, or of the outbox.
    pub(in crate::engine::tests) fn next(&self) -> Option<Timestamp> {
        let open = self.disk.outbox.iter().filter(|kept| kept.is_open()).map(|kept| kept.due_at);
        open.chain(self.state.next_deadline()).min()
    }
}
