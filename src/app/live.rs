//! What a reload swaps while everything runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, watch};

use super::feeds::Feeds;
use super::parts::{self, Fixed};
use super::replicas;
use crate::address;
use crate::admin::Reloaded;
use crate::alerts::Routing;
use crate::api::{Access, InForce, LastReload};
use crate::clock::Clock;
use crate::config::{Config, Server};
use crate::diagnostic::{Diagnostic, Severity};
use crate::dispatch::{Lanes, Senders};
use crate::engine::Policy;
use crate::intake;
use crate::metrics::Metrics;
use crate::store::{Role, Store, StoreError};
use crate::tls::Acceptor;

/// How long a reload waits for the engine to judge by the new rules; it goes on to do so afterwards.
const APPLY_WAIT: Duration = Duration::from_secs(5);
/// Problems of a reload that are kept for people who ask.
const PROBLEMS_MAX: usize = 20;

/// What a reload swaps.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    /// Who may use the API and the console.
    pub(super) access: Arc<Access>,
    /// What people and programs ask about.
    pub(super) in_force: Arc<ArcSwap<InForce>>,
    /// How the last reload went.
    pub(super) last_reload: Arc<ArcSwapOption<LastReload>>,
    /// Whose webhooks are taken.
    pub(super) intake: Arc<ArcSwap<intake::Live>>,
    /// Who sends.
    pub(super) lanes: Lanes,
    /// By what the senders compose.
    pub(super) routing: Arc<ArcSwap<Routing>>,
    /// Who asks Telnyx, and who gets heartbeats.
    pub(super) feeds: Feeds,
    /// Notified when a lane has ended.
    pub(super) ended: Arc<Notify>,
    /// The integrations in force.
    pub(super) known: BTreeSet<String>,
    /// What is judged by.
    pub(super) policy: Arc<watch::Sender<Arc<Policy>>>,
    /// What the engine judges by.
    pub(super) applied: watch::Receiver<String>,
    pub(super) fixed: Fixed,
    /// The certificates of the listeners.
    pub(super) acceptors: Acceptors,
}

/// What the two listeners do with a connection before HTTP.
#[derive(Debug, Clone)]
pub(super) struct Acceptors {
    pub(super) public: Acceptor,
    pub(super) private: Acceptor,
}

impl Acceptors {
    pub(super) fn new(server: &Server, metrics: &Metrics) -> Self {
        Self::measure(server, metrics);
        Self {
            public: Acceptor::new(server.certificate.as_ref()),
            private: Acceptor::new(server.private_certificate.as_ref()),
        }
    }

    fn take(&self, server: &Server, metrics: &Metrics) {
        Self::measure(server, metrics);
        self.public.set(server.certificate.as_ref());
        self.private.set(server.private_certificate.as_ref());
    }

    /// Until when what they show is valid, for who scrapes.
    fn measure(server: &Server, metrics: &Metrics) {
        let certificates =
            [("public", &server.certificate), ("private", &server.private_certificate)];
        for (listener, certificate) in certificates {
            if let Some(certificate) = certificate {
                metrics.certificate(listener, certificate.until());
            }
        }
    }
}

impl Live {
    /// Puts a configuration into force. Nothing here can fail: what can was done to make `senders`.
    ///
    /// The order matters. Lanes come before whatever queues to them, the engine and the fallbacks; rules come before
    /// the accounts that they label; and lanes that are gone end once the engine queues to them no more.
    pub(super) async fn take(
        &mut self,
        config: Config,
        senders: Senders,
        mut warnings: Vec<Diagnostic>,
    ) -> Reloaded {
        warnings.extend(self.fixed.warnings(&config));
        warnings.extend(config.server.expiring(self.clock.now()));
        let hash = config.hash.clone();
        address::allow(config.server.allowed_targets.clone());
        let server = &config.server;
        self.access.take(server.tokens.clone(), server.external_url.as_deref());
        self.acceptors.take(server, &self.metrics);
        self.metrics.set_names(&parts::names(&config));
        parts::declare(&self.metrics, &config);
        self.metrics.config_loaded(true, self.clock.now());
        self.known = senders.ids();
        self.store.offer(replicas::offer(&config));
        self.lanes.take(senders);
        let accounts = parts::intake(&config, self.fixed.payload());
        self.feeds.take(&config);
        let in_force = parts::in_force(config, self.clock.now());
        self.routing.store(Arc::clone(&in_force.policy.routing));
        self.policy.send_replace(Arc::clone(&in_force.policy));
        self.in_force.store(Arc::new(in_force));
        self.intake.store(Arc::new(accounts));
        // Where another replica judges, its rules stay in force.
        if self.store.holds(&Role::Judge) {
            let fits = self.applied.wait_for(|applied| *applied == hash);
            if tokio::time::timeout(APPLY_WAIT, fits).await.is_err() {
                tracing::warn!(
                    config = hash,
                    "the rules wait for a commit of the store to take effect"
                );
            }
        }
        self.tidy().await;
        Reloaded { config: hash, warnings }
    }

    /// Notes how a reload goes, for people who ask.
    pub(super) fn note_reload(&self, ok: bool, problems: &[Diagnostic]) {
        let is_error = |problem: &&Diagnostic| problem.severity == Severity::Error;
        let errors = problems.iter().filter(is_error);
        let others = problems.iter().filter(|problem| !is_error(problem));
        let problems = errors.chain(others).take(PROBLEMS_MAX).map(ToString::to_string).collect();
        let noted = LastReload { at: self.clock.now(), ok, problems };
        self.last_reload.store(Some(Arc::new(noted)));
    }

    /// Resolves when [`Live::tidy`] may have something to do.
    pub(super) async fn untidy(&mut self) {
        tokio::select! {
            // The engine is there as long as we are; without it there is nothing to wait for.
            changed = self.applied.changed() => if changed.is_err() { std::future::pending().await },
            () = self.ended.notified() => {}
        }
    }

    /// Ends the lanes of integrations that are gone, and dead-letters what is queued to them. Does so in several steps, as the
    /// engine and the lanes come along; each call does what can be done by now.
    pub(super) async fn tidy(&self) {
        let judges = self.store.holds(&Role::Judge);
        if judges && *self.applied.borrow() != self.policy.borrow().config_hash {
            return;
        }
        if !self.lanes.retire(&self.known) || !judges {
            return;
        }
        if let Err(error) = dead_letter_orphans(&self.store, self.known.clone(), &self.clock).await
        {
            tracing::warn!(%error, "deliveries of removed receivers cannot be ended yet");
        }
    }
}

/// Ends waiting deliveries of integrations that are not among `known`.
pub(super) async fn dead_letter_orphans(
    store: &Store,
    known: BTreeSet<String>,
    clock: &Clock,
) -> Result<(), StoreError> {
    let orphans = store.dead_letter_orphans(known.into_iter().collect(), clock.now()).await?;
    if orphans > 0 {
        tracing::error!(orphans, "waiting deliveries died because their receiver was removed");
    }
    Ok(())
}
