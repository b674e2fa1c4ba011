//! From a checked configuration to what is judged by: the service, `explain` and whoever else judges take it from here.

use std::sync::Arc;

use crate::alerts::Routing;
use crate::config::Config;
use crate::engine::Policy;

/// The part of a configuration that decides.
pub fn policy(config: Config) -> Policy {
    let routing = Routing {
        route: config.route,
        inhibit_rules: config.inhibit_rules,
        time_intervals: config
            .time_intervals
            .into_iter()
            .map(|one| (one.name.clone(), one))
            .collect(),
        external_url: config.server.external_url.unwrap_or_default(),
    };
    Policy {
        rules: config.rules,
        routing: Arc::new(routing),
        receivers: config.receivers.into_iter().map(|one| (one.name.clone(), one)).collect(),
        config_hash: config.hash,
    }
}
