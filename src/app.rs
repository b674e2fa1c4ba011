//! Puts the stages together: opens the store, starts the workers, serves, drains.
//!
//! Knows everyone; nobody knows it but the command line and the tests.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::Context as _;
use arc_swap::ArcSwap;

use crate::clock::{self, Clock};
use crate::config::Config;
use crate::engine;
use crate::metrics::{Metrics, Names};
use crate::notify::{Notifier, Receiver, Wording};
use crate::policy::policy;
use crate::store::{self, Store};
use crate::tasks::Tasks;
use crate::{admin, dispatch, intake};

/// How long a request in flight gets before the public listener closes on it; at most half of the shutdown's time.
const REQUEST_GRACE: Duration = Duration::from_secs(5);
/// What is left of the shutdown's time for closing the store; at most a quarter of it.
const CLOSE_RESERVE: Duration = Duration::from_secs(2);
/// How often old rows are looked for.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);
/// Rows removed in one transaction at most.
const SWEEP_ROWS_MAX: usize = 1_000;

/// The bound sockets; the caller binds, so that tests get port 0 and `serve` can say what is wrong.
#[derive(Debug)]
pub struct Listeners {
    /// Webhooks.
    pub public: TcpListener,
    /// Metrics and health.
    pub private: TcpListener,
}

/// A running tollbell.
#[derive(Debug)]
pub struct App {
    /// Where webhooks are taken.
    pub public_addr: SocketAddr,
    /// Where metrics and health are served.
    pub private_addr: SocketAddr,
    /// What is kept; for tests and `demo`.
    pub store: Store,
    tasks: Tasks,
    stopping: Arc<AtomicBool>,
    public: ServerHandle,
    private: ServerHandle,
    shutdown_timeout: Duration,
}

/// What every stage is given a part of.
struct Parts {
    store: Store,
    clock: Clock,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    receivers: BTreeMap<String, Receiver>,
    wording: Wording,
}

impl App {
    /// Opens the store and starts everything; returns when webhooks can come.
    pub async fn start(config: Config, listeners: Listeners, clock: Clock) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new(&names(&config)));
        metrics.config_loaded(true, clock.now());
        let parts = Parts {
            store: open_store(&config, &metrics).await?,
            clock,
            metrics,
            tasks: Tasks::new(),
            receivers: config.receivers.iter().map(|r| (r.name.clone(), r.clone())).collect(),
            wording: config.wording.clone(),
        };
        parts.tidy_up().await?;
        parts.start_dispatch()?;
        let intake = parts.intake(&config);
        let (hash, shutdown_timeout) = (config.hash.clone(), config.server.shutdown_timeout);
        parts.start_engine(config);

        let stopping = Arc::new(AtomicBool::new(false));
        let (public_addr, private_addr) =
            (listeners.public.local_addr()?, listeners.private.local_addr()?);
        let private = admin::serve(listeners.private, parts.admin(&stopping))?;
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        let grace = REQUEST_GRACE.min(shutdown_timeout / 2);
        let public = intake::serve(listeners.public, intake, workers, grace)?;
        let (private_handle, public_handle) = (private.handle(), public.handle());
        parts.tasks.spawn("private listener", async move { log_end(private.await) });
        parts.tasks.spawn("public listener", async move { log_end(public.await) });
        tracing::info!(%public_addr, %private_addr, config = hash, "tollbell is ready");
        Ok(Self {
            public_addr,
            private_addr,
            store: parts.store,
            tasks: parts.tasks,
            stopping,
            public: public_handle,
            private: private_handle,
            shutdown_timeout,
        })
    }

    /// Resolves when a worker ended that should not have: the process must end too.
    pub async fn failed(&self) {
        self.tasks.failed().await;
    }

    /// Ends in order: readiness off, webhooks in flight answered, sends finished or handed back, store closed.
    /// False when `shutdown_timeout` was not enough.
    pub async fn shutdown(self) -> bool {
        tracing::info!("shutting down");
        self.stopping.store(true, Ordering::Relaxed);
        let reserve = CLOSE_RESERVE.min(self.shutdown_timeout / 4);
        let workers_until = self.shutdown_timeout.saturating_sub(reserve);
        let drained = tokio::time::timeout(workers_until, async {
            // From here on an end of a worker is what we want.
            self.tasks.stop();
            self.public.stop(true).await;
            self.private.stop(true).await;
            self.tasks.drain(self.shutdown_timeout).await
        })
        .await
        .unwrap_or(false);
        if !drained {
            match tokio::time::timeout(reserve, self.store.release_all()).await {
                Ok(Ok(released)) if released.is_empty() => {}
                Ok(Ok(released)) => {
                    tracing::warn!(?released, "sends still in flight were handed back");
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "sends in flight could not be handed back");
                }
                Err(_elapsed) => {
                    tracing::error!("sends in flight could not be handed back in time");
                }
            }
        }
        let closed = matches!(tokio::time::timeout(reserve, self.store.close()).await, Ok(Ok(())));
        if drained && closed {
            tracing::info!("shut down");
        } else {
            tracing::error!(drained, closed, "shutdown took longer than shutdown_timeout");
        }
        drained && closed
    }
}

