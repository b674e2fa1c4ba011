//! How receivers are reached: one judgement, for the API, the console and the command line.

use jiff::Timestamp;

use crate::notify::Receiver;
use crate::store::{
    CANCELLED, Delivery, DeliveryFilter, DeliveryState, Pause, RECEIVER_REMOVED, ReceiverPause,
    Stats, Store, StoreError,
};

/// The last deliveries of a receiver that are looked at.
const LOOK_MAX: usize = 50;

/// What is known of how receivers are reached, as of one moment.
#[derive(Debug)]
pub struct Reached {
    stats: Stats,
    pauses: Vec<Pause>,
    held: Vec<ReceiverPause>,
}

/// How one integration is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Left alone for a while after a failure.
    Paused(Pause),
    /// What it is owed waits after a failed attempt, or was given up last: the reason, and one line about it.
    Failing(String, String),
    /// What was owed was taken.
    Reached,
    /// Nothing was sent yet, as far as is looked back.
    Unused,
}

/// How a receiver is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverHealth {
    /// How each of its integrations is reached, in their order, and when it took a delivery last.
    pub integrations: Vec<(Health, Option<Timestamp>)>,
    /// The pause that somebody has made of it.
    pub paused: Option<ReceiverPause>,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Deliveries that were given up.
    pub dead: u64,
}

/// A receiver's health in one word, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'h> {
    /// Somebody has paused it.
    Paused(&'h ReceiverPause),
    /// The first of its integrations that is paused or failing.
    Ill(&'h Health),
    /// All is taken now, but so many were given up.
    Dead(u64),
    /// All that was sent was taken.
    Reached,
    /// Nothing was sent yet, as far as is looked back.
    Unused,
}

impl Reached {
    /// Reads it.
    pub async fn of(store: &Store, now: Timestamp) -> Result<Self, StoreError> {
        let pauses = store.pauses(now).await?;
        let held = store.receiver_pauses().await?;
        Ok(Self { stats: store.stats().await?, pauses, held })
    }

    /// The figures of the store that it was read with.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Deliveries of a receiver that stand so.
    pub fn count(&self, receiver: &str, state: DeliveryState) -> u64 {
        let found = self.stats.deliveries.iter();
        found.filter(|it| it.receiver == receiver && it.state == state).map(|it| it.count).sum()
    }

    /// How a receiver is reached.
    pub async fn receiver(
        &self,
        store: &Store,
        receiver: &Receiver,
    ) -> Result<ReceiverHealth, StoreError> {
        let name = Some(receiver.name.clone());
        let filter =
            DeliveryFilter { receiver: name, limit: LOOK_MAX, ..DeliveryFilter::default() };
        let last = store.deliveries(filter).await?;
        let of = |id: &str| {
            let own: Vec<&Delivery> = last.iter().filter(|it| it.integration == id).collect();
            health(self.pauses.iter().find(|pause| pause.integration == id), &own)
        };
        Ok(ReceiverHealth {
            integrations: receiver.integrations.iter().map(|one| of(&one.id)).collect(),
            paused: self.held.iter().find(|held| held.receiver == receiver.name).cloned(),
            waiting: self.count(&receiver.name, DeliveryState::Pending),
            dead: self.count(&receiver.name, DeliveryState::Dead),
        })
    }
}

impl ReceiverHealth {
    /// In one word.
    pub fn verdict(&self) -> Verdict<'_> {
        let all = || self.integrations.iter().map(|(health, _)| health);
        let ill = all().find(|it| matches!(it, Health::Paused(_) | Health::Failing(..)));
        if let Some(paused) = &self.paused {
            return Verdict::Paused(paused);
        }
        match (ill, self.dead) {
            (Some(ill), _) => Verdict::Ill(ill),
            (None, 0) if all().any(|it| *it == Health::Reached) => Verdict::Reached,
            (None, 0) => Verdict::Unused,
            (None, dead) => Verdict::Dead(dead),
        }
    }
}

