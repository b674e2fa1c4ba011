//! What this process tells the others that serve from the same store, and what it notices of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::clock::Clock;
use crate::config::Config;
use crate::event::Event;
use crate::metrics::Metrics;
use crate::store::{Feed, Offer, Replica, Role, Store};
use crate::tasks::Tasks;

/// How often it is looked who else serves.
const PERIOD: Duration = Duration::from_secs(2);
/// Looks that must find the same difference before it is told: a reload reaches replicas one after the other.
const LOOKS_MIN: u32 = 5;

/// What a process with this configuration can do.
pub(super) fn offer(config: &Config) -> Offer {
    let integrations = config.receivers.iter().flat_map(|receiver| &receiver.integrations);
    let host = hostname::get().map(|name| name.to_string_lossy().into_owned());
    Offer {
        name: format!("{}:{}", host.unwrap_or_default(), std::process::id()),
        config: config.hash.clone(),
        judges: true,
        integrations: integrations.map(|integration| integration.id.clone()).collect(),
    }
}

/// The worker that looks who else serves, and by which configuration.
#[derive(Debug)]
pub(super) struct Replicas {
    store: Store,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// The configurations that were found last, where they differ, and how often in a row.
    differ: (BTreeSet<String>, u32),
}

impl Replicas {
    pub(super) fn new(store: Store, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self { store, clock, metrics, differ: Default::default() }
    }

    /// Looks until shutdown.
    pub(super) async fn watch(mut self, tasks: Tasks) {
        let mut duties = self.store.duties();
        while !tasks.is_stopping() {
            duties.borrow_and_update();
            self.look().await;
            tokio::select! {
                // With SQLite it never changes.
                Ok(()) = duties.changed() => {}
                () = tokio::time::sleep(PERIOD) => {}
                () = tasks.stopping() => {}
            }
        }
    }

    async fn look(&mut self) {
        let judges = self.store.holds(&Role::Judge);
        let replicas = self.store.replicas();
        let configs: BTreeSet<String> = replicas.iter().map(|one| one.config.clone()).collect();
        self.metrics.replicas(judges, replicas.len().max(1), configs.len() > 1);
        let (before, looks) = &mut self.differ;
        if configs.len() < 2 {
            if *looks >= LOOKS_MIN {
                tracing::info!("all replicas have the same configuration again");
            }
            self.differ = Default::default();
            return;
        }
        *looks = if *before == configs { looks.saturating_add(1) } else { 1 };
        *before = configs;
        if *looks == LOOKS_MIN {
            self.tell(&replicas, judges).await;
        }
    }

    /// Says that replicas are configured otherwise: in the log of each, and by an event of the one that judges.
    async fn tell(&self, replicas: &[Replica], judges: bool) {
        let judge = replicas.iter().find(|one| one.is_judge);
        let in_force = judge.map(|judge| judge.config.as_str());
        let others: Vec<&str> = replicas
            .iter()
            .filter(|one| Some(one.config.as_str()) != in_force)
            .map(|one| one.name.as_str())
            .collect();
        tracing::warn!(
            ?in_force,
            ?others,
            "replicas have different configurations: the rules of the one that judges are in force"
        );
        if !judges {
            return;
        }
        let now = self.clock.now();
        let configs: Vec<&str> = self.differ.0.iter().map(String::as_str).collect();
        let id = format!("tollbell.config_differs:{}:{}", configs.join(":"), now.as_second());
        let payload = json!({"config": in_force, "replicas": others});
        let event = Event::tollbell("tollbell.config_differs", "", id, now, payload);
        if let Err(error) = self.store.feed(Feed { events: vec![event], ..Feed::default() }).await {
            tracing::error!(%error, "the event about different configurations cannot be stored");
        }
    }
}
