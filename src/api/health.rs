//! How receivers are reached, for the API and the console.

use jiff::Timestamp;

use super::Deps;
use crate::notify::Receiver;
use crate::store::{Delivery, DeliveryFilter, DeliveryState, Pause, Stats, StoreError};

/// The last deliveries of a receiver that are looked at.
const LOOK_MAX: usize = 50;

/// What is known of how receivers are reached, as of one moment.
#[derive(Debug)]
pub struct Reached {
    stats: Stats,
    pauses: Vec<Pause>,
}

/// How one integration is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Left alone for a while after a failure.
    Paused(Pause),
    /// The last attempt of what it is owed failed: the reason, and one line about it.
    Failing(String, String),
    /// What was owed was taken.
    Reached,
    /// Nothing was sent yet, as far as is looked back.
    Unused,
}

impl Reached {
    /// Reads it.
    pub async fn of(deps: &Deps) -> Result<Self, StoreError> {
        let pauses = deps.store.pauses(deps.clock.now()).await?;
        Ok(Self { stats: deps.store.stats().await?, pauses })
    }

    /// Deliveries of a receiver that stand so.
    pub fn count(&self, receiver: &str, state: DeliveryState) -> u64 {
        let found = self.stats.deliveries.iter();
        found.filter(|it| it.receiver == receiver && it.state == state).map(|it| it.count).sum()
    }

    /// How each integration of a receiver is reached, in their order, and when it took a delivery last.
    pub async fn integrations(
        &self,
        deps: &Deps,
        receiver: &Receiver,
    ) -> Result<Vec<(Health, Option<Timestamp>)>, StoreError> {
        let name = Some(receiver.name.clone());
        let filter =
            DeliveryFilter { receiver: name, limit: LOOK_MAX, ..DeliveryFilter::default() };
        let last = deps.store.deliveries(filter).await?;
        let of = |id: &str| {
            let own: Vec<&Delivery> = last.iter().filter(|it| it.integration == id).collect();
            health(self.pauses.iter().find(|pause| pause.integration == id), &own)
        };
        Ok(receiver.integrations.iter().map(|integration| of(&integration.id)).collect())
    }
}

fn health(pause: Option<&Pause>, own: &[&Delivery]) -> (Health, Option<Timestamp>) {
    let delivered = own.iter().filter(|one| one.state == DeliveryState::Delivered);
    let last = delivered.filter_map(|one| one.finished_at).max();
    let mut pending = own.iter().filter(|one| one.state == DeliveryState::Pending);
    let failing = pending.find(|one| !one.reason.is_empty());
    let health = match (pause, failing, last) {
        (Some(pause), ..) => Health::Paused(pause.clone()),
        (None, Some(one), _) => Health::Failing(one.reason.clone(), one.detail.clone()),
        (None, None, Some(_)) => Health::Reached,
        (None, None, None) => Health::Unused,
    };
    (health, last)
}