fn health(pause: Option<&Pause>, own: &[&Delivery]) -> (Health, Option<Timestamp>) {
    let delivered = own.iter().filter(|one| one.state == DeliveryState::Delivered);
    let last = delivered.filter_map(|one| one.finished_at).max();
    let failing = own.iter().find(|one| match one.state {
        DeliveryState::Pending => !one.reason.is_empty(),
        DeliveryState::Dead => was_refused(one, own),
        _ => false,
    });
    let health = match (pause, failing, last) {
        (Some(pause), ..) => Health::Paused(pause.clone()),
        (None, Some(one), _) => Health::Failing(one.reason.clone(), one.detail.clone()),
        (None, None, Some(_)) => Health::Reached,
        (None, None, None) => Health::Unused,
    };
    (health, last)
}

/// Whether a delivery was given up, and nothing was taken by its target since. What somebody cancelled, or nobody was
/// configured to send, says nothing of the peer.
fn was_refused(dead: &Delivery, own: &[&Delivery]) -> bool {
    let taken_since = |one: &&Delivery| {
        one.state == DeliveryState::Delivered
            && one.target == dead.target
            && one.finished_at >= dead.finished_at
    };
    ![CANCELLED, RECEIVER_REMOVED].contains(&dead.reason.as_str()) && !own.iter().any(taken_since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    fn ended(state: DeliveryState, target: &str, second: i64, reason: &str) -> Delivery {
        Delivery {
            id: format!("{target}{second}"),
            integration: "ops/email".to_owned(),
            receiver: "ops".to_owned(),
            target: target.to_owned(),
            group_key: "g".to_owned(),
            state,
            attempts: 1,
            created_at: at(0),
            not_before: at(0),
            finished_at: (state != DeliveryState::Pending).then(|| at(second)),
            reason: reason.to_owned(),
            detail: "550 no".to_owned(),
            fallback_of: None,
            maybe_repeated: false,
            paused_until: None,
            paused_reason: None,
            alertname: None,
            message: None,
        }
    }

    #[test]
    fn whoever_refused_last_is_not_reached() {
        use DeliveryState::{Dead, Delivered, Pending, Superseded};
        let refused = Health::Failing("clientError".to_owned(), "550 no".to_owned());
        for (own, want) in [
            (vec![], Health::Unused),
            (vec![ended(Superseded, "a", 1, "")], Health::Unused),
            (vec![ended(Dead, "a", 1, "clientError")], refused.clone()),
            (
                vec![ended(Dead, "a", 2, "clientError"), ended(Delivered, "a", 1, "")],
                refused.clone(),
            ),
            (
                vec![ended(Delivered, "a", 2, ""), ended(Dead, "a", 1, "clientError")],
                Health::Reached,
            ),
            // Another target takes its own.
            (
                vec![ended(Delivered, "b", 2, ""), ended(Dead, "a", 1, "clientError")],
                refused.clone(),
            ),
            (vec![ended(Dead, "a", 1, CANCELLED)], Health::Unused),
            (vec![ended(Pending, "a", 0, ""), ended(Delivered, "a", 1, "")], Health::Reached),
            (vec![ended(Pending, "a", 0, "clientError")], refused.clone()),
        ] {
            let own: Vec<&Delivery> = own.iter().collect();
            assert_eq!(health(None, &own).0, want, "{own:?}");
        }
    }

    #[test]
    fn the_worst_of_a_receiver_is_its_verdict() {
        let refused = Health::Failing("clientError".to_owned(), "550 no".to_owned());
        for (all, dead, want) in [
            (vec![Health::Reached, refused.clone()], 2, Verdict::Ill(&refused)),
            (vec![Health::Reached, Health::Unused], 2, Verdict::Dead(2)),
            (vec![Health::Unused, Health::Reached], 0, Verdict::Reached),
            (vec![Health::Unused], 0, Verdict::Unused),
            (vec![], 0, Verdict::Unused),
        ] {
            let integrations = all.into_iter().map(|it| (it, None)).collect();
            let of = ReceiverHealth { integrations, paused: None, waiting: 1, dead };
            assert_eq!(of.verdict(), want);
            let (receiver, who, comment) = (String::new(), String::new(), String::new());
            let pause = ReceiverPause { receiver, since: at(0), until: at(1), who, comment };
            let of = ReceiverHealth { paused: Some(pause.clone()), ..of };
            assert_eq!(of.verdict(), Verdict::Paused(&pause));
        }
    }
}
