//! What each stage is given of a configuration.

use std::sync::Arc;

use jiff::Timestamp;

use crate::api::InForce;
use crate::config::{Account, Config, Server, StoreSettings};
use crate::diagnostic::{Diagnostic, Severity};
use crate::event::PayloadPolicy;
use crate::intake;
use crate::metrics::{Metrics, Names};
use crate::policy::policy;
use crate::rules::{Labels, MetricKind};

/// The configured names whose series start at zero.
pub(super) fn names(config: &Config) -> Names<'_> {
    Names {
        accounts: config.accounts.iter().map(|account| account.name.as_str()).collect(),
        asked: config
            .accounts
            .iter()
            .filter(|account| account.api.is_some())
            .map(|account| account.name.as_str())
            .collect(),
        rules: config.rules.names().collect(),
        alerts: config.rules.alert_names().collect(),
        integrations: config
            .receivers
            .iter()
            .flat_map(|receiver| &receiver.integrations)
            .map(|integration| (integration.channel.kind(), integration.receiver.as_str()))
            .collect(),
        refusals: intake::REASONS,
        config_hash: &config.hash,
    }
}

/// Declares the user's own metrics. Those without labels begin at zero.
pub(super) fn declare(metrics: &Metrics, config: &Config) {
    let families: Vec<(&str, MetricKind, &str)> =
        config.rules.metrics().map(|one| (&*one.name, one.kind, one.help.as_str())).collect();
    metrics.user_metrics(&families);
    for metric in config.rules.metrics() {
        if metric.label_names.is_empty() {
            metrics.user_at_zero(&metric.name, metric.kind);
        } else {
            // There from a time when it had none.
            metrics.remove_user(&metric.name, &Labels::new());
        }
    }
}

/// What is judged by, and what people and programs ask about.
pub(super) fn in_force(config: Config, now: Timestamp) -> InForce {
    InForce {
        receivers: config.receivers.iter().map(|receiver| receiver.name.clone()).collect(),
        accounts: config.accounts.iter().map(Account::in_force).collect(),
        listen: config.server.listen,
        place: config.store.place.clone(),
        templates: config.templates.clone(),
        policy: Arc::new(policy(config)),
        since: now,
    }
}

/// Whose webhooks are taken, and how. How much of a payload is kept is what the store was opened with.
pub(super) fn intake(config: &Config, payload: PayloadPolicy) -> intake::Live {
    let accounts = config.accounts.iter().map(|account| intake::Account {
        name: account.name.clone(),
        keys: account.public_keys.clone(),
        tolerance: account.tolerance,
        currency: account.currency.clone(),
    });
    let settings = intake::ListenerSettings {
        max_body: config.server.max_body,
        trusted_proxies: config.server.trusted_proxies.clone(),
        allowed_sources: config.server.allowed_sources.clone(),
        payload,
    };
    intake::Live::new(accounts.collect(), settings)
}

/// What only a start can change, as it is in force.
#[derive(Debug)]
pub(super) struct Fixed {
    server: Server,
    store: StoreSettings,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        Self { server: config.server.clone(), store: config.store.clone() }
    }

    /// How much of a payload is stored.
    pub(super) fn payload(&self) -> PayloadPolicy {
        self.store.payload
    }

    /// A warning for each key that another configuration has other words for.
    pub(super) fn warnings(&self, config: &Config) -> Vec<Diagnostic> {
        let (server, store) = (&config.server, &config.store);
        let keys = [
            ("server.listen", server.listen != self.server.listen),
            ("server.private_listen", server.private_listen != self.server.private_listen),
            (
                "server.tls_config",
                server.certificate.is_some() != self.server.certificate.is_some(),
            ),
            (
                "server.private_tls_config",
                server.private_certificate.is_some() != self.server.private_certificate.is_some(),
            ),
            ("server.shutdown_timeout", server.shutdown_timeout != self.server.shutdown_timeout),
            ("store.url", store.place != self.store.place),
            ("store.retention", store.retention != self.store.retention),
            ("store.payload", store.payload != self.store.payload),
        ];
        let changed = keys.into_iter().filter(|(_, changed)| *changed);
        changed
            .map(|(key, _)| Diagnostic {
                severity: Severity::Warning,
                position: None,
                key: key.to_owned(),
                message: "takes effect at the next start".to_owned(),
                hint: None,
            })
            .collect()
    }
}
