//! Puts the stages together: opens the store, starts the workers, serves, reloads, drains.
//!
//! Knows everyone; nobody knows it but the command line and the tests.

mod feeds;
mod live;
mod parts;
mod reload;
mod replicas;
mod restored;
mod upkeep;
mod watch;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch as cell};

use self::feeds::Feeds;
use self::live::{Acceptors, Live};
use self::parts::Fixed;
use self::reload::Reloader;
pub use self::reload::Source;
use self::restored::Mark;
pub use crate::admin::{ReloadError, Reloaded};
use crate::alerts::Routing;
use crate::api::Access;
use crate::clock::Clock;
use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::dispatch::{Lanes, Senders};
use crate::metrics::Metrics;
use crate::store::{self, Place, Role, Store};
use crate::tasks::Tasks;
use crate::{address, admin, api, console, dispatch, engine, intake, telnyx};

/// How long a request in flight gets before the public listener closes on it; at most half of the shutdown's time.
const REQUEST_GRACE: Duration = Duration::from_secs(5);
/// What is left of the shutdown's time for closing the store; at most a quarter of it.
const CLOSE_RESERVE: Duration = Duration::from_secs(2);
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
    /// None where there is nothing to load again.
    reload: Option<admin::Reload>,
    shutdown_timeout: Duration,
}

impl App {
    /// Opens the store and starts everything; returns when webhooks can come. With a [`Source`] the configuration can be
    /// loaded again.
    pub async fn start(
        config: Config,
        listeners: Listeners,
        clock: Clock,
        source: Option<Source>,
    ) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new(&parts::names(&config)));
        metrics.config_loaded(true, clock.now());
        let store = open_store(&config, &metrics).await?;
        let senders = Senders::new(config.receivers.clone(), &config.templates)
            .map_err(|(integration, error)| anyhow::Error::new(error).context(integration))
            .context("cannot set up a receiver")?;
        tidy_up(&store, senders.ids(), &clock).await?;
        let mark = Mark::beside(&config.store.place);
        mark.compare(&store, config.store.restored, clock.now()).await;
        let tasks = Tasks::new();
        let stopping = Arc::new(AtomicBool::new(false));
        let (hash, shutdown_timeout) = (config.hash.clone(), config.server.shutdown_timeout);
        let (public_addr, private_addr) =
            (listeners.public.local_addr()?, listeners.private.local_addr()?);
        let server = &config.server;
        let access = Arc::new(Access::new(
            private_addr.ip().is_loopback(),
            server.tokens.clone(),
            server.external_url.as_deref(),
        ));
        let workers = Workers {
            store: store.clone(),
            clock,
            metrics,
            access: Arc::clone(&access),
            tasks: tasks.clone(),
        };
        let (live, intake) = workers.start(config, senders, mark);
        let api = workers.api(&live);
        let pages = console::configure(console::Deps::new(api.clone(), Arc::clone(&access)));
        let (reload, asked) = admin::Reload::channel();
        let reload = source.is_some().then_some(reload);
        let admin = admin::Deps {
            store: store.clone(),
            metrics: Arc::clone(&workers.metrics),
            clock: workers.clock.clone(),
            api,
            stopping: Arc::clone(&stopping),
            reload: reload.clone(),
            access,
            tls: live.acceptors.private.clone(),
        };
        tasks.spawn("reload", Reloader::new(live, source, asked).run(tasks.clone()));

        let private = admin::serve(listeners.private, admin, pages)?;
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let grace = REQUEST_GRACE.min(shutdown_timeout / 2);
        let public = intake::serve(listeners.public, intake, threads, grace)?;
        let (private_handle, public_handle) = (private.handle(), public.handle());
        tasks.spawn("private listener", async move { log_end(private.await) });
        tasks.spawn("public listener", async move { log_end(public.await) });
        tracing::info!(%public_addr, %private_addr, config = hash, "tollbell is ready");
        Ok(Self {
            public_addr,
            private_addr,
            store,
            tasks,
            stopping,
            public: public_handle,
            private: private_handle,
            reload,
            shutdown_timeout,
        })
    }

    /// Loads the configuration again and waits for what becomes of it. A configuration with errors changes nothing.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        match &self.reload {
            Some(reload) => reload.ask().await,
            None => Err(ReloadError::Unavailable),
        }
    }

    /// Asks for a reload without waiting; the log says what becomes of it.
    pub fn reload_soon(&self) {
        if let Some(reload) = &self.reload {
            reload.ask_only();
        }
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
    let (retention, payload) = (config.store.retention, config.store.payload);
    let metrics = Arc::clone(metrics);
    let observer: store::Observer =
        Box::new(move |stats| metrics.store_committed(stats.jobs, stats.took));
    let opened = match &config.store.place {
        Place::Sqlite(path) => {
            let settings = store::Settings { path: path.clone(), retention, payload };
            Store::open(&settings, observer).await
        }
        Place::Postgres(address) => {
            let offer = replicas::offer(config);
            let address = (**address).clone();
            let settings = store::PostgresSettings { address, retention, payload, offer };
            Store::open_postgres(&settings, observer).await
        }
    };
    opened.with_context(|| format!("cannot open the store {}", config.store.place))
}

