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
use crate::config::{Config, Loaded, SETTLED, Sources};
use crate::diagnostic::{Diagnostic, Severity};
use crate::dispatch::Senders;
use crate::event::Event;
use crate::tasks::Tasks;

/// How often it is looked whether something waits for a receiver that is gone, such as a delivery tried again by hand.
const TIDY_PERIOD: Duration = Duration::from_mins(1);
/// Loads of files that change while they are read.
const LOADS_MAX: usize = 3;
/// What is said of them.
const CHANGING: &str = "the files change while they are read";
/// Problems of one load that are logged; the answer to `POST /-/reload` has all of them.
const PROBLEMS_LOGGED_MAX: usize = 20;

/// Where the configuration comes from.
pub struct Source {
    /// Loads it. May block.
    pub load: Box<dyn Fn() -> Loaded + Send + Sync>,
    /// The files that the first load looked at.
    pub first: Sources,
    /// Whether they are watched.
    pub watch: bool,
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
    /// The files of the configuration in force.
    in_force: Sources,
    next_tidy: Timestamp,
}

impl Reloader {
    pub(super) fn new(live: Live, source: Option<Source>, asked: Asked) -> Self {
        let now = live.clock.now();
        let in_force = source.as_ref().map(|source| source.first.clone()).unwrap_or_default();
        let watched = source.as_ref().is_some_and(|source| source.watch);
        let watch = watched.then(|| Watch::new(in_force.clone(), now));
        let next_tidy = clock::add(now, TIDY_PERIOD);
        Self { live, source: source.map(Arc::new), watch, asked, since: now, in_force, next_tidy }
    }

    /// Reloads until shutdown.
    pub(super) async fn run(mut self, tasks: Tasks) {
        let mut duties = self.live.store.duties();
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
                // Only the replica that judges asks Telnyx and sends heartbeats. With SQLite it never changes.
                Ok(()) = duties.changed() => self.live.feeds.apply(),
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
        let in_force = self.in_force.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare(&source, &in_force)).await;
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
            watch.loaded(sources.clone());
        }
        self.live.note_reload(usable.is_ok(), &problems);
        let Ok((config, senders)) = usable else {
            self.refuse(why, &problems, &hash).await;
            return Err(ReloadError::Refused(problems));
        };
        let reloaded = self.live.take(config, senders, problems).await;
        self.since = self.live.clock.now();
        self.in_force = sources;
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
            tracing::error!(%error, "the event about the failed reload cannot be stored");
        }
    }
}

/// Does all that may fail or block.
fn prepare(source: &Source, in_force: &Sources) -> Prepared {
    let (loaded, still) = load_whole(source, in_force);
    let Loaded { config, diagnostics: mut problems, hash, sources } = loaded;
    if !still {
        problems.push(problem(String::new(), CHANGING.to_owned()));
    }
    problems.extend(sources.vanished(in_force));
    let sound = problems.iter().all(|problem| problem.severity != Severity::Error);
    let usable = config.filter(|_| sound).ok_or(()).and_then(|config| {
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

/// Loads until the files are the same after it as they were read, a few times at most; whether they were.
#[expect(clippy::disallowed_methods, reason = "runs on a thread that may block")]
fn load_whole(source: &Source, in_force: &Sources) -> (Loaded, bool) {
    let mut tries = 0;
    loop {
        let loaded = (source.load)();
        if loaded.sources.may_be_cut(in_force) {
            std::thread::sleep(SETTLED);
        }
        let still = loaded.sources.look() == loaded.sources;
        tries += 1;
        if still || tries == LOADS_MAX {
            return (loaded, still);
        }
    }
}

/// An error of no place in a file.
fn problem(key: String, message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Error, position: None, key, message, hint: None }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::config;

    /// A load during which the rule file changes, as often as said.
    fn prepared(changes: usize) -> Prepared {
        let dir = tempfile::tempdir().expect("directory");
        let (main, rules) = (dir.path().join("t.yaml"), dir.path().join("r.yaml"));
        let text = "accounts: [{name: a, public_keys: [jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=]}]\n\
                    route: {receiver: ops}\nreceivers: [{name: ops}]\nrule_files: [r.yaml]\n";
        fs::write(&main, text).expect("write");
        fs::write(&rules, "groups: []\n").expect("write");
        let load = move || config::load(&main, &|_| None);
        let (first, loads) = (load().sources, AtomicUsize::new(0));
        let changing = move || {
            let loaded = load();
            let count = loads.fetch_add(1, Ordering::Relaxed);
            if count < changes {
                fs::write(&rules, format!("groups: []\n# {count} and more\n")).expect("write");
            }
            loaded
        };
        let source = Source { load: Box::new(changing), first: first.clone(), watch: false };
        let prepared = prepare(&source, &first);
        drop(dir);
        prepared
    }

    #[test]
    fn files_that_change_while_they_are_read_are_read_again() {
        for (changes, usable) in [(0, true), (1, true), (LOADS_MAX - 1, true), (LOADS_MAX, false)] {
            let Prepared { usable: found, problems, .. } = prepared(changes);
            assert_eq!(found.is_ok(), usable, "{changes}: {problems:?}");
            assert_eq!(problems.iter().any(|one| one.message == CHANGING), !usable);
        }
    }
}
