//! Loads the configuration again: when asked, and when its files have changed.
//!
//! One worker does it all, so reloads come one after the other. What was asked for while one runs is done together,
//! after it. A configuration that cannot be used changes nothing; it is logged, counted and raised as an event.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::live::Live;
use super::watch::Watch;
use crate::admin::{Asked, ReloadError, Reloaded};
use crate::clock;
use crate::config::{Config, Loaded, Sources};
use crate::diagnostic::{Diagnostic, Severity};
use crate::dispatch::Senders;
use crate::event::Event;
use crate::tasks::Tasks;

/// How often it is looked whether something waits for a receiver that is gone, such as a delivery tried again by hand.
const TIDY_PERIOD: Duration = Duration::from_mins(1);
/// Problems of one load that are logged; the answer to `POST /-/reload` has all of them.
const PROBLEMS_LOGGED_MAX: usize = 20;

/// Where the configuration comes from.
pub struct Source {
    /// Loads it. May block.
    pub load: Box<dyn Fn() -> Loaded + Send + Sync>,
    /// The files that the first load looked at, to be watched; `None` to leave them alone.
    pub watch: Option<Sources>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("watch", &self.watch).finish_non_exhaustive()
    }
}

/// A load, as far as it can fail.
struct Prepared {
    usable: Result<(Config, Senders), ()>,
    problems: Vec<Diagnostic>,
    hash: String,
    sources: Sources,
}

/// The worker.
pub(super) struct Reloader {
    live: Live,
    source: Option<Arc<Source>>,
    watch: Option<Watch>,
    asked: Asked,
    /// Since when the configuration in force is.
    since: Timestamp,
    next_tidy: Timestamp,
}

impl Reloader {
    pub(super) fn new(live: Live, source: Option<Source>, asked: Asked) -> Self {
        let now = live.clock.now();
        let watched = source.as_ref().and_then(|source| source.watch.clone());
        let watch = watched.map(|sources| Watch::new(sources, now));
        let next_tidy = clock::add(now, TIDY_PERIOD);
        Self { live, source: source.map(Arc::new), watch, asked, since: now, next_tidy }
    }

    /// Reloads until shutdown.
    pub(super) async fn run(mut self, tasks: Tasks) {
        while !tasks.is_stopping() {
            let clock = self.live.clock.clone();
            let next_look = self.watch.as_ref().map(Watch::next);
            tokio::select! {
                waiting = self.asked.next() => {
                    let outcome = self.reload_until(&tasks, "asked").await;
                    waiting.answer(&outcome);
                }
                () = clock.sleep_until(next_look.unwrap_or(Timestamp::MAX)), if next_look.is_some() => {
                    if self.look().await {
                        // Logged and counted; nobody waits for it.
                        drop(self.reload_until(&tasks, "the files have changed").await);
                    }
                }
                () = self.live.untidy() => self.live.tidy().await,
                () = clock.sleep_until(self.next_tidy) => {
                    self.next_tidy = clock::add(clock.now(), TIDY_PERIOD);
                    self.live.tidy().await;
                }
                () = tasks.stopping() => {}
            }
        }
    }

    /// Whether the files have changed, and are not being written.
    async fn look(&mut self) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        let sources = watch.sources().clone();
        let found = tokio::task::spawn_blocking(move || sources.look()).await;
        // A look that panicked found nothing new.
        let found = found.unwrap_or_else(|_panic| watch.sources().clone());
        watch.looked(found, self.live.clock.now())
    }

    /// Reloads, but keeps no shutdown waiting: what a reload puts into force, it does in one go.
    async fn reload_until(
        &mut self,
        tasks: &Tasks,
        why: &'static str,
    ) -> Result<Reloaded, ReloadError> {
        tokio::select! {
            outcome = self.reload(why) => outcome,
            () = tasks.stopping() => Err(ReloadError::Unavailable),
        }
    }

    async fn reload(&mut self, why: &'static str) -> Result<Reloaded, ReloadError> {
        let Some(source) = self.source.clone() else { return Err(ReloadError::Unavailable) };
        let prepared = tokio::task::spawn_blocking(move || prepare(&source)).await;
        let Prepared { usable, problems, hash, sources } = prepared.unwrap_or_else(|_panic| {
            let problem = problem(String::new(), "internal error while loading".to_owned());
            let sources = self.watch.as_ref().map(|watch| watch.sources().clone());
            Prepared {
                usable: Err(()),
                problems: vec![problem],
                hash: String::new(),
                sources: sources.unwrap_or_default(),
            }
        });
        if let Some(watch) = &mut self.watch {
            watch.loaded(sources);
        }
        let Ok((config, senders)) = usable else {
            self.refuse(why, &problems, &hash).await;
            return Err(ReloadError::Refused(problems));
        };
        let reloaded = self.live.take(config, senders, problems).await;
        self.since = self.live.clock.now();
        for warning in &reloaded.warnings {
            tracing::warn!("{warning}");
        }
        tracing::info!(config = reloaded.config, why, "configuration reloaded");
        Ok(reloaded)
    }

    /// Tells of a configuration that cannot be used.
    async fn refuse(&self, why: &'static str, problems: &[Diagnostic], hash: &str) {
        let now = self.live.clock.now();
        self.live.metrics.config_loaded(false, now);
        let errors = || problems.iter().filter(|problem| problem.severity == Severity::Error);
        for error in errors().take(PROBLEMS_LOGGED_MAX) {
            tracing::error!("{error}");
        }
        let count = errors().count();
        tracing::error!(
            problems = count,
            why,
            "the configuration cannot be used; the one before stays in force"
        );
        let first = errors().next();
        let place = first.and_then(|problem| problem.position.as_ref());
        let payload = json!({
            "problems": count,
            "key": first.map(|problem| &problem.key),
            "file": place.map(|place| &place.file),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
        });
        // Once for the same files, until something usable has been in between.
        let id = format!("tollbell.reload_failed:{hash}:{}", self.since);
        let event = Event::tollbell("tollbell.reload_failed", "", id, now, payload);
        if let Err(error) = self.live.store.record(event).await {
            tracing::error!(%error, "the event of the failed reload cannot be kept");
        }
    }
}

/// Does all that may fail or block.
fn prepare(source: &Source) -> Prepared {
    let Loaded { config, diagnostics: mut problems, hash, sources } = (source.load)();
    let usable = config.ok_or(()).and_then(|config| {
        match Senders::new(config.receivers.clone(), &config.templates) {
            Ok(senders) => Ok((config, senders)),
            Err((integration, error)) => {
                problems.push(problem(integration, error.to_string()));
                Err(())
            }
        }
    });
    Prepared { usable, problems, hash, sources }
}

/// An error of no place in a file.
fn problem(key: String, message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Error, position: None, key, message, hint: None }
}