fn log_end(ended: std::io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a listener failed");
    }
}

async fn open_store(config: &Config, metrics: &Arc<Metrics>) -> anyhow::Result<Store> {
    let settings = store::Settings {
        path: config.store.path.clone(),
        retention: config.store.retention,
        payload: config.store.payload,
    };
    let metrics = Arc::clone(metrics);
    Store::open(&settings, Box::new(move |stats| metrics.store_committed(stats.jobs, stats.took)))
        .await
        .with_context(|| format!("cannot open the store {}", settings.path.display()))
}

/// The configured names whose series start at zero.
fn names(config: &Config) -> Names<'_> {
    Names {
        accounts: config.accounts.iter().map(|account| account.name.as_str()).collect(),
        rules: config.rules.names().collect(),
        alerts: config.rules.alert_names().collect(),
        integrations: config
            .receivers
            .iter()
            .flat_map(|receiver| &receiver.integrations)
            .map(|integration| (integration.channel.kind(), integration.receiver.as_str()))
            .collect(),
        config_hash: &config.hash,
    }
}

impl Parts {
    /// Hands back what a former process was sending, and buries what nobody is configured to send.
    async fn tidy_up(&self) -> anyhow::Result<()> {
        for resent in self.store.release_all().await? {
            let (integration, count) = (resent.integration, resent.count);
            tracing::warn!(
                integration,
                count,
                "sends that a crash cut off will be repeated with the same key"
            );
        }
        let integrations = self.receivers.values().flat_map(|receiver| &receiver.integrations);
        let known = integrations.map(|integration| integration.id.clone()).collect();
        let buried = self.store.bury_strangers(known, self.clock.now()).await?;
        if buried > 0 {
            tracing::error!(buried, "waiting deliveries died because their receiver was removed");
        }
        Ok(())
    }

    fn start_dispatch(&self) -> anyhow::Result<()> {
        let deps = dispatch::Deps {
            store: self.store.clone(),
            receivers: Arc::new(ArcSwap::from_pointee(self.receivers.clone())),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        for integration in self.receivers.values().flat_map(|receiver| &receiver.integrations) {
            let notifier = Notifier::new(integration, &self.wording)
                .with_context(|| format!("cannot set up {}", integration.id))?;
            let lane =
                dispatch::run(deps.clone(), integration.clone(), notifier, self.tasks.clone());
            self.tasks.spawn("dispatch", lane);
        }
        self.tasks.spawn("fallbacks", dispatch::run_fallbacks(deps, self.tasks.clone()));
        Ok(())
    }

    fn start_engine(&self, config: Config) {
        let deps = engine::Deps {
            store: self.store.clone(),
            policy: Arc::new(ArcSwap::from_pointee(policy(config))),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        self.tasks.spawn("engine", engine::run(deps, self.tasks.clone()));
        let (store, clock, tasks) = (self.store.clone(), self.clock.clone(), self.tasks.clone());
        self.tasks.spawn("sweep", sweep(store, clock, tasks));
    }

    fn intake(&self, config: &Config) -> intake::Deps {
        let accounts = config.accounts.iter().map(|account| intake::Account {
            name: account.name.clone(),
            keys: account.public_keys.clone(),
            tolerance: account.tolerance,
            currency: account.currency.clone(),
        });
        let settings = intake::Settings {
            max_body: config.server.max_body,
            trusted_proxies: config.server.trusted_proxies.clone(),
            allowed_sources: config.server.allowed_sources.clone(),
            payload: config.store.payload,
        };
        intake::Deps {
            live: Arc::new(ArcSwap::from_pointee(intake::Live::new(accounts.collect(), settings))),
            store: self.store.clone(),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }

    fn admin(&self, stopping: &Arc<AtomicBool>) -> admin::Deps {
        admin::Deps {
            store: self.store.clone(),
            metrics: Arc::clone(&self.metrics),
            clock: self.clock.clone(),
            stopping: Arc::clone(stopping),
        }
    }
}

/// Removes what is older than the retention, a bounded batch at a time, until shutdown.
async fn sweep(store: Store, clock: Clock, tasks: Tasks) {
    while !tasks.is_stopping() {
        let more = match store.sweep(clock.now(), SWEEP_ROWS_MAX).await {
            Ok(swept) => swept.more,
            Err(error) => {
                tracing::warn!(%error, "old rows cannot be removed");
                false
            }
        };
        if more {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = clock.sleep_until(clock::add(clock.now(), SWEEP_PERIOD)) => {}
            () = tasks.stopping() => {}
        }
    }
}