/// Hands back what a former process was sending, and dead-letters what nobody is configured to send.
async fn tidy_up(store: &Store, known: BTreeSet<String>, clock: &Clock) -> anyhow::Result<()> {
    for resent in store.release_all().await? {
        let (integration, count) = (resent.integration, resent.count);
        tracing::warn!(
            integration,
            count,
            "sends that a crash cut off will be repeated with the same key"
        );
    }
    if store.holds(&Role::Judge) {
        live::dead_letter_orphans(store, known, clock).await?;
    }
    Ok(())
}

/// Says what is probably not meant.
fn advise(config: &Config, now: jiff::Timestamp) {
    for Diagnostic { key, message, .. } in config.advice(now) {
        tracing::warn!(key, "{message}");
    }
}

/// What every worker is given.
struct Workers {
    store: Store,
    clock: Clock,
    metrics: Arc<Metrics>,
    access: Arc<Access>,
    tasks: Tasks,
}

impl Workers {
    /// Starts all that works without being asked. Gives what a reload swaps, and what the public listener needs.
    fn start(&self, config: Config, senders: Senders, mark: Mark) -> (Live, intake::Deps) {
        let Self { store, clock, metrics, access, tasks } = self;
        address::allow(config.server.allowed_targets.clone());
        parts::declare(metrics, &config);
        let fixed = Fixed::of(&config);
        let accounts = Arc::new(ArcSwap::from_pointee(parts::intake(&config, fixed.payload())));
        let restored_at = config.store.restored.then(|| clock.now());
        let acceptors = Acceptors::new(&config.server, metrics);
        advise(&config, clock.now());
        let known = senders.ids();
        let ended = Arc::new(Notify::new());
        let routing = Arc::new(ArcSwap::<Routing>::default());
        let deps = dispatch::Deps {
            store: store.clone(),
            receivers: dispatch::Receivers::default(),
            routing: Arc::clone(&routing),
            silences: dispatch::Silences::default(),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            ended: Arc::clone(&ended),
        };
        let asking = telnyx::Deps {
            store: store.clone(),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            payload: fixed.payload(),
        };
        let feeds = Feeds::start(asking, &config, tasks.clone());
        let in_force = parts::in_force(config, clock.now());
        let policy = Arc::clone(&in_force.policy);
        routing.store(Arc::clone(&policy.routing));
        // Before the engine: nothing is opened for an integration that nobody serves.
        let lanes = Lanes::start(deps, senders, tasks.clone());
        let policy = cell::Sender::new(policy);
        let deps = engine::Deps {
            store: store.clone(),
            policy: Arc::new(policy),
            applied: Arc::new(cell::Sender::default()),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            restored_at,
        };
        let live = Live {
            store: store.clone(),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            access: Arc::clone(access),
            in_force: Arc::new(ArcSwap::from_pointee(in_force)),
            last_reload: Arc::default(),
            intake: Arc::clone(&accounts),
            lanes,
            routing,
            feeds,
            ended,
            known,
            policy: Arc::clone(&deps.policy),
            applied: deps.applied.subscribe(),
            fixed,
            acceptors,
        };
        tasks.spawn("engine", engine::run(deps, tasks.clone()));
        self.start_upkeep(mark);
        let intake = intake::Deps {
            live: accounts,
            store: store.clone(),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            troubles: intake::Troubles::default(),
            tls: live.acceptors.public.clone(),
        };
        tasks.spawn("intake watch", intake::watch(intake.clone(), tasks.clone()));
        (live, intake)
    }

    /// What the API and the console need.
    fn api(&self, live: &Live) -> api::Deps {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        api::Deps {
            audit: api::Audit { store: store.clone(), clock: clock.clone() },
            in_force: Arc::clone(&live.in_force),
            last_reload: Arc::clone(&live.last_reload),
            started_at: clock.now(),
            tasks: self.tasks.clone(),
            store,
            clock,
        }
    }

    fn start_upkeep(&self, mark: Mark) {
        let replicas = replicas::Replicas::new(
            self.store.clone(),
            self.clock.clone(),
            Arc::clone(&self.metrics),
        );
        self.tasks.spawn("replicas", replicas.watch(self.tasks.clone()));
        let upkeep = upkeep::Upkeep {
            store: self.store.clone(),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
            tasks: self.tasks.clone(),
        };
        self.tasks.spawn("sweep", upkeep.clone().sweep());
        self.tasks.spawn("mark", upkeep.clone().mark(mark));
        self.tasks.spawn("clock watch", upkeep.watch_clock());
    }
}
