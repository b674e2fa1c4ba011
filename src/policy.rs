//! From a checked configuration to what is judged by: the service, `explain` and whoever else judges take it from here.

use crate::config::Config;
use crate::engine::Policy;

/// The part of a configuration that decides.
pub fn policy(config: Config) -> Policy {
    Policy {
        rules: config.rules,
        route: config.route,
        receivers: config.receivers.into_iter().map(|one| (one.name.clone(), one)).collect(),
        inhibit_rules: config.inhibit_rules,
        time_intervals: config
            .time_intervals
            .into_iter()
            .map(|one| (one.name.clone(), one))
            .collect(),
        external_url: config.server.external_url.unwrap_or_default(),
        config_hash: config.hash,
    }
}
