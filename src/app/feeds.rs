//! Who asks Telnyx, for which account, and who is told that we live: started, and started again when a reload changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Config;
use crate::heartbeat::{self, Heartbeat};
use crate::store::Role;
use crate::tasks::Tasks;
use crate::telnyx;

/// The workers beside the webhooks.
#[derive(Debug)]
pub(super) struct Feeds {
    deps: telnyx::Deps,
    tasks: Tasks,
    accounts: BTreeMap<String, (telnyx::ApiSettings, Tasks)>,
    heartbeats: (heartbeat::Settings, Tasks),
    /// What the configuration in force asks for.
    wanted: Wanted,
}

#[derive(Debug, Default)]
struct Wanted {
    apis: Vec<telnyx::ApiSettings>,
    heartbeats: Vec<Heartbeat>,
}

impl Feeds {
    /// Starts what the configuration asks for.
    pub(super) fn start(deps: telnyx::Deps, config: &Config, tasks: Tasks) -> Self {
        let heartbeats = (heartbeat::Settings::default(), tasks.branch());
        let accounts = BTreeMap::new();
        let mut feeds = Self { deps, tasks, accounts, heartbeats, wanted: Wanted::default() };
        feeds.take(config);
        feeds
    }

    /// Ends what another configuration has no more or has otherwise, and starts what is new. What stays the same goes on.
    pub(super) fn take(&mut self, config: &Config) {
        self.wanted = Wanted {
            apis: config.accounts.iter().filter_map(|account| account.api.clone()).collect(),
            heartbeats: config.heartbeats.clone(),
        };
        self.apply();
    }

    /// Does what is asked for where this process judges, else nothing: of several replicas one asks.
    pub(super) fn apply(&mut self) {
        let judges = self.deps.store.holds(&Role::Judge);
        let apis: Vec<telnyx::ApiSettings> =
            if judges { self.wanted.apis.clone() } else { Vec::new() };
        let wanted: BTreeMap<&str, &telnyx::ApiSettings> =
            apis.iter().map(|api| (api.account.as_str(), api)).collect();
        self.accounts.retain(|name, (settings, tasks)| {
            let stays = wanted.get(name.as_str()).is_some_and(|wanted| *wanted == settings);
            if !stays {
                tasks.stop();
            }
            stays
        });
        for (name, settings) in wanted {
            if !self.accounts.contains_key(name) {
                let tasks = self.tasks.branch();
                telnyx::start(&self.deps, settings.clone(), &tasks);
                self.accounts.insert(name.to_owned(), (settings.clone(), tasks));
            }
        }
        let heartbeats = if judges { self.wanted.heartbeats.clone() } else { Vec::new() };
        self.beat(heartbeats, &apis);
    }

    fn beat(&mut self, heartbeats: Vec<Heartbeat>, apis: &[telnyx::ApiSettings]) {
        let readings = apis.iter().map(|api| (api.account.clone(), api.poll_interval)).collect();
        let wanted = heartbeat::Settings { heartbeats, readings };
        let (settings, tasks) = &mut self.heartbeats;
        if *settings == wanted {
            return;
        }
        tasks.stop();
        *tasks = self.tasks.branch();
        settings.clone_from(&wanted);
        let deps = heartbeat::Deps {
            store: self.deps.store.clone(),
            clock: self.deps.clock.clone(),
            metrics: Arc::clone(&self.deps.metrics),
        };
        heartbeat::start(&deps, wanted, tasks);
    }
}
